import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { freeAddressReportSchema } from '../../../shared/addresses/index.ts'
import { AppError } from '../../../shared/errors/index.ts'
import type { Clock } from '../../engine/clock.ts'
import { createManualClock } from '../../engine/testing/manual-clock.ts'
import { parseAddressRange } from './address-range.ts'
import { findFreeAddresses, type FindOptions } from './find-free-addresses.ts'
import {
  factsAt,
  simulatedVantage,
  type SimulatedHost,
  type SimulatedSegment,
} from './testing/simulated-segment.ts'

/** Jumps to whatever comes next. */
function fastClock(): Clock {
  const clock = createManualClock(0)
  clock.runFree()
  return clock
}

const mac = (number: number) => `02:00:00:00:00:${number.toString(16).padStart(2, '0')}`
const seeded = (seed: number) => () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647

function segmentOf(
  hosts: Record<string, SimulatedHost | SimulatedHost[]>,
  rest: Partial<SimulatedSegment> = {},
) {
  return { hosts: new Map(Object.entries(hosts).map(([at, host]) => [at, [host].flat()])), ...rest }
}

function find(segment: SimulatedSegment, options: Partial<FindOptions> & { hasArping?: boolean } = {}) {
  const clock = fastClock()
  const { hasArping, ...rest } = options
  return findFreeAddresses({
    range: parseAddressRange('10.10.200.0/28'),
    vantages: [
      simulatedVantage(segment, {
        name: 'workstation',
        kind: 'workstation',
        facts: factsAt('10.10.200.14', 28),
        clock,
        ...(hasArping === undefined ? {} : { hasArping }),
      }),
    ],
    count: 3,
    clock,
    signal: new AbortController().signal,
    random: seeded(7),
    ...rest,
  })
}

