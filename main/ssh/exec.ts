import { Readable } from 'node:stream'
import type { Client, ClientChannel } from 'ssh2'
import { AppError } from '../../shared/errors/index.ts'
import { printableStart } from '../network/printable.ts'
import { isSessionRefusal, type SessionSlot, type SessionSlots } from './session-slots.ts'
import { connectionLost, timedOut, type SshPlace } from './ssh-errors.ts'

export interface ExecOptions {
  /** Written to the command's standard input, which then ends. Without it, standard input is empty. */
  stdin?: string | Uint8Array | AsyncIterable<Uint8Array>
  /** Real time. Default 60 000. */
  timeoutMilliseconds?: number
  /** Standard output and error together. Default 4 MiB. */
  maxOutputBytes?: number
  signal?: AbortSignal | undefined
  /** With a pseudo-terminal (sudo may insist on one); standard error then arrives in `stdout`. */
  pty?: boolean
  /** What messages call the command; default is its beginning. */
  description?: string
}

export interface ExecResult {
  /** `undefined` when a signal ended the command. */
  exitCode: number | undefined
  /** Name of the signal that ended the command, without SIG, e.g. `KILL`. */
  signal: string | undefined
  /** UTF-8. */
  stdout: string
  stderr: string
}

const defaultMaxOutputBytes = 4 * 1024 * 1024

/** What a command had printed when it was given up; see `printedBefore`. */
type PartialOutput = Pick<ExecResult, 'stdout' | 'stderr'>

const printed = new WeakMap<object, PartialOutput>()

/** What a command had printed before this error of `exec` ended it; `undefined` when it had not been started. */
export function printedBefore(error: unknown): PartialOutput | undefined {
  return typeof error === 'object' && error !== null ? printed.get(error) : undefined
}

const neverStarted = new WeakSet<Error>()

/** True for an error of `exec` after which it is certain that the server has not even been asked to run the command. */
export function wasNeverStarted(error: unknown): boolean {
  return error instanceof Error && neverStarted.has(error)
}

interface Server {
  readonly client: Client
  readonly place: SshPlace
  readonly isConnected: () => boolean
  readonly slots: SessionSlots
}

/** Runs one command on an open connection. See `SshConnection.exec`. */
export async function execOn(server: Server, command: string, options: ExecOptions): Promise<ExecResult> {
  const { signal } = options
  signal?.throwIfAborted()
  const what = printableStart(options.description ?? command, 120)
  for (;;) {
    const slot = await server.slots.take(signal, (milliseconds) =>
      timedOut(server.place, `A free session for the command ${what}`, milliseconds),
    )
    const result = await runIn(slot, server, command, options, what)
    if (result !== 'no-room') return result
  }
}

