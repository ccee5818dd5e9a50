import fc from 'fast-check'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  rejectionOf,
  sendJson,
  startTestServer,
  type Answer,
  type SeenRequest,
} from '../../e2e/network/https-server.ts'
import { createTestCertificate, type TestCertificate } from '../../e2e/network/test-certificate.ts'
import { AppError } from '../../shared/errors/index.ts'
import type { Clock } from '../engine/clock.ts'
import { systemDialler } from '../network/dialler.ts'
import { createLocalApiClient, type LocalApiClient } from './local-api-client.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let certificate: TestCertificate
beforeAll(async () => {
  certificate = await createTestCertificate()
})

const hour = 3_600_000
const start2026 = Date.UTC(2026, 0, 1)
const credentials = { username: 'kairos', password: 'Right-Password-1' }

/** A clock that a test moves by hand. */
function createClock(): Clock & { advance: (milliseconds: number) => void } {
  let now = start2026
  return {
    now: () => now,
    sleep: () => Promise.reject(new Error('the client does not wait')),
    advance: (milliseconds) => {
      now += milliseconds
    },
  }
}

const loginPath = '/v1/users/default/login'
const renewalPath = '/v1/users/default/token/renewal'

function pathOf(seen: SeenRequest): string {
  return seen.url.split('?')[0] ?? ''
}

/** Accepts the login and its renewal, and leaves everything else to `answer`. */
async function start(answer: Answer) {
  let tokens = 0
  const server = await startTestServer(certificate, (seen, response, request) => {
    if (pathOf(seen) === loginPath) {
      const { password } = JSON.parse(seen.body) as { password: string }
      if (password === credentials.password) {
        sendJson(response, 200, {
          Token: { Authorization: `token-${String(++tokens)}`, RefreshToken: 'refresh' },
          IsFirstLogin: true,
        })
      } else sendJson(response, 401, { code: 'Unauthorized', message: 'Invalid credentials' })
      return
    }
    return answer(seen, response, request)
  })
  cleanups.push(server.close)
  const clock = createClock()
  const client = createLocalApiClient({
    endpoint: server.endpoint,
    pin: certificate,
    dialler: systemDialler,
    clock,
    node: 'n1',
  })
  cleanups.push(client.close)
  const logins = () => server.requests.filter((seen) => pathOf(seen) === loginPath).length
  return { server, client, clock, logins }
}

async function startLoggedIn(answer: Answer) {
  const started = await start(answer)
  await started.client.login(credentials)
  return started
}

describe('the login', () => {
  it('is accepted, sends name and password once, and the token goes into the next requests', async () => {
    const { client, server } = await start((_seen, response) => {
      sendJson(response, 200, { userName: 'kairos' })
    })
    expect(await client.login(credentials)).toEqual({ kind: 'accepted', isFirstLogin: true })
    expect(await client.currentUser()).toMatchObject({ userName: 'kairos', sshKeys: [] })
    expect(server.requests.map(pathOf)).toEqual([loginPath, '/v1/users/current'])
    expect(JSON.parse(server.requests[0]?.body ?? '')).toEqual(credentials)
    expect(server.requests[1]?.headers.authorization).toBe('token-1')
  })

  it('with a wrong password is refused in the server words, and never tried a second time', async () => {
    const { client, logins } = await start(() => undefined)
    const wrong = { ...credentials, password: 'wrong' }
    expect(await client.login(wrong)).toEqual({ kind: 'refused', message: 'Invalid credentials' })
    expect(await rejectionOf(client.login(wrong))).toMatchObject({
      code: 'LOGIN_ALREADY_REFUSED',
      isTransient: false,
      node: 'n1',
    })
    expect(logins()).toBe(1)
    expect(await client.login(credentials)).toMatchObject({ kind: 'accepted' })
  })

  it.each([
    [429, {}, { message: 'slow down' }, undefined],
    [429, { 'retry-after': '30' }, { message: 'slow down' }, start2026 + 30_000],
    [401, {}, { message: 'account locked, try again in 14m30s' }, start2026 + 870_000],
    [400, {}, { message: 'Too many failed attempts. Try again after 15 minutes.' }, start2026 + 900_000],
    [500, {}, 'user is locked until 2026-01-01T00:15:00Z', start2026 + 900_000],
    [423, {}, {}, undefined],
  ])('that is locked out (%i) says until when, if the server does', async (status, headers, body, until) => {
    const server = await startTestServer(certificate, (_seen, response) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, String(value))
      sendJson(response, status, body)
    })
    cleanups.push(server.close)
    const client = createLocalApiClient({
      endpoint: server.endpoint,
      pin: certificate,
      dialler: systemDialler,
      clock: createClock(),
      node: 'n1',
    })
    cleanups.push(client.close)
    const outcome = await client.login(credentials)
    expect(outcome.kind).toBe('locked')
    expect(outcome).toMatchObject(until === undefined ? {} : { until })
    // A lock is no verdict on the password: it may be tried again when the lock has ended.
    expect((await client.login(credentials)).kind).toBe('locked')
  })

  it('that meets a server error is that error, not a refusal', async () => {
    const server = await startTestServer(certificate, (_seen, response) => {
      sendJson(response, 503, { message: `cannot check ${credentials.password}` })
    })
    cleanups.push(server.close)
    const client = createLocalApiClient({
      endpoint: server.endpoint,
      pin: certificate,
      dialler: systemDialler,
      clock: createClock(),
      node: 'n1',
    })
    cleanups.push(client.close)
    const error = (await rejectionOf(client.login(credentials))) as AppError
    expect(error).toMatchObject({ code: 'SERVER_ERROR', isTransient: true })
    expect(JSON.stringify(error.toData())).not.toContain(credentials.password)
  })
})

