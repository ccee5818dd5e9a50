import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { observationSchema, type Observation } from '../../../../shared/addresses/index.ts'
import { formatAddress } from '../../../../shared/plan/ipv4.ts'
import type { Clock } from '../../../engine/clock.ts'
import { createManualClock, letOthersRun, type ManualClock } from '../../../engine/testing/manual-clock.ts'
import type { Answers } from '../vantage.ts'
import type { NeighbourTable } from './neighbour-table.ts'
import { sweepNeighbours, type SweepOptions } from './sweep.ts'
import {
  createSimulatedKernel,
  type SimulatedHost,
  type SimulatedKernel,
  type SimulatedKernelOptions,
} from './testing/simulated-kernel.ts'

const addressAt = (index: number) => formatAddress(0x0a_00_00_01 + index)
const addressList = (count: number) => Array.from({ length: count }, (_, index) => addressAt(index))
const macAt = (index: number) =>
  `52:54:00:00:${(index >> 8).toString(16).padStart(2, '0')}:${(index & 255).toString(16).padStart(2, '0')}`
const never = new AbortController().signal

interface World {
  readonly clock: ManualClock
  readonly kernel: SimulatedKernel
  /** Sweeps, with a clock that runs by itself. */
  sweep(
    addresses: readonly string[],
    options?: Partial<SweepOptions>,
  ): Promise<Answers & { readonly took: number }>
}

function createWorld(options: Omit<SimulatedKernelOptions, 'clock'> = {}): World {
  const clock = createManualClock()
  const kernel = createSimulatedKernel({ clock, ...options })
  return {
    clock,
    kernel,
    sweep: async (addresses, more = {}) => {
      const started = clock.now()
      clock.runFree()
      const answers = await sweepNeighbours(optionsFor(clock, kernel, addresses, more))
      for (const observation of answers.observations) observationSchema.parse(observation)
      return { ...answers, took: clock.now() - started }
    },
  }
}

function optionsFor(
  clock: Clock,
  kernel: SimulatedKernel,
  addresses: readonly string[],
  more: Partial<SweepOptions> = {},
): SweepOptions {
  const { sender } = kernel
  const readTable = (signal: AbortSignal) => kernel.readTable(signal)
  return {
    vantage: 'workstation',
    interface: 'eth0',
    addresses,
    sender,
    readTable,
    clock,
    signal: never,
    ...more,
  }
}

/** The last thing that was said about each address. */
const lastOf = (observations: readonly Observation[]) =>
  new Map(observations.map((observation) => [observation.address, observation]))
const answersOf = (observations: readonly Observation[], answer: Observation['answer']) =>
  [...lastOf(observations).values()].filter((observation) => observation.answer === answer)

describe('a /24', () => {
  const hosts = new Map<string, SimulatedHost>(
    addressList(254).flatMap((address, index) => (index % 6 === 0 ? [[address, { mac: macAt(index) }]] : [])),
  )

  it('is told apart in less than 4.9 s, every silent address after five requests over 4.5 s', async () => {
    const world = createWorld({ hosts })
    const { observations, warnings, took } = await world.sweep(addressList(254))
    expect(took).toBeLessThanOrEqual(4900)
    expect(warnings).toEqual([])
    expect(observations).toHaveLength(254)
    expect(answersOf(observations, 'answered').map(({ address }) => address)).toEqual([...hosts.keys()])
    expect(answersOf(observations, 'unclear')).toEqual([])
    for (const { address, probes, at } of answersOf(observations, 'silent')) {
      const requests = world.kernel.requestsFor(address)
      expect(probes).toBeGreaterThanOrEqual(5)
      expect(probes).toBeLessThanOrEqual(requests.length)
      expect(Date.parse(at) - (requests[0] ?? Infinity)).toBeGreaterThanOrEqual(4500)
      expect(Date.parse(at) - (requests[4] ?? Infinity)).toBeGreaterThanOrEqual(400)
    }
  })

  it('says who answered within 0.3 s, with the MAC address and the word of the system', async () => {
    const world = createWorld({ hosts })
    const started = world.clock.now()
    const first: Observation[] = []
    const { observations } = await world.sweep(addressList(254), {
      onObservation: (observation) => {
        if (world.clock.now() - started <= 300) first.push(observation)
      },
    })
    expect(first).toHaveLength(hosts.size)
    expect(first[1]).toMatchObject({
      address: '10.0.0.7',
      vantage: 'workstation',
      method: 'neighbour-table',
      answer: 'answered',
      layer: 'link',
      probes: 1,
      macs: [macAt(6)],
      detail: 'REACHABLE',
    })
    expect(observations.slice(0, first.length)).toEqual(first)
  })

  it('has been asked three times everywhere after 2.4 s at most, and this is said once', async () => {
    const world = createWorld({ hosts, late: () => 64 })
    const started = world.clock.now()
    const swept: number[] = []
    await world.sweep(addressList(254), {
      onSwept: () => {
        swept.push(world.clock.now() - started)
        for (const address of addressList(254))
          if (!hosts.has(address)) expect(world.kernel.requestsFor(address)).toHaveLength(3)
      },
    })
    expect(swept).toHaveLength(1)
    expect(swept[0]).toBeLessThanOrEqual(2400)
  })

  it('shows how far it is', async () => {
    const progress: [number, number][] = []
    await createWorld({ hosts }).sweep(addressList(254), {
      onProgress: (done, of) => progress.push([done, of]),
    })
    expect(progress[0]).toEqual([hosts.size, 254])
    expect(progress.at(-1)).toEqual([254, 254])
    expect(progress.every(([done], index) => done >= (progress[index - 1]?.[0] ?? 0))).toBe(true)
  })

  it('is asked about once, however often an address is named', async () => {
    const { observations } = await createWorld({ hosts }).sweep([
      '10.0.0.7',
      '10.0.0.8',
      '10.0.0.7',
      '10.0.0.8',
    ])
    expect(observations.map(({ address }) => address)).toEqual(['10.0.0.7', '10.0.0.8'])
  })

  it('may be empty', async () => {
    expect(await createWorld().sweep([])).toMatchObject({ observations: [], warnings: [], took: 0 })
  })
})

