import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { RunEvent } from '../../shared/events/index.ts'
import {
  expectDone,
  expectInstalledOnce,
  threeNodes,
  withSite,
  type PlanInput,
  type TestSite,
} from './harness.ts'

/** Milliseconds; most of it is waiting for a place, see withSite. */
const timeout = 400_000

function planWith(change: Partial<PlanInput>): PlanInput {
  return { ...threeNodes(), ...change }
}

const nodeOf = (number: number, leader = false) => ({
  name: `n${String(number)}`,
  address: `10.10.200.${String(10 + number)}`,
  leader,
})

/** The body of the one request that made the cluster. */
function clusterOf(site: TestSite): unknown {
  return site.exchanges.find(({ method, path }) => method === 'POST' && path === '/v1/edge-mgmt/cluster')
    ?.requestBody
}

/** Installs the plan, whose files the work has made, and looks at the result. */
async function expectInstalls(site: TestSite, plan: PlanInput): Promise<readonly RunEvent[]> {
  const events = await expectDone(site.run())
  await expectInstalledOnce(site, plan)
  return events
}

describe.concurrent('shapes of a site', { timeout }, () => {
  test('one node', () => {
    const plan = planWith({
      nodes: [nodeOf(1, true)],
      cluster: { ...threeNodes().cluster, mongoReplicas: 1 },
    })
    return withSite({ plan }, async (site) => {
      await expectInstalls(site, plan)
    })
  })

  const moving = planWith({
    nodes: [1, 2, 3].map((number) => ({
      ...nodeOf(number, number === 1),
      nic: { mode: 'static' as const, address: `10.10.200.${String(30 + number)}`, mask: 24 },
    })),
  })

  async function expectMoved(site: TestSite): Promise<void> {
    await expectInstalledOnce(site, moving)
    expect(site.lab.snapshot().nodes.map(({ nic }) => [nic.mode, nic.address, nic.gateway])).toEqual(
      [31, 32, 33].map((last) => ['static', `10.10.200.${String(last)}`, '10.10.200.1']),
    )
    expect(JSON.stringify(clusterOf(site))).not.toMatch(/10\.10\.200\.1[123]\b/)
  }

  test('nodes that get another address are followed there', () =>
    withSite({ plan: moving }, async (site) => {
      await expectDone(site.run())
      await expectMoved(site)
      // A later run finds them there at once, although the plan says where they were.
      await expectDone(site.run())
      await expectMoved(site)
    }))

  test.each(['change-started', 'change-finished'])(
    'nodes that get another address are found after a kill at %s',
    (type) =>
      withSite({ plan: moving }, async (site) => {
        const event = { type, phase: 'configure-hosts', node: 'n2', key: 'network' }
        expect((await site.runUntilKilled({ event }).ended).signal).toBe('SIGKILL')
        await expectDone(site.run('--resume'))
        await expectMoved(site)
      }),
  )

  test('a worker pool', () => {
    const plan = planWith({
      nodes: [1, 2, 3, 4, 5].map((number) => nodeOf(number, number === 1)),
      cluster: {
        ...threeNodes().cluster,
        pools: {
          controlPlane: { hosts: [{ node: 'n1' }, { node: 'n2' }, { node: 'n3' }] },
          worker: { hosts: [{ node: 'n4' }, { node: 'n5' }], labels: { rack: 'east' } },
        },
      },
    })
    return withSite({ plan }, async (site) => {
      await expectInstalls(site, plan)
      const body = JSON.stringify(clusterOf(site))
      const ids = site.lab.snapshot().nodes.map(({ edgeHostId }) => edgeHostId)
      const [controlPlane, worker] = body.split('worker-pool')
      expect(ids.map((id) => controlPlane?.includes(id))).toEqual([true, true, true, false, false])
      expect(ids.map((id) => worker?.includes(id))).toEqual([false, false, false, true, true])
    })
  })

  test('a proxy', () => {
    const proxy = { http: 'http://10.10.200.5:3128', https: 'http://10.10.200.5:3128', caCerts: ['ca.pem'] }
    const plan = planWith({ site: { ...threeNodes().site, proxy } })
    return withSite({ plan }, async (site) => {
      await writeFile(join(site.folder, 'ca.pem'), site.lab.snapshot().nodes[0]?.certificate ?? '')
      await expectInstalls(site, plan)
      for (const { configurations, configurationState } of site.lab.snapshot().nodes) {
        expect(configurationState).toBe('Configured')
        expect(configurations).toMatchObject({ httpProxy: proxy.http, httpsProxy: proxy.https })
        expect(configurations.noProxy).toMatch(/10\.10\.200\.100/)
        expect(configurations.caCerts).toHaveLength(1)
      }
    })
  })

  test('an external registry', () => {
    const plan = planWith({
      appliance: { variant: 'C', packs: ['pack.tar.zst'] },
      access: {
        user: 'operator',
        initialPassword: { env: 'NODE_PASSWORD' },
        newPassword: { generate: 'node' },
      },
      cluster: {
        ...threeNodes().cluster,
        registry: {
          inCluster: false,
          endpoint: 'registry.example.com',
          port: 5000,
          username: 'pull',
          password: { generate: 'registry' },
          caCert: 'ca.pem',
        },
      },
    })
    return withSite({ plan, initialNodePassword: 'First-Password-1' }, async (site) => {
      site.env['NODE_PASSWORD'] = 'First-Password-1'
      await writeFile(join(site.folder, 'ca.pem'), site.lab.snapshot().nodes[0]?.certificate ?? '')
      await expectInstalls(site, plan)
      expect(JSON.stringify(clusterOf(site))).toMatch(/registry\.example\.com/)
    })
  })
})

