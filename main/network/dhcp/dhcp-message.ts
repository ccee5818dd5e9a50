import { formatAddress } from '../../../shared/plan/ipv4.ts'

/** What makes a DHCPDISCOVER one's own. */
export interface DhcpQuestion {
  /** 32 bits, chosen by chance (RFC 2131 §2, `xid`). */
  readonly transactionId: number
  /** Six octets (`chaddr`). */
  readonly clientMac: Uint8Array
  /** Seconds since the first question (`secs`); some servers answer only when a better one does not. */
  readonly elapsedSeconds?: number
}

/** What a DHCPOFFER says. */
export interface DhcpOfferMessage {
  readonly transactionId: number
  /** Six octets. */
  readonly clientMac: Uint8Array
  /** The offered address. */
  readonly address: string
  /** Who offers it (option 54), also behind a relay. */
  readonly server: string
  readonly gateways: readonly string[]
  readonly nameServers: readonly string[]
}

/** Offsets and lengths of the fixed part, RFC 2131 §2. */
const field = {
  operation: 0,
  hardwareType: 1,
  hardwareLength: 2,
  transactionId: 4,
  seconds: 8,
  flags: 10,
  offeredAddress: 16,
  clientMac: 28,
  serverName: { start: 44, end: 108 },
  bootFile: { start: 108, end: 236 },
  magic: 236,
  options: 240,
} as const

const bootRequest = 1
const bootReply = 2
const ethernet = 1
const broadcastFlag = 0x8000
/** 99.130.83.99, RFC 2131 §3. */
const magicCookie = 0x63825363
/** BOOTP relays may drop anything shorter (RFC 1542 §2.1). */
const smallestMessage = 300

/** RFC 2132. */
const option = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  nameServer: 6,
  overload: 52,
  messageType: 53,
  serverIdentifier: 54,
  parameterRequestList: 55,
  end: 255,
} as const

const discover = 1
const offer = 2

/**
 * A DHCPDISCOVER whose answer is to be broadcast, because nobody has the MAC or will have the address that it is meant
 * for. It carries no Rapid Commit (RFC 4039): without it and without a DHCPREQUEST no server leases anything.
 */
export function buildDiscover(question: DhcpQuestion): Uint8Array {
  const bytes = new Uint8Array(smallestMessage)
  const view = new DataView(bytes.buffer)
  bytes[field.operation] = bootRequest
  bytes[field.hardwareType] = ethernet
  bytes[field.hardwareLength] = 6
  view.setUint32(field.transactionId, question.transactionId)
  view.setUint16(field.seconds, question.elapsedSeconds ?? 0)
  view.setUint16(field.flags, broadcastFlag)
  bytes.set(question.clientMac.subarray(0, 6), field.clientMac)
  view.setUint32(field.magic, magicCookie)
  const asked = [option.subnetMask, option.router, option.nameServer]
  bytes.set(
    [option.messageType, 1, discover, option.parameterRequestList, asked.length, ...asked, option.end],
    field.options,
  )
  return bytes
}

/** Reads a DHCPOFFER; `undefined` for anything else, however broken. Never throws. */
export function readOffer(bytes: Uint8Array): DhcpOfferMessage | undefined {
  if (bytes.length < field.options) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (
    bytes[field.operation] !== bootReply ||
    bytes[field.hardwareType] !== ethernet ||
    bytes[field.hardwareLength] !== 6 ||
    view.getUint32(field.magic) !== magicCookie
  ) {
    return undefined
  }
  const options = readOptions(bytes)
  const messageType = options.get(option.messageType)
  if (messageType?.length !== 1 || messageType[0] !== offer) return undefined
  const [server, ...otherServers] = addressesOf(options.get(option.serverIdentifier))
  const address = view.getUint32(field.offeredAddress)
  if (server === undefined || otherServers.length > 0 || !isUnicast(address)) return undefined
  return {
    transactionId: view.getUint32(field.transactionId),
    clientMac: bytes.slice(field.clientMac, field.clientMac + 6),
    address: formatAddress(address),
    server,
    gateways: addressesOf(options.get(option.router)),
    nameServers: addressesOf(options.get(option.nameServer)),
  }
}

/** Neither "this network" nor loopback nor multicast and above. */
function isUnicast(address: number): boolean {
  const first = Math.floor(address / 2 ** 24)
  return first !== 0 && first !== 127 && first < 224
}

/**
 * Options by number. The parts of an option that comes more than once belong together (RFC 3396); where the server says
 * so (option 52), the fields for the boot file and the server name hold options as well.
 */
function readOptions(bytes: Uint8Array): Map<number, readonly number[]> {
  const options = new Map<number, readonly number[]>()
  addOptions(options, bytes.subarray(field.options))
  const [overloaded = 0] = options.get(option.overload) ?? []
  if (overloaded === 1 || overloaded === 3) addOptions(options, part(bytes, field.bootFile))
  if (overloaded === 2 || overloaded === 3) addOptions(options, part(bytes, field.serverName))
  return options
}

function part(
  bytes: Uint8Array,
  { start, end }: { readonly start: number; readonly end: number },
): Uint8Array {
  return bytes.subarray(start, end)
}

/** Adds until the end, or until an option that is cut off. */
function addOptions(options: Map<number, readonly number[]>, bytes: Uint8Array): void {
  let position = 0
  while (position < bytes.length) {
    const number = bytes[position]
    position += 1
    if (number === undefined || number === option.end) return
    if (number === option.pad) continue
    const length = bytes[position]
    position += 1
    if (length === undefined || position + length > bytes.length) return
    options.set(number, [...(options.get(number) ?? []), ...bytes.subarray(position, position + length)])
    position += length
  }
}

/** A list of addresses; empty where its length does not fit. */
function addressesOf(value: readonly number[] | undefined): string[] {
  if (value === undefined || value.length % 4 !== 0) return []
  const addresses: string[] = []
  for (let start = 0; start < value.length; start += 4) {
    const address = value.slice(start, start + 4).reduce((number, octet) => number * 256 + octet, 0)
    if (isUnicast(address)) addresses.push(formatAddress(address))
  }
  return addresses
}