describe('the session', () => {
  const ok: Answer = (seen, response) => {
    if (pathOf(seen) === renewalPath) sendJson(response, 200, { Authorization: 'renewed' })
    else sendJson(response, 200, {})
  }

  it('is renewed before its 2 h are over, without the password', async () => {
    const { client, server, clock, logins } = await startLoggedIn(ok)
    clock.advance(1.4 * hour)
    await client.settings()
    expect(server.requests.map(pathOf)).not.toContain(renewalPath)
    clock.advance(0.2 * hour)
    await Promise.all([client.settings(), client.edgeHost()])
    expect(server.requests.filter((seen) => pathOf(seen) === renewalPath)).toHaveLength(1)
    expect(server.requests.at(-1)?.headers.authorization).toBe('renewed')
    expect(logins()).toBe(1)
  })

  it('that the node forgot is opened again with the accepted password, once for all waiting requests', async () => {
    const { client, server, logins } = await startLoggedIn((seen, response) => {
      if (seen.headers.authorization === 'token-1') sendJson(response, 401, { message: 'expired' })
      else sendJson(response, 200, {})
    })
    await Promise.all([client.settings(), client.edgeHost()])
    expect(logins()).toBe(2)
    expect(server.requests.at(-1)?.headers.authorization).toBe('token-2')
  })

  it('that is refused again right after the new login is an error, not a loop', async () => {
    const { client, logins } = await startLoggedIn((_seen, response) => {
      sendJson(response, 401, { message: 'no' })
    })
    expect(await rejectionOf(client.settings())).toMatchObject({ code: 'UNAUTHORIZED', isTransient: false })
    expect(logins()).toBe(2)
  })

  it('ends for good when the password is refused', async () => {
    let isChanged = false
    let logins = 0
    const server = await startTestServer(certificate, (seen, response) => {
      if (pathOf(seen) === loginPath) {
        logins++
        if (isChanged) sendJson(response, 401, { message: 'Invalid credentials' })
        else sendJson(response, 200, { Token: { Authorization: 'one' } })
      } else sendJson(response, isChanged ? 401 : 200, {})
    })
    cleanups.push(server.close)
    const client = createLocalApiClient({
      endpoint: server.endpoint,
      pin: certificate,
      dialler: systemDialler,
      clock: createClock(),
      node: 'n1',
    })
    cleanups.push(client.close)
    expect(await client.login(credentials)).toEqual({ kind: 'accepted', isFirstLogin: false })
    isChanged = true
    expect(await rejectionOf(client.settings())).toMatchObject({ code: 'LOGIN_REFUSED', isTransient: false })
    expect(await rejectionOf(client.settings())).toMatchObject({ code: 'NOT_LOGGED_IN' })
    expect(logins).toBe(2)
  })

  it('is forgotten at the logout', async () => {
    const { client, server } = await startLoggedIn(ok)
    await client.logout()
    await client.logout()
    expect(server.requests.filter((seen) => pathOf(seen).endsWith('/logout'))).toHaveLength(1)
    expect(await rejectionOf(client.settings())).toMatchObject({ code: 'NOT_LOGGED_IN' })
  })
})

