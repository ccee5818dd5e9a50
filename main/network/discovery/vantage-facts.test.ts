import type { NetworkInterfaceInfo } from 'node:os'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { containsAddress, formatAddress, parseNetwork } from '../../../shared/plan/ipv4.ts'
import type { ProgramResult, ProgramRunner } from '../programs/program-runner.ts'
import { attachmentOf, readVantageFacts, routeCheck, workstationFacts } from './vantage-facts.ts'
import {
  gatewaysOfIpRoute,
  gatewaysOfNetstat,
  gatewaysOfProcRoute,
  gatewaysOfRoutePrint,
  interfacesOfIpAddr,
  nameServersOfResolvConf,
  nameServersOfResolvectl,
  routeOfIpRouteGet,
} from './vantage-output.ts'
import type { VantageFacts, VantageInterface } from './vantage.ts'

/** iproute2 6.1, recorded: up with a second address, switched off, without a cable, a tunnel. */
const ipAddr = JSON.stringify([
  {},
  {
    ifindex: 1,
    ifname: 'lo',
    flags: ['LOOPBACK', 'UP', 'LOWER_UP'],
    mtu: 65536,
    qdisc: 'noqueue',
    operstate: 'UNKNOWN',
    group: 'default',
    txqlen: 1000,
    link_type: 'loopback',
    address: '00:00:00:00:00:00',
    broadcast: '00:00:00:00:00:00',
    addr_info: [
      { family: 'inet', local: '127.0.0.1', prefixlen: 8, scope: 'host', label: 'lo' },
      { family: 'inet6', local: '::1', prefixlen: 128, scope: 'host' },
    ],
  },
  {
    ifindex: 3,
    link: 'p0',
    ifname: 'eth0',
    flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
    operstate: 'UP',
    link_type: 'ether',
    address: '82:a8:2f:42:7f:14',
    broadcast: 'ff:ff:ff:ff:ff:ff',
    addr_info: [
      { family: 'inet', local: '10.10.200.11', prefixlen: 24, scope: 'global', label: 'eth0' },
      {
        family: 'inet',
        local: '10.10.200.50',
        prefixlen: 32,
        scope: 'global',
        deprecated: true,
        dynamic: true,
        label: 'eth0',
        valid_life_time: 20,
        preferred_life_time: 0,
      },
      { family: 'inet6', local: 'fe80::80a8:2fff:fe42:7f14', prefixlen: 64, scope: 'link', tentative: true },
    ],
  },
  {
    ifindex: 5,
    link: 'p1',
    ifname: 'eth1',
    flags: ['BROADCAST', 'MULTICAST', 'M-DOWN'],
    operstate: 'DOWN',
    link_type: 'ether',
    address: '12:1b:db:c6:88:37',
    addr_info: [{ family: 'inet', local: '10.20.0.1', prefixlen: 16, scope: 'global', label: 'eth1' }],
  },
  {
    ifindex: 7,
    link: 'p2',
    ifname: 'eth2',
    flags: ['NO-CARRIER', 'BROADCAST', 'MULTICAST', 'UP', 'M-DOWN'],
    operstate: 'LOWERLAYERDOWN',
    link_type: 'ether',
    address: 'd6:60:81:c9:b3:da',
    addr_info: [{ family: 'inet', local: '10.30.0.1', prefixlen: 24, scope: 'global', label: 'eth2' }],
  },
  {
    ifindex: 8,
    ifname: 'tun0',
    flags: ['POINTOPOINT', 'MULTICAST', 'NOARP', 'UP', 'LOWER_UP'],
    operstate: 'UNKNOWN',
    link_type: 'none',
    addr_info: [
      {
        family: 'inet',
        local: '10.8.0.2',
        address: '10.8.0.1',
        prefixlen: 32,
        scope: 'global',
        label: 'tun0',
      },
    ],
  },
  {
    ifindex: 9,
    ifname: 'dummy0',
    flags: ['BROADCAST', 'NOARP', 'UP', 'LOWER_UP'],
    operstate: 'UNKNOWN',
    link_type: 'ether',
    address: '46:63:c8:c5:a7:e9',
    addr_info: [{ family: 'inet', local: '10.40.0.1', prefixlen: 24, scope: 'global', label: 'dummy0' }],
  },
])

