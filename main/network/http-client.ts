import { Readable } from 'node:stream'
import { Pool } from 'undici'
import { AppError } from '../../shared/errors/index.ts'
import { createPinnedConnector, type CertificatePin } from './certificate.ts'
import type { Dialler, Endpoint } from './dialler.ts'
import { endpointText, networkError, systemCodeOf } from './network-error.ts'
import { printableStart } from './printable.ts'

export interface HttpClientOptions {
  endpoint: Endpoint
  /** The one certificate that the server must present. */
  pin: CertificatePin
  dialler: Dialler
  /** Name of the node as in the plan, for error messages. */
  node?: string | undefined
  /** Largest answer in bytes. Default 16 MiB. */
  maxAnswerBytes?: number
  /** Real time. Defaults: connect 10 000, headers 30 000. */
  connectMilliseconds?: number
  headersMilliseconds?: number
  /** Simultaneous connections. Default 2: appliances are small. */
  maxConnections?: number
}

/** A body that is produced while it is sent. */
export interface StreamBody {
  chunks: AsyncIterable<Uint8Array>
  /** Exact number of bytes; a mismatch fails the request. */
  contentLength: number
  contentType: string
}

export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path without query, e.g. `/v1/ping`. Segments that vary must be encoded already. */
  path: string
  query?: Record<string, string | number | boolean | undefined>
  headers?: Record<string, string>
  /** Sent as JSON. */
  body?: unknown
  /** Instead of `body`. While it goes there is no time-out for headers: the caller watches its progress. */
  stream?: StreamBody
  /**
   * What a successful answer must be. `json` (default): anything else is `BAD_ANSWER`. `text`: any text.
   * `nothing`: the content is ignored.
   */
  expect?: 'json' | 'text' | 'nothing'
  /** Statuses outside 2xx that the caller handles itself: they are returned instead of thrown. */
  returnStatuses?: readonly number[] | 'all'
  /** Strings that must not appear in an error, even when the server repeats them. */
  redact?: readonly string[]
  /** The answer is a secret: no excerpt of it goes into an error. */
  isAnswerSecret?: boolean
  signal?: AbortSignal | undefined
  /** The whole request, real time. Default 60 000; no limit for a stream. */
  timeoutMilliseconds?: number
}

export interface HttpAnswer {
  status: number
  /** Lower-case names; several values of one name are joined with `, `. */
  headers: Record<string, string>
  /** Parsed when the answer is JSON, else `undefined`. */
  json: unknown
  /** The body as it came, UTF-8. */
  text: string
}

export interface HttpClient {
  /**
   * One request, never repeated. Resolves for 2xx and for `returnStatuses`; otherwise throws an AppError: network
   * errors, `TIMEOUT`, `BAD_ANSWER`, `SERVER_ERROR` and `TOO_MANY_REQUESTS` are transient; `UNAUTHORIZED`,
   * `FORBIDDEN`, `NOT_FOUND`, `NOT_SUPPORTED`, `REQUEST_REFUSED` and everything `TLS_…` of the certificate are not.
   * Aborting rejects with the signal's reason.
   */
  request(request: HttpRequest): Promise<HttpAnswer>
  /** The AppError for an answer that was returned because of `returnStatuses`, but is a failure after all. */
  statusError(request: HttpRequest, answer: HttpAnswer): AppError
  /** `BAD_ANSWER` for an answer whose form is right but whose content is not. */
  badAnswer(
    request: Pick<HttpRequest, 'method' | 'path' | 'isAnswerSecret'>,
    problem: string,
    answer: HttpAnswer,
  ): AppError
  close: () => Promise<void>
}

const defaultMaxAnswerBytes = 16 * 1024 * 1024

