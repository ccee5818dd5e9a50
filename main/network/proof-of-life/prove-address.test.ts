import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkResultSchema, isBlocking, resultOf, type CheckResult } from '../../../shared/checks/index.ts'
import { AppError } from '../../../shared/errors/index.ts'
import { StoppedByOperator } from '../../engine/cancellation.ts'
import { toFindings } from './check-results.ts'
import { proveAddress } from './prove-address.ts'
import type { ProofOptions, ProofReport } from './proof.ts'
import { SimulatedSegment, type HostFaults, type SimulatedHost } from './testing/simulated-segment.ts'

const address = '10.10.200.100'

interface World {
  readonly segment: SimulatedSegment
  readonly nodes: readonly SimulatedHost[]
  readonly changes: string[]
  prove(options?: Partial<ProofOptions>): Promise<ProofReport>
}

function worldOf(count: number, faults: Readonly<Record<string, Partial<HostFaults>>> = {}): World {
  const segment = new SimulatedSegment()
  const nodes = Array.from({ length: count }, (_, index) =>
    segment.addHost(`n${index + 1}`, `10.10.200.${index + 11}`, faults[`n${index + 1}`]),
  )
  const changes: string[] = []
  return {
    segment,
    nodes,
    changes,
    prove: (options = {}) => {
      const signal = options.signal ?? new AbortController().signal
      return proveAddress({
        address,
        nodes: nodes.map((host) => segment.node(host)),
        clock: segment.clock,
        signal,
        change: async (node, key, _what, act) => {
          signal.throwIfAborted()
          changes.push(`${node} ${key}`)
          return act(signal)
        },
        ...options,
      })
    },
  }
}

/** Everybody who has the address now. */
function holdersIn({ segment }: World): string[] {
  return segment.hosts.filter((host) => segment.has(host, address)).map(({ name }) => name)
}

const byName = (world: World, name: string): SimulatedHost => {
  const host = world.segment.hosts.find((candidate) => candidate.name === name)
  if (host === undefined) throw new Error(`no host ${name}`)
  return host
}

const isBetween = (a: SimulatedHost, b: SimulatedHost, one: string, other: string) =>
  (a.name === one && b.name === other) || (a.name === other && b.name === one)

function checkResultsOf(report: ProofReport): CheckResult[] {
  return toFindings(report).map((finding) => checkResultSchema.parse(resultOf(finding, 0)))
}

