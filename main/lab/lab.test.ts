import { createServer } from 'node:net'
import { Readable } from 'node:stream'
import ssh2 from 'ssh2'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../engine/clock.ts'
import { attachToLab, startLab, type Lab } from './index.ts'
import { createKeyPair } from './ssh/key-pair.ts'
import { at, callLab, examplePlan, exec, logIn, multipartOf, openSsh } from './testing/lab-client.ts'
import {
  clusterBody,
  deployCluster,
  linkNodes,
  minute,
  startReadyLab,
  startTestLab,
  type TestLab,
} from './testing/site.ts'

const running: Lab[] = []

async function start(...parameters: Parameters<typeof startTestLab>): Promise<TestLab> {
  const test = await startTestLab(...parameters)
  running.push(test.lab)
  return test
}

async function startReady(...parameters: Parameters<typeof startReadyLab>): Promise<TestLab> {
  const test = await startReadyLab(...parameters)
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

const host = '/v1/edge-mgmt/edgehosts/current'

describe('the life of a node', () => {
  test('installs, reboots, answers SSH first and the Local UI at the documented time', async () => {
    const { lab, clock } = await start()
    const stage = () => lab.snapshot().nodes[0]?.stage
    expect(stage()).toBe('installing')
    await expect(lab.dialler.dial({ host: '10.10.200.102', port: 22 })).rejects.toMatchObject({
      code: 'EHOSTUNREACH',
    })
    await clock.advance(15 * minute)
    expect(stage()).toBe('booting')
    await clock.advance(2 * minute)
    expect(stage()).toBe('starting')
    ;(await openSsh(lab, 'n1')).end()
    await expect(callLab(lab, 'n1', 'GET', '/v1/ping')).rejects.toMatchObject({ code: 'ECONNRESET' })
    await clock.advance(4 * minute)
    expect(stage()).toBe('ready')
    expect((await callLab(lab, 'n1', 'GET', '/v1/ping')).json).toEqual({ msg: 'pong' })
    expect(lab.report().criticalPathSeconds).toBe(21 * 60)
  })

  test('an address that the plan does not name is unreachable, a closed port is refused', async () => {
    const { lab } = await startReady()
    await expect(lab.dialler.dial({ host: '10.10.200.77', port: 22 })).rejects.toMatchObject({
      code: 'EHOSTUNREACH',
    })
    await expect(lab.dialler.dial({ host: '10.10.200.102', port: 80 })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    })
    await expect(lab.dialler.dial({ host: '10.10.200.50', port: 443 })).rejects.toMatchObject({
      code: 'EHOSTUNREACH',
    })
  })

  test('a reboot cuts connections, loses the overlay and keeps what is persistent', async () => {
    const { lab, clock } = await startReady()
    const client = await openSsh(lab, 'n1')
    await exec(client, 'sudo -n hostnamectl hostname fleeting; sudo -n mkdir -p /etc/lost')
    await exec(client, 'sudo -n tee /etc/lost/file', 'x')
    await exec(client, 'sudo -n tee /oem/99_x.yaml', 'stages:\n  initramfs:\n    - hostname: n1-kept\n')
    expect(lab.snapshot().nodes[0]?.hostName).toBe('fleeting')
    const closed = new Promise<void>((resolve) =>
      client.once('close', () => {
        resolve()
      }),
    )
    const token = await logIn(lab, 'n1')
    expect((await callLab(lab, 'n1', 'POST', `${host}/actions/reboot`, { token })).status).toBe(202)
    await closed
    await clock.advance(3 * minute)
    expect(lab.snapshot().nodes[0]).toMatchObject({ stage: 'ready', hostName: 'n1-kept' })
    const again = await openSsh(lab, 'n1')
    expect((await exec(again, 'cat /etc/lost/file')).code).toBe(1)
    expect((await exec(again, 'hostname')).out).toBe('n1-kept\n')
    again.end()
  })

  test('two labs of the same plan are the same machines', async () => {
    const facts = async () => {
      const { lab } = await startReady()
      return lab.snapshot().nodes.map(({ certificate: _, ...rest }) => rest)
    }
    expect(await facts()).toEqual(await facts())
  })

  test('a hundred nodes start within seconds and stop without leaving anything open', async () => {
    const began = performance.now()
    const lab = await startLab({ plan: examplePlan(undefined, 100), timeScale: 100_000 })
    running.push(lab)
    expect(performance.now() - began).toBeLessThan(10_000)
    while (lab.snapshot().nodes.some((node) => node.stage !== 'ready')) await systemClock.sleep(2)
    expect((await callLab(lab, 'n100', 'GET', '/v1/ping')).status).toBe(200)
    const ports = lab.description.endpoints.map((endpoint) => endpoint.loopbackPort)
    await lab.stop()
    await expect(lab.dialler.dial({ host: '10.10.200.102', port: 22 })).rejects.toMatchObject({
      code: 'EHOSTUNREACH',
    })
    const probe = createServer()
    await new Promise<void>((resolve) => probe.listen(ports[0], '127.0.0.1', resolve))
    await new Promise((resolve) => probe.close(resolve))
  })

  test('another process attaches with the description as JSON', async () => {
    const lab = await startLab({ plan: examplePlan(), timeScale: 50_000 })
    running.push(lab)
    const attached = attachToLab(JSON.parse(JSON.stringify(lab.description)))
    while (lab.snapshot().nodes.some((node) => node.stage !== 'ready')) await attached.clock.sleep(minute)
    const socket = await attached.dialler.dial({ host: '10.10.200.103', port: 22 })
    socket.destroy()
    expect(Math.abs(attached.clock.now() - lab.clock.now())).toBeLessThan(10 * minute)
    expect(() => attachToLab({ kind: 'something' })).toThrow(/does not describe/)
  })
})

