import type { FreeAddressReport } from '../../../shared/addresses/index.ts'
import { formatAddress } from '../../../shared/plan/ipv4.ts'
import type { Clock } from '../../engine/clock.ts'
import { addressesOf, sampleBlocks, sizeOf, type AddressRange } from './address-range.ts'
import { AddressSearch } from './address-search.ts'
import { attachVantages, type AttachedVantage } from './attach-vantages.ts'
import type { Vantage } from './vantage.ts'

export interface FindOptions {
  readonly range: AddressRange
  /** Where to look from. Those that are not attached to the network of the range are not asked, and named as such. */
  readonly vantages: readonly Vantage[]
  /** How many free addresses are wanted. */
  readonly count: number
  /** Interface of the workstation; default: the one that is attached to the range. */
  readonly interface?: string | undefined
  /** Addresses that are never offered, and what they are: "the gateway". */
  readonly reserved?: ReadonlyMap<string, string>
  /**
   * Machines of ours besides the vantages, whose addresses are known and among `reserved`: their MAC addresses (lower case
   * with colons) and names. What only a neighbour table remembers of them is not taken for their answer.
   */
  readonly ownMacs?: ReadonlyMap<string, string>
  /** Ask the candidates again that many seconds after the first time; 0: once only. Default 0. */
  readonly recheckAfterSeconds?: number
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly onProgress?: (progress: FindProgress) => void
  /** From 0 to below 1. Default `Math.random`. */
  readonly random?: () => number
}

export interface FindProgress {
  /** `sweep`: all addresses · `confirm`: the best candidates · `recheck`: the same again, later. */
  readonly stage: 'sweep' | 'confirm' | 'recheck'
  readonly asked: number
  readonly of: number
  /** So far. */
  readonly free: number
  readonly used: number
}

/** Networks of up to this many addresses are asked as a whole, larger ones part by part until enough is found. */
const wholeUpTo = 1024
const blockSize = 256
/** After this time the hosts that are going to answer at once have done so, and the likely candidates are known. */
const firstImpressionMilliseconds = 500
/** Candidates that are proven besides the wanted ones, because some may turn out to be used. */
const spares = 3
/** So many at once are proven while the sweep still runs. */
const earlyProbes = 32
/** Rounds of duplicate address detection; each takes about 4 s. */
const maxProbeRounds = 12

/**
 * Finds free addresses and shows why they are held for free. Reads only: no address is taken, nothing is changed.
 *
 * @throws AppError `NO_VANTAGE`, `INTERFACE_DOWN`, `INTERFACE_UNKNOWN`; the signal's reason when aborted.
 */
export async function findFreeAddresses(options: FindOptions): Promise<FreeAddressReport> {
  const { range, clock, signal, count, recheckAfterSeconds = 0, random = Math.random } = options
  const started = clock.now()
  const { attached, others } = await attachVantages(options.vantages, range, options)
  const reserved = reservedAddresses(options, attached)
  const ownMacs = new Map([...macsOf(attached), ...(options.ownMacs ?? [])])
  const search = new AddressSearch({ range, attached, reserved, ownMacs, clock, signal, random })
  const total = addressesOf(range).length
  let asked = 0
  let sweptMs = 0
  const report = (stage: FindProgress['stage']) => {
    if (options.onProgress === undefined) return
    const reports = search.reports()
    options.onProgress({
      stage,
      asked,
      of: total,
      free: reports.filter(({ verdict }) => verdict === 'free').length,
      used: reports.filter(({ verdict }) => verdict === 'used').length,
    })
  }

  let found = 0
  for (const block of blocksOf(range, count, random)) {
    const isFirst = asked === 0
    const sweep = search.sweep(block, () => {
      if (isFirst) sweptMs = clock.now() - started
    })
    await allOrFirstError([sweep, ...(isFirst ? [search.askDhcp(), probeEarly(search, options)] : [])])
    asked += block.length
    const judged = block.map((address) => search.judge(address))
    found += judged.filter(({ verdict }) => verdict === 'free').length
    report('sweep')
    if (total > wholeUpTo) search.forgetDetails(block)
    const provable = search.unproven(count).length
    if (asked < total && Math.max(found, provable) >= count + spares) break
  }

  await confirm(search, count, () => {
    report('confirm')
  })
  const firstLook = clock.now()
  let again: ReadonlySet<string> | undefined
  if (recheckAfterSeconds > 0) {
    await clock.sleep(recheckAfterSeconds * 1000, signal)
    again = await recheck(search, count)
    report('recheck')
  }

  const reports = search.reports()
  const free = search.free(reports)
  const candidates = free.filter(({ address }) => again?.has(address) ?? true).slice(0, count)
  return {
    cidr: range.text,
    vantages: [...search.vantages(), ...others],
    candidates,
    used: reports.filter(({ verdict }) => verdict === 'used'),
    doubtful: reports.filter(({ verdict }) => verdict === 'doubtful'),
    asked: { addresses: asked, of: total, free: free.length },
    dhcp: search.dhcp(),
    recheckedAfterSeconds: recheckAfterSeconds > 0 ? Math.round((clock.now() - firstLook) / 1000) : 0,
    warnings: search.warnings,
    sweptMs: Math.round(sweptMs),
    elapsedMs: Math.round(clock.now() - started),
  }
}

