import type { Observation, VantageReport } from '../../../shared/addresses/index.ts'
import { AppError, assertNever } from '../../../shared/errors/index.ts'
import {
  formatAddress,
  formatNetwork,
  isHostAddress,
  parseAddress,
  parseNetwork,
  type Ipv4Network,
} from '../../../shared/plan/ipv4.ts'
import type { AddressRange } from './address-range.ts'
import { attachmentOf, type Attachment } from './vantage-facts.ts'
import type { Vantage, VantageFacts } from './vantage.ts'

/** A vantage that hears the ARP answers of (a part of) the range. */
export interface AttachedVantage {
  readonly vantage: Vantage
  readonly facts: VantageFacts
  /** Name of the interface. */
  readonly interface: string
  /** Its own address there. */
  readonly address: string
  readonly mac: string | undefined
  /** The network that the interface is attached to. */
  readonly network: Ipv4Network
  readonly methods: Set<Observation['method']>
}

export interface Attachments {
  readonly attached: readonly AttachedVantage[]
  /** Those that are not, with the reason. */
  readonly others: readonly VantageReport[]
}

/**
 * Finds out which vantages are attached to the network of the range.
 *
 * @throws AppError `NO_VANTAGE` when none is; `INTERFACE_DOWN`, `INTERFACE_UNKNOWN` for an interface that was asked for.
 */
export async function attachVantages(
  vantages: readonly Vantage[],
  range: AddressRange,
  options: { readonly interface?: string | undefined; readonly signal: AbortSignal },
): Promise<Attachments> {
  const results = await Promise.all(
    vantages.map(async (vantage) => {
      const facts = await factsOf(vantage, options.signal)
      // One place that cannot be read must not take the others' sight away.
      if (facts instanceof AppError) return notAttached(vantage, range, `${facts.title} ${facts.detail}`)
      const interfaceName = vantage.kind === 'workstation' ? options.interface : undefined
      return await attach(vantage, facts, range, interfaceName, options.signal)
    }),
  )
  const attached = results.flatMap((result) => (result.kind === 'attached' ? [result.place] : []))
  const others = results.flatMap((result) => (result.kind === 'not-attached' ? [result.report] : []))
  if (attached.length === 0) throw noVantage(range, others)
  return { attached, others }
}

/** The error instead of the facts where the place cannot be read; anything else is thrown. */
async function factsOf(vantage: Vantage, signal: AbortSignal): Promise<VantageFacts | AppError> {
  try {
    return await vantage.facts(signal)
  } catch (error) {
    if (error instanceof AppError && error.code === 'VANTAGE_UNREADABLE') return error
    throw error
  }
}

type Result =
  | { readonly kind: 'attached'; readonly place: AttachedVantage }
  | { readonly kind: 'not-attached'; readonly report: VantageReport }

async function attach(
  vantage: Vantage,
  facts: VantageFacts,
  range: AddressRange,
  interfaceName: string | undefined,
  signal: AbortSignal,
): Promise<Result> {
  const attachment = attachmentOf(facts, range, interfaceName)
  switch (attachment.kind) {
    case 'attached':
    case 'partly': {
      const place = placeOf(vantage, facts, attachment)
      const detour = await detourOf(place, range, signal)
      if (detour === undefined) return { kind: 'attached', place }
      if (detour.interface === undefined || interfaceName !== undefined)
        return notAttached(vantage, range, detour.reason)
      // Two interfaces on one network: the one counts that the system sends through.
      const other = attachmentOf(facts, range, detour.interface)
      return other.kind === 'attached' || other.kind === 'partly'
        ? { kind: 'attached', place: placeOf(vantage, facts, other) }
        : notAttached(vantage, range, detour.reason)
    }
    case 'interface-down':
    case 'no-such-interface':
      throw badInterface(attachment.kind, attachment.name, attachment.known)
    case 'not-attached':
      return notAttached(vantage, range, networksOf(facts))
    default:
      return assertNever(attachment)
  }
}

function placeOf(
  vantage: Vantage,
  facts: VantageFacts,
  attachment: Extract<Attachment, { kind: 'attached' | 'partly' }>,
): AttachedVantage {
  const { interface: name, address, prefix } = attachment
  const network = parseNetwork(`${address}/${prefix}`)
  if (network === undefined) throw new TypeError(`${address}/${prefix} is no network.`)
  const mac = facts.interfaces.find((candidate) => candidate.name === name)?.mac
  return { vantage, facts, interface: name, address, mac, network, methods: new Set() }
}

