import { createHash, randomBytes } from 'node:crypto'
import { appendFile, mkdtemp, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import { measureContentFile } from './content-files.ts'

const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])
const never = new AbortController().signal

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-content-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function writePack(name: string, body: Buffer): Promise<{ path: string; sha256: string }> {
  const bytes = Buffer.concat([zstdMagic, body])
  const path = join(folder, name)
  await writeFile(path, bytes)
  return { path, sha256: createHash('sha256').update(bytes).digest('hex') }
}

async function failureOf(promise: Promise<unknown>): Promise<AppError> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(thrown instanceof AppError)) throw new Error(`an AppError was expected, not ${String(thrown)}`)
  return thrown
}

describe('measuring a content file', () => {
  it('tells name, size and hash, also of a file that is longer than one read', async () => {
    const body = randomBytes(1_300_007)
    const { path, sha256 } = await writePack('pack.tar.zst', body)
    expect(await measureContentFile(path, never)).toEqual({
      path,
      name: 'pack.tar.zst',
      size: body.length + 4,
      sha256,
    })
  })

  it('reads a file that has not changed only once: it may be dozens of gigabytes', async () => {
    const { path } = await writePack('pack.tar.zst', randomBytes(5000))
    const onReading = vi.fn()
    const first = await measureContentFile(path, never, onReading)
    expect(await measureContentFile(path, never, onReading)).toEqual(first)
    expect(onReading).toHaveBeenCalledTimes(1)
  })

  it('reads again what was replaced by a file of the same size and time', async () => {
    const old = await writePack('pack.tar.zst', randomBytes(5000))
    const { atime, mtime } = await stat(old.path)
    await measureContentFile(old.path, never)
    const other = await writePack('other', randomBytes(5000))
    await utimes(other.path, atime, mtime)
    await rename(other.path, old.path)
    expect((await measureContentFile(old.path, never)).sha256).toBe(other.sha256)
  })

  it('refuses a file that grows while it is read: a copy that is still going on', async () => {
    const { path } = await writePack('pack.tar.zst', randomBytes(3_000_000))
    let growing: Promise<void> | undefined
    const error = await failureOf(
      measureContentFile(path, never, () => {
        growing = appendFile(path, 'more')
      }),
    )
    await growing
    expect(error).toMatchObject({ code: 'FILE_CHANGED', isTransient: false })
    expect(error.message).toContain('pack.tar.zst')
    // Not remembered: the finished copy is measured as it is.
    expect((await measureContentFile(path, never)).size).toBe(3_000_008)
  })

  it.each([
    ['is no zstd file', Buffer.from('PK\u0003\u0004 a zip archive')],
    ['is empty', Buffer.alloc(0)],
    ['is shorter than the magic number', zstdMagic.subarray(0, 2)],
  ])('refuses a file that %s', async (_what, bytes) => {
    const path = join(folder, 'pack.tar.zst')
    await writeFile(path, bytes)
    expect(await failureOf(measureContentFile(path, never))).toMatchObject({ code: 'FILE_UNREADABLE' })
  })

  it('refuses what is missing, and what is a folder', async () => {
    const missing = await failureOf(measureContentFile(join(folder, 'missing.zst'), never))
    expect(missing.code).toBe('FILE_UNREADABLE')
    expect(missing.detail).toContain('ENOENT')
    expect((await failureOf(measureContentFile(folder, never))).code).toBe('FILE_UNREADABLE')
  })

  it('stops in the middle when the run is stopped', async () => {
    const { path } = await writePack('pack.tar.zst', randomBytes(3_000_000))
    const stop = new AbortController()
    const measuring = measureContentFile(path, stop.signal, () => {
      stop.abort(new Error('stopped by the operator'))
    })
    await expect(measuring).rejects.toThrow('stopped by the operator')
  })
})
