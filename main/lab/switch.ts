import { connect, createServer, type Server, type Socket } from 'node:net'
import { z } from 'zod'
import { AppError } from '../../shared/errors/index.ts'
import { createScaledClock, type Clock } from '../engine/clock.ts'
import type { Dialler, DialOptions, Endpoint } from '../network/dialler.ts'

/**
 * What becomes of a connection attempt. `reset`: something accepts and hangs up, like a service that is starting ·
 * `silent`: the packets are dropped, and the client waits until its own time-out.
 */
export type Verdict =
  | { kind: 'open'; accept: (socket: Socket) => void }
  | { kind: 'refused' }
  | { kind: 'reset' }
  | { kind: 'unreachable' }
  | { kind: 'silent' }

export type LabService = 'ssh' | 'local-ui' | 'console'

export interface EndpointRow {
  /** As in the plan; `auto` for a VIP that is not decided yet. */
  host: string
  port: number
  service: LabService
  node: string | null
}

const descriptionSchema = z.strictObject({
  kind: z.literal('landfall-practice-lab'),
  clock: z.strictObject({ wallStart: z.number(), simulatedStart: z.number(), scale: z.number().positive() }),
  /** Port on 127.0.0.1 of the lab's switch, which knows who answers where at this moment. */
  switchPort: z.int().min(1).max(65535),
  endpoints: z.array(
    z.strictObject({
      host: z.string(),
      port: z.int(),
      service: z.enum(['ssh', 'local-ui', 'console']),
      node: z.string().nullable(),
      /** The same service without the switch, for a browser or an `ssh` command on this workstation. */
      loopbackPort: z.int().min(1).max(65535),
    }),
  ),
})
/** All that another process needs to take part in a running lab. Plain JSON, no secret. */
export type LabDescription = z.infer<typeof descriptionSchema>

/** The switch's answers, one line before the connection is the service's. */
const replies = { open: 'OK', refused: 'ECONNREFUSED', reset: 'RESET', unreachable: 'EHOSTUNREACH' } as const
const longestLine = 300

/** Leads connections to the lab's services, or fails them the way a network would. */
export class Switch {
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  readonly #decide: (host: string, port: number) => Verdict

  constructor(decide: (host: string, port: number) => Verdict) {
    this.#decide = decide
  }

  /** Listens on loopback; returns the port. */
  listen(): Promise<number> {
    return this.#listen((socket) => {
      let line = ''
      const handleData = (chunk: Buffer) => {
        line += chunk.toString('latin1')
        if (line.length > longestLine) socket.destroy()
        if (!line.endsWith('\n')) return
        socket.off('data', handleData)
        socket.pause()
        const separator = line.lastIndexOf(':')
        const verdict = this.#decide(line.slice(0, separator), Number(line.slice(separator + 1)))
        // Read on, so that the end of the client is noticed.
        if (verdict.kind === 'silent') {
          socket.resume()
          return
        }
        socket.write(`${replies[verdict.kind]}\n`, () => {
          if (verdict.kind === 'open') verdict.accept(socket)
          else if (verdict.kind === 'reset') socket.resetAndDestroy()
          else socket.destroy()
        })
      }
      socket.on('data', handleData)
    })
  }

  /** One service of the plan on a loopback port of its own, without the switch's line. */
  listenFor(host: string, port: number): Promise<number> {
    return this.#listen((socket) => {
      const verdict = this.#decide(host, port)
      if (verdict.kind === 'open') verdict.accept(socket)
      // Silence is how a host that is not there looks from here.
      else if (verdict.kind !== 'unreachable' && verdict.kind !== 'silent') socket.resetAndDestroy()
    })
  }

  stop(): void {
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #listen(handle: (socket: Socket) => void): Promise<number> {
    const server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      // The other side may vanish at any time; whoever reads the socket sees its end.
      socket.on('error', () => undefined)
      handle(socket)
    })
    this.#servers.push(server)
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', () => {
        const address = server.address()
        if (address === null || typeof address === 'string') reject(new Error('the lab has no port'))
        else resolve(address.port)
      })
    })
  }
}

/** Dials the plan's own addresses and ends up in the lab. */
export function createLabDialler(switchPort: number): Dialler {
  return { dial: (endpoint, options = {}) => dialThroughSwitch(switchPort, endpoint, options) }
}

function dialThroughSwitch(switchPort: number, endpoint: Endpoint, options: DialOptions): Promise<Socket> {
  const { signal, timeoutMilliseconds = 10_000 } = options
  const place = `${endpoint.host}:${String(endpoint.port)}`
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const socket = connect({ host: '127.0.0.1', port: switchPort, noDelay: true })
    const fail = (error: Error) => {
      release()
      socket.destroy()
      reject(error)
    }
    const timer = setTimeout(() => {
      fail(networkError('ETIMEDOUT', place))
    }, timeoutMilliseconds)
    const handleAbort = () => {
      fail(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
    }
    const handleClose = () => {
      fail(networkError('ECONNRESET', place))
    }
    // A lab that has gone looks like a network that has gone.
    const handleError = () => {
      fail(networkError('EHOSTUNREACH', place))
    }
    const release = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', handleAbort)
      socket.off('error', handleError)
      socket.off('close', handleClose)
      socket.off('readable', handleReadable)
    }
    let reply = ''
    const handleReadable = () => {
      for (;;) {
        // Byte by byte up to the line's end: what follows belongs to the service.
        const byte = socket.read(1) as Buffer | null
        if (byte === null) return
        if (byte[0] !== 0x0a) {
          reply += byte.toString('latin1')
          continue
        }
        if (reply === replies.open || reply === replies.reset) {
          release()
          resolve(socket)
        } else fail(networkError(reply, place))
        return
      }
    }
    signal?.addEventListener('abort', handleAbort, { once: true })
    socket.on('error', handleError)
    socket.on('close', handleClose)
    socket.on('readable', handleReadable)
    socket.once('connect', () => socket.write(`${place}\n`))
  })
}

function networkError(code: string, place: string): Error {
  return Object.assign(new Error(`connect ${code} ${place}`), { code, syscall: 'connect' })
}

/**
 * Takes part in a lab that another process runs.
 *
 * @throws AppError `LAB_DESCRIPTION_INVALID` when the description is not one.
 */
export function attachToLab(description: unknown): { clock: Clock; dialler: Dialler } {
  const parsed = descriptionSchema.safeParse(description)
  if (!parsed.success) {
    throw new AppError({
      code: 'LAB_DESCRIPTION_INVALID',
      title: 'This does not describe a running practice lab.',
      detail: parsed.error.issues
        .map((issue) => `${issue.path.map(String).join('.')}: ${issue.message}`)
        .join('\n'),
      remedies: ['Start the lab again and use the description that it writes.'],
    })
  }
  return {
    clock: createScaledClock(parsed.data.clock),
    dialler: createLabDialler(parsed.data.switchPort),
  }
}
