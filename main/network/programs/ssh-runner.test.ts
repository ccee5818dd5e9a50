import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '../../../shared/errors/index.ts'
import type { SshConnection } from '../../ssh/index.ts'
import type { ProgramResult, RunOptions } from './program-runner.ts'
import { createSshRunner } from './ssh-runner.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'landfall-ssh-runner-'))
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

interface ShellOptions {
  /** Of the account. */
  shell?: string[]
  /** What is called `sh` there; default is this machine's. */
  sh?: string
  /** Programs that are found before the system's: name and shell script. */
  programs?: Record<string, string>
  /** A login script prints this on both streams. */
  greeting?: string
  /** The only folder of programs. */
  path?: string
}

/** What `SshConnection.exec` does, with a shell of this machine at the other end. */
function connectionTo({ shell = ['sh'], sh, programs = {}, greeting, path }: ShellOptions = {}) {
  const commands: string[] = []
  const bin = mkdtempSync(join(folder, 'bin-'))
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(bin, name), 0o755)
  }
  if (sh !== undefined) symlinkSync(sh, join(bin, 'sh'))
  const exec: SshConnection['exec'] = (command, options = {}) => {
    commands.push(command)
    return new Promise((resolve, reject) => {
      options.signal?.throwIfAborted()
      const [program = 'sh', ...parameters] = shell
      const line = greeting === undefined ? command : `echo '${greeting}'; echo '${greeting}' >&2; ${command}`
      const child = spawn(program, [...parameters, '-c', line], {
        // A session of its own, as under sshd. For tcsh the greeting's `>&2` names a file.
        detached: true,
        cwd: folder,
        // A home of its own: bash runs the account's .bashrc when its standard input is a socket, as sshd's is.
        env: { PATH: path ?? `${bin}:${process.env['PATH'] ?? ''}`, HOME: folder },
      })
      const output = { stdout: '', stderr: '' }
      const give = (error: unknown) => {
        clearTimeout(timer)
        child.stdin.destroy()
        child.kill('SIGKILL')
        reject(error instanceof Error ? error : new Error(String(error)))
      }
      const timer = setTimeout(() => {
        give(new AppError({ code: 'SSH_TIMEOUT', title: 'late' }))
      }, options.timeoutMilliseconds)
      options.signal?.addEventListener('abort', () => {
        give(options.signal?.reason)
      })
      // A character may come in two pieces.
      child.stdout.setEncoding('utf8')
      child.stderr.setEncoding('utf8')
      const collect = (stream: 'stdout' | 'stderr') => (chunk: string) => {
        output[stream] += chunk
        if (output.stdout.length + output.stderr.length > (options.maxOutputBytes ?? Infinity)) {
          give(new AppError({ code: 'SSH_OUTPUT_TOO_LARGE', title: 'much' }))
        }
      }
      child.stdout.on('data', collect('stdout'))
      child.stderr.on('data', collect('stderr'))
      child.stdin.on('error', () => undefined)
      if (options.stdin === undefined) child.stdin.end()
      else Readable.from(options.stdin as AsyncIterable<Uint8Array>, { objectMode: false }).pipe(child.stdin)
      child.on('error', reject)
      child.on('exit', () => {
        child.stdin.destroy()
      })
      child.on('close', (code, signalName) => {
        clearTimeout(timer)
        resolve({ exitCode: code ?? undefined, signal: signalName?.slice(3), ...output })
      })
    })
  }
  return { exec, commands, bin }
}

function runnerTo(options: ShellOptions & { password?: string } = {}) {
  const connection = connectionTo(options)
  const { password } = options
  const runner = createSshRunner({
    place: 'n1',
    connection,
    ...(password === undefined ? {} : { password: () => Promise.resolve(password) }),
  })
  const run = (program: string, args: readonly string[] = [], more: Partial<RunOptions> = {}) =>
    runner.run(program, args, { signal: new AbortController().signal, deadlineSeconds: 10, ...more })
  return { run, runner, ...connection }
}

const ended = (stdout: string, exitCode: number | null = 0): ProgramResult => ({
  kind: 'ended',
  exitCode,
  stdout,
  stderr: '',
})

const busybox = '/bin/busybox'
const shells = ['/bin/dash', '/bin/bash', busybox].filter((path) => existsSync(path))
/** Login shells, of which some are no POSIX shells at all. */
const accountShells = [['dash'], ['bash'], [busybox, 'sh'], ['zsh'], ['tcsh'], ['fish']].filter(
  ([program = '', ...rest]) =>
    spawnSync(program, [...rest, '-c', 'true'], { stdio: 'ignore' }).error === undefined,
)
const difficult = [
  '$(id)',
  '`id`',
  "'",
  "'\\''",
  '"',
  '\\',
  '\\\\',
  "\\'",
  '\n',
  '',
  ' ',
  '*',
  '!!',
  '!x',
  '~',
  ';',
  '%s%%',
  'ä€',
]

