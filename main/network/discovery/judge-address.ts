import type { AddressReport, Observation } from '../../../shared/addresses/index.ts'
import { formatAddress, parseAddress } from '../../../shared/plan/ipv4.ts'
import { kindOfMac } from './mac-kinds.ts'

/**
 * What a proxy at a vantage answers for addresses that nobody has. `requests`: it answers ordinary ARP requests (proxy
 * ARP); `probes`: it answers duplicate address detection (RFC 5227) as well.
 */
export interface ArpProxy {
  readonly macs: ReadonlySet<string>
  readonly answers: 'requests' | 'requests-and-probes'
}

/** A range that a DHCP server is likely to hand out, as unsigned numbers, both ends included. */
export interface LikelyPool {
  readonly server: string
  readonly first: number
  readonly last: number
  readonly offered: ReadonlySet<string>
}

export interface Circumstances {
  /** Addresses that belong to something known, and to what: "the gateway". */
  readonly reserved: ReadonlyMap<string, string>
  /** By name of the vantage. */
  readonly proxies: ReadonlyMap<string, ArpProxy>
  readonly pools: readonly LikelyPool[]
  /**
   * MAC addresses of our own machines that are known not to have the address (they were asked for theirs), and the names
   * of these machines. One that had it a short time ago, for a proof, stays in the neighbour tables of others.
   */
  readonly ownMacs: ReadonlyMap<string, string>
  /** True when the silence was heard twice, a minute apart. */
  readonly isRechecked: boolean
}

/**
 * How many ARP requests a free address must have left unanswered: RFC 5227 asks for three; two more find a host that
 * answers only every fifth.
 */
export const requestsForFree = 5
/** With duplicate address detection the three of RFC 5227 are enough besides the requests of the sweep. */
const answerRate = 1 / 5

/**
 * The verdict on one address from everything that was heard of it. Pure. An answer always outweighs silence, from
 * wherever it came; only silence in answer to questions that really went out, at a place where an answer would have been
 * heard, makes an address free.
 */
export function judgeAddress(
  address: string,
  evidence: readonly Observation[],
  circumstances: Circumstances,
): AddressReport {
  const of = (
    verdict: AddressReport['verdict'],
    confidence: number,
    reason: string,
    macs: Iterable<string> = [],
  ): AddressReport => ({
    address,
    verdict,
    confidence: Math.round(confidence * 100) / 100,
    reason,
    macs: [...macs],
    evidence: [...evidence],
  })

  const memories = outlivedMemories(evidence, circumstances)
  const answered = evidence.filter(
    (seen) => seen.answer === 'answered' && seen.method !== 'dhcp' && !memories.includes(seen),
  )
  const owners = new Set(answered.flatMap((seen) => macsBesidesProxy(seen, circumstances)))
  const reservedAs = circumstances.reserved.get(address)
  if (reservedAs !== undefined) return of('used', 1, `It is ${reservedAs}.`, owners)

  const [special] = [...owners].map(kindOfMac).filter((kind) => kind.isVirtualRouter)
  if (special !== undefined) return of('used', 1, `It is reserved: ${special.phrase} answers.`, owners)
  if (owners.size > 1) {
    return of('used', 1, `Address collision: ${[...owners].join(' and ')} both claim it.`, owners)
  }
  const owned = answered.find((seen) => macsBesidesProxy(seen, circumstances).length > 0)
  if (owned !== undefined) {
    const verb = answered.some((seen) => seen.probes > 0) ? 'answers' : 'has answered a short time ago'
    return of('used', 0.99, `${[...owners].join(', ')} ${verb} (${placeOf(owned)}).`, owners)
  }
  const reached = answered.find((seen) => seen.layer === 'network')
  if (reached !== undefined) {
    return of('used', 0.95, `Something answers: ${reached.detail} (${placeOf(reached)}).`)
  }
  const unnamed = answered.find((seen) => seen.macs.length === 0)
  if (unnamed !== undefined) {
    return of('used', 0.95, `Something answers: ${unnamed.detail} (${placeOf(unnamed)}).`)
  }

  const pool = circumstances.pools.find((candidate) => isIn(candidate, address))
  if (pool !== undefined) {
    return of(
      'doubtful',
      0,
      pool.offered.has(address)
        ? `The DHCP server ${pool.server} offers it to whoever asks.`
        : `It lies among addresses that the DHCP server ${pool.server} offers (${formatAddress(pool.first)} to ${formatAddress(pool.last)}).`,
    )
  }
  const probedByProxy = answered.find((seen) => seen.method === 'arp-probe')
  if (probedByProxy !== undefined) {
    return of(
      'doubtful',
      0,
      `${probedByProxy.macs.join(', ')} answers for every address here, so nobody can tell whether this one is used.`,
      probedByProxy.macs,
    )
  }
  const remembered = evidence.find(
    (seen) => seen.answer === 'unclear' && seen.macs.length > 0 && !memories.includes(seen),
  )
  if (remembered !== undefined) {
    return of(
      'doubtful',
      0,
      `${remembered.macs.join(', ')} had it a short time ago: ${remembered.detail} (${placeOf(remembered)}).`,
      remembered.macs,
    )
  }

  const silences = evidence.filter((seen) => isValidSilence(seen, circumstances))
  const requests = sum(silences.filter((seen) => seen.method !== 'nmap'))
  const probes = sum(silences.filter((seen) => seen.method === 'arp-probe'))
  const isProxied = answered.length > 0
  if (isProxied && probes < requestsForFree) {
    return of(
      'doubtful',
      0,
      `A proxy (${[...new Set(answered.flatMap((seen) => seen.macs))].join(', ')}) answers for every address, and there was no duplicate address detection that it does not answer.`,
    )
  }
  const past = memoryPhrase(memories, circumstances)
  const direct = sum(silences.filter(({ method }) => method === 'arp-probe' || method === 'arping'))
  if (past !== undefined && direct < requestsForFree) {
    return of(
      'doubtful',
      0,
      `${past}, and only ${direct} requests were asked past that table; ${requestsForFree} are needed.`,
      memories.flatMap(({ macs }) => macs),
    )
  }
  if (requests < requestsForFree) {
    return of(
      'doubtful',
      0,
      silences.length === 0
        ? 'Nobody who would have heard an answer could ask.'
        : `Only ${requests} requests went out; ${requestsForFree} are needed.`,
    )
  }
  const asked = sum(silences)
  const places = [...new Set(silences.map((seen) => seen.vantage))]
  const confidence = Math.min(1 - (1 - answerRate) ** asked, circumstances.isRechecked ? 0.99 : 0.95)
  return of(
    'free',
    confidence,
    `No answer to ${asked} ARP requests from ${places.join(' and ')}` +
      (isProxied ? ', except from a proxy that answers for every address.' : '.') +
      (past === undefined ? '' : ` ${past}, and does not answer for it any more.`),
  )
}

