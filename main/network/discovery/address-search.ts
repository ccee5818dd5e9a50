import type {
  AddressReport,
  FreeAddressReport,
  Observation,
  VantageReport,
} from '../../../shared/addresses/index.ts'
import { formatAddress, parseAddress } from '../../../shared/plan/ipv4.ts'
import type { Clock } from '../../engine/clock.ts'
import { likelyPool } from '../dhcp/index.ts'
import type { AddressRange } from './address-range.ts'
import { audibleAt, describeAttachment, type AttachedVantage } from './attach-vantages.ts'
import { proxyFrom, suspectedProxies, unlikelyAddressCount } from './detect-proxy.ts'
import { judgeAddress, requestsForFree, type ArpProxy, type LikelyPool } from './judge-address.ts'
import { rankCandidates } from './rank-candidates.ts'
import type { Answers, DhcpOffer } from './vantage.ts'

interface SearchOptions {
  readonly range: AddressRange
  readonly attached: readonly AttachedVantage[]
  /** Addresses that belong to something known, and to what. */
  readonly reserved: ReadonlyMap<string, string>
  /** As in `Circumstances`. */
  readonly ownMacs: ReadonlyMap<string, string>
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly random: () => number
}

/** Requests of one round of duplicate address detection where a proxy makes it the only witness. */
const probesAgainstProxy = requestsForFree + 1
const probesOfRfc5227 = 3
/** An address that is still undecided after so many rounds stays so. */
const mostRounds = 3

/** What is known of the addresses so far, and the ways to learn more. */
export class AddressSearch {
  readonly #options: SearchOptions
  readonly #evidence = new Map<string, Observation[]>()
  readonly #warnings = new Set<string>()
  readonly #proxies = new Map<string, ArpProxy>()
  /** Proxies that are not proven yet, with their witnesses. */
  readonly #suspects = new Map<AttachedVantage, ReadonlyMap<string, readonly string[]>>()
  readonly #offers = new Map<string, DhcpOffer>()
  /** How often duplicate address detection was asked for, by address. */
  readonly #probed = new Map<string, number>()
  readonly #rechecked = new Set<string>()
  /** Asked only to recognise proxies; not in the range. */
  readonly #witnesses = new Set<string>()
  #unlikely: string[] | undefined
  #canProbe = true

  constructor(options: SearchOptions) {
    this.#options = options
  }

