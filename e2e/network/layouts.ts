import { formatAddress, formatNetwork, parseAddress, parseNetwork } from '../../shared/plan/ipv4.ts'
import { addressesOf, type HostKind, type HostSpec } from './segment-hosts.ts'

/**
 * What is true of an address. `used`: a host has it, awake or not · `reserved`: nobody has it, but it must not be offered
 * (network, broadcast, the seeker's own, a gateway that is switched off) · `pool`: nobody has it, but the DHCP server may
 * give it away at any time · `free`.
 */
export type Truth = 'used' | 'reserved' | 'pool' | 'free'

export interface LayoutOptions {
  readonly prefix: 24 | 25 | 26 | 27 | 28
}

/** A random segment and the truth about it. `createSegmentLab(layout)` makes it. */
export interface Layout {
  readonly seed: number
  /** CIDR form. */
  readonly network: string
  readonly seeker: { readonly address: string; readonly prefix: number; readonly gateway?: string }
  readonly hosts: readonly HostSpec[]
  /** Of every address of the network, in order. */
  readonly truth: ReadonlyMap<string, Truth>
  /** After that every late host is awake; 0: there is none. */
  readonly lateWithinMilliseconds: number
  /**
   * `answers-requests`: a router answers ARP requests for every address; only probes of RFC 5227 tell the truth ·
   * `answers-probes`: it answers those as well; no ARP tells what is free, and finding nothing is right.
   */
  readonly proxy: 'none' | 'answers-requests' | 'answers-probes'
  /** For messages: how to make it again, and the table of its addresses. */
  toText(): string
}

/** Each occurs in at least one of three seeds that follow each other. */
const kinds: readonly HostKind[] = [
  'answers',
  'drops',
  'duplicate',
  'late',
  'lossy',
  'sleeping',
  'dhcp',
  'virtual-router',
  'proxy-arp',
]

/**
 * The same seed gives the same layout. 10 to 60 % of the host addresses are used; kinds of hosts are mixed at random, but
 * so that each occurs in at least a third of any run of seeds.
 */
export function layoutFromSeed(seed: number, { prefix }: LayoutOptions): Layout {
  const random = randomOf(seed * 64 + prefix)
  const network = randomNetwork(random, prefix)
  const range = parseNetwork(network)
  if (range === undefined) throw new Error(`${network} is not a network`)
  const usable = range.last - range.first - 1
  const [leastUsed, mostUsed] = [Math.ceil(usable * 0.1), Math.floor(usable * 0.6)]
  const wantedUsed = random.integer(leastUsed, mostUsed)

  const ground = new Ground(range.first + 1, range.last - 1, random)
  const seekerAddress = ground.take()
  const gateway = random.isTrue(0.8) ? ground.takeEdge() : undefined
  const isGatewayDead = gateway !== undefined && random.isTrue(0.2)

  const hosts: HostSpec[] = []
  const used = () => hosts.flatMap(addressesOf).length
  const wantedKinds = kinds.filter((_, index) => (seed + index) % 3 === 0)
  const otherKinds = random.shuffled(kinds.filter((kind) => !wantedKinds.includes(kind)))
  for (const kind of [...wantedKinds, ...otherKinds.filter(() => random.isTrue(0.3))]) {
    const count = kind === 'dhcp' || kind === 'proxy-arp' ? 1 : random.integer(1, usable < 60 ? 1 : 3)
    for (let i = 0; i < count && used() < mostUsed - 1; i++) hosts.push(randomHost(kind, ground, random))
  }
  // Whoever is the gateway: a router of one of the kinds, or an ordinary host.
  if (gateway !== undefined && !isGatewayDead)
    hosts.push({ kind: 'answers', address: gateway, forwards: true })
  while (used() < wantedUsed) hosts.push(...fill(Math.min(wantedUsed - used(), 8), ground, random))

  const gatewayAddress = gateway ?? hosts.find(({ kind }) => kind === 'proxy-arp')?.address
  const seeker = {
    ...{ address: seekerAddress, prefix },
    ...(gatewayAddress === undefined ? {} : { gateway: gatewayAddress }),
  }
  const truth = truthOf(network, hosts, seeker)
  const proxy = hosts.find((spec) => spec.kind === 'proxy-arp')
  const layout = {
    ...{ seed, network, seeker, hosts, truth },
    lateWithinMilliseconds: Math.max(
      0,
      ...hosts.map((spec) => (spec.kind === 'late' ? (spec.wakesAfterMilliseconds ?? 0) : 0)),
    ),
    proxy: proxy === undefined ? 'none' : proxy.answersProbes ? 'answers-probes' : 'answers-requests',
  } as const
  return { ...layout, toText: () => textOf(layout, prefix) }
}