describe('logins', () => {
  test('SSH: wrong password, unknown user and right password', async () => {
    const { lab } = await startReady()
    await expect(openSsh(lab, 'n1', { password: 'wrong' })).rejects.toMatchObject({
      level: 'client-authentication',
    })
    await expect(openSsh(lab, 'n1', { username: 'root' })).rejects.toMatchObject({
      level: 'client-authentication',
    })
    const client = await openSsh(lab, 'n1')
    expect((await exec(client, 'whoami')).out).toBe('kairos\n')
    client.end()
    expect(lab.report().failedLogins).toHaveLength(2)
  })

  test('keyboard-interactive and a public key that was installed through the Local UI', async () => {
    const { lab } = await startReady()
    const sock = await lab.dialler.dial({ host: '10.10.200.102', port: 22 })
    const client = new ssh2.Client()
    client.on('keyboard-interactive', (_name, _instructions, _lang, _prompts, finish) => {
      finish(['kairos'])
    })
    await new Promise<void>((resolve, reject) => {
      client.once('ready', () => {
        resolve()
      })
      client.once('error', reject)
      client.connect({ sock, username: 'kairos', tryKeyboard: true })
    })
    client.end()

    const keys = createKeyPair('ed25519', 'test')
    const login = { privateKey: keys.private, password: undefined } as object
    await expect(openSsh(lab, 'n1', login)).rejects.toThrow()
    await callLab(lab, 'n1', 'PATCH', '/v1/users/current', {
      token: await logIn(lab, 'n1'),
      body: { sshKeys: [keys.public] },
    })
    const keyed = await openSsh(lab, 'n1', login)
    expect((await exec(keyed, 'whoami')).out).toBe('kairos\n')
    keyed.end()
  })

  test('five failures over both protocols lock the account for 15 minutes, even for the right password', async () => {
    const { lab, clock } = await startReady()
    const wrong = (password: string) =>
      callLab(lab, 'n1', 'POST', '/v1/users/default/login', { body: { username: 'kairos', password } })
    for (const password of ['one', 'two']) expect((await wrong(password)).status).toBe(400)
    for (const password of ['three', 'four']) {
      const attempt = openSsh(lab, 'n1', { password }).catch((error: unknown) => error)
      await until(clock, () => lab.report().failedLogins.some((one) => one.attempts > 0) && isOver(attempt))
    }
    const last = wrong('four')
    await until(clock, () => isOver(last))
    expect(lab.report()).toMatchObject({ lockOuts: 1, repeatedWrongPasswords: 1 })
    const refused = await wrong('kairos')
    expect(refused.status).toBe(400)
    expect(at(refused.json, 'code')).toBe('UserLocked')
    await expect(openSsh(lab, 'n1')).rejects.toThrow()
    await clock.advance(15 * minute)
    expect((await wrong('kairos')).status).toBe(200)
  })

  test('from the third failure on the answer is delayed, doubling from one simulated second', async () => {
    const { lab, clock } = await startReady()
    const wrong = (password: string) =>
      callLab(lab, 'n1', 'POST', '/v1/users/default/login', { body: { username: 'kairos', password } })
    await wrong('one')
    await wrong('two')
    for (const seconds of [1, 2, 4]) {
      const before = clock.now()
      const attempt = wrong(`wrong-${seconds}`)
      await until(clock, () => isOver(attempt), 100)
      expect(clock.now() - before).toBeGreaterThanOrEqual(seconds * 1000)
      expect(clock.now() - before).toBeLessThan(seconds * 1000 + 900)
    }
  })

  test('a session ends after two hours, an extended one after 24', async () => {
    const { lab, clock } = await startReady()
    const login = (query: string) =>
      callLab(lab, 'n1', 'POST', `/v1/users/default/login${query}`, {
        body: { username: 'kairos', password: 'kairos' },
      })
    const short = String(at((await login('')).json, 'Token', 'Authorization'))
    const long = String(at((await login('?extendedSession=true')).json, 'Token', 'Authorization'))
    const status = async (token: string) => (await callLab(lab, 'n1', 'GET', host, { token })).status
    await clock.advance(119 * minute)
    expect(await status(short)).toBe(200)
    await clock.advance(2 * minute)
    expect([await status(short), await status(long)]).toEqual([401, 200])
    await clock.advance(22 * 60 * minute)
    expect(await status(long)).toBe(401)
    expect(await status('a.b.c')).toBe(401)
    const cookie = (await login('')).headers['set-cookie']
    const header = String(cookie).split(';')[0] ?? ''
    expect((await callLab(lab, 'n1', 'GET', host, { headers: { cookie: header } })).status).toBe(200)
  })

  test('a password change holds for SSH too and ends the sessions', async () => {
    const { lab } = await startReady()
    const token = await logIn(lab, 'n1')
    const reset = (oldPassword: string, newPassword: string) =>
      callLab(lab, 'n1', 'POST', '/v1/users/default/password/reset', {
        token,
        body: { oldPassword, newPassword },
      })
    expect((await reset('wrong', 'Long-Enough-99')).status).toBe(400)
    expect((await reset('kairos', 'kairos')).status).toBe(400)
    expect((await reset('kairos', 'Long-Enough-99')).status).toBe(204)
    expect((await callLab(lab, 'n1', 'GET', host, { token })).status).toBe(401)
    await expect(openSsh(lab, 'n1')).rejects.toThrow()
    ;(await openSsh(lab, 'n1', { password: 'Long-Enough-99' })).end()
    const login = await callLab(lab, 'n1', 'POST', '/v1/users/default/login', {
      body: { username: 'kairos', password: 'Long-Enough-99' },
    })
    expect(at(login.json, 'IsFirstLogin')).toBe(false)
    expect(lab.snapshot().nodes.map((node) => node.isPasswordChanged)).toEqual([true, false, false])
  })
})

