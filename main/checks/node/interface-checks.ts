import { formatNetwork, parseNetwork, prefixOfMask } from '../../../shared/plan/ipv4.ts'
import { valueOf, type NetworkInterface } from '../../appliance/facts/index.ts'
import { listed, onFact, unknown, verdict, type Question, type Verdict } from './question.ts'
import { comingAddressOf, interfaceOf, type Subject } from './subject.ts'

const gigabit = 1000
const hour = 3_600_000

/** Network card and addresses of a node (checks.md §3.3, §3.4). */
export const interfaceChecks: readonly Question<Subject>[] = [
  {
    id: 'node.nic-speed',
    threshold: () => 'at least 1 Gbit/s; 10 Gbit/s is better',
    remedy: () =>
      'Look at cable, switch port and network card; one that negotiates less than 1 Gbit/s is often damaged.',
    ask: (subject) =>
      onInterface(subject, ({ name, speedMegabits }) => {
        if (speedMegabits.kind === 'read') {
          const speed = speedMegabits.value
          return verdict(speed >= gigabit, `${name}: ${speed} Mbit/s`, speedMegabits.source)
        }
        const hypervisor = valueOf(subject.host.identity.virtualization) ?? 'none'
        return {
          ...unknown(`${name}: unknown, ${speedMegabits.reason}`, speedMegabits.source),
          // The card of a virtual machine has no speed of its own.
          ...(hypervisor === 'none' ? {} : { severity: 'info' as const }),
        }
      }),
  },
  {
    id: 'node.nic-link',
    threshold: () => 'the interface has a link',
    remedy: () => 'Look at cable and switch port, or at the port group of the virtual machine.',
    ask: (subject) =>
      onInterface(subject, ({ name, hasCarrier, operationalState }) =>
        onFact(hasCarrier, (isThere, source) =>
          verdict(isThere, `${name}: ${isThere ? 'link' : 'no link'}, ${operationalState}`, source),
        ),
      ),
  },
  {
    id: 'node.nic-errors',
    threshold: () => 'no errors since the node was started',
    remedy: () => 'Look at cable, optics and switch port, then check again: the number must not grow.',
    ask: (subject) =>
      onInterface(subject, ({ name, link }) =>
        onFact(link, (details, source) => {
          const { receiveErrors, transmitErrors } = details
          if (receiveErrors === undefined || transmitErrors === undefined)
            return unknown(`${name}: it does not count errors`, source)
          return verdict(
            receiveErrors + transmitErrors === 0,
            `${name}: ${receiveErrors} errors received, ${transmitErrors} sent`,
            source,
          )
        }),
      ),
  },
  {
    id: 'net.same-subnet',
    threshold: (subject) =>
      `an address of ${subject.plan.site.network}, with the prefix /${prefixOf(subject)}`,
    remedy: ({ node }) =>
      `Give ${node.name} an address of this network (nic.mode static in the plan, or the DHCP server), or correct site.network.`,
    ask: sameSubnet,
  },
  {
    id: 'net.non-overlapping',
    threshold: () => 'no two interfaces in one network',
    remedy: () => 'Give each interface a network of its own, or switch off the one that is not needed.',
    ask: ({ host }) =>
      onFact(host.network.interfaces, (interfaces, source) => {
        const unread = interfaces.find(({ addresses }) => addresses.kind === 'unread')
        if (unread?.addresses.kind === 'unread')
          return unknown(`unknown: ${unread.addresses.reason}`, unread.addresses.source)
        const overlaps = overlapsOf(interfaces)
        return verdict(overlaps.length === 0, listed(overlaps, '; ') || 'no overlap', `${source}; ip -j addr`)
      }),
  },
  {
    id: 'net.default-route',
    threshold: (subject) =>
      `one default route, by ${wantedInterface(subject) ?? 'the interface of the node network'}`,
    remedy: ({ node }) =>
      `Give ${node.name} one gateway: in the DHCP server, or with nic.mode static and a gateway in the plan. Remove gateways of other interfaces.`,
    ask: defaultRoute,
  },
  {
    id: 'net.dhcp-lease',
    threshold: () => 'a fixed address, or a lease of at least 24 hours',
    remedy: ({ node }) =>
      `Reserve the address of ${node.name} in the DHCP server, or set nic.mode static in the plan: the address of a linked host must not change.`,
    ask: dhcpLease,
  },
]

function onInterface(subject: Subject, judge: (nic: NetworkInterface) => Verdict): Verdict {
  const nic = interfaceOf(subject)
  return typeof nic === 'string' ? unknown(nic, subject.host.network.interfaces.source) : judge(nic)
}

function prefixOf({ plan, node }: Subject): number | undefined {
  const { mask, mode } = node.nic
  if (mode === 'static' && mask !== null) return typeof mask === 'number' ? mask : prefixOfMask(mask)
  return parseNetwork(plan.site.network)?.prefix
}