describe('a program on a node', () => {
  it.each(shells)('gets every argument byte for byte (%s)', async (sh) => {
    const { run } = runnerTo({ sh })
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '')),
          {
            maxLength: 5,
          },
        ),
        async (args) => {
          // `printf` ends each with a character that cannot be in an argument.
          const result = await run('printf', ['%s\\000', ...args])
          const expected = args.length === 0 ? '\0' : args.map((arg) => `${arg}\0`).join('')
          expect(result).toEqual(ended(Buffer.from(expected).toString()))
        },
      ),
      {
        numRuns: 40,
        examples: [
          [
            [
              '$(id)',
              '`id`',
              "'",
              "'\\''",
              '"',
              '\\',
              '\n',
              '',
              ' ',
              '*',
              '-n',
              '!!',
              '$HOME',
              '~',
              ';',
              '&',
            ],
          ],
        ],
      },
    )
  })

  it.each(accountShells)('gets its arguments whatever the shell of the account is (%s)', async (...shell) => {
    const { run } = runnerTo({ shell, greeting: 'Welcome!' })
    const check = async (args: readonly string[]) => {
      const result = await run('printf', ['%s\\000', ...args], { asRoot: false })
      expect(result).toEqual(ended(args.map((arg) => `${arg}\0`).join('')))
    }
    await check(difficult)
    await check(['x'.repeat(5000), "it's ".repeat(3000)])
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '')),
          { minLength: 1, maxLength: 4 },
        ),
        check,
      ),
      { numRuns: 10 },
    )
    expect(await run('cat', [], { input: 'line\n' })).toEqual(ended('line\n'))
    expect(await run('sh', ['-c', 'exit 3'])).toEqual(ended('', 3))
    expect(await run('no-such-program')).toEqual({ kind: 'missing' })
  })

  it('is refused when an argument has a NUL, which no shell can pass on', async () => {
    await expect(runnerTo().run('echo', ['a\0b'])).rejects.toThrow(TypeError)
  })

  it('has its exit code, its streams, and a language that can be read', async () => {
    const { run } = runnerTo()
    expect(await run('sh', ['-c', 'echo out; echo err >&2; exit 3'])).toEqual({
      kind: 'ended',
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    })
    expect(await run('sh', ['-c', 'kill -KILL $$'])).toEqual(ended('', null))
    const environment = await run('sh', ['-c', 'echo "$LC_ALL $PATH"'])
    expect(environment).toMatchObject({
      stdout: expect.stringMatching(/^C .*:\/usr\/sbin:\/sbin\n$/) as string,
    })
  })

  it('that is not there is missing; one that says 127 itself is not', async () => {
    const { run } = runnerTo({
      programs: { odd: 'exit 127', echoing: 'echo landfall:missing >&2; exit 126' },
    })
    expect(await run('no-such-program', ['x'])).toEqual({ kind: 'missing' })
    expect(await run('odd')).toEqual(ended('', 127))
    expect(await run('echoing')).toMatchObject({ kind: 'ended', exitCode: 126 })
  })

  it('is not confused by what a login script prints', async () => {
    const { run } = runnerTo({ greeting: 'Welcome to n1' })
    expect(await run('echo', ['x'])).toEqual(ended('x\n'))
    expect(await run('no-such-program')).toEqual({ kind: 'missing' })
  })

  it('gets its input and then the end of it; without input it gets none', async () => {
    const { run } = runnerTo()
    const input = 'line 1\n\u00e4\u0000\nno end'
    expect(await run('cat', [], { input })).toEqual(ended(input))
    expect(await run('cat', [], { input: '' })).toEqual(ended(''))
    expect(await run('cat')).toEqual(ended(''))
    expect(await run('true', [], { input: 'x'.repeat(300_000) })).toEqual(ended(''))
  })

  it('is ended at the deadline, and what it printed is there', async () => {
    const { run } = runnerTo()
    const result = await run('sh', ['-c', 'echo begun; exec sleep 30'], { deadlineSeconds: 1 })
    expect(result).toEqual({ kind: 'killed', reason: 'deadline', stdout: 'begun\n', stderr: '' })
    // A child that holds the output open is ended as well.
    const parent = await run('sh', ['-c', 'echo begun; sleep 30; echo never'], { deadlineSeconds: 1 })
    expect(parent).toEqual({ kind: 'killed', reason: 'deadline', stdout: 'begun\n', stderr: '' })
    const stubborn = await run('sh', ['-c', 'trap "" TERM; while :; do sleep 0.1; done'], {
      deadlineSeconds: 1,
    })
    expect(stubborn).toMatchObject({ kind: 'killed', reason: 'deadline' })
  })

  it('is ended when it writes too much', async () => {
    const { run } = runnerTo()
    expect(await run('yes', [], { maxOutputBytes: 50_000 })).toMatchObject({
      kind: 'killed',
      reason: 'output',
    })
  })

  it.each(shells)(
    'is gone when nobody listens any more, also where the server may not signal it (%s)',
    async (sh) => {
      // `setsid`: a KILL of the session, as the server would send it, does not reach the program.
      const { run } = runnerTo({ shell: ['setsid', '--wait', 'sh'], sh })
      const pidFile = join(folder, `pid-${String(Math.random())}`)
      const abort = new AbortController()
      const running = run(
        'sh',
        ['-c', `echo $$ > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; exec sleep 60`],
        {
          signal: abort.signal,
          deadlineSeconds: 60,
        },
      )
      const pid = await eventually(() => Number(readFileSync(pidFile, 'utf8')))
      abort.abort(new Error('stopped by the operator'))
      await expect(running).rejects.toThrow('stopped by the operator')
      await eventually(() => {
        expect(() => process.kill(pid, 0)).toThrow('ESRCH')
      })
    },
  )

  it('is one of eight at most at the same time', async () => {
    let running = 0
    let most = 0
    const runner = createSshRunner({
      place: 'n1',
      connection: {
        exec: async () => {
          most = Math.max(most, ++running)
          await new Promise((resolve) => setImmediate(resolve))
          running -= 1
          return { exitCode: 0, signal: undefined, stdout: 'landfall:begin\n', stderr: 'landfall:begin\n' }
        },
      },
    })
    const { signal } = new AbortController()
    await Promise.all(
      Array.from({ length: 40 }, () => runner.run('true', [], { signal, deadlineSeconds: 5 })),
    )
    expect(most).toBe(8)
  })

  it('cannot be started by an account without a shell: an error, not "missing"', async () => {
    const nologin = join(folder, 'nologin')
    writeFileSync(nologin, '#!/bin/sh\necho "This account is currently not available."\nexit 1\n')
    chmodSync(nologin, 0o755)
    await expect(runnerTo({ shell: [nologin] }).run('true')).rejects.toMatchObject({
      code: 'REMOTE_SHELL_UNUSABLE',
    })
  })

  it('that never ends on a node without timeout is killed by the client when the node still answers', async () => {
    const exec: SshConnection['exec'] = (command) =>
      command === ':'
        ? Promise.resolve({ exitCode: 0, signal: undefined, stdout: '', stderr: '' })
        : Promise.reject(new AppError({ code: 'SSH_TIMEOUT', title: 'late' }))
    const options = { signal: new AbortController().signal, deadlineSeconds: 1 }
    expect(await createSshRunner({ place: 'n1', connection: { exec } }).run('x', [], options)).toMatchObject({
      kind: 'killed',
      reason: 'deadline',
    })
    const dead: SshConnection['exec'] = () =>
      Promise.reject(new AppError({ code: 'SSH_TIMEOUT', title: 'late' }))
    await expect(
      createSshRunner({ place: 'n1', connection: { exec: dead } }).run('x', [], options),
    ).rejects.toMatchObject({ code: 'SSH_TIMEOUT' })
  })

  it.skipIf(!existsSync(busybox))(
    'runs on a node that has neither timeout nor sudo in its path',
    async () => {
      const path = join(folder, 'small')
      mkdirSync(path, { recursive: true })
      for (const name of ['sh', 'echo', 'head', 'cat', 'sleep']) symlinkSync(busybox, join(path, name))
      const { run } = runnerTo({ shell: [busybox, 'sh'], path })
      expect(await run('cat', [], { input: 'x' })).toEqual(ended('x'))
    },
  )
})