describe('an address that works', () => {
  it.each([2, 3, 5])('is reached by every node at two holders, with %i nodes', async (count) => {
    const world = worldOf(count)
    const report = await world.prove()
    expect(report).toMatchObject({ outcome: 'works', removed: 'confirmed', warnings: [], missedHandOver: [] })
    expect(report.legs.map(({ from, to }) => `${from}>${to}`).toSorted()).toEqual(
      ['n1', 'n2']
        .flatMap((to) => world.nodes.flatMap(({ name }) => (name === to ? [] : [`${name}>${to}`])))
        .toSorted(),
    )
    for (const leg of report.legs) {
      expect(leg).toMatchObject({ arp: 'owner', ip: 'reached', macs: [byName(world, leg.to).mac] })
      expect(leg.milliseconds).toBeGreaterThan(0)
    }
    expect(report.handOverMilliseconds).toBeGreaterThan(0)
    expect(report.handOverMilliseconds).toBeLessThan(1000)
    expect(holdersIn(world)).toEqual([])
    expect(world.changes).toEqual(['n1 hold-address', 'n2 hold-address'])
  })

  it('is never raised without a lifetime of at most 30 s, nor as the source of connections', async () => {
    const world = worldOf(3)
    await world.prove()
    const raised = world.segment.commands.filter((text) => /ip address (add|replace)/.test(text))
    expect(raised.length).toBeGreaterThanOrEqual(2)
    for (const text of raised)
      expect(text).toMatch(/ 10\.10\.200\.100\/32 dev eth0 valid_lft 30 preferred_lft 0 label eth0:lf$/)
  })

  it('is announced by each holder while it has the address, and not later', async () => {
    const world = worldOf(2)
    await world.prove()
    for (const name of ['n1', 'n2']) {
      const own = world.segment.commands.filter((text) => text.startsWith(`${name}: `))
      const lastOf = (part: string) => own.findLastIndex((text) => text.includes(part))
      expect(lastOf('arping -U')).toBeGreaterThan(-1)
      expect(lastOf('arping -U')).toBeLessThan(lastOf('address del'))
    }
  })

  it('is forgotten by all nodes before they ask whether it is gone; that they cannot is no fault of it', async () => {
    const world = worldOf(3)
    await world.prove()
    const flushes = ['n1', 'n2', 'n3'].map((name) =>
      world.segment.commands.indexOf(`${name}: ip neigh flush to ${address} dev eth0`),
    )
    expect(Math.min(...flushes)).toBeGreaterThan(
      world.segment.commands.findLastIndex((text) => text.includes('address del')),
    )
    expect(Math.max(...flushes)).toBeLessThan(
      world.segment.commands.findLastIndex((text) => text.includes('arping')),
    )
    for (const { neighbours } of world.nodes) expect(neighbours.get(address)).toBeUndefined()

    const stubborn = worldOf(3)
    for (const host of stubborn.nodes) host.faults.keepsNeighbours = true
    expect(await stubborn.prove()).toMatchObject({ outcome: 'works', warnings: [] })
    expect(byName(stubborn, 'n1').neighbours.get(address)?.mac).toBe(byName(stubborn, 'n2').mac)
  })

  it('counts the workstation, whose way may be routed', async () => {
    const world = worldOf(2)
    const workstation = world.segment.workstation(world.segment.addHost('ws', '10.10.200.5'))
    const report = await world.prove({ workstation })
    expect(report).toMatchObject({ outcome: 'works' })
    expect(report.reason).toContain('and the workstation')
    expect(report.legs.filter(({ vantage }) => vantage === 'workstation')).toMatchObject([
      { from: 'workstation', to: 'n1', arp: 'unknown', ip: 'reached' },
      { from: 'workstation', to: 'n2', arp: 'unknown', ip: 'reached' },
    ])
  })

  it('is proven by TCP where echo requests are filtered', async () => {
    const report = await worldOf(3, { n1: { answers: 'tcp' }, n2: { answers: 'tcp' } }).prove()
    expect(report).toMatchObject({ outcome: 'works', removed: 'confirmed' })
    expect(report.legs[0]?.detail).toContain('TCP 22 refused, so answered')
  })

  it('is renewed while a short lifetime would end too early', async () => {
    const world = worldOf(3)
    expect(await world.prove({ lifetimeSeconds: 2 })).toMatchObject({
      outcome: 'works',
      removed: 'confirmed',
    })
    expect(world.segment.commands.some((text) => text.includes('address replace'))).toBe(true)
  })

  it('tells what it is doing, and never goes back', async () => {
    const fractions: number[] = []
    await worldOf(2).prove({ onProgress: (_detail, fraction = 0) => fractions.push(fraction) })
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
    expect(fractions.length).toBeGreaterThan(3)
  })

  it('is a passed check', async () => {
    const [result, ...others] = checkResultsOf(await worldOf(2).prove())
    expect(others).toEqual([])
    expect(result).toMatchObject({
      id: 'vip.reachable',
      target: address,
      state: 'pass',
    })
  })
})

describe('one node', () => {
  it('is enough together with the workstation; no hand-over is tried, and that is said', async () => {
    const world = worldOf(1)
    const workstation = world.segment.workstation(world.segment.addHost('ws', '10.10.200.5'))
    const report = await world.prove({ workstation })
    expect(report).toMatchObject({ outcome: 'works', handOverMilliseconds: undefined })
    expect(report.reason).toContain('no hand-over was tried')
  })

  it('proves nothing alone', async () => {
    const world = worldOf(1)
    const report = await world.prove()
    expect(report).toMatchObject({ outcome: 'inconclusive', legs: [], removed: 'confirmed' })
    expect(checkResultsOf(report)).toMatchObject([{ severity: 'warn', state: 'could-not-run' }])
    expect(holdersIn(world)).toEqual([])
  })
})

