import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { appendFile, mkdtemp, open, readFile, rm, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RunEvent } from '../../shared/events/index.ts'
import { createJournal, readJournal, resumeJournal } from './journal.ts'
import { onNodes, startRun } from './testing/run-harness.ts'

let directory: string
let file: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'landfall-journal-'))
  file = join(directory, 'journal.ndjson')
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

function eventOf(seq: number, text = 'näïve “text”'): RunEvent {
  const time = new Date(Date.UTC(2026, 0, 1) + seq).toISOString()
  return { type: 'warning', seq, time, phase: 'link-hosts', node: 'n1', text: `${text} ${seq}` }
}

async function writeJournal(count: number): Promise<Buffer> {
  const journal = await createJournal(file)
  for (let seq = 1; seq <= count; seq += 1) await journal.append(eventOf(seq))
  await journal.close()
  return readFile(file)
}

/** The lines of a journal, each with its line feed. */
function linesOf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = []
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(0x0a, start) + 1
    lines.push(bytes.subarray(start, end))
    start = end
  }
  return lines
}

describe('the chain', () => {
  it('gives back what was appended', async () => {
    const bytes = await writeJournal(5)
    expect(readJournal(bytes)).toEqual({
      kind: 'intact',
      events: [1, 2, 3, 4, 5].map((seq) => eventOf(seq)),
      head: createHash('sha256')
        .update(linesOf(bytes)[4]?.subarray(0, -1) ?? '')
        .digest('hex'),
      length: bytes.length,
      hasTornLine: false,
    })
  })

  it('names in every line the SHA-256 of the line before, without its line feed', async () => {
    const lines = linesOf(await writeJournal(3)).map((line) => line.subarray(0, -1))
    const named = lines.map((line) => (JSON.parse(line.toString()) as { previousHash: string }).previousHash)
    const hashes = lines.map((line) => createHash('sha256').update(line).digest('hex'))
    expect(named).toEqual(['0'.repeat(64), hashes[0], hashes[1]])
  })

  it('reads an empty file as a journal without events', () => {
    expect(readJournal(Buffer.alloc(0))).toMatchObject({ kind: 'intact', events: [], length: 0 })
  })

  it('finds every single altered byte, in the last line too', async () => {
    const bytes = await writeJournal(4)
    // Every position, so that none is spared by chance; the value is drawn.
    const random = fc.sample(fc.integer({ min: 1, max: 255 }), bytes.length)
    for (let position = 0; position < bytes.length; position += 1) {
      for (const mask of [random[position] ?? 1, 0x20, (bytes[position] ?? 0) ^ 0x0a]) {
        if (mask === 0) continue
        const altered = Buffer.from(bytes)
        altered[position] = (altered[position] ?? 0) ^ mask
        expect(readJournal(altered).kind, `byte ${position} xor ${mask}`).toBe('broken')
      }
    }
  })

  it('finds lines that were removed, repeated, swapped or reordered', async () => {
    const lines = linesOf(await writeJournal(8))
    const indices = lines.map((_, index) => index)
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...indices), { maxLength: 12 }), (order) => {
        const isPrefix = order.every((line, index) => line === index)
        const bytes = Buffer.concat(order.map((index) => lines[index] ?? Buffer.alloc(0)))
        expect(readJournal(bytes).kind).toBe(isPrefix ? 'intact' : 'broken')
      }),
      {
        numRuns: 500,
        examples: [[indices], [[1, 2, 3]], [[0, 2, 1, 3]], [[0, 1, 2, 2, 3]], [indices.toReversed()]],
      },
    )
  })

  it('finds a line that was put in between, even one with hashes of its own', async () => {
    const lines = linesOf(await writeJournal(4))
    await rm(file)
    const { journal } = await resumeAt(Buffer.concat(lines.slice(0, 2)))
    await journal.append(eventOf(3, 'never happened'))
    await journal.close()
    const forged = Buffer.concat([await readFile(file), ...lines.slice(2)])
    expect(readJournal(forged)).toMatchObject({ kind: 'broken', line: 4 })
    expect(
      readJournal(Buffer.concat([...lines.slice(0, 2), Buffer.from('{}\n'), ...lines.slice(2)])),
    ).toEqual({
      kind: 'broken',
      line: 3,
      reason: 'is not a journal line, or was altered',
    })
  })

  it('refuses to go on with a broken journal, and leaves it as it is', async () => {
    const bytes = await writeJournal(3)
    bytes[10] = (bytes[10] ?? 0) ^ 1
    await writeFile(file, bytes)
    await expect(resumeJournal(file)).rejects.toMatchObject({
      code: 'JOURNAL_BROKEN',
      detail: expect.stringContaining('line 1') as string,
    })
    expect(await readFile(file)).toEqual(bytes)
  })

  it('tells when there is nothing to go on with', async () => {
    await expect(resumeJournal(file)).rejects.toMatchObject({ code: 'JOURNAL_UNREADABLE' })
  })
})