/** Sudo as far as it matters here; `$SUDO` below says how it is configured. Logs what it was asked. */
function fakeSudo(kind: 'free' | 'password' | 'forbidden', log: string): string {
  return `
printf '%s\\n' "$*" | head -c 30 | tr '\\n' ' ' >> ${log}; echo >> ${log}
fresh= reads= never=
while :; do case "$1" in
  -n) never=1; shift;; -k) fresh=1; shift;; -S) reads=1; shift;; -p) shift 2;; *) break;;
esac; done
if [ ${kind} != free ]; then
  if [ -n "$never" ]; then echo 'sudo: a password is required' >&2; exit 1; fi
  [ -n "$reads" ] && [ -n "$fresh" ] || { echo 'sudo: a terminal is required' >&2; exit 1; }
  IFS= read -r given
  [ "$given" = 'right "password' ] || { echo 'Sorry, try again.' >&2; echo 'sudo: 1 incorrect password attempt' >&2; exit 1; }
  [ ${kind} = password ] || { echo 'kairos is not in the sudoers file.' >&2; exit 1; }
fi
AS_ROOT=yes; export AS_ROOT
exec "$@"`
}

function nodeWithSudo(kind: 'free' | 'password' | 'forbidden', password?: string) {
  const log = join(folder, `sudo-${String(Math.random())}`)
  writeFileSync(log, '')
  const test = runnerTo({
    // The tests may run as root.
    programs: { sudo: fakeSudo(kind, log), id: 'echo 1000' },
    ...(password === undefined ? {} : { password }),
  })
  const asRoot = (program: string, args: readonly string[] = [], more: Partial<RunOptions> = {}) =>
    test.run(program, args, { asRoot: true, ...more })
  return { ...test, asRoot, asked: () => readFileSync(log, 'utf8').split('\n').slice(0, -1) }
}

