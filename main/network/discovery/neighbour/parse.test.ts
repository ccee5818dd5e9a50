import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normaliseMac, type ParsedNeighbours } from './neighbour-table.ts'
import { parseIpNeigh, parseProcNetArp } from './parse-linux.ts'
import { parseArpMacos } from './parse-macos.ts'
import { parseArpWindows, parseGetNetNeighbor } from './parse-windows.ts'

/** `recorded/`: written by the real programs. `documented/`: put together in the form that their makers document. */
const sample = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')

/** One line an entry, to compare with. */
const lines = (parsed: ParsedNeighbours | undefined) =>
  parsed?.entries.map((entry) =>
    [entry.address, entry.interface ?? '-', entry.mac ?? '-', entry.state, entry.shown].join(' '),
  )

describe('ip -j neigh (iproute2 6.1, Linux 6.18, in a network namespace)', () => {
  it('is read with the states of the kernel, and its count of requests', () => {
    const parsed = parseIpNeigh(sample('recorded/ip-neigh.txt'))
    expect(parsed?.unknownLines).toBe(0)
    expect(lines(parsed)).toEqual([
      '10.88.0.31 - - failed FAILED',
      '10.88.0.30 - - failed FAILED',
      '10.88.0.41 - - asking INCOMPLETE',
      '10.88.0.40 - - asking INCOMPLETE',
      '10.88.0.20 - 00:00:5e:00:01:0a remembered PERMANENT',
      '10.88.0.23 - 52:54:00:00:00:23 remembered PROBE',
      '10.88.0.22 - - asking INCOMPLETE',
      '10.88.0.7 - 52:54:00:00:00:02 reachable REACHABLE',
      '10.88.0.24 - 52:54:00:00:00:24 remembered STALE',
      '10.88.0.9 - 52:54:00:00:00:02 reachable REACHABLE',
      '10.88.0.8 - 52:54:00:00:00:02 remembered STALE',
    ])
    expect(parsed?.entries.slice(0, 3).map(({ requestCount }) => requestCount)).toEqual([6, 6, 5])
  })

  it('is read with interfaces and without counts where all interfaces were asked for', () => {
    const parsed = parseIpNeigh(sample('recorded/ip-neigh-all-devices.txt'))
    expect(parsed).toMatchObject({ unknownLines: 0 })
    expect(parsed?.entries).toHaveLength(11)
    expect(
      parsed?.entries.every((entry) => entry.interface === 'eth0' && entry.requestCount === undefined),
    ).toBe(true)
  })

  it('may be empty', () => {
    expect(parseIpNeigh('[]\n')).toEqual({ entries: [], unknownLines: 0 })
  })

  it('leaves out and counts what it does not know', () => {
    expect(
      parseIpNeigh(
        JSON.stringify([
          { dst: '10.0.0.1', state: ['REACHABLE'], lladdr: '52:54:00:00:00:01', extern_learn: null },
          { dst: '10.0.0.2', state: ['SOMETHING'] },
          { dst: '10.0.0.3' },
          { dst: '10.0.0.4', state: [] },
          { dst: 'fe80::1', state: ['STALE'] },
          { dst: 7, state: ['STALE'] },
          'text',
        ]),
      ),
    ).toMatchObject({ entries: [{ address: '10.0.0.1', state: 'reachable' }], unknownLines: 6 })
  })

  it('is told from something else', () => {
    for (const text of ['', 'Usage: ip [OPTIONS]', '[{"dst":', '{}', 'null', '"x"'])
      expect(parseIpNeigh(text)).toBeUndefined()
  })
})

describe('/proc/net/arp', () => {
  it('is read from its flags, which know fewer states', () => {
    const parsed = parseProcNetArp(sample('recorded/proc-net-arp.txt'))
    expect(parsed?.unknownLines).toBe(0)
    expect(lines(parsed)).toEqual([
      '10.88.0.31 eth0 - asking 0x0',
      '10.88.0.30 eth0 - asking 0x0',
      '10.88.0.41 eth0 - asking 0x0',
      '10.88.0.40 eth0 - asking 0x0',
      '10.88.0.20 eth0 00:00:5e:00:01:0a remembered 0x6',
      '10.88.0.23 eth0 52:54:00:00:00:23 reachable 0x2',
      // The kernel asks again; the address that it still shows is the one from before.
      '10.88.0.22 eth0 - asking 0x0',
      '10.88.0.7 eth0 52:54:00:00:00:02 reachable 0x2',
      '10.88.0.24 eth0 52:54:00:00:00:24 reachable 0x2',
      '10.88.0.9 eth0 52:54:00:00:00:02 reachable 0x2',
      '10.88.0.8 eth0 52:54:00:00:00:02 reachable 0x2',
    ])
  })

  it('counts the lines that it does not know, and needs its heading', () => {
    const heading = 'IP address       HW type     Flags       HW address            Mask     Device'
    expect(
      parseProcNetArp(`${heading}\n10.0.0.1 0x1 0x2 52:54:00:00:00:01 * eth0\nrubbish\n10.0.0.2 0x1\n`),
    ).toMatchObject({ entries: [{ address: '10.0.0.1' }], unknownLines: 2 })
    expect(parseProcNetArp(`${heading}\n`)).toEqual({ entries: [], unknownLines: 0 })
    expect(parseProcNetArp('')).toBeUndefined()
    expect(parseProcNetArp('cat: /proc/net/arp: No such file or directory')).toBeUndefined()
  })
})

