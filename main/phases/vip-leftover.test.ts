import { beforeEach, describe, expect, it, vi } from 'vitest'
import { sitePhase } from '../engine/phase.ts'
import type { RunOptions } from '../engine/run.ts'
import { SimulatedSegment, type SimulatedHost } from '../network/proof-of-life/testing/simulated-segment.ts'
import type { Site } from './site.ts'
import { eventsOf, vipSite } from './testing/vip-site.ts'
import { removeLeftovers } from './vip-leftover.ts'
import type { NodeRunner } from './vip-vantages.ts'

const world = vi.hoisted(() => ({ open: [] as NodeRunner[] }))
vi.mock(import('./vip-vantages.ts'), async (original) => ({
  ...(await original()),
  openRunners: () => Promise.resolve({ open: world.open, absent: [] }),
}))

const address = '10.0.0.12'
let segment: SimulatedSegment
let hosts: SimulatedHost[]
beforeEach(() => {
  segment = new SimulatedSegment()
  hosts = ['n1', 'n2', 'n3'].map((name, index) => segment.addHost(name, `10.0.0.${String(2 + index)}`))
  const { site } = vipSite()
  world.open = site.plan.nodes.flatMap((node) =>
    hosts
      .filter(({ name }) => name === node.name)
      .map((host) => ({ node, runner: segment.node(host).runner })),
  )
})

const [n1, n2] = [0, 1].map((index) => (): SimulatedHost => {
  const host = hosts[index]
  if (host === undefined) throw new Error('no host')
  return host
}) as [() => SimulatedHost, () => SimulatedHost]

/** A run of a single phase that does nothing but this. */
function remove(options: Partial<RunOptions<Site>> = {}) {
  const phase = sitePhase<Site, undefined>({
    id: 'find-vip',
    title: 'Remove what was left',
    expectedSeconds: 1,
    work: 'ssh',
    gather: () => Promise.resolve(undefined),
    assumeFresh: () => undefined,
    apply: (context) => removeLeftovers(context, address),
  })
  return vipSite().run([phase], { clock: segment.clock, retryDelaysSeconds: [], ...options })
}

const inSeconds = (seconds: number) => segment.clock.now() + seconds * 1000
const acts = () => segment.commands.filter((command) => / address (add|del|replace) /.test(command))

describe('what an interrupted proof left on a node', () => {
  it('is known by its mark, and taken away through the journal', async () => {
    segment.give(n2(), address, { prefix: 32, label: 'eth0:lf', expiresAt: inSeconds(25) })
    const { result, events } = await remove()
    expect(result).toMatchObject({ outcome: 'done', errors: [] })
    expect(segment.has(n2(), address)).toBe(false)
    expect(eventsOf(events, 'change-started')).toMatchObject([
      { key: 'remove-leftover n2', what: `take ${address} away from n2, where an interrupted proof left it` },
    ])
    expect(acts()).toHaveLength(1)
  })

  it('is waited for where the name of the interface left no room for a mark', async () => {
    segment.give(n1(), address, { prefix: 32, expiresAt: inSeconds(25) })
    const started = segment.clock.now()
    const { result, events } = await remove()
    expect(result.outcome).toBe('done')
    expect(segment.has(n1(), address)).toBe(false)
    expect(segment.clock.now() - started).toBeGreaterThanOrEqual(25_000)
    expect(eventsOf(events, 'change-started')).toEqual([])
  })

  it('stops the run, with the command to remove it by hand, when it cannot be taken away', async () => {
    segment.give(n2(), address, { prefix: 32, label: 'eth0:lf', expiresAt: Infinity })
    n2().faults.keepsAddresses = true
    const [error] = (await remove()).result.errors
    expect(error).toMatchObject({ code: 'PROOF_ADDRESS_REMAINS', node: 'n2' })
    expect(error?.remedies.join(' ')).toContain(`sudo ip address del ${address}/32 dev eth0`)
  })

  it('is left alone by a dry run', async () => {
    segment.give(n2(), address, { prefix: 32, label: 'eth0:lf', expiresAt: inSeconds(25) })
    await remove({ mode: 'dry-run' })
    expect(acts()).toEqual([])
  })
})

describe('who had the address', () => {
  it('is forgotten by the nodes that know somebody, and by no others', async () => {
    n1().neighbours.set(address, { mac: n2().mac, learnedAt: segment.clock.now() })
    expect((await remove()).result.outcome).toBe('done')
    expect(n1().neighbours.has(address)).toBe(false)
    expect(segment.commands.filter((command) => command.includes('flush'))).toEqual([
      `n1: ip neigh flush to ${address} dev eth0`,
    ])
  })

  it('stays known where nobody may become root, which is no failure', async () => {
    n1().neighbours.set(address, { mac: n2().mac, learnedAt: segment.clock.now() })
    n1().faults.keepsNeighbours = true
    expect((await remove()).result).toMatchObject({ outcome: 'done', errors: [] })
    expect(n1().neighbours.has(address)).toBe(true)
  })
})

describe('an address that no proof has marked is not touched:', () => {
  it.each([
    ['of the node itself', {}],
    ['that lives longer than any proof', { prefix: 32, expiresAt: 60_000 }],
    ['of a network', { prefix: 24, expiresAt: 20_000 }],
  ])('%s', async (_name, options) => {
    const { expiresAt } = { expiresAt: Infinity, ...options }
    segment.give(n1(), address, { ...options, expiresAt: segment.clock.now() + expiresAt })
    const started = segment.clock.now()
    expect((await remove()).result.outcome).toBe('done')
    expect(segment.has(n1(), address)).toBe(true)
    expect(acts()).toEqual([])
    expect(segment.clock.now() - started).toBeLessThan(1000)
  })
})

it('a node that does not tell its addresses is judged from the outside', async () => {
  n1().faults.readBack = 'rubbish'
  expect((await remove()).result.outcome).toBe('done')
})
