import { parseAddress } from '../../../../shared/plan/ipv4.ts'

export interface OfferParts {
  readonly transactionId: number
  readonly clientMac: Uint8Array
  readonly address: string
  /** As they stand in the message, one after the other: number and value. */
  readonly options: readonly (readonly [number: number, value: readonly number[]])[]
  /** Options in the fields for the boot file and the server name. */
  readonly bootFile?: readonly (readonly [number: number, value: readonly number[]])[]
  readonly serverName?: readonly (readonly [number: number, value: readonly number[]])[]
}

/** A DHCP answer as a server writes it, made by hand so that it tests the reader and not the writer. */
export function offerBytes(parts: OfferParts): Uint8Array {
  const options = encode(parts.options)
  const bytes = new Uint8Array(240 + options.length)
  const view = new DataView(bytes.buffer)
  bytes.set([2, 1, 6, 0])
  view.setUint32(4, parts.transactionId)
  view.setUint32(16, parseAddress(parts.address) ?? 0)
  bytes.set(parts.clientMac, 28)
  bytes.set(encode(parts.serverName ?? []), 44)
  bytes.set(encode(parts.bootFile ?? []), 108)
  bytes.set([99, 130, 83, 99], 236)
  bytes.set(options, 240)
  return bytes
}

/** Options of a plain offer of `server`. */
export function plainOptions(server: string): OfferParts['options'] {
  return [
    [53, [2]],
    [54, octets(server)],
    [51, [0, 0, 14, 16]],
    [1, [255, 255, 255, 0]],
    [3, octets('10.0.0.1')],
    [6, [...octets('10.0.0.2'), ...octets('10.0.0.3')]],
  ]
}

export function octets(address: string): number[] {
  return address.split('.').map(Number)
}

function encode(options: OfferParts['options']): number[] {
  return [...options.flatMap(([number, value]) => [number, value.length, ...value]), 255]
}
