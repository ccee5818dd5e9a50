import { createHash } from 'node:crypto'
import { open, type FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'
import { AppError } from '../../shared/errors/index.ts'
import type { LocalApiClient, UploadedContent } from '../appliance/index.ts'
import { leaderOf, type SiteContext } from './site.ts'

/** Magic number of a zstd frame (RFC 8878 §3.1.1), as it stands in the file. */
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** A file to upload, measured before it is sent. */
export interface ContentFile {
  readonly path: string
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** Hexadecimal. */
  readonly sha256: string
}

/** Bytes of one read. Small enough to stay in the processor's cache between reading and hashing. */
const readBytes = 256 * 1024

/** What was measured in this process, by path. A bundle of dozens of gigabytes takes minutes to read. */
const measured = new Map<string, { stamp: string; file: ContentFile }>()

/** A file that a dry run only names, because there is nothing to compare it with. */
export function unreadFile(path: string): ContentFile {
  return { path, name: basename(path), size: 0, sha256: '' }
}

/**
 * Measures a file: streamed, never held in memory, and read again only when it changed since the last time. (The
 * upload compares the hash of what it really sends, so trusting the time stamps here cannot let a wrong file through.)
 *
 * `onReading` is called when reading begins, which may take minutes.
 *
 * Throws `FILE_UNREADABLE` when the file is missing, empty, or no zstd file; `FILE_CHANGED` when it is being written;
 * the signal's reason.
 */
export async function measureContentFile(
  path: string,
  signal: AbortSignal,
  onReading?: () => void,
): Promise<ContentFile> {
  signal.throwIfAborted()
  try {
    const handle = await open(path, 'r')
    try {
      const stamp = await stampOf(handle)
      const known = measured.get(path)
      if (known?.stamp === stamp) return known.file
      onReading?.()
      const file = { path, name: basename(path), ...(await readThrough(handle, path, signal)) }
      if ((await stampOf(handle)) !== stamp) throw stillWritten(path)
      measured.set(path, { stamp, file })
      return file
    } finally {
      await handle.close()
    }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof AppError) throw error
    throw unreadable(path, error instanceof Error ? error.message : String(error), error)
  }
}

/** Changes with every write, and when another file takes the place. */
async function stampOf(handle: FileHandle): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await handle.stat({ bigint: true })
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
}

async function readThrough(
  handle: FileHandle,
  path: string,
  signal: AbortSignal,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256')
  // One buffer for the whole file: a new one for each read costs as much as the hashing itself.
  const buffer = Buffer.allocUnsafeSlow(readBytes)
  let size = 0
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, readBytes, size)
    signal.throwIfAborted()
    const bytes = buffer.subarray(0, bytesRead)
    // Before the rest is read in vain.
    if (size === 0 && !bytes.subarray(0, zstdMagic.length).equals(zstdMagic)) {
      throw unreadable(path, bytesRead === 0 ? `${path} is empty.` : `${path} is not a zstd file.`)
    }
    if (bytesRead === 0) return { size, sha256: hash.digest('hex') }
    hash.update(bytes)
    size += bytesRead
  }
}

function unreadable(path: string, detail: string, cause?: unknown): AppError {
  return new AppError({
    code: 'FILE_UNREADABLE',
    title: `The file ${basename(path)} cannot be used.`,
    detail,
    remedies: ['Correct the path in the plan (relative paths start at the plan), or copy the file again.'],
    cause,
  })
}

function stillWritten(path: string): AppError {
  return new AppError({
    code: 'FILE_CHANGED',
    title: `The file ${basename(path)} changed while it was read.`,
    detail: `Something writes to ${path}, perhaps a copy that is not finished. Nothing of it was sent.`,
    remedies: ['Wait until the file is complete, then go on with --resume.'],
  })
}

/** Sends one file to the leader and proves by the hash that it has arrived whole. */
export async function uploadVerified(
  context: SiteContext,
  file: ContentFile,
  signature: string | undefined,
  onFraction: (fraction: number) => void,
): Promise<void> {
  const { services } = context
  // A dry run that reaches no node does not read the file either.
  const size = file.sha256 === '' ? '' : ` (${inGigabytes(file.size)})`
  const what = `upload ${file.name}${size} to the leader`
  await context.change(`upload ${file.name}`, what, async (signal) => {
    const leader = await services.nodes.localApi(context, leaderOf(services.plan))
    await leader.uploadContent({
      source: { path: file.path },
      fileName: file.name,
      size: file.size,
      sha256: file.sha256,
      ...(signature === undefined ? {} : { signature }),
      onProgress: (sent) => {
        onFraction(file.size === 0 ? 1 : sent / file.size)
      },
      signal,
    })
  })
  if (context.mode === 'dry-run') return
  const leader = await services.nodes.localApi(context, leaderOf(services.plan))
  const stored = await leader.uploadedContent({ signal: context.signal })
  if (!isSame(stored, file)) {
    throw new AppError({
      code: 'UPLOAD_DAMAGED',
      title: `${file.name} did not arrive as it was sent.`,
      detail: `Sent: ${file.size} bytes, SHA-256 ${file.sha256}. The leader has: ${stored?.fileName ?? 'nothing'}, ${
        stored?.sizeInBytes ?? '?'
      } bytes, SHA-256 ${stored?.sha256Hash ?? '?'}.`,
      remedies: [
        'It is sent again; if that happens more than once, look at disk space and cabling of the leader.',
      ],
      node: leaderOf(services.plan).name,
      isTransient: true,
    })
  }
  context.evidence(arrivedStatement(file), seenOf(file))
}

/** Whether the leader's last upload is this file. */
export async function isLastUpload(
  client: LocalApiClient,
  file: ContentFile,
  signal: AbortSignal,
): Promise<boolean> {
  return isSame(await client.uploadedContent({ signal }), file)
}

/** Whether this run has seen this very file arrive. */
export function hasArrivedBefore(context: SiteContext, file: ContentFile): boolean {
  return context.history.evidence(context.phase, undefined, arrivedStatement(file)) === seenOf(file)
}

export function arrivedStatement(file: ContentFile): string {
  return `${file.name} has arrived whole`
}

function seenOf(file: ContentFile): string {
  return `${file.size} bytes, SHA-256 ${file.sha256}`
}

function isSame(stored: UploadedContent | undefined, file: ContentFile): boolean {
  return (
    stored?.fileName === file.name &&
    stored.sizeInBytes === file.size &&
    stored.sha256Hash?.toLowerCase() === file.sha256
  )
}

function inGigabytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1000)} kB`
}
