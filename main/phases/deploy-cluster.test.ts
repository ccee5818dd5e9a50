import { describe, expect, it } from 'vitest'
import type { Dialler } from '../network/dialler.ts'
import { deployCluster } from './deploy-cluster.ts'
import { eventsOf, vipPlan, vipSite, type VipWorld } from './testing/vip-site.ts'

const address = '10.0.0.12'
const nobody: Dialler = { dial: () => Promise.reject(new Error('connect ETIMEDOUT')) }

/** Runs the phase on a site without a cluster; `requests` counts how often it was asked for. */
async function deployOn(world: VipWorld, dialler = nobody) {
  const vip = vipSite({ plan: vipPlan({ vip: address }), ...world })
  const leader = await vip.site.nodes.localApi(undefined as never, undefined as never)
  let requests = 0
  let exists = false
  const answer = await leader.cluster({ signal: new AbortController().signal })
  expect(answer).toBeUndefined()
  Object.assign(vip.site, {
    dialler,
    prepared: { configuration: {}, summary: [], registryAuthority: undefined },
    nodes: {
      ...vip.site.nodes,
      localApi: () =>
        Promise.resolve({
          cluster: () => Promise.resolve(exists ? planned : undefined),
          createCluster: () => {
            requests += 1
            exists = true
            return Promise.resolve()
          },
        }),
    },
    facts: new Map(vip.site.plan.nodes.map(({ name }) => [name, { uid: `edge-${name}` }])),
  })
  const { result, events } = await vip.run([deployCluster])
  return { result, events, requests: () => requests, asked: vip.asked }
}

const planned = {
  metadata: { name: 'palette' },
  spec: {
    cloudConfig: {
      spec: {
        clusterConfig: { controlPlaneEndpoint: { host: address } },
        machinePoolConfig: [{ hosts: ['n1', 'n2', 'n3'].map((name) => ({ hostUid: `edge-${name}` })) }],
      },
    },
  },
}

describe('right before the cluster is asked for', () => {
  it('the address is looked at once more', async () => {
    const { result, events, requests } = await deployOn({})
    expect(result.errors).toEqual([])
    expect(requests()).toBe(1)
    const texts = events.flatMap((event) => (event.type === 'evidence' ? [event.statement] : [event.type]))
    expect(texts.indexOf(`Nobody answers for ${address}`)).toBeLessThan(texts.indexOf('change-started'))
    expect(eventsOf(events, 'change-started')).toHaveLength(1)
  })

  it('a machine that drops everything but ARP stops the run: its MAC address, and who heard it', async () => {
    const { result, requests } = await deployOn({ hosts: { [address]: { mac: '02:00:00:00:00:05' } } })
    const [error] = result.errors
    expect(error).toMatchObject({ code: 'VIP_IN_USE', phase: 'deploy-cluster' })
    expect(error?.detail).toMatch(/workstation heard 02:00:00:00:00:05/)
    expect(requests()).toBe(0)
  })

  it('a port that answers stops the run, where nobody could ask by ARP', async () => {
    const socket = { destroy: () => undefined } as never
    const dialler: Dialler = {
      dial: ({ port }) => (port === 443 ? Promise.resolve(socket) : Promise.reject(new Error('refused'))),
    }
    const { result, requests } = await deployOn({ workstation: undefined }, dialler)
    expect(result.errors).toMatchObject([{ code: 'VIP_IN_USE' }])
    expect(result.errors[0]?.detail).toContain('TCP port 443')
    expect(requests()).toBe(0)
  })

  it('nobody to ask is no reason to stop', async () => {
    const { result, requests } = await deployOn({ workstation: undefined })
    expect(result.errors).toEqual([])
    expect(requests()).toBe(1)
  })
})
