import { createServer as createTlsServer } from 'node:tls'
import fc from 'fast-check'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  listen,
  rejectionOf,
  sendJson,
  startTestServer,
  type Answer,
} from '../../e2e/network/https-server.ts'
import { createTestCertificate, type TestCertificate } from '../../e2e/network/test-certificate.ts'
import { AppError } from '../../shared/errors/index.ts'
import { systemDialler } from './dialler.ts'
import { createHttpClient, type HttpClientOptions } from './http-client.ts'
import { printableStart } from './printable.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let certificate: TestCertificate
beforeAll(async () => {
  certificate = await createTestCertificate()
})

async function start(answer: Answer, options: Partial<HttpClientOptions> = {}) {
  const server = await startTestServer(certificate, answer)
  cleanups.push(server.close)
  const client = createHttpClient({
    endpoint: server.endpoint,
    pin: certificate,
    dialler: systemDialler,
    node: 'n1',
    ...options,
  })
  cleanups.push(client.close)
  return { server, client }
}

/** A TLS server that answers every request with the same bytes and hangs up. */
async function startRaw(bytes: string) {
  const tls = createTlsServer({ key: certificate.keyPem, cert: certificate.certificatePem }, (socket) => {
    socket.once('data', () => socket.end(bytes))
    socket.on('error', () => undefined)
  })
  const { endpoint, close } = await listen(tls)
  cleanups.push(close)
  const client = createHttpClient({ endpoint, pin: certificate, dialler: systemDialler })
  cleanups.push(client.close)
  return client
}

const ping = { method: 'GET', path: '/v1/ping' } as const

