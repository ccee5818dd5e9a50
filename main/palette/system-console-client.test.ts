import fc from 'fast-check'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { rejectionOf, sendJson, startTestServer, type Answer } from '../../e2e/network/https-server.ts'
import { createTestCertificate, type TestCertificate } from '../../e2e/network/test-certificate.ts'
import { AppError } from '../../shared/errors/index.ts'
import type { Clock } from '../engine/clock.ts'
import { systemDialler } from '../network/dialler.ts'
import { createSystemConsoleClient, type SystemConsoleClient } from './system-console-client.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let certificate: TestCertificate
beforeAll(async () => {
  certificate = await createTestCertificate()
})

const credentials = { username: 'admin', password: 'Admin-Password-1' }
const loginPath = '/v1/auth/syslogin'

/** Time passes only while somebody sleeps. */
function createClock(): Clock & { slept: number[]; advance: (milliseconds: number) => void } {
  let now = 1_000_000
  const slept: number[] = []
  return {
    slept,
    now: () => now,
    sleep: (milliseconds) => {
      slept.push(milliseconds)
      now += milliseconds
      return Promise.resolve()
    },
    advance: (milliseconds) => {
      now += milliseconds
    },
  }
}

async function start(answer: Answer) {
  const server = await startTestServer(certificate, answer)
  cleanups.push(server.close)
  const clock = createClock()
  const client = createSystemConsoleClient({
    endpoint: server.endpoint,
    pin: certificate,
    dialler: systemDialler,
    clock,
  })
  cleanups.push(client.close)
  return { server, client, clock }
}

async function startLoggedIn(answer: Answer) {
  const started = await start((seen, response, request) => {
    if (seen.url === loginPath) sendJson(response, 200, { Authorization: 'console-token' })
    else return answer(seen, response, request)
  })
  await started.client.login(credentials)
  return started
}

describe('whether the API is alive', () => {
  it.each([
    [400, true],
    [401, true],
    [403, true],
    [429, true],
    [405, false],
    [404, false],
    [200, false],
    [502, false],
  ])('%i says %s', async (status, isAlive) => {
    const { client, server } = await start((_seen, response) => {
      sendJson(response, status, {})
    })
    expect(await client.isApiAlive()).toBe(isAlive)
    expect(server.requests[0]).toMatchObject({ method: 'POST', url: loginPath, body: '{}' })
  })

  it('is no while nothing listens, and an error when another server answers', async () => {
    const { client, server } = await start(() => undefined)
    await server.close()
    expect(await client.isApiAlive()).toBe(false)
    const stranger = await startTestServer(await createTestCertificate(), (_seen, response) => {
      sendJson(response, 401, {})
    })
    cleanups.push(stranger.close)
    const deceived = createSystemConsoleClient({
      endpoint: stranger.endpoint,
      pin: certificate,
      dialler: systemDialler,
      clock: createClock(),
    })
    cleanups.push(deceived.close)
    expect(await rejectionOf(deceived.isApiAlive())).toMatchObject({ code: 'TLS_IDENTITY_CHANGED' })
  })
})

describe('the login', () => {
  it.each([
    ['in the body', { Authorization: 'tok', IsPasswordReset: false, IsEmailSet: false }, {}],
    ['in the body, other case', { authorization: 'tok', isPasswordReset: false, isEmailSet: false }, {}],
    ['in a header', { IsPasswordReset: false, IsEmailSet: false }, { authorization: 'tok' }],
    [
      'in a cookie',
      { IsPasswordReset: false, IsEmailSet: false },
      { 'set-cookie': 'Authorization=tok; Path=/' },
    ],
  ])('finds the token %s, and the flags', async (_where, body, headers) => {
    const { client, server } = await start((seen, response) => {
      if (seen.url === loginPath) {
        for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
        sendJson(response, 200, body)
      } else sendJson(response, 200, { status: { isPasswordReset: true } })
    })
    expect(await client.login(credentials)).toEqual({
      kind: 'accepted',
      isPasswordReset: false,
      isEmailSet: false,
    })
    expect((await client.me()).status?.isPasswordReset).toBe(true)
    expect(server.requests[1]?.headers.authorization).toBe('tok')
  })

  it('that is refused is not repeated', async () => {
    const { client, server } = await start((_seen, response) => {
      sendJson(response, 401, { code: 'UserUnauthorized', message: 'Invalid credentials' })
    })
    expect(await client.login(credentials)).toEqual({ kind: 'refused', message: 'Invalid credentials' })
    expect(await rejectionOf(client.login(credentials))).toMatchObject({ code: 'LOGIN_ALREADY_REFUSED' })
    expect(server.requests).toHaveLength(1)
  })

  it('tells a locked account, a missing login, a second factor and an API that is not up yet apart', async () => {
    let status = 401
    let body: object = { message: 'Account is locked for 15 minutes' }
    const { client, clock } = await start((_seen, response) => {
      sendJson(response, status, body)
    })
    expect(await client.login(credentials)).toEqual({
      kind: 'locked',
      message: 'Account is locked for 15 minutes',
      until: clock.now() + 15 * 60_000,
    })
    status = 404
    body = {}
    expect(await rejectionOf(client.login(credentials))).toMatchObject({
      code: 'SYSTEM_LOGIN_NOT_SUPPORTED',
      isTransient: false,
    })
    status = 405
    expect(await rejectionOf(client.login(credentials))).toMatchObject({
      code: 'CONSOLE_NOT_READY',
      isTransient: true,
    })
    status = 200
    body = { Authorization: 't', IsMfa: true }
    expect(await rejectionOf(client.login(credentials))).toMatchObject({ code: 'SYSTEM_LOGIN_NOT_SUPPORTED' })
    body = { IsPasswordReset: true }
    expect(await rejectionOf(client.login(credentials))).toMatchObject({ code: 'BAD_ANSWER' })
  })
})

