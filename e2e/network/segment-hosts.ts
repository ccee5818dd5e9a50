import { formatAddress, parseAddress, parseNetwork } from '../../shared/plan/ipv4.ts'

/** Answers everything, as an ordinary computer does. */
interface AnsweringHost {
  readonly kind: 'answers'
  readonly address: string
  /** Further addresses of the same interface; with `/prefix` where they belong to another network. */
  readonly moreAddresses?: readonly string[]
  /** Forwards packets: a router. */
  readonly forwards?: boolean
}

/** A firewall drops every packet that comes in. ARP is below it and is still answered. */
interface DroppingHost {
  readonly kind: 'drops'
  readonly address: string
  readonly moreAddresses?: readonly string[]
}

/** One address on two computers, each with a MAC of its own. */
interface DuplicateHost {
  readonly kind: 'duplicate'
  readonly address: string
}

/** Its link comes up (without any announcement) some time after the laboratory was made. */
interface LateHost {
  readonly kind: 'late'
  readonly address: string
  /** Milliseconds after the end of `createSegmentLab`. Without it, it sleeps until `SegmentLab.wake`. */
  readonly wakesAfterMilliseconds?: number
}

/** Hears one question in five: ARP requests are counted by themselves, IP packets by themselves. */
interface LossyHost {
  readonly kind: 'lossy'
  readonly address: string
  /** Which of five is heard, 0 (the first) to 4; default 4, the last. */
  readonly heard?: number
}

/** Saves power: the first ARP request wakes it, and until it is awake it loses every other one as well. */
interface SleepingHost {
  readonly kind: 'sleeping'
  readonly address: string
  /** From the first request until it answers. Default 800. */
  readonly wakingMilliseconds?: number
}

/** dnsmasq gives addresses away. */
interface DhcpServer {
  readonly kind: 'dhcp'
  readonly address: string
  readonly pool: { readonly first: string; readonly last: string }
  /** As it usually does, it pings an address before it offers it, and offers only after 3 s of silence. Default false. */
  readonly pingsBeforeOffer?: boolean
}

/** An address that belongs to a redundancy protocol of routers: known by its MAC. */
interface VirtualRouter {
  readonly kind: 'virtual-router'
  readonly address: string
  readonly protocol: keyof typeof virtualRouterMacs
}

/** A router that answers ARP requests for every address of the network, in place of whoever has it. */
interface ProxyArpRouter {
  readonly kind: 'proxy-arp'
  readonly address: string
  /**
   * `default`: answers after a random time of up to 0.8 s and has room for 64 questions (what Linux does) · `none`: at
   * once.
   */
  readonly delay: 'none' | 'default'
  /**
   * Whether it answers the probes of RFC 5227 (sender 0.0.0.0) as well. Linux as a proxy does not; here it is a host
   * to which the whole network is local, with the effect that it answers also what comes by IP.
   */
  readonly answersProbes: boolean
}

export type HostSpec =
  | AnsweringHost
  | DroppingHost
  | DuplicateHost
  | LateHost
  | LossyHost
  | SleepingHost
  | DhcpServer
  | VirtualRouter
  | ProxyArpRouter

export type HostKind = HostSpec['kind']

/** Group or router 10 of each protocol: VRRP RFC 5798 §7.3 (CARP uses the same), HSRP version 1 and 2, GLBP. */
const virtualRouterMacs = {
  vrrp: '00:00:5e:00:01:0a',
  carp: '00:00:5e:00:01:0a',
  hsrp: '00:00:0c:07:ac:0a',
  hsrp2: '00:00:0c:9f:f0:0a',
  glbp: '00:07:b4:00:0a:01',
}

/** What a host needs to know of the others. */
export interface SegmentSurroundings {
  /** CIDR form. */
  readonly network: string
  readonly seeker: string
  /** Addresses that somebody has, the seeker's as well. */
  readonly owned: readonly string[]
}

/** How one network namespace becomes a host. */
export interface LegSetup {
  /** Addresses of its interface, with prefix. */
  readonly addresses: readonly string[]
  /** Left out: the one that the kernel gives it. */
  readonly mac?: string
  /** Files below /proc/sys/net/ipv4 and what is written into them. */
  readonly kernelSettings: Readonly<Record<string, string>>
  /** Rules for `nft -f -`; empty: none. */
  readonly rules: string
  /** Routes, as `ip route add` reads them. */
  readonly routes: readonly string[]
  readonly isUp: boolean
}

const plainLeg = { kernelSettings: {}, rules: '', routes: [], isUp: true }

/** Addresses of a host, in dotted form. */
export function addressesOf(spec: HostSpec): string[] {
  const more = 'moreAddresses' in spec ? (spec.moreAddresses ?? []) : []
  return [spec.address, ...more.map((address) => address.split('/')[0] ?? '')]
}

