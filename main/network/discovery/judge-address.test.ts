import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Observation } from '../../../shared/addresses/index.ts'
import { judgeAddress, type ArpProxy, type Circumstances } from './judge-address.ts'

const address = '10.10.200.40'
const own = '02:00:00:00:00:01'
const proxyMac = '02:00:00:00:00:99'

function seen(observation: Partial<Observation>): Observation {
  return {
    address,
    vantage: 'workstation',
    method: 'neighbour-table',
    at: '2026-11-22T10:00:00.000Z',
    answer: 'silent',
    layer: 'link',
    probes: 5,
    macs: [],
    detail: 'FAILED',
    ...observation,
  }
}

function circumstances(changes: Partial<Circumstances> = {}): Circumstances {
  return {
    reserved: new Map(),
    proxies: new Map(),
    pools: [],
    ownMacs: new Map(),
    isRechecked: false,
    ...changes,
  }
}

function behindProxy(answers: ArpProxy['answers']): Circumstances {
  return circumstances({ proxies: new Map([['workstation', { macs: new Set([proxyMac]), answers }]]) })
}

const answered = (macs: string[], rest: Partial<Observation> = {}) =>
  seen({ answer: 'answered', macs, detail: 'REACHABLE', ...rest })

describe('the verdict on an address', () => {
  it('is free after enough silence on the link, with a confidence that grows with the number of requests', () => {
    const once = judgeAddress(address, [seen({})], circumstances())
    const twice = judgeAddress(address, [seen({}), seen({ method: 'arp-probe', probes: 3 })], circumstances())
    expect(once).toMatchObject({ verdict: 'free', confidence: 0.67 })
    expect(twice).toMatchObject({ verdict: 'free', confidence: 0.83 })
    expect(twice.reason).toBe('No answer to 8 ARP requests from workstation.')
  })

  it('never reaches certainty by silence', () => {
    const silence = [seen({ probes: 10_000 })]
    expect(judgeAddress(address, silence, circumstances()).confidence).toBe(0.95)
    expect(judgeAddress(address, silence, circumstances({ isRechecked: true })).confidence).toBe(0.99)
  })

  it.each([
    ['nothing was asked', []],
    ['too few requests went out', [seen({ probes: 4 })]],
    ['only nmap without privileges was silent', [seen({ method: 'nmap', layer: 'network', probes: 9 })]],
    ['only nmap asked on the link', [seen({ method: 'nmap', probes: 9 })]],
    ['it is not clear whether it was asked', [seen({ answer: 'unclear', probes: 5 })]],
  ])('is doubtful when %s', (_, evidence) => {
    expect(judgeAddress(address, evidence, circumstances())).toMatchObject({
      verdict: 'doubtful',
      confidence: 0,
    })
  })

  it('is used as soon as one of many answers', () => {
    const evidence = [
      seen({ probes: 100 }),
      seen({ vantage: 'n1', probes: 100 }),
      answered([own], { vantage: 'n2' }),
    ]
    expect(judgeAddress(address, evidence, circumstances())).toMatchObject({
      verdict: 'used',
      macs: [own],
      reason: `${own} answers (neighbour-table on n2).`,
    })
  })

  it('is used when something answers by IP, also without a MAC', () => {
    const evidence = [seen({}), answered([], { method: 'nmap', layer: 'network', detail: 'conn-refused' })]
    expect(judgeAddress(address, evidence, circumstances())).toMatchObject({
      verdict: 'used',
      reason: 'Something answers: conn-refused (nmap on workstation).',
    })
  })

  it('is a collision when two machines claim it', () => {
    const other = '02:00:00:00:00:02'
    const evidence = [answered([own]), answered([other], { method: 'arping' })]
    expect(judgeAddress(address, evidence, circumstances()).reason).toBe(
      `Address collision: ${own} and ${other} both claim it.`,
    )
  })

  it.each(['00:00:5e:00:01:0a', '00:00:0c:07:ac:01', '00:00:0c:9f:f0:01'])(
    'is reserved when the virtual router %s answers',
    (mac) => {
      expect(judgeAddress(address, [answered([mac])], circumstances()).reason).toMatch(
        /^It is reserved: a virtual router/,
      )
    },
  )

  it('is used when it belongs to something known, however silent that is', () => {
    const known = circumstances({ reserved: new Map([[address, 'the gateway']]) })
    expect(judgeAddress(address, [seen({ probes: 50 })], known)).toMatchObject({
      verdict: 'used',
      confidence: 1,
      reason: 'It is the gateway.',
    })
  })

  it('is doubtful when a machine was there a short time ago', () => {
    const remembered = seen({ answer: 'unclear', macs: [own], detail: 'STALE' })
    const evidence = [remembered, seen({ method: 'arp-probe', probes: 9 })]
    expect(judgeAddress(address, evidence, circumstances()).verdict).toBe('doubtful')
  })

  it('is doubtful in the pool of a DHCP server', () => {
    const pools = [
      { server: '10.10.200.1', first: 0x0a_0a_c8_20, last: 0x0a_0a_c8_40, offered: new Set<string>() },
    ]
    expect(judgeAddress(address, [seen({})], circumstances({ pools })).reason).toMatch(
      /10\.10\.200\.32 to 10\.10\.200\.64/,
    )
  })

  describe('behind a proxy that answers ordinary requests', () => {
    const place = behindProxy('requests')

    it('is doubtful while only the proxy answered', () => {
      expect(judgeAddress(address, [answered([proxyMac])], place).verdict).toBe('doubtful')
    })

    it('is free when duplicate address detection is silent', () => {
      const evidence = [answered([proxyMac]), seen({ method: 'arp-probe', probes: 6 })]
      expect(judgeAddress(address, evidence, place)).toMatchObject({ verdict: 'free', confidence: 0.74 })
    })

    it('is not free after three probes only: a host that answers seldom would not have been heard', () => {
      const evidence = [answered([proxyMac]), seen({ method: 'arp-probe', probes: 3 })]
      expect(judgeAddress(address, evidence, place).verdict).toBe('doubtful')
    })

    it('is used when the proxy itself answers duplicate address detection: then it is its own address', () => {
      const evidence = [answered([proxyMac]), answered([proxyMac], { method: 'arp-probe' })]
      expect(judgeAddress(address, evidence, place).verdict).toBe('used')
    })

    it('is used when somebody else answers as well', () => {
      expect(judgeAddress(address, [answered([proxyMac, own], { method: 'arping' })], place).verdict).toBe(
        'used',
      )
    })
  })

  it('is never free behind a proxy that answers everything', () => {
    const evidence = [answered([proxyMac]), answered([proxyMac], { method: 'arp-probe' })]
    expect(judgeAddress(address, evidence, behindProxy('requests-and-probes')).verdict).toBe('doubtful')
  })

  it('from two vantages: what is heard at the one counts, whatever the proxy at the other says', () => {
    const place = behindProxy('requests-and-probes')
    expect(judgeAddress(address, [answered([proxyMac]), seen({ vantage: 'n1' })], place).verdict).toBe(
      'doubtful',
    )
    expect(judgeAddress(address, [answered([own], { vantage: 'n1' })], place).verdict).toBe('used')
  })

  describe('that a neighbour table remembers of one of our own nodes', () => {
    const known = circumstances({ ownMacs: new Map([[own, 'n2']]) })
    const memory = answered([own], {
      vantage: 'n1',
      probes: 0,
      detail: 'REACHABLE already before it was asked',
    })
    const silentProbe = (probes: number, rest: Partial<Observation> = {}) =>
      seen({ vantage: 'n1', method: 'arp-probe', probes, detail: 'no answer', ...rest })

    it('is used as long as duplicate address detection did not stay silent', () => {
      for (const evidence of [
        [memory],
        [memory, seen({ vantage: 'n3', probes: 50 })],
        [memory, silentProbe(5, { answer: 'unclear' })],
      ])
        expect(judgeAddress(address, evidence, known)).toMatchObject({
          verdict: 'used',
          reason: `${own} has answered a short time ago (neighbour-table on n1).`,
        })
    })

    it('is not used any more when duplicate address detection is silent; the reason tells both', () => {
      expect(judgeAddress(address, [memory, silentProbe(6)], known)).toMatchObject({
        verdict: 'free',
        confidence: 0.74,
        reason:
          `No answer to 6 ARP requests from n1. n2 (${own}) had it a short time ago ` +
          '(neighbour-table on n1: REACHABLE already before it was asked), and does not answer for it any more.',
      })
      const stale = seen({ answer: 'unclear', probes: 0, macs: [own], detail: 'STALE' })
      expect(judgeAddress(address, [memory, stale, silentProbe(6)], known).verdict).toBe('free')
    })

    it('is doubtful after too few requests that go past the table', () => {
      const evidence = [memory, silentProbe(3), seen({ vantage: 'n3', probes: 50 })]
      expect(judgeAddress(address, evidence, known)).toMatchObject({ verdict: 'doubtful', macs: [own] })
    })

    it.each([
      ['it answered only after it was asked', answered([own], { vantage: 'n1', probes: 1 })],
      ['a stranger is remembered', { ...memory, macs: ['02:00:00:00:00:07'] }],
      ['a stranger is remembered beside it', { ...memory, macs: [own, '02:00:00:00:00:07'] }],
      ['arping heard it', answered([own], { vantage: 'n3', method: 'arping', probes: 3 })],
    ])('is used all the same when %s', (_, more) => {
      expect(judgeAddress(address, [memory, silentProbe(9), more], known).verdict).toBe('used')
    })

    it('is used when the node itself has it', () => {
      const reserved = new Map([[address, 'an address of n2']])
      const { verdict } = judgeAddress(address, [memory, silentProbe(9)], { ...known, reserved })
      expect(verdict).toBe('used')
    })

    it('does not help against a proxy', () => {
      const place = { ...behindProxy('requests'), ownMacs: known.ownMacs }
      const evidence = [{ ...memory, vantage: 'workstation' }, seen({ probes: 50 })]
      expect(judgeAddress(address, evidence, place).verdict).toBe('used')
    })
  })

  const anyObservation = fc
    .record({
      vantage: fc.constantFrom('workstation', 'n1'),
      method: fc.constantFrom('neighbour-table', 'nmap', 'arping', 'arp-probe', 'tcp'),
      answer: fc.constantFrom('answered', 'silent', 'unclear'),
      layer: fc.constantFrom('link', 'network'),
      probes: fc.nat(20),
      macs: fc.subarray([own, proxyMac]),
    })
    .map((some) => seen(some as Partial<Observation>))

  it('never turns an answer of somebody else than a proxy into anything but used', () => {
    fc.assert(
      fc.property(
        fc.array(anyObservation),
        fc.constantFrom<ArpProxy['answers']>('requests', 'requests-and-probes'),
        fc.boolean(),
        (evidence, answers, isProxied) => {
          const isHeard = evidence.some((one) => one.answer === 'answered' && one.macs.includes(own))
          const place = isProxied ? behindProxy(answers) : circumstances()
          const { verdict } = judgeAddress(address, evidence, place)
          if (isHeard) expect(verdict).toBe('used')
        },
      ),
    )
  })

  it('of our own nodes is never free when anybody answered arping, nor without silent detection where one is remembered', () => {
    const ownMacs = new Map([[own, 'n2']])
    fc.assert(
      fc.property(fc.array(anyObservation), fc.boolean(), fc.boolean(), (evidence, isProxied, isHeld) => {
        const reserved = new Map(isHeld ? [[address, 'an address of n2']] : [])
        const place = { ...(isProxied ? behindProxy('requests') : circumstances()), ownMacs, reserved }
        if (judgeAddress(address, evidence, place).verdict !== 'free') return
        expect(isHeld).toBe(false)
        const isFrom = (one: Observation) => one.answer === 'answered' && one.macs.includes(own)
        const heard = evidence.filter(isFrom)
        expect(heard.filter(({ method, probes }) => method !== 'neighbour-table' || probes > 0)).toEqual([])
        if (!evidence.some(({ answer, macs }) => answer !== 'silent' && macs.includes(own))) return
        const detected = evidence.filter((one) => one.method === 'arp-probe' && one.answer === 'silent')
        expect(detected.filter(({ layer, probes }) => layer === 'link' && probes > 0)).not.toEqual([])
      }),
      { numRuns: 2000 },
    )
  })

  it('is free only with the silence that it needs, and does not depend on the order of the evidence', () => {
    fc.assert(
      fc.property(fc.array(anyObservation), fc.boolean(), (evidence, isProxied) => {
        const place = isProxied ? behindProxy('requests') : circumstances()
        const report = judgeAddress(address, evidence, place)
        expect(judgeAddress(address, evidence.toReversed(), place).verdict).toBe(report.verdict)
        if (report.verdict !== 'free') return
        const requests = evidence
          .filter((one) => one.answer === 'silent' && one.layer === 'link' && one.method !== 'nmap')
          .reduce((sum, one) => sum + one.probes, 0)
        expect(requests).toBeGreaterThanOrEqual(5)
        expect(report.confidence).toBeGreaterThan(0.6)
      }),
    )
  })
})
