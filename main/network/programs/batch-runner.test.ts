import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../shared/errors/index.ts'
import { createBatchRunner } from './batch-runner.ts'
import type { ProgramResult, ProgramRunner, RunOptions } from './program-runner.ts'

/** Runs with a real shell in a process group of its own, as a session of an SSH server has. */
function placeWith(shell: readonly string[]) {
  const calls: { program: string; options: RunOptions }[] = []
  const runner: ProgramRunner = {
    place: 'n1',
    platform: 'linux',
    run: (program, args, options) => {
      calls.push({ program, options })
      options.signal.throwIfAborted()
      const [name = 'sh', ...rest] = program === 'sh' ? shell : [program]
      return new Promise<ProgramResult>((resolve, reject) => {
        const child = spawn(name, [...rest, ...args], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
        let stdout = ''
        let stderr = ''
        child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
        child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
        options.signal.addEventListener('abort', () => {
          // As `timeout --foreground` would: the shell alone.
          child.kill('SIGTERM')
          reject(options.signal.reason as Error)
        })
        child.on('close', (exitCode) => {
          resolve({ kind: 'ended', exitCode, stdout, stderr })
        })
      })
    },
  }
  return { batch: createBatchRunner(runner, 20), calls }
}

const shells = [['/bin/dash'], ['/bin/bash'], ['/bin/busybox', 'sh']].filter(([path = '']) =>
  existsSync(path),
)
const { signal } = new AbortController()
const options = { signal, deadlineSeconds: 10 }

describe.each(shells)('a batch of programs (%s)', (...shell) => {
  const place = () => placeWith(shell)

  it('runs with one command, at the same time, and each has its own result', async () => {
    const { batch, calls } = place()
    const startedAt = performance.now()
    const results = await Promise.all([
      batch.run('sh', ['-c', 'echo out; echo err >&2; echo more; exit 3'], options),
      batch.run('no-such-program', [], options),
      batch.run('sh', ['-c', 'kill -KILL $$'], options),
      batch.run('cat', [], options),
      ...Array.from({ length: 6 }, () => batch.run('sleep', ['0.4'], options)),
    ])
    expect(performance.now() - startedAt).toBeLessThan(2000)
    expect(calls.map(({ program }) => program)).toEqual(['sh'])
    const silent = { kind: 'ended', exitCode: 0, stdout: '', stderr: '' }
    expect(results).toMatchObject([
      { kind: 'ended', exitCode: 3, stdout: 'out\nmore\n', stderr: 'err\n' },
      { kind: 'missing' },
      { kind: 'ended', exitCode: null },
      silent,
      ...Array.from({ length: 6 }, () => silent),
    ])
  })

  it('gets every argument byte for byte', async () => {
    const { batch } = place()
    const word = fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.replaceAll('\0', ''))
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(word, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 4 }),
        async (commands) => {
          const results = await Promise.all(
            commands.map((args) => batch.run('printf', ['%s\\n', ...args], options)),
          )
          for (const [index, args] of commands.entries()) {
            const expected = args.map((arg) => `${arg}\n`).join('')
            expect(results[index]).toMatchObject({ kind: 'ended', stdout: expected, stderr: '' })
          }
        },
      ),
      {
        numRuns: 15,
        examples: [
          [
            [
              ['$(id)', '`id`', "'", '"'],
              ['\\', '', '*'],
              ['-n', '[1', ']1', 'x0'],
            ],
          ],
        ],
      },
    )
  })

  it('tells apart what many write at the same time, line by line', async () => {
    const { batch } = place()
    const lines = (name: number) => Array.from({ length: 40 }, (_, line) => `${String(name)}-${String(line)}`)
    const names = Array.from({ length: 20 }, (_, name) => name)
    const results = await Promise.all(
      names.map((name) => batch.run('printf', ['%s\\n', ...lines(name)], options)),
    )
    expect(results).toEqual(
      names.map((name) => ({
        kind: 'ended',
        exitCode: 0,
        stdout: `${lines(name).join('\n')}\n`,
        stderr: '',
      })),
    )
  })

  it('shows one that writes too much as such, and the others as they are', async () => {
    const { batch } = place()
    const [much, little] = await Promise.all([
      batch.run('seq', ['1', '3000'], options),
      batch.run('echo', ['x'], options),
    ])
    expect(much).toEqual({ kind: 'killed', reason: 'output', stdout: '', stderr: '' })
    expect(little).toMatchObject({ stdout: 'x\n' })
  })

  it.skipIf(process.platform !== 'linux')('is gone as a whole when it is ended', async () => {
    const { batch } = place()
    const abort = new AbortController()
    const marker = `31.${String(process.pid)}${String(Math.floor(Math.random() * 1e6))}`
    const running = [1, 2, 3].map(() => batch.run('sleep', [marker], { ...options, signal: abort.signal }))
    const ended = Promise.allSettled(running)
    await until(() => processesWith(marker) >= 3)
    abort.abort(new Error('stopped'))
    expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    await until(() => processesWith(marker) === 0)
  })
})