describe('a host that is hard to hear', () => {
  const one = (host: Partial<SimulatedHost>) => new Map([[addressAt(0), { mac: macAt(0), ...host }]])

  it.each([1, 2, 3, 4, 5])('is heard when it answers only its request number %i', async (heard) => {
    const world = createWorld({ hosts: one({ answers: (request) => (request === heard ? 150 : undefined) }) })
    const { observations } = await world.sweep(addressList(3))
    expect(lastOf(observations).get(addressAt(0))).toMatchObject({ answer: 'answered', macs: [macAt(0)] })
    expect(answersOf(observations, 'silent')).toHaveLength(2)
  })

  it('is never silent when it answers every fifth request only, whatever it was asked before', async () => {
    for (let before = 0; before < 5; before++) {
      const world = createWorld({
        hosts: one({ answers: (request) => ((request + before) % 5 === 0 ? 2 : undefined) }),
      })
      const { observations } = await world.sweep([addressAt(0)])
      expect(observations).toMatchObject([{ answer: 'answered' }])
    }
  })

  it('is heard when its answer comes after the system has given up', async () => {
    // The answer to the third request, 1.3 s late: the entry is FAILED then, and becomes REACHABLE nevertheless.
    const world = createWorld({ hosts: one({ answers: (request) => (request === 3 ? 1300 : undefined) }) })
    expect((await world.sweep([addressAt(0)])).observations).toMatchObject([{ answer: 'answered' }])
  })

  it('is silent when it does not answer any of five', async () => {
    const world = createWorld({ hosts: one({ answers: (request) => (request >= 6 ? 1 : undefined) }) })
    expect((await world.sweep([addressAt(0)])).observations).toMatchObject([{ answer: 'silent', probes: 5 }])
  })
})

describe('with the counts of RFC 5227 only', () => {
  it('an address is silent after three requests and two seconds of listening', async () => {
    const world = createWorld()
    const { observations, took } = await world.sweep(addressList(5), { requests: 3 })
    expect(took).toBeLessThan(4500)
    for (const { address, answer, probes, at } of observations) {
      const requests = world.kernel.requestsFor(address)
      expect([answer, probes, requests.length]).toEqual(['silent', 3, 3])
      expect(Date.parse(at) - (requests[2] ?? Infinity)).toBeGreaterThanOrEqual(2000)
    }
  })
})

