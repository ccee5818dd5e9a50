import { parseAddress } from '../../../shared/plan/ipv4.ts'
import type { DhcpOffer } from '../discovery/vantage.ts'

/**
 * The range that the offers of one server span, as unsigned numbers with both ends included: a guess, because a server
 * shows only what it would give away next. `undefined` without an offer.
 */
export function likelyPool(
  offers: readonly Pick<DhcpOffer, 'address'>[],
): { readonly first: number; readonly last: number } | undefined {
  const offered = offers.flatMap(({ address }) => parseAddress(address) ?? [])
  if (offered.length === 0) return undefined
  return { first: Math.min(...offered), last: Math.max(...offered) }
}