describe('address changes', () => {
  test('over the API the old endpoint dies and the new one answers', async () => {
    const { lab, clock } = await startReady({
      plan: examplePlan((plan) => {
        const [first] = plan['nodes'] as Record<string, unknown>[]
        if (first !== undefined) first['nic'] = { mode: 'static', address: '10.10.200.21' }
      }),
    })
    expect(lab.description.endpoints.filter((one) => one.node === 'n1').map((one) => one.host)).toEqual([
      '10.10.200.102',
      '10.10.200.102',
      '10.10.200.21',
      '10.10.200.21',
    ])
    const token = await logIn(lab, 'n1')
    const answer = await callLab(lab, 'n1', 'PUT', '/v1/edge-mgmt/network/interfaces/ens160/config', {
      token,
      body: { type: 'static', ip: '10.10.200.21', subnet: '24', gateway: '10.10.200.1' },
    })
    expect(answer.status).toBe(202)
    const summary = await callLab(lab, 'n1', 'GET', '/v1/edge-mgmt/network/interfaces/ens160', { token })
    expect(at(summary.json, 'status')).toBe('applying')
    await clock.advance(10_000)
    await expect(lab.dialler.dial({ host: '10.10.200.102', port: 5080 })).rejects.toMatchObject({
      code: 'EHOSTUNREACH',
    })
    expect((await callLab(lab, 'n1', 'GET', host, { token })).status).toBe(200)
    expect(lab.snapshot().nodes[0]?.nic).toMatchObject({
      address: '10.10.200.21',
      mode: 'static',
      prefix: 24,
    })
  })

  test('over SSH with a networkd unit', async () => {
    const { lab } = await startReady()
    const client = await openSsh(lab, 'n2')
    const unit =
      '[Match]\nName=ens*\n[Network]\nAddress=10.10.200.32/24\nGateway=10.10.200.1\nDNS=10.10.200.2\n'
    await exec(client, 'cat > /tmp/unit', unit)
    const placed = await exec(
      client,
      'sudo -n install -m 644 /tmp/unit /etc/systemd/network/10-static.network',
    )
    expect(placed).toEqual({ code: 0, out: '', err: '' })
    const closed = new Promise<void>((resolve) =>
      client.once('close', () => {
        resolve()
      }),
    )
    client.exec('sudo -n networkctl reload', () => undefined)
    await closed
    expect(lab.snapshot().nodes[1]?.nic).toMatchObject({
      address: '10.10.200.32',
      nameservers: ['10.10.200.2'],
    })
    ;(await openSsh(lab, 'n2')).end()
  })
})