describe('a leg that does not work', () => {
  it('is found and named when ARP is dropped between two nodes', async () => {
    const world = worldOf(3)
    world.segment.loses = (a, b, kind) => kind === 'arp' && isBetween(a, b, 'n3', 'n1')
    const report = await world.prove()
    expect(report.outcome).toBe('unreachable')
    const [leg, ...others] = report.legs.filter(({ arp }) => arp !== 'owner')
    expect(leg).toMatchObject({ from: 'n3', to: 'n1', arp: 'silent', macs: [], ip: 'silent' })
    expect(others).toEqual([])
    expect(report.reason).toContain('n3 did not reach it at n1')
    const results = checkResultsOf(report)
    expect(results).toHaveLength(2)
    expect(results.every(isBlocking)).toBe(true)
    expect(results[0]).toMatchObject({ target: 'n3 → n1' })
    expect(results[0]?.remedy).toMatch(/port security/)
  })

  it('is found when only answers are lost, in one direction', async () => {
    const world = worldOf(3)
    world.segment.loses = (from, to, kind) => kind === 'ip' && from.name === 'n2' && to.name === 'n3'
    const report = await world.prove()
    expect(report.outcome).toBe('unreachable')
    expect(report.legs.filter(({ ip }) => ip === 'silent')).toMatchObject([
      { from: 'n3', to: 'n2', arp: 'owner' },
    ])
  })

  it('is asked again before it is called unreachable, and that packets get lost is told', async () => {
    const world = worldOf(3)
    let requests = 0
    world.segment.onCommand = (moment, _index, text) => {
      if (moment === 'before' && text.startsWith('n3: /usr/bin/arping -b')) requests += 1
    }
    world.segment.loses = (from, _to, kind) => from.name === 'n3' && kind !== 'announcement' && requests === 1
    const report = await world.prove()
    expect(report).toMatchObject({ outcome: 'works', missedHandOver: [] })
    expect(report.warnings).toEqual([
      expect.stringContaining('n3 reached 10.10.200.100 at n1 only when asked again'),
    ])
  })

  it('warns only when it is the workstation: its way may be filtered', async () => {
    const world = worldOf(2)
    const host = world.segment.addHost('ws', '10.10.200.5')
    world.segment.loses = (from) => from === host
    const report = await world.prove({ workstation: world.segment.workstation(host) })
    expect(report.outcome).toBe('unreachable')
    const results = checkResultsOf(report)
    expect(results.map(({ severity, state }) => [severity, state])).toEqual([
      ['warn', 'warn'],
      ['warn', 'warn'],
      ['warn', 'warn'],
    ])
    expect(report.handOverMilliseconds).toBeDefined()
  })

  it('is not timed, and its node missed the hand-over, when an announcement does not arrive', async () => {
    const world = worldOf(3)
    world.segment.loses = (_from, to, kind) => kind === 'announcement' && to.name === 'n3'
    const report = await world.prove()
    expect(report).toMatchObject({
      outcome: 'unreachable',
      handOverMilliseconds: undefined,
      missedHandOver: [{ from: 'n3' }],
    })
    expect(checkResultsOf(report).some(isBlocking)).toBe(true)
  })

  it('is not believed when the node before passes packets on', async () => {
    const world = worldOf(3, { n1: { forwards: true } })
    world.segment.loses = (_from, to, kind) => kind === 'announcement' && to.name === 'n3'
    const report = await world.prove()
    expect(report).toMatchObject({ outcome: 'unreachable', missedHandOver: [{ from: 'n3' }] })
    expect(report.missedHandOver[0]?.lastSeen).toContain('02:00:00:00:00:01')
  })

  it('is nothing that is known when its node cannot be reached', async () => {
    const world = worldOf(3, { n3: { connection: 'down' } })
    const report = await world.prove()
    expect(report).toMatchObject({ outcome: 'inconclusive', removed: 'confirmed' })
    expect(report.legs.filter(({ from }) => from === 'n3')).toMatchObject([
      { arp: 'unknown', ip: 'unknown' },
      { arp: 'unknown', ip: 'unknown' },
    ])
    expect(report.warnings.join(' ')).toContain('n3')
    expect(checkResultsOf(report).filter(({ state }) => state === 'pass')).toEqual([])
  })
})

describe('another machine with the address', () => {
  it('is a conflict before anything is raised', async () => {
    const world = worldOf(3)
    world.segment.give(world.segment.addHost('printer', '10.10.200.77'), address)
    const report = await world.prove()
    expect(report).toMatchObject({ outcome: 'conflict', legs: [], removed: 'confirmed' })
    expect(report.reason).toContain('02:00:00:00:00:04')
    expect(world.changes).toEqual([])
    expect(world.segment.commands.filter((text) => /address (add|replace|del)/.test(text))).toEqual([])
    expect(checkResultsOf(report)).toMatchObject([{ state: 'fail', severity: 'block' }])
  })

  it('is a conflict when only one node hears it', async () => {
    const world = worldOf(3)
    const printer = world.segment.addHost('printer', '10.10.200.77')
    world.segment.give(printer, address)
    world.segment.loses = (a, b) => (a === printer && b.name !== 'n2') || (b === printer && a.name !== 'n2')
    expect(await world.prove()).toMatchObject({ outcome: 'conflict' })
    expect(world.changes).toEqual([])
  })

  it('is a conflict when a node has it for itself, and that node keeps it', async () => {
    const world = worldOf(2)
    world.segment.give(byName(world, 'n2'), address)
    const report = await world.prove()
    expect(report.outcome).toBe('conflict')
    expect(report.reason).toContain('n2 itself has')
    expect(holdersIn(world)).toEqual(['n2'])
  })

  it.each(['n1', 'n2'])('is a conflict when it appears while %s holds it', async (holder) => {
    const world = worldOf(3)
    const late = world.segment.addHost('late', '10.10.200.77')
    world.segment.onCommand = (moment, _index, text) => {
      if (moment === 'after' && text.startsWith(`${holder}: ip address add`))
        world.segment.give(late, address)
    }
    const report = await world.prove()
    expect(report).toMatchObject({ outcome: 'conflict', removed: 'confirmed' })
    expect(report.legs.some(({ arp, macs }) => arp === 'other' && macs.includes(late.mac))).toBe(true)
    expect(report.reason).toContain(late.mac)
    expect(holdersIn(world)).toEqual(['late'])
    if (holder === 'n1') expect(world.changes).toEqual(['n1 hold-address'])
  })

  it('is a conflict when it appears after the last removal', async () => {
    const world = worldOf(3)
    const late = world.segment.addHost('late', '10.10.200.77')
    world.segment.onCommand = (moment, _index, text) => {
      if (moment === 'after' && text.startsWith('n2: ip address del')) world.segment.give(late, address)
    }
    const report = await world.prove()
    expect(report.outcome).toBe('conflict')
    expect(report.reason).toContain('After the address was taken away')
  })

  it('is found through the neighbour table where no node has arping', async () => {
    const faults: Partial<HostFaults> = { arping: 'none' }
    const world = worldOf(2, { n1: faults, n2: faults })
    world.segment.give(world.segment.addHost('printer', '10.10.200.77'), address)
    expect(await world.prove()).toMatchObject({ outcome: 'conflict' })
    expect(world.changes).toEqual([])
  })
})

