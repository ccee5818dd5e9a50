import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildDiscover, readOffer } from './dhcp-message.ts'
import { octets, offerBytes, plainOptions, type OfferParts } from './testing/offer.ts'

const clientMac = Uint8Array.of(2, 1, 2, 3, 4, 5)

function offer(change: Partial<OfferParts> = {}): Uint8Array {
  return offerBytes({
    transactionId: 0xcafe_f00d,
    clientMac,
    address: '10.0.0.77',
    options: plainOptions('10.0.0.1'),
    ...change,
  })
}

/**
 * What dnsmasq 2.90 answered in a network namespace to a question that `buildDiscover` made, 300 bytes; between the two
 * parts, in the fields for server name and boot file, there are zeros.
 */
const recorded = {
  start: '020106005fa135f600008000000000000ac607910ac6070b0000000002000000000100000000000000000000',
  end: '6382536335010236040ac6070b330400000e103a04000007083b0400000c4e0104ffffff001c040ac607ff03040ac6070b06040ac60702ff0000000000000000',
}

describe('a DHCPOFFER', () => {
  it('is read', () => {
    expect(readOffer(offer())).toEqual({
      transactionId: 0xcafe_f00d,
      clientMac,
      address: '10.0.0.77',
      server: '10.0.0.1',
      gateways: ['10.0.0.1'],
      nameServers: ['10.0.0.2', '10.0.0.3'],
    })
  })

  it('of dnsmasq is read', () => {
    const bytes = new Uint8Array(300)
    bytes.set(Buffer.from(recorded.start, 'hex'))
    bytes.set(Buffer.from(recorded.end, 'hex'), 236)
    expect(readOffer(bytes)).toEqual({
      transactionId: 0x5fa1_35f6,
      clientMac: Uint8Array.of(2, 0, 0, 0, 0, 1),
      address: '10.198.7.145',
      server: '10.198.7.11',
      gateways: ['10.198.7.11'],
      nameServers: ['10.198.7.2'],
    })
  })

  it('may say nothing of gateways and name servers', () => {
    const options = plainOptions('10.0.0.1').slice(0, 2)
    expect(readOffer(offer({ options }))).toMatchObject({ gateways: [], nameServers: [] })
  })

  it('may spread a long list over several options of one number', () => {
    const options: OfferParts['options'] = [
      [53, [2]],
      [54, octets('10.0.0.1')],
      [6, octets('10.0.0.2')],
      [6, octets('10.0.0.3')],
    ]
    expect(readOffer(offer({ options }))?.nameServers).toEqual(['10.0.0.2', '10.0.0.3'])
  })

  it('may have options in the fields for the boot file and the server name, but only where it says so', () => {
    const bootFile: OfferParts['options'] = [[3, octets('10.0.0.9')]]
    const serverName: OfferParts['options'] = [[6, octets('10.0.0.8')]]
    const base = plainOptions('10.0.0.1').slice(0, 2)
    const read = (overload: number) =>
      readOffer(offer({ options: [...base, [52, [overload]]], bootFile, serverName }))
    expect(read(3)).toMatchObject({ gateways: ['10.0.0.9'], nameServers: ['10.0.0.8'] })
    expect(read(1)).toMatchObject({ gateways: ['10.0.0.9'], nameServers: [] })
    expect(read(2)).toMatchObject({ gateways: [], nameServers: ['10.0.0.8'] })
    expect(readOffer(offer({ options: base, bootFile, serverName }))).toMatchObject({
      gateways: [],
      nameServers: [],
    })
  })

  it('is nothing when something decisive is missing or wrong', () => {
    const server: [number, number[]] = [54, octets('10.0.0.1')]
    const wrong: Record<string, Uint8Array> = {
      'an acknowledgement': offer({ options: [[53, [5]], server] }),
      'no message type': offer({ options: [server] }),
      'two message types': offer({ options: [[53, [2]], [53, [2]], server] }),
      'no server': offer({ options: [[53, [2]]] }),
      'two servers': offer({
        options: [
          [53, [2]],
          [54, [...octets('10.0.0.1'), ...octets('10.0.0.2')]],
        ],
      }),
      'half an address': offer({
        options: [
          [53, [2]],
          [54, [10, 0]],
        ],
      }),
      'no address': offer({ address: '0.0.0.0' }),
      'a multicast address': offer({ address: '224.0.0.1' }),
      'a loopback address': offer({ address: '127.0.0.1' }),
      'a question': buildDiscover({ transactionId: 1, clientMac }),
      'nothing at all': new Uint8Array(),
      'the fixed part alone': offer().subarray(0, 240),
    }
    for (const [name, bytes] of Object.entries(wrong)) expect(readOffer(bytes), name).toBeUndefined()
    for (const position of [0, 1, 2, 236, 237, 238, 239]) {
      const bytes = offer()
      bytes[position] = 77
      expect(readOffer(bytes), String(position)).toBeUndefined()
    }
  })

  it('is read as far as it goes when it is cut off', () => {
    const whole = offer()
    for (let length = 0; length < whole.length; length += 1) {
      const message = readOffer(whole.subarray(0, length))
      if (message !== undefined) expect(message).toMatchObject({ address: '10.0.0.77', server: '10.0.0.1' })
    }
  })

  it('with any content is read or not, but never breaks the reader', () => {
    const options = fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 20 })))
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), options, fc.nat(3), (noise, extra, overload) => {
        readOffer(noise)
        const bytes = offer({
          options: [
            ...plainOptions('10.0.0.1').slice(0, 2),
            [52, [overload]],
            ...extra.map(([number, value]) => [number, [...value]] as const),
          ],
        })
        bytes.set(noise.subarray(0, 192), 44)
        const message = readOffer(bytes)
        for (const address of [...(message?.gateways ?? []), ...(message?.nameServers ?? [])]) {
          expect(address).toMatch(/^\d{1,3}(\.\d{1,3}){3}$/)
        }
      }),
    )
  })

  it('gives back every address, server and list that was written', () => {
    const address = fc
      .tuple(
        fc.integer({ min: 1, max: 223 }).filter((first) => first !== 127),
        fc.nat(255),
        fc.nat(255),
        fc.nat(255),
      )
      .map((parts) => parts.join('.'))
    fc.assert(
      fc.property(
        fc.record({
          transactionId: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
          clientMac: fc.uint8Array({ minLength: 6, maxLength: 6 }),
          address,
          server: address,
          gateways: fc.array(address, { maxLength: 60 }),
          nameServers: fc.array(address, { maxLength: 60 }),
        }),
        (expected) => {
          const options: OfferParts['options'] = [
            [6, expected.nameServers.flatMap(octets)],
            [53, [2]],
            [3, expected.gateways.flatMap(octets)],
            [54, octets(expected.server)],
          ]
          expect(readOffer(offerBytes({ ...expected, options }))).toEqual(expected)
        },
      ),
    )
  })
})

describe('a DHCPDISCOVER', () => {
  it('has the form of RFC 2131, asks for a broadcast answer and for nothing to be leased', () => {
    const bytes = buildDiscover({ transactionId: 0x0102_0304, clientMac, elapsedSeconds: 2 })
    expect(bytes).toHaveLength(300)
    expect([...bytes.subarray(0, 12)]).toEqual([1, 1, 6, 0, 1, 2, 3, 4, 0, 2, 0x80, 0])
    // No client, offered, server or relay address.
    expect(bytes.subarray(12, 28).every((octet) => octet === 0)).toBe(true)
    expect([...bytes.subarray(28, 44)]).toEqual([...clientMac, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    expect([...bytes.subarray(236, 249)]).toEqual([99, 130, 83, 99, 53, 1, 1, 55, 3, 1, 3, 6, 255])
    expect(bytes.subarray(249).every((octet) => octet === 0)).toBe(true)
  })
})
