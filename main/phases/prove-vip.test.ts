import { beforeEach, describe, expect, it, vi } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import type { ProofLeg, ProofOptions, ProofReport } from '../network/proof-of-life/proof.ts'
import { proveVip } from './prove-vip.ts'
import { eventsOf, vipPlan, vipSite, type VipWorld } from './testing/vip-site.ts'

const proof = vi.hoisted(() => ({
  /** What the proof does and finds. */
  prove: (_options: ProofOptions): Promise<ProofReport> => Promise.reject(new Error('no proof expected')),
  nodes: ['n1', 'n2'],
  leftovers: [] as string[],
}))
vi.mock(import('../network/proof-of-life/index.ts'), async (original) => ({
  ...(await original()),
  proveAddress: (options: ProofOptions) => proof.prove(options),
}))
vi.mock(import('./proof-nodes.ts'), () => ({
  openProofNodes: () =>
    Promise.resolve({
      nodes: proof.nodes.map((name) => ({
        name,
        runner: { place: name, platform: 'linux' as const, run: () => Promise.reject(new Error(name)) },
        interface: 'eth0',
        mac: '02:00:00:00:00:01',
        address: '10.0.0.2',
      })),
      absent: [{ name: 'n3', reason: 'no SSH.' }],
    }),
}))
vi.mock(import('./vip-leftover.ts'), () => ({
  removeLeftovers: (_context, address) => {
    proof.leftovers.push(address)
    return Promise.resolve()
  },
}))

const address = '10.0.0.12'

function leg(from: string, to: string, more: Partial<ProofLeg> = {}): ProofLeg {
  return {
    from,
    to,
    vantage: from === 'workstation' ? 'workstation' : 'node',
    arp: 'owner',
    macs: ['02:00:00:00:00:01'],
    ip: 'reached',
    detail: 'ping answered',
    milliseconds: 40,
    ...more,
  }
}

function report(more: Partial<ProofReport> = {}): ProofReport {
  return {
    address,
    outcome: 'works',
    legs: [leg('n2', 'n1'), leg('n1', 'n2')],
    handOverMilliseconds: 1234,
    missedHandOver: [],
    removed: 'confirmed',
    warnings: [],
    reason: 'It was reached; the hand-over took 1234 ms.',
    ...more,
  }
}

beforeEach(() => {
  proof.nodes = ['n1', 'n2']
  proof.leftovers = []
  proof.prove = () => Promise.resolve(report())
})

/** Runs the phase on a site whose address was seen free some time ago. */
async function proveOn(
  world: VipWorld = {},
  {
    seenAgo = 61_000,
    ...options
  }: { seenAgo?: number } & Parameters<ReturnType<typeof vipSite>['run']>[1] = {},
) {
  const vip = vipSite({ plan: vipPlan({ vip: address }), ...world })
  const started = vip.clock.now()
  vip.site.vipSeenFreeAt = started - seenAgo
  const { result, events } = await vip.run([proveVip], options)
  const lookedAt = events.find((event) => event.type === 'progress' && event.detail.startsWith('Asking'))
  return {
    ...vip,
    result,
    events,
    texts: eventsOf(events, 'warning').map(({ text }) => text),
    proven: eventsOf(events, 'evidence'),
    lookedAfter: lookedAt === undefined ? undefined : Date.parse(lookedAt.time) - started,
  }
}