describe('a batch runner', () => {
  it('puts together only what is alike, and leaves alone what is alone or has input', async () => {
    const { batch, calls } = placeWith(['/bin/sh'])
    await Promise.all([
      batch.run('true', [], options),
      batch.run('true', [], { ...options, deadlineSeconds: 20 }),
      batch.run('true', [], { ...options, asRoot: true }),
      batch.run('true', [], { ...options, asRoot: true }),
      batch.run('cat', [], { ...options, input: '' }),
    ])
    expect(calls.map(({ program }) => program).sort()).toEqual(['cat', 'sh', 'true', 'true'])
    expect(calls.find(({ program }) => program === 'sh')?.options).toMatchObject({
      asRoot: true,
      deadlineSeconds: 13,
    })
  })

  it('cuts a long queue into batches', async () => {
    const { batch, calls } = placeWith(['/bin/sh'])
    await Promise.all(Array.from({ length: 45 }, () => batch.run('true', [], options)))
    expect(calls.map(({ program }) => program)).toEqual(['sh', 'sh', 'sh'])
  })

  const answering = (result: ProgramResult | Error) =>
    createBatchRunner({
      place: 'n1',
      platform: 'linux',
      run: () => (result instanceof Error ? Promise.reject(result) : Promise.resolve(result)),
    })
  const two = (batch: ProgramRunner) =>
    Promise.allSettled([batch.run('a', [], options), batch.run('b', [], options)])

  it('gives each what happened to all, and to those that were not through that they were killed', async () => {
    const reason = 'no sudo'
    for (const { status, ...rest } of await two(answering({ kind: 'not-permitted', reason }))) {
      expect({ status, ...rest }).toEqual({ status: 'fulfilled', value: { kind: 'not-permitted', reason } })
    }
    const lost = new AppError({ code: 'SSH_CONNECTION_LOST', title: 'gone' })
    for (const settled of await two(answering(lost))) {
      expect(settled).toEqual({ status: 'rejected', reason: lost })
    }
    const cut = {
      kind: 'killed',
      reason: 'deadline',
      stdout: '2ohi\n2x0\n1oha\n2o\n2e\n2.\n1x0',
      stderr: '',
    } as const
    const [first, second] = await two(answering(cut))
    expect(first).toMatchObject({ value: { kind: 'killed', reason: 'deadline' } })
    expect(second).toMatchObject({ value: { kind: 'ended', exitCode: 0, stdout: 'hi\n' } })
  })
})

/** How many processes were started as `sleep` with this argument. */
function processesWith(argument: string): number {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8') === `sleep\0${argument}\0`
    } catch {
      return false // it has ended in the meantime
    }
  }).length
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = Date.now() + 8000
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error('it did not come about')
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
}