describe('what a killed run left', () => {
  it('is known by its label, taken away first, and told', async () => {
    const world = worldOf(3)
    const expiresAt = world.segment.clock.now() + 25_000
    world.segment.give(byName(world, 'n3'), address, { expiresAt, prefix: 32, label: 'eth0:lf' })
    const report = await world.prove()
    expect(report).toMatchObject({ outcome: 'works', removed: 'confirmed' })
    expect(world.changes[0]).toBe('n3 remove-leftover')
    expect(report.warnings).toEqual([expect.stringContaining('from an earlier check')])
  })

  it('is waited for where the name of the interface left no room for the label', async () => {
    const world = worldOf(2)
    const expiresAt = world.segment.clock.now() + 25_000
    world.segment.give(byName(world, 'n2'), address, { expiresAt, prefix: 32 })
    expect(await world.prove()).toMatchObject({ outcome: 'works' })
    expect(world.changes).not.toContain('n2 remove-leftover')
  })

  it('is somebody else’s when it is renewed', async () => {
    const world = worldOf(2)
    const renew = () => {
      const expiresAt = world.segment.clock.now() + 25_000
      world.segment.give(byName(world, 'n2'), address, { expiresAt, prefix: 32 })
    }
    renew()
    world.segment.onCommand = renew
    expect(await world.prove()).toMatchObject({ outcome: 'conflict' })
    expect(world.changes).toEqual([])
  })

  it('stays a reason not to begin when it cannot be taken away', async () => {
    const world = worldOf(2, { n2: { keepsAddresses: true } })
    const expiresAt = world.segment.clock.now() + 60_000
    world.segment.give(byName(world, 'n2'), address, { expiresAt, prefix: 32, label: 'eth0:lf' })
    const report = await world.prove()
    expect(report).toMatchObject({ outcome: 'inconclusive', removed: 'by-lifetime' })
    expect(world.changes).toEqual(['n2 remove-leftover'])
  })
})

describe('a node whose ip cannot be trusted', () => {
  it('does not hold the address when it refuses lifetimes; the next ones do', async () => {
    const world = worldOf(4, { n1: { lifetimes: 'refuses' }, n3: { lifetimes: 'refuses' } })
    const report = await world.prove()
    expect(report).toMatchObject({ outcome: 'works', removed: 'confirmed' })
    expect(new Set(report.legs.map(({ to }) => to))).toEqual(new Set(['n2', 'n4']))
    expect(report.warnings).toHaveLength(2)
    expect(report.warnings[0]).toContain('n1 cannot hold 10.10.200.100 for 30 s and not longer')
  })

  it('has it taken away at once when it ignores lifetimes', async () => {
    const world = worldOf(2, { n1: { lifetimes: 'ignores' } })
    const report = await world.prove()
    // n2 could hold it, but there is no other one to take over.
    expect(report).toMatchObject({ outcome: 'inconclusive', removed: 'confirmed' })
    const { commands } = world.segment
    const raisedAt = commands.findIndex((text) => text.startsWith('n1: ip address add'))
    expect(commands.slice(raisedAt + 1, raisedAt + 3)).toEqual([
      'n1: ip -j address show',
      'n1: ip address del 10.10.200.100/32 dev eth0',
    ])
    expect(holdersIn(world)).toEqual([])
  })

  it('is told with the command that helps when it ignores lifetimes and keeps the address', async () => {
    const world = worldOf(2, { n1: { lifetimes: 'ignores', keepsAddresses: true } })
    const error = await world.prove().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({ code: 'PROOF_ADDRESS_REMAINS', node: 'n1', isTransient: false })
    expect((error as AppError).detail).toContain('It does not go by itself')
    expect((error as AppError).remedies.join(' ')).toContain('sudo ip address del 10.10.200.100/32 dev eth0')
  })

  it.each(['rubbish', 'without-the-address', 'other-interface', 'longer'] as const)(
    'does not hold the address when its read-back says %s',
    async (readBack) => {
      const world = worldOf(3)
      const liar = byName(world, 'n1')
      world.segment.onCommand = (moment, _index, text) => {
        if (moment === 'after' && text.startsWith('n1: ip address add')) liar.faults.readBack = readBack
        if (moment === 'before' && text.startsWith('n1: ip address del')) liar.faults.readBack = 'true'
      }
      const report = await world.prove()
      expect(report.outcome).toBe('works')
      expect(report.legs.some(({ to }) => to === 'n1')).toBe(false)
      expect(holdersIn(world)).toEqual([])
    },
  )

  it('makes nothing of it when no node can hold the address', async () => {
    const faults: Partial<HostFaults> = { lifetimes: 'refuses' }
    const report = await worldOf(2, { n1: faults, n2: faults }).prove()
    expect(report).toMatchObject({ outcome: 'inconclusive', legs: [], removed: 'confirmed' })
    expect(report.reason).toContain('No node could hold')
  })
})