describe('linking', () => {
  test('Pending, InProgress, Completed, then content sync until Ready', async () => {
    const { lab, clock } = await startReady()
    expect(await linkNodes(lab, 'n1', ['n2', 'n3'])).toEqual([200, 200])
    const status = async (node: string) => {
      const answer = await callLab(lab, node, 'GET', `${host}/link/status`, { token: await logIn(lab, node) })
      return answer.json
    }
    expect(at(await status('n2'), 'status')).toBe('Pending')
    await clock.advance(5000)
    expect(at(await status('n2'), 'status')).toBe('InProgress')
    await clock.advance(20_000)
    expect(at(await status('n2'), 'status')).toBe('Completed')
    expect(at(await status('n1'), 'peers', 0)).toMatchObject({
      contentSyncStatus: 'Syncing',
      role: 'follower',
      ip: '10.10.200.103',
    })
    await clock.advance(5 * minute)
    const leader = await status('n1')
    expect(at(leader, 'peers', 1)).toMatchObject({
      contentSyncStatus: 'Synced',
      status: 'Ready',
      health: { status: 'Healthy' },
    })
    expect(at(leader, 'peers', 1, 'config', 'spec', 'networkInfo', 0, 'ip')).toBe('10.10.200.104')
    expect(at(await status('n3'), 'peers', 0, 'role')).toBe('leader')
    const change = await callLab(lab, 'n2', 'PUT', '/v1/edge-mgmt/network/interfaces/ens160/config', {
      token: await logIn(lab, 'n2'),
      body: { type: 'static', ip: '10.10.200.99', subnet: '24' },
    })
    expect(change.status).toBe(400)
  })

  test('a token lives two minutes, then it is refused and another one is handed out', async () => {
    const { lab, clock } = await startReady()
    const [leader, follower] = [await logIn(lab, 'n1'), await logIn(lab, 'n2')]
    const generate = async () =>
      (await callLab(lab, 'n1', 'POST', `${host}/link/generate-token`, { token: leader })).json
    const first = await generate()
    expect(first).toMatchObject({ interval: 120, remainingTime: 120 })
    await clock.advance(100_000)
    expect(await generate()).toMatchObject({ token: at(first, 'token'), remainingTime: 20 })
    await clock.advance(21_000)
    const link = (token: unknown) =>
      callLab(lab, 'n2', 'POST', `${host}/link`, { token: follower, body: { token } })
    const late = await link(at(first, 'token'))
    expect([late.status, at(late.json, 'code')]).toEqual([400, 'TokenExpired'])
    const second = await generate()
    expect(at(second, 'token')).not.toBe(at(first, 'token'))
    expect((await link(at(second, 'token'))).status).toBe(200)
    expect((await link(at(second, 'token'))).status).toBe(400)
    expect(lab.report()).toMatchObject({ linkRequests: 3, expiredTokens: 1, linksCompleted: 0 })
  })
})

