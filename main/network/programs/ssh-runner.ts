import { AppError } from '../../../shared/errors/index.ts'
import { Semaphore } from '../../engine/semaphore.ts'
import { printedBefore, type SshConnection } from '../../ssh/index.ts'
import { printableStart } from '../printable.ts'
import type { ProgramResult, ProgramRunner, RunOptions } from './program-runner.ts'
import {
  anyShellLine,
  beginMarker,
  launcherScript,
  missingMarker,
  quoteWord,
  supervisorScript,
} from './remote-launcher.ts'

export interface SshRunnerOptions {
  /** Name of the node as in the plan, or `user@host`. */
  readonly place: string
  readonly connection: Pick<SshConnection, 'exec'>
  /** The password that the account was accepted with, for a sudo that asks. Not called otherwise. */
  readonly password?: () => Promise<string>
}

/** OpenSSH allows ten sessions on a connection; others may want some as well. Fewer are allowed: the connection waits. */
const sessionsAtOnce = 8
const defaultMaxOutputBytes = 8 * 1024 * 1024
/** The node ends the program itself, and then its output arrives; this is for one that does not. Real time. */
const graceSeconds = 4

/** How this account becomes root. Found out once per runner: a refused password is not tried again. */
type RootAccess =
  | { readonly kind: 'account' }
  | { readonly kind: 'sudo' }
  | { readonly kind: 'sudo-with-password'; readonly password: string }
  | { readonly kind: 'refused'; readonly reason: string }

/**
 * Runs programs on a Linux machine over SSH, whatever the account's shell is (bash, BusyBox, csh, fish, …).
 *
 * A program that is given up (abort, deadline, cut connection) is ended on the node as well, see `supervisorScript`; only one
 * of root's that was given `input` may live on until its deadline. A program that was ended by a signal has `exitCode`
 * `null`, as has one that exits with 129–159 by itself, and 124 is taken for the end of its time: the shell does not tell
 * them apart.
 *
 * Rejects with the errors of `SshConnection.exec`, and with `REMOTE_SHELL_UNUSABLE` when the account's shell starts nothing.
 */
export function createSshRunner({ place, connection, password }: SshRunnerOptions): ProgramRunner {
  const sessions = new Semaphore(sessionsAtOnce)
  let rootAccess: RootAccess | undefined
  let findingOut: Promise<unknown> = Promise.resolve()

  /** One at a time: two refused passwords at once may lock an account. */
  const accessAsRoot = async (signal: AbortSignal): Promise<RootAccess> => {
    const before = findingOut
    const { promise, resolve } = Promise.withResolvers<undefined>()
    findingOut = promise
    try {
      await before
      return (rootAccess ??= await findRootAccess(signal))
    } finally {
      resolve(undefined)
    }
  }

  const findRootAccess = async (signal: AbortSignal): Promise<RootAccess> => {
    const probe = { signal, deadlineSeconds: 20 }
    const id = await start('id', ['-u'], probe, { kind: 'account' })
    if (id.kind === 'ended' && id.stdout.trim() === '0') return { kind: 'account' }
    const free = await start('true', [], probe, { kind: 'sudo' })
    if (free.kind !== 'not-permitted') return { kind: 'sudo' }
    if (!asksForPassword.test(free.reason)) return { kind: 'refused', reason: free.reason }
    if (password === undefined) {
      return {
        kind: 'refused',
        reason: `sudo asks for the password of the account, which is not known (${free.reason})`,
      }
    }
    const asked: RootAccess = { kind: 'sudo-with-password', password: await password() }
    // Standard input ends with the password: another question gets no answer, and sudo gives up.
    const answered = await start('true', [], probe, asked, Promise.resolve(undefined))
    return answered.kind === 'not-permitted' ? { kind: 'refused', reason: answered.reason } : asked
  }

  const start = async (
    program: string,
    args: readonly string[],
    options: RunOptions,
    access: Exclude<RootAccess, { kind: 'refused' }>,
    inputMayEnd?: Promise<undefined>,
  ): Promise<ProgramResult> => {
    const { signal, deadlineSeconds, input = '', maxOutputBytes = defaultMaxOutputBytes } = options
    const lifeline = Promise.withResolvers<undefined>()
    const startedAt = performance.now()
    try {
      const result = await connection.exec(commandLine(program, args, options, access), {
        signal,
        timeoutMilliseconds: (deadlineSeconds + graceSeconds) * 1000,
        maxOutputBytes,
        description: program,
        stdin: standardInput(access, input, inputMayEnd ?? lifeline.promise),
      })
      const stdout = afterMarker(result.stdout)
      const stderr = afterMarker(result.stderr)
      if (stdout === undefined || stderr === undefined) {
        const said = printableStart(result.stderr.replaceAll(beginMarker, ''), 300)
        // nologin(8) speaks on standard output.
        const greeting = printableStart(result.stdout.replaceAll(beginMarker, ''), 300)
        if (access.kind === 'account') throw shellUnusable(place, [said, greeting].join(' ').trim())
        return { kind: 'not-permitted', reason: sudoRefusal(said, result.exitCode) }
      }
      if (result.exitCode === 127 && stdout === '' && stderr === missingMarker) return { kind: 'missing' }
      const isLate = performance.now() - startedAt >= deadlineSeconds * 1000
      if (result.exitCode === endedByTimeout || (isLate && result.exitCode === killedByTimeout)) {
        return { kind: 'killed', reason: 'deadline', stdout, stderr }
      }
      return { kind: 'ended', exitCode: ownExitCode(result.exitCode), stdout, stderr }
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      const before = printedBefore(error)
      const until = {
        stdout: afterMarker(before?.stdout ?? '') ?? '',
        stderr: afterMarker(before?.stderr ?? '') ?? '',
      }
      if (error.code === 'SSH_OUTPUT_TOO_LARGE') return { kind: 'killed', reason: 'output', ...until }
      if (error.code === 'SSH_TIMEOUT' && (await answers(connection, signal))) {
        return { kind: 'killed', reason: 'deadline', ...until }
      }
      throw error
    } finally {
      lifeline.resolve(undefined)
    }
  }

  return {
    place,
    platform: 'linux',
    run: async (program, args, options) => {
      const { signal } = options
      const access: RootAccess = options.asRoot === true ? await accessAsRoot(signal) : { kind: 'account' }
      if (access.kind === 'refused') return { kind: 'not-permitted', reason: access.reason }
      return await sessions.run(signal, () => start(program, args, options, access))
    },
  }
}

