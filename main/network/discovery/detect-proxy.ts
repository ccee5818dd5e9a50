import type { Observation } from '../../../shared/addresses/index.ts'
import type { ArpProxy } from './judge-address.ts'

/** How many addresses that nobody is likely to have are asked for at each vantage. */
export const unlikelyAddressCount = 3

/** A MAC that answers for this part of all addresses is taken for a proxy until it is proven to own them. */
const suspiciousShare = 0.5
const suspiciousCount = 8

/**
 * MACs that may answer for addresses which nobody has: one MAC for all of the unlikely addresses, or for most of all.
 * A large server with many addresses looks the same; the caller tells them apart by duplicate address detection.
 */
export function suspectedProxies(
  observations: readonly Observation[],
  unlikely: readonly string[],
): Map<string, readonly string[]> {
  const asked = new Set<string>()
  const answeredBy = new Map<string, Set<string>>()
  for (const { address, answer, layer, macs } of observations) {
    if (layer !== 'link') continue
    asked.add(address)
    if (answer !== 'answered') continue
    for (const mac of macs) answeredBy.set(mac, (answeredBy.get(mac) ?? new Set()).add(address))
  }
  const suspects = new Map<string, readonly string[]>()
  for (const [mac, addresses] of answeredBy) {
    const isForUnlikely =
      unlikely.length >= unlikelyAddressCount && unlikely.every((address) => addresses.has(address))
    const isForMost = addresses.size >= suspiciousCount && addresses.size >= asked.size * suspiciousShare
    if (!isForUnlikely && !isForMost) continue
    // The unlikely ones first: they are the best witnesses.
    const witnesses = [...unlikely.filter((address) => addresses.has(address)), ...addresses]
    suspects.set(mac, [...new Set(witnesses)].slice(0, unlikelyAddressCount))
  }
  return suspects
}

/**
 * What the suspects are, after duplicate address detection for their witnesses. Whoever leaves it unanswered for one of
 * them does not answer it for everything: what it does answer is its own.
 */
export function proxyFrom(
  suspects: ReadonlyMap<string, readonly string[]>,
  probes: readonly Observation[] | undefined,
): ArpProxy {
  const isSilent = (address: string) => {
    const about = probes?.filter((seen) => seen.address === address) ?? []
    return about.length > 0 && about.every(({ answer }) => answer === 'silent')
  }
  const answersRequestsOnly = [...suspects.values()].every((witnesses) => witnesses.some(isSilent))
  return {
    macs: new Set(suspects.keys()),
    answers: answersRequestsOnly ? 'requests' : 'requests-and-probes',
  }
}