function randomHost(kind: HostKind, ground: Ground, random: Random): HostSpec {
  const address = ground.take()
  switch (kind) {
    case 'answers':
    case 'drops':
    case 'duplicate':
      return { kind, address }
    case 'late':
      return { kind, address, wakesAfterMilliseconds: random.integer(300, 3500) }
    case 'lossy':
      return { kind, address, heard: random.integer(0, 4) }
    case 'sleeping':
      return { kind, address, wakingMilliseconds: random.integer(200, 1200) }
    case 'dhcp':
      return { kind, address, pool: ground.randomRange(), pingsBeforeOffer: random.isTrue(0.3) }
    case 'virtual-router':
      return { kind, address, protocol: random.pick(['vrrp', 'carp', 'hsrp', 'hsrp2', 'glbp'] as const) }
    case 'proxy-arp':
      return {
        ...{ kind, address, delay: random.pick(['none', 'default'] as const) },
        answersProbes: random.isTrue(1 / 3),
      }
  }
}

/** Ordinary computers: scattered, or in a row as people number them; some have several addresses on one interface. */
function fill(most: number, ground: Ground, random: Random): HostSpec[] {
  const addresses = ground.takeRow(random.isTrue(0.5) ? 1 : random.integer(1, most))
  const kind = random.isTrue(0.5) ? 'answers' : 'drops'
  const [address, ...moreAddresses] = addresses
  if (address === undefined) throw new Error('no address is left')
  return random.isTrue(0.5)
    ? [{ kind, address, moreAddresses }]
    : addresses.map((each) => ({ kind, address: each }))
}

/** The truth about every address of a network, in order. */
export function truthOf(
  network: string,
  hosts: readonly HostSpec[],
  seeker: Layout['seeker'],
): ReadonlyMap<string, Truth> {
  const range = parseNetwork(network)
  if (range === undefined) throw new Error(`${network} is not a network`)
  const used = new Set(hosts.flatMap(addressesOf))
  const reserved = new Set([
    ...[formatAddress(range.first), formatAddress(range.last)],
    ...[seeker.address, ...(seeker.gateway === undefined ? [] : [seeker.gateway])],
  ])
  const pools = hosts.flatMap((spec) => (spec.kind === 'dhcp' ? [spec.pool] : []))
  const isInPool = (address: number) =>
    pools.some(
      ({ first, last }) => address >= (parseAddress(first) ?? 0) && address <= (parseAddress(last) ?? 0),
    )
  const truth = new Map<string, Truth>()
  for (let number = range.first; number <= range.last; number++) {
    const address = formatAddress(number)
    if (used.has(address)) truth.set(address, 'used')
    else if (reserved.has(address)) truth.set(address, 'reserved')
    else truth.set(address, isInPool(number) ? 'pool' : 'free')
  }
  return truth
}

/** Rows of addresses that follow each other and are alike stand in one line. */
function textOf(layout: Omit<Layout, 'toText'>, prefix: number): string {
  const kindOf = new Map(
    layout.hosts.flatMap((spec) => addressesOf(spec).map((address) => [address, describe(spec)])),
  )
  const lines: { first: string; last: string; what: string }[] = []
  for (const [address, truth] of layout.truth) {
    const role =
      address === layout.seeker.address
        ? 'the seeker'
        : [kindOf.get(address), address === layout.seeker.gateway ? 'gateway' : undefined]
            .filter((text) => text !== undefined)
            .join(', ')
    const what = `${truth.padEnd(8)} ${role}`.trimEnd()
    const before = lines.at(-1)
    if (before?.what === what) before.last = address
    else lines.push({ first: address, last: address, what })
  }
  const table = lines.map(
    ({ first, last, what }) => `  ${(first === last ? first : `${first}-${last}`).padEnd(31)} ${what}`,
  )
  return [
    `layoutFromSeed(${layout.seed}, { prefix: ${prefix} }): ${layout.network}, proxy: ${layout.proxy}`,
    ...table,
  ].join('\n')
}