describe('a node without the programs', () => {
  it('uses the neighbour table where there is no arping, and says that nothing is announced', async () => {
    const faults: Partial<HostFaults> = { arping: 'none' }
    const report = await worldOf(2, { n1: faults, n2: faults }).prove()
    expect(report.warnings.join(' ')).toContain('could not announce')
    // Nobody told n1 that the address moved to n2, but n1 has no old entry: it asks.
    expect(report).toMatchObject({ outcome: 'works' })
  })

  it('does not take an announced neighbour entry for an answer', async () => {
    const world = worldOf(3, { n2: { lifetimes: 'refuses', arping: 'none' } })
    world.segment.loses = (from, to, kind) => kind === 'arp' && from.name === 'n2' && to.name === 'n3'
    const report = await world.prove()
    expect(report.legs.find(({ from, to }) => from === 'n2' && to === 'n3')).toMatchObject({ arp: 'silent' })
    expect(report.outcome).toBe('unreachable')
  })

  it('is inconclusive without ping and bash', async () => {
    const report = await worldOf(2, { n2: { hasPing: false, hasBash: false } }).prove()
    expect(report.legs[0]).toMatchObject({ from: 'n2', arp: 'owner', ip: 'unknown' })
    expect(report.outcome).toBe('inconclusive')
  })

  it('does not take what arping never prints for silence', async () => {
    const faults: Partial<HostFaults> = { arping: 'rubbish', hasPing: false, hasBash: false }
    const world = worldOf(1, { n1: faults })
    world.segment.give(world.segment.addHost('printer', '10.10.200.77'), address)
    byName(world, 'n1').neighbours.set(address, { mac: '02:00:00:00:00:02', learnedAt: 0 })
    expect(await world.prove()).toMatchObject({ outcome: 'inconclusive' })
    expect(world.changes).toEqual([])
  })
})

describe('a workstation on the same segment', () => {
  it('that hears a MAC address before anything is raised tells a conflict', async () => {
    const world = worldOf(2)
    const macs = ['02:00:00:00:00:99']
    const report = await world.prove({
      workstation: { reach: () => Promise.resolve({ arp: 'other', macs, ip: 'silent', detail: 'arping' }) },
    })
    expect(report.outcome).toBe('conflict')
    expect(report.reason).toContain('02:00:00:00:00:99 answered the workstation')
    expect(world.changes).toEqual([])
  })

  it('that does not listen to its signal is not waited for when the operator stops', async () => {
    const world = worldOf(2)
    const stop = new AbortController()
    const reason = new StoppedByOperator()
    const proving = world.prove({
      signal: stop.signal,
      workstation: {
        reach: () => {
          stop.abort(reason)
          return new Promise(() => undefined)
        },
      },
    })
    await expect(proving).rejects.toBe(reason)
  })
})

describe('a workstation that gets answers for everything', () => {
  it('is told and not counted', async () => {
    const world = worldOf(2)
    const report = await world.prove({
      workstation: {
        reach: () => Promise.resolve({ arp: 'unknown', macs: [], ip: 'reached', detail: 'TCP 22 refused' }),
      },
    })
    expect(report.outcome).toBe('works')
    expect(report.legs.some(({ vantage }) => vantage === 'workstation')).toBe(false)
    expect(report.warnings.join(' ')).toContain('although no machine has it')
  })
})

