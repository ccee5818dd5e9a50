import { describe, expect, it } from 'vitest'
import type { AddressReport } from '../../../shared/addresses/index.ts'
import { parseNetwork } from '../../../shared/plan/ipv4.ts'
import { rankCandidates } from './rank-candidates.ts'

const { first, last } = parseNetwork('10.10.200.0/24') ?? { first: 0, last: 0 }

function free(number: number, confidence = 0.8): AddressReport {
  return {
    address: `10.10.200.${number}`,
    verdict: 'free',
    confidence,
    reason: 'silent',
    macs: [],
    evidence: [],
  }
}

function order(candidates: AddressReport[], taken: number[], pools: [number, number][] = []): number[] {
  const ranked = rankCandidates(candidates, {
    taken: taken.map((number) => `10.10.200.${number}`),
    pools: pools.map(([from, to]) => ({
      server: '10.10.200.1',
      first: first + from,
      last: first + to,
      offered: new Set(),
    })),
    first,
    last,
  })
  return ranked.map(({ address }) => Number(address.split('.').at(-1)))
}

describe('the order of candidates', () => {
  it('begins with the one that is farthest from used addresses', () => {
    expect(order([free(60), free(100), free(140)], [50, 150])).toEqual([100, 60, 140])
  })

  it('keeps away from the likely pool of a DHCP server', () => {
    expect(order([free(100), free(180), free(210)], [50], [[120, 170]])).toEqual([210, 100, 180])
  })

  it('prefers an address where no router is expected, when all else is equal', () => {
    expect(order([free(254), free(250)], [252])).toEqual([250, 254])
  })

  it('prefers what is better proven, then the lower address', () => {
    expect(order([free(90), free(110)], [100])).toEqual([90, 110])
    expect(order([free(90, 0.7), free(110, 0.9)], [100])).toEqual([110, 90])
  })

  it('works in an empty network', () => {
    expect(order([free(9), free(7), free(8)], [])).toEqual([7, 8, 9])
  })
})
