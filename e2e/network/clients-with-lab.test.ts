import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../main/engine/clock.ts'
import {
  createLocalApiClient,
  type ClusterConfiguration,
  type LocalApiClient,
} from '../../main/appliance/index.ts'
import { clusterBody, minute, startReadyLab, type TestLab } from '../../main/lab/testing/site.ts'
import { readCertificate } from '../../main/network/certificate.ts'
import type { Endpoint } from '../../main/network/dialler.ts'
import { createSystemConsoleClient } from '../../main/palette/index.ts'
import { connectSsh, readHostKey } from '../../main/ssh/index.ts'
import { rejectionOf } from './https-server.ts'
import { sha256 } from './sshd.ts'

const user = { username: 'kairos', password: 'kairos' }
const newPassword = 'A-Better-Password-2027'

let test: TestLab
let closers: (() => Promise<void>)[]
beforeEach(async () => {
  closers = []
  test = await startReadyLab()
})
afterEach(async () => {
  for (const close of closers.reverse()) await close()
  await test.lab.stop()
})

/** Time passes while a client waits, and only then. */
function steppingClock(): Clock {
  return { now: () => test.lab.clock.now(), sleep: (milliseconds) => test.clock.advance(milliseconds) }
}

/** After a few failures the node answers late, in its own time. */
async function whileTimePasses<Result>(promise: Promise<Result>): Promise<Result> {
  let isSettled = false
  const settle = () => {
    isSettled = true
  }
  promise.then(settle, settle)
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    if (isSettled) return await promise
    await test.clock.advance(1000)
  }
}

async function pinOf(endpoint: Endpoint) {
  const certificate = await readCertificate(endpoint, { dialler: test.lab.dialler })
  return { fingerprint: certificate.fingerprint, certificatePem: certificate.pem }
}

async function clientOf(host: string, node: string): Promise<LocalApiClient> {
  const endpoint = { host, port: 5080 }
  const client = createLocalApiClient({
    endpoint,
    pin: await pinOf(endpoint),
    dialler: test.lab.dialler,
    clock: steppingClock(),
    node,
  })
  closers.push(client.close)
  return client
}