/** HTTPS to one server with one pinned certificate. Redirects are not followed. */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { endpoint, pin, dialler, node } = options
  const maxAnswerBytes = options.maxAnswerBytes ?? defaultMaxAnswerBytes
  const headersMilliseconds = options.headersMilliseconds ?? 30_000
  const pool = new Pool(`https://${endpointText(endpoint)}`, {
    connections: options.maxConnections ?? 2,
    pipelining: 1,
    connect: createPinnedConnector({
      dialler,
      pin,
      endpoint,
      node,
      timeoutMilliseconds: options.connectMilliseconds ?? 10_000,
    }),
  })

  return {
    async request(request) {
      const { signal } = request
      signal?.throwIfAborted()
      const deadline = new AbortController()
      const limit = request.timeoutMilliseconds ?? (request.stream === undefined ? 60_000 : undefined)
      const timer =
        limit === undefined
          ? undefined
          : setTimeout(() => {
              deadline.abort()
            }, limit)
      const handleAbort = () => {
        deadline.abort()
      }
      signal?.addEventListener('abort', handleAbort, { once: true })
      try {
        return await exchange(request, deadline.signal)
      } catch (error) {
        signal?.throwIfAborted()
        throw requestError(error, request, deadline.signal.aborted)
      } finally {
        clearTimeout(timer)
        signal?.removeEventListener('abort', handleAbort)
      }
    },
    statusError,
    badAnswer,
    async close() {
      await pool.destroy()
    },
  }

  async function exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const response = await pool.request({
      path: pathWithQuery(request.path, request.query),
      method: request.method,
      signal,
      ...bodyOf(request),
      // The stream's own progress is watched instead; the answer may take as long as unpacking takes.
      headersTimeout: request.stream === undefined ? headersMilliseconds : 0,
      bodyTimeout: headersMilliseconds,
    })
    const headers = joinHeaders(response.headers)
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxAnswerBytes) {
        // Leaving the loop destroys the rest of the body.
        throw badAnswer(
          request,
          `The answer is larger than ${String(maxAnswerBytes)} bytes.`,
          answerOf(response.statusCode, headers, Buffer.concat(chunks)),
        )
      }
      chunks.push(chunk)
    }
    const answer = answerOf(response.statusCode, headers, Buffer.concat(chunks))
    if (request.returnStatuses === 'all' || request.returnStatuses?.includes(answer.status) === true)
      return answer
    if (answer.status >= 200 && answer.status < 300) {
      if ((request.expect ?? 'json') === 'json' && answer.json === undefined) {
        const type = headers['content-type'] ?? 'no content type'
        throw badAnswer(request, `JSON was expected, ${printableStart(type, 60)} came.`, answer)
      }
      return answer
    }
    throw statusError(request, answer)
  }

  function badAnswer(
    request: Pick<HttpRequest, 'method' | 'path' | 'isAnswerSecret' | 'redact'>,
    problem: string,
    answer: HttpAnswer,
  ): AppError {
    const start = excerptOf(request, answer)
    return new AppError({
      code: 'BAD_ANSWER',
      title: `${endpointText(endpoint)} gave an answer that makes no sense.`,
      detail: `${request.method} ${request.path}: HTTP ${String(answer.status)}. ${problem}${start === '' ? '' : ` It starts with: ${start}`}`,
      remedies: [
        'A machine that is starting may answer like this for a while: wait.',
        'If it goes on, check that this address belongs to the service that you mean and that its version is supported.',
      ],
      isTransient: true,
      node,
    })
  }

  function statusError(request: HttpRequest, answer: HttpAnswer): AppError {
    const { status } = answer
    const message = redact(messageOfAnswer(answer) ?? excerptOf(request, answer), request.redact)
    const kind = statusKind(status)
    const retryAfter = answer.headers['retry-after']
    return new AppError({
      code: kind.code,
      title: `${endpointText(endpoint)} ${kind.text}`,
      detail:
        `${request.method} ${request.path}: HTTP ${String(status)}` +
        (message === '' ? '.' : `: ${message}`) +
        (retryAfter === undefined ? '' : ` (retry after: ${printableStart(retryAfter, 40)})`),
      remedies: kind.remedies,
      isTransient: kind.isTransient,
      node,
    })
  }

  function requestError(error: unknown, request: HttpRequest, isDeadlineOver: boolean): AppError {
    if (error instanceof AppError) return error
    const act = `${request.method} ${request.path}`
    const systemCode = systemCodeOf(error)
    if (isDeadlineOver || systemCode === 'UND_ERR_HEADERS_TIMEOUT' || systemCode === 'UND_ERR_BODY_TIMEOUT') {
      return new AppError({
        code: 'TIMEOUT',
        title: `${endpointText(endpoint)} did not answer in time.`,
        detail: `${act}: the connection stands, but no complete answer came.`,
        remedies: [
          'A machine that is busy or starting does this: wait.',
          'If it goes on, look at the load of the machine and at its disk space.',
        ],
        isTransient: true,
        node,
        cause: error,
      })
    }
    if (isProtocolViolation(error, systemCode)) {
      return new AppError({
        code: 'BAD_ANSWER',
        title: `${endpointText(endpoint)} gave an answer that makes no sense.`,
        detail: `${act}: the answer is broken or was cut off (${systemCode ?? (error instanceof Error ? error.message : 'no HTTP')}).`,
        remedies: [
          'A machine that is starting may answer like this for a while: wait.',
          'If it goes on, check that this address belongs to the service that you mean.',
        ],
        isTransient: true,
        node,
        cause: error,
      })
    }
    if (systemCode === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH') {
      return new AppError({
        code: 'FILE_CHANGED',
        title: 'The file changed while it was sent.',
        detail: `${act}: its size is no longer what it was at the start.`,
        remedies: ['Make sure that nothing writes to the file, then send it again.'],
        node,
        cause: error,
      })
    }
    const translated = networkError(error, endpoint, { act, node })
    if (translated !== undefined) return translated
    return new AppError({
      code: 'REQUEST_FAILED',
      title: `The request to ${endpointText(endpoint)} failed.`,
      detail: `${act}: ${error instanceof Error ? error.message : String(error)}${systemCode === undefined ? '' : ` (${systemCode})`}`,
      remedies: ['Try again.', 'If it goes on, report it together with the log file.'],
      node,
      cause: error,
    })
  }
}