async function runIn(
  slot: SessionSlot,
  { client, place, isConnected }: Server,
  command: string,
  options: ExecOptions,
  what: string,
): Promise<ExecResult | 'no-room'> {
  const { signal, timeoutMilliseconds = 60_000, maxOutputBytes = defaultMaxOutputBytes } = options
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  const output = (): PartialOutput => ({
    stdout: Buffer.concat(stdout).toString('utf8'),
    stderr: Buffer.concat(stderr).toString('utf8'),
  })
  return await new Promise<ExecResult | 'no-room'>((resolve, reject) => {
    let channel: ClientChannel | undefined
    let isOver = false
    const finish = (settle: () => void) => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', handleAbort)
      client.off('close', handleClose)
      settle()
    }
    /** Ends the command on the other side as far as SSH can: a signal, then the channel. */
    const giveUp = (error: Error) => {
      finish(() => {
        if (channel !== undefined) {
          printed.set(error, output())
          endCommand(client, channel)
        }
        reject(error)
      })
    }
    const giveUpBefore = (cause?: unknown) => {
      const error = connectionLost(place, `Before the command: ${what}`, cause)
      neverStarted.add(error)
      giveUp(error)
      slot.release()
    }
    const handleAbort = () => {
      giveUp(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
    }
    const handleClose = () => {
      giveUp(connectionLost(place, `The command was still running: ${what}${lastWords(output())}`))
      slot.release()
    }
    const timer = setTimeout(() => {
      giveUp(timedOut(place, `Command ${what}`, timeoutMilliseconds))
    }, timeoutMilliseconds)
    signal?.addEventListener('abort', handleAbort, { once: true })
    client.once('close', handleClose)
    if (!isConnected()) {
      giveUpBefore()
      return
    }

    try {
      client.exec(command, { pty: options.pty === true }, handleChannel)
    } catch (error) {
      giveUpBefore(error)
    }

    function handleChannel(error: Error | undefined, stream: ClientChannel) {
      if (error !== undefined) {
        handleRefusal(error)
        return
      }
      slot.opened()
      channel = stream
      // A command that ends without reading its input closes the pipe: no error of ours.
      stream.on('error', () => undefined)
      stream.once('close', () => {
        slot.release()
      })
      if (isOver) {
        endCommand(client, stream)
        return
      }
      let size = 0
      let exitCode: number | undefined
      let exitSignal: string | undefined
      const collect = (into: Buffer[]) => (chunk: Buffer) => {
        size += chunk.length
        if (size > maxOutputBytes) giveUp(tooMuchOutput(place, what, maxOutputBytes))
        else into.push(chunk)
      }
      stream.on('data', collect(stdout))
      stream.stderr.on('data', collect(stderr))
      stream.on('exit', (code: number | null, signalName?: string) => {
        exitCode = code ?? undefined
        exitSignal = signalName?.replace(/^SIG/u, '')
      })
      stream.once('close', () => {
        if (exitCode === undefined && exitSignal === undefined) {
          giveUp(
            connectionLost(place, `It is not known how the command ended: ${what}${lastWords(output())}`),
          )
          return
        }
        finish(() => {
          resolve({ exitCode, signal: exitSignal, ...output() })
        })
      })
      writeInput(stream, options.stdin, giveUp)
    }

    function handleRefusal(error: Error) {
      const refuse = () => {
        slot.release()
        giveUp(execRefused(place, what, error))
      }
      if (isOver || !isSessionRefusal(error)) {
        refuse()
        return
      }
      void slot.refused().then((mayTryAgain) => {
        if (mayTryAgain) {
          finish(() => {
            resolve('no-room')
          })
        } else refuse()
      })
    }
  })
}

/** The end of what a command printed, as the rest of a sentence. */
function lastWords({ stdout, stderr }: PartialOutput): string {
  const said = printableStart(`${stdout.slice(-200)}\n${stderr.slice(-200)}`.trim(), 300)
  return said === '' ? '. It had not printed anything.' : `. It had printed: ${said}`
}

function execRefused(place: SshPlace, what: string, cause: Error): AppError {
  return new AppError({
    code: 'SSH_EXEC_REFUSED',
    title: 'The server does not run the command.',
    detail: `${what}: ${cause.message}`,
    remedies: ['Check that the account may run commands over SSH.'],
    node: place.node,
    cause,
  })
}

function writeInput(stream: ClientChannel, stdin: ExecOptions['stdin'], fail: (error: Error) => void): void {
  if (stdin === undefined) stream.end()
  else if (typeof stdin === 'string' || stdin instanceof Uint8Array) stream.end(stdin)
  else Readable.from(stdin, { objectMode: false }).on('error', fail).pipe(stream)
}

/** What of ssh2's inside is needed for a signal; absent in a version that is built differently. */
interface ChannelInside {
  outgoing?: { id?: number; state?: string }
}
interface ClientInside {
  _protocol?: { signal?: (channel: number, name: string) => void }
}

/**
 * Kills the command and gives up its channel. ssh2's own `signal` is silent once standard input has ended, although
 * RFC 4254 §6.9 allows a signal then, and a command that prints nothing would live on without one.
 */
function endCommand(client: Client, stream: ClientChannel): void {
  stream.removeAllListeners('data')
  stream.stderr.removeAllListeners('data')
  stream.resume()
  stream.stderr.resume()
  try {
    const { outgoing } = stream as ChannelInside
    const { _protocol: protocol } = client as ClientInside
    if (outgoing?.id !== undefined && (outgoing.state === 'open' || outgoing.state === 'eof')) {
      protocol?.signal?.(outgoing.id, 'KILL')
    }
    stream.close()
  } catch {
    // The connection is gone already, and the command's pipes with it.
  }
}

function tooMuchOutput(place: SshPlace, what: string, maxOutputBytes: number): AppError {
  return new AppError({
    code: 'SSH_OUTPUT_TOO_LARGE',
    title: 'A command on the node printed more than expected.',
    detail: `${what}: more than ${String(maxOutputBytes)} bytes. It was stopped.`,
    remedies: ['Report it together with the log file.'],
    node: place.node,
  })
}
