import { describe, expect, it } from 'vitest'
import type { Plan } from '../../shared/plan/index.ts'
import type { AddressReport, FreeAddressReport, VantageReport } from '../../shared/addresses/index.ts'
import {
  checkResultSchema,
  isBlocking,
  resultOf as resultOfFinding,
  type CheckResult,
} from '../../shared/checks/index.ts'
import { planWith } from '../engine/testing/run-harness.ts'
import { checkVip, type VipFindings } from './vip-checks.ts'

const base = planWith(3)
const literal = { ...base, site: { ...base.site, network: '10.10.200.0/24', vip: '10.10.200.100' } }
const searched = { ...literal, site: { ...literal.site, vip: 'auto' } }

function address(report: Partial<AddressReport> = {}): AddressReport {
  return {
    address: '10.10.200.100',
    verdict: 'free',
    confidence: 0.87,
    reason: 'No answer to 9 ARP requests from n1.',
    macs: [],
    evidence: [],
    ...report,
  }
}

function vantage(report: Partial<VantageReport> = {}): VantageReport {
  return {
    name: 'n1',
    kind: 'node',
    isAttached: true,
    detail: 'eth0 10.10.200.11/24',
    methods: ['neighbour-table', 'dhcp'],
    arp: 'valid',
    ...report,
  }
}

function network(report: Partial<FreeAddressReport> = {}): FreeAddressReport {
  return {
    cidr: '10.10.200.0/24',
    vantages: [vantage()],
    candidates: [],
    used: [],
    doubtful: [],
    asked: { addresses: 254, of: 254, free: 200 },
    dhcp: [],
    recheckedAfterSeconds: 0,
    warnings: [],
    sweptMs: 3000,
    elapsedMs: 9000,
    ...report,
  }
}

function asked(
  judged: Partial<AddressReport> | undefined,
  whole: Partial<FreeAddressReport> = {},
): VipFindings {
  return {
    kind: 'asked',
    address: judged === undefined ? undefined : address(judged),
    seen: 'what was asked',
    network: network(whole),
  }
}

const unasked: VipFindings = { kind: 'unasked', reason: 'n1: no SSH.' }

function resultsOf(plan: Plan, findings: VipFindings): CheckResult[] {
  return checkVip(plan, findings).map((finding) => checkResultSchema.parse(resultOfFinding(finding, 0)))
}

function resultOf(id: string, findings: VipFindings, plan = literal): CheckResult {
  const results = resultsOf(plan, findings)
  const result = results.find((one) => one.id === id)
  if (result === undefined) throw new Error(`no ${id}`)
  return result
}

describe('vip.free', () => {
  it('passes with what was asked, and how sure that makes it', () => {
    expect(resultOf('vip.free', asked({}))).toMatchObject({
      state: 'pass',
      severity: 'block',
      target: '10.10.200.100',
      evidence: 'what was asked',
      measured: 'No answer to 9 ARP requests from n1. Confidence 87 %.',
    })
  })

  it('blocks when somebody answers', () => {
    const result = resultOf('vip.free', asked({ verdict: 'used', reason: '00:50:56:00:00:01 answers.' }))
    expect(result).toMatchObject({ state: 'fail', measured: '00:50:56:00:00:01 answers.' })
    expect(isBlocking(result)).toBe(true)
  })

  it.each([
    ['nobody could ask', unasked],
    ['nobody can tell', asked({ verdict: 'doubtful', confidence: 0, reason: 'Only 2 requests went out.' })],
  ])('is never a pass when %s; it blocks where a run would not go on either', (_name, findings) => {
    const planned = resultOf('vip.free', findings)
    expect(planned).toMatchObject({ state: 'could-not-run', severity: 'warn' })
    expect(isBlocking(resultOf('vip.free', findings, searched))).toBe(true)
  })

  it('blocks when a search finds nothing', () => {
    const nothing = asked(undefined, { asked: { addresses: 14, of: 14, free: 0 } })
    const result = resultOf('vip.free', nothing, searched)
    expect(result).toMatchObject({ state: 'fail', target: 'vip: auto' })
    expect(result.measured).toContain('14 of 14 asked')
  })

  it('is the only check, and passes, when the cluster has the address', () => {
    const findings: VipFindings = {
      kind: 'cluster',
      address: '10.10.200.7',
      seen: 'GET /v1/edge-mgmt/cluster',
    }
    expect(resultsOf(searched, findings)).toMatchObject([
      { id: 'vip.free', state: 'pass', target: '10.10.200.7' },
    ])
  })
})

