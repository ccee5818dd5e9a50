import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { describe, expect, it } from 'vitest'
import {
  containsAddress,
  formatAddress,
  formatNetwork,
  isHostAddress,
  networkSize,
  overlaps,
  parseAddress,
  parseNetwork,
  prefixOfMask,
  type Ipv4Network,
} from './ipv4.ts'

const address = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const prefix = fc.integer({ min: 0, max: 32 })

function network(text: string): Ipv4Network {
  const parsed = parseNetwork(text)
  if (parsed === undefined) throw new Error(`${text} was refused`)
  return parsed
}

describe('IPv4 addresses', () => {
  it('come back as they were written', () => {
    fc.assert(fc.property(address, (value) => parseAddress(formatAddress(value)) === value))
  })

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '01.2.3.4',
    '1.2.3.4 ',
    '0x1.2.3.4',
    '1.2.3.-4',
    '1..2.3',
    '::1',
  ])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined()
  })
})

describe('IPv4 networks', () => {
  it('agree with ipaddr.js on network and broadcast address', () => {
    fc.assert(
      fc.property(address, prefix, (value, length) => {
        const text = `${formatAddress(value)}/${length}`
        const parsed = network(text)
        expect(formatAddress(parsed.first)).toBe(ipaddr.IPv4.networkAddressFromCIDR(text).toString())
        expect(formatAddress(parsed.last)).toBe(ipaddr.IPv4.broadcastAddressFromCIDR(text).toString())
        expect(networkSize(parsed)).toBe(2 ** (32 - length))
        expect(parsed.hasHostBits).toBe(parsed.first !== value)
        expect(network(formatNetwork(parsed))).toEqual({ ...parsed, hasHostBits: false })
      }),
    )
  })

  it('contain what ipaddr.js matches', () => {
    fc.assert(
      fc.property(address, prefix, address, (value, length, other) => {
        const text = `${formatAddress(value)}/${length}`
        const isMatch = ipaddr.IPv4.parse(formatAddress(other)).match(ipaddr.IPv4.parseCIDR(text))
        expect(containsAddress(network(text), other)).toBe(isMatch)
      }),
    )
  })

  it('overlap exactly when one contains the first address of the other', () => {
    fc.assert(
      fc.property(address, prefix, address, prefix, (a, lengthA, b, lengthB) => {
        const left = network(`${formatAddress(a)}/${lengthA}`)
        const right = network(`${formatAddress(b)}/${lengthB}`)
        const shared = containsAddress(left, right.first) || containsAddress(right, left.first)
        expect(overlaps(left, right)).toBe(shared)
        expect(overlaps(right, left)).toBe(shared)
      }),
    )
  })

  it.each([
    ['10.0.0.0/24', '10.0.0.0', false],
    ['10.0.0.0/24', '10.0.0.1', true],
    ['10.0.0.0/24', '10.0.0.255', false],
    ['10.0.0.0/24', '10.0.1.1', false],
    ['10.0.0.0/31', '10.0.0.0', true],
    ['10.0.0.7/32', '10.0.0.7', true],
  ])('in %s a host may be %s: %s', (text, host, isAllowed) => {
    expect(isHostAddress(network(text), parseAddress(host) ?? -1)).toBe(isAllowed)
  })

  it.each(['10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '10.0.0/8', '10.0.0.0/8/8', '10.0.0.0/-1'])(
    'refuses %j',
    (text) => {
      expect(parseNetwork(text)).toBeUndefined()
    },
  )
})

describe('masks', () => {
  it('give back their prefix length', () => {
    fc.assert(
      fc.property(prefix, (length) => prefixOfMask(formatAddress(2 ** 32 - 2 ** (32 - length))) === length),
    )
  })

  it('are refused when their ones are not contiguous', () => {
    fc.assert(
      fc.property(address, (value) => {
        const isContiguous = /^1*0*$/.test(value.toString(2).padStart(32, '0'))
        return (prefixOfMask(formatAddress(value)) !== undefined) === isContiguous
      }),
    )
    expect(prefixOfMask('255.0.255.0')).toBeUndefined()
  })
})