describe('changing the password', () => {
  it('forgets the session and sends nothing but the two passwords', async () => {
    const { client, server } = await startLoggedIn((seen, response) => {
      if (seen.method === 'GET') sendJson(response, 200, {})
      else response.writeHead(204).end()
    })
    expect(await client.changePassword(credentials.password, 'New-Password-2')).toEqual({ kind: 'changed' })
    expect(JSON.parse(server.requests.at(-1)?.body ?? '')).toEqual({
      oldPassword: credentials.password,
      newPassword: 'New-Password-2',
    })
    expect(await rejectionOf(client.settings())).toMatchObject({ code: 'NOT_LOGGED_IN' })
  })

  it.each([400, 401])(
    'that is not accepted (%i) says why, without the passwords, and logs in nowhere',
    async (status) => {
      const { client, logins } = await startLoggedIn((seen, response) => {
        if (seen.method === 'GET') sendJson(response, 200, {})
        else sendJson(response, status, { message: 'New-Password-2 is too short' })
      })
      expect(await client.changePassword(credentials.password, 'New-Password-2')).toEqual({
        kind: 'refused',
        message: '••• is too short',
      })
      expect(logins()).toBe(1)
    },
  )
})

const host = '/v1/edge-mgmt/edgehosts/current'
type Call = (client: LocalApiClient) => Promise<unknown>
const calls: [method: string, path: string, call: Call][] = [
  ['GET', '/v1/ping', (client) => client.ping()],
  ['GET', '/v1/users/current', (client) => client.currentUser()],
  ['GET', '/v1/edge-mgmt/settings', (client) => client.settings()],
  ['GET', host, (client) => client.edgeHost()],
  ['GET', `${host}/configurations`, (client) => client.configurations()],
  ['PUT', `${host}/configurations`, (client) => client.setConfigurations({ noProxy: '.svc' })],
  ['GET', `${host}/configurations/status`, (client) => client.configurationStatus()],
  ['POST', `${host}/link`, (client) => client.link('link-token')],
  ['GET', `${host}/link/status`, (client) => client.linkStatus()],
  ['GET', `${host}/uploaded-content/details`, (client) => client.uploadedContent()],
  ['GET', `${host}/actions/content/signing-public-key`, (client) => client.contentSigningKey()],
  ['GET', '/v1/edge-mgmt/clusters/archive/embedded/details', (client) => client.archiveDetails('embedded')],
  [
    'GET',
    '/v1/edge-mgmt/clusters/archive/overridden/details',
    (client) => client.archiveDetails('overridden'),
  ],
  [
    'POST',
    '/v1/edge-mgmt/cluster/profiles/variables/validate',
    (client) => client.validateVariables({ archiveUploadPath: '/a', clusterName: 'c', variables: [] }),
  ],
  ['POST', '/v1/edge-mgmt/cluster', (client) => client.createCluster({ metadata: { name: 'c' }, spec: {} })],
  ['GET', '/v1/edge-mgmt/cluster/details', (client) => client.clusterDetails()],
  ['GET', '/v1/edge-mgmt/cluster/applications', (client) => client.clusterApplications()],
  ['GET', '/v1/edge-mgmt/cluster/events?namespace=cp-system', (client) => client.clusterEvents('cp-system')],
  ['GET', '/v1/edge-mgmt/events/lifecycle', (client) => client.lifecycleEvents()],
  ['GET', '/v1/edge-mgmt/clusters/current/nodes', (client) => client.clusterNodes()],
  ['GET', '/v1/edge-mgmt/cluster/registry/health', (client) => client.registryHealth()],
  ['GET', '/v1/edge-mgmt/cluster/registry/content/details', (client) => client.registryContent()],
  [
    'GET',
    '/v1/edge-mgmt/cluster/registry/content/sync-status/details',
    (client) => client.registrySyncStatus(),
  ],
  ['GET', '/v1/edge-mgmt/network/interfaces', (client) => client.networkInterfaces()],
  [
    'PUT',
    '/v1/edge-mgmt/network/interfaces/eth0.7/config',
    (client) => client.setNetworkInterface('eth0.7', { type: 'dhcp' }),
  ],
  ['GET', '/v1/edge-mgmt/network/management-interface', (client) => client.managementInterface()],
  ['POST', `${host}/actions/reboot`, (client) => client.reboot()],
]