describe('an answer', () => {
  it('carries status, headers and parsed JSON; the request carries query, headers and JSON body', async () => {
    const { client, server } = await start((_seen, response) => {
      response.setHeader('X-Thing', 'a')
      sendJson(response, 202, { ok: true })
    })
    const answer = await client.request({
      method: 'PUT',
      path: '/v1/x',
      query: { a: 'b c', n: 1, gone: undefined },
      headers: { authorization: 'T' },
      body: { q: 1 },
    })
    expect(answer).toMatchObject({ status: 202, json: { ok: true }, headers: { 'x-thing': 'a' } })
    expect(server.requests[0]).toMatchObject({
      method: 'PUT',
      url: '/v1/x?a=b+c&n=1',
      body: '{"q":1}',
    })
    expect(server.requests[0]?.headers).toMatchObject({
      authorization: 'T',
      'content-type': 'application/json',
    })
  })

  it('that is not JSON is BAD_ANSWER, transient, with its printable start', async () => {
    const { client } = await start((_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/html' })
      response.end(`<html>\u001b[31mYour service is temporarily unavailable${'x'.repeat(500)}`)
    })
    const error = await rejectionOf(client.request(ping))
    expect(error).toMatchObject({ code: 'BAD_ANSWER', isTransient: true, node: 'n1' })
    expect((error as AppError).detail).toContain('Your service is temporarily unavailable')
    expect((error as AppError).detail).not.toContain('\u001b')
    expect((error as AppError).detail.length).toBeLessThan(260)
  })

  it('may be text where text is wanted', async () => {
    const { client } = await start((_seen, response) => {
      response.end('plain')
    })
    expect((await client.request({ ...ping, expect: 'text' })).text).toBe('plain')
  })

  it.each([
    ['cut off in the body', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"a":'],
    ['cut off in a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n50\r\n{"a"'],
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['broken in its headers', 'HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n'],
    ['missing', ''],
  ])('%s is a transient AppError', async (_what, bytes) => {
    const client = await startRaw(bytes)
    const error = await rejectionOf(client.request(ping))
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({ isTransient: true })
    expect(['BAD_ANSWER', 'CONNECTION_LOST']).toContain((error as AppError).code)
  })

  it('larger than the limit is refused', async () => {
    const { client } = await start(
      (_seen, response) => {
        sendJson(response, 200, 'x'.repeat(5000))
      },
      { maxAnswerBytes: 1000 },
    )
    const error = await rejectionOf(client.request(ping))
    expect(error).toMatchObject({ code: 'BAD_ANSWER' })
    expect((error as AppError).detail).toContain('larger than 1000 bytes')
  })

  it.each([
    [400, 'REQUEST_REFUSED', false],
    [401, 'UNAUTHORIZED', false],
    [403, 'FORBIDDEN', false],
    [404, 'NOT_FOUND', false],
    [405, 'NOT_SUPPORTED', false],
    [409, 'REQUEST_REFUSED', false],
    [429, 'TOO_MANY_REQUESTS', true],
    [500, 'SERVER_ERROR', true],
    [501, 'NOT_SUPPORTED', false],
    [503, 'SERVER_ERROR', true],
    [302, 'BAD_ANSWER', true],
  ])('%i is %s (transient: %s) with the message of the server', async (status, code, isTransient) => {
    const { client } = await start((_seen, response) => {
      sendJson(response, status, { code: 'X', message: 'token expired', ref: '' })
    })
    const error = await rejectionOf(client.request(ping))
    expect(error).toMatchObject({ code, isTransient })
    expect((error as AppError).detail).toBe(`GET /v1/ping: HTTP ${String(status)}: token expired`)
  })

  it('shows a plain JSON string as the message', async () => {
    const { client } = await start((_seen, response) => {
      sendJson(response, 500, 'agent is busy')
    })
    expect(((await rejectionOf(client.request(ping))) as AppError).detail).toContain('agent is busy')
  })

  it('never carries body, token or a repeated secret into an error', async () => {
    const { client } = await start((seen, response) => {
      sendJson(response, 400, { message: `you sent ${seen.body} with ${String(seen.headers.authorization)}` })
    })
    const error = (await rejectionOf(
      client.request({
        method: 'POST',
        path: '/v1/x',
        headers: { authorization: 'jwt-token-1' },
        body: { password: 'hunter2!' },
        redact: ['hunter2!', 'jwt-token-1'],
      }),
    )) as AppError
    const shown = JSON.stringify(error.toData()) + error.message
    expect(shown).not.toContain('hunter2!')
    expect(shown).not.toContain('jwt-token-1')
  })

  it('is returned, not thrown, for the statuses that the caller handles itself', async () => {
    const { client } = await start((_seen, response) => {
      sendJson(response, 404, { message: 'none' })
    })
    expect((await client.request({ ...ping, returnStatuses: [404] })).status).toBe(404)
  })
})

describe('a server that does not answer', () => {
  it('within the time for headers is TIMEOUT', async () => {
    const { client } = await start(() => undefined, { headersMilliseconds: 200 })
    expect(await rejectionOf(client.request(ping))).toMatchObject({ code: 'TIMEOUT', isTransient: true })
  })

  it('within the time for the whole is TIMEOUT, even while bytes trickle in', async () => {
    const { client } = await start((_seen, response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write(' '), 20)
      response.on('close', () => {
        clearInterval(timer)
      })
    })
    expect(await rejectionOf(client.request({ ...ping, timeoutMilliseconds: 200 }))).toMatchObject({
      code: 'TIMEOUT',
    })
  })

  it('is left with the reason of the signal', async () => {
    const stop = new AbortController()
    const reason = new Error('stopped by the operator')
    const { client } = await start(() => {
      stop.abort(reason)
    })
    expect(await rejectionOf(client.request({ ...ping, signal: stop.signal }))).toBe(reason)
  })

  it('because nothing listens is CONNECTION_REFUSED', async () => {
    const { client, server } = await start(() => undefined)
    await server.close()
    expect(await rejectionOf(client.request(ping))).toMatchObject({
      code: 'CONNECTION_REFUSED',
      isTransient: true,
    })
  })

  it('because it restarts is CONNECTION_LOST, and the next request works again', async () => {
    let isRestarting = true
    const { client } = await start((_seen, response, request) => {
      if (isRestarting) request.socket.destroy()
      else sendJson(response, 200, {})
    })
    expect(await rejectionOf(client.request(ping))).toMatchObject({
      code: 'CONNECTION_LOST',
      isTransient: true,
    })
    isRestarting = false
    expect((await client.request(ping)).status).toBe(200)
  })

  it.each(['EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EAI_AGAIN'])(
    'because of %s is a transient AppError',
    async (code) => {
      const client = createHttpClient({
        endpoint: { host: '192.0.2.1', port: 5080 },
        pin: certificate,
        dialler: { dial: () => Promise.reject(Object.assign(new Error(code), { code })) },
      })
      cleanups.push(client.close)
      const error = await rejectionOf(client.request(ping))
      expect(error).toBeInstanceOf(AppError)
      expect(error).toMatchObject({ isTransient: true })
      expect((error as AppError).title).toContain('192.0.2.1:5080')
    },
  )
})

describe('the printable start of an answer', () => {
  it('is one line, bounded and free of control characters, whatever was sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const start = printableStart(text, 40)
        expect(Array.from(start).length).toBeLessThanOrEqual(41)
        expect(start).not.toMatch(/[\p{C}\n\r\t]/u)
      }),
    )
  })
})
