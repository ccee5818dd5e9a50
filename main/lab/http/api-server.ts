import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { setTimeout as sleepRealTime } from 'node:timers/promises'
import type { Socket } from 'node:net'
import type { ServerIdentity } from '../certificate.ts'
import type { FaultBoard } from '../fault-board.ts'
import type { Recorder } from '../report.ts'
import type { Scheduler } from '../scheduler.ts'

/** One HTTP request and its answer, for tests. Multipart bodies appear as field names and sizes only. */
export interface Exchange {
  service: 'local-api' | 'console'
  /** Name of the node as in the plan; the console has none. */
  node?: string
  method: string
  /** Without the query. */
  path: string
  query: Record<string, string>
  requestHeaders: Record<string, string>
  requestBody: unknown
  /** 0 when the connection was cut instead of an answer. */
  status: number
  responseBody: unknown
  /** Of the answer; empty when it had no body. */
  contentType: string
}

export interface ApiRequest {
  method: string
  path: string
  params: Record<string, string>
  query: URLSearchParams
  headers: IncomingHttpHeaders
  /** Parsed JSON; `undefined` when the request had none. */
  body: unknown
  /** The unread body of a route with `isStream`. */
  stream: IncomingMessage
  /** Of the session; empty on public routes. */
  user: string
  sessionId: string
  /** What stands in the exchange as request body, when it is not `body`. */
  recordedBody?: unknown
}

export interface Answer {
  status: number
  /** Sent as JSON. */
  body?: unknown
  /** Sent as it is. */
  raw?: { type: string; content: string | Buffer }
  headers?: Record<string, string>
  /** Cut the connection instead of answering. */
  isCut?: boolean
  /** After the answer has left. */
  afterwards?: () => void
}

export interface Route {
  method: string
  /** Segments in braces are parameters. */
  path: string
  isPublic?: boolean
  isStream?: boolean
  handle: (request: ApiRequest) => Answer | Promise<Answer>
}

export interface ApiServerOptions {
  service: 'local-api' | 'console'
  /** Name as in the plan. */
  node: string | null
  identity: ServerIdentity
  routes: readonly Route[]
  /** Session of the request, or the refusal. */
  authorize: (headers: IncomingHttpHeaders) => { user: string; sessionId: string } | Answer
  /** An answer here is given instead of everything else. */
  precede: (request: { method: string; path: string }) => Answer | null
  notFound: (request: { method: string; path: string }) => Answer
  scheduler: Scheduler
  faults: FaultBoard
  recorder: Recorder
  onExchange: (exchange: Exchange) => void
}

const largestJson = 8 * 1024 * 1024

/** An HTTPS server that never listens: the lab hands it the sockets that reached its address. */
export class ApiServer {
  readonly #options: ApiServerOptions
  readonly #server: Server
  readonly #stopping = new AbortController()

