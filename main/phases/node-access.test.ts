import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  listen,
  rejectionOf,
  sendJson,
  startTestServer,
  type TestServer,
} from '../../e2e/network/https-server.ts'
import { createTestCertificate, type TestCertificate } from '../../e2e/network/test-certificate.ts'
import type { PlanNode } from '../../shared/plan/index.ts'
import { systemClock } from '../engine/clock.ts'
import { RunHistory } from '../engine/history.ts'
import type { PhaseContext } from '../engine/phase.ts'
import { identityOfCertificate, readCertificate } from '../network/certificate.ts'
import { systemDialler, type Dialler } from '../network/dialler.ts'
import type { SecretStore } from '../secrets/index.ts'
import { openIdentityStore, type IdentityStore } from '../storage/identity-store.ts'
import { NodeAccess } from './node-access.ts'
import { vipPlan } from './testing/vip-site.ts'

const [before, planned] = ['10.0.0.2', '10.0.0.7']

let own: TestCertificate
let foreign: TestCertificate
beforeAll(async () => {
  own = await createTestCertificate()
  foreign = await createTestCertificate()
})

let folder: string
let node: TestServer
let stranger: TestServer
/** Who answers at which address; the others are silent. */
let hosts: Partial<Record<string, Pick<TestServer, 'endpoint'>>>
let identities: IdentityStore
let access: NodeAccess
let planNode: PlanNode
let pinned: string[]
let context: PhaseContext<unknown>

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'landfall-access-'))
  identities = await openIdentityStore(join(folder, 'identities.json'))
  node = await startTestServer(own, (_, response) => {
    sendJson(response, 200, {})
  })
  stranger = await startTestServer(foreign, (_, response) => {
    sendJson(response, 200, {})
  })
  hosts = {}
  pinned = []
  const dialler: Dialler = {
    dial: (endpoint, options) => {
      const server = hosts[endpoint.host]
      return server === undefined
        ? Promise.reject(Object.assign(new Error('no route'), { code: 'EHOSTUNREACH' }))
        : systemDialler.dial(server.endpoint, options)
    },
  }
  const plan = vipPlan()
  const [first] = plan.nodes
  if (first === undefined) throw new TypeError('the plan has a node')
  planNode = { ...first, address: before, nic: { ...first.nic, mode: 'static', address: planned, mask: 28 } }
  access = new NodeAccess({
    plan: { ...plan, nodes: [planNode] },
    secrets: { resolve: () => Promise.resolve('secret') } as unknown as SecretStore,
    areSecretsComplete: true,
    identities,
    dialler,
    clock: systemClock,
    readFile: () => Promise.reject(new Error('not used')),
  })
  const unused = () => Promise.reject(new Error('not used'))
  context = {
    services: undefined,
    phase: 'configure-hosts',
    mode: 'apply',
    clock: systemClock,
    signal: new AbortController().signal,
    history: new RunHistory(),
    change: unused,
    waitFor: unused,
    progress: () => undefined,
    evidence: () => undefined,
    warn: () => undefined,
    report: (report) => {
      if (report.type === 'identity-pinned') pinned.push(`${report.endpoint} ${report.fingerprint}`)
      return Promise.resolve()
    },
  }
})
afterEach(async () => {
  await access.close()
  await Promise.all([node.close(), stranger.close()])
  rmSync(folder, { recursive: true, force: true })
})

/** The node was seen at this address before. */
async function know(host: string): Promise<void> {
  const certificate = await readCertificate(node.endpoint, { dialler: systemDialler })
  await identities.pin(
    'tls',
    { host, port: planNode.localUi.port },
    { ...identityOfCertificate(certificate, '2026-01-01T00:00:00.000Z'), provenBy: 'ssh' },
  )
}

describe('finding a node of two addresses', () => {
  it.each([
    ['at the planned address while the node is at its old one', planned, before],
    ['at the old address while the node is at the planned one', before, planned],
  ])('goes past a stranger %s, and sends that one nothing', async (_, theirs, its) => {
    await know(before)
    hosts = { [theirs]: stranger, [its]: node }
    const client = await access.client(context, planNode)
    expect(access.addressOf(planNode)).toBe(its)
    await client.ping({ signal: context.signal })
    expect(node.requests).toHaveLength(1)
    expect(stranger.requests).toEqual([])
    expect(identities.get('tls', { host: theirs, port: planNode.localUi.port })?.fingerprint).not.toBe(
      foreign.fingerprint,
    )
    expect(pinned.join()).not.toContain(foreign.fingerprint)
  })

  it('stops for the stranger when nobody shows the known certificate', async () => {
    await know(before)
    for (const now of [
      { [planned]: stranger },
      { [before]: stranger },
      { [planned]: stranger, [before]: stranger },
    ]) {
      hosts = now
      expect(await rejectionOf(access.client(context, planNode))).toMatchObject({
        code: 'TLS_IDENTITY_CHANGED',
        isTransient: false,
      })
    }
    expect(stranger.requests).toEqual([])
    expect(pinned).toEqual([])
  })

  it('is not kept from the node by a machine without TLS at the planned address', async () => {
    await know(before)
    const plain = await listen(
      createServer((socket) => {
        socket.end('220 welcome\r\n')
      }),
    )
    hosts = { [planned]: plain, [before]: node }
    await access.client(context, planNode)
    await plain.close()
    expect(access.addressOf(planNode)).toBe(before)
  })

  it('waits for the node, where nobody answers', async () => {
    await know(before)
    expect(await rejectionOf(access.client(context, planNode))).toMatchObject({ isTransient: true })
  })

  it('carries the proof of its certificate to its new address', async () => {
    await know(before)
    hosts = { [planned]: node }
    await access.client(context, planNode)
    expect(access.addressOf(planNode)).toBe(planned)
    expect(identities.get('tls', { host: planned, port: planNode.localUi.port })).toMatchObject({
      fingerprint: own.fingerprint,
      provenBy: 'ssh',
    })
  })

  it('trusts at first sight whoever is where the plan says that the node is, not where it shall be', async () => {
    hosts = { [planned]: stranger, [before]: node }
    await access.client(context, planNode)
    expect(access.addressOf(planNode)).toBe(before)
    expect(pinned).toEqual([expect.stringContaining(own.fingerprint)])
    expect(stranger.requests).toEqual([])
  })
})
