import type { DnsAnswer } from './measurements.ts'

/** Types of records (RFC 1035 §3.2.2). */
const types = { A: 1, CNAME: 5, PTR: 12 } as const
/** Names of response codes (RFC 1035 §4.1.1, RFC 2136). */
const codes = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'] as const

/**
 * A question to a name server (RFC 1035 §4.1), with the wish for recursion.
 *
 * @param id 0 to 65535; the answer must have it
 */
export function dnsQuestion(id: number, name: string, type: 'A' | 'PTR'): Uint8Array {
  const labels = name.split('.').filter((label) => label !== '')
  const bytes = [id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
  for (const label of labels) {
    const encoded = new TextEncoder().encode(label)
    if (encoded.length > 63) throw new TypeError(`The label ${label} is too long.`)
    bytes.push(encoded.length, ...encoded)
  }
  return Uint8Array.from([...bytes, 0, 0, types[type], 0, 1])
}

/** Name of an address in the reverse tree (RFC 1035 §3.5). */
export function reverseName(address: string): string {
  return `${address.split('.').reverse().join('.')}.in-addr.arpa`
}

/** Reads the answer to a question with this id; `undefined`: it is none. Never throws. */
export function readDnsAnswer(id: number, bytes: Uint8Array): DnsAnswer | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 12 || view.getUint16(0) !== id || (view.getUint8(2) & 0x80) === 0) return undefined
  const code = codes[view.getUint8(3) & 15] ?? `code ${view.getUint8(3) & 15}`
  const addresses: string[] = []
  const names: string[] = []
  let place = 12
  for (let count = view.getUint16(4); count > 0; count -= 1) {
    const end = skipName(bytes, place)
    if (end === undefined || end + 4 > bytes.length) return undefined
    place = end + 4
  }
  for (let count = view.getUint16(6); count > 0; count -= 1) {
    const end = skipName(bytes, place)
    if (end === undefined || end + 10 > bytes.length) return undefined
    const length = view.getUint16(end + 8)
    const data = end + 10
    // A cut answer (RFC 1035: TC) still tells what is in it.
    if (data + length > bytes.length) return undefined
    const type = view.getUint16(end)
    if (type === types.A && length === 4) addresses.push([...bytes.subarray(data, data + 4)].join('.'))
    if (type === types.PTR) {
      const name = readName(bytes, data)
      if (name !== undefined) names.push(name)
    }
    place = data + length
  }
  return { code, addresses: addresses.sort(), names: names.sort() }
}

function skipName(bytes: Uint8Array, start: number): number | undefined {
  for (let place = start; ;) {
    const length = bytes[place]
    if (length === undefined) return undefined
    if (length === 0) return place + 1
    if ((length & 0xc0) === 0xc0) return place + 2
    if ((length & 0xc0) !== 0) return undefined
    place += 1 + length
  }
}

function readName(bytes: Uint8Array, start: number): string | undefined {
  const labels: string[] = []
  let place = start
  // Pointers may point at each other.
  for (let steps = 0; steps < 128; steps += 1) {
    const length = bytes[place]
    if (length === undefined) return undefined
    if (length === 0) return labels.join('.')
    if ((length & 0xc0) === 0xc0) {
      const low = bytes[place + 1]
      if (low === undefined) return undefined
      place = ((length & 0x3f) << 8) | low
      continue
    }
    if ((length & 0xc0) !== 0) return undefined
    const label = bytes.subarray(place + 1, place + 1 + length)
    if (label.length < length) return undefined
    labels.push(String.fromCharCode(...label).replace(/[^\x21-\x7e]/gu, '?'))
    place += 1 + length
  }
  return undefined
}

/** A question for the time (RFC 4330 §5): version 4, mode 3 (client), all else zero. */
export function ntpQuestion(): Uint8Array {
  return Uint8Array.from({ length: 48 }, (_, index) => (index === 0 ? 0x23 : 0))
}

/** Reads the answer of a time server; `undefined`: it is none. */
export function readNtpAnswer(bytes: Uint8Array): { stratum: number; isSynchronized: boolean } | undefined {
  const [first = 0, stratum = 0] = bytes
  // Mode 4: server.
  if (bytes.length < 48 || (first & 7) !== 4) return undefined
  // Leap indicator 3 and stratum 0 (a "kiss of death") and 16: it does not know the time itself.
  return { stratum, isSynchronized: first >> 6 !== 3 && stratum >= 1 && stratum <= 15 }
}

/** Bytes of hexadecimal digits, with or without spaces between them; `undefined` when there is anything else. */
export function bytesOfHex(text: string): Uint8Array | undefined {
  const digits = text.replace(/\s+/gu, '')
  if (!/^([0-9a-f]{2})+$/iu.test(digits)) return undefined
  return Uint8Array.from(digits.match(/../gu) ?? [], (pair) => parseInt(pair, 16))
}