async function resumeAt(bytes: Buffer) {
  await writeFile(file, bytes)
  return resumeJournal(file)
}

describe('a process that dies while it writes', () => {
  it('leaves a prefix of the events, wherever the file ends', async () => {
    const bytes = await writeJournal(4)
    const all = [1, 2, 3, 4].map((seq) => eventOf(seq))
    let whole = 0
    for (let length = 0; length <= bytes.length; length += 1) {
      if (length > 0 && bytes[length - 1] === 0x0a) whole += 1
      const reading = readJournal(bytes.subarray(0, length))
      expect(reading).toMatchObject({ kind: 'intact', events: all.slice(0, whole) })
    }
    expect(whole).toBe(4)
  })

  it('can be followed by another one that continues the chain, wherever the file ends', async () => {
    const bytes = await writeJournal(2)
    // Neighbours behave alike; the ends of lines are all taken.
    const cuts = [...Array(bytes.length + 1).keys()].filter(
      (length) => length % 23 === 0 || bytes[length - 1] === 0x0a || bytes[length] === 0x0a,
    )
    for (const length of cuts) {
      const { journal, events } = await resumeAt(bytes.subarray(0, length))
      await journal.append(eventOf(events.length + 1, 'after'))
      await journal.append(eventOf(events.length + 2, 'after'))
      await journal.close()
      expect(readJournal(await readFile(file))).toMatchObject({
        kind: 'intact',
        hasTornLine: false,
        events: [...events, eventOf(events.length + 1, 'after'), eventOf(events.length + 2, 'after')],
      })
    }
  })

  it('may leave a tail of zero bytes', async () => {
    const bytes = Buffer.concat([await writeJournal(2), Buffer.alloc(300)])
    expect(readJournal(bytes)).toMatchObject({ kind: 'intact', hasTornLine: true, events: { length: 2 } })
  })
})

describe('appending', () => {
  it('keeps the order of the calls when many do it at once', async () => {
    const journal = await createJournal(file)
    await Promise.all(Array.from({ length: 60 }, (_, index) => journal.append(eventOf(index + 1))))
    await journal.close()
    const reading = readJournal(await readFile(file))
    expect(reading).toMatchObject({ kind: 'intact', events: { length: 60 } })
  })

  it('brings every line to the disk before it resolves', async () => {
    const probe = await open(join(directory, 'probe'), 'w')
    const prototype = Object.getPrototypeOf(probe) as FileHandle
    await probe.close()
    const datasync = vi.spyOn(prototype, 'datasync')
    const journal = await createJournal(file)
    for (let seq = 1; seq <= 3; seq += 1) {
      await journal.append(eventOf(seq))
      expect(datasync).toHaveBeenCalledTimes(seq)
      expect(linesOf(await readFile(file))).toHaveLength(seq)
    }
    await journal.close()
  })

  it('never begins on top of another journal', async () => {
    const bytes = await writeJournal(1)
    await expect(createJournal(file)).rejects.toMatchObject({
      code: 'JOURNAL_WRITE_FAILED',
      title: 'There is a journal of this run already.',
    })
    expect(await readFile(file)).toEqual(bytes)
  })

  it('says what is wrong when the folder is not there', async () => {
    await expect(createJournal(join(directory, 'absent', 'journal'))).rejects.toMatchObject({
      code: 'JOURNAL_WRITE_FAILED',
    })
  })

  it.skipIf(process.platform === 'win32')('makes a file that only its owner can read', async () => {
    await writeJournal(1)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })
})