describe('the cluster', () => {
  test('is accepted once and runs after about 25 minutes, the console API ten minutes after its page', async () => {
    const site = await startReady()
    const { lab, clock } = site
    expect(await deployCluster(site)).toBe(202)
    const created = clock.now()
    const token = await logIn(lab, 'n1')
    const second = await callLab(lab, 'n1', 'POST', '/v1/edge-mgmt/cluster', {
      token,
      body: await clusterBody(lab, 'n1'),
    })
    expect(second.status).toBe(500)
    expect(at(second.json, 'message')).toBe('cluster already exists')
    expect(lab.report()).toMatchObject({ clusterPosts: 2, clusterAccepted: 1 })

    const seen: string[] = []
    const times: Record<string, number> = {}
    const note = (what: string) => {
      if (!seen.includes(what)) seen.push(what)
      times[what] ??= Math.round((clock.now() - created) / minute)
    }
    while (clock.now() < created + 40 * minute) {
      await clock.advance(15_000)
      const { nodes, clusterState, console } = lab.snapshot()
      if (nodes[1]?.stage === 'booting') note('follower restarts')
      if (nodes[0]?.stage === 'booting') note('leader restarts')
      for (const port of [6443, 30003]) {
        const socket = await lab.dialler.dial({ host: '10.10.200.50', port }).catch(() => null)
        if (socket !== null) note(`port ${port}`)
        socket?.destroy()
      }
      if (clusterState === 'Running') note('running')
      note(`console ${console.state}`)
    }
    expect(seen).toEqual([
      'console closed',
      'follower restarts',
      'leader restarts',
      'port 6443',
      'port 30003',
      'console page',
      'running',
      'console api',
    ])
    expect(times).toMatchObject({ running: 25, 'port 6443': 6 })
    expect((times['console api'] ?? 0) - (times['console page'] ?? 0)).toBe(10)
    const answer = await callLab(lab, 'n1', 'GET', '/v1/edge-mgmt/cluster/details', { token })
    expect(at(answer.json, 'status')).toMatchObject({
      clusterState: 'Running',
      health: { status: 'Healthy' },
      ntpServersApplied: true,
      sshKeysApplied: true,
    })
  })

  test('answers "temporarily unavailable" for a while after the leader has restarted', async () => {
    const site = await startReady()
    await deployCluster(site)
    const statuses = new Set<number>()
    for (let elapsed = 0; elapsed < 12 * minute; elapsed += 10_000) {
      await site.clock.advance(10_000)
      const answer = await callLab(site.lab, 'n1', 'GET', '/v1/ping').catch(() => null)
      statuses.add(answer?.status ?? 0)
    }
    expect([...statuses].sort((a, b) => a - b)).toEqual([0, 200, 503])
  })

  test.each<[string, (body: Record<string, unknown>) => void, RegExp]>([
    [
      'a VIP that is a node',
      (body) => {
        vipOf(body)['host'] = '10.10.200.103'
      },
      /is the address of a host/,
    ],
    [
      'a VIP outside the network',
      (body) => {
        vipOf(body)['host'] = '10.99.0.1'
      },
      /outside the network/,
    ],
    [
      'an even control plane',
      (body) => {
        hostsOf(body).pop()
      },
      /odd number/,
    ],
    [
      'a host that is not linked',
      (body) => {
        hostsOf(body)[1] = { hostUid: 'edge-unknown' }
      },
      /is not linked/,
    ],
    [
      'a wrong address',
      (body) => {
        hostsOf(body)[1] = { ...hostsOf(body)[1], hostAddress: '10.10.200.9' }
      },
      /has the address/,
    ],
    [
      'an unknown field',
      (body) => {
        body['kind'] = 'Cluster'
      },
      /kind/,
    ],
    [
      'a missing required variable',
      (body) => {
        variableOf(body, 'registry.password')['value'] = ''
      },
      /is required/,
    ],
    [
      'a variable that is not offered',
      (body) => {
        variableOf(body, 'registry.user')['name'] = 'user'
      },
      /no variable user/,
    ],
    [
      'a drive that is not there',
      (body) => {
        variableOf(body, 'csi.storagepoolDrive')['value'] = '/dev/sdx'
      },
      /no disk/,
    ],
    [
      'a missing pool list',
      (body) => {
        delete cloudSpecOf(body)['machinePoolConfig']
      },
      /machinePoolConfig/,
    ],
  ])('refuses %s and says why', async (_name, spoil, reason) => {
    const site = await startReady()
    await linkNodes(site.lab, 'n1', ['n2', 'n3'])
    await site.clock.advance(6 * minute)
    const body = await clusterBody(site.lab, 'n1')
    spoil(body)
    const answer = await callLab(site.lab, 'n1', 'POST', '/v1/edge-mgmt/cluster', {
      token: await logIn(site.lab, 'n1'),
      body,
    })
    expect(answer.status).toBe(500)
    expect(at(answer.json, 'message')).toMatch(reason)
    expect(site.lab.report()).toMatchObject({ clusterPosts: 1, clusterAccepted: 0 })
  })
})