  constructor(options: ApiServerOptions) {
    this.#options = options
    this.#server = createServer({ cert: options.identity.certificate, key: options.identity.key })
    this.#server.requestTimeout = 0 // uploads take as long as they take
    this.#server.on('request', (request, response) => {
      void this.#serve(request, response)
    })
  }

  accept(socket: Socket): void {
    this.#server.emit('connection', socket)
  }

  setIdentity(identity: ServerIdentity): void {
    this.#server.setSecureContext({ cert: identity.certificate, key: identity.key })
  }

  stop(): void {
    this.#stopping.abort()
    this.#server.closeAllConnections()
    this.#server.close()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { service, node, scheduler, faults, recorder } = this.#options
    // Kept: a request whose body was given up no longer knows its socket.
    const { socket } = request
    const finish = recorder.requestStarted()
    response.once('close', finish)
    scheduler.catchUp()
    const url = new URL(request.url ?? '/', 'https://lab')
    const method = request.method ?? 'GET'
    const call: ApiRequest = {
      method,
      path: url.pathname,
      params: {},
      query: url.searchParams,
      headers: request.headers,
      body: undefined,
      stream: request,
      user: '',
      sessionId: '',
    }
    try {
      const hits = faults.request({ service, node, method, path: url.pathname })
      for (const hit of hits) {
        if (hit.kind === 'slow') await sleepRealTime(hit.by, undefined, { signal: this.#stopping.signal })
      }
      const failing = hits.find((hit) => hit.kind === 'http-error')
      const garbage = hits.find((hit) => hit.kind === 'garbage')
      const answer =
        failing === undefined
          ? await this.#answer(call)
          : {
              status: failing.status,
              body: errorBody('Fault', 'the practice lab answers with an error here'),
            }
      this.#send(call, request, socket, response, answer, garbage?.body ?? null)
    } catch (error) {
      // The client went away, or a handler is broken: either way there is nobody to answer politely.
      if (!socket.destroyed && !this.#stopping.signal.aborted) {
        recorder.count('labErrors')
        const message = error instanceof Error ? error.message : String(error)
        this.#send(
          call,
          request,
          socket,
          response,
          { status: 500, body: errorBody('LabBroken', message) },
          null,
        )
      } else socket.destroy()
    }
  }

  async #answer(call: ApiRequest): Promise<Answer> {
    const { routes, authorize, precede, notFound } = this.#options
    const preceding = precede(call)
    if (preceding !== null) return preceding
    const route = routes.find((one) => one.method === call.method && matchPath(one.path, call.path) !== null)
    if (route === undefined) return notFound(call)
    call.params = matchPath(route.path, call.path) ?? {}
    if (route.isPublic !== true) {
      const session = authorize(call.headers)
      if ('status' in session) return session
      call.user = session.user
      call.sessionId = session.sessionId
    }
    if (route.isStream !== true) {
      const text = await readText(call.stream)
      if (text.trim() !== '') {
        try {
          call.body = JSON.parse(text)
        } catch {
          call.recordedBody = text
          return { status: 400, body: errorBody('InvalidInput', 'the body is not JSON') }
        }
      }
    }
    return await route.handle(call)
  }

  #send(
    call: ApiRequest,
    request: IncomingMessage,
    socket: Socket,
    response: ServerResponse,
    answer: Answer,
    garbage: 'html' | 'broken-json' | 'truncated' | null,
  ): void {
    const type = answer.raw?.type ?? (answer.body === undefined ? '' : 'application/json')
    const content = Buffer.from(
      answer.raw?.content ?? (answer.body === undefined ? '' : JSON.stringify(answer.body)),
    )
    if (answer.isCut === true) {
      this.#record(call, { status: 0 }, '')
      socket.destroy()
      answer.afterwards?.()
      return
    }
    const status = garbage === 'html' ? 200 : answer.status
    const sent =
      garbage === 'html'
        ? Buffer.from('<!doctype html><html><body><h1>Bad gateway</h1></body></html>')
        : garbage === 'broken-json'
          ? Buffer.concat([content.subarray(0, Math.floor(content.length / 2)), Buffer.from('"}]')])
          : content
    response.statusCode = status
    for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value)
    const sentType = garbage === 'html' ? 'text/html' : type
    if (sentType !== '') response.setHeader('content-type', sentType)
    if (status !== 204) response.setHeader('content-length', sent.length)
    // What was not read would block the connection for the next request.
    if (!request.complete) {
      response.setHeader('connection', 'close')
      request.resume()
    }
    response.once('close', () => answer.afterwards?.())
    this.#record(call, answer, type)
    if (garbage === 'truncated') {
      response.write(sent.subarray(0, Math.floor(sent.length / 2)), () => socket.destroy())
    } else response.end(status === 204 ? undefined : sent)
  }

  #record(call: ApiRequest, answer: Answer, contentType: string): void {
    const { service, node, onExchange } = this.#options
    onExchange({
      service,
      ...(node === null ? {} : { node }),
      method: call.method,
      path: call.path,
      query: Object.fromEntries(call.query),
      requestHeaders: Object.fromEntries(
        Object.entries(call.headers).map(([name, value]) => [
          name,
          Array.isArray(value) ? value.join(', ') : (value ?? ''),
        ]),
      ),
      requestBody: call.recordedBody ?? call.body,
      status: answer.status,
      responseBody: answer.raw === undefined ? answer.body : answer.raw.content.toString(),
      contentType,
    })
  }
}

/** The error shape of both APIs (v1Error). */
export function errorBody(code: string, message: string): Record<string, unknown> {
  return { code, message, details: {}, ref: 'practice-lab' }
}

export function errorAnswer(status: number, code: string, message: string): Answer {
  return { status, body: errorBody(code, message) }
}

function matchPath(template: string, path: string): Record<string, string> | null {
  const wanted = template.split('/')
  const given = path.split('/')
  if (wanted.length !== given.length) return null
  const params: Record<string, string> = {}
  for (const [index, segment] of wanted.entries()) {
    const value = given[index] ?? ''
    if (segment.startsWith('{')) {
      if (value === '') return null
      params[segment.slice(1, -1)] = decodeURIComponent(value)
    } else if (segment !== value) return null
  }
  return params
}

async function readText(stream: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > largestJson) throw new Error('the request body is larger than 8 MiB')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
