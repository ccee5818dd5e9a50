import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { afterEach, describe, expect, test } from 'vitest'
import { readScenario, type Lab, type Scenario } from './index.ts'
import type { FaultInput } from './scenario.ts'
import { at, callLab, exec, logIn, multipartOf, openSsh } from './testing/lab-client.ts'
import { deployCluster, linkNodes, minute, startReadyLab, type TestLab } from './testing/site.ts'

const running: Lab[] = []
const host = '/v1/edge-mgmt/edgehosts/current'

async function startWith(faults: FaultInput[], more: Record<string, unknown> = {}): Promise<TestLab> {
  const scenario: Scenario = readScenario(JSON.stringify({ name: 'test', faults, ...more }), 'test.yaml')
  const test = await startReadyLab({ scenario })
  running.push(test.lab)
  return test
}

afterEach(async () => {
  for (const lab of running.splice(0)) {
    const { labErrors } = lab.report()
    await lab.stop()
    expect(labErrors).toBe(0)
  }
})

const ping = (lab: Lab, node: string) => callLab(lab, node, 'GET', '/v1/ping')

describe('faults', () => {
  test('unreachable: cuts connections, then nobody answers for a time', async () => {
    const { lab, clock } = await startWith([{ kind: 'unreachable', node: 'n2', at: '30m', for: '5m' }])
    const client = await openSsh(lab, 'n2')
    const closed = new Promise<void>((resolve) =>
      client.once('close', () => {
        resolve()
      }),
    )
    await clock.advance(5 * minute)
    await closed
    await expect(ping(lab, 'n2')).rejects.toMatchObject({ code: 'EHOSTUNREACH' })
    expect((await ping(lab, 'n1')).status).toBe(200)
    await clock.advance(5 * minute)
    expect((await ping(lab, 'n2')).status).toBe(200)
  })

  test('http-error: the nth fitting request and as many as `times` says', async () => {
    const { lab } = await startWith([
      {
        kind: 'http-error',
        node: 'n1',
        status: 502,
        times: 2,
        onRequest: { method: 'GET', path: '/v1/ping', nth: 2 },
      },
    ])
    const statuses: number[] = []
    for (let count = 0; count < 5; count += 1) statuses.push((await ping(lab, 'n1')).status)
    expect(statuses).toEqual([200, 502, 502, 200, 200])
    expect((await ping(lab, 'n2')).status).toBe(200)
  })

  test('garbage: HTML, broken JSON and a body that ends too early', async () => {
    const { lab } = await startWith([])
    lab.inject({ kind: 'garbage', body: 'html' })
    const html = await ping(lab, 'n1')
    expect([html.status, html.headers['content-type'], html.json]).toEqual([200, 'text/html', undefined])
    lab.inject({ kind: 'garbage', body: 'broken-json' })
    const broken = await ping(lab, 'n1')
    expect([broken.headers['content-type'], broken.json]).toEqual(['application/json', undefined])
    lab.inject({ kind: 'garbage', body: 'truncated' })
    await expect(ping(lab, 'n1')).rejects.toThrow()
    expect((await ping(lab, 'n1')).json).toEqual({ msg: 'pong' })
  })

  test('slow: the answer takes real time', async () => {
    const { lab } = await startWith([{ kind: 'slow', by: '120ms', times: 1 }])
    const began = performance.now()
    await ping(lab, 'n1')
    expect(performance.now() - began).toBeGreaterThan(100)
  })

  test('certificate-changed and host-key-changed: another identity from then on', async () => {
    const { lab } = await startWith([])
    const before = lab.snapshot().nodes[0]?.certificate ?? ''
    const hostKey = async () => {
      let seen = ''
      const client = await openSsh(lab, 'n1', {
        hostVerifier: (key: Buffer) => {
          seen = createHash('sha256').update(key).digest('hex')
          return true
        },
      })
      client.end()
      return seen
    }
    const firstKey = await hostKey()
    expect(await hostKey()).toBe(firstKey)
    lab.inject({ kind: 'host-key-changed', node: 'n1' })
    expect(await hostKey()).not.toBe(firstKey)
    lab.inject({ kind: 'certificate-changed', node: 'n1' })
    while (lab.snapshot().nodes[0]?.certificate === before)
      await new Promise((resolve) => setImmediate(resolve))
    await expect(callLab(lab, 'n1', 'GET', '/v1/ping', { certificate: before })).rejects.toThrow(
      /self-signed|certificate/,
    )
    expect((await ping(lab, 'n1')).status).toBe(200)
  })

  test('wrong-initial-password and already-in-cluster', async () => {
    const { lab } = await startWith([
      { kind: 'wrong-initial-password', node: 'n2' },
      { kind: 'already-in-cluster', node: 'n3' },
    ])
    await expect(logIn(lab, 'n2')).rejects.toThrow(/refused/)
    const token = await logIn(lab, 'n3')
    const info = await callLab(lab, 'n3', 'GET', host, { token })
    expect(at(info.json, 'status', 'isClusterPhase')).toBe(true)
    const details = await callLab(lab, 'n3', 'GET', '/v1/edge-mgmt/cluster/details', { token })
    expect(at(details.json, 'metadata', 'name')).toBe('earlier-cluster')
    expect(await linkNodes(lab, 'n1', ['n3'])).toEqual([400])
  })

  test('link-token-expired: the first tokens are dead although they look fresh', async () => {
    const { lab } = await startWith([{ kind: 'link-token-expired', node: 'n1', times: 2 }])
    expect(await linkNodes(lab, 'n1', ['n2'])).toEqual([400])
    expect(await linkNodes(lab, 'n1', ['n2'])).toEqual([400])
    expect(await linkNodes(lab, 'n1', ['n2'])).toEqual([200])
    expect(lab.report().expiredTokens).toBe(2)
  })

  test('sync-stalls: for a time, and for ever', async () => {
    const { lab, clock } = await startWith([
      { kind: 'sync-stalls', node: 'n2', after: { event: 'node-linked' }, for: '20m' },
      { kind: 'sync-stalls', node: 'n3' },
    ])
    await linkNodes(lab, 'n1', ['n2', 'n3'])
    await clock.advance(10 * minute)
    const states = () => lab.snapshot().nodes.map((node) => node.contentSync)
    expect(states()).toEqual(['Synced', 'Syncing', 'Syncing'])
    await clock.advance(12 * minute)
    expect(states()).toEqual(['Synced', 'Synced', 'Syncing'])
    await clock.advance(600 * minute)
    expect(states()[2]).toBe('Syncing')
  })

  test('deploy-fails: Error with the reason, and it stays so', async () => {
    const site = await startWith([{ kind: 'deploy-fails', reason: 'VIP is in use', fraction: 0.3 }])
    expect(await deployCluster(site)).toBe(202)
    await site.clock.advance(60 * minute)
    const token = await logIn(site.lab, 'n1')
    const details = await callLab(site.lab, 'n1', 'GET', '/v1/edge-mgmt/cluster/details', { token })
    expect(at(details.json, 'status')).toMatchObject({
      clusterState: 'Error',
      clusterStateReason: 'VIP is in use',
    })
  })

  test('deploy-stalls: goes on after a time', async () => {
    const site = await startWith([{ kind: 'deploy-stalls', fraction: 0.6, for: '45m' }])
    await deployCluster(site)
    await site.clock.advance(26 * minute)
    expect(site.lab.snapshot().clusterState).toBe('Provisioning')
    await site.clock.advance(45 * minute)
    expect(site.lab.snapshot().clusterState).toBe('Running')
  })

  test('disk-missing, small-disk and duplicate-host-name', async () => {
    const { lab } = await startWith([
      { kind: 'disk-missing', node: 'n1' },
      { kind: 'small-disk', node: 'n2', disk: 'storage', gigabytes: 50 },
      { kind: 'duplicate-host-name', node: 'n3', of: 'n2' },
    ])
    const disks = async (node: string) => {
      const client = await openSsh(lab, node)
      const { out } = await exec(client, 'lsblk -b -d -J -o PATH,SIZE')
      client.end()
      return at(JSON.parse(out), 'blockdevices')
    }
    expect(await disks('n1')).toEqual([{ path: '/dev/sda', size: 500e9 }])
    expect(await disks('n2')).toEqual([
      { path: '/dev/sda', size: 500e9 },
      { path: '/dev/sdb', size: 50e9 },
    ])
    const [, second, third] = lab.snapshot().nodes
    expect(third?.hostName).toBe(second?.hostName)
    expect(third?.edgeHostId).not.toBe(second?.edgeHostId)
  })

  test('reboot: on a request, in the middle of it', async () => {
    const { lab, clock } = await startWith([
      { kind: 'reboot', node: 'n1', onRequest: { path: '/v1/ping', nth: 2 } },
    ])
    expect((await ping(lab, 'n1')).status).toBe(200)
    await expect(ping(lab, 'n1')).rejects.toThrow()
    expect(lab.snapshot().nodes[0]?.stage).toBe('booting')
    await clock.advance(3 * minute)
    expect((await ping(lab, 'n1')).status).toBe(200)
    expect(lab.report().reboots).toBe(1)
  })

  test('upload-cut: the connection breaks at the fraction, `times` times', async () => {
    const { lab } = await startWith([{ kind: 'upload-cut', node: 'n1', fraction: 0.5, times: 1 }])
    const token = await logIn(lab, 'n1')
    const upload = () => {
      const form = multipartOf(4_000_000)
      return callLab(lab, 'n1', 'POST', `${host}/actions/upload-content`, {
        token,
        headers: form.headers,
        stream: Readable.from(form.chunks()),
      })
    }
    await expect(upload()).rejects.toThrow()
    expect(lab.snapshot().nodes[0]?.uploads).toEqual([])
    expect((await upload()).status).toBe(201)
    expect(lab.report()).toMatchObject({ uploads: 2, uploadsCut: 1 })
  })

  test('post-lost-answer: the cluster is there although the answer never came', async () => {
    const site = await startWith([{ kind: 'post-lost-answer' }])
    await expect(deployCluster(site)).rejects.toThrow()
    expect(site.lab.snapshot().clusterState).toBe('Provisioning')
    expect(site.lab.report()).toMatchObject({ clusterPosts: 1, clusterAccepted: 1 })
  })

  test('console-late: the API comes later than usual', async () => {
    const site = await startWith([{ kind: 'console-late', by: '20m' }])
    await deployCluster(site)
    await site.clock.advance(40 * minute)
    expect(site.lab.snapshot().console.state).toBe('page')
    await site.clock.advance(15 * minute)
    expect(site.lab.snapshot().console.state).toBe('api')
  })

  test('an old agent has no network paths; sudo and password login as the scenario says', async () => {
    const { lab } = await startWith([], { agent: { networkApi: false }, ssh: { sudoPassword: true } })
    const answer = await callLab(lab, 'n1', 'GET', '/v1/edge-mgmt/network/interfaces', {
      token: await logIn(lab, 'n1'),
    })
    expect(answer.status).toBe(404)
    const client = await openSsh(lab, 'n1')
    expect((await exec(client, 'sudo -n whoami')).code).toBe(1)
    expect(await exec(client, "sudo -S -p '' whoami", 'kairos\n')).toMatchObject({ code: 0, out: 'root\n' })
    expect((await exec(client, "sudo -S -p '' whoami", 'wrong\n')).code).toBe(1)
    client.end()
    const keysOnly = await startWith([], { ssh: { passwordLogin: false } })
    await expect(openSsh(keysOnly.lab, 'n1')).rejects.toMatchObject({ level: 'client-authentication' })
    expect(keysOnly.lab.report().failedLogins).toEqual([])
  })
})

