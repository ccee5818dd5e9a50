import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatAddress } from '../../../shared/plan/ipv4.ts'
import { nmapTargets } from './nmap-targets.ts'

const numbers = (...texts: string[]) =>
  texts.map((text) => text.split('.').reduce((number, part) => number * 256 + Number(part), 0))

/** Reads octet ranges as nmap does (nmap(1), TARGET SPECIFICATION). */
function expand(target: string): string[] {
  const [a = '', b = '', c = '', last = ''] = target.split('.')
  return last.split(',').flatMap((range) => {
    const [first = '', end = first] = range.split('-')
    const count = Number(end) - Number(first) + 1
    return Array.from({ length: count }, (_, index) => [a, b, c, Number(first) + index].join('.'))
  })
}

describe('targets of nmap', () => {
  it('are one per /24, neighbours joined', () => {
    expect(
      nmapTargets(numbers('10.10.200.1', '10.10.200.2', '10.10.200.3', '10.10.200.9', '10.10.201.0')),
    ).toEqual(['10.10.200.1-3,9', '10.10.201.0'])
    expect(nmapTargets([])).toEqual([])
  })

  it('name exactly the addresses that were given, and nothing that could be an option', () => {
    const near = fc.nat(1500).map((offset) => 0x0a0ac700 + offset)
    const anywhere = fc.integer({ min: 0, max: 2 ** 32 - 1 })
    fc.assert(
      fc.property(fc.uniqueArray(fc.oneof(near, anywhere), { maxLength: 300 }), (given) => {
        const addresses = given.toSorted((a, b) => a - b)
        const targets = nmapTargets(addresses)
        for (const target of targets) expect(target).toMatch(/^\d+\.\d+\.\d+\.\d+(-\d+)?(,\d+(-\d+)?)*$/u)
        expect(targets.flatMap(expand)).toEqual(addresses.map(formatAddress))
      }),
    )
  })

  it('of a thousand addresses that have nothing in common fit into the arguments of every system', () => {
    const scattered = Array.from({ length: 1024 }, (_, index) => 0xdededede + index * 256)
    const everySecond = Array.from({ length: 1024 }, (_, index) => 0xdededede + index * 2)
    for (const addresses of [scattered, everySecond]) {
      expect(nmapTargets(addresses).join(' ').length).toBeLessThan(16 * 1024)
    }
  })
})
