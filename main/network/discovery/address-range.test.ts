import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../shared/errors/index.ts'
import { formatAddress, parseAddress } from '../../../shared/plan/ipv4.ts'
import { addressesOf, parseAddressRange, sampleBlocks, sizeOf } from './address-range.ts'

function refusal(text: string): AppError {
  try {
    parseAddressRange(text)
  } catch (error) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error(`${text} was accepted`)
}

describe('a range in CIDR form', () => {
  it('has its network and broadcast address as ends', () => {
    const range = parseAddressRange('10.10.200.0/24')
    expect(range).toMatchObject({
      text: '10.10.200.0/24',
      first: parseAddress('10.10.200.0'),
      last: parseAddress('10.10.200.255'),
      network: { prefix: 24 },
    })
    expect(sizeOf(range)).toBe(254)
    expect(addressesOf(range).at(0)).toBe('10.10.200.1')
    expect(addressesOf(range).at(-1)).toBe('10.10.200.254')
  })

  it('of length 31 has two hosts and no broadcast address (RFC 3021)', () => {
    expect(addressesOf(parseAddressRange('10.0.0.4/31'))).toEqual(['10.0.0.4', '10.0.0.5'])
  })

  it('of length 30 has two hosts', () => {
    expect(addressesOf(parseAddressRange('10.0.0.4/30'))).toEqual(['10.0.0.5', '10.0.0.6'])
  })

  it('may be as large as a /16', () => {
    expect(sizeOf(parseAddressRange('172.20.0.0/16'))).toBe(65_534)
  })
})

describe('a range of two ends', () => {
  it('holds both, and belongs to no network that is known', () => {
    const range = parseAddressRange('10.0.0.254-10.0.1.1')
    expect(range.network).toBeUndefined()
    expect(addressesOf(range)).toEqual(['10.0.0.254', '10.0.0.255', '10.0.1.0', '10.0.1.1'])
  })

  it('may be one address, and at most 65536', () => {
    expect(addressesOf(parseAddressRange('10.0.0.7-10.0.0.7'))).toEqual(['10.0.0.7'])
    expect(sizeOf(parseAddressRange('10.0.0.128-10.1.0.127'))).toBe(65_536)
    expect(refusal('10.0.0.0-10.1.0.0').detail).toBe(
      'It holds 65537 addresses; a search covers at most 65536.',
    )
  })
})

