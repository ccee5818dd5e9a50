import { AppError } from '../../../shared/errors/index.ts'
import {
  formatAddress,
  formatNetwork,
  isHostAddress,
  overlaps,
  parseAddress,
  parseNetwork,
  prefixOfMask,
  type Ipv4Network,
} from '../../../shared/plan/ipv4.ts'
import { printableStart } from '../printable.ts'

/** The addresses that are searched. `first` and `last` are unsigned 32-bit numbers, both included. */
export interface AddressRange {
  /** As the operator wrote it. */
  readonly text: string
  readonly first: number
  readonly last: number
  /** `undefined` when it was written as `A-B`: then nobody said which network it lies in. */
  readonly network: Ipv4Network | undefined
}

const largestSize = 65_536
const exampleNetwork = '10.10.200.0/24'
const exampleRange = '10.10.200.50-10.10.200.99'

/** Where no virtual IP can ever be, and what these addresses are for. */
const unusableNetworks = [
  { cidr: '0.0.0.0/8', use: '0.0.0.0/8 means "this network" (RFC 1122)' },
  { cidr: '127.0.0.0/8', use: '127.0.0.0/8 is loopback and never leaves a machine (RFC 1122)' },
  { cidr: '169.254.0.0/16', use: '169.254.0.0/16 is link-local: hosts take these by themselves (RFC 3927)' },
  { cidr: '224.0.0.0/4', use: '224.0.0.0/4 is multicast (RFC 5771)' },
  { cidr: '240.0.0.0/4', use: '240.0.0.0/4 is reserved, with the broadcast address at its end (RFC 1112)' },
].map(({ cidr, use }) => ({ network: networkOf(cidr), use }))

/**
 * Reads a network in CIDR form, /16 to /31 and without host bits, or `A-B`, both ends included, at most 65 536
 * addresses. Throws an `AppError` with code `BAD_RANGE`, whose remedy is what to write instead.
 */
export function parseAddressRange(text: string): AddressRange {
  const range = text.includes('/') ? parseCidr(text) : parseFromTo(text)
  const unusable = unusableNetworks.find(
    ({ network }) => range.first <= network.last && network.first <= range.last,
  )
  if (unusable !== undefined)
    throw badRange(text, 'holds addresses that no host can have.', `${unusable.use}.`, [
      `Write the network that the nodes are in, for example ${exampleNetwork}.`,
    ])
  return range
}

/** How many addresses `addressesOf` gives. */
export function sizeOf(range: AddressRange): number {
  const { first, last } = hostsOf(range)
  return last - first + 1
}

/** The addresses that hosts may have, in rising order: of a network shorter than /31 without its first and last. */
export function addressesOf(range: AddressRange): string[] {
  const { first } = hostsOf(range)
  return Array.from({ length: sizeOf(range) }, (_, index) => formatAddress(first + index))
}

/**
 * Every address of `addressesOf` exactly once, in blocks of neighbouring addresses, the blocks in random order: the
 * first blocks are a fair sample of a large range. Blocks are made when they are asked for.
 *
 * @param blockSize how many addresses a block has at most
 * @param random numbers from 0 to below 1
 */
export function* sampleBlocks(
  range: AddressRange,
  blockSize: number,
  random: () => number,
): Generator<readonly string[], void, undefined> {
  if (!Number.isInteger(blockSize) || blockSize < 1)
    throw new RangeError(`a block has at least one address, not ${blockSize}`)
  const { first, last } = hostsOf(range)
  const starts = Uint32Array.from(
    { length: Math.ceil(sizeOf(range) / blockSize) },
    (_, block) => first + block * blockSize,
  )
  for (let left = starts.length; left > 0; left--) {
    // Fisher and Yates, one draw for each block.
    const drawn = Math.min(left - 1, Math.floor(random() * left))
    const start = starts[drawn] ?? first
    starts[drawn] = starts[left - 1] ?? start
    const size = Math.min(blockSize, last - start + 1)
    yield Array.from({ length: size }, (_, index) => formatAddress(start + index))
  }
}

function hostsOf(range: AddressRange): { first: number; last: number } {
  const hasEnds = range.network !== undefined && !isHostAddress(range.network, range.first)
  return hasEnds ? { first: range.first + 1, last: range.last - 1 } : range
}

function parseCidr(text: string): AddressRange {
  const [addressText = '', prefixText = ''] = text.split('/')
  const network = parseNetwork(text)
  if (network === undefined) throw notANetwork(text, addressText, prefixText)
  const { prefix } = network
  if (prefix === 32)
    throw badRange(text, 'is a single address, not a range.', 'A search needs a /16 to /31, or two ends.', [
      `Write the network that it lies in, for example ${networkAround(network.first, 24)}.`,
      `For this address alone write ${addressText}-${addressText}.`,
    ])
  if (prefix < 16)
    throw badRange(text, 'is too large.', `A search covers at most a /16 (${largestSize} addresses).`, [
      `Write only the part that the nodes are in, for example ${networkAround(network.first, 24)}.`,
    ])
  if (network.hasHostBits)
    throw badRange(
      text,
      'has host bits set.',
      `${addressText} is an address inside a /${prefix}, not the first of one.`,
      [`For the network around ${addressText} write ${formatNetwork(network)}.`],
    )
  return { text, first: network.first, last: network.last, network }
}

