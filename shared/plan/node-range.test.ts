import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatAddress } from './ipv4.ts'
import { expandNodeRange } from './node-range.ts'

const addressesOf = (text: string) => {
  const range = expandNodeRange(text)
  return range.kind === 'addresses' ? range.addresses : range.message
}

describe('addresses of nodes in one line', () => {
  it.each([
    ['10.10.200.11', ['10.10.200.11']],
    ['10.10.200.11-13', ['10.10.200.11', '10.10.200.12', '10.10.200.13']],
    ['10.10.200.11 – 12', ['10.10.200.11', '10.10.200.12']],
    ['10.10.200.254-10.10.201.1', ['10.10.200.254', '10.10.200.255', '10.10.201.0', '10.10.201.1']],
    ['10.10.200.9, 10.10.200.3-4;10.0.0.1', ['10.10.200.9', '10.10.200.3', '10.10.200.4', '10.0.0.1']],
    ['10.10.200.11-11', ['10.10.200.11']],
  ])('%s are the ones that are meant, in their order', (text, addresses) => {
    expect(addressesOf(text)).toEqual(addresses)
  })

  it.each([
    ['', 'No address is given.'],
    [' , ', 'No address is given.'],
    ['n1', 'n1 is no IPv4 address'],
    ['10.10.200.300', '10.10.200.300 is no IPv4 address'],
    ['10.10.200.011', '10.10.200.011 is no IPv4 address'],
    ['10.10.200.0/24', '10.10.200.0/24 is no IPv4 address'],
    ['10.10.200.13-11', 'ends before it begins'],
    ['10.10.200.11-256', 'at most 255'],
    ['10.10.200.11-', 'does not end with an address'],
    ['10.10.200.11-200.13', 'does not end with an address'],
    ['10.10.200.11-12-13', 'is no IPv4 address'],
    ['10.10.200.11-13,10.10.200.12', '10.10.200.12 is there twice'],
    ['10.0.0.0-10.255.255.255', 'more than 500 nodes'],
  ])('%j is refused with what to write instead', (text, reason) => {
    const range = expandNodeRange(text)
    expect(range.kind).toBe('invalid')
    expect(addressesOf(text)).toContain(reason)
    expect(addressesOf(text)).toContain('for example 10.10.200.11-13')
  })

  it('is the same for a range and for its addresses one by one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 32 - 600 }),
        fc.integer({ min: 0, max: 400 }),
        (first, more) => {
          const all = Array.from({ length: more + 1 }, (_, index) => formatAddress(first + index))
          expect(addressesOf(`${formatAddress(first)}-${formatAddress(first + more)}`)).toEqual(all)
          expect(addressesOf(all.join(','))).toEqual(all)
        },
      ),
      { numRuns: 50 },
    )
  })

  it('never throws and never gives the same address twice', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9., -]{0,40}$/), (text) => {
        const range = expandNodeRange(text)
        if (range.kind === 'addresses') expect(new Set(range.addresses).size).toBe(range.addresses.length)
      }),
    )
  })
})