const whoAmI = ['-c', 'echo "root: $AS_ROOT"; cat']

describe('a program as root', () => {
  it('needs no sudo when the account is root', async () => {
    const { run, commands } = runnerTo({ programs: { id: 'echo 0', sudo: 'exit 99' } })
    expect(await run('echo', ['x'], { asRoot: true })).toEqual(ended('x\n'))
    expect(commands.some((command) => command.includes('sudo'))).toBe(false)
  })

  it('is started by sudo without a question where sudo has none', async () => {
    const { asRoot, asked, run } = nodeWithSudo('free')
    expect(await asRoot('sh', whoAmI, { input: 'in' })).toEqual(ended('root: yes\nin'))
    expect(await run('sh', whoAmI)).toEqual(ended('root: \n'))
    expect(await asRoot('no-such-program')).toEqual({ kind: 'missing' })
    expect(asked().every((line) => line.startsWith('-n sh -c'))).toBe(true)
  })

  it('gets the password by standard input only, and never sees it', async () => {
    const { asRoot, commands, asked } = nodeWithSudo('password', 'right "password')
    expect(await asRoot('sh', whoAmI, { input: 'in\nput' })).toEqual(ended('root: yes\nin\nput'))
    expect(await asRoot('sh', whoAmI)).toEqual(ended('root: yes\n'))
    expect(commands.join('\n')).not.toContain('right')
    // Once for the question, once for the password, then for the programs.
    expect(asked().map((line) => line.split(' sh ')[0])).toEqual([
      '-n',
      '-k -S -p ',
      '-k -S -p ',
      '-k -S -p ',
    ])
  })

  it('with a password that sudo refuses is not permitted, and it is not tried again', async () => {
    const { asRoot, asked } = nodeWithSudo('password', 'wrong')
    const results = await Promise.all([
      asRoot('true'),
      asRoot('cat', [], { input: 'a\nb\nc\n' }),
      asRoot('true'),
    ])
    for (const result of results) {
      expect(result).toEqual({
        kind: 'not-permitted',
        reason: 'Sorry, try again. sudo: 1 incorrect password attempt',
      })
    }
    expect(asked()).toHaveLength(2)
  })

  it('without a password that sudo wants, without the right, or without sudo is not permitted', async () => {
    expect(await nodeWithSudo('password').asRoot('true')).toMatchObject({
      kind: 'not-permitted',
      reason: expect.stringContaining('asks for the password') as string,
    })
    expect(await nodeWithSudo('forbidden', 'right "password').asRoot('true')).toEqual({
      kind: 'not-permitted',
      reason: 'kairos is not in the sudoers file.',
    })
    const none = runnerTo({ programs: { id: 'echo 1000', sudo: 'echo "sudo: not found" >&2; exit 127' } })
    expect(await none.run('true', [], { asRoot: true })).toMatchObject({
      kind: 'not-permitted',
      reason: expect.stringContaining('there is no sudo') as string,
    })
  })

  it('is asked for again when finding out was interrupted', async () => {
    const { asRoot } = nodeWithSudo('free')
    const abort = new AbortController()
    abort.abort(new Error('stopped'))
    await expect(asRoot('true', [], { signal: abort.signal })).rejects.toThrow('stopped')
    expect(await asRoot('true')).toEqual(ended(''))
  })
})

/** Tries again until it neither throws nor the time is over. */
async function eventually<Result>(look: () => Result): Promise<Result> {
  const deadline = Date.now() + 8000
  for (;;) {
    try {
      return look()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
