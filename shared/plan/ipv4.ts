import ipaddr from 'ipaddr.js'

/**
 * IPv4 arithmetic on unsigned 32-bit numbers. Pure; texts go in and out in dotted decimal form. IPv4 only, because
 * the appliance's kube-vip, its address fields and the documented networks are (palette.md §2.3, §2.5).
 */

/** An IPv4 network in CIDR form. `first` and `last` are its network and broadcast address as unsigned numbers. */
export interface Ipv4Network {
  first: number
  last: number
  /** 0–32. */
  prefix: number
  /** True when the text had bits set behind the prefix (`10.0.0.5/24`). */
  hasHostBits: boolean
}

/** The address as an unsigned 32-bit number; `undefined` when the text is not exactly four decimal parts. */
export function parseAddress(text: string): number | undefined {
  if (!/^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(text) || !ipaddr.IPv4.isValidFourPartDecimal(text))
    return undefined
  return ipaddr.IPv4.parse(text).octets.reduce((number, octet) => number * 256 + octet, 0)
}

/** Dotted decimal form of an unsigned 32-bit number. */
export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')
}

/** Reads `address/prefix`; `undefined` when it is not that. */
export function parseNetwork(text: string): Ipv4Network | undefined {
  const [addressText = '', prefixText = '', ...rest] = text.split('/')
  const address = parseAddress(addressText)
  if (address === undefined || rest.length > 0 || !/^(\d|[12]\d|3[0-2])$/.test(prefixText)) return undefined
  const prefix = Number(prefixText)
  const size = 2 ** (32 - prefix)
  const first = Math.floor(address / size) * size
  return { first, last: first + size - 1, prefix, hasHostBits: first !== address }
}

/** CIDR form without host bits. */
export function formatNetwork(network: Ipv4Network): string {
  return `${formatAddress(network.first)}/${network.prefix}`
}

/** Number of addresses, network and broadcast address included. */
export function networkSize(network: Ipv4Network): number {
  return network.last - network.first + 1
}

export function containsAddress(network: Ipv4Network, address: number): boolean {
  return address >= network.first && address <= network.last
}

export function overlaps(a: Ipv4Network, b: Ipv4Network): boolean {
  return a.first <= b.last && b.first <= a.last
}

/** True when a host may have this address: in the network, and neither its network nor its broadcast address (RFC 3021 excepted). */
export function isHostAddress(network: Ipv4Network, address: number): boolean {
  if (!containsAddress(network, address)) return false
  return network.prefix >= 31 || (address !== network.first && address !== network.last)
}

/** Prefix length of a dotted mask; `undefined` when its ones are not contiguous. */
export function prefixOfMask(mask: string): number | undefined {
  const bits = parseAddress(mask)
  if (bits === undefined) return undefined
  const prefix = bits.toString(2).padStart(32, '0').indexOf('0')
  const length = prefix === -1 ? 32 : prefix
  return bits === 2 ** 32 - 2 ** (32 - length) ? length : undefined
}