describe('the second look', () => {
  it('waits only for what is left of a minute', async () => {
    proof.nodes = []
    const { lookedAfter, proven } = await proveOn({}, { seenAgo: 20_000 })
    expect(lookedAfter).toBeGreaterThanOrEqual(40_000)
    expect(lookedAfter).toBeLessThan(47_000)
    expect(proven[0]?.statement).toBe(`Nobody answers for ${address}`)
  })

  it('is made at once when the minute is over', async () => {
    proof.nodes = []
    expect((await proveOn()).lookedAfter).toBeLessThan(6_000)
  })

  it('finds who came meanwhile', async () => {
    proof.nodes = []
    const { result } = await proveOn({ hosts: { [address]: { mac: '02:00:00:00:00:05' } } })
    expect(result.errors).toMatchObject([{ code: 'VIP_IN_USE', phase: 'prove-vip' }])
    expect(result.errors[0]?.detail).toContain('02:00:00:00:00:05')
  })

  it('comes after what an interrupted proof left was taken away', async () => {
    await proveOn()
    expect(proof.leftovers).toEqual([address])
  })

  it('is what the proof begins with, where there is one: a minute later as well', async () => {
    let proofAfter = 0
    const vip = { seenAgo: 20_000 }
    proof.prove = ({ clock }) => {
      proofAfter = clock.now()
      return Promise.resolve(report())
    }
    const { clock, asked } = await proveOn({}, vip)
    expect(asked).toEqual([])
    expect(clock.now() - proofAfter).toBeLessThan(1000)
    expect(proofAfter - Date.UTC(2026, 0, 1)).toBeGreaterThanOrEqual(40_000)
  })

  it.each([
    ['nobody can try the address out', []],
    ['a proof comes to no end', ['n1']],
  ])('is made all the same when %s', async (_name, nodes) => {
    proof.nodes = nodes
    proof.prove = () => Promise.resolve(report({ outcome: 'inconclusive', reason: 'There is no ip.' }))
    const hosts = { [address]: { mac: '02:00:00:00:00:05' } }
    expect((await proveOn({ hosts })).result.errors).toMatchObject([{ code: 'VIP_IN_USE' }])
  })
})

describe('the proof', () => {
  it('is told with what every place saw, the hand-over, and who could not take part', async () => {
    const { result, proven } = await proveOn()
    expect(result.outcome).toBe('done')
    const { statement, seen } = proven.at(-1) ?? { statement: '', seen: '' }
    expect(statement).toBe(`${address} works`)
    expect(seen).toContain('the hand-over took 1234 ms')
    expect(seen).toContain('n2 → n1: ping answered; n1 → n2: ping answered.')
    expect(seen).toContain('Not tried from: n3: no SSH.')
  })

  it('makes every act on a node through the journal, named with its node', async () => {
    const seen: string[] = []
    proof.prove = async ({ change }) => {
      for (const node of ['n1', 'n2']) {
        await change(node, 'hold-address', `Give it to ${node}`, () => {
          seen.push(node)
          return Promise.resolve()
        })
      }
      return report()
    }
    const { events, site } = await proveOn()
    expect(seen).toEqual(['n1', 'n2'])
    expect(eventsOf(events, 'change-started').map(({ key, what }) => [key, what])).toEqual([
      ['hold-address n1', 'Give it to n1'],
      ['hold-address n2', 'Give it to n2'],
    ])
    expect(eventsOf(events, 'change-finished').map(({ outcome }) => outcome)).toEqual(['done', 'done'])
    expect(site.isVipRaised).toBe(false)
  })

  it('stops the run when a node does not reach the address, with the leg and ways out', async () => {
    proof.prove = () =>
      Promise.resolve(
        report({
          outcome: 'unreachable',
          legs: [leg('n2', 'n1', { arp: 'silent', ip: 'silent' })],
          reason: 'n2 did not reach it at n1 (ping without answer).',
        }),
      )
    const { result } = await proveOn()
    const [error] = result.errors
    expect(error).toMatchObject({ code: 'VIP_NOT_REACHABLE', isTransient: false })
    expect(error?.detail).toContain('n2 did not reach it at n1')
    expect(error?.remedies.join(' ')).toMatch(/port security.*vipProof: false/s)
  })

  it('stops the run when a node does not follow the hand-over', async () => {
    proof.prove = () =>
      Promise.resolve(
        report({ outcome: 'unreachable', missedHandOver: [{ from: 'n3', lastSeen: 'old MAC address' }] }),
      )
    expect((await proveOn()).result.errors).toMatchObject([{ code: 'VIP_NOT_REACHABLE' }])
  })

  it('warns when only this workstation does not reach the address', async () => {
    proof.prove = () =>
      Promise.resolve(
        report({
          outcome: 'unreachable',
          legs: [leg('n2', 'n1'), leg('workstation', 'n1', { arp: 'unknown', ip: 'silent' })],
          missedHandOver: [{ from: 'workstation', lastSeen: 'silent' }],
          reason: 'workstation did not reach it at n1.',
        }),
      )
    const { result, texts } = await proveOn()
    expect(result.outcome).toBe('done')
    expect(texts.join(' ')).toContain('this workstation does not: workstation did not reach it at n1.')
  })

  it('stops the run when somebody else answers', async () => {
    proof.prove = () =>
      Promise.resolve(report({ outcome: 'conflict', legs: [], reason: 'A stranger answers.' }))
    const [error] = (await proveOn()).result.errors
    expect(error).toMatchObject({ code: 'VIP_IN_USE', detail: 'A stranger answers.' })
  })

  it('says what was not proven when it came to no end, and the run goes on', async () => {
    proof.prove = () =>
      Promise.resolve(
        report({ outcome: 'inconclusive', reason: 'There is no program ip.', warnings: ['n1 is old.'] }),
      )
    const { result, texts, proven } = await proveOn()
    expect(result.outcome).toBe('done')
    expect(texts).toEqual([
      'n1 is old.',
      `It was not proven that ${address} works: There is no program ip. Not tried from: n3: no SSH.`,
    ])
    expect(proven.map(({ statement }) => statement)).not.toContain(`${address} works`)
  })

  it('says so when no node can try it', async () => {
    proof.nodes = []
    const { result, texts } = await proveOn()
    expect(result.outcome).toBe('done')
    expect(texts).toEqual([`It was not proven that ${address} works: no node can try it out. n3: no SSH.`])
  })

  it('takes the address away at the end when that is not certain', async () => {
    proof.prove = async ({ change }) => {
      await change('n1', 'hold-address', 'Give it to n1', () => Promise.resolve())
      throw new AppError({ code: 'PROOF_ADDRESS_REMAINS', title: 'It is not certain.' })
    }
    const { result, site } = await proveOn()
    expect(result.errors).toMatchObject([{ code: 'PROOF_ADDRESS_REMAINS' }])
    // Before the look, and in the end.
    expect(proof.leftovers).toEqual([address, address])
    expect(site.isVipRaised).toBe(false)
  })
})

