import { createServer as createTcpServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { listen, rejectionOf, sendJson, startTestServer } from '../../e2e/network/https-server.ts'
import { createTestCertificate, type TestCertificate } from '../../e2e/network/test-certificate.ts'
import { AppError } from '../../shared/errors/index.ts'
import { identityOfCertificate, readCertificate } from './certificate.ts'
import { systemDialler } from './dialler.ts'
import { createHttpClient } from './http-client.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let own: TestCertificate
let other: TestCertificate
beforeAll(async () => {
  own = await createTestCertificate()
  other = await createTestCertificate()
})

/** A bare TLS server that counts handshakes and decrypted bytes. */
async function startCountingServer(certificate: TestCertificate) {
  const seen = { handshakes: 0, applicationBytes: 0 }
  const server = createTlsServer({ key: certificate.keyPem, cert: certificate.certificatePem }, (socket) => {
    seen.handshakes++
    socket.on('data', (data: Buffer) => {
      seen.applicationBytes += data.length
    })
    socket.on('error', () => undefined)
  })
  const ended = new Promise<void>((resolve) => {
    server.on('connection', (socket: Socket) => {
      socket.once('close', () => {
        resolve()
      })
    })
  })
  const { endpoint, close } = await listen(server)
  cleanups.push(close)
  return { endpoint, seen, ended }
}

async function request(endpoint: { host: string; port: number }, pin: TestCertificate): Promise<unknown> {
  const client = createHttpClient({ endpoint, pin, dialler: systemDialler, node: 'n1' })
  try {
    return await rejectionOf(client.request({ method: 'GET', path: '/v1/ping' }))
  } finally {
    await client.close()
  }
}

describe('reading a certificate at first sight', () => {
  it('shows the certificate and sends no byte over the connection', async () => {
    const { endpoint, seen, ended } = await startCountingServer(own)
    const certificate = await readCertificate(endpoint, { dialler: systemDialler })
    await ended
    expect(certificate.fingerprint).toBe(own.fingerprint)
    expect(certificate.pem.trim()).toBe(own.certificatePem.trim())
    expect(certificate.algorithm).toBe('ec')
    expect(certificate.subjectAltName).toContain('192.0.2.77')
    expect(certificate.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/u)
    expect(seen.applicationBytes).toBe(0)
    expect(identityOfCertificate(certificate, '2026-01-01T00:00:00.000Z')).toEqual({
      algorithm: 'ec',
      fingerprint: own.fingerprint,
      certificatePem: certificate.pem,
      firstSeen: '2026-01-01T00:00:00.000Z',
    })
  })

  it('reads an expired certificate as well', async () => {
    const expired = await createTestCertificate({ validTo: new Date(Date.now() - 3_600_000) })
    const { endpoint } = await startCountingServer(expired)
    expect((await readCertificate(endpoint, { dialler: systemDialler })).fingerprint).toBe(
      expired.fingerprint,
    )
  })

  it('reports a server that accepts and stays silent as no answer', async () => {
    const { endpoint, close } = await listen(createTcpServer())
    cleanups.push(close)
    const error = await rejectionOf(
      readCertificate(endpoint, { dialler: systemDialler, timeoutMilliseconds: 100, node: 'n1' }),
    )
    expect(error).toMatchObject({ code: 'NO_ANSWER', isTransient: true, node: 'n1' })
  })

  it('reports a server that does not speak TLS', async () => {
    const { endpoint, close } = await listen(
      createTcpServer((socket) => socket.end('220 mail.example ESMTP\r\n')),
    )
    cleanups.push(close)
    const error = await rejectionOf(readCertificate(endpoint, { dialler: systemDialler }))
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({ code: 'TLS_FAILED', isTransient: true })
  })

  it('reports a server that hangs up during the handshake as a cut connection', async () => {
    const { endpoint, close } = await listen(createTcpServer((socket) => socket.destroy()))
    cleanups.push(close)
    const error = await rejectionOf(readCertificate(endpoint, { dialler: systemDialler }))
    expect(error).toMatchObject({ code: 'CONNECTION_LOST', isTransient: true })
  })

  it('stops with the reason of the signal', async () => {
    const { endpoint, close } = await listen(createTcpServer())
    cleanups.push(close)
    const stop = new AbortController()
    const reason = new Error('stopped by the operator')
    const reading = rejectionOf(readCertificate(endpoint, { dialler: systemDialler, signal: stop.signal }))
    stop.abort(reason)
    expect(await reading).toBe(reason)
  })
})

describe('a pinned connection', () => {
  it('accepts the pinned certificate, whatever names it carries', async () => {
    const server = await startTestServer(own, (_seen, response) => {
      sendJson(response, 200, { msg: 'pong' })
    })
    cleanups.push(server.close)
    const client = createHttpClient({ endpoint: server.endpoint, pin: own, dialler: systemDialler })
    cleanups.push(client.close)
    expect((await client.request({ method: 'GET', path: '/v1/ping' })).json).toEqual({ msg: 'pong' })
  })

  it('accepts a pinned leaf that an authority signed, and refuses a sibling of the same authority', async () => {
    const authority = await createTestCertificate({ isAuthority: true })
    const leaf = await createTestCertificate({ issuer: authority })
    const sibling = await createTestCertificate({ issuer: authority })
    const server = await startTestServer(leaf, (_seen, response) => {
      sendJson(response, 200, {})
    })
    cleanups.push(server.close)
    expect(await request(server.endpoint, leaf)).toBe('did not reject')
    expect(await request(server.endpoint, sibling)).toMatchObject({ code: 'TLS_IDENTITY_CHANGED' })
    expect(await request(server.endpoint, authority)).toMatchObject({ code: 'TLS_IDENTITY_CHANGED' })
    expect(server.requests).toHaveLength(1)
  })

  it('refuses another certificate, shows both fingerprints and sends nothing', async () => {
    const { endpoint, seen, ended } = await startCountingServer(other)
    const error = await request(endpoint, own)
    await ended
    expect(error).toMatchObject({ code: 'TLS_IDENTITY_CHANGED', isTransient: false, node: 'n1' })
    expect((error as AppError).detail).toContain(own.fingerprint)
    expect((error as AppError).detail).toContain(other.fingerprint)
    expect(seen.applicationBytes).toBe(0)
  })

  it.each([
    ['TLS_CERTIFICATE_EXPIRED', -172_800_000, -86_400_000],
    ['TLS_CERTIFICATE_NOT_YET_VALID', 86_400_000, 172_800_000],
  ])('says %s with the dates', async (code, from, to) => {
    const validFrom = new Date(Math.floor((Date.now() + from) / 1000) * 1000)
    const validTo = new Date(Math.floor((Date.now() + to) / 1000) * 1000)
    const certificate = await createTestCertificate({ validFrom, validTo })
    const { endpoint, seen } = await startCountingServer(certificate)
    const error = await request(endpoint, certificate)
    expect(error).toMatchObject({ code, isTransient: false })
    expect((error as AppError).detail).toContain(validFrom.toISOString())
    expect((error as AppError).detail).toContain(validTo.toISOString())
    expect(seen.applicationBytes).toBe(0)
  })
})