function notANetwork(text: string, addressText: string, prefixText: string): AppError {
  if (addressText.includes(':')) return ipv6(text)
  const prefixOfText = prefixOfMask(prefixText)
  const address = parseAddress(addressText)
  if (address === undefined) return notAnAddress(text, addressText)
  if (prefixOfText !== undefined)
    return badRange(text, 'has a mask where a prefix length belongs.', '', [
      `Write ${networkAround(address, prefixOfText)}.`,
    ])
  return badRange(
    text,
    'has no valid prefix length.',
    `After the slash stands a whole number from 16 to 31, not "${printableStart(text.slice(addressText.length + 1), 40)}".`,
    [`Write for example ${networkAround(address, 24)}.`],
  )
}

function parseFromTo(text: string): AddressRange {
  const [firstText = '', lastText = '', ...rest] = text.split('-')
  if (text.includes(':')) throw ipv6(text)
  const first = parseAddress(firstText)
  if (first === undefined || rest.length > 0) throw notAnAddress(text, firstText)
  if (!text.includes('-'))
    throw badRange(text, 'is a single address, not a range.', '', [
      `Write the network that it lies in, for example ${networkAround(first, 24)}.`,
      `For this address alone write ${text}-${text}.`,
    ])
  const last = parseAddress(lastText)
  if (last === undefined) {
    const meant = parseAddress([...firstText.split('.').slice(0, 3), lastText].join('.'))
    if (meant === undefined) throw notAnAddress(text, lastText)
    throw badRange(text, 'has no full address after the "-".', '', [
      meant < first
        ? `Write both ends in full, the lower one first, for example ${exampleRange}.`
        : `Write ${firstText}-${formatAddress(meant)}.`,
    ])
  }
  if (last < first)
    throw badRange(text, 'is reversed.', `${lastText} comes before ${firstText}.`, [
      `Write ${lastText}-${firstText}.`,
    ])
  if (last - first + 1 > largestSize)
    throw badRange(
      text,
      'is too large.',
      `It holds ${last - first + 1} addresses; a search covers at most ${largestSize}.`,
      [`Write only the part that the nodes are in, for example ${networkAround(first, 24)}.`],
    )
  return { text, first, last, network: undefined }
}

function notAnAddress(text: string, part: string): AppError {
  if (/^\d+(\.\d+){3}$/.test(part) && /(^|\.)0\d/.test(part)) {
    const decimal = part.replace(/(^|\.)0+(?=\d)/g, '$1')
    return badRange(
      text,
      'has leading zeros.',
      'Some programs read such numbers as octal, so it is not clear which address is meant.',
      // Put together from what the operator wrote: only a whole range is offered to be copied.
      [
        parseAddress(decimal) === undefined
          ? `Write it without them, for example ${exampleNetwork}.`
          : `Write it without them: ${text.replace(/(^|[.-])0+(?=\d)/g, '$1')}.`,
      ],
    )
  }
  return badRange(text, 'is not a range of IPv4 addresses.', /\s/.test(text) ? 'It has spaces in it.' : '', [
    `Write a network such as ${exampleNetwork}, or two ends such as ${exampleRange}.`,
  ])
}

function ipv6(text: string): AppError {
  return badRange(
    text,
    'is IPv6.',
    'The virtual IP of the appliance is an IPv4 address, so only IPv4 is searched.',
    [`Write the IPv4 network that the nodes are in, for example ${exampleNetwork}.`],
  )
}

function badRange(text: string, problem: string, detail: string, remedies: readonly string[]): AppError {
  const value = printableStart(text, 60)
  return new AppError({
    code: 'BAD_RANGE',
    title: `CIDR ${value === '' ? '(empty)' : `"${value}"`} ${problem}`,
    detail,
    remedies,
  })
}

/** A network to propose: the one of this length that holds the address, or the example where none may lie. */
function networkAround(address: number, prefix: number): string {
  const network = parseNetwork(`${formatAddress(address)}/${Math.max(16, Math.min(31, prefix))}`)
  if (network === undefined || unusableNetworks.some((unusable) => overlaps(unusable.network, network)))
    return exampleNetwork
  return formatNetwork(network)
}

function networkOf(cidr: string): Ipv4Network {
  const network = parseNetwork(cidr)
  if (network === undefined) throw new TypeError(`${cidr} is not a network`)
  return network
}