describe('an address that goes away in the middle', () => {
  it('makes the legs void, not unreachable', async () => {
    const world = worldOf(3)
    const thief = byName(world, 'n1')
    world.segment.onCommand = (moment, _index, text) => {
      if (moment === 'before' && text.includes('arping -b')) thief.kernel.delete(address)
    }
    const report = await world.prove()
    expect(report.outcome).toBe('inconclusive')
    expect(report.reason).toContain('n1 lost 10.10.200.100')
    expect(report.legs.some(({ arp, ip }) => arp === 'silent' || ip === 'silent')).toBe(false)
  })

  it('also while they are asked again', async () => {
    const world = worldOf(2)
    let requests = 0
    world.segment.onCommand = (moment, _index, text) => {
      if (moment !== 'before' || !text.startsWith('n2: /usr/bin/arping -b')) return
      requests += 1
      if (requests === 2) byName(world, 'n1').kernel.delete(address)
    }
    world.segment.loses = (_from, _to, kind) => kind !== 'announcement' && requests === 1
    const report = await world.prove()
    expect(report.outcome).toBe('inconclusive')
    expect(report.reason).toContain('n1 lost 10.10.200.100')
  })
})

describe('two nodes with one MAC address', () => {
  it('are told before anything is raised', async () => {
    const world = worldOf(2)
    const twin = { ...byName(world, 'n2'), mac: byName(world, 'n1').mac }
    const nodes = [world.segment.node(byName(world, 'n1')), world.segment.node(twin)]
    const report = await world.prove({ nodes })
    expect(report.outcome).toBe('inconclusive')
    expect(report.reason).toContain('n1 and n2 have the same MAC address')
    expect(world.changes).toEqual([])
  })
})

describe('bad options', () => {
  it.each([
    ['10.0.0.300', {}],
    [address, { nodes: [] }],
    [address, { lifetimeSeconds: 31 }],
    [address, { lifetimeSeconds: 1 }],
    [address, { lifetimeSeconds: 2.5 }],
  ])('%s %j are refused', async (wrong, options) => {
    const world = worldOf(1)
    await expect(world.prove({ address: wrong, ...options })).rejects.toThrow(TypeError)
    expect(world.segment.commands).toEqual([])
  })
})

