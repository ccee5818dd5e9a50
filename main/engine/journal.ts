import { createHash } from 'node:crypto'
import { open, readFile, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { AppError } from '../../shared/errors/index.ts'
import { runEventSchema, type RunEvent } from '../../shared/events/index.ts'
import { syncFolder } from '../storage/atomic-file.ts'

/** What the first line of a journal names as the hash of the line before it. */
const noLineBefore = '0'.repeat(64)

const hashSchema = z.string().regex(/^[0-9a-f]{64}$/)

const journalLineSchema = z.strictObject({
  /** SHA-256 of the line before, without its line feed. */
  previousHash: hashSchema,
  event: runEventSchema,
  /** SHA-256 of this line up to here: no next line vouches for the last one. */
  checksum: hashSchema,
})

export type JournalReading =
  | {
      readonly kind: 'intact'
      readonly events: readonly RunEvent[]
      /** SHA-256 of the last line: whoever keeps it elsewhere can prove later that nothing was cut off. */
      readonly head: string
      /** Bytes of the intact lines. */
      readonly length: number
      /** The last line was being written when the process died; it is not part of `events`. */
      readonly hasTornLine: boolean
    }
  | { readonly kind: 'broken'; readonly line: number; readonly reason: string }

/**
 * Reads a journal and checks its chain: every line carries the SHA-256 of the line before (the bytes without the line
 * feed) and one of itself, and the numbers of the events have no gap. An unfinished last line is tolerated, because a
 * process may die while it writes; anything else that does not fit was altered afterwards.
 *
 * What it cannot see is that whole lines are missing at the end; `head`, kept elsewhere, proves that.
 */
export function readJournal(bytes: Buffer): JournalReading {
  const events: RunEvent[] = []
  let head = noLineBefore
  let offset = 0
  let line = 0
  while (offset < bytes.length) {
    line += 1
    const end = bytes.indexOf(0x0a, offset)
    if (end === -1) {
      // A line that was cut off lacks its line feed; one that has another byte in its place was altered.
      if (parseLine(bytes.subarray(offset, -1)) !== undefined) {
        return { kind: 'broken', line, reason: 'does not end with a line feed' }
      }
      return { kind: 'intact', events, head, length: offset, hasTornLine: true }
    }
    const raw = bytes.subarray(offset, end)
    const parsed = parseLine(raw)
    if (parsed === undefined) return { kind: 'broken', line, reason: 'is not a journal line, or was altered' }
    if (parsed.previousHash !== head) {
      return { kind: 'broken', line, reason: 'does not carry the hash of the line before it' }
    }
    if (parsed.event.seq !== events.length + 1) {
      return {
        kind: 'broken',
        line,
        reason: `has number ${parsed.event.seq} instead of ${events.length + 1}`,
      }
    }
    events.push(parsed.event)
    head = hashOf(raw)
    offset = end + 1
  }
  return { kind: 'intact', events, head, length: offset, hasTornLine: false }
}

/** Append-only NDJSON file; every line is on the disk before `append` resolves. */
export interface Journal {
  readonly file: string
  /** Resolves when the event is durable. Rejects with `JOURNAL_WRITE_FAILED`, from then on always. */
  append(event: RunEvent): Promise<void>
  close(): Promise<void>
}

/** Begins a journal. Fails when the file is there already: a run never overwrites another one's. */
export async function createJournal(file: string): Promise<Journal> {
  const handle = await open(file, 'wx', 0o600).catch((error: unknown) => {
    throw writeFailed(file, error)
  })
  try {
    await syncFolder(dirname(file))
  } catch (error) {
    await handle.close()
    throw writeFailed(file, error)
  }
  return new JournalWriter(file, handle, noLineBefore, 0)
}

/**
 * Goes on with a journal: returns what it holds and a writer behind its last intact line. A torn last line is cut off.
 * Throws `JOURNAL_BROKEN` when the chain does not hold, `JOURNAL_UNREADABLE` when there is nothing to read.
 */
export async function resumeJournal(
  file: string,
): Promise<{ journal: Journal; events: readonly RunEvent[] }> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw unreadable(file, error)
  })
  const reading = readJournal(bytes)
  if (reading.kind === 'broken') {
    throw new AppError({
      code: 'JOURNAL_BROKEN',
      title: 'The journal of this run was altered.',
      detail: `${file}: line ${reading.line} ${reading.reason}.`,
      remedies: [
        'Find out who changed the file; restore it from a copy if there is one.',
        'Or begin a new run with --fresh: what the site looks like is read again.',
      ],
    })
  }
  const handle = await open(file, 'r+').catch((error: unknown) => {
    throw writeFailed(file, error)
  })
  if (reading.hasTornLine) {
    try {
      await handle.truncate(reading.length)
      await handle.datasync()
    } catch (error) {
      await handle.close()
      throw writeFailed(file, error)
    }
  }
  return { journal: new JournalWriter(file, handle, reading.head, reading.length), events: reading.events }
}

