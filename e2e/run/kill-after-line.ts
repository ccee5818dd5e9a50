/**
 * Preloaded into a run (`node --import`): ends the process with SIGKILL at one exact moment of its journal. Nothing can
 * be caught, flushed or tidied up, as after `kill -9` or a power cut.
 *
 * The journal is the only file that is written with `datasync`; anything else that did would make the moments wrong,
 * hence ends the process with exit code 70.
 */
import { ftruncateSync, readlinkSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import process from 'node:process'
import { z } from 'zod'
import { killVariable, killSchema } from './kill-moment.ts'

const kill = killSchema.parse(JSON.parse(process.env[killVariable] ?? ''))

/** The lines that were written and not made durable yet. */
const pending = new WeakMap<FileHandle, { readonly text: string; readonly end: number }>()
let lines = 0
let fitting = 0

type Write = (
  this: FileHandle,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number,
) => Promise<{ bytesWritten: number }>
type Datasync = (this: FileHandle) => Promise<void>

const own = await open(import.meta.filename)
const prototype = Object.getPrototypeOf(own) as object
await own.close()
const write = Reflect.get(prototype, 'write') as Write
const datasync = Reflect.get(prototype, 'datasync') as Datasync

Reflect.set(prototype, 'write', async function (...[buffer, offset, length, position]: Parameters<Write>) {
  const result = await write.call(this, buffer, offset, length, position)
  const text = buffer.toString('utf8', offset, offset + result.bytesWritten)
  pending.set(this, { text, end: position + result.bytesWritten })
  return result
} satisfies Write)

Reflect.set(prototype, 'datasync', async function () {
  const file = readlinkSync(`/proc/self/fd/${String(this.fd)}`)
  if (!file.endsWith('/journal.ndjson')) {
    process.stderr.write(`datasync on ${file}\n`)
    process.exit(70)
  }
  const line = pending.get(this)
  pending.delete(this)
  if (line === undefined || !isMoment(line.text)) return datasync.call(this)
  switch (kill.how) {
    case 'durable':
      await datasync.call(this)
      break
    case 'written':
      break
    case 'torn':
      ftruncateSync(this.fd, line.end - Math.ceil(Buffer.byteLength(line.text) / 2))
      break
  }
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => undefined)
} satisfies Datasync)

function isMoment(line: string): boolean {
  lines += 1
  if ('line' in kill) return lines === kill.line
  const { event } = z.object({ event: z.record(z.string(), z.unknown()) }).parse(JSON.parse(line))
  if (!Object.entries(kill.event).every(([key, value]) => event[key] === value)) return false
  fitting += 1
  return fitting === kill.nth
}
