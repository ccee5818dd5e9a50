import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
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

/** Measures a file: streamed, never held in memory. Throws when it is missing, empty, or no zstd file. */
export async function measureContentFile(path: string, signal: AbortSignal): Promise<ContentFile> {
  const unreadable = (detail: string, cause?: unknown) =>
    new AppError({
      code: 'FILE_UNREADABLE',
      title: `The file ${basename(path)} cannot be used.`,
      detail,
      remedies: ['Correct the path in the plan (relative paths start at the plan), or copy the file again.'],
      cause,
    })
  const hash = createHash('sha256')
  let start = Buffer.alloc(0)
  try {
    const { size } = await stat(path)
    for await (const chunk of createReadStream(path, {
      signal,
      highWaterMark: 1024 * 1024,
    }) as AsyncIterable<Buffer>) {
      if (start.length < zstdMagic.length) start = Buffer.concat([start, chunk.subarray(0, zstdMagic.length)])
      hash.update(chunk)
    }
    if (!start.subarray(0, zstdMagic.length).equals(zstdMagic))
      throw unreadable(`${path} is not a zstd file.`)
    return { path, name: basename(path), size, sha256: hash.digest('hex') }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof AppError) throw error
    throw unreadable(error instanceof Error ? error.message : String(error), error)
  }
}

/** Sends one file to the leader and proves by the hash that it has arrived whole. */
export async function uploadVerified(
  context: SiteContext,
  file: ContentFile,
  signature: string | undefined,
  onFraction: (fraction: number) => void,
): Promise<void> {
  const { services } = context
  const what = `upload ${file.name} (${inGigabytes(file.size)}) to the leader`
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