describe('a system that asks differently', () => {
  it('once for a datagram: it gets as many datagrams as it needs', async () => {
    const world = createWorld({ solicit: 1 })
    const { observations } = await world.sweep(addressList(3))
    expect(answersOf(observations, 'silent')).toHaveLength(3)
    expect(world.kernel.requestsFor(addressAt(0)).length).toBeGreaterThanOrEqual(5)
  })

  it('every three seconds only: the requests that went out count, not the time', async () => {
    const world = createWorld({ retransmit: 3000 })
    const { observations } = await world.sweep(addressList(3))
    for (const { address, answer, at } of observations) {
      expect(answer).toBe('silent')
      expect(
        world.kernel.requestsFor(address).filter((time) => time <= Date.parse(at)).length,
      ).toBeGreaterThanOrEqual(5)
    }
  })

  it('never: nobody is called silent', async () => {
    const world = createWorld({ solicit: 0 })
    const { observations, warnings } = await world.sweep(addressList(20))
    expect(answersOf(observations, 'unclear')).toHaveLength(20)
    expect(warnings).toHaveLength(1)
  })
})

describe('a neighbour that is remembered', () => {
  it('is unclear as long as it is not confirmed', async () => {
    const world = createWorld()
    world.kernel.remember(addressAt(0), macAt(9))
    const { observations, warnings, took } = await world.sweep(addressList(2))
    expect(lastOf(observations).get(addressAt(0))).toMatchObject({
      answer: 'unclear',
      probes: 0,
      macs: [macAt(9)],
      detail: `DELAY: the table remembers ${macAt(9)} from before, not confirmed now`,
    })
    expect(took).toBeLessThanOrEqual(4900)
    expect(warnings).toEqual([])
  })

  it('is waited for while others are asked, and then confirmed', async () => {
    const world = createWorld({ hosts: new Map([[addressAt(0), { mac: macAt(0) }]]) })
    world.kernel.remember(addressAt(0), macAt(0))
    const { observations } = await world.sweep(addressList(60), { window: 20 })
    expect(lastOf(observations).get(addressAt(0))).toMatchObject({ answer: 'answered', detail: 'REACHABLE' })
  })

  it('is asked for like the others when it does not come back', async () => {
    const world = createWorld()
    world.kernel.remember(addressAt(0), macAt(0))
    const { observations } = await world.sweep(addressList(100), { window: 20 })
    expect(lastOf(observations).get(addressAt(0))).toMatchObject({ answer: 'silent', probes: 5 })
  })

  it('as confirmed is told as such: it answered, but nobody asked', async () => {
    const world = createWorld({ hosts: new Map([[addressAt(1), { mac: macAt(1) }]]) })
    world.kernel.remember(addressAt(0), macAt(0), 'REACHABLE')
    const { observations } = await world.sweep(addressList(2))
    expect(world.kernel.requestsFor(addressAt(0))).toEqual([])
    expect(lastOf(observations).get(addressAt(0))).toMatchObject({
      answer: 'answered',
      probes: 0,
      macs: [macAt(0)],
      detail: 'REACHABLE already before it was asked',
    })
    expect(lastOf(observations).get(addressAt(1))).toMatchObject({ probes: 1, detail: 'REACHABLE' })
  })

  it('as confirmed and is thrown out meanwhile is asked for like the others', async () => {
    const hosts = new Map([[addressAt(0), { mac: macAt(0) }]])
    const world = createWorld({ hosts })
    world.kernel.remember(addressAt(0), macAt(0), 'REACHABLE')
    const { sender } = world.kernel
    const { observations } = await world.sweep([addressAt(0)], {
      sender: {
        send: (addresses, signal) => {
          world.kernel.flush()
          return sender.send(addresses, signal)
        },
      },
      // The answer takes until after the first look.
      readTable: (signal) => world.kernel.readTable(signal),
    })
    expect(lastOf(observations).get(addressAt(0))).toMatchObject({ answer: 'answered' })
    expect(world.kernel.requestsFor(addressAt(0))).toHaveLength(1)
  })

  it('by the administrator stays unclear', async () => {
    const world = createWorld({ hosts: new Map([[addressAt(0), { mac: macAt(0) }]]) })
    world.kernel.remember(addressAt(0), macAt(0), 'PERMANENT')
    const { observations } = await world.sweep([addressAt(0)])
    expect(observations).toMatchObject([
      { answer: 'unclear', detail: expect.stringContaining('PERMANENT') as string },
    ])
  })
})

it('a MAC address that changes is reported again, with both', async () => {
  const world = createWorld({ hosts: new Map([[addressAt(0), { mac: macAt(1) }]]) })
  const seen: Observation[] = []
  const { observations } = await world.sweep(addressList(2), {
    onObservation: (observation) => {
      seen.push(observation)
      if (seen.length === 1) world.kernel.announce(addressAt(0), macAt(2))
    },
  })
  expect(observations).toEqual(seen)
  expect(observations).toMatchObject([
    { address: addressAt(0), answer: 'answered', macs: [macAt(1)] },
    {
      address: addressAt(0),
      answer: 'answered',
      macs: [macAt(1), macAt(2)],
      detail: 'REACHABLE, by another MAC address than before',
    },
    { address: addressAt(1), answer: 'silent' },
  ])
})

