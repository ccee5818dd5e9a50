import { beforeEach, describe, expect, it, vi } from 'vitest'
import { SimulatedSegment, type SimulatedHost } from '../network/proof-of-life/testing/simulated-segment.ts'
import type { SiteContext } from './site.ts'
import { vipPlan } from './testing/vip-site.ts'
import { readOwnMachines } from './vip-own-machines.ts'
import type { NodeRunner } from './vip-vantages.ts'

const world = vi.hoisted(() => ({ open: [] as NodeRunner[] }))
vi.mock(import('./vip-vantages.ts'), async (original) => ({
  ...(await original()),
  openRunners: () => Promise.resolve({ open: world.open, absent: [] }),
}))

const context = { signal: new AbortController().signal } as SiteContext
let segment: SimulatedSegment
let hosts: SimulatedHost[]
beforeEach(() => {
  segment = new SimulatedSegment()
  hosts = ['n1', 'n2', 'n3'].map((name, index) => segment.addHost(name, `10.0.0.${String(2 + index)}`))
  world.open = vipPlan().nodes.flatMap((node) =>
    hosts
      .filter(({ name }) => name === node.name)
      .map((host) => ({ node, runner: segment.node(host).runner })),
  )
})

describe('what the nodes say of themselves', () => {
  it('are all their addresses, also one that a proof or a cluster gave them, and their MAC addresses', async () => {
    const [, n2] = hosts
    if (n2 !== undefined) segment.give(n2, '10.0.0.12', { prefix: 32 })
    const { addresses, macs } = await readOwnMachines(context)
    expect(addresses.get('10.0.0.12')).toBe('an address of n2')
    expect(addresses.get('10.0.0.2')).toBe('an address of n1')
    expect([...macs]).toEqual(hosts.map(({ name, mac }) => [mac, name]))
  })

  it.each([
    ['is away', { connection: 'down' }],
    ['writes rubbish', { readBack: 'rubbish' }],
  ] as const)('leaves out a node that %s: its MAC address counts like a stranger’s', async (_, faults) => {
    const [n1] = hosts
    Object.assign(n1?.faults ?? {}, faults)
    const { addresses, macs } = await readOwnMachines(context)
    expect([...macs.values()]).toEqual(['n2', 'n3'])
    expect(addresses.has('10.0.0.2')).toBe(false)
  })
})