describe('every method', () => {
  it.each(calls)('%s %s makes one request and takes an object without fields', async (method, path, call) => {
    const { client, server } = await startLoggedIn((_seen, response) => {
      sendJson(response, 200, {})
    })
    const before = server.requests.length
    await call(client)
    const made = server.requests.slice(before)
    expect(made.map((seen) => `${seen.method} ${seen.url}`)).toEqual([`${method} ${path}`])
    expect(made[0]?.headers.authorization).toBe(path === '/v1/ping' ? undefined : 'token-1')
  })

  it('either understands an answer or calls it BAD_ANSWER, whatever JSON comes', async () => {
    let body: unknown
    const { client } = await startLoggedIn((_seen, response) => {
      sendJson(response, 200, body)
    })
    const everyCall: Call[] = [
      ...calls.map(([, , call]) => call),
      (one) => one.cluster(),
      (one) => one.generateLinkToken(),
    ]
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.jsonValue({ maxDepth: 3 }),
          fc.record({
            status: fc.jsonValue({ maxDepth: 2 }),
            spec: fc.jsonValue({ maxDepth: 2 }),
            peers: fc.array(fc.oneof(fc.constant(null), fc.jsonValue({ maxDepth: 2 })), { maxLength: 3 }),
            items: fc.jsonValue({ maxDepth: 2 }),
          }),
        ),
        fc.nat({ max: everyCall.length - 1 }),
        async (json, index) => {
          body = json
          const error = await rejectionOf(everyCall[index]?.(client) ?? Promise.resolve())
          if (error === 'did not reject') return
          expect(error).toBeInstanceOf(AppError)
          expect(error).toMatchObject({ code: 'BAD_ANSWER', isTransient: true })
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('answers', () => {
  it('with null lists, null items and unknown fields are read', async () => {
    const { client } = await startLoggedIn((_seen, response) => {
      sendJson(response, 200, {
        status: 'Completed',
        later: { field: 1 },
        errorMessage: null,
        peers: [
          null,
          {
            id: 'edge-1',
            localUIPort: 5080,
            health: null,
            config: { metadata: { id: 'edge-1' }, spec: { networkInfo: null } },
          },
        ],
      })
    })
    const status = await client.linkStatus()
    expect(status).toMatchObject({ status: 'Completed', errorMessage: undefined })
    expect(status?.peers).toHaveLength(1)
    expect(status?.peers[0]).toMatchObject({ id: 'edge-1', localUIPort: '5080', health: undefined })
    expect(status?.peers[0]?.config?.spec?.networkInfo).toEqual([])
  })

  it('of a cluster keep what the schema does not know, for sending it back', async () => {
    const payload = {
      metadata: { name: 'c', labels: null },
      spec: {
        profileVariables: [{ name: 'a', value: '1', profileUid: 'u', extra: true }],
        cloudConfig: {
          spec: {
            clusterConfig: {
              controlPlaneEndpoint: { host: '10.0.0.9', type: 'VIP' },
              isTwoNodeCluster: false,
            },
            machinePoolConfig: [
              { name: 'cp', hosts: [{ hostUid: 'u1', IsCandidateCaption: false }], minSize: 1 },
            ],
          },
        },
      },
    }
    const { client } = await startLoggedIn((_seen, response) => {
      sendJson(response, 200, payload)
    })
    expect(await client.cluster()).toEqual(payload)
  })

  it.each<[string, Call]>([
    ['link status', (client) => client.linkStatus()],
    ['uploaded content', (client) => client.uploadedContent()],
    ['signing key', (client) => client.contentSigningKey()],
    ['archive details', (client) => client.archiveDetails('embedded')],
    ['cluster', (client) => client.cluster()],
    ['cluster details', (client) => client.clusterDetails()],
    ['cluster applications', (client) => client.clusterApplications()],
  ])('404 for %s means that there is none', async (_what, call) => {
    const { client } = await startLoggedIn((_seen, response) => {
      sendJson(response, 404, { message: 'not found' })
    })
    expect(await call(client)).toBeUndefined()
  })

  it.each([404, 405, 501])('%i for the network API means an older agent', async (status) => {
    const { client } = await startLoggedIn((_seen, response) => {
      sendJson(response, status, {})
    })
    expect(await client.networkInterfaces()).toEqual({ kind: 'unsupported' })
    expect(await client.managementInterface()).toEqual({ kind: 'unsupported' })
  })

  it('429 while the network is being changed is transient', async () => {
    const { client } = await startLoggedIn((_seen, response) => {
      sendJson(response, 429, { message: 'busy applying' })
    })
    const error = await rejectionOf(client.setNetworkInterface('eth0', { type: 'static', ip: '10.0.0.2' }))
    expect(error).toMatchObject({ code: 'TOO_MANY_REQUESTS', isTransient: true })
  })

  it('never show a secret that the server repeats', async () => {
    const { client } = await startLoggedIn((seen, response) => {
      sendJson(response, 400, { message: `bad request: ${seen.body}` })
    })
    const errors = [
      await rejectionOf(client.link('secret-link-token')),
      await rejectionOf(
        client.createCluster({
          metadata: { name: 'c' },
          spec: {
            profileVariables: [{ name: 'registry.password', value: 'Registry-Secret-9', profileUid: 'u' }],
          },
        }),
      ),
      await rejectionOf(client.setConfigurations({ httpProxy: 'http://user:proxy-pw@proxy:3128' })),
    ]
    const shown = JSON.stringify(errors.map((error) => (error as AppError).toData()))
    for (const secret of ['secret-link-token', 'Registry-Secret-9', 'proxy-pw'])
      expect(shown).not.toContain(secret)
  })
})