describe('a neighbour table', () => {
  it('with little room gets fewer questions at a time, and all are asked', async () => {
    const world = createWorld({ capacity: 60 })
    const { observations, warnings } = await world.sweep(addressList(254))
    expect(world.kernel.overflows).toBeGreaterThan(0)
    expect(answersOf(observations, 'silent')).toHaveLength(254)
    expect(warnings).toEqual([])
    for (const { address } of observations)
      expect(world.kernel.requestsFor(address).length).toBeGreaterThanOrEqual(5)
  })

  it('of the usual size never overflows, and a /20 is asked in 60 s, or thrice in 30 s', async () => {
    for (const [requests, limit] of [
      [5, 60_000],
      [3, 30_000],
    ] as const) {
      const world = createWorld()
      const { observations, took } = await world.sweep(addressList(4094), { requests })
      expect(answersOf(observations, 'silent')).toHaveLength(4094)
      expect(world.kernel.overflows).toBe(0)
      expect(took).toBeLessThan(limit)
    }
  })

  it('that is full is no silence: everything is unclear, with a warning what to do', async () => {
    const world = createWorld({ capacity: 100 })
    world.kernel.occupy(100)
    let isSwept = false
    const { observations, warnings, took } = await world.sweep(addressList(254), {
      onSwept: () => (isSwept = true),
    })
    expect(isSwept).toBe(false)
    expect(answersOf(observations, 'unclear')).toHaveLength(254)
    expect(observations[0]).toMatchObject({
      probes: 0,
      detail: 'no entry appeared in the neighbour table, so nobody was asked',
    })
    expect(warnings).toEqual([
      'workstation did not ask for 254 addresses on eth0: its neighbour table is full, or these addresses are not reached through eth0. On Linux let an administrator raise the limit (sysctl -w net.ipv4.neigh.default.gc_thresh3=4096), or search a smaller range.',
    ])
    expect(took).toBeLessThan(15_000)
  })

  it('that is full for a while is waited for', async () => {
    const world = createWorld({ capacity: 200 })
    world.kernel.occupy(200)
    let isFull = true
    const { observations } = await world.sweep(addressList(100), {
      readTable: (signal) => {
        if (isFull && world.kernel.overflows > 100) world.kernel.occupy(0)
        isFull = world.kernel.overflows <= 100
        return world.kernel.readTable(signal)
      },
    })
    expect(answersOf(observations, 'silent')).toHaveLength(100)
  })

  it('that others use as well is left to them for the larger part', async () => {
    const world = createWorld()
    await world.kernel.sender.send(
      Array.from({ length: 500 }, (_, index) => addressAt(5000 + index)),
      never,
    )
    let most = 0
    const { observations } = await world.sweep(addressList(600), {
      readTable: async (signal) => {
        const table = await world.kernel.readTable(signal)
        if (table.kind === 'read')
          most = Math.max(most, table.entries.filter(({ state }) => state === 'asking').length)
        return table
      },
    })
    expect(most).toBeLessThanOrEqual(500 + 128)
    expect(world.kernel.overflows).toBe(0)
    expect(answersOf(observations, 'silent')).toHaveLength(600)
  })

  it('in which others ask without end leaves us a share', async () => {
    const world = createWorld()
    const { observations, took } = await world.sweep(addressList(254), {
      readTable: async (signal) => {
        const table = await world.kernel.readTable(signal)
        if (table.kind !== 'read') return table
        const others = Array.from({ length: 700 }, (_, index) => ({
          address: addressAt(5000 + index),
          interface: undefined,
          mac: undefined,
          state: 'asking' as const,
          shown: 'INCOMPLETE',
        }))
        return { ...table, entries: [...table.entries, ...others] }
      },
    })
    expect(answersOf(observations, 'silent')).toHaveLength(254)
    expect(took).toBeLessThan(15_000)
  })

  it('that somebody clears all the time leaves no time to answer: nothing is silence', async () => {
    const world = createWorld({ hosts: new Map([[addressAt(0), { mac: macAt(0), answers: () => 300 }]]) })
    const { observations, warnings } = await world.sweep(addressList(3), {
      readTable: async (signal) => {
        const table = await world.kernel.readTable(signal)
        world.kernel.flush()
        return table
      },
    })
    expect(answersOf(observations, 'unclear')).toHaveLength(3)
    expect(observations[0]).toMatchObject({ detail: 'certainly asked 0 times only' })
    expect(warnings).toEqual([
      'workstation stopped asking for 3 addresses on eth0 before they could be called silent: other programs may be clearing its neighbour table. Search again, or search a smaller range.',
    ])
  })

  it('that is cleared once costs no more than another question', async () => {
    const world = createWorld()
    const started = world.clock.now()
    let isCleared = false
    const { observations, took } = await world.sweep(addressList(20), {
      readTable: (signal) => {
        if (!isCleared && world.clock.now() - started > 1500) {
          world.kernel.flush()
          isCleared = true
        }
        return world.kernel.readTable(signal)
      },
    })
    expect(answersOf(observations, 'silent')).toHaveLength(20)
    expect(took).toBeLessThan(7000)
  })

  it('that cannot be read says nothing about anybody', async () => {
    const world = createWorld()
    const { observations, warnings } = await world.sweep(addressList(3), {
      readTable: () =>
        Promise.resolve({ kind: 'unreadable', reason: 'The neighbour table of n1 cannot be read (ip: x).' }),
    })
    expect(observations.map(({ answer, probes }) => [answer, probes])).toEqual(Array(3).fill(['unclear', 0]))
    expect(warnings).toEqual([
      'The neighbour table of n1 cannot be read (ip: x). So nothing can be said about 3 addresses. Search from another machine with --via.',
    ])
    expect(world.kernel.requestsFor(addressAt(0))).toEqual([])
  })

  it('that cannot be read once or twice is read again', async () => {
    const world = createWorld()
    let readings = 0
    const { observations, warnings } = await world.sweep(addressList(3), {
      readTable: (signal) =>
        (readings += 1) % 3 === 0
          ? world.kernel.readTable(signal)
          : Promise.resolve<NeighbourTable>({ kind: 'unreadable', reason: 'Busy.' }),
    })
    expect(answersOf(observations, 'silent')).toHaveLength(3)
    expect(warnings).toEqual([])
  })

  it('with entries that nobody understands is warned about', async () => {
    const world = createWorld()
    const { warnings } = await world.sweep(addressList(1), {
      readTable: async (signal) => ({ ...(await world.kernel.readTable(signal)), unknownLines: 2 }),
    })
    expect(warnings).toEqual([
      '2 entries of the neighbour table of workstation could not be understood and were left out.',
    ])
  })
})