/** What sudo (and sudo-rs) say to `-n` when there is a question. */
const asksForPassword = /password is required|interactive authentication is required/iu

function commandLine(
  program: string,
  args: readonly string[],
  { deadlineSeconds, input = '' }: RunOptions,
  access: RootAccess,
): string {
  const words = [
    ...{
      account: [],
      refused: [],
      sudo: ['sudo', '-n'],
      // -k: what sudo remembers of an earlier password must not turn this one into input of the program.
      'sudo-with-password': ['sudo', '-k', '-S', '-p', ''],
    }[access.kind],
    ...['sh', '-c', launcherScript, 'landfall'],
    ...[String(Math.ceil(deadlineSeconds)), String(Buffer.byteLength(input)), supervisorScript],
    ...[program, ...args],
  ]
  // No program can be given one; a shell would drop it without a word.
  if (words.some((word) => word.includes('\0'))) throw new TypeError(`A NUL in the arguments of ${program}.`)
  return anyShellLine(words.map(quoteWord).join(' '))
}

/** The password for sudo, then the program's own input; without one, open until the program has ended. */
async function* standardInput(
  access: RootAccess,
  input: string,
  mayEnd: Promise<undefined>,
): AsyncGenerator<Uint8Array> {
  if (access.kind === 'sudo-with-password') yield Buffer.from(`${access.password}\n`)
  if (input === '') await mayEnd
  else yield Buffer.from(input)
}

function afterMarker(text: string): string | undefined {
  const start = text.indexOf(beginMarker)
  return start === -1 ? undefined : text.slice(start + beginMarker.length)
}

/** Exit codes of `timeout` (timeout(1)): the time was over; the program did not mind, and was killed, as others may be. */
const endedByTimeout = 124
const killedByTimeout = 137

function ownExitCode(code: number | undefined): number | null {
  return code === undefined || (code > 128 && code < 160) ? null : code
}

function sudoRefusal(said: string, exitCode: number | undefined): string {
  if (exitCode === 127) return `there is no sudo${said === '' ? '' : ` (${said})`}`
  return said === '' ? `sudo ended with exit code ${exitCode ?? 'none'}` : said
}

async function answers(connection: Pick<SshConnection, 'exec'>, signal: AbortSignal): Promise<boolean> {
  try {
    await connection.exec(':', { signal, timeoutMilliseconds: 5000 })
    return true
  } catch (error) {
    if (error instanceof AppError) return false
    throw error
  }
}

function shellUnusable(place: string, said: string): AppError {
  return new AppError({
    code: 'REMOTE_SHELL_UNUSABLE',
    title: `The account on ${place} does not run programs over SSH.`,
    detail: said === '' ? 'Its shell ended without having started anything.' : `Its shell says: ${said}`,
    remedies: [
      'Use an account that may run commands: its shell is not nologin or false, and neither sshd_config nor authorized_keys forces a command on it (ForceCommand, command=).',
    ],
    node: place.includes('@') ? undefined : place,
  })
}
