import { execFile } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ProgramResult, ProgramRunner } from '../programs/program-runner.ts'
import { createRemoteDatagramSender } from './remote-datagrams.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'landfall-datagrams-'))
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** Runs with real shells; `nc` and `ping` are scripts that write down whom they were told to ask. */
function place(programs: Record<string, string>) {
  const bin = mkdtempSync(join(folder, 'bin-'))
  const log = join(bin, 'log')
  writeFileSync(log, '')
  for (const [name, script] of Object.entries(programs)) {
    if (script.startsWith('/')) symlinkSync(script, join(bin, name))
    else {
      writeFileSync(join(bin, name), `#!/bin/sh\n${script.replaceAll('$LOG', log)}\n`)
      chmodSync(join(bin, name), 0o755)
    }
  }
  const calls: string[] = []
  const runner: ProgramRunner = {
    place: 'n1',
    platform: 'linux',
    run: (program, args) => {
      calls.push(program)
      const path = join(bin, program)
      if (!existsSync(path)) return Promise.resolve<ProgramResult>({ kind: 'missing' })
      return new Promise((resolve) => {
        execFile(path, args, { env: { PATH: bin, LC_ALL: 'C' } }, (error, stdout, stderr) => {
          const exitCode = error === null ? 0 : Number(error.code)
          resolve({ kind: 'ended', exitCode, stdout, stderr })
        })
      })
    },
  }
  return { runner, calls, log: () => readFileSync(log, 'utf8').split('\n').filter(Boolean).sort() }
}

const { signal } = new AbortController()
const sent = { kind: 'sent' }
const bash = '/bin/bash'
const sh = '/bin/sh'

describe.skipIf(process.platform !== 'linux')('datagrams that a node sends', () => {
  it('go out by bash, and what cannot be sent has its reason', async () => {
    const { runner, calls } = place({ bash, sh })
    const sender = createRemoteDatagramSender(runner)
    expect(sender.usedWay()).toBeUndefined()
    const outcome = await sender.send(['127.0.0.1', '255.255.255.255', '127.0.0.2', '127.0.0.1'], signal)
    expect([...outcome]).toEqual([
      ['127.0.0.1', sent],
      // The kernel wants SO_BROADCAST for it; nothing leaves the machine.
      ['255.255.255.255', { kind: 'failed', code: 'EACCES' }],
      ['127.0.0.2', sent],
    ])
    expect(sender.usedWay()).toBe('bash')
    expect(calls).toEqual(['bash'])
  })

  it('that are no addresses reach no shell', async () => {
    const { runner, calls } = place({ bash, sh })
    const strange = ['$(id)', '127.0.0.1/9; id', '', '::1', '127.0.0.256']
    const outcome = await createRemoteDatagramSender(runner).send(strange, signal)
    expect([...outcome.values()]).toEqual(strange.map(() => ({ kind: 'failed', code: 'EINVAL' })))
    expect(calls).toEqual([])
  })

  const eighty = Array.from({ length: 80 }, (_, index) => `127.0.1.${index}`)

  it('go out by nc where bash is missing or cannot', async () => {
    const nc = 'echo "$4 $(cat)" >> $LOG; [ "$4" != 127.0.1.7 ] || exit 1'
    for (const bashThere of [
      {},
      { bash: 'echo "bash: /dev/udp/127.0.1.1/9: No such file or directory" >&2' },
    ]) {
      const { runner, log } = place({ ...bashThere, sh, nc, cat: '/bin/cat' })
      const sender = createRemoteDatagramSender(runner)
      const outcome = await sender.send(eighty, signal)
      // 127.0.1.7 refused it: sent all the same.
      expect([...outcome.values()].every(({ kind }) => kind === 'sent')).toBe(true)
      expect(log()).toEqual(eighty.map((address) => `${address} x`).sort())
      expect(sender.usedWay()).toBe('nc')
    }
  })

  it('go out by ping where nc is missing or knows no UDP, and the way is kept', async () => {
    const ping = 'echo "$5" >> $LOG; case $5 in *.8) exit 1;; *.9) exit 2;; esac'
    for (const ncThere of [{}, { nc: 'echo "nc: invalid option -- u" >&2; exit 1' }]) {
      const { runner, log, calls } = place({ sh, ping, ...ncThere })
      const sender = createRemoteDatagramSender(runner)
      const outcome = await sender.send(eighty, signal)
      expect(log()).toEqual([...eighty].sort())
      const failed = [...outcome].filter(([, { kind }]) => kind === 'failed')
      expect(failed).toEqual([['127.0.1.9', { kind: 'failed', code: 'UNKNOWN' }]])
      expect(calls).toEqual(['bash', 'sh', 'sh'])
      await sender.send(['127.0.2.1'], signal)
      expect(calls).toEqual(['bash', 'sh', 'sh', 'sh'])
      expect(sender.usedWay()).toBe('ping')
    }
  })

  it('by no way at all are failures, each with a code', async () => {
    const { runner } = place({})
    const sender = createRemoteDatagramSender(runner)
    expect([...(await sender.send(['127.0.0.1'], signal))]).toEqual([
      ['127.0.0.1', { kind: 'failed', code: 'ENOENT' }],
    ])
    expect(sender.usedWay()).toBeUndefined()
  })

  it('of a program that was killed half-way count as far as they went', async () => {
    const runner: ProgramRunner = {
      place: 'n1',
      platform: 'linux',
      run: () =>
        Promise.resolve({ kind: 'killed', reason: 'deadline', stdout: '127.0.0.12\n127.0.0.1', stderr: '' }),
    }
    const outcome = await createRemoteDatagramSender(runner).send(['127.0.0.12', '127.0.0.1'], signal)
    expect([...outcome.values()]).toEqual([sent, { kind: 'failed', code: 'ETIMEDOUT' }])
  })
})
