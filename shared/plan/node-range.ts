import { formatAddress, parseAddress } from './ipv4.ts'

/** What `expandNodeRange` makes of a text; `message` is one sentence with what to write instead. */
export type NodeRange =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[] }
  | { readonly kind: 'invalid'; readonly message: string }

/** More nodes than any installation has; a typing error, therefore. */
const mostNodes = 500

/**
 * Reads the addresses of nodes as an operator writes them, in one line: single addresses, ranges of the last number
 * (`10.10.200.11-13`) and ranges of addresses (`10.10.200.11-10.10.200.13`), with commas or spaces between them. The order
 * stays; the first is the first node.
 */
export function expandNodeRange(text: string): NodeRange {
  const parts = text
    .replaceAll(/\s*[-–]\s*/g, '-')
    .split(/[\s,;]+/)
    .filter((part) => part !== '')
  if (parts.length === 0) return invalid('No address is given.')
  const addresses: number[] = []
  for (const part of parts) {
    const range = readPart(part)
    if (typeof range === 'string') return invalid(range)
    const { first, last } = range
    if (addresses.length + (last - first + 1) > mostNodes) {
      return invalid(`${part} makes more than ${mostNodes} nodes.`)
    }
    for (let address = first; address <= last; address += 1) {
      if (addresses.includes(address)) return invalid(`${formatAddress(address)} is there twice.`)
      addresses.push(address)
    }
  }
  return { kind: 'addresses', addresses: addresses.map(formatAddress) }
}

/** First and last address, or what is wrong. */
function readPart(part: string): { first: number; last: number } | string {
  const [from = '', to, ...rest] = part.split('-')
  const first = parseAddress(from)
  if (first === undefined || rest.length > 0) return `${part} is no IPv4 address and no range of them.`
  if (to === undefined) return { first, last: first }
  const isShort = /^(0|[1-9]\d{0,2})$/.test(to)
  const last = parseAddress(isShort ? `${from.slice(0, from.lastIndexOf('.'))}.${to}` : to)
  if (last === undefined) {
    return isShort
      ? `${part} ends with ${to}, but the last number of an address is at most 255.`
      : `${part} does not end with an address or with the last number of one.`
  }
  if (last < first) return `${part} ends before it begins.`
  return { first, last }
}

function invalid(reason: string): NodeRange {
  return {
    kind: 'invalid',
    message: `${reason} Write addresses or a range, for example 10.10.200.11-13 or 10.10.200.11,10.10.200.12.`,
  }
}
