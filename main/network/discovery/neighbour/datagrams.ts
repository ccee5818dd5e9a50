import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'
import process from 'node:process'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { orAborted } from '../../../engine/cancellation.ts'

/** `sent`: handed over to the operating system, which may still drop it · otherwise its error code. */
export type DatagramResult = { readonly kind: 'sent' } | { readonly kind: 'failed'; readonly code: string }

/** For every address that was given. */
export type SendOutcome = ReadonlyMap<string, DatagramResult>

/** Sends one small datagram to each address, so that the operating system has to ask who has it. */
export interface DatagramSender {
  /**
   * An address that cannot be sent to is an outcome. Rejects with the signal's reason when aborted, or with an
   * `AppError` when the place that sends cannot be reached.
   */
  send(addresses: readonly string[], signal: AbortSignal): Promise<SendOutcome>
}

/** The discard service (RFC 863): nobody answers, nothing happens. */
const discardPort = 9

/**
 * How many one socket sends. While the system looks for a neighbour it keeps the datagram, at the expense of the socket:
 * on Linux about 277 use up its default buffer (768 bytes each of 212 992), and then it takes nothing more until the
 * first ones are given up, three seconds later.
 */
const perSocket = 64

const sent: DatagramResult = { kind: 'sent' }

/**
 * Sends from this process. Needs no privilege.
 *
 * @param options.localAddress address of the interface to send from: with the route to the network of the interface it
 * decides which way the question goes
 * @param options.port destination; for tests
 */
export function createDatagramSender(options: {
  readonly localAddress: string
  readonly port?: number
}): DatagramSender {
  return { send: (addresses, signal) => sendAll(addresses, { port: discardPort, ...options }, signal) }
}

async function sendAll(
  addresses: readonly string[],
  { localAddress, port }: { localAddress: string; port: number },
  signal: AbortSignal,
): Promise<SendOutcome> {
  signal.throwIfAborted()
  const outcome = new Map<string, DatagramResult>()
  const unique = [...new Set(addresses)]
  for (let start = 0; start < unique.length; start += perSocket) {
    const part = unique.slice(start, start + perSocket)
    const socket = createUdpSocket()
    try {
      const broken = await bound(socket, localAddress, signal)
      const results = part.map(async (address) => {
        outcome.set(address, broken ?? (await sendOne(socket, port, address)))
      })
      await orAborted(signal, Promise.all(results))
    } finally {
      socket.close()
    }
    // Node reports what the system took at once before anything else may run: give way, also to a stop.
    await nextTurn()
    signal.throwIfAborted()
  }
  return outcome
}

function createUdpSocket(): Socket {
  return createSocket({
    type: 'udp4',
    // Addresses are numbers already: no resolver may come in between. Node expects the answer later, not at once.
    lookup: (host, _options, done) => {
      const notNumeric = isIPv4(host)
        ? null
        : Object.assign(new Error(`not an address: ${host}`), { code: 'EINVAL' })
      process.nextTick(done, notNumeric, host, 4)
    },
  })
}

/** Why the socket cannot send from this address; `undefined`: it can. */
async function bound(
  socket: Socket,
  localAddress: string,
  signal: AbortSignal,
): Promise<DatagramResult | undefined> {
  socket.bind({ address: localAddress, port: 0 })
  try {
    await orAborted(signal, once(socket, 'listening'))
  } catch (error) {
    signal.throwIfAborted()
    return { kind: 'failed', code: codeOf(error) }
  }
  // An ICMP message about one address is no reason to end: each datagram reports for itself.
  socket.on('error', () => undefined)
  return undefined
}

function sendOne(socket: Socket, port: number, address: string): Promise<DatagramResult> {
  return new Promise((resolve) => {
    socket.send(oneByte, port, address, (error) => {
      resolve(error === null ? sent : { kind: 'failed', code: codeOf(error) })
    })
  })
}

const oneByte = new Uint8Array(1)

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN'
}