function sameSubnet(subject: Subject): Verdict {
  const { plan, addresses } = subject
  const evidence = 'GET /v1/edge-mgmt/edgehosts/current; ip -j addr'
  const network = parseNetwork(plan.site.network)
  const coming = comingAddressOf(subject)
  const measured = `addresses ${listed(addresses) || 'none'}`
  if (coming !== undefined)
    return { state: 'skipped', measured: `${measured}; this run gives it ${coming}`, evidence }
  if (addresses.length === 0 || network === undefined) return unknown('no address is known', evidence)
  const inside = addresses.filter((address) => {
    const own = parseNetwork(`${address.split('/')[0] ?? ''}/32`)
    return own !== undefined && own.first >= network.first && own.last <= network.last
  })
  const wanted = prefixOf(subject)
  // One that the Local UI tells without prefix is judged by where it is. A second one (/32: a VIP) does no harm.
  const isGood = inside.some((address) => !address.includes('/') || address.endsWith(`/${wanted}`))
  return verdict(isGood, measured, evidence)
}

interface Attached {
  readonly interface: string
  readonly text: string
  readonly first: number
  readonly last: number
}

/** Pairs in words. Single addresses (/32) are no networks, and parts of a bond or bridge have none of their own. */
function overlapsOf(interfaces: readonly NetworkInterface[]): string[] {
  const attached: Attached[] = interfaces
    .filter((nic) => nic.name !== 'lo' && valueOf(nic.link)?.master === undefined)
    .flatMap((nic) =>
      (valueOf(nic.addresses) ?? []).flatMap(({ family, address, prefix }) => {
        const network = family === 'inet' && prefix < 32 ? parseNetwork(`${address}/${prefix}`) : undefined
        return network === undefined
          ? []
          : [{ interface: nic.name, text: formatNetwork(network), first: network.first, last: network.last }]
      }),
    )
    .toSorted((a, b) => a.first - b.first)
  const overlaps = new Set<string>()
  for (const [index, one] of attached.entries()) {
    for (const other of attached.slice(index + 1)) {
      // Sorted by their beginnings: no later one begins inside either.
      if (other.first > one.last) break
      if (other.interface !== one.interface)
        overlaps.add(`${one.interface} (${one.text}) and ${other.interface} (${other.text})`)
    }
  }
  return [...overlaps]
}

function wantedInterface(subject: Subject): string | undefined {
  const nic = interfaceOf(subject)
  return typeof nic === 'string' ? undefined : nic.name
}

function defaultRoute(subject: Subject): Verdict {
  const { plan, node, host } = subject
  return onFact(host.network.routes, (routes, source) => {
    const defaults = routes.filter(
      ({ destination, table, type }) => destination === '0.0.0.0/0' && table === 'main' && type === 'unicast',
    )
    const words = defaults.map((route) => `${route.gateway ?? 'no gateway'} by ${route.interface ?? '?'}`)
    const measured = listed(words, ', ') || 'none'
    if (defaults.length === 0) {
      const gateway = node.nic.gateway ?? plan.site.gateway
      // A static address comes with its gateway.
      return comingAddressOf(subject) !== undefined && gateway !== null
        ? { state: 'skipped', measured: `none; this run sets ${gateway}`, evidence: source }
        : verdict(false, measured, source)
    }
    const wanted = wantedInterface(subject)
    const isRight = defaults.every((route) => route.interface === wanted || wanted === undefined)
    if (defaults.length > 1 || !isRight) return { ...verdict(false, measured, source), severity: 'warn' }
    return wanted === undefined
      ? unknown(`${measured}; which interface is the right one is not known`, source)
      : verdict(true, measured, source)
  })
}

const leastLease = 24 * hour

function dhcpLease(subject: Subject): Verdict {
  const { node } = subject
  return onInterface(subject, (nic) =>
    onFact(nic.addresses, (addresses, source) => {
      const own = addresses.find(({ address }) => address === node.address || address === node.nic.address)
      if (own === undefined) return unknown(`${nic.name} does not have the address ${node.address}`, source)
      const lease = valueOf(nic.lease)
      const isByDhcp = own.isDynamic || lease?.address === own.address
      if (!isByDhcp) return verdict(true, `${own.address} is fixed`, source)
      if (node.nic.mode === 'static')
        return {
          state: 'skipped',
          measured: 'by DHCP now; this run gives it a fixed address',
          evidence: source,
        }
      const lifetime = lease?.lifetimeMs ?? own.validForMs
      if (lifetime === undefined)
        return unknown(`${own.address} is leased, for how long is not told`, nic.lease.source)
      if (lifetime >= leastLease)
        return verdict(true, `${own.address} is leased for ${hoursOf(lifetime)}`, nic.lease.source)
      return lease?.lifetimeMs === undefined
        ? unknown(
            `the lease of ${own.address} ends in ${hoursOf(lifetime)}; its whole length is not told`,
            source,
          )
        : verdict(false, `${own.address} is leased for ${hoursOf(lifetime)}`, nic.lease.source)
    }),
  )
}

function hoursOf(milliseconds: number): string {
  return milliseconds === Infinity ? 'ever' : `${Math.floor((milliseconds / hour) * 10) / 10} h`
}