describe('the first set-up', () => {
  it('replaces password and e-mail and needs a new login afterwards', async () => {
    const { client, server } = await startLoggedIn((seen, response) => {
      if (seen.method === 'GET') sendJson(response, 200, {})
      else response.writeHead(204).end()
    })
    expect(await client.setEmail({ email: 'op@example.org', password: credentials.password })).toEqual({
      kind: 'changed',
    })
    expect(
      await client.setFirstPassword({
        email: 'op@example.org',
        oldPassword: credentials.password,
        newPassword: 'New-Password-2',
      }),
    ).toEqual({ kind: 'changed' })
    expect(
      server.requests.filter((seen) => seen.method === 'PATCH').map((seen) => [seen.url, seen.body]),
    ).toEqual([
      ['/v1/system/admin/email', JSON.stringify({ email: 'op@example.org', password: credentials.password })],
      [
        '/v1/system/admin/password/reset',
        JSON.stringify({
          email: 'op@example.org',
          oldPassword: credentials.password,
          newPassword: 'New-Password-2',
        }),
      ],
    ])
    expect(await rejectionOf(client.me())).toMatchObject({ code: 'NOT_LOGGED_IN' })
  })

  it('that is refused says why, without the passwords', async () => {
    const { client } = await startLoggedIn((seen, response) => {
      if (seen.method === 'GET') sendJson(response, 200, {})
      else sendJson(response, 400, { code: 'X', message: 'short is too short' })
    })
    expect(
      await client.setFirstPassword({ oldPassword: credentials.password, newPassword: 'short' }),
    ).toEqual({
      kind: 'refused',
      message: '••• is too •••',
    })
  })
})

describe('the pace', () => {
  it('is at most two requests a second of the clock, also for requests at once', async () => {
    const { client, clock } = await startLoggedIn((_seen, response) => {
      sendJson(response, 200, { version: '4.9.1' })
    })
    const versions = await Promise.all([
      client.installedVersion(),
      client.installedVersion(),
      client.installedVersion(),
    ])
    expect(versions).toEqual(['4.9.1', '4.9.1', '4.9.1'])
    expect(clock.slept.length).toBeGreaterThanOrEqual(3)
    clock.advance(10_000)
    const before = clock.slept.length
    await client.installedVersion()
    expect(clock.slept.length).toBe(before)
  })
})

const calls: [string, string, (client: SystemConsoleClient) => Promise<unknown>][] = [
  ['GET', '/v1/system/users/me', (client) => client.me()],
  ['GET', '/v1/system/version/installed', (client) => client.installedVersion()],
  ['GET', '/v1/health/ready', (client) => client.isHealthy()],
  ['GET', '/system', (client) => client.page('/system')],
  ['GET', '/v1/registries/oci/summary', (client) => client.ociRegistries()],
  ['POST', '/v1/registries/oci/a%2Fb/basic/sync?forceSync=true', (client) => client.syncRegistry('a/b')],
  ['GET', '/v1/registries/oci/u1/basic/sync/status', (client) => client.registrySync('u1')],
]

describe('every method', () => {
  it.each(calls)('%s %s makes one request', async (method, path, call) => {
    const { client, server } = await startLoggedIn((_seen, response) => {
      sendJson(response, 200, {})
    })
    await call(client)
    expect(server.requests.slice(1).map((seen) => `${seen.method} ${seen.url}`)).toEqual([
      `${method} ${path}`,
    ])
    expect(server.requests[1]?.headers.authorization).toBe(path === '/system' ? undefined : 'console-token')
  })

  it('either understands an answer or calls it BAD_ANSWER, whatever JSON comes', async () => {
    let body: unknown
    const { client } = await startLoggedIn((_seen, response) => {
      sendJson(response, 200, body)
    })
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.jsonValue({ maxDepth: 3 }),
          fc.record({
            items: fc.array(fc.jsonValue({ maxDepth: 2 })),
            status: fc.jsonValue({ maxDepth: 2 }),
          }),
        ),
        fc.nat({ max: calls.length - 1 }),
        async (json, index) => {
          body = json
          const error = await rejectionOf(calls[index]?.[2](client) ?? Promise.resolve())
          if (error === 'did not reject') return
          expect(error).toBeInstanceOf(AppError)
          expect(error).toMatchObject({ code: 'BAD_ANSWER' })
        },
      ),
      { numRuns: 150 },
    )
  })

  it('reads registries, whose list may be null', async () => {
    let body: object = { items: null }
    const { client } = await startLoggedIn((_seen, response) => {
      sendJson(response, 200, body)
    })
    expect(await client.ociRegistries()).toEqual([])
    body = {
      items: [
        null,
        { metadata: { uid: 'u1', name: 'zot' }, spec: null, status: { sync: { status: 'Success' } } },
      ],
    }
    expect(await client.ociRegistries()).toMatchObject([
      { metadata: { uid: 'u1', name: 'zot' }, spec: undefined, status: { sync: { status: 'Success' } } },
    ])
  })

  it('is transient when the console asks for patience', async () => {
    const { client } = await startLoggedIn((_seen, response) => {
      sendJson(response, 429, {})
    })
    expect(await rejectionOf(client.me())).toMatchObject({ code: 'TOO_MANY_REQUESTS', isTransient: true })
    expect(await client.isHealthy()).toBe(false)
    expect(await client.page('/system')).toBe(429)
  })
})