describe('the console', () => {
  test('locks after five wrong passwords and refuses more than ten requests a second', async () => {
    const site = await startWith([])
    await deployCluster(site)
    await site.clock.advance(40 * minute)
    const login = (password: string) =>
      callLab(site.lab, 'console', 'POST', '/v1/auth/syslogin', { body: { username: 'admin', password } })
    for (const password of ['a', 'b', 'c', 'd', 'e']) expect((await login(password)).status).toBe(401)
    expect((await login('admin')).status).toBe(429)
    await site.clock.advance(minute)
    expect((await login('admin')).status).toBe(401)
    await site.clock.advance(15 * minute)
    expect((await login('admin')).status).toBe(200)
  })
})

describe('scenario files', () => {
  test('every scenario that is shipped can be read and says what it is for', async () => {
    const folder = new URL('./scenarios/', import.meta.url)
    const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml'))
    expect(names.length).toBeGreaterThan(5)
    for (const name of names) {
      const scenario = readScenario(await readFile(new URL(name, folder), 'utf8'), name)
      expect(scenario.description, name).not.toBe('')
      expect(scenario.name).toBe(name.replace('.yaml', ''))
    }
  })

  test('all problems are named at once', () => {
    const text =
      'name: x\nspeed: 3\ndurations: { deploy: soon }\nfaults:\n  - { kind: reboot, at: 5 minutes }\n  - { kind: fire }\n'
    expect(() => readScenario(text, 'bad.yaml')).toThrow(
      expect.objectContaining({
        code: 'SCENARIO_INVALID',
        detail: expect.stringMatching(
          /(?=.*speed)(?=.*durations\.deploy)(?=.*faults\.0\.at)(?=.*faults\.1)/s,
        ) as string,
      }),
    )
    expect(() => readScenario('a: [', 'bad.yaml')).toThrow(/line/)
  })

  test('durations are overridden and multiplied; those of the protocol are not multiplied', async () => {
    const { lab, clock } = await startWith([], { durationFactor: 0.1, durations: { deploy: '1m' } })
    const site: TestLab = { lab, clock, exchanges: [] }
    await deployCluster(site)
    await clock.advance(minute)
    expect(lab.snapshot().clusterState).toBe('Running')
    const token = await callLab(lab, 'n2', 'GET', '/v1/ping')
    expect(token.status).toBe(200)
  })
})