describe('uploads', () => {
  test('are hashed while they stream; a reader that is slow holds the sender back', async () => {
    const { lab } = await startReady()
    const token = await logIn(lab, 'n1')
    const size = 64 * 1024 * 1024
    const before = process.memoryUsage().rss
    const form = multipartOf(size, 'pack.zst')
    const answer = await callLab(lab, 'n1', 'POST', `${host}/actions/upload-content`, {
      token,
      headers: form.headers,
      stream: Readable.from(form.chunks()),
    })
    expect(answer.status).toBe(201)
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024)
    const { createHash } = await import('node:crypto')
    const wanted = createHash('sha256').update(Buffer.alloc(size)).digest('hex')
    expect(lab.snapshot().nodes[0]?.uploads).toMatchObject([{ fileName: 'pack.zst', size, sha256: wanted }])
    const details = await callLab(lab, 'n1', 'GET', `${host}/uploaded-content/details`, { token })
    expect(details.json).toMatchObject({ sha256Hash: wanted, sizeInBytes: size })
  })
})

function cloudSpecOf(body: Record<string, unknown>): Record<string, unknown> {
  return at(body, 'spec', 'cloudConfig', 'spec') as Record<string, unknown>
}

function vipOf(body: Record<string, unknown>): Record<string, unknown> {
  return at(body, 'spec', 'cloudConfig', 'spec', 'clusterConfig', 'controlPlaneEndpoint') as Record<
    string,
    unknown
  >
}

function hostsOf(body: Record<string, unknown>): Record<string, unknown>[] {
  return at(body, 'spec', 'cloudConfig', 'spec', 'machinePoolConfig', 0, 'hosts') as Record<string, unknown>[]
}

function variableOf(body: Record<string, unknown>, name: string): Record<string, unknown> {
  const all = at(body, 'spec', 'profileVariables') as Record<string, unknown>[]
  const found = all.find((one) => one['name'] === name)
  if (found === undefined) throw new Error(`no variable ${name}`)
  return found
}

const finished = new WeakSet<Promise<unknown>>()
const watched = new WeakSet<Promise<unknown>>()

/** Whether a promise is settled; the first question starts the watching. */
function isOver(promise: Promise<unknown>): boolean {
  if (!watched.has(promise)) {
    watched.add(promise)
    const mark = () => void finished.add(promise)
    promise.then(mark, mark)
  }
  return finished.has(promise)
}

/** Lets time pass in small steps, with turns of the event loop for the sockets between, until `isTrue`. */
async function until(clock: TestLab['clock'], isTrue: () => boolean, step = 200): Promise<void> {
  while (!isTrue()) {
    // Sockets need real turns of the loop: a step of simulated time must not overtake an answer on its way.
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setTimeout(resolve, 0))
    if (!isTrue()) await clock.advance(step)
  }
}