function bodyOf(request: HttpRequest): {
  body: string | Readable | null
  headers: Record<string, string>
} {
  const headers: Record<string, string> = { accept: 'application/json', ...request.headers }
  if (request.stream !== undefined) {
    headers['content-type'] = request.stream.contentType
    headers['content-length'] = String(request.stream.contentLength)
    return { body: Readable.from(request.stream.chunks, { objectMode: false }), headers }
  }
  if (request.body === undefined) return { body: null, headers }
  headers['content-type'] = 'application/json'
  return { body: JSON.stringify(request.body), headers }
}

function pathWithQuery(path: string, query: HttpRequest['query']): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.set(name, String(value))
  }
  const text = parameters.toString()
  return text === '' ? path : `${path}?${text}`
}

function joinHeaders(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const joined: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) joined[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value
  }
  return joined
}

function answerOf(status: number, headers: Record<string, string>, body: Buffer): HttpAnswer {
  const text = body.toString('utf8')
  return { status, headers, text, json: parseJson(text) }
}

/** By content, not by content type: agents have been seen to send JSON as text/plain. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * What the server itself says about a failure: `{code, message, details, ref}` of the Local UI and the console, or a
 * plain JSON string (palette.md §7.2). `undefined` when it says nothing of that form.
 */
export function messageOfAnswer(answer: Pick<HttpAnswer, 'json'>): string | undefined {
  const { json } = answer
  if (typeof json === 'string') return printableStart(json, 300)
  if (typeof json !== 'object' || json === null) return undefined
  const message = 'message' in json ? json.message : 'msg' in json ? json.msg : undefined
  return typeof message === 'string' && message !== '' ? printableStart(message, 300) : undefined
}

function excerptOf(request: Pick<HttpRequest, 'isAnswerSecret' | 'redact'>, answer: HttpAnswer): string {
  return request.isAnswerSecret === true ? '' : redact(printableStart(answer.text), request.redact)
}

/** Takes the given secrets out of a text. */
export function redact(text: string, secrets: readonly string[] | undefined): string {
  let redacted = text
  for (const secret of secrets ?? []) {
    if (secret !== '') redacted = redacted.replaceAll(secret, '•••')
  }
  return redacted
}

function isProtocolViolation(error: unknown, systemCode: string | undefined): boolean {
  return (
    (error instanceof Error && error.name === 'HTTPParserError') ||
    systemCode?.startsWith('HPE_') === true ||
    systemCode === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' ||
    systemCode === 'UND_ERR_HEADERS_OVERFLOW' ||
    systemCode === 'UND_ERR_RES_EXCEEDED_MAX_SIZE'
  )
}

interface StatusKind {
  code: string
  text: string
  remedies: readonly string[]
  isTransient: boolean
}

function statusKind(status: number): StatusKind {
  if (status === 401) {
    return {
      code: 'UNAUTHORIZED',
      text: 'does not accept the session.',
      remedies: ['Check user name and password, then start again.'],
      isTransient: false,
    }
  }
  if (status === 403) {
    return {
      code: 'FORBIDDEN',
      text: 'does not allow this.',
      remedies: [
        'Use an account that has the right to do it.',
        'Read the message above: the state may forbid it.',
      ],
      isTransient: false,
    }
  }
  if (status === 404) {
    return {
      code: 'NOT_FOUND',
      text: 'does not know what was asked for.',
      remedies: ['Check that the version of the appliance is supported.'],
      isTransient: false,
    }
  }
  if (status === 405 || status === 501) {
    return {
      code: 'NOT_SUPPORTED',
      text: 'does not have this function.',
      remedies: ['Check that the version of the appliance is supported.'],
      isTransient: false,
    }
  }
  if (status === 408 || status === 425 || status === 429) {
    return {
      code: 'TOO_MANY_REQUESTS',
      text: 'is busy and wants to be asked later.',
      remedies: ['Wait.'],
      isTransient: true,
    }
  }
  if (status >= 500) {
    return {
      code: 'SERVER_ERROR',
      text: 'reports an error of its own.',
      remedies: [
        'A machine that is starting does this: wait.',
        'If it goes on, read the message above and the logs of the machine.',
      ],
      isTransient: true,
    }
  }
  if (status >= 400) {
    return {
      code: 'REQUEST_REFUSED',
      text: 'refuses the request.',
      remedies: ['Read the message above: it says what the machine does not accept.'],
      isTransient: false,
    }
  }
  return {
    code: 'BAD_ANSWER',
    text: 'gave an answer that was not expected (a redirect?).',
    remedies: ['A machine that is starting may answer like this for a while: wait.'],
    isTransient: true,
  }
}