/** What no host may have, or what is known to have a host, besides what the caller names. */
function reservedAddresses(options: FindOptions, attached: readonly AttachedVantage[]): Map<string, string> {
  const reserved = new Map<string, string>()
  for (const { network } of attached) {
    if (network.prefix >= 31) continue
    reserved.set(formatAddress(network.first), 'the network address')
    reserved.set(formatAddress(network.last), 'the broadcast address')
  }
  for (const { vantage, facts } of attached) {
    const owner = vantage.kind === 'workstation' ? 'this workstation' : vantage.name
    for (const { address } of facts.interfaces.flatMap((nic) => nic.addresses)) {
      reserved.set(address, `an address of ${owner}`)
    }
    for (const address of facts.gateways) reserved.set(address, 'a gateway')
    for (const address of facts.nameServers) reserved.set(address, 'a name server')
  }
  for (const [address, owner] of options.reserved ?? []) reserved.set(address, owner)
  return reserved
}

/** The vantages told their addresses at the start, and these are reserved. */
function macsOf(attached: readonly AttachedVantage[]): [string, string][] {
  return attached.flatMap(({ vantage, facts }) =>
    facts.interfaces.flatMap(({ mac }): [string, string][] =>
      mac === undefined ? [] : [[mac, vantage.name]],
    ),
  )
}

function blocksOf(range: AddressRange, count: number, random: () => number): Iterable<readonly string[]> {
  if (sizeOf(range) <= wholeUpTo) return [addressesOf(range)]
  return sampleBlocks(range, Math.min(wholeUpTo, Math.max(blockSize, count * 2)), random)
}

/**
 * While the sweep still asks, the candidates of the first impression are proven: both together take no longer. Not where
 * a proxy is suspected: its answers to the requests of the sweep would be taken for answers to the probes.
 */
async function probeEarly(search: AddressSearch, { clock, signal, count }: FindOptions): Promise<void> {
  await clock.sleep(firstImpressionMilliseconds, signal)
  if (search.suspectProxies()) return
  const likely = search.unproven(Math.min(earlyProbes, count + spares))
  if (likely.length > 0) await search.probe(likely)
}

/** Duplicate address detection for the best candidates, until the best ones are proven. */
async function confirm(search: AddressSearch, count: number, onRound: () => void): Promise<void> {
  for (let round = 0; round < maxProbeRounds; round += 1) {
    const next = search.unproven(count)
    if (next.length === 0) return
    onRound()
    await search.probe(next)
  }
}

/** Asks the best candidates, and some more, once again. Returns those that were asked. */
async function recheck(search: AddressSearch, count: number): Promise<ReadonlySet<string>> {
  const addresses = search
    .free()
    .slice(0, count + spares)
    .map(({ address }) => address)
  await search.sweep(addresses)
  await search.probe(addresses)
  search.markRechecked(addresses)
  return new Set(addresses)
}

/** Like `Promise.all`, but everything has ended when it rejects: nothing goes on unseen. */
async function allOrFirstError(works: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(works)
  const failed = results.find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
