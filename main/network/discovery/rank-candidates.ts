import type { AddressReport } from '../../../shared/addresses/index.ts'
import { parseAddress } from '../../../shared/plan/ipv4.ts'
import type { LikelyPool } from './judge-address.ts'

/** How many addresses at either end of a network people tend to give to routers. */
const routerEnds = 3

/**
 * Puts free addresses in the order in which they are offered: farthest from addresses that are used and from the likely
 * DHCP pools first (both grow), then the less risky ones (routers tend to live at the ends of a network), then the better
 * proven, then the lower. Pure.
 */
export function rankCandidates(
  candidates: readonly AddressReport[],
  surroundings: {
    /** Addresses in use or reserved, in any order. */
    readonly taken: readonly string[]
    readonly pools: readonly LikelyPool[]
    /** First and last address of the range. */
    readonly first: number
    readonly last: number
  },
): AddressReport[] {
  const taken = surroundings.taken
    .map((address) => parseAddress(address))
    .filter((address) => address !== undefined)
    .sort((a, b) => a - b)
  const rated = candidates.map((candidate) => {
    const address = parseAddress(candidate.address) ?? 0
    const toPools = surroundings.pools.map((pool) => Math.max(pool.first - address, address - pool.last, 0))
    const fromEnd = Math.min(address - surroundings.first, surroundings.last - address)
    return {
      candidate,
      address,
      distance: Math.min(distanceTo(taken, address), ...toPools),
      risk: fromEnd <= routerEnds ? 1 : 0,
    }
  })
  return rated
    .sort(
      (a, b) =>
        b.distance - a.distance ||
        a.risk - b.risk ||
        b.candidate.confidence - a.candidate.confidence ||
        a.address - b.address,
    )
    .map(({ candidate }) => candidate)
}

/** Distance to the nearest of some sorted numbers; infinite when there is none. */
function distanceTo(sorted: readonly number[], value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] ?? 0) < value) low = middle + 1
    else high = middle
  }
  const below = sorted[low - 1]
  const above = sorted[low]
  return Math.min(
    below === undefined ? Infinity : value - below,
    above === undefined ? Infinity : above - value,
  )
}