const ipRoute =
  '[{"dst":"default","flags":[],"nexthops":[{"gateway":"10.10.200.1","dev":"eth0","weight":1,"flags":[]},{"gateway":"10.10.200.2","dev":"eth0","weight":1,"flags":[]}]},{"dst":"10.8.0.1","dev":"tun0","protocol":"kernel","scope":"link","prefsrc":"10.8.0.2","flags":["linkdown"]},{"dst":"10.10.200.0/24","dev":"eth0","protocol":"kernel","scope":"link","prefsrc":"10.10.200.11","flags":[]},{"dst":"10.10.200.128/25","gateway":"10.10.200.3","dev":"eth0","flags":[]},{"type":"blackhole","dst":"10.98.0.0/16","flags":[]},{"dst":"10.99.0.0/16","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0","flags":[]}]'

const procRoute = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
tun0\t0100080A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
eth0\t00C80A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t80C80A0A\t01C80A0A\t0003\t0\t0\t0\t80FFFFFF\t0\t0\t0
*\t0000620A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
`

/** The form of netstat(1) on macOS. */
const netstat = `Routing tables

Internet:
Destination        Gateway            Flags               Netif Expire
default            192.168.1.1        UGScg                 en0
10.20/16           192.168.1.254      UGSc                  en0
127                127.0.0.1          UCS                   lo0
127.0.0.1          127.0.0.1          UH                    lo0
169.254            link#11            UCS                   en0      !
192.168.1          link#11            UCS                   en0      !
192.168.1.1        a4:91:b1:8:2:c     UHLWIir               en0   1180
224.0.0/4          link#11            UmCS                  en0      !
`

/** The form of Windows, in German: no heading and no "On-link" to go by. */
const routePrint = [
  '===========================================================================',
  'Schnittstellenliste',
  ' 12...00 0c 29 3e 11 5b ......Intel(R) 82574L Gigabit Network Connection',
  '  1...........................Software Loopback Interface 1',
  '===========================================================================',
  '',
  'IPv4-Routentabelle',
  '===========================================================================',
  'Aktive Routen:',
  '     Netzwerkziel    Netzwerkmaske          Gateway    Schnittstelle Metrik',
  '          0.0.0.0          0.0.0.0      192.168.1.1    192.168.1.50     25',
  '        127.0.0.0        255.0.0.0   Auf Verbindung         127.0.0.1    331',
  '      192.168.1.0    255.255.255.0   Auf Verbindung      192.168.1.50    281',
  '        10.20.0.0      255.255.0.0    192.168.1.254    192.168.1.50     26',
  '===========================================================================',
  'Ständige Routen:',
  '  Netzwerkadresse          Netzmaske  Gatewayadresse  Metrik',
  '          10.30.0.0      255.255.0.0    192.168.1.253       1',
  '===========================================================================',
].join('\r\n')

describe('what the operating systems print', () => {
  it('iproute2: interfaces with their addresses; up needs a switch and a cable, ARP needs a MAC', () => {
    expect(interfacesOfIpAddr(ipAddr)).toEqual([
      { name: 'lo', isUp: true, mac: undefined, addresses: [{ address: '127.0.0.1', prefix: 8 }] },
      {
        name: 'eth0',
        isUp: true,
        mac: '82:a8:2f:42:7f:14',
        addresses: [
          { address: '10.10.200.11', prefix: 24 },
          { address: '10.10.200.50', prefix: 32 },
        ],
      },
      {
        name: 'eth1',
        isUp: false,
        mac: '12:1b:db:c6:88:37',
        addresses: [{ address: '10.20.0.1', prefix: 16 }],
      },
      {
        name: 'eth2',
        isUp: false,
        mac: 'd6:60:81:c9:b3:da',
        addresses: [{ address: '10.30.0.1', prefix: 24 }],
      },
      { name: 'tun0', isUp: true, mac: undefined, addresses: [{ address: '10.8.0.2', prefix: 32 }] },
      { name: 'dummy0', isUp: true, mac: undefined, addresses: [{ address: '10.40.0.1', prefix: 24 }] },
    ])
  })

  it('gateways of all four, multipath and more specific routes included, nothing that is no gateway', () => {
    expect(gatewaysOfIpRoute(ipRoute)).toEqual(['10.10.200.1', '10.10.200.2', '10.10.200.3'])
    expect(gatewaysOfIpRoute('[]')).toEqual([])
    expect(gatewaysOfIpRoute('')).toEqual([])
    expect(gatewaysOfProcRoute(procRoute)).toEqual(['10.10.200.1'])
    expect(gatewaysOfNetstat(netstat)).toEqual(['192.168.1.1', '192.168.1.254'])
    expect(gatewaysOfRoutePrint(routePrint)).toEqual(['192.168.1.1', '192.168.1.254', '192.168.1.253'])
  })

  it('name servers, also behind systemd-resolved', () => {
    expect(
      nameServersOfResolvConf(
        '# made\n;x\nsearch example.org\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver\t10.0.0.2 # two\noptions edns0\n',
      ),
    ).toEqual(['10.0.0.1', '10.0.0.2'])
    expect(
      nameServersOfResolvectl(
        'Global:\nLink 2 (ens160): 10.0.2.3 fd00::3 10.0.2.4:53#dns.example.org\nLink 3 (a: b): 10.0.3.3\n',
      ),
    ).toEqual(['10.0.2.3', '10.0.2.4', '10.0.3.3'])
  })

  it('rubbish is told from "there is none"', () => {
    for (const text of [
      '',
      'Error: Unknown device type.',
      '{"dst":',
      '[{"ifname":7}]',
      '\u0000'.repeat(99),
    ]) {
      expect(interfacesOfIpAddr(text)).toBeUndefined()
      expect(gatewaysOfNetstat(text)).toBeUndefined()
      expect(gatewaysOfRoutePrint(text)).toBeUndefined()
      expect(gatewaysOfProcRoute(text)).toBeUndefined()
      expect(routeOfIpRouteGet({ exitCode: 0, stdout: text, stderr: '' }).kind).toBe('unknown')
    }
    expect(gatewaysOfIpRoute('Error')).toBeUndefined()
  })

  it('no text makes a parser fail', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (text) => {
        for (const parse of [
          interfacesOfIpAddr,
          gatewaysOfIpRoute,
          gatewaysOfNetstat,
          gatewaysOfRoutePrint,
          gatewaysOfProcRoute,
          nameServersOfResolvConf,
          nameServersOfResolvectl,
        ]) {
          parse(text)
        }
        routeOfIpRouteGet({ exitCode: 0, stdout: text, stderr: text })
      }),
    )
  })

  it('whatever interfaces there are, all of them are read back', () => {
    const address = fc.record({
      address: fc.nat({ max: 2 ** 32 - 1 }).map(formatAddress),
      prefix: fc.nat({ max: 32 }),
    })
    const nic = fc.record({
      name: fc.string({ minLength: 1, maxLength: 15 }),
      isUp: fc.boolean(),
      mac: fc
        .uint8Array({ minLength: 6, maxLength: 6 })
        .filter((octets) => octets.some((octet) => octet !== 0))
        .map((octets) => Array.from(octets, (octet) => octet.toString(16).padStart(2, '0')).join(':')),
      addresses: fc.array(address, { maxLength: 3 }),
    })
    fc.assert(
      fc.property(fc.array(nic, { maxLength: 5 }), (interfaces) => {
        const printed = interfaces.map(({ name, isUp, mac, addresses }) => ({
          ifname: name,
          flags: isUp ? ['UP', 'LOWER_UP'] : ['UP', 'NO-CARRIER'],
          operstate: isUp ? 'UP' : 'DOWN',
          link_type: 'ether',
          address: mac.toUpperCase(),
          addr_info: addresses.map((one) => ({
            family: 'inet',
            local: one.address,
            prefixlen: one.prefix,
          })),
        }))
        expect(interfacesOfIpAddr(JSON.stringify(printed))).toEqual(interfaces)
      }),
    )
  })
})

/** A place whose programs print what is given, keyed by command line; others are missing. */
function runnerOf(
  answers: Record<string, string | ProgramResult>,
  platform: NodeJS.Platform = 'linux',
): ProgramRunner {
  return {
    place: 'n1',
    platform,
    run: (program, args) => {
      const answer = answers[[program, ...args].join(' ')] ?? { kind: 'missing' }
      return Promise.resolve(
        typeof answer === 'string' ? { kind: 'ended', exitCode: 0, stdout: answer, stderr: '' } : answer,
      )
    },
  }
}

const ended = (exitCode: number, stderr: string): ProgramResult => ({
  kind: 'ended',
  exitCode,
  stdout: '',
  stderr,
})
const { signal } = new AbortController()

describe('facts of a vantage', () => {
  it('of a Linux place', async () => {
    const facts = await readVantageFacts(
      runnerOf({
        'ip -j addr': ipAddr,
        'ip -j route': ipRoute,
        'cat /etc/resolv.conf': 'nameserver 127.0.0.53\n',
        'resolvectl dns': 'Link 3 (eth0): 10.10.200.4\n',
      }),
      signal,
    )
    expect(facts.interfaces.map(({ name }) => name)).toEqual(['lo', 'eth0', 'eth1', 'eth2', 'tun0', 'dummy0'])
    expect(facts.gateways).toEqual(['10.10.200.1', '10.10.200.2', '10.10.200.3'])
    expect(facts.nameServers).toEqual(['10.10.200.4'])
  })

  it('without resolvectl: the file behind systemd-resolved', async () => {
    const facts = await readVantageFacts(
      runnerOf({
        'ip -j addr': ipAddr,
        'ip -j route': '[]',
        'cat /etc/resolv.conf': 'nameserver 127.0.0.53\n',
        'cat /run/systemd/resolve/resolv.conf': 'nameserver 10.10.200.5\n',
      }),
      signal,
    )
    expect(facts.nameServers).toEqual(['10.10.200.5'])
  })

  it('that cannot be read are an error with the way out, not an empty list', async () => {
    await expect(readVantageFacts(runnerOf({}), signal)).rejects.toMatchObject({
      code: 'VANTAGE_UNREADABLE',
      detail: expect.stringContaining('no program ip') as string,
    })
    await expect(
      readVantageFacts(runnerOf({ 'ip -j addr': ended(1, 'ip: unrecognized option j') }), signal),
    ).rejects.toMatchObject({ detail: expect.stringContaining('unrecognized option') as string })
    await expect(
      readVantageFacts(runnerOf({ 'ip -j addr': ipAddr, 'ip -j route': ended(1, 'no') }), signal),
    ).rejects.toMatchObject({ code: 'VANTAGE_UNREADABLE' })
  })

  const nic: NetworkInterfaceInfo = {
    address: '192.168.1.50',
    netmask: '255.255.255.0',
    family: 'IPv4',
    mac: '00:0C:29:3E:11:5B',
    internal: false,
    cidr: '192.168.1.50/24',
  }
  const system = {
    networkInterfaces: () => ({ en0: [nic], none: undefined }),
    nameServers: () => ['192.168.1.4', '127.0.0.1', '192.168.1.5:5353', 'fe80::1', '[fe80::2]:53'],
  }

  it('of a workstation with macOS, Windows, or Linux without ip', async () => {
    const expected = {
      interfaces: [
        {
          name: 'en0',
          isUp: true,
          mac: '00:0c:29:3e:11:5b',
          addresses: [{ address: '192.168.1.50', prefix: 24 }],
        },
        { name: 'none', isUp: true, mac: undefined, addresses: [] },
      ],
      nameServers: ['192.168.1.4', '192.168.1.5'],
    }
    const mac = runnerOf({ 'netstat -rn -f inet': netstat }, 'darwin')
    expect(await workstationFacts(mac, signal, system)).toEqual({
      ...expected,
      gateways: ['192.168.1.1', '192.168.1.254'],
    })
    const windows = runnerOf({ 'route print -4': routePrint }, 'win32')
    expect((await workstationFacts(windows, signal, system)).gateways).toHaveLength(3)
    const small = runnerOf({ 'cat /proc/net/route': procRoute }, 'linux')
    expect(await workstationFacts(small, signal, system)).toMatchObject({ gateways: ['10.10.200.1'] })
    await expect(workstationFacts(runnerOf({}, 'win32'), signal, system)).rejects.toMatchObject({
      code: 'VANTAGE_UNREADABLE',
      detail: expect.stringContaining('route print -4') as string,
    })
  })

  it('of a workstation with Linux come from ip, which also knows what is down', async () => {
    const facts = await workstationFacts(
      runnerOf({ 'ip -j addr': ipAddr, 'ip -j route': ipRoute }),
      signal,
      system,
    )
    expect(facts.interfaces.find(({ name }) => name === 'eth1')?.isUp).toBe(false)
  })
})

describe('the route to an address', () => {
  const check = (answer: ProgramResult | string) =>
    routeCheck(runnerOf({ 'ip -j route get 10.10.200.130': answer }), '10.10.200.130', signal)

  it('is direct, through a gateway, the own address, or none', async () => {
    expect(
      await check(
        '[{"dst":"10.10.200.130","dev":"eth0","prefsrc":"10.10.200.11","flags":[],"uid":0,"cache":[]}]',
      ),
    ).toEqual({ kind: 'direct', interface: 'eth0' })
    expect(
      await check('[{"dst":"10.10.200.130","gateway":"10.10.200.1","dev":"eth0","flags":[],"cache":[]}]'),
    ).toEqual({ kind: 'gateway', gateway: '10.10.200.1', interface: 'eth0' })
    expect(
      await check('[{"type":"local","dst":"10.10.200.130","dev":"lo","flags":[],"cache":["local"]}]'),
    ).toEqual({ kind: 'own' })
    expect(
      await check('[{"type":"broadcast","dst":"10.10.200.130","dev":"eth0","flags":[],"cache":[]}]'),
    ).toMatchObject({ kind: 'none' })
    expect(await check(ended(2, 'RTNETLINK answers: Network is unreachable\n'))).toEqual({
      kind: 'none',
      reason: 'RTNETLINK answers: Network is unreachable',
    })
  })

  it('is unknown when ip does not say', async () => {
    expect(await check(ended(255, 'Option "-j" is unknown'))).toMatchObject({ kind: 'unknown' })
    expect(await check({ kind: 'missing' })).toMatchObject({ kind: 'unknown' })
    expect(await check({ kind: 'killed', reason: 'deadline', stdout: '', stderr: '' })).toMatchObject({
      kind: 'unknown',
    })
  })
})

describe('the attachment of a vantage', () => {
  const facts: VantageFacts = {
    interfaces: interfacesOfIpAddr(ipAddr) ?? [],
    gateways: [],
    nameServers: [],
  }
  const range = (text: string) => parseNetwork(text) ?? { first: 0, last: 0 }
  const known = ['lo', 'eth0', 'eth1', 'eth2', 'tun0', 'dummy0']
  const eth0 = { interface: 'eth0', address: '10.10.200.11', prefix: 24 }

  it('is the interface whose network holds the range, or a part of it', () => {
    expect(attachmentOf(facts, range('10.10.200.0/24'))).toEqual({ kind: 'attached', ...eth0 })
    expect(attachmentOf(facts, range('10.10.200.64/28'), 'eth0')).toEqual({ kind: 'attached', ...eth0 })
    expect(attachmentOf(facts, range('10.10.200.0/23'))).toEqual({ kind: 'partly', ...eth0 })
  })

  it('is none for other networks, tunnels, loopback, interfaces without ARP or without a cable', () => {
    for (const text of [
      '10.11.0.0/24',
      '127.0.0.0/8',
      '10.8.0.0/24',
      '10.20.0.0/24',
      '10.30.0.0/24',
      '10.40.0.0/24',
    ]) {
      expect(attachmentOf(facts, range(text))).toEqual({ kind: 'not-attached' })
    }
  })

  it('tells an interface that is down from one that is not there', () => {
    expect(attachmentOf(facts, range('10.20.0.0/24'), 'eth1')).toEqual({
      kind: 'interface-down',
      name: 'eth1',
      known,
    })
    expect(attachmentOf(facts, range('10.30.0.0/24'), 'eth2')).toMatchObject({ kind: 'interface-down' })
    expect(attachmentOf(facts, range('10.20.0.0/24'), 'eth9')).toEqual({
      kind: 'no-such-interface',
      name: 'eth9',
      known,
    })
    expect(attachmentOf(facts, range('10.10.200.0/24'), 'lo')).toEqual({ kind: 'not-attached' })
  })

  it('prefers the narrowest network that holds everything', () => {
    const nic = (name: string, address: string, prefix: number): VantageInterface => ({
      name,
      isUp: true,
      mac: '02:00:00:00:00:01',
      addresses: [{ address, prefix }],
    })
    const interfaces = [
      nic('wide', '10.0.0.1', 8),
      nic('narrow', '10.1.0.1', 16),
      nic('part', '10.1.2.1', 24),
    ]
    expect(attachmentOf({ ...facts, interfaces }, range('10.1.2.0/23'))).toMatchObject({
      kind: 'attached',
      interface: 'narrow',
    })
  })

  it('says attached only when every address of the range is in the network of an interface that is up', () => {
    const anyInterface = fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      isUp: fc.boolean(),
      mac: fc.constantFrom('02:00:00:00:00:01', undefined),
      addresses: fc.array(
        fc.record({
          address: fc.nat({ max: 2 ** 12 }).map((number) => formatAddress(0x0a000000 + number)),
          prefix: fc.integer({ min: 20, max: 32 }),
        }),
        { maxLength: 2 },
      ),
    })
    fc.assert(
      fc.property(
        fc.uniqueArray(anyInterface, { selector: ({ name }) => name }),
        fc.nat({ max: 2 ** 12 }),
        fc.nat({ max: 2 ** 10 }),
        (interfaces, start, length) => {
          const wanted = { first: 0x0a000000 + start, last: 0x0a000000 + start + length }
          const found = attachmentOf({ interfaces, gateways: [], nameServers: [] }, wanted)
          const holds = interfaces.some(
            ({ isUp, mac, addresses }) =>
              isUp &&
              mac !== undefined &&
              addresses.some(({ address, prefix }) => {
                const network = parseNetwork(`${address}/${prefix}`)
                return (
                  network !== undefined &&
                  prefix < 32 &&
                  containsAddress(network, wanted.first) &&
                  containsAddress(network, wanted.last)
                )
              }),
          )
          expect(found.kind === 'attached').toBe(holds)
        },
      ),
    )
  })
})