/**
 * What a neighbour table still says of one of our own machines, from before it was asked, while duplicate address detection
 * stayed silent: a host's memory of a proof, not an answer. Without such a silence it is none of these, and counts.
 */
function outlivedMemories(evidence: readonly Observation[], circumstances: Circumstances): Observation[] {
  const wasProbed = evidence.some(
    (seen) => seen.method === 'arp-probe' && seen.probes > 0 && isValidSilence(seen, circumstances),
  )
  if (!wasProbed) return []
  return evidence.filter(
    ({ method, answer, probes, macs }) =>
      method === 'neighbour-table' &&
      (answer === 'unclear' || (answer === 'answered' && probes === 0)) &&
      macs.length > 0 &&
      macs.every((mac) => circumstances.ownMacs.has(mac)),
  )
}

/** The beginning of a sentence; `undefined`: no table remembers anything. */
function memoryPhrase(memories: readonly Observation[], { ownMacs }: Circumstances): string | undefined {
  const [first] = memories
  if (first === undefined) return undefined
  const macs = [...new Set(memories.flatMap((seen) => seen.macs))]
  const names = [...new Set(macs.flatMap((mac) => ownMacs.get(mac) ?? []))]
  return `${names.join(' and ')} (${macs.join(', ')}) had it a short time ago (${placeOf(first)}: ${first.detail})`
}

/** MACs of an answer that are not those of a proxy. */
function macsBesidesProxy(seen: Observation, { proxies }: Circumstances): string[] {
  const proxy = proxies.get(seen.vantage)
  if (proxy === undefined || seen.layer !== 'link') return seen.macs
  // A proxy that answers requests only proves by answering a probe that the address is its own.
  if (seen.method === 'arp-probe' && proxy.answers === 'requests') return seen.macs
  return seen.macs.filter((mac) => !proxy.macs.has(mac))
}

/** Silence counts on the link only: a host that drops everything is silent to everything but ARP. */
function isValidSilence(seen: Observation, { proxies }: Circumstances): boolean {
  if (seen.answer !== 'silent' || seen.layer !== 'link') return false
  return proxies.get(seen.vantage) === undefined || seen.method === 'arp-probe'
}

function sum(silences: readonly Observation[]): number {
  return silences.reduce((total, seen) => total + seen.probes, 0)
}

function isIn(pool: LikelyPool, address: string): boolean {
  const number = parseAddress(address)
  return number !== undefined && number >= pool.first && number <= pool.last
}

function placeOf(seen: Observation): string {
  return `${seen.method} on ${seen.vantage}`
}