describe('the clients against the practice lab', () => {
  it('go from the first login over linking and the cluster to the system console', async () => {
    const nodes = test.lab.snapshot().nodes.map((node) => ({ name: node.name, address: node.nic.address }))
    const clients = await Promise.all(nodes.map((node) => clientOf(node.address, node.name)))
    const [leader, ...followers] = clients
    if (leader === undefined) throw new Error('the lab has no node')

    for (const client of clients) {
      expect((await client.ping()).msg).toBeDefined()
      expect(await client.login(user)).toMatchObject({ kind: 'accepted' })
      expect((await client.edgeHost()).metadata?.id).toBeDefined()
      expect((await client.settings()).managementMode).toBe('local')
    }
    for (const follower of followers) {
      const { token } = await leader.generateLinkToken()
      await follower.link(token)
    }
    await test.clock.advance(10 * minute)
    for (const follower of followers) expect((await follower.linkStatus())?.status).toBe('Completed')
    expect((await leader.linkStatus())?.peers.length).toBeGreaterThanOrEqual(followers.length)

    const configuration = (await clusterBody(test.lab, leader.node)) as ClusterConfiguration
    const archive = await leader.archiveDetails('embedded')
    const validated = await leader.validateVariables({
      archiveUploadPath: archive?.archiveUploadPath ?? '',
      clusterName: 'palette',
      variables: (configuration.spec.profileVariables ?? []).map(
        ({ name = '', value = '', profileUid = '' }) => ({
          name,
          value,
          profileUid,
        }),
      ),
    })
    expect(validated.variables.filter((variable) => variable.isValid === false)).toEqual([])
    expect(await leader.cluster()).toBeUndefined()
    await leader.createCluster(configuration)
    expect((await leader.cluster())?.metadata.name).toBe('palette')
    await test.clock.advance(60 * minute)
    const details = await leader.clusterDetails()
    expect(details?.status).toMatchObject({ clusterState: 'Running', health: { status: 'Healthy' } })
    expect((await leader.clusterApplications())?.clusterProfileTemplates.length).toBeGreaterThan(0)
    expect((await leader.registryHealth()).State).toBe('Healthy')
    expect((await leader.clusterNodes()).nodes).toHaveLength(nodes.length)
    await leader.clusterEvents()
    await leader.lifecycleEvents()
    await leader.registryContent()
    await leader.registrySyncStatus()

    const endpoint = { host: '10.10.200.50', port: 443 }
    const console = createSystemConsoleClient({
      endpoint,
      pin: await pinOf(endpoint),
      dialler: test.lab.dialler,
      clock: steppingClock(),
    })
    closers.push(console.close)
    expect(await console.page('/system')).toBe(200)
    expect(await console.isApiAlive()).toBe(true)
    expect(await console.login({ username: 'admin', password: 'admin' })).toMatchObject({ kind: 'accepted' })
    expect(
      await console.setFirstPassword({ email: 'op@example.org', oldPassword: 'admin', newPassword }),
    ).toEqual({ kind: 'changed' })
    expect(await console.login({ username: 'admin', password: newPassword })).toMatchObject({
      kind: 'accepted',
    })
    expect((await console.me()).status?.isPasswordReset).toBe(true)
    expect(await console.installedVersion()).toBeDefined()
    expect(await console.isHealthy()).toBe(true)
    const [registry] = await console.ociRegistries()
    if (registry === undefined) throw new Error('the console has no registry')
    await console.syncRegistry(registry.metadata.uid)
    expect((await console.registrySync(registry.metadata.uid)).status).toBeDefined()
  }, 60_000)

  it('change the password, upload content, and see a lock-out and an older password for what they are', async () => {
    const [node] = test.lab.snapshot().nodes
    if (node === undefined) throw new Error('the lab has no node')
    const client = await clientOf(node.nic.address, node.name)
    await client.login(user)
    expect(await client.changePassword(user.password, newPassword)).toEqual({ kind: 'changed' })
    expect(await client.login(user)).toMatchObject({ kind: 'refused' })
    expect(await rejectionOf(client.login(user))).toMatchObject({ code: 'LOGIN_ALREADY_REFUSED' })
    expect(await client.login({ ...user, password: newPassword })).toMatchObject({ kind: 'accepted' })

    const bytes = randomBytes(2 * 1024 * 1024 + 1)
    await client.uploadContent({
      source: {
        open: async function* () {
          await Promise.resolve()
          yield bytes
        },
      },
      fileName: 'packs.tar.zst',
      size: bytes.length,
      sha256: sha256(bytes),
      signature: 'abcdef',
    })
    await test.clock.advance(10 * minute)
    expect(await client.uploadedContent()).toMatchObject({
      fileName: 'packs.tar.zst',
      sizeInBytes: bytes.length,
      sha256Hash: sha256(bytes),
    })

    // Longer than a session: it renews itself.
    await test.clock.advance(100 * minute)
    await client.currentUser()

    const outcomes: string[] = []
    for (let attempt = 0; attempt < 7; attempt++) {
      const outcome = await whileTimePasses(client.login({ ...user, password: `wrong-${String(attempt)}` }))
      outcomes.push(outcome.kind)
      if (outcome.kind === 'locked') {
        expect(outcome.until ?? 0).toBeGreaterThan(test.lab.clock.now())
        break
      }
    }
    expect(outcomes.at(-1)).toBe('locked')
  }, 60_000)

  it('read a host key, log in over SSH, run a command and move a file', async () => {
    const [node] = test.lab.snapshot().nodes
    if (node === undefined) throw new Error('the lab has no node')
    const endpoint = { host: node.nic.address, port: 22 }
    const { dialler } = test.lab
    const pinned = await readHostKey(endpoint, { dialler })
    const options = { endpoint, username: user.username, dialler, hostKey: { pinned } }
    const connection = await connectSsh({ ...options, auth: { password: user.password } })
    closers.push(connection.close)
    expect(await connection.exec('hostname')).toMatchObject({ exitCode: 0 })
    const bytes = randomBytes(300_000)
    await connection.sftp.writeFile('/home/kairos/landfall.bin', bytes, { mode: 0o640 })
    expect(sha256(await connection.sftp.readFile('/home/kairos/landfall.bin'))).toBe(sha256(bytes))
    expect(await rejectionOf(connectSsh({ ...options, auth: { password: 'wrong' } }))).toMatchObject({
      code: 'SSH_LOGIN_REFUSED',
    })
  })
})
