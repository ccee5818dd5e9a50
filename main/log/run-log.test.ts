import { mkdir, mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import { createRedactor } from '../secrets/redactor.ts'
import { createRunLog } from './run-log.ts'

const secret = 'Very "secret" word 7'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-log-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

const warning = (text: string): RunEvent => ({
  type: 'warning',
  seq: 7,
  time: '2026-01-01T00:00:00.000Z',
  phase: 'link-hosts',
  text,
})

async function linesOf(write: (log: ReturnType<typeof createRunLog>) => void): Promise<string[]> {
  const log = createRunLog(folder, createRedactor([secret]).redact)
  write(log)
  await log.close()
  return (await readFile(join(folder, 'landfall.log'), 'utf8')).split('\n').filter((line) => line !== '')
}

describe('the log of a run', () => {
  it('has every event as one line of JSON, with the time', async () => {
    const lines = await linesOf((log) => {
      log.event(warning('first'))
      log.event(warning('second'))
    })
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { type: 'warning', seq: 7, text: 'first', phase: 'link-hosts' },
      { text: 'second' },
    ])
    expect(lines[0]).toMatch(/"time":"\d{4}-\d\d-\d\dT/)
  })

  it('has errors with where they were and all that caused them', async () => {
    const [line = ''] = await linesOf((log) => {
      log.error(
        new AppError({
          code: 'UNREACHABLE',
          title: 'n1 is silent.',
          node: 'n1',
          phase: 'connect-nodes',
          cause: new Error('outer', { cause: new TypeError('the innermost') }),
        }),
      )
    })
    expect(JSON.parse(line)).toMatchObject({
      code: 'UNREACHABLE',
      node: 'n1',
      phase: 'connect-nodes',
      msg: 'n1 is silent.',
    })
    for (const words of ['outer', 'TypeError: the innermost', 'run-log.test.ts'])
      expect(line).toContain(words)
  })

  it('ends where a chain of causes leads back to itself', async () => {
    const first = new Error('first')
    const second = new Error('second', { cause: first })
    first.cause = second
    const lines = await linesOf((log) => {
      log.error(new AppError({ code: 'UNREACHABLE', title: 'T.', cause: first }))
    })
    expect(lines).toHaveLength(1)
  })

  it('has no secret in it, wherever it stood: in texts, causes and stacks', async () => {
    const lines = await linesOf((log) => {
      log.event(warning(`the answer was ${secret}`))
      log.event(warning(`as a URL: ${encodeURIComponent(secret)}`))
      log.error(
        new AppError({
          code: 'UNREACHABLE',
          title: secret,
          detail: secret,
          cause: new Error(`sent ${secret}`),
        }),
      )
    })
    expect(lines).toHaveLength(3)
    for (const line of lines) {
      expect(line).not.toContain('secret')
      expect(line).toContain('[redacted]')
      // Still JSON: what reads logs must not stumble.
      JSON.parse(line)
    }
  })

  it('is readable by its owner only', async () => {
    await linesOf((log) => {
      log.event(warning('x'))
    })
    expect((await stat(join(folder, 'landfall.log'))).mode & 0o777).toBe(0o600)
  })

  it('goes on where the log of an earlier attempt ended', async () => {
    await linesOf((log) => {
      log.event(warning('first attempt'))
    })
    expect(
      await linesOf((log) => {
        log.event(warning('second attempt'))
      }),
    ).toHaveLength(2)
  })
})

describe('a log that cannot be written', () => {
  it('does not stop the installation, and can be closed at once', async () => {
    const log = createRunLog(join(folder, 'missing'), (text) => text)
    log.event(warning('lost'))
    await log.close()
  })

  it('can be closed long after it failed, and more than once', async () => {
    await mkdir(join(folder, 'landfall.log'))
    const log = createRunLog(folder, (text) => text)
    // The failure to open is told by the operating system some turns later.
    for (let turn = 0; turn < 200; turn += 1) {
      await nextTurn()
      log.event(warning('lost'))
    }
    await log.close()
    await log.close()
  })

  it('because the disk is full does neither', async () => {
    // Every write to this device says that there is no space left.
    await symlink('/dev/full', join(folder, 'landfall.log'))
    const log = createRunLog(folder, (text) => text)
    for (let turn = 0; turn < 200; turn += 1) {
      await nextTurn()
      log.event(warning('lost'))
    }
    await log.close()
    await log.close()
  })

  it('takes what comes after it was closed without an error', async () => {
    const log = createRunLog(folder, (text) => text)
    await log.close()
    log.event(warning('too late'))
    await log.close()
  })
})