describe('a proof that is stopped', () => {
  /** Every moment at which something runs on a node: before each command, and after it took effect. */
  async function momentsOf(
    make: () => World,
  ): Promise<{ moment: 'before' | 'after'; index: number; text: string }[]> {
    const world = make()
    const moments: { moment: 'before' | 'after'; index: number; text: string }[] = []
    world.segment.onCommand = (moment, index, text) => moments.push({ moment, index, text })
    await world.prove()
    return moments
  }

  const worlds: Record<string, () => World> = {
    'three nodes': () => worldOf(3),
    'a leftover': () => {
      const world = worldOf(2)
      const expiresAt = world.segment.clock.now() + 25_000
      world.segment.give(byName(world, 'n2'), address, { expiresAt, prefix: 32, label: 'eth0:lf' })
      return world
    },
    'a first node without lifetimes': () => worldOf(3, { n1: { lifetimes: 'refuses' } }),
    'a node that ignores lifetimes': () => worldOf(3, { n1: { lifetimes: 'ignores' } }),
  }

  it.each(Object.entries(worlds))('leaves nothing behind, at every moment: %s', async (_name, make) => {
    const moments = await momentsOf(make)
    expect(moments.length).toBeGreaterThan(60)
    for (const [count] of moments.entries()) {
      const world = make()
      const stop = new AbortController()
      const reason = new StoppedByOperator()
      let seen = 0
      world.segment.onCommand = () => {
        if (seen++ === count) stop.abort(reason)
      }
      const hadLeftover = holdersIn(world)
      const startedAt = world.segment.clock.now()
      const outcome = await world.prove({ signal: stop.signal }).then(
        () => 'finished',
        (thrown: unknown) => thrown,
      )
      // Stopped while nothing was left to do but to tell.
      if (outcome !== 'finished') expect(outcome).toBe(reason)
      else expect(count).toBeGreaterThan(moments.length - 10)
      expect(world.segment.running).toBe(0)
      // A leftover that was not come to is not ours yet; it has its lifetime.
      const isUntouched = world.changes.length === 0
      expect(holdersIn(world)).toEqual(isUntouched ? hadLeftover : [])
      expect(world.segment.clock.now() - startedAt).toBeLessThan(90_000)
    }
  })

  it('takes the address away within the lifetime even when the program is killed at any moment', async () => {
    const moments = await momentsOf(() => worldOf(3))
    for (const [count] of moments.entries()) {
      const world = worldOf(3)
      let seen = 0
      const killed = new Promise<number>((resolve) => {
        world.segment.onCommand = () => {
          if (seen++ === count) resolve(world.segment.clock.now())
        }
      })
      // A killed program does nothing any more: no command starts after this one.
      const nodes = world.nodes.map((host) => {
        const node = world.segment.node(host)
        const run: typeof node.runner.run = (...command) =>
          seen > count ? new Promise(() => undefined) : node.runner.run(...command)
        return { ...node, runner: { ...node.runner, run } }
      })
      void world.prove({ nodes }).catch(() => undefined)
      const killedAt = await killed
      for (const host of world.nodes) {
        const entry = host.kernel.get(address)
        if (entry !== undefined) expect(entry.expiresAt - killedAt).toBeLessThanOrEqual(30_000)
      }
    }
  })

  it('says when the kernel removes the address, where its node does not answer any more', async () => {
    const world = worldOf(2)
    const stop = new AbortController()
    world.segment.onCommand = (moment, _index, text) => {
      if (moment === 'before' && text.includes('arping -b')) {
        byName(world, 'n1').faults.connection = 'down'
        stop.abort(new StoppedByOperator())
      }
    }
    const error = await world.prove({ signal: stop.signal }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'PROOF_ADDRESS_REMAINS', node: 'n1', isTransient: true })
    expect((error as AppError).cause).toBeInstanceOf(StoppedByOperator)
    expect((error as AppError).detail).toMatch(/Its kernel removes it by \d\d:\d\d:\d\d UTC at the latest/)
    const expiresAt = byName(world, 'n1').kernel.get(address)?.expiresAt ?? 0
    const told = /by (\S+) UTC/.exec((error as AppError).detail)?.[1] ?? ''
    expect(Date.parse(`2026-01-01T${told}Z`)).toBeGreaterThanOrEqual(expiresAt)
  })

  it('reports the same when it goes on: removed by lifetime', async () => {
    const world = worldOf(3)
    world.segment.onCommand = (moment, _index, text) => {
      if (moment === 'before' && text.startsWith('n2: ip address del'))
        byName(world, 'n2').faults.connection = 'down'
    }
    const report = await world.prove()
    // n2 still answers by ARP, which is no stranger.
    expect(report).toMatchObject({ outcome: 'works', removed: 'by-lifetime' })
    expect(holdersIn(world)).toEqual(['n2'])
    expect(report.warnings.join(' ')).toMatch(/It is not certain that 10\.10\.200\.100 is gone from n2/)
  })

  it('does not give the address to a second node while the first one may have it', async () => {
    const world = worldOf(2)
    world.segment.onCommand = (moment, _index, text) => {
      if (moment === 'before' && text.startsWith('n1: ip address del'))
        byName(world, 'n1').faults.connection = 'down'
    }
    const report = await world.prove()
    expect(report).toMatchObject({ outcome: 'inconclusive', removed: 'by-lifetime' })
    expect(report.reason).toContain('no other node got it')
    expect(world.changes).toEqual(['n1 hold-address'])
  })

  it('is stopped by a change that is refused, and takes away what it had', async () => {
    const world = worldOf(2)
    const broken = new AppError({ code: 'JOURNAL_BROKEN', title: 'The journal cannot be written.' })
    const signal = new AbortController().signal
    await expect(
      world.prove({
        change: (node, _key, _what, act) => (node === 'n2' ? Promise.reject(broken) : act(signal)),
      }),
    ).rejects.toBe(broken)
    expect(holdersIn(world)).toEqual([])
  })
})

