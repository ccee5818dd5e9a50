import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  parseAddresses,
  parseLease,
  parseLinks,
  parseResolvConf,
  parseResolvectlDns,
  parseResolvectlDomain,
  parseRoutes,
} from './parse-network.ts'

describe('links', () => {
  it('have their kind, their parts and their errors', () => {
    const text = JSON.stringify([
      {},
      {
        ifname: 'eth0',
        flags: ['BROADCAST', 'UP'],
        master: 'bond0',
        permaddr: '52:54:00:AA:00:07',
        max_mtu: 9000,
        linkinfo: { info_slave_kind: 'bond' },
        stats64: { rx: { errors: 3, dropped: 2 }, tx: { errors: 1, dropped: 0 } },
      },
      { ifname: 'bond0.100', link: 'bond0', flags: [], max_mtu: 0, linkinfo: { info_kind: 'vlan', info_data: { protocol: '802.1Q', id: 100 } } }, // prettier-ignore
      { ifname: 'bond0', flags: ['UP'], linkinfo: { info_kind: 'bond', info_data: { mode: 'balance-rr', arp_validate: null } } }, // prettier-ignore
      { ifname: 'vxlan1', flags: ['UP'], linkinfo: { info_kind: 'vxlan', info_data: { id: 5 } } },
    ])
    const links = parseLinks(text)
    expect([...(links?.keys() ?? [])]).toEqual(['eth0', 'bond0.100', 'bond0', 'vxlan1'])
    expect(links?.get('eth0')).toEqual({
      isUp: true,
      kind: undefined,
      vlanId: undefined,
      master: 'bond0',
      parent: undefined,
      permanentMac: '52:54:00:aa:00:07',
      maxMtu: 9000,
      receiveErrors: 3,
      transmitErrors: 1,
      receiveDropped: 2,
      transmitDropped: 0,
    })
    expect(links?.get('bond0.100')).toMatchObject({ kind: 'vlan', vlanId: 100, parent: 'bond0', isUp: false, maxMtu: undefined }) // prettier-ignore
    expect(links?.get('vxlan1')).toMatchObject({ kind: 'vxlan', vlanId: undefined, receiveErrors: undefined })
  })

  it.each(['', '[', '{}', '[{"ifname": 5}]', 'Option "-j" is unknown, try "ip -help".'])(
    'are unread in %j',
    (text) => {
      expect(parseLinks(text)).toBeUndefined()
    },
  )
})

describe('addresses', () => {
  it('have a prefix, and an end when they are borrowed', () => {
    const text = JSON.stringify([
      {
        ifname: 'eth0',
        addr_info: [
          { family: 'inet', local: '10.0.2.15', prefixlen: 24, scope: 'global', dynamic: true, valid_life_time: 86_000 }, // prettier-ignore
          { family: 'inet', local: '10.0.2.16', prefixlen: 24, scope: 'global', valid_life_time: 4_294_967_295 }, // prettier-ignore
          { family: 'inet6', local: 'fe80::1', prefixlen: 64, scope: 'link' },
          { family: 'mpls' },
        ],
      },
      { ifname: 'eth1', addr_info: [] },
      {},
    ])
    expect(parseAddresses(text)?.get('eth0')).toEqual([
      { family: 'inet', address: '10.0.2.15', prefix: 24, scope: 'global', isDynamic: true, validForMs: 86_000_000 }, // prettier-ignore
      { family: 'inet', address: '10.0.2.16', prefix: 24, scope: 'global', isDynamic: false, validForMs: undefined }, // prettier-ignore
      {
        family: 'inet6',
        address: 'fe80::1',
        prefix: 64,
        scope: 'link',
        isDynamic: false,
        validForMs: undefined,
      },
    ])
    expect(parseAddresses(text)?.get('eth1')).toEqual([])
  })

  it('are read from the lines of BusyBox', () => {
    const text =
      '1: lo    inet 127.0.0.1/8 scope host lo\n' +
      '2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global dynamic eth0\n'
    expect(parseAddresses(text)?.get('eth0')).toEqual([
      { family: 'inet', address: '10.0.2.15', prefix: 24, scope: 'global', isDynamic: true, validForMs: undefined }, // prettier-ignore
    ])
  })

  it.each(['', 'ip: invalid option -- j\n', '2: eth0    inet what/24\n', '{"a":1}'])(
    'are unread in %j',
    (text) => {
      expect(parseAddresses(text)).toBeUndefined()
    },
  )
})