describe('there is no proof', () => {
  beforeEach(() => {
    proof.prove = () => Promise.reject(new Error('it was tried out'))
  })

  it('where the plan forbids it; a minute has passed all the same before the next look', async () => {
    const plan = vipPlan({ vip: address, vipProof: false })
    const { result, proven, asked, clock } = await proveOn({ plan }, { seenAgo: 20_000 })
    expect(result.outcome).toBe('done')
    expect(asked).toEqual([])
    expect(proven.at(-1)).toMatchObject({ seen: 'site.vipProof is false' })
    expect(clock.now() - Date.UTC(2026, 0, 1)).toBeGreaterThanOrEqual(40_000)
  })

  it('once the cluster is there', async () => {
    const { result, asked, proven } = await proveOn({ clusterVip: address })
    expect(result.outcome).toBe('done')
    expect(asked).toEqual([])
    expect(proven).toMatchObject([{ seen: expect.stringContaining('GET /v1/edge-mgmt/cluster') as string }])
  })

  it('once the cluster was asked for', async () => {
    const base = { time: '2026-01-01T00:00:00.000Z', phase: 'deploy-cluster', key: 'create-cluster' } as const
    const shape = {
      runId: 'r',
      site: 's',
      planDigest: 'a'.repeat(64),
      mode: 'apply',
      phases: [],
      nodes: [],
    } as const
    const earlier: RunEvent[] = [
      { ...shape, type: 'run-started', seq: 1, time: base.time, phases: [], nodes: [] },
      { ...base, type: 'change-started', seq: 2, what: 'create it' },
    ]
    expect((await proveOn({}, { earlier })).asked).toEqual([])
  })

  it('in a dry run, which lists what would be raised where', async () => {
    const { events, asked } = await proveOn({}, { mode: 'dry-run' })
    expect(asked).toEqual([])
    expect(eventsOf(events, 'change-planned').map(({ what }) => what)).toEqual([
      expect.stringContaining(`raise ${address} on n1 for at most 30 s`),
      expect.stringContaining(`raise ${address} on n2 for at most 30 s`),
    ])
    const forbidden = await proveOn({ plan: vipPlan({ vip: address, vipProof: false }) }, { mode: 'dry-run' })
    expect(eventsOf(forbidden.events, 'change-planned')).toEqual([])
  })
})