  get warnings(): string[] {
    return [...this.#warnings]
  }

  get offers(): readonly DhcpOffer[] {
    return [...this.#offers.values()]
  }

  /** Asks every vantage for all of the addresses, by every means that needs no choice. */
  async sweep(addresses: readonly string[], onSwept?: () => void): Promise<void> {
    const { attached, signal } = this.#options
    let left = attached.length
    for (const address of addresses) {
      this.#witnesses.delete(address)
      if (!this.#evidence.has(address)) this.#evidence.set(address, [])
    }
    const handleSwept = () => {
      left -= 1
      if (left === 0) onSwept?.()
    }
    await Promise.all(
      attached.map(async (place) => {
        const heard = audibleAt(place, [...new Set([...addresses, ...this.#unlikelyAt(place)])])
        let isSwept = false
        const noteSwept = () => {
          if (!isSwept) handleSwept()
          isSwept = true
        }
        const options = {
          interface: place.interface,
          signal,
          onObservation: (seen: Observation) => {
            this.#add(place, seen)
          },
        }
        const [swept, scanned] = await Promise.all([
          place.vantage.sweep(heard, { ...options, onSwept: noteSwept }),
          place.vantage.scan(heard, options),
        ])
        noteSwept()
        this.#take(place, swept)
        this.#take(place, scanned)
        this.#suspectProxy(place)
        if (this.#suspects.has(place)) await this.#probeFrom(place, [])
      }),
    )
  }

  /** Duplicate address detection for a few addresses, from every vantage that can. */
  async probe(addresses: readonly string[]): Promise<void> {
    for (const address of addresses) this.#probed.set(address, this.#roundsOf(address) + 1)
    const results = await Promise.all(
      this.#options.attached.map((place) => this.#probeFrom(place, audibleAt(place, addresses))),
    )
    this.#canProbe = results.some(Boolean)
  }

  /**
   * Whoever answers for nearly everything so far is taken for a proxy until it is proven. True when there is one anywhere.
   */
  suspectProxies(): boolean {
    for (const place of this.#options.attached) this.#suspectProxy(place)
    return this.#proxies.size > 0
  }

  async askDhcp(): Promise<void> {
    const { attached, signal } = this.#options
    await Promise.all(
      attached.map(async (place) => {
        const answers = await place.vantage.askDhcp?.({
          interface: place.interface,
          signal,
          onOffer: (offer) => {
            this.#offers.set(`${offer.server} ${offer.address}`, offer)
          },
        })
        if (answers === undefined) return
        place.methods.add('dhcp')
        for (const warning of answers.warnings) this.#warnings.add(warning)
        for (const offer of answers.offers) this.#offers.set(`${offer.server} ${offer.address}`, offer)
      }),
    )
  }

  /** From now on the silence of these addresses counts as heard twice. */
  markRechecked(addresses: readonly string[]): void {
    for (const address of addresses) this.#rechecked.add(address)
  }

  judge(address: string, assumed: readonly Observation[] = []): AddressReport {
    return judgeAddress(address, [...(this.#evidence.get(address) ?? []), ...assumed], {
      reserved: this.#options.reserved,
      proxies: this.#proxies,
      pools: this.pools,
      ownMacs: this.#options.ownMacs,
      isRechecked: this.#rechecked.has(address),
    })
  }

  /** All addresses that were asked, in their order. */
  reports(): AddressReport[] {
    return [...this.#evidence.keys()]
      .filter((address) => !this.#witnesses.has(address))
      .sort((a, b) => (parseAddress(a) ?? 0) - (parseAddress(b) ?? 0))
      .map((address) => this.judge(address))
  }

  /** Free addresses, best first. */
  free(reports = this.reports()): AddressReport[] {
    return this.#rank(reports.filter(({ verdict }) => verdict === 'free'))
  }

  /**
   * Of the best `count` addresses that are free, or would be if duplicate address detection stayed silent, those that
   * still need it. Empty when nobody can ask so.
   */
  unproven(count: number): string[] {
    if (!this.#canProbe) return []
    const hopeful = [...this.#evidence.keys()]
      .filter((address) => !this.#witnesses.has(address))
      .flatMap((address) => {
        const report = this.judge(address)
        if (report.verdict === 'free') return [report]
        const hoped = this.judge(address, this.#assumedSilence(address))
        return hoped.verdict === 'free' && this.#roundsOf(address) < mostRounds ? [hoped] : []
      })
    const isNeeded = ({ address }: AddressReport) =>
      this.#roundsOf(address) === 0 || this.judge(address).verdict !== 'free'
    return this.#rank(hopeful)
      .slice(0, count)
      .filter(isNeeded)
      .map(({ address }) => address)
  }

  #roundsOf(address: string): number {
    return this.#probed.get(address) ?? 0
  }

  get pools(): LikelyPool[] {
    const servers = new Map<string, DhcpOffer[]>()
    for (const offer of this.#offers.values()) {
      servers.set(offer.server, [...(servers.get(offer.server) ?? []), offer])
    }
    return [...servers].flatMap(([server, offers]) => {
      const pool = likelyPool(offers)
      if (pool === undefined) return []
      return [{ server, ...pool, offered: new Set(offers.map(({ address }) => address)) }]
    })
  }

  dhcp(): FreeAddressReport['dhcp'] {
    return this.pools.map(({ server, first, last, offered }) => ({
      server,
      offers: [...offered],
      likelyPool: { first: formatAddress(first), last: formatAddress(last) },
    }))
  }

  vantages(): VantageReport[] {
    return this.#options.attached.map((place) => {
      const proxy = this.#proxies.get(place.vantage.name)
      return {
        name: place.vantage.name,
        kind: place.vantage.kind,
        isAttached: true,
        detail: describeAttachment(place),
        methods: [...place.methods],
        arp: proxy === undefined ? 'valid' : proxy.answers === 'requests' ? 'proxied' : 'void',
      }
    })
  }

  /** Of addresses that will not be offered only what decides is kept: a large network has many of them. */
  forgetDetails(addresses: readonly string[]): void {
    for (const address of addresses) {
      const seen = this.#evidence.get(address)
      const decisive = seen?.find(({ answer }) => answer === 'answered')
      if (decisive !== undefined) this.#evidence.set(address, [decisive])
    }
  }

  #rank(reports: readonly AddressReport[]): AddressReport[] {
    const { range, reserved } = this.#options
    const taken = [...this.#evidence.keys()].filter((address) => this.#isTaken(address))
    return rankCandidates(reports, {
      taken: [...taken, ...reserved.keys()],
      pools: this.pools,
      first: range.first,
      last: range.last,
    })
  }

  #isTaken(address: string): boolean {
    return this.judge(address).verdict === 'used'
  }

  /** True when this vantage could ask. */
  async #probeFrom(place: AttachedVantage, addresses: readonly string[]): Promise<boolean> {
    const { name } = place.vantage
    const known = this.#proxies.get(name)
    const suspects = this.#suspects.get(place)
    const witnesses = suspects === undefined ? [] : [...suspects.values()].flat()
    const answers = await place.vantage.probe([...new Set([...addresses, ...witnesses])], {
      interface: place.interface,
      signal: this.#options.signal,
      kind: 'arp-probe',
      count: known === undefined ? probesOfRfc5227 : probesAgainstProxy,
    })
    this.#take(place, answers)
    const found = this.#proxies.get(name)
    // Suspected in the meantime: what was answered may have been a request of the sweep.
    if (known === undefined && found !== undefined) this.#forgetProbesAnsweredBy(found.macs, name)
    if (suspects !== undefined) {
      this.#suspects.delete(place)
      this.#convict(name, proxyFrom(suspects, answers?.observations))
    }
    return answers?.observations.some((seen) => seen.answer !== 'unclear') ?? false
  }

  #suspectProxy(place: AttachedVantage): void {
    const { name } = place.vantage
    if (this.#proxies.has(name)) return
    const seen = [...this.#evidence.values()].flat().filter(({ vantage }) => vantage === name)
    const suspects = suspectedProxies(seen, this.#unlikelyAt(place))
    if (suspects.size === 0) return
    this.#suspects.set(place, suspects)
    // Until it is known better, nothing that it says counts.
    this.#proxies.set(name, { macs: new Set(suspects.keys()), answers: 'requests-and-probes' })
    this.#forgetProbesAnsweredBy(new Set(suspects.keys()), name)
  }

  /** arping takes any answer for one to its probe; these may have been answers to the requests of the sweep. */
  #forgetProbesAnsweredBy(macs: ReadonlySet<string>, vantage: string): void {
    for (const [address, seen] of this.#evidence) {
      const kept = seen.filter(
        (one) =>
          one.vantage !== vantage || one.method !== 'arp-probe' || !one.macs.some((mac) => macs.has(mac)),
      )
      if (kept.length === seen.length) continue
      this.#evidence.set(address, kept)
      this.#probed.delete(address)
    }
  }

  #convict(name: string, proxy: ArpProxy): void {
    this.#proxies.set(name, proxy)
    this.#warnings.add(
      `${[...proxy.macs].join(', ')} answers for addresses that nobody has (proxy ARP, seen from ${name}). ` +
        (proxy.answers === 'requests'
          ? 'Only duplicate address detection counts there.'
          : 'It may answer duplicate address detection as well, so that nothing it answers can be told; look from another machine with --via.'),
    )
  }

  /** Three addresses of the vantage's network that nobody is likely to have: chosen by chance, not by their look. */
  #unlikelyAt(place: AttachedVantage): string[] {
    if (this.#unlikely !== undefined) return this.#unlikely
    const { first, last } = place.network
    const { random, reserved } = this.#options
    const chosen = new Set<string>()
    for (let attempt = 0; attempt < 100 && chosen.size < unlikelyAddressCount; attempt += 1) {
      const address = formatAddress(first + 1 + Math.floor(random() * Math.max(0, last - first - 1)))
      if (!reserved.has(address)) chosen.add(address)
    }
    this.#unlikely = [...chosen]
    for (const address of chosen) {
      if (this.#evidence.has(address)) continue
      this.#witnesses.add(address)
      this.#evidence.set(address, [])
    }
    return this.#unlikely
  }

  #assumedSilence(address: string): Observation[] {
    return this.#options.attached
      .filter((place) => audibleAt(place, [address]).length > 0)
      .slice(0, 1)
      .map((place) => ({
        address,
        vantage: place.vantage.name,
        method: 'arp-probe',
        at: new Date(this.#options.clock.now()).toISOString(),
        answer: 'silent',
        layer: 'link',
        probes: requestsForFree,
        macs: [],
        detail: 'assumed',
      }))
  }

  #take(place: AttachedVantage, answers: Answers | undefined): void {
    if (answers === undefined) return
    for (const warning of answers.warnings) this.#warnings.add(warning)
    for (const seen of answers.observations) this.#add(place, seen)
  }

  /** Takes an observation once, however often it is handed over. */
  #add(place: AttachedVantage, seen: Observation): void {
    if (seen.answer !== 'unclear') place.methods.add(seen.method)
    const own = this.#isOurOwnProbe(seen) ? { ...seen, answer: 'unclear' as const, macs: [] } : seen
    const known = this.#evidence.get(seen.address)
    if (known === undefined) this.#evidence.set(seen.address, [own])
    else if (!known.some((other) => isSame(other, own))) known.push(own)
    if (known === undefined) this.#witnesses.add(seen.address)
  }

  /** Two of our own vantages that ask for one address at the same time hear each other; that is nobody's claim. */
  #isOurOwnProbe({ address, method, macs }: Observation): boolean {
    const { attached, reserved } = this.#options
    if (method !== 'arp-probe' || macs.length === 0 || reserved.has(address)) return false
    const ours = new Set(attached.map(({ mac }) => mac))
    return macs.every((mac) => ours.has(mac))
  }
}

function isSame(a: Observation, b: Observation): boolean {
  return (
    a.vantage === b.vantage &&
    a.method === b.method &&
    a.at === b.at &&
    a.answer === b.answer &&
    a.detail === b.detail
  )
}