describe('routes', () => {
  it('are those to somewhere, of all tables', () => {
    const text = JSON.stringify([
      { dst: 'default', gateway: '10.0.2.2', dev: 'eth0', protocol: 'dhcp', metric: 100, flags: [] },
      { dst: '10.0.2.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', prefsrc: '10.0.2.15', flags: [] },
      { dst: '10.9.9.9', gateway: '10.0.2.2', dev: 'eth0', flags: [] },
      { type: 'blackhole', dst: '10.244.0.0/16', flags: [] },
      { type: 'local', dst: '10.0.2.15', dev: 'eth0', table: 'local', flags: [] },
      { dst: '10.7.0.0/16', nexthops: [{ gateway: '10.0.2.3', dev: 'eth0' }, { via: { family: 'inet6', host: 'fe80::1' }, dev: 'eth1' }], flags: [] }, // prettier-ignore
      { dst: '10.8.0.0/16', dev: 'eth1', table: 100, flags: [] },
    ])
    expect(
      parseRoutes(text)?.map((route) => [
        route.destination,
        route.gateway,
        route.interface,
        route.type,
        route.table,
      ]),
    ).toEqual([
      // prettier-ignore
      ['0.0.0.0/0', '10.0.2.2', 'eth0', 'unicast', 'main'],
      ['10.0.2.0/24', undefined, 'eth0', 'unicast', 'main'],
      ['10.9.9.9/32', '10.0.2.2', 'eth0', 'unicast', 'main'],
      ['10.244.0.0/16', undefined, undefined, 'blackhole', 'main'],
      ['10.7.0.0/16', '10.0.2.3', 'eth0', 'unicast', 'main'],
      ['10.7.0.0/16', 'fe80::1', 'eth1', 'unicast', 'main'],
      ['10.8.0.0/16', undefined, 'eth1', 'unicast', '100'],
    ])
  })

  it('are read from the text of ip', () => {
    const text =
      'default via 10.0.2.2 dev eth0  metric 100 \n10.0.2.0/24 dev eth0 scope link  src 10.0.2.15 \nblackhole 10.1.0.0/16\n'
    expect(parseRoutes(text)).toMatchObject([
      { destination: '0.0.0.0/0', gateway: '10.0.2.2', interface: 'eth0', metric: 100 },
      { destination: '10.0.2.0/24', interface: 'eth0' },
      { destination: '10.1.0.0/16', type: 'blackhole' },
    ])
  })

  it('are none when ip prints nothing, and unread when one of them cannot be read', () => {
    expect(parseRoutes('')).toEqual([])
    expect(parseRoutes('[]')).toEqual([])
    expect(parseRoutes('[{"dst":"10.0.0.0/40"}]')).toBeUndefined()
    expect(parseRoutes('[{"gateway":"10.0.0.1"}]')).toBeUndefined()
    expect(parseRoutes('Cannot open netlink socket\n')).toBeUndefined()
    expect(parseRoutes('{}')).toBeUndefined()
  })

  it('of any text are undefined or destinations that stand in it', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        for (const { destination } of parseRoutes(text) ?? []) {
          const [address = ''] = destination.split('/')
          expect(destination === '0.0.0.0/0' ? text.includes('default') || text.includes('0.0.0.0') : text.includes(address.split('.')[0] ?? '')).toBe(true) // prettier-ignore
        }
      }),
    )
  })
})