describe('what is no usable range is refused with what to write instead', () => {
  it.each([
    ['10.0.0.0/33', 'CIDR "10.0.0.0/33" has no valid prefix length.', 'Write for example 10.0.0.0/24.'],
    ['10.0.0.9/', 'CIDR "10.0.0.9/" has no valid prefix length.', 'Write for example 10.0.0.0/24.'],
    ['10.0.0.0/24/24', 'CIDR "10.0.0.0/24/24" has no valid prefix length.', 'Write for example 10.0.0.0/24.'],
    ['10.0.0.0/024', 'CIDR "10.0.0.0/024" has no valid prefix length.', 'Write for example 10.0.0.0/24.'],
    [
      '10.0.0.5/24',
      'CIDR "10.0.0.5/24" has host bits set.',
      'For the network around 10.0.0.5 write 10.0.0.0/24.',
    ],
    [
      '10.0.0.0/255.255.255.0',
      'CIDR "10.0.0.0/255.255.255.0" has a mask where a prefix length belongs.',
      'Write 10.0.0.0/24.',
    ],
    ['10.0.0.9-10.0.0.5', 'CIDR "10.0.0.9-10.0.0.5" is reversed.', 'Write 10.0.0.5-10.0.0.9.'],
    ['10.0.0.5-20', 'CIDR "10.0.0.5-20" has no full address after the "-".', 'Write 10.0.0.5-10.0.0.20.'],
    [
      '10.0.0.50-20',
      'CIDR "10.0.0.50-20" has no full address after the "-".',
      'Write both ends in full, the lower one first, for example 10.10.200.50-10.10.200.99.',
    ],
    [
      'fd00::/64',
      'CIDR "fd00::/64" is IPv6.',
      'Write the IPv4 network that the nodes are in, for example 10.10.200.0/24.',
    ],
    [
      'fd00::1-fd00::9',
      'CIDR "fd00::1-fd00::9" is IPv6.',
      'Write the IPv4 network that the nodes are in, for example 10.10.200.0/24.',
    ],
    [
      '10.0.0.0/8',
      'CIDR "10.0.0.0/8" is too large.',
      'Write only the part that the nodes are in, for example 10.0.0.0/24.',
    ],
    [
      '10.9.0.5/8',
      'CIDR "10.9.0.5/8" is too large.',
      'Write only the part that the nodes are in, for example 10.0.0.0/24.',
    ],
    [
      '0.0.0.0/0',
      'CIDR "0.0.0.0/0" is too large.',
      'Write only the part that the nodes are in, for example 10.10.200.0/24.',
    ],
    [
      '10.0.0.7/32',
      'CIDR "10.0.0.7/32" is a single address, not a range.',
      'Write the network that it lies in, for example 10.0.0.0/24.',
    ],
    [
      '10.0.0.7',
      'CIDR "10.0.0.7" is a single address, not a range.',
      'Write the network that it lies in, for example 10.0.0.0/24.',
    ],
    ['010.0.0.0/24', 'CIDR "010.0.0.0/24" has leading zeros.', 'Write it without them: 10.0.0.0/24.'],
    [
      '10.0.0.1-10.0.0.09',
      'CIDR "10.0.0.1-10.0.0.09" has leading zeros.',
      'Write it without them: 10.0.0.1-10.0.0.9.',
    ],
    [
      '10.0.0.0999/24',
      'CIDR "10.0.0.0999/24" has leading zeros.',
      'Write it without them, for example 10.10.200.0/24.',
    ],
    [
      '',
      'CIDR (empty) is not a range of IPv4 addresses.',
      'Write a network such as 10.10.200.0/24, or two ends such as 10.10.200.50-10.10.200.99.',
    ],
    [
      'node network',
      'CIDR "node network" is not a range of IPv4 addresses.',
      'Write a network such as 10.10.200.0/24, or two ends such as 10.10.200.50-10.10.200.99.',
    ],
    [
      '10.0.0.1-10.0.0.5-10.0.0.9',
      'CIDR "10.0.0.1-10.0.0.5-10.0.0.9" is not a range of IPv4 addresses.',
      'Write a network such as 10.10.200.0/24, or two ends such as 10.10.200.50-10.10.200.99.',
    ],
    [
      '10.0.0.256/24',
      'CIDR "10.0.0.256/24" is not a range of IPv4 addresses.',
      'Write a network such as 10.10.200.0/24, or two ends such as 10.10.200.50-10.10.200.99.',
    ],
    [
      ' 10.0.0.0/24',
      'CIDR "10.0.0.0/24" is not a range of IPv4 addresses.',
      'Write a network such as 10.10.200.0/24, or two ends such as 10.10.200.50-10.10.200.99.',
    ],
    [
      '10.0.0.1-;reboot',
      'CIDR "10.0.0.1-;reboot" is not a range of IPv4 addresses.',
      'Write a network such as 10.10.200.0/24, or two ends such as 10.10.200.50-10.10.200.99.',
    ],
  ])('%s', (text, title, remedy) => {
    const error = refusal(text)
    expect(error.code).toBe('BAD_RANGE')
    expect(error.title).toBe(title)
    expect(error.remedies[0]).toBe(remedy)
  })

  it.each([
    '127.0.0.0/24',
    '169.254.0.0/16',
    '224.0.0.0/24',
    '239.255.255.0/24',
    '0.0.0.0/16',
    '240.0.0.0/24',
    '255.255.255.0/24',
    '126.255.255.0-127.0.0.5',
    '223.255.255.255-224.0.0.0',
  ])('%s, where no host can be', (text) => {
    const error = refusal(text)
    expect(error).toMatchObject({
      code: 'BAD_RANGE',
      title: `CIDR "${text}" holds addresses that no host can have.`,
      remedies: ['Write the network that the nodes are in, for example 10.10.200.0/24.'],
    })
    expect(error.detail).toMatch(/RFC \d+/)
  })

  it('also when it is long or would move the cursor, on one short line', () => {
    const error = refusal(`\u001b[2J${'x\n'.repeat(5000)}`)
    expect(error.title).toMatch(/^CIDR "·\[2Jx x [x ]*…" is not a range/)
    expect(error.title.length).toBeLessThan(120)
  })

  it('never offers something that it would refuse itself', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.tuple(fc.ipV4(), fc.integer({ min: -1, max: 40 })).map(([a, p]) => `${a}/${p}`),
          fc.tuple(fc.ipV4(), fc.ipV4()).map(([a, b]) => `${a}-${b}`),
          fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 300 })).map(([a, b]) => `${a}-${b}`),
        ),
        (text) => {
          let remedies: readonly string[] = []
          try {
            parseAddressRange(text)
          } catch (error) {
            if (!(error instanceof AppError) || error.code !== 'BAD_RANGE') throw error
            remedies = error.remedies
            expect(remedies.length).toBeGreaterThan(0)
            expect(error.title).toMatch(/^CIDR /)
          }
          const offered = remedies.join(' ').match(/\d+\.\d+\.\d+\.\d+(?:\/\d+|-\d+\.\d+\.\d+\.\d+)/g) ?? []
          for (const offer of offered) {
            // A reversed range may also be too large or unusable: then the next message says so.
            try {
              parseAddressRange(offer)
            } catch (error) {
              expect(error).toMatchObject({
                title: expect.stringMatching(/too large|no host can have/) as string,
              })
            }
          }
        },
      ),
      { numRuns: 2000 },
    )
  })
})

