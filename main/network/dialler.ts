import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export interface Endpoint {
  /** Address or name as it stands in the plan and in every message. */
  host: string
  port: number
}

/**
 * Opens TCP connections. The practice lab brings its own, which leads the plan's real addresses to loopback ports;
 * everything above it (TLS, HTTP, SSH) is the same code.
 */
export interface Dialler {
  /**
   * Resolves with a connection: a socket, or a channel through a machine in between. Rejects with Node's system error (`ECONNREFUSED`, …), with `ETIMEDOUT` after
   * `timeoutMilliseconds` of real time, or with the signal's reason.
   */
  dial(endpoint: Endpoint, options?: DialOptions): Promise<Duplex>
}

export interface DialOptions {
  signal?: AbortSignal | undefined
  /** Real time. Default 10 000. */
  timeoutMilliseconds?: number
}

export const systemDialler: Dialler = { dial: dialTcp }

/** Connects to exactly the given endpoint. */
export function dialTcp(endpoint: Endpoint, options: DialOptions = {}): Promise<Socket> {
  const { signal, timeoutMilliseconds = 10_000 } = options
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const socket = connect({ host: endpoint.host, port: endpoint.port, noDelay: true })
    const timer = setTimeout(() => {
      fail(
        Object.assign(new Error(`connect ETIMEDOUT ${endpoint.host}:${String(endpoint.port)}`), {
          code: 'ETIMEDOUT',
        }),
      )
    }, timeoutMilliseconds)
    const handleAbort = () => {
      fail(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
    }
    const release = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', handleAbort)
    }
    const fail = (error: Error) => {
      release()
      socket.destroy()
      reject(error)
    }
    signal?.addEventListener('abort', handleAbort, { once: true })
    socket.once('error', fail)
    socket.once('connect', () => {
      release()
      socket.off('error', fail)
      resolve(socket)
    })
  })
}