describe('the resolver', () => {
  it('has servers and domains', () => {
    const text = [
      '# This is /run/systemd/resolve/stub-resolv.conf',
      'nameserver 127.0.0.53',
      'nameserver 10.0.0.1 # first',
      'nameserver fe80::1%eth0',
      'nameserver not-an-address',
      'options edns0 trust-ad',
      'search old.example',
      'search example.org lab.example .',
    ].join('\n')
    expect(parseResolvConf(text)).toEqual({
      servers: ['127.0.0.53', '10.0.0.1', 'fe80::1%eth0'],
      searchDomains: ['example.org', 'lab.example'],
    })
  })

  it('by links tells the same', () => {
    expect(
      parseResolvectlDns('Global: 10.0.0.1:53#dns.example\nLink 2 (eth0): 10.0.2.3 fec0::3 10.0.0.1\nLink 3 (eth1):\n'), // prettier-ignore
    ).toEqual(['10.0.0.1', '10.0.2.3', 'fec0::3'])
    expect(parseResolvectlDomain('Global:\nLink 2 (eth0): example.org ~.\n')).toEqual(['example.org'])
    expect(parseResolvectlDns('Failed to get global data\n')).toEqual([])
  })
})

describe('a lease', () => {
  it('of older versions has seconds', () => {
    const text =
      '# This is private data. Do not parse.\nADDRESS=10.0.2.15\nNETMASK=255.255.255.0\nROUTER=10.0.2.2\n' +
      'SERVER_ADDRESS=10.0.2.2\nT1=43200\nT2=75600\nLIFETIME=86400\nDNS=10.0.2.3 10.0.2.4\nNTP=10.0.2.5\n'
    expect(parseLease(text)).toEqual({
      address: '10.0.2.15',
      server: '10.0.2.2',
      routers: ['10.0.2.2'],
      dnsServers: ['10.0.2.3', '10.0.2.4'],
      ntpServers: ['10.0.2.5'],
      lifetimeMs: 86_400_000,
    })
  })

  it.each([
    ['1d', 86_400_000],
    ['12h', 43_200_000],
    ['1w 2d 3h 4min 5s', (604_800 + 172_800 + 10_800 + 240 + 5) * 1000],
    ['600', 600_000],
    ['infinity', Infinity],
    ['4294967295', Infinity],
    ['soon', undefined],
    ['-5', undefined],
    ['', undefined],
  ])('of newer versions has time spans: %j', (span, expected) => {
    expect(parseLease(`ADDRESS=10.0.0.5\nLIFETIME=${span}\n`)?.lifetimeMs).toBe(expected)
  })

  it('of the newest versions is JSON', () => {
    const text = JSON.stringify({
      Address: '10.0.2.15',
      Router: ['10.0.2.2'],
      Server_Address: '10.0.2.2',
      Lifetime: '1d',
      Servers: { DNS: ['10.0.2.3'], NTP: ['10.0.2.5'] },
    })
    expect(parseLease(text)).toEqual({
      address: '10.0.2.15',
      server: '10.0.2.2',
      routers: ['10.0.2.2'],
      dnsServers: ['10.0.2.3'],
      ntpServers: ['10.0.2.5'],
      lifetimeMs: 86_400_000,
    })
  })

  it('of nothing is unread', () => {
    expect(parseLease('')).toBeUndefined()
    expect(parseLease('# This is private data. Do not parse.\n')).toBeUndefined()
    expect(parseLease('{"Hostname": "x"}')).toBeUndefined()
  })
})

it('no parser of the network throws on any text', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), fc.string({ unit: 'binary' })), (text) => {
      for (const parse of [
        parseLinks,
        parseAddresses,
        parseRoutes,
        parseResolvConf,
        parseLease,
        parseResolvectlDns,
      ]) {
        expect(() => parse(text)).not.toThrow()
      }
    }),
  )
})