/** The namespaces that make a host: one, or two that have the same address. */
export function legsOf(spec: HostSpec, surroundings: SegmentSurroundings): LegSetup[] {
  const prefix = surroundings.network.split('/')[1] ?? ''
  const plain = { ...plainLeg, addresses: [`${spec.address}/${prefix}`] }
  switch (spec.kind) {
    case 'answers':
    case 'drops': {
      const more = (spec.moreAddresses ?? []).map((text) => (text.includes('/') ? text : `${text}/${prefix}`))
      const leg = { ...plain, addresses: [...plain.addresses, ...more] }
      if (spec.kind === 'drops') return [{ ...leg, rules: dropEverything }]
      return [spec.forwards === true ? { ...leg, kernelSettings: { 'conf/all/forwarding': '1' } } : leg]
    }
    case 'duplicate':
      return [plain, plain]
    case 'late':
      return [{ ...plain, isUp: false }]
    case 'lossy':
      return [{ ...plain, rules: hearOneInFive(spec.address, spec.heard ?? 4) }]
    case 'sleeping':
      return [{ ...plain, rules: wakeOnRequest(spec.address, spec.wakingMilliseconds ?? 800) }]
    case 'dhcp':
      return [plain]
    case 'virtual-router':
      return [{ ...plain, mac: virtualRouterMacs[spec.protocol] }]
    case 'proxy-arp':
      return [proxyArpLeg(spec, plain, surroundings)]
  }
}

const dropEverything = `
table ip landfall {
  chain input { type filter hook input priority 0; policy drop; }
}
`

/** Counted are only questions about this address; what the host hears when it asks itself is not lost. */
const hearOneInFive = (address: string, heard: number) => `
table arp landfall {
  chain input {
    type filter hook input priority 0
    arp operation request arp daddr ip ${address} numgen inc mod 5 != ${heard} drop
  }
}
table ip landfall {
  chain input {
    type filter hook input priority 0
    ip daddr ${address} numgen inc mod 5 != ${heard} drop
  }
}
`

/** Awake is who was asked, but not just now. After half a minute it goes to sleep again. */
const wakeOnRequest = (address: string, wakingMilliseconds: number) => `
table arp landfall {
  set asked { type ipv4_addr; flags dynamic,timeout; timeout 30s; }
  set waking { type ipv4_addr; flags dynamic,timeout; timeout ${wakingMilliseconds}ms; }
  chain input {
    type filter hook input priority 0
    arp operation request arp daddr ip ${address} jump asleep
  }
  chain asleep {
    arp daddr ip @waking drop
    arp daddr ip @asked accept
    add @asked { arp daddr ip }
    add @waking { arp daddr ip }
    drop
  }
}
`

function proxyArpLeg(
  spec: ProxyArpRouter,
  plain: LegSetup,
  { network, seeker, owned }: SegmentSurroundings,
): LegSetup {
  const settings: Record<string, string> = {
    'conf/eth0/proxy_arp_pvlan': '1',
    'conf/eth0/forwarding': '1',
    'conf/all/send_redirects': '0',
    'conf/eth0/send_redirects': '0',
  }
  if (spec.delay === 'none') settings['neigh/eth0/proxy_delay'] = '0'
  const leg = { ...plain, kernelSettings: settings, rules: forwardTo(owned) }
  if (!spec.answersProbes) return leg
  return {
    ...leg,
    // Everything is local, also who asks: without this, such a question would be taken for forged.
    kernelSettings: { ...settings, 'conf/eth0/accept_local': '1' },
    // The way back to the seeker must lead out.
    routes: [`local ${network} dev lo`, `unicast ${seeker}/32 dev eth0 scope link table local`],
  }
}

/**
 * For an address that nobody has, a router would ask by ARP and say "host unreachable" after 3 s. Here it says so at
 * once: the kernel's neighbour table is one for all namespaces, and asking would need as many entries as the sweep.
 */
const forwardTo = (addresses: readonly string[]) => `
table ip landfall {
  set owned { type ipv4_addr; elements = { ${addresses.join(', ')} }; }
  chain forward {
    type filter hook forward priority 0
    ip daddr @owned accept
    reject with icmp type host-unreachable
  }
}
`

/** What is wrong with the hosts of a laboratory: a mistake in a test is not to look like a finding. */
export function mistakeIn(network: string, seeker: string, hosts: readonly HostSpec[]): string | undefined {
  const parsed = parseNetwork(network)
  if (parsed === undefined || parsed.hasHostBits) return `${network} is not a network`
  const seen = new Set([seeker])
  for (const spec of hosts) {
    for (const address of addressesOf(spec)) {
      const number = parseAddress(address)
      if (number === undefined) return `${address} is not an address`
      if (seen.has(address)) return `${address} is there twice; use a host of kind "duplicate"`
      seen.add(address)
    }
    const own = parseAddress(spec.address) ?? 0
    if (own <= parsed.first || own >= parsed.last)
      return `${spec.address} is no host address between ${formatAddress(parsed.first)} and ${formatAddress(parsed.last)}`
  }
  return undefined
}