describe('a datagram that cannot be sent', () => {
  it.each([
    ['EPERM', /a firewall on workstation does not let the datagrams out \(EPERM\)/],
    ['ENETUNREACH', /it has no way there \(ENETUNREACH\)\. Check that eth0 is up/],
    ['EADDRNOTAVAIL', /it has lost its own address on eth0/],
    ['EACCES', /the operating system refuses to send there \(EACCES\)/],
    ['ENOBUFS', /its neighbour table is full/],
    ['EWHATEVER', /the datagrams could not be sent \(EWHATEVER\)/],
  ])('(%s) leaves the address unclear, and the others do not suffer', async (code, warning) => {
    const world = createWorld({ sendErrors: new Map([[addressAt(1), code]]) })
    const { observations, warnings, took } = await world.sweep(addressList(50))
    expect(answersOf(observations, 'silent')).toHaveLength(49)
    expect(answersOf(observations, 'unclear')).toMatchObject([{ address: addressAt(1), probes: 0 }])
    expect(warnings).toEqual([expect.stringMatching(warning)])
    expect(took).toBeLessThanOrEqual(4900)
  })

  it('is no datagram: an entry that failed long ago is no silence', async () => {
    const world = createWorld({ sendErrors: new Map([[addressAt(0), 'EHOSTUNREACH']]) })
    const { sender } = createSimulatedKernel({ clock: world.clock })
    await sender.send([], never)
    const table: NeighbourTable = {
      kind: 'read',
      source: 'ip-neigh',
      entries: [
        {
          address: addressAt(0),
          interface: undefined,
          mac: undefined,
          state: 'failed',
          shown: 'FAILED',
          requestCount: 6,
        },
      ],
      unknownLines: 0,
    }
    const { observations } = await world.sweep([addressAt(0)], { readTable: () => Promise.resolve(table) })
    expect(observations).toMatchObject([
      {
        answer: 'unclear',
        probes: 0,
        detail: 'no datagram could be sent (EHOSTUNREACH), so nobody was asked',
      },
    ])
  })

  it('to all of them says so soon', async () => {
    const world = createWorld({ sendErrors: new Map(addressList(254).map((address) => [address, 'EPERM'])) })
    const { observations, took } = await world.sweep(addressList(254))
    expect(answersOf(observations, 'unclear')).toHaveLength(254)
    expect(took).toBeLessThan(3000)
  })

  it('of which the sender says nothing is not taken for sent', async () => {
    const world = createWorld()
    const { observations } = await world.sweep(addressList(2), {
      sender: { send: () => Promise.resolve(new Map()) },
    })
    expect(answersOf(observations, 'unclear')).toHaveLength(2)
  })
})

