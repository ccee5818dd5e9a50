import type { ChildProcess } from 'node:child_process'
import { endAtExit } from './end-at-exit.ts'
import type { ProgramResult } from './program-runner.ts'

export interface SuperviseOptions {
  readonly signal: AbortSignal
  /** Real time; then the process is killed. */
  readonly deadlineSeconds: number
  /** Standard output and error together; more than that ends the process. Default 8 MiB. */
  readonly maxOutputBytes?: number
  /** Kills the process with everything that it started. Synchronous; must not throw, also when nothing is left. */
  readonly kill: () => void
}

const defaultMaxOutputBytes = 8 * 1024 * 1024
/** Node's timers count in a signed 32-bit integer; a longer one would fire at once. */
const longestTimer = 2 ** 31 - 1
/**
 * Real time. How long a killed process may take to be gone: one that waits for a disk cannot be killed, and a process of
 * root's perhaps not by this account.
 */
const goneMilliseconds = 3000
/** Real time. How long the rest of the output may take after the end, when something else still holds the pipe. */
const restMilliseconds = 500

/**
 * Watches over a process that was just started: collects its output, and ends it at the deadline, when it writes too much,
 * when the signal is aborted (then this rejects with the signal's reason) and when Landfall exits. When it settles the
 * process is gone.
 */
export function supervise(child: ChildProcess, options: SuperviseOptions): Promise<ProgramResult> {
  const { signal, deadlineSeconds, maxOutputBytes = defaultMaxOutputBytes, kill } = options
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  let roomLeft = maxOutputBytes
  /** Why it was killed, which is certain before it is gone. */
  let ending: 'deadline' | 'output' | 'aborted' | undefined
  let exitCode: number | null = null
  /** Runs once it should be gone. */
  let gone: NodeJS.Timeout | undefined
  const { promise, resolve, reject } = Promise.withResolvers<ProgramResult>()

  const end = (why: 'deadline' | 'output' | 'aborted') => {
    if (ending !== undefined) return
    ending = why
    kill()
    gone ??= setTimeout(settle, goneMilliseconds)
  }
  const collect = (chunks: Buffer[]) => (chunk: Buffer) => {
    if (chunk.length > roomLeft) end('output')
    const part = chunk.subarray(0, roomLeft)
    roomLeft -= part.length
    if (part.length > 0) chunks.push(part)
  }
  const textOf = (chunks: Buffer[]) => Buffer.concat(chunks).toString('utf8')
  const handleAbort = () => {
    end('aborted')
  }

  const release = () => {
    clearTimeout(deadline)
    clearTimeout(gone)
    signal.removeEventListener('abort', handleAbort)
    hook.release()
    // Whoever still holds the other ends shall not keep Landfall running.
    child.stdin?.destroy()
    child.stdout?.destroy()
    child.stderr?.destroy()
    child.unref()
  }
  function settle() {
    release()
    const output = { stdout: textOf(stdout), stderr: textOf(stderr) }
    if (ending === 'aborted') reject(reasonOf(signal))
    else if (ending !== undefined) resolve({ kind: 'killed', reason: ending, ...output })
    else resolve({ kind: 'ended', exitCode, ...output })
  }

  const deadline = setTimeout(
    () => {
      end('deadline')
    },
    Math.min(Math.max(0, deadlineSeconds * 1000), longestTimer),
  )
  const hook = endAtExit(kill)
  // Without file descriptors left Node gives a child without streams.
  child.stdout?.on('data', collect(stdout))
  child.stderr?.on('data', collect(stderr))
  // It may end before it has read all of its input, or any.
  child.stdin?.on('error', () => undefined)
  child.on('error', (error) => {
    // With a process id it runs: then only a kill was refused, and the wait for its end has its own limit.
    if (child.pid !== undefined) return
    release()
    if (signal.aborted) reject(reasonOf(signal))
    else resolve(notStarted(error))
  })
  child.on('exit', (code) => {
    exitCode = code
    // What it started belongs to it.
    kill()
    clearTimeout(gone)
    gone = setTimeout(settle, restMilliseconds)
  })
  child.on('close', settle)
  signal.addEventListener('abort', handleAbort, { once: true })
  if (signal.aborted) handleAbort()
  return promise
}

/** What it means that the operating system refused to start a program. */
export function notStarted(error: Error): ProgramResult {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return { kind: 'missing' }
    case 'EACCES':
    case 'EPERM':
      return { kind: 'not-permitted', reason: `this account may not run it (${code})` }
    case 'EAGAIN':
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOMEM':
      return {
        kind: 'not-permitted',
        reason: `the operating system starts no further program (${code}): too many run already, or memory is short`,
      }
    default:
      return {
        kind: 'not-permitted',
        reason: `the operating system did not start it (${code ?? error.message})`,
      }
  }
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal.reason })
}