class JournalWriter implements Journal {
  readonly file: string
  readonly #handle: FileHandle
  #head: string
  #length: number
  #queue: Promise<void> = Promise.resolve()
  #failure: AppError | undefined

  constructor(file: string, handle: FileHandle, head: string, length: number) {
    this.file = file
    this.#handle = handle
    this.#head = head
    this.#length = length
  }

  append(event: RunEvent): Promise<void> {
    const written = this.#queue.then(() => this.#write(event))
    // The next line waits for this one; a failure is kept in #failure and met there again.
    this.#queue = written.catch(() => undefined)
    return written
  }

  async close(): Promise<void> {
    await this.#queue
    await this.#handle.close()
  }

  async #write(event: RunEvent): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    const line = formatLine(this.#head, event)
    const bytes = Buffer.concat([line, Buffer.from('\n')])
    try {
      await this.#writeAll(bytes)
      await this.#handle.datasync()
    } catch (error) {
      this.#failure = writeFailed(this.file, error)
      // Half a line would be tolerated as torn, but a clean end is better; on a dead disk this fails as well.
      await this.#handle.truncate(this.#length).catch(() => undefined)
      throw this.#failure
    }
    this.#head = hashOf(line)
    this.#length += bytes.length
  }

  async #writeAll(bytes: Buffer): Promise<void> {
    let done = 0
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, this.#length + done)
      if (bytesWritten === 0) throw new Error('the system took no bytes')
      done += bytesWritten
    }
  }
}

const checksumKey = ',"checksum":"'
/** Bytes of `,"checksum":"<64 digits>"}`, with which every line ends. */
const checksumLength = checksumKey.length + 64 + 2

function formatLine(previousHash: string, event: RunEvent): Buffer {
  const body = JSON.stringify({ previousHash, event }).slice(0, -1)
  return Buffer.from(`${body}${checksumKey}${hashOf(Buffer.from(body))}"}`)
}

function parseLine(raw: Buffer): z.infer<typeof journalLineSchema> | undefined {
  if (raw.length < checksumLength) return undefined
  const end = raw.length - checksumLength
  // Compared as bytes, so that nothing that a JSON parser would pass over stays unseen.
  if (raw.toString('latin1', end) !== `${checksumKey}${hashOf(raw.subarray(0, end))}"}`) return undefined
  try {
    return journalLineSchema.safeParse(JSON.parse(raw.toString('utf8'))).data
  } catch {
    return undefined
  }
}

function hashOf(line: Buffer): string {
  return createHash('sha256').update(line).digest('hex')
}

function unreadable(file: string, error: unknown): AppError {
  const isMissing = isCode(error, 'ENOENT')
  return new AppError({
    code: 'JOURNAL_UNREADABLE',
    title: isMissing ? 'There is no journal to go on with.' : 'The journal of the run cannot be read.',
    detail: `${file}: ${error instanceof Error ? error.message : String(error)}.`,
    remedies: [
      isMissing
        ? 'Begin a new run, without --resume: what the site looks like is read again.'
        : 'Check that the file belongs to you and that its disk is mounted, then go on with --resume.',
    ],
    cause: error,
  })
}

function writeFailed(file: string, error: unknown): AppError {
  const reason = error instanceof Error ? error.message : String(error)
  const { title, remedy } = writeFailureOf(error)
  return new AppError({
    code: 'JOURNAL_WRITE_FAILED',
    title,
    detail: `${file}: ${reason}. Nothing further was changed on the site.`,
    remedies: [remedy, 'Then go on with --resume.'],
    cause: error,
  })
}

function writeFailureOf(error: unknown): { title: string; remedy: string } {
  if (isCode(error, 'ENOSPC') || isCode(error, 'EDQUOT')) {
    return { title: 'The disk of this workstation is full.', remedy: 'Free some space on this disk.' }
  }
  if (isCode(error, 'EEXIST')) {
    return {
      title: 'There is a journal of this run already.',
      remedy: 'Keep the file: it tells what was done so far.',
    }
  }
  return {
    title: 'The journal of the run cannot be written.',
    remedy: 'Check the folder: it must exist and be writable.',
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