const ranges = fc.oneof(
  fc
    .tuple(fc.integer({ min: 0x0a000000, max: 0x0affffff }), fc.integer({ min: 18, max: 31 }))
    .map(([number, prefix]) => `${formatAddress(number - (number % 2 ** (32 - prefix)))}/${prefix}`),
  fc
    .tuple(fc.integer({ min: 0x0a000000, max: 0x0aff0000 }), fc.integer({ min: 0, max: 5000 }))
    .map(([first, more]) => `${formatAddress(first)}-${formatAddress(first + more)}`),
)

describe('blocks of a range', () => {
  it('hold every address exactly once, and none is too large', () => {
    fc.assert(
      fc.property(
        ranges,
        fc.integer({ min: 1, max: 600 }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (text, blockSize, numbers) => {
          const range = parseAddressRange(text)
          const blocks = [...sampleBlocks(range, blockSize, () => Number(numbers.next().value))]
          expect(blocks.every(({ length }) => length > 0 && length <= blockSize)).toBe(true)
          const sorted = blocks.flat().sort((a, b) => (parseAddress(a) ?? 0) - (parseAddress(b) ?? 0))
          expect(sorted).toEqual(addressesOf(range))
          expect(sizeOf(range)).toBe(sorted.length)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('come in an order that the random numbers decide', () => {
    const range = parseAddressRange('10.0.0.0/16')
    const inOrder = [...sampleBlocks(range, 256, () => 0)].map(([first]) => first)
    const others = [...sampleBlocks(range, 256, () => 0.999_999)].map(([first]) => first)
    expect(inOrder).not.toEqual(others)
    expect(new Set(inOrder)).toEqual(new Set(others))
  })

  it('are made one at a time', () => {
    let draws = 0
    const blocks = sampleBlocks(parseAddressRange('10.0.0.0/16'), 256, () => {
      draws += 1
      return 0.5
    })
    blocks.next()
    expect(draws).toBe(1)
    blocks.next()
    expect(draws).toBe(2)
  })

  it('are of at least one address', () => {
    const range = parseAddressRange('10.0.0.0/24')
    expect(() => sampleBlocks(range, 0, Math.random).next()).toThrow(RangeError)
    expect(() => sampleBlocks(range, 1.5, Math.random).next()).toThrow(RangeError)
  })
})