describe('macOS arp -an', () => {
  it('is read with MAC addresses of one digit, and without those of nobody', () => {
    const parsed = parseArpMacos(sample('documented/arp-macos.txt'))
    expect(parsed.unknownLines).toBe(0)
    expect(lines(parsed)).toEqual([
      '10.88.0.1 en0 52:54:00:00:00:01 remembered permanent',
      '10.88.0.7 en0 00:1c:42:00:00:08 reachable complete',
      '10.88.0.8 en0 a4:83:e7:1b:2c:3d reachable complete',
      '10.88.0.30 en0 - asking incomplete',
      '10.88.0.31 en0 - asking incomplete',
      '10.88.0.40 en0 00:00:5e:00:01:0a reachable complete',
      '10.88.0.255 en0 - reachable complete',
      '10.88.0.7 bridge100 02:42:ac:11:00:02 reachable complete',
      '224.0.0.251 en0 - remembered permanent',
    ])
  })

  it('counts other lines', () => {
    expect(
      parseArpMacos(
        [
          '? (10.0.0.1) at 0:1c:42:0:0:8 on en0 ifscope [ethernet]',
          'arp: writing to routing socket: not in table',
          '? (10.0.0.300) at 0:1c:42:0:0:8 on en0',
          '? (10.0.0.2) at <incomplete> on eth0',
          '',
        ].join('\n'),
      ),
    ).toMatchObject({ entries: [{ address: '10.0.0.1' }], unknownLines: 3 })
  })
})

describe('Windows arp -a', () => {
  it('is read whatever the language of its words', () => {
    const english = parseArpWindows(sample('documented/arp-windows.txt'))
    expect(english.unknownLines).toBe(0)
    expect(lines(english)).toEqual([
      '10.88.0.7 - 00:1c:42:00:00:08 reachable dynamic',
      '10.88.0.8 - 52:54:00:00:00:02 reachable dynamic',
      '10.88.0.20 - 00:00:5e:00:01:0a remembered static',
      '10.88.0.255 - - remembered static',
      '224.0.0.22 - - remembered static',
      '255.255.255.255 - - remembered static',
      '192.168.56.255 - - remembered static',
    ])
    const german = parseArpWindows(sample('documented/arp-windows-german.txt'))
    expect(german.unknownLines).toBe(0)
    expect(lines(german)).toEqual([
      '10.88.0.7 - 00:1c:42:00:00:08 reachable dynamisch',
      '10.88.0.20 - 00:00:5e:00:01:0a remembered statisch',
    ])
  })

  it('does not take an unknown word for an answer, and counts other lines', () => {
    const parsed = parseArpWindows(
      [
        'インターフェイス: 10.0.0.1 --- 0x5',
        '  インターネット アドレス 物理アドレス           種類',
        '  10.0.0.7              00-1c-42-00-00-08     動的',
        '  10.0.0.8              00-00-00-00-00-00     invalid',
        'No ARP Entries Found.',
      ].join('\r\n'),
    )
    expect(lines(parsed)).toEqual(['10.0.0.7 - 00:1c:42:00:00:08 remembered 動的'])
    expect(parsed.unknownLines).toBe(2)
  })
})

