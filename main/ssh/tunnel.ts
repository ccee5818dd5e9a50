import type { Duplex } from 'node:stream'
import type { Client } from 'ssh2'
import { AppError } from '../../shared/errors/index.ts'
import type { Endpoint } from '../network/dialler.ts'
import { endpointText } from '../network/network-error.ts'
import { printableStart } from '../network/printable.ts'
import { connectionLost, type SshPlace } from './ssh-errors.ts'

export interface TunnelOptions {
  signal?: AbortSignal | undefined
  /** Real time. Default 10 000. */
  timeoutMilliseconds?: number | undefined
}

/** Opens a TCP connection from the server's place. See `SshConnection.tunnel`. */
export async function openTunnel(
  client: Client,
  place: SshPlace,
  to: Endpoint,
  { signal, timeoutMilliseconds = 10_000 }: TunnelOptions,
  isConnected: () => boolean,
): Promise<Duplex> {
  signal?.throwIfAborted()
  if (!isConnected()) throw connectionLost(place, `Before the connection to ${endpointText(to)}.`)
  return await new Promise<Duplex>((resolve, reject) => {
    let isOver = false
    const finish = (settle: () => void) => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', handleAbort)
      client.off('close', handleClose)
      settle()
    }
    const fail = (error: Error) => {
      finish(() => {
        reject(error)
      })
    }
    const handleAbort = () => {
      fail(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
    }
    const handleClose = () => {
      fail(connectionLost(place, `During the connection to ${endpointText(to)}.`))
    }
    const timer = setTimeout(() => {
      fail(systemError('ETIMEDOUT', to))
    }, timeoutMilliseconds)
    signal?.addEventListener('abort', handleAbort, { once: true })
    client.once('close', handleClose)
    try {
      // The origin is for the server's log only.
      client.forwardOut('127.0.0.1', 0, to.host, to.port, (error, channel) => {
        if (error !== undefined) {
          fail(tunnelError(error, place, to))
          return
        }
        // An unheard event would end the process; who uses the channel sees its end.
        channel.on('error', () => undefined)
        if (isOver) channel.destroy()
        finish(() => {
          resolve(channel)
        })
      })
    } catch (error) {
      fail(connectionLost(place, `Before the connection to ${endpointText(to)}.`, error))
    }
  })
}

/** In the words of the server's C library (RFC 4254 §5.1 leaves them free). */
const systemWords: readonly (readonly [RegExp, string])[] = [
  [/refused/iu, 'ECONNREFUSED'],
  [/no route/iu, 'EHOSTUNREACH'],
  [/network is unreachable/iu, 'ENETUNREACH'],
  [/timed? ?out/iu, 'ETIMEDOUT'],
  [/name or service|not known|resol/iu, 'ENOTFOUND'],
  [/reset/iu, 'ECONNRESET'],
]

/** SSH_OPEN_ADMINISTRATIVELY_PROHIBITED and SSH_OPEN_UNKNOWN_CHANNEL_TYPE (RFC 4254 §5.1). */
const forbidden: readonly unknown[] = [1, 3]

function tunnelError(error: Error & { reason?: unknown }, place: SshPlace, to: Endpoint): Error {
  if (forbidden.includes(error.reason)) {
    return new AppError({
      code: 'SSH_FORWARD_REFUSED',
      title: `${endpointText(place.endpoint)} does not pass connections on to ${endpointText(to)}.`,
      detail: printableStart(error.message, 200),
      remedies: [
        'Allow it in the sshd_config of that machine: AllowTcpForwarding yes (or local), and PermitOpen for this address.',
        'Look at the authorized_keys of the account: "no-port-forwarding", "restrict" and "permitopen" forbid it as well.',
      ],
      node: place.node,
      cause: error,
    })
  }
  const code = systemWords.find(([words]) => words.test(error.message))?.[1] ?? 'ECONNREFUSED'
  return systemError(code, to, error)
}

/** As Node reports it, so that whoever dials need not know that there is a machine in between. */
function systemError(code: string, to: Endpoint, cause?: Error): Error {
  return Object.assign(new Error(`connect ${code} ${to.host}:${String(to.port)}`, { cause }), { code })
}