/** Mounts a file system of 64 KiB, or tells that this machine does not allow it. */
function mountSmallDisk(at: string): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false
  try {
    execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', at], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe('a full disk', () => {
  let isMounted = false
  beforeEach(() => {
    isMounted = mountSmallDisk(directory)
  })
  afterEach(() => {
    // Lazily: a test that failed may have left its journal open, and the mount must not stay behind.
    if (isMounted) execFileSync('/bin/umount', ['--lazy', directory])
  })

  it('stops the run before the next change, and the run goes on after space was freed', async ({ skip }) => {
    if (!isMounted) skip('needs the right to mount a tmpfs (root on Linux)')
    const ballast = join(directory, 'ballast')
    const acts: number[] = []
    const phase = (count: number) =>
      onNodes('changes', {
        apply: async (context) => {
          for (let index = 0; index < count; index += 1) {
            if (context.history.change('changes', 'n1', `change-${index}`) === 'done') continue
            await context.change(`change-${index}`, `Change ${index}`, () => {
              acts.push(index)
              return Promise.resolve()
            })
          }
        },
      })
    const journal = await createJournal(file)
    await writeFile(ballast, Buffer.alloc(36 * 1024))
    const run = startRun([phase(100), onNodes('never-begun')], { journal })
    const { outcome, errors } = await run.result
    expect(outcome).toBe('failed')
    expect(errors).toMatchObject([
      { code: 'JOURNAL_WRITE_FAILED', title: 'The disk of this workstation is full.', isTransient: false },
    ])
    expect(acts.length).toBeGreaterThan(2)
    expect(acts.length).toBeLessThan(100)
    await expect(journal.append(eventOf(run.events.length + 1))).rejects.toBe(errors[0])
    await journal.close()

    const reading = readJournal(await readFile(file))
    if (reading.kind === 'broken') throw new Error(reading.reason)
    // What viewers saw is what is on the disk, and every act that ran had been announced there.
    expect(reading.events).toEqual(run.events)
    expect(run.eventsOf('change-started').map(({ key }) => key)).toEqual(
      acts.map((index) => `change-${index}`),
    )
    expect(run.eventsOf('phase-started').map((event) => event.phase)).toEqual(['changes'])

    await rm(ballast)
    const resumed = await resumeJournal(file)
    const second = startRun([phase(acts.length + 2)], { journal: resumed.journal, earlier: resumed.events })
    expect(await second.result).toEqual({ outcome: 'done', errors: [] })
    await resumed.journal.close()
    expect(readJournal(await readFile(file))).toMatchObject({ kind: 'intact', hasTornLine: false })
  })

  it('is met on the first line too, and stays met', async ({ skip }) => {
    if (!isMounted) skip('needs the right to mount a tmpfs (root on Linux)')
    const journal = await createJournal(file)
    // What is left after this is less than a page.
    await appendFile(join(directory, 'ballast'), Buffer.alloc(256 * 1024)).catch(() => undefined)
    const first = await journal.append(eventOf(1)).catch((error: unknown) => error)
    expect(first).toMatchObject({ code: 'JOURNAL_WRITE_FAILED' })
    await rm(join(directory, 'ballast'))
    await expect(journal.append(eventOf(1))).rejects.toBe(first)
    await journal.close()
    expect(await readFile(file)).toHaveLength(0)
  })
})

describe.skipIf(!existsSync('/dev/full'))('a device that is always full', () => {
  it('fails every line from the first failure on', async () => {
    const journal = await createJournal(file)
    await journal.append(eventOf(1))
    const full = await open('/dev/full', 'w')
    const prototype = Object.getPrototypeOf(full) as FileHandle
    // The error is the kernel's own; only the way to the device is redirected.
    const writeToFull = full.write.bind(full) as (...parts: unknown[]) => Promise<unknown>
    vi.spyOn(prototype, 'write').mockImplementation(((...[buffer, offset, length]: unknown[]) =>
      writeToFull(buffer, offset, length)) as never)
    await expect(journal.append(eventOf(2))).rejects.toMatchObject({
      code: 'JOURNAL_WRITE_FAILED',
      title: 'The disk of this workstation is full.',
      detail: expect.stringContaining('ENOSPC') as string,
    })
    vi.restoreAllMocks()
    await full.close()
    await expect(journal.append(eventOf(2))).rejects.toMatchObject({ code: 'JOURNAL_WRITE_FAILED' })
    await journal.close()
    expect(readJournal(await readFile(file))).toMatchObject({ kind: 'intact', events: [eventOf(1)] })
  })
})
