import { Readable } from 'node:stream'
import type { Client, ClientChannel } from 'ssh2'
import { AppError } from '../../shared/errors/index.ts'
import { printableStart } from '../network/printable.ts'
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

/** Runs one command on an open connection. See `SshConnection.exec`. */
export async function execOn(
  client: Client,
  place: SshPlace,
  command: string,
  options: ExecOptions,
  isConnected: () => boolean,
): Promise<ExecResult> {
  const { signal, timeoutMilliseconds = 60_000, maxOutputBytes = defaultMaxOutputBytes } = options
  signal?.throwIfAborted()
  const what = printableStart(command, 120)
  return await new Promise<ExecResult>((resolve, reject) => {
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
        if (channel !== undefined) endCommand(client, channel)
        reject(error)
      })
    }
    const handleAbort = () => {
      giveUp(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
    }
    const handleClose = () => {
      giveUp(connectionLost(place, `The command was still running: ${what}`))
    }
    const timer = setTimeout(() => {
      giveUp(timedOut(place, `Command ${what}`, timeoutMilliseconds))
    }, timeoutMilliseconds)
    signal?.addEventListener('abort', handleAbort, { once: true })
    client.once('close', handleClose)
    if (!isConnected()) {
      giveUp(connectionLost(place, `Before the command: ${what}`))
      return
    }

    try {
      client.exec(command, { pty: options.pty === true }, handleChannel)
    } catch (error) {
      giveUp(connectionLost(place, `Before the command: ${what}`, error))
    }

    function handleChannel(error: Error | undefined, stream: ClientChannel) {
      if (error !== undefined) {
        giveUp(
          new AppError({
            code: 'SSH_EXEC_REFUSED',
            title: 'The server does not run the command.',
            detail: `${what}: ${error.message}`,
            remedies: ['Check that the account may run commands over SSH.'],
            node: place.node,
            cause: error,
          }),
        )
        return
      }
      channel = stream
      // A command that ends without reading its input closes the pipe: no error of ours.
      stream.on('error', () => undefined)
      if (isOver) {
        endCommand(client, stream)
        return
      }
      const stdout: Buffer[] = []
      const stderr: Buffer[] = []
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
          giveUp(connectionLost(place, `It is not known how the command ended: ${what}`))
          return
        }
        finish(() => {
          resolve({
            exitCode,
            signal: exitSignal,
            stdout: Buffer.concat(stdout).toString('utf8'),
            stderr: Buffer.concat(stderr).toString('utf8'),
          })
        })
      })
      writeInput(stream, options.stdin, giveUp)
    }
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