describe('vip.not-vrrp-mac', () => {
  it.each([
    ['00:00:5e:00:01:33', 'fail'],
    ['00:00:0c:07:ac:0a', 'fail'],
    ['00:50:56:aa:bb:cc', 'pass'],
  ])('%s: %s', (mac, state) => {
    expect(resultOf('vip.not-vrrp-mac', asked({ verdict: 'used', macs: [mac] }))).toMatchObject({
      state,
      severity: 'block',
      measured: expect.stringContaining(mac) as string,
    })
  })
  it('passes when nobody answers', () => {
    expect(resultOf('vip.not-vrrp-mac', asked({})).state).toBe('pass')
  })
})

describe('vip.proxy-arp', () => {
  it.each(['proxied', 'void'] as const)('warns when ARP is %s at one place', (arp) => {
    const result = resultOf(
      'vip.proxy-arp',
      asked({}, { vantages: [vantage(), vantage({ name: 'n2', arp })] }),
    )
    expect(result).toMatchObject({ state: 'warn', severity: 'warn' })
    expect(result.measured).toMatch(/^n2: /)
  })
  it('passes, and says from where', () => {
    expect(resultOf('vip.proxy-arp', asked({}))).toMatchObject({
      state: 'pass',
      measured: 'none, seen from n1',
    })
  })
})

describe('vip.not-in-dhcp-pool', () => {
  const dhcp = [
    {
      server: '10.10.200.1',
      offers: ['10.10.200.101'],
      likelyPool: { first: '10.10.200.90', last: '10.10.200.120' },
    },
  ]
  it('warns inside of a likely pool', () => {
    expect(resultOf('vip.not-in-dhcp-pool', asked({}, { dhcp }))).toMatchObject({
      state: 'warn',
      severity: 'warn',
    })
  })
  it('passes outside of it, and without any offer', () => {
    const outside = asked({ address: '10.10.200.121' }, { dhcp })
    expect(resultOf('vip.not-in-dhcp-pool', outside).state).toBe('pass')
    expect(resultOf('vip.not-in-dhcp-pool', asked({})).state).toBe('pass')
  })
  it('is no pass where nobody could ask for offers', () => {
    const deaf = asked({}, { vantages: [vantage({ methods: ['arp-probe'] })] })
    expect(resultOf('vip.not-in-dhcp-pool', deaf).state).toBe('could-not-run')
  })
})

describe('vip.subnet-room', () => {
  it.each([
    [2, 'pass'],
    [1, 'warn'],
  ])('with %i free addresses: %s', (free, state) => {
    const findings = asked({}, { asked: { addresses: 254, of: 254, free } })
    expect(resultOf('vip.subnet-room', findings)).toMatchObject({ state, severity: 'warn' })
  })
})

it('no check passes, and only the one that stops a run blocks, when nobody could look', () => {
  for (const plan of [literal, searched]) {
    const results = resultsOf(plan, unasked)
    expect(results.map(({ id }) => id)).toEqual([
      'vip.free',
      'vip.not-vrrp-mac',
      'vip.proxy-arp',
      'vip.not-in-dhcp-pool',
      'vip.subnet-room',
    ])
    expect(new Set(results.map(({ state }) => state))).toEqual(new Set(['could-not-run']))
    expect(results.filter(isBlocking).map(({ id }) => id)).toEqual(plan === searched ? ['vip.free'] : [])
  }
})
