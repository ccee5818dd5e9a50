import { Readable } from 'node:stream'
import { afterEach, describe, expect, test } from 'vitest'
import type { Exchange } from '../../main/lab/index.ts'
import { at, callLab, logIn, multipartOf, type LabCall } from '../../main/lab/testing/lab-client.ts'
import {
  clusterBody,
  deployCluster,
  minute,
  startReadyLab,
  type TestLab,
} from '../../main/lab/testing/site.ts'
import { loadApiDescription } from './validate-exchange.ts'

const description = loadApiDescription()
const running: TestLab[] = []

async function start(...parameters: Parameters<typeof startReadyLab>): Promise<TestLab> {
  const test = await startReadyLab(...parameters)
  running.push(test)
  return test
}

afterEach(async () => {
  for (const { lab } of running.splice(0)) {
    const { labErrors } = lab.report()
    await lab.stop()
    expect(labErrors).toBe(0)
  }
})

function problemsOf(exchanges: readonly Exchange[]): string[] {
  if (description === undefined) throw new Error('no description')
  return exchanges.flatMap((exchange) => description.validateExchange(exchange))
}

const host = '/v1/edge-mgmt/edgehosts/current'

describe.skipIf(description === undefined)(
  'the lab speaks the vendor API (skipped without ../shared/reference)',
  () => {
    test('every Local UI endpoint from login to a running cluster', async () => {
      const { lab, clock, exchanges } = await start()
      const call = (method: string, path: string, rest: LabCall = {}) =>
        callLab(lab, 'n1', method, path, rest)
      await call('GET', '/v1/ping')
      expect((await call('GET', host)).status).toBe(401)
      await call('POST', '/v1/users/default/login?setCookie=false', {
        body: { username: 'kairos', password: 'no' },
      })
      const login = await call('POST', '/v1/users/default/login?extendedSession=true', {
        body: { username: 'kairos', password: 'kairos' },
      })
      const refreshToken = at(login.json, 'Token', 'RefreshToken')
      const renewed = await call('POST', '/v1/users/default/token/renewal?extendedSession=false', {
        body: { refreshToken },
      })
      let token = String(at(renewed.json, 'Authorization'))
      await call('PATCH', '/v1/users/current', { token, body: { sshKeys: ['ssh-ed25519 AAAAC3Nz test'] } })
      await call('GET', '/v1/users/current', { token })
      const reads = [
        '/v1/edge-mgmt/settings',
        host,
        `${host}/configurations`,
        `${host}/configurations/status`,
        `${host}/userdata`,
        `${host}/link/status`,
        `${host}/uploaded-content/details`,
        `${host}/actions/content/signing-public-key`,
        `${host}/generate-logs-status`,
        `${host}/download-logs`,
        `${host}/error-logs?logCount=10`,
        '/v1/edge-mgmt/cluster',
        '/v1/edge-mgmt/cluster/details',
        '/v1/edge-mgmt/cluster/applications',
        '/v1/edge-mgmt/cluster/events',
        '/v1/edge-mgmt/cluster/certificates',
        '/v1/edge-mgmt/cluster/registry/health',
        '/v1/edge-mgmt/cluster/registry/content/details',
        '/v1/edge-mgmt/cluster/registry/content/sync-status/details',
        '/v1/edge-mgmt/events/lifecycle',
        '/v1/edge-mgmt/clusters/current/nodes',
        '/v1/edge-mgmt/clusters/current/machinepools',
        '/v1/edge-mgmt/clusters/archive/embedded/details',
        '/v1/edge-mgmt/clusters/archive/overridden/details',
        '/v1/edge-mgmt/clusters/archive/update/details',
        '/v1/edge-mgmt/network/interfaces',
        '/v1/edge-mgmt/network/interfaces/ens160',
        '/v1/edge-mgmt/network/interfaces/none',
        '/v1/edge-mgmt/network/management-interface',
        '/v1/edge-mgmt/network/bonds',
        '/v1/edge-mgmt/network/vlans',
        '/v1/edge-mgmt/network/bridges',
        '/v1/edge-mgmt/network/config-options',
      ]
      for (const path of reads) await call('GET', path, { token })

      await call('PUT', `${host}/configurations`, {
        token,
        body: { httpProxy: 'http://10.10.200.9:3128', httpsProxy: '', noProxy: '10.0.0.0/8', caCerts: [] },
      })
      await clock.advance(minute)
      expect(at((await call('GET', `${host}/configurations/status`, { token })).json, 'state')).toBe(
        'Configured',
      )
      const nic = '/v1/edge-mgmt/network/interfaces/ens160/config'
      await call('PUT', nic, {
        token,
        body: {
          type: 'static',
          ip: '10.10.200.21',
          subnet: '255.255.255.0',
          gateway: '10.10.200.1',
          mtu: 1500,
        },
      })
      expect((await call('PUT', nic, { token, body: { type: 'dhcp' } })).status).toBe(429)
      await clock.advance(minute)
      await call('PUT', '/v1/edge-mgmt/network/management-interface', { token, body: { name: 'ens160' } })
      await call('POST', `${host}/generate-logs`, { token })
      await clock.advance(2 * minute)
      await call('GET', `${host}/download-logs`, { token })
      const form = multipartOf(200_000, 'pack.zst')
      const upload = await call('POST', `${host}/actions/upload-content`, {
        token,
        headers: form.headers,
        stream: Readable.from(form.chunks()),
      })
      expect(upload.status).toBe(201)
      for (const path of reads) await call('GET', path, { token })

      expect(await deployCluster({ lab, clock, exchanges })).toBe(202)
      token = await logIn(lab, 'n1')
      for (let elapsed = 0; elapsed < 30; elapsed += 2) {
        await clock.advance(2 * minute)
        for (const name of ['n1', 'n2']) {
          if (lab.snapshot().nodes.find((node) => node.name === name)?.stage !== 'ready') continue
          const session = name === 'n1' ? token : await logIn(lab, name).catch(() => '')
          for (const path of reads) await callLab(lab, name, 'GET', path, { token: session })
        }
      }
      expect(lab.snapshot().clusterState).toBe('Running')
      const details = await call('GET', '/v1/edge-mgmt/clusters/archive/embedded/details', { token })
      await call('POST', '/v1/edge-mgmt/cluster/profiles/variables/validate', {
        token,
        body: {
          archiveUploadPath: at(details.json, 'archiveUploadPath'),
          variables: [
            {
              name: 'k8s.podNetwork',
              profileUid: at(details.json, 'clusterProfileDetails', 0, 'profileUid'),
              value: 'nonsense',
            },
          ],
        },
      })
      await call('POST', '/v1/edge-mgmt/cluster', { token, body: await clusterBody(lab, 'n1') })
      await call('PUT', '/v1/edge-mgmt/cluster/settings', {
        token,
        body: { ntpServers: ['10.10.200.2'], sshKeys: [] },
      })
      await call('POST', `${host}/unlink?peerId=nobody`, { token })
      await call('POST', `${host}/link`, { token, body: { token: 'nonsense' } })
      await call('POST', `${host}/actions/reset`, { token })
      await call('DELETE', '/v1/edge-mgmt/cluster', { token })
      for (const status of [200, 201]) {
        await call(status === 200 ? 'PUT' : 'POST', `${host}/userdata`, { token, body: { hostName: 'n1' } })
      }
      await call('POST', '/v1/users/default/password/reset', {
        token,
        body: { oldPassword: 'kairos', newPassword: 'x' },
      })
      await call('POST', '/v1/users/default/logout', { token })
      token = await logIn(lab, 'n1')
      await call('POST', '/v1/users/default/password/reset', {
        token,
        body: { oldPassword: 'kairos', newPassword: 'Another-Word-77' },
      })
      token = await logIn(lab, 'n1', 'Another-Word-77')
      await call('POST', `${host}/actions/reboot`, { token })

      expect(problemsOf(exchanges)).toEqual([])
      const operations = new Set(
        exchanges.filter((one) => one.status < 300).map((one) => `${one.method} ${one.path}`),
      )
      expect(operations.size).toBeGreaterThan(45)
    })

    test('variant D: signed content first, then the definition', async () => {
      const { lab, clock, exchanges } = await start({ variant: 'D' })
      const token = await logIn(lab, 'n1')
      const path = '/v1/edge-mgmt/clusters/archive/embedded/details'
      expect((await callLab(lab, 'n1', 'GET', path, { token })).status).toBe(404)
      for (const signature of [undefined, 'deadbeef']) {
        const form = multipartOf(100_000, 'bundle.tar.zst', signature)
        await callLab(lab, 'n1', 'POST', `${host}/actions/upload-content`, {
          token,
          headers: form.headers,
          stream: Readable.from(form.chunks()),
        })
      }
      await clock.advance(5 * minute)
      expect((await callLab(lab, 'n1', 'GET', path, { token })).status).toBe(200)
      await callLab(lab, 'n1', 'GET', `${host}/actions/content/signing-public-key`, { token })
      await callLab(lab, 'n1', 'GET', `${host}/uploaded-content/details`, { token })
      await callLab(lab, 'n1', 'GET', '/v1/edge-mgmt/cluster/applications', { token })
      expect(problemsOf(exchanges)).toEqual([])
    })

    test('every console endpoint', async () => {
      const site = await start()
      const { lab, clock, exchanges } = site
      await deployCluster(site)
      await clock.advance(24 * minute)
      const call = async (method: string, path: string, rest: LabCall = {}) => {
        await clock.advance(1000) // a polite client
        return await callLab(lab, 'console', method, path, rest)
      }
      expect((await call('GET', '/system')).status).toBe(200)
      expect((await call('POST', '/v1/auth/syslogin', { body: {} })).status).toBe(405)
      await clock.advance(12 * minute)
      expect((await call('POST', '/v1/auth/syslogin', { body: {} })).status).toBe(400)
      await call('GET', '/v1/system/users/me')
      const login = await call('POST', '/v1/auth/syslogin', {
        body: { username: 'admin', password: 'admin' },
      })
      const token = String(at(login.json, 'Authorization'))
      await call('PATCH', '/v1/system/admin/password/reset', {
        token,
        body: { oldPassword: 'admin', newPassword: 'short' },
      })
      const newPassword = 'Practice-Makes-2027'
      await call('PATCH', '/v1/system/admin/password/reset', {
        token,
        body: { email: 'ops@example.org', oldPassword: 'admin', newPassword },
      })
      await call('PATCH', '/v1/system/admin/email', {
        token,
        body: { email: 'site@example.org', password: newPassword },
      })
      for (const path of [
        'health/ping',
        'health/ready',
        'system/users/me',
        'system/version/installed',
        'system/activation',
      ]) {
        expect((await call('GET', `/v1/${path}`, { token })).status).toBe(200)
      }
      const summary = await call('GET', '/v1/registries/oci/summary', { token })
      const uid = String(at(summary.json, 'items', 0, 'metadata', 'uid'))
      expect(
        (await call('POST', `/v1/registries/oci/${uid}/basic/sync?forceSync=true`, { token })).status,
      ).toBe(202)
      await call('GET', `/v1/registries/oci/${uid}/basic/sync/status`, { token })
      await clock.advance(2 * minute)
      const status = await call('GET', `/v1/registries/oci/${uid}/basic/sync/status`, { token })
      expect(at(status.json, 'status')).toBe('Success')
      expect(problemsOf(exchanges)).toEqual([])
    })
  },
)