it('a sender that is slow gets fewer addresses at a time', async () => {
  const hosts = new Map([[addressAt(100), { mac: macAt(100) }]])
  const world = createWorld({ hosts })
  const { observations, took } = await world.sweep(addressList(200), {
    sender: {
      // As programs that wait a second for an answer, 32 at a time.
      send: async (addresses, signal) => {
        for (let start = 0; start < addresses.length; start += 32) {
          await world.kernel.sender.send(addresses.slice(start, start + 32), signal)
          await world.clock.sleep(1000, signal)
        }
        return new Map(addresses.map((address) => [address, { kind: 'sent' }]))
      },
    },
  })
  expect(answersOf(observations, 'answered')).toHaveLength(1)
  expect(answersOf(observations, 'silent')).toHaveLength(199)
  expect(took).toBeLessThan(90_000)
})

describe('an interface without a link', () => {
  it('hears nobody, so nobody is silent', async () => {
    const { observations, warnings } = await createWorld().sweep(addressList(9), {
      linkState: () => Promise.resolve('down'),
    })
    expect(answersOf(observations, 'unclear')).toHaveLength(9)
    expect(warnings).toEqual([
      'eth0 of workstation had no link, so nobody could hear all the questions for 9 addresses. Check the cable and the switch port, then search again.',
    ])
  })

  it('for a moment does not know what it missed: only the answers until then count', async () => {
    const hosts = new Map([[addressAt(0), { mac: macAt(0) }]])
    const world = createWorld({ hosts })
    const started = world.clock.now()
    const { observations } = await world.sweep(addressList(9), {
      linkState: () => Promise.resolve(Math.abs(world.clock.now() - started - 2000) > 200 ? 'up' : 'down'),
    })
    expect(answersOf(observations, 'answered')).toHaveLength(1)
    expect(answersOf(observations, 'unclear')).toHaveLength(8)
  })
})

describe('a link that cannot be told', () => {
  it('for a moment delays silence, and does not prevent it', async () => {
    const world = createWorld({ hosts: new Map([[addressAt(0), { mac: macAt(0) }]]) })
    let looks = 0
    const { observations, warnings } = await world.sweep(addressList(9), {
      linkState: () => Promise.resolve(++looks % 3 === 0 ? 'up' : 'unknown'),
    })
    expect(answersOf(observations, 'answered')).toHaveLength(1)
    expect(answersOf(observations, 'silent')).toHaveLength(8)
    expect(warnings).toEqual([])
  })

  it('at all leaves everything unclear but the answers, and says so', async () => {
    const world = createWorld({ hosts: new Map([[addressAt(0), { mac: macAt(0) }]]) })
    const { observations, warnings } = await world.sweep(addressList(9), {
      linkState: () => Promise.resolve('unknown'),
    })
    expect(answersOf(observations, 'answered')).toHaveLength(1)
    expect(answersOf(observations, 'unclear')).toHaveLength(8)
    expect(warnings).toEqual([
      'It cannot be told whether eth0 of workstation has a link, so the silence of 8 addresses says nothing. Check that /sys/class/net/eth0/carrier can be read there, or search from another machine with --via.',
    ])
  })
})