describe('finding free addresses', () => {
  it('offers only silent addresses, farthest from used ones, each with its evidence', async () => {
    const report = await find(segmentOf({ '10.10.200.2': { mac: mac(2) }, '10.10.200.3': { mac: mac(3) } }))
    expect(freeAddressReportSchema.parse(report)).toEqual(report)
    expect(report.candidates.map(({ address }) => address)).toEqual([
      '10.10.200.8',
      '10.10.200.9',
      '10.10.200.7',
    ])
    for (const candidate of report.candidates) {
      expect(candidate).toMatchObject({ verdict: 'free' })
      expect(candidate.evidence.map(({ method }) => method)).toEqual(['arp-probe', 'neighbour-table'])
      expect(candidate.confidence).toBeGreaterThan(0.8)
      expect(candidate.confidence).toBeLessThan(1)
    }
    expect(report.used.map(({ address }) => address)).toEqual(['10.10.200.2', '10.10.200.3', '10.10.200.14'])
    expect(report.asked).toEqual({ addresses: 14, of: 14, free: 11 })
  })

  it('never offers the network, broadcast, own, gateway and excluded addresses', async () => {
    const report = await find(segmentOf({}), {
      count: 20,
      reserved: new Map([['10.10.200.5', 'the address of node n1']]),
    })
    const offered = report.candidates.map(({ address }) => address)
    for (const address of ['10.10.200.0', '10.10.200.15', '10.10.200.14', '10.10.200.5'])
      expect(offered).not.toContain(address)
    expect(report.used.find(({ address }) => address === '10.10.200.5')?.reason).toBe(
      'It is the address of node n1.',
    )
    expect(report.candidates).toHaveLength(12)
    expect(report.warnings).toEqual([])
  })

  it('finds a host that answers every fifth question only', async () => {
    const report = await find(segmentOf({ '10.10.200.9': { mac: mac(9), answersEvery: 5 } }), { count: 20 })
    expect(report.used.map(({ address }) => address)).toContain('10.10.200.9')
  })

  it('finds a host that wakes between the first look and the second one', async () => {
    const segment = segmentOf({ '10.10.200.8': { mac: mac(8), awakeFrom: 30_000 } })
    const once = await find(segment)
    expect(once.candidates.map(({ address }) => address)).toContain('10.10.200.8')
    const twice = await find(segment, { recheckAfterSeconds: 60 })
    expect(twice.candidates.map(({ address }) => address)).not.toContain('10.10.200.8')
    expect(twice.candidates).toHaveLength(3)
    expect(twice.recheckedAfterSeconds).toBeGreaterThanOrEqual(60)
    expect(Math.min(...twice.candidates.map(({ confidence }) => confidence))).toBeGreaterThan(
      Math.max(...once.candidates.map(({ confidence }) => confidence)),
    )
  })

  it('calls one address of two machines a collision', async () => {
    const report = await find(segmentOf({ '10.10.200.4': [{ mac: mac(4) }, { mac: mac(5) }] }), { count: 20 })
    const collision = report.used.find(({ address }) => address === '10.10.200.4')
    expect(collision?.verdict).toBe('used')
  })

  it('calls an address behind a VRRP MAC reserved', async () => {
    const report = await find(segmentOf({ '10.10.200.4': { mac: '00:00:5e:00:01:0a' } }))
    expect(report.used.find(({ address }) => address === '10.10.200.4')?.reason).toMatch(/VRRP/)
  })

  it('sees the owner beside a proxy that answers requests for everything', async () => {
    const report = await find(
      segmentOf({ '10.10.200.9': { mac: mac(9) } }, { proxy: { mac: mac(99), answersProbes: false } }),
      { count: 20 },
    )
    expect(report.vantages[0]?.arp).toBe('proxied')
    expect(report.used.map(({ address }) => address)).toContain('10.10.200.9')
    expect(report.candidates).toHaveLength(12)
    expect(report.warnings.join()).toMatch(/proxy ARP/)
  })

  it('calls nothing free where a proxy answers probes as well, or where nobody can probe', async () => {
    for (const [answersProbes, hasArping] of [
      [true, true],
      [false, false],
    ] as const) {
      const report = await find(segmentOf({}, { proxy: { mac: mac(99), answersProbes } }), {
        count: 20,
        hasArping,
      })
      expect(report.candidates).toEqual([])
      expect(report.vantages[0]?.arp).toBe('void')
      expect(report.doubtful).toHaveLength(13)
    }
  })

  it('takes a server with many addresses for their owner, not for free ones behind a proxy', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 11 }, (_, index) => [`10.10.200.${index + 1}`, { mac: mac(77) }]),
    )
    const report = await find(segmentOf(many), { count: 20 })
    for (const { address } of report.candidates) expect(many).not.toHaveProperty([address])
  })

  it('does not offer what a DHCP server offers, nor what lies between its offers', async () => {
    const offer = { server: '10.10.200.1', gateways: [], nameServers: [] }
    const report = await find(
      segmentOf(
        {},
        {
          offers: [
            { ...offer, address: '10.10.200.6' },
            { ...offer, address: '10.10.200.9' },
          ],
        },
      ),
      { count: 20 },
    )
    expect(report.doubtful.map(({ address }) => address)).toEqual(
      [6, 7, 8, 9].map((number) => `10.10.200.${number}`),
    )
    expect(report.dhcp).toEqual([
      {
        server: '10.10.200.1',
        offers: ['10.10.200.6', '10.10.200.9'],
        likelyPool: { first: '10.10.200.6', last: '10.10.200.9' },
      },
    ])
  })

  it('asks only the vantages that are attached, says so of the others, and refuses when none is', async () => {
    const clock = fastClock()
    const segment = segmentOf({ '10.10.200.3': { mac: mac(3) } })
    const asked: string[] = []
    const vantage = (name: string, address: string) =>
      simulatedVantage(segment, {
        name,
        kind: name === 'workstation' ? 'workstation' : 'node',
        facts: factsAt(address, 28),
        clock,
        onAsk: () => asked.push(name),
      })
    const report = await find(segment, {
      clock,
      vantages: [vantage('workstation', '192.168.7.4'), vantage('n1', '10.10.200.14')],
    })
    expect(new Set(asked)).toEqual(new Set(['n1']))
    expect(report.vantages).toMatchObject([
      { name: 'n1', isAttached: true, detail: 'eth0 10.10.200.14/28' },
      { name: 'workstation', isAttached: false },
    ])
    await expect(
      find(segment, { clock, vantages: [vantage('workstation', '192.168.7.4')] }),
    ).rejects.toMatchObject({ code: 'NO_VANTAGE' })
  })

  it('goes on with the others when one vantage cannot be read, and says so', async () => {
    const clock = fastClock()
    const segment = segmentOf({ '10.10.200.3': { mac: mac(3) } })
    const good = simulatedVantage(segment, {
      name: 'n1',
      kind: 'node',
      facts: factsAt('10.10.200.14', 28),
      clock,
    })
    const unreadable = new AppError({
      code: 'VANTAGE_UNREADABLE',
      title: 'The interfaces of n2 cannot be read.',
    })
    const bad = { ...good, name: 'n2', facts: () => Promise.reject(unreadable) }
    const report = await find(segment, { clock, vantages: [bad, good] })
    expect(report.candidates).toHaveLength(3)
    expect(report.vantages.find(({ name }) => name === 'n2')).toMatchObject({
      isAttached: false,
      detail: expect.stringContaining('cannot be read') as string,
    })
    await expect(find(segment, { clock, vantages: [bad] })).rejects.toMatchObject({ code: 'NO_VANTAGE' })
  })

  it('ends at once when it is stopped', async () => {
    const controller = new AbortController()
    const stopped = find(segmentOf({}), {
      signal: controller.signal,
      recheckAfterSeconds: 100_000,
      onProgress: () => {
        controller.abort(new Error('stopped'))
      },
    })
    await expect(stopped).rejects.toThrow('stopped')
  })

  describe('where a neighbour table still has a node of ours that held the address for a proof', () => {
    const address = '10.10.200.8'
    const range = { text: address, first: 0x0a_0a_c8_08, last: 0x0a_0a_c8_08, network: undefined }

    /** n1 looks, and remembers that n2 had the address. */
    async function look(
      hosts: Parameters<typeof segmentOf>[0],
      more: { readonly hasArping?: boolean; readonly ownMacs?: ReadonlyMap<string, string> } = {},
    ) {
      const clock = fastClock()
      const { ownMacs = new Map([[mac(2), 'n2']]), hasArping = true } = more
      const methods: string[] = []
      const report = await findFreeAddresses({
        range,
        vantages: [
          simulatedVantage(segmentOf(hosts), {
            name: 'n1',
            kind: 'node',
            facts: factsAt('10.10.200.11', 28),
            clock,
            hasArping,
            remembers: new Map([[address, mac(2)]]),
            onAsk: (method, asked) => {
              if (asked.includes(address)) methods.push(method)
            },
          }),
        ],
        count: 1,
        ownMacs,
        clock,
        signal: new AbortController().signal,
        random: seeded(7),
      })
      const judged = [...report.candidates, ...report.used, ...report.doubtful]
      return { verdict: judged[0]?.verdict, reason: judged[0]?.reason, methods }
    }

    it('asks past the table, and finds it free again', async () => {
      const { verdict, reason, methods } = await look({})
      expect(verdict).toBe('free')
      expect(reason).toMatch(
        /^No answer to \d+ ARP requests from n1\. n2 \(02:.*:02\) had it a short time ago/,
      )
      expect(methods).toContain('arp-probe')
    })

    it('finds the node when it has the address after all', async () => {
      expect(await look({ [address]: { mac: mac(2) } })).toMatchObject({ verdict: 'used' })
    })

    it('finds a stranger who has it now', async () => {
      expect(await look({ [address]: { mac: mac(7) } })).toMatchObject({ verdict: 'used' })
    })

    it('stays careful where nobody can ask past the table, or where the machine is none of ours', async () => {
      expect(await look({}, { hasArping: false })).toMatchObject({ verdict: 'used' })
      expect(await look({}, { ownMacs: new Map() })).toMatchObject({ verdict: 'used' })
    })
  })

  it('stops in a large network as soon as enough is found', async () => {
    const clock = fastClock()
    const asked = new Set<string>()
    const segment = segmentOf({})
    const report = await find(segment, {
      clock,
      range: parseAddressRange('10.10.0.0/16'),
      count: 5,
      vantages: [
        simulatedVantage(segment, {
          name: 'workstation',
          kind: 'workstation',
          facts: factsAt('10.10.200.14', 16),
          clock,
          onAsk: (_, addresses) => {
            for (const address of addresses) asked.add(address)
          },
        }),
      ],
    })
    expect(report.candidates).toHaveLength(5)
    expect(asked.size).toBeLessThan(300)
    expect(report.asked).toMatchObject({ of: 65_534 })
  })

  it('never calls a used address free, whatever the network looks like', async () => {
    const host = fc.record({
      mac: fc.integer({ min: 1, max: 40 }).map(mac),
      answersEvery: fc.constantFrom(1, 1, 1, 2, 3, 5),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.integer({ min: 1, max: 13 }).map((number) => `10.10.200.${number}`),
          fc.array(host, { minLength: 1, maxLength: 2 }),
        ),
        fc.option(fc.record({ mac: fc.constant(mac(99)), answersProbes: fc.boolean() }), { nil: undefined }),
        fc.boolean(),
        fc.integer({ min: 1, max: 1_000_000 }),
        async (hosts, proxy, hasArping, seed) => {
          const report = await find(segmentOf(hosts, proxy === undefined ? {} : { proxy }), {
            count: 20,
            hasArping,
            random: seeded(seed),
          })
          for (const { address } of report.candidates) expect(hosts).not.toHaveProperty([address])
        },
      ),
      { numRuns: 60 },
    )
  })
})