function describe(spec: HostSpec): string {
  switch (spec.kind) {
    case 'answers':
    case 'drops':
    case 'duplicate':
      return spec.kind
    case 'late':
      return `late, wakes after ${spec.wakesAfterMilliseconds ?? '?'} ms`
    case 'lossy':
      return `lossy, hears question ${(spec.heard ?? 4) + 1} of five`
    case 'sleeping':
      return `sleeping, wakes ${spec.wakingMilliseconds ?? '?'} ms after a request`
    case 'dhcp':
      return `dhcp, pool ${spec.pool.first}-${spec.pool.last}${spec.pingsBeforeOffer === true ? ', pings first' : ''}`
    case 'virtual-router':
      return `virtual-router, ${spec.protocol}`
    case 'proxy-arp':
      return `proxy-arp, delay ${spec.delay}${spec.answersProbes ? ', answers probes' : ''}`
  }
}

function randomNetwork(random: Random, prefix: number): string {
  const size = 2 ** (32 - prefix)
  const [first = 0, last = 0] = random
    .pick([
      ['10.0.0.0', '10.255.255.255'],
      ['172.16.0.0', '172.31.255.255'],
      ['192.168.0.0', '192.168.255.255'],
    ])
    .map((text) => parseAddress(text))
  const start = first + size * random.integer(0, (last + 1 - first) / size - 1)
  return formatNetwork({ first: start, last: start + size - 1, prefix, hasHostBits: false })
}

/** The host addresses of a network, of which each is taken once. */
class Ground {
  readonly #first: number
  readonly #last: number
  readonly #random: Random
  readonly #taken = new Set<number>()

  constructor(first: number, last: number, random: Random) {
    this.#first = first
    this.#last = last
    this.#random = random
  }

  take(): string {
    const [address] = this.takeRow(1)
    if (address === undefined) throw new Error('no address is left')
    return address
  }

  /** Where gateways are: first or last address, seldom elsewhere. */
  takeEdge(): string {
    const edge = this.#random.pick([this.#first, this.#first, this.#last, undefined])
    if (edge === undefined || this.#taken.has(edge)) return this.take()
    this.#taken.add(edge)
    return formatAddress(edge)
  }

  /** So many addresses or fewer, one after the other, as far as nobody has them. */
  takeRow(most: number): string[] {
    const open = this.#open()
    if (open.length === 0) return []
    const row: string[] = []
    let address = this.#random.pick(open)
    while (row.length < most && address <= this.#last && !this.#taken.has(address)) {
      this.#taken.add(address)
      row.push(formatAddress(address++))
    }
    return row
  }

  /** A range of 10 to 25 % of the addresses, at least two. It may lie across addresses that are taken. */
  randomRange(): { first: string; last: string } {
    const all = this.#last - this.#first + 1
    const length = Math.max(2, Math.round(all * (0.1 + 0.15 * this.#random.next())))
    const first = this.#random.integer(this.#first, this.#last - length + 1)
    return { first: formatAddress(first), last: formatAddress(first + length - 1) }
  }

  #open(): number[] {
    const open: number[] = []
    for (let address = this.#first; address <= this.#last; address++)
      if (!this.#taken.has(address)) open.push(address)
    return open
  }
}

interface Random {
  /** From 0 to 1, without 1. */
  next(): number
  /** From `first` to `last`, both included. */
  integer(first: number, last: number): number
  isTrue(probability: number): boolean
  pick<T>(items: readonly T[]): T
  shuffled<T>(items: readonly T[]): T[]
}

/** Mulberry32: small, and good enough to mix hosts. */
function randomOf(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const integer = (first: number, last: number) => first + Math.floor(next() * (last - first + 1))
  const pick = <T>(items: readonly T[]): T => {
    const item = items.at(integer(0, items.length - 1))
    if (item === undefined && items.length === 0) throw new Error('nothing to choose from')
    return item as T
  }
  return {
    ...{ next, integer, pick },
    isTrue: (probability) => next() < probability,
    shuffled: (items) =>
      items
        .map((item) => ({ item, order: next() }))
        .sort((a, b) => a.order - b.order)
        .map(({ item }) => item),
  }
}