/**
 * A route that does not lead to the range by the interface that is attached to it: through a gateway the system asks for
 * the gateway's MAC, and what it hears of the addresses means nothing. `undefined`: there is none.
 */
async function detourOf(
  { vantage, network, interface: name }: AttachedVantage,
  range: AddressRange,
  signal: AbortSignal,
): Promise<{ readonly reason: string; readonly interface?: string } | undefined> {
  if (vantage.routeTo === undefined) return undefined
  const first = Math.max(range.first, network.first)
  const last = Math.min(range.last, network.last)
  const asked = [...new Set([first, Math.floor((first + last) / 2), last])]
    .filter((number) => isHostAddress(network, number))
    .map(formatAddress)
  const routes = await Promise.all(
    asked.map(async (address) => ({ address, route: await vantage.routeTo?.(address, signal) })),
  )
  for (const { address, route } of routes) {
    if (route?.kind === 'gateway')
      return { reason: `it sends to ${address} through the gateway ${route.gateway} (${route.interface})` }
    if (route?.kind === 'none') return { reason: `it cannot send to ${address} (${route.reason})` }
    if (route?.kind === 'direct' && route.interface !== name)
      return { reason: `it sends to ${address} through ${route.interface}`, interface: route.interface }
  }
  return undefined
}

/** Those of the addresses that the vantage can ask for: in its network, and not its own. */
export function audibleAt({ network, facts }: AttachedVantage, addresses: readonly string[]): string[] {
  const own = new Set(facts.interfaces.flatMap((nic) => nic.addresses.map(({ address }) => address)))
  return addresses.filter((text) => {
    const address = parseAddress(text)
    return address !== undefined && !own.has(text) && isHostAddress(network, address)
  })
}

/** For messages: `eth0 10.10.200.5/24`. */
export function describeAttachment({ interface: name, address, network }: AttachedVantage): string {
  return `${name} ${address}/${network.prefix}`
}

function notAttached(vantage: Vantage, range: AddressRange, reason: string): Result {
  return {
    kind: 'not-attached',
    report: {
      name: vantage.name,
      kind: vantage.kind,
      isAttached: false,
      detail: `not attached to ${range.text}: ${reason}`,
      methods: [],
      arp: 'valid',
    },
  }
}

function networksOf(facts: VantageFacts): string {
  const networks = facts.interfaces
    .filter(({ isUp }) => isUp)
    .flatMap((nic) =>
      nic.addresses.flatMap(({ address, prefix }) => {
        const network = parseNetwork(`${address}/${prefix}`)
        if (network === undefined || address.startsWith('127.')) return []
        return [`${formatNetwork(network)} (${nic.name})`]
      }),
    )
  return networks.length === 0 ? 'it has no network' : `its networks are ${networks.join(', ')}`
}

function badInterface(
  kind: 'interface-down' | 'no-such-interface',
  name: string,
  known: readonly string[],
): AppError {
  const isDown = kind === 'interface-down'
  return new AppError({
    code: isDown ? 'INTERFACE_DOWN' : 'INTERFACE_UNKNOWN',
    title: isDown ? `The interface ${name} is down.` : `This workstation has no interface ${name}.`,
    detail: `--interface is ${name}; there are: ${known.join(', ')}. Nothing was asked.`,
    remedies: [
      ...(isDown ? [`Connect its cable and switch it on, for example: ip link set ${name} up`] : []),
      'Name another interface, or leave --interface out: the one that is attached to the network is used.',
    ],
  })
}

function noVantage(range: AddressRange, others: readonly VantageReport[]): AppError {
  return new AppError({
    code: 'NO_VANTAGE',
    title: `Nobody who could look is attached to ${range.text}.`,
    detail: [
      ...others.map(({ name, detail }) => `${name} is ${detail}.`),
      'ARP reaches no further than one network: from another one every address would look free.',
    ].join(' '),
    remedies: [
      'Look from a machine on that network: --via user@node.',
      'Or connect this workstation to that network, with an address of it.',
      'Check the network that was asked for: is it that of the nodes?',
    ],
  })
}