describe('where the table shows less', () => {
  const hosts = new Map([
    [addressAt(0), { mac: macAt(0) }],
    [addressAt(1), { mac: macAt(1) }],
  ])

  it('ip without counts: time takes their place', async () => {
    const world = createWorld({ hosts, hidesCounts: true, late: () => 60 })
    const { observations, took } = await world.sweep(addressList(40))
    expect(answersOf(observations, 'answered')).toHaveLength(2)
    expect(answersOf(observations, 'silent')).toHaveLength(38)
    for (const { address, probes } of answersOf(observations, 'silent'))
      expect(probes).toBeLessThanOrEqual(world.kernel.requestsFor(address).length)
    expect(took).toBeLessThanOrEqual(5200)
  })

  it.each(['proc-net-arp', 'arp-macos'] as const)(
    '%s: only what became complete is an answer',
    async (source) => {
      const world = createWorld({ hosts, source, late: () => 60 })
      world.kernel.remember(addressAt(1), macAt(1), 'PERMANENT')
      const { observations, took } = await world.sweep(addressList(40))
      const last = lastOf(observations)
      expect(last.get(addressAt(0))).toMatchObject({ answer: 'answered', macs: [macAt(0)] })
      expect(last.get(addressAt(1))).toMatchObject({ answer: 'unclear', macs: [macAt(1)] })
      expect(answersOf(observations, 'silent')).toHaveLength(38)
      for (const { address, probes } of answersOf(observations, 'silent')) {
        expect(probes).toBeGreaterThanOrEqual(5)
        expect(probes).toBeLessThanOrEqual(world.kernel.requestsFor(address).length)
      }
      expect(took).toBeLessThanOrEqual(6000)
    },
  )

  it('Windows arp -a: who does not answer is unclear, because nothing shows that it was asked', async () => {
    const world = createWorld({ hosts, source: 'arp-windows' })
    const { observations, warnings } = await world.sweep(addressList(40))
    expect(answersOf(observations, 'answered')).toHaveLength(2)
    expect(answersOf(observations, 'unclear')).toHaveLength(38)
    expect(answersOf(observations, 'silent')).toEqual([])
    expect(warnings).toEqual([
      'The arp program of workstation does not show which addresses were asked in vain, so nothing can be said about 38 addresses. Allow Windows PowerShell (Get-NetNeighbor), or search from a node with --via.',
    ])
    expect(world.kernel.requestsFor(addressAt(5)).length).toBeGreaterThanOrEqual(4)
  })

  it('Get-NetNeighbor, a reading takes a second and a half', async () => {
    const world = createWorld({ hosts, source: 'get-netneighbor' })
    const { observations, took } = await world.sweep(addressList(40), {
      readTable: async (signal) => {
        const table = await world.kernel.readTable(signal)
        await world.clock.sleep(1500, signal)
        return table
      },
    })
    expect(answersOf(observations, 'answered')).toHaveLength(2)
    expect(answersOf(observations, 'silent')).toHaveLength(38)
    for (const { address, probes } of answersOf(observations, 'silent'))
      expect(probes).toBeLessThanOrEqual(world.kernel.requestsFor(address).length)
    // Simulated: no monotonic time confirms how long a reading took, so less of it counts.
    expect(took).toBeLessThan(30_000)
  })
})

describe('a clock that is set while the sweep runs', () => {
  it.each([3_600_000, -3_600_000, 2500])('by %i ms does not shorten the listening', async (jump) => {
    const clock = createManualClock()
    // Nothing counts here but the time that was really waited: the table shows no counts.
    const kernel = createSimulatedKernel({ clock, hidesCounts: true })
    clock.runFree()
    let readings = 0
    const jumping: Clock = {
      now: () => clock.now() + (readings > 5 ? jump : 0),
      sleep: (milliseconds, signal) => clock.sleep(milliseconds, signal),
    }
    const ends = new Map<string, number>()
    await sweepNeighbours(
      optionsFor(jumping, kernel, addressList(5), {
        readTable: (signal) => {
          readings += 1
          return kernel.readTable(signal)
        },
        onObservation: ({ address }) => ends.set(address, clock.now()),
      }),
    )
    for (const [address, end] of ends) {
      const requests = kernel.requestsFor(address).filter((time) => time <= end)
      expect(requests.length).toBeGreaterThanOrEqual(5)
    }
  })
})