describe('Get-NetNeighbor | ConvertTo-Json', () => {
  it('is read with states as numbers', () => {
    const parsed = parseGetNetNeighbor(sample('documented/get-netneighbor.txt'))
    expect(parsed?.unknownLines).toBe(0)
    expect(lines(parsed)).toEqual([
      '255.255.255.255 Ethernet - remembered Permanent',
      '224.0.0.22 Ethernet - remembered Permanent',
      '10.88.0.255 Ethernet - remembered Permanent',
      '10.88.0.7 Ethernet 00:1c:42:00:00:08 reachable Reachable',
      '10.88.0.8 Ethernet 52:54:00:00:00:02 remembered Stale',
      '10.88.0.9 Ethernet 52:54:00:00:00:02 remembered Delay',
      '10.88.0.10 Ethernet 52:54:00:00:00:02 remembered Probe',
      '10.88.0.40 Ethernet - asking Incomplete',
      '10.88.0.30 Ethernet - failed Unreachable',
      '10.88.0.7 vEthernet (Default Switch) 00:15:5d:01:02:03 remembered Stale',
    ])
  })

  it('is read with states as words', () => {
    expect(lines(parseGetNetNeighbor(sample('documented/get-netneighbor-text.txt')))).toEqual([
      '10.88.0.7 Ethernet 00:1c:42:00:00:08 reachable Reachable',
      '10.88.0.8 Ethernet 52:54:00:00:00:02 remembered Stale',
      '10.88.0.30 Ethernet - failed Unreachable',
      '10.88.0.40 Ethernet - asking Incomplete',
    ])
  })

  it('may be a single entry, a wrapped list, or empty', () => {
    const entry = { IPAddress: '10.0.0.7', LinkLayerAddress: null, State: 5, CimClass: { x: 1 } }
    expect(lines(parseGetNetNeighbor(`\uFEFF${JSON.stringify(entry)}`))).toEqual([
      '10.0.0.7 - - reachable Reachable',
    ])
    expect(lines(parseGetNetNeighbor(JSON.stringify({ value: [entry], Count: 1 })))).toHaveLength(1)
    expect(parseGetNetNeighbor('[]')).toEqual({ entries: [], unknownLines: 0 })
  })

  it('leaves out and counts what it does not know', () => {
    expect(
      parseGetNetNeighbor(
        JSON.stringify([
          { IPAddress: '10.0.0.7', State: 7 },
          { IPAddress: '10.0.0.7', State: -1 },
          { IPAddress: '10.0.0.7', State: 'Lost' },
          { IPAddress: 'fe80::1', State: 5 },
          { State: 5 },
          null,
        ]),
      ),
    ).toEqual({ entries: [], unknownLines: 6 })
  })

  it('is told from something else', () => {
    for (const text of ['', 'Get-NetNeighbor : The term is not recognized', '{"x":1}', 'null', '5'])
      expect(parseGetNetNeighbor(text)).toBeUndefined()
  })
})

const parsers = [parseIpNeigh, parseProcNetArp, parseArpMacos, parseArpWindows, parseGetNetNeighbor]
const samples = [
  'recorded/ip-neigh.txt',
  'recorded/proc-net-arp.txt',
  'documented/arp-macos.txt',
  'documented/arp-windows.txt',
  'documented/get-netneighbor.txt',
].map(sample)

/** Real outputs, cut, joined and with something foreign in the middle. */
const damaged = fc
  .tuple(
    fc.constantFrom(...samples),
    fc.nat(2000),
    fc.nat(200),
    fc.oneof(fc.string(), fc.string({ unit: 'binary' })),
  )
  .map(([text, at, length, foreign]) => text.slice(0, at) + foreign + text.slice(at + length))

describe('every parser, on any text', () => {
  it('never throws, and never gives an address or a MAC address that is none', () => {
    fc.assert(
      fc.property(fc.constantFrom(...parsers), fc.oneof(damaged, fc.string(), fc.json()), (parse, text) => {
        for (const { address, mac } of parse(text)?.entries ?? []) {
          expect(address).toMatch(/^(\d{1,3}\.){3}\d{1,3}$/)
          if (mac !== undefined) expect(mac).toMatch(/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('understands or counts every line that is not empty', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(...samples.flatMap((text) => text.split('\n'))), fc.string())),
        (all) => {
          const text = all.map((line) => line.replace(/[\r\n]/g, ' ')).join('\n')
          const count = text.split('\n').filter((line) => line.trim() !== '').length
          const { entries, unknownLines } = parseArpMacos(text)
          expect(entries.length + unknownLines).toBe(count)
        },
      ),
    )
  })
})

describe('a MAC address', () => {
  it('has one form, whoever wrote it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 6, maxLength: 6 }),
        fc.constantFrom(':', '-'),
        fc.boolean(),
        (numbers, separator, isShort) => {
          const text = numbers.map((n) =>
            isShort ? n.toString(16) : n.toString(16).padStart(2, '0').toUpperCase(),
          )
          const expected = numbers.map((n) => n.toString(16).padStart(2, '0')).join(':')
          const isOfAMachine = (numbers[0] ?? 0) % 2 === 0 && numbers.some((n) => n > 0)
          expect(normaliseMac(text.join(separator))).toBe(isOfAMachine ? expected : undefined)
        },
      ),
    )
  })

  it.each([
    '',
    '(incomplete)',
    '52:54:00:00:00',
    '52:54:00:00:00:00:01',
    '52:54:00:00:00:0g',
    '525400000001',
    '80:00:00:48:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0e:7b:e1',
  ])('is not %j', (text) => {
    expect(normaliseMac(text)).toBeUndefined()
  })
})