describe.concurrent('generations of the procedure', { timeout }, () => {
  test.each(['B', 'C'] as const)('variant %s, with an account that has no documented password', (variant) => {
    const plan = planWith({
      appliance: { variant, packs: ['pack.tar.zst'] },
      access: {
        user: 'operator',
        initialPassword: { env: 'NODE_PASSWORD' },
        newPassword: { generate: 'node' },
      },
      cluster: {
        name: 'palette',
        serviceCidr: '100.64.64.0/18',
        registry: { password: { generate: 'registry' } },
      },
    })
    return withSite({ plan, initialNodePassword: 'First-Password-1' }, async (site) => {
      site.env['NODE_PASSWORD'] = 'First-Password-1'
      await expectInstalls(site, plan)
    })
  })

  test('variant D: the content bundle is there before the nodes fetch it', () => {
    const plan = planWith({
      appliance: {
        variant: 'D',
        packs: ['pack.tar.zst'],
        content: { bundle: 'bundle.tar.zst', signature: 'bundle.sig.bin' },
      },
      access: {
        user: 'operator',
        initialPassword: { env: 'NODE_PASSWORD' },
        newPassword: { generate: 'node' },
      },
      cluster: {
        name: 'palette',
        serviceCidr: '100.64.64.0/18',
        registry: { password: { generate: 'registry' } },
      },
    })
    return withSite({ plan, initialNodePassword: 'First-Password-1' }, async (site) => {
      site.env['NODE_PASSWORD'] = 'First-Password-1'
      await writeFile(join(site.folder, 'bundle.tar.zst'), zstdCompressSync(randomBytes(300_000)))
      await writeFile(join(site.folder, 'bundle.sig.bin'), randomBytes(256))
      // Such an appliance takes no pack without its signature either.
      await writeFile(join(site.folder, 'pack.tar.zst.sig.bin'), randomBytes(256))
      const events = await expectInstalls(site, plan)
      const [leader] = site.lab.snapshot().nodes
      expect(leader?.uploads.map(({ fileName }) => fileName)).toEqual(['bundle.tar.zst', 'pack.tar.zst'])
      for (const { signature } of leader?.uploads ?? []) expect(signature).toMatch(/^[0-9a-f]{512}$/)
      const finished = (phase: string) =>
        events.findIndex((event) => event.type === 'phase-finished' && event.phase === phase)
      expect(finished('upload-content')).toBeGreaterThan(-1)
      expect(finished('upload-content')).toBeLessThan(finished('sync-content'))
    })
  })
})