describe('a stop', () => {
  it.each([0, 250, 2000, 3300, 4500])(
    'after %i ms ends everything at once with its reason',
    async (after) => {
      const clock = createManualClock()
      const kernel = createSimulatedKernel({ clock })
      const controller = new AbortController()
      const seen: Observation[] = []
      const sweep = sweepNeighbours(
        optionsFor(clock, kernel, addressList(100), {
          signal: controller.signal,
          onObservation: (o) => seen.push(o),
        }),
      )
      const outcome = sweep.then(
        () => 'ended',
        (error: unknown) => error,
      )
      await clock.advance(after)
      controller.abort(new Error('stopped'))
      expect(await outcome).toMatchObject({ message: 'stopped' })
      expect(clock.sleeping).toEqual([])
      const sofar = seen.length
      await letOthersRun()
      expect(seen).toHaveLength(sofar)
    },
  )

  it('does not wait for a reading or a sender that hangs', async () => {
    for (const hanging of [
      { readTable: () => new Promise<never>(() => undefined) },
      { sender: { send: () => new Promise<never>(() => undefined) } },
    ]) {
      const clock = createManualClock()
      const kernel = createSimulatedKernel({ clock })
      const controller = new AbortController()
      const sweep = sweepNeighbours(
        optionsFor(clock, kernel, addressList(3), { signal: controller.signal, ...hanging }),
      )
      setImmediate(() => {
        controller.abort(new Error('stopped'))
      })
      await expect(sweep).rejects.toThrow('stopped')
    }
  })

  it('before the beginning sends nothing', async () => {
    const clock = createManualClock()
    const kernel = createSimulatedKernel({ clock })
    const signal = AbortSignal.abort(new Error('stopped'))
    await expect(sweepNeighbours(optionsFor(clock, kernel, addressList(3), { signal }))).rejects.toThrow(
      'stopped',
    )
    expect(kernel.requestsFor(addressAt(0))).toEqual([])
  })
})

it('an error of the place that is asked ends the sweep', async () => {
  const readTable = () => Promise.reject(new Error('n1 is gone'))
  await expect(createWorld().sweep(addressList(3), { readTable })).rejects.toThrow('n1 is gone')
})

/** Whether and how late each of the first requests is answered; later ones: never. */
const answersArbitrary = fc.array(fc.option(fc.integer({ min: 0, max: 300 }), { nil: undefined, freq: 2 }), {
  minLength: 5,
  maxLength: 8,
})

const worldArbitrary = fc.record({
  count: fc.integer({ min: 20, max: 120 }),
  hosts: fc.array(fc.record({ index: fc.nat(119), answers: answersArbitrary }), {
    minLength: 10,
    maxLength: 60,
  }),
  capacity: fc.oneof(fc.integer({ min: 1, max: 150 }), fc.constant(1024)),
  window: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constant(512)),
  late: fc.array(fc.integer({ min: 0, max: 64 }), { minLength: 1, maxLength: 7 }),
  solicit: fc.constantFrom(1, 2, 3, 3, 3, 5),
  retransmit: fc.constantFrom(1000, 1000, 1000, 500, 1900),
  flushEvery: fc.constantFrom(0, 0, 0, 7, 23),
})

describe('in any world', () => {
  it('nobody who answers one of five requests is called silent, and no request is counted that did not go out', async () => {
    let silent = 0
    let answered = 0
    await fc.assert(
      fc.asyncProperty(
        worldArbitrary,
        async ({ count, hosts, capacity, window, late, solicit, retransmit, flushEvery }) => {
          let timers = 0
          const hostMap = new Map(
            hosts.map(({ index, answers }) => [
              addressAt(index),
              { mac: macAt(index), answers: (request: number) => answers[request - 1] },
            ]),
          )
          const world = createWorld({
            hosts: hostMap,
            capacity,
            solicit,
            retransmit,
            late: () => late[timers++ % late.length] ?? 0,
          })
          let readings = 0
          const { observations } = await world.sweep(addressList(count), {
            window,
            readTable: (signal) => {
              readings += 1
              if (flushEvery > 0 && readings % flushEvery === 0)
                // Not the entry of a host: while it is away, its answer is lost to everybody (ADR 15).
                world.kernel.flush((address) => address.endsWith('1') && !hostMap.has(address))
              return world.kernel.readTable(signal)
            },
          })
          expect(new Set(observations.map(({ address }) => address)).size).toBe(count)
          expect(observations).toHaveLength(count)
          for (const { address, answer, probes, at } of observations) {
            const requests = world.kernel.requestsFor(address).filter((time) => time <= Date.parse(at))
            expect(probes).toBeLessThanOrEqual(Math.max(requests.length, answer === 'answered' ? 1 : 0))
            if (answer === 'answered') {
              answered += 1
              expect(hostMap.has(address)).toBe(true)
            }
            if (answer !== 'silent') continue
            silent += 1
            expect(requests.length).toBeGreaterThanOrEqual(5)
            expect(Date.parse(at) - (requests[0] ?? Infinity)).toBeGreaterThanOrEqual(4500)
            const heard = requests
              .slice(0, 5)
              .some((_, index) => hostMap.get(address)?.answers(index + 1) !== undefined)
            expect(heard).toBe(false)
          }
        },
      ),
      { numRuns: 700 },
    )
    // The worlds were worth looking at.
    expect(silent).toBeGreaterThan(1000)
    expect(answered).toBeGreaterThan(200)
  }, 600_000)
})