describe('in any world', () => {
  const faultsArbitrary = fc.record(
    {
      arping: fc.constantFrom('iputils', 'iputils', 'iputils', 'none', 'rubbish'),
      lifetimes: fc.constantFrom('kept', 'kept', 'kept', 'refuses', 'ignores'),
      readBack: fc.constantFrom('true', 'true', 'true', 'true', 'rubbish', 'without-the-address', 'longer'),
      connection: fc.constantFrom('good', 'good', 'good', 'good', 'down', 'hangs'),
      answers: fc.constantFrom('all', 'all', 'tcp', 'none'),
      hasPing: fc.constantFrom(true, true, false),
      hasBash: fc.constantFrom(true, true, false),
      forwards: fc.boolean(),
      keepsAddresses: fc.constantFrom(false, false, false, true),
      keepsNeighbours: fc.boolean(),
    } satisfies { [K in keyof HostFaults]: fc.Arbitrary<HostFaults[K]> },
    { requiredKeys: [] },
  )
  const lossArbitrary = fc.record({
    from: fc.nat(5),
    to: fc.nat(5),
    kind: fc.constantFrom('arp', 'announcement', 'ip'),
  })
  const eventArbitrary = fc.record({
    atCommand: fc.nat(90),
    what: fc.constantFrom('stranger', 'stop', 'fault', 'theft'),
    node: fc.nat(4),
    faults: faultsArbitrary,
  })
  const worldArbitrary = fc.record({
    count: fc.integer({ min: 1, max: 5 }),
    // Most worlds are nearly healthy: else hardly any proof would come to its end.
    faults: fc.oneof(
      { weight: 3, arbitrary: fc.constant<Partial<HostFaults>[]>([]) },
      { weight: 2, arbitrary: fc.array<Partial<HostFaults>>(faultsArbitrary, { maxLength: 5 }) },
    ),
    losses: fc.array(lossArbitrary, { maxLength: 2 }),
    events: fc.array(eventArbitrary, { maxLength: 2 }),
    hasWorkstation: fc.boolean(),
  })

  it('never calls an address that somebody cannot reach working, and never leaves one without a lifetime', async () => {
    const outcomes = new Map<string, number>()
    await fc.assert(
      fc.asyncProperty(worldArbitrary, async ({ count, faults, losses, events, hasWorkstation }) => {
        const world = worldOf(
          count,
          Object.fromEntries(faults.map((fault, index) => [`n${index + 1}`, fault])),
        )
        const { segment } = world
        const workstationHost = segment.addHost('ws', '10.10.200.5')
        const stranger = segment.addHost('stranger', '10.10.200.77')
        const isLost = (from: SimulatedHost, to: SimulatedHost, kind: string) =>
          losses.some(
            (loss) =>
              segment.hosts[loss.from % segment.hosts.length] === from &&
              segment.hosts[loss.to % segment.hosts.length] === to &&
              loss.kind === kind,
          )
        segment.loses = isLost
        const stop = new AbortController()
        let strangerSince = Infinity
        let lastLegCommand = -1
        segment.onCommand = (moment, index, text) => {
          if (/arping -b|ping -n/.test(text)) lastLegCommand = index
          if (moment !== 'before') return
          for (const event of events.filter(({ atCommand }) => atCommand === index)) {
            const node = world.nodes[event.node % count]
            if (event.what === 'stop') stop.abort(new StoppedByOperator())
            if (event.what === 'theft') node?.kernel.delete(address)
            // Whether it answers stays: a leg that was reached before would rightly be called reached.
            if (event.what === 'fault' && node !== undefined)
              Object.assign(node.faults, event.faults, { answers: node.faults.answers })
            if (event.what === 'stranger') {
              segment.give(stranger, address)
              strangerSince = Math.min(strangerSince, index)
            }
          }
        }
        const outcome: ProofReport | Error = await world
          .prove({
            signal: stop.signal,
            ...(hasWorkstation ? { workstation: segment.workstation(workstationHost) } : {}),
          })
          .catch((thrown: unknown) => {
            if (thrown instanceof Error) return thrown
            throw new TypeError('not an error', { cause: thrown })
          })

        expect(segment.running).toBe(0)
        const remaining = world.nodes.filter((node) => segment.has(node, address))
        const forever = remaining.filter((node) => node.kernel.get(address)?.expiresAt === Infinity)
        if (outcome instanceof Error) {
          const isTold = outcome instanceof AppError && outcome.code === 'PROOF_ADDRESS_REMAINS'
          expect(isTold || outcome instanceof StoppedByOperator).toBe(true)
          for (const node of remaining) expect(outcome.message).toContain(node.name)
          for (const node of forever) expect(outcome.message).toContain(`${node.name}: `)
          outcomes.set(outcome.constructor.name, (outcomes.get(outcome.constructor.name) ?? 0) + 1)
          return
        }
        outcomes.set(outcome.outcome, (outcomes.get(outcome.outcome) ?? 0) + 1)
        if (outcome.removed === 'confirmed') expect(remaining).toEqual([])
        for (const node of remaining) expect(outcome.warnings.join(' ')).toContain(node.name)
        for (const result of checkResultsOf(outcome)) expect(checkResultSchema.parse(result)).toEqual(result)
        if (outcome.outcome !== 'works') return
        // Only arping hears a second machine for certain.
        const isAudible = world.nodes.some(
          (node) =>
            node.faults.arping === 'iputils' &&
            !isLost(node, stranger, 'arp') &&
            !isLost(stranger, node, 'arp'),
        )
        if (isAudible) expect(strangerSince).toBeGreaterThan(lastLegCommand)
        const holders = new Set(outcome.legs.map(({ to }) => to))
        expect(holders.size).toBe(count === 1 ? 1 : 2)
        for (const to of holders)
          for (const from of world.nodes.filter(({ name }) => name !== to))
            expect([from.name, to, segment.canReach(from, byName(world, to))]).toEqual([from.name, to, true])
        if (count > 1) expect(outcome.handOverMilliseconds).toBeDefined()
      }),
      { numRuns: 300 },
    )
    // The property says nothing unless every kind of end was seen.
    expect([...outcomes.keys()].toSorted()).toEqual(
      expect.arrayContaining(['conflict', 'inconclusive', 'unreachable', 'works']),
    )
  })
})