describe.skipIf(description === undefined)('the judge finds what does not fit', () => {
  const good: Exchange = {
    service: 'local-api',
    node: 'n1',
    method: 'POST',
    path: '/v1/users/default/login',
    query: { extendedSession: 'true' },
    requestHeaders: {},
    requestBody: { username: 'kairos', password: 'x' },
    status: 200,
    responseBody: { Token: { Authorization: 'a' }, IsFirstLogin: true },
    contentType: 'application/json',
  }
  const details: Exchange = {
    ...good,
    method: 'GET',
    path: '/v1/edge-mgmt/cluster/details',
    query: {},
    requestBody: undefined,
    responseBody: { status: { clusterState: 'Running' } },
  }

  test.each<[string, Exchange]>([
    ['an answer that fits', good],
    ['an enum value that fits', details],
  ])('%s is accepted', (_name, exchange) => {
    expect(problemsOf([exchange])).toEqual([])
  })

  test.each<[string, Exchange]>([
    ['unknown path', { ...good, path: '/v1/users/default/sign-in' }],
    ['unknown method', { ...good, method: 'PUT' }],
    ['unknown query parameter', { ...good, query: { session: 'long' } }],
    ['query parameter of the wrong type', { ...good, query: { extendedSession: 'perhaps' } }],
    ['unknown property in the request', { ...good, requestBody: { userName: 'kairos', password: 'x' } }],
    ['missing body', { ...good, requestBody: undefined }],
    ['undescribed status', { ...good, status: 201 }],
    ['unknown property in the answer', { ...good, responseBody: { Token: { Jwt: 'a' } } }],
    ['wrong type in the answer', { ...good, responseBody: { IsFirstLogin: 'yes' } }],
    ['HTML instead of JSON', { ...good, contentType: 'text/html', responseBody: '<html>' }],
    ['value outside the enum', { ...details, responseBody: { status: { clusterState: 'Ready' } } }],
    ['null where null is not allowed', { ...details, responseBody: { status: null } }],
    ['missing required query parameter', { ...details, path: '/v1/edge-mgmt/edgehosts/current/error-logs' }],
    ['401 where no session is needed', { ...good, status: 401, responseBody: { code: 'x', message: 'y' } }],
    ['body where none is described', { ...details, requestBody: {} }],
  ])('%s', (_name, exchange) => {
    expect(problemsOf([exchange])).not.toEqual([])
  })
})
