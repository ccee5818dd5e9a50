import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planSchema, type Plan, type PlanNode } from '../../shared/plan/index.ts'
import { hostConfigurationsSchema, networkInterfacesSchema } from '../appliance/local-api-schemas.ts'
import {
  interfaceDifferences,
  interfaceOf,
  proxyDifferences,
  wantedInterface,
  wantedProxy,
} from './host-settings.ts'

function planOf(node: object = {}, site: object = {}, cluster: object = {}): { plan: Plan; node: PlanNode } {
  const plan = planSchema.parse({
    version: 1,
    site: { name: 'rig-7', network: '10.10.200.0/23', vip: '10.10.200.100', ...site },
    access: { newPassword: { generate: 'node' } },
    nodes: [{ name: 'n1', address: '10.10.200.1', leader: true, ...node }],
    cluster: { name: 'palette', registry: { password: { generate: 'registry' } }, ...cluster },
    console: { email: 'ops@example.com', newPassword: { env: 'CONSOLE_PASSWORD' } },
  })
  const [first] = plan.nodes
  if (first === undefined) throw new TypeError('the plan has a node')
  return { plan, node: first }
}

/** As the agent tells it. */
function nicOf(parts: object) {
  const [nic] = networkInterfacesSchema.parse({ interfaces: [parts] }).interfaces
  if (nic === undefined) throw new TypeError('one interface was told')
  return nic
}

describe('the interface that the plan means', () => {
  const interfaces = [
    nicOf({ name: 'eth0', ip: '192.168.7.1/24' }),
    nicOf({ name: 'eth1', ip: '10.10.200.1/23' }),
    nicOf({ name: 'eth2', ip: '' }),
    nicOf({ name: 'eth3' }),
  ]

  it('is the one of that name', () => {
    const { node } = planOf({ nic: { name: 'eth3' } })
    expect(interfaceOf(node, '10.10.200.1', interfaces)?.name).toBe('eth3')
    expect(interfaceOf(planOf({ nic: { name: 'eth9' } }).node, '10.10.200.1', interfaces)).toBeUndefined()
  })

  it('is, with auto, the one that carries the address at which the node answers now', () => {
    const { node } = planOf()
    expect(interfaceOf(node, '10.10.200.1', interfaces)?.name).toBe('eth1')
    expect(interfaceOf(node, '192.168.7.1', interfaces)?.name).toBe('eth0')
    expect(interfaceOf(node, '10.10.200.10', interfaces)).toBeUndefined()
    expect(interfaceOf(node, '', interfaces)).toBeUndefined()
  })
})

describe('what an interface shall be set to', () => {
  const wanted = (node: object, site: object = {}) => {
    const made = planOf(node, site)
    return wantedInterface(made.plan, made.node)
  }

  it('is nothing when the plan keeps it, whatever name servers the site has', () => {
    expect(wanted({}, { dns: { primary: '10.10.200.2' } })).toBeUndefined()
    expect(wanted({ nic: { mode: 'keep', mtu: 9000 } })).toBeUndefined()
  })

  it('is, with dhcp, only what the plan adds to the lease', () => {
    expect(wanted({ nic: { mode: 'dhcp' } })).toEqual({ type: 'dhcp' })
    expect(
      wanted({ nic: { mode: 'dhcp', mtu: 9000, vlan: 42 } }, { dns: { alternate: '10.10.200.3' } }),
    ).toEqual({
      type: 'dhcp',
      mtu: 9000,
      vlanID: '42',
      nameservers: ['10.10.200.3'],
    })
  })

  it('is, with static, everything: address and mask of the site unless the node has its own', () => {
    expect(wanted({ nic: { mode: 'static' } })).toEqual({
      type: 'static',
      ip: '10.10.200.1',
      subnet: '255.255.254.0',
    })
    const nic = { mode: 'static', address: '10.10.200.77', gateway: '10.10.201.254' }
    const dns = { primary: '10.10.200.2', alternate: '10.10.200.3' }
    expect(wanted({ nic }, { gateway: '10.10.200.1', dns })).toEqual({
      type: 'static',
      ip: '10.10.200.77',
      subnet: '255.255.254.0',
      gateway: '10.10.201.254',
      nameservers: ['10.10.200.2', '10.10.200.3'],
    })
    expect(wanted({ nic: { mode: 'static' } }, { gateway: '10.10.200.1' })?.gateway).toBe('10.10.200.1')
  })

  it.each([
    [24, '255.255.255.0'],
    [8, '255.0.0.0'],
    [31, '255.255.255.254'],
    ['255.255.240.0', '255.255.240.0'],
  ])('has the mask %s as %s', (mask, subnet) => {
    expect(wanted({ nic: { mode: 'static', mask } })?.subnet).toBe(subnet)
  })

  it('has the name servers of the node instead of those of the site', () => {
    const node = { nic: { mode: 'static' }, dns: { primary: '10.1.1.1' } }
    expect(wanted(node, { dns: { primary: '10.10.200.2', alternate: '10.10.200.3' } })?.nameservers).toEqual([
      '10.1.1.1',
    ])
  })
})

describe('differences of an interface', () => {
  const wanted = {
    type: 'static' as const,
    ip: '10.10.200.1',
    subnet: '255.255.255.0',
    gateway: '10.10.200.254',
    nameservers: ['10.10.200.2', '10.10.200.3'],
    mtu: 9000,
    vlanID: '42',
  }
  const same = {
    type: 'static',
    ip: '10.10.200.1',
    gateway: '10.10.200.254',
    nameservers: ['10.10.200.2', '10.10.200.3'],
    mtu: 9000,
    vlanID: 42,
  }

  it.each([
    ['dotted', { subnet: '255.255.255.0' }],
    ['as a prefix length', { subnet: '24' }],
    ['as a prefix length with a slash', { subnet: '/24' }],
    ['behind the address', { ip: '10.10.200.1/24' }],
    ['behind the address, with an empty mask', { ip: '10.10.200.1/24', subnet: '' }],
    ['behind the address and dotted', { ip: '10.10.200.1/24', subnet: '255.255.255.0' }],
  ])('are none when the agent shows the mask %s', (_how, mask) => {
    expect(interfaceDifferences(nicOf({ ...same, ...mask }), wanted)).toEqual([])
  })

  it('are none when the agent writes its words in capitals', () => {
    expect(interfaceDifferences(nicOf({ ...same, subnet: '24', type: 'Static' }), wanted)).toEqual([])
  })

  it('are told one by one, with what is there and what shall be', () => {
    const nic = nicOf({ type: 'dhcp', ip: '10.10.200.9/16', gateway: '', nameservers: null, mtu: 1500 })
    expect(interfaceDifferences(nic, wanted)).toEqual([
      'addressing dhcp → static',
      'address 10.10.200.9 → 10.10.200.1',
      'mask 255.255.0.0 → 255.255.255.0',
      'gateway unset → 10.10.200.254',
      'DNS unset → 10.10.200.2 10.10.200.3',
      'MTU 1500 → 9000',
      'VLAN unset → 42',
    ])
  })

  it('are not looked for where the plan wants nothing', () => {
    expect(interfaceDifferences(nicOf({ ...same, subnet: '24' }), { type: 'static' })).toEqual([])
    expect(interfaceDifferences(nicOf({ type: 'dhcp', ip: '10.1.1.1/8' }), { type: 'dhcp' })).toEqual([])
  })

  it('are none for every prefix length, however it is shown', () => {
    fc.assert(
      fc.property(fc.integer({ min: 8, max: 31 }), fc.integer({ min: 0, max: 2 }), (prefix, form) => {
        const made = planOf({ nic: { mode: 'static', mask: prefix } })
        const config = wantedInterface(made.plan, made.node)
        if (config === undefined) throw new TypeError('static is wanted')
        const shown = [
          { ip: `10.10.200.1/${prefix}` },
          { ip: '10.10.200.1', subnet: String(prefix) },
          { ip: '10.10.200.1', subnet: config.subnet },
        ][form]
        expect(interfaceDifferences(nicOf({ type: 'static', ...shown }), config)).toEqual([])
      }),
    )
  })
})

describe('the proxy of a node', () => {
  const vip = '10.10.200.100'
  const proxy = { http: 'http://10.10.200.5:3128', noProxy: ['.example.com', 'localhost', '10.10.200.0/23'] }

  it('is nothing that Landfall cares for when the plan has none', () => {
    expect(wantedProxy(planOf().plan, vip, [])).toBeUndefined()
  })

  it('has the exceptions that every cluster needs, none of them twice', () => {
    const cluster = { podCidr: '100.64.0.0/18', serviceCidr: '100.64.64.0/18' }
    const wanted = wantedProxy(planOf({}, { proxy }, cluster).plan, vip, ['Y2E='])
    expect(wanted).toMatchObject({ httpProxy: 'http://10.10.200.5:3128', httpsProxy: '', caCerts: ['Y2E='] })
    expect(wanted?.noProxy?.split(',')).toEqual([
      '.example.com',
      'localhost',
      '10.10.200.0/23',
      '10.10.200.100',
      '100.64.0.0/18',
      '100.64.64.0/18',
      '127.0.0.1',
      '.svc',
      '.local',
    ])
  })

  it('names the documented networks of the appliance when the plan leaves them to it', () => {
    const noProxy = wantedProxy(planOf({}, { proxy }).plan, vip, [])?.noProxy?.split(',')
    // The generation is not known before the ISO runs: those of all that publish their networks.
    for (const network of ['192.168.0.0/16', '192.169.0.0/16', '100.64.0.0/18', '100.64.64.0/18']) {
      expect(noProxy).toContain(network)
    }
    expect(noProxy).not.toContain('undefined')
    expect(noProxy).not.toContain('null')
    expect(noProxy).not.toContain('')
  })

  it('differs from what is there in words, and not at all when it is set already', () => {
    const wanted = wantedProxy(planOf({}, { proxy }).plan, vip, ['Y2E=', 'Y2Ey']) ?? {}
    const nothing = hostConfigurationsSchema.parse({ httpProxy: '', caCerts: null })
    expect(proxyDifferences(nothing, wanted)).toEqual([
      'HTTP proxy unset → http://10.10.200.5:3128',
      `no proxy for unset → ${wanted.noProxy ?? ''}`,
      '2 CA certificates added',
    ])
    const set = hostConfigurationsSchema.parse({ ...wanted, caCerts: ['b3RoZXI=', 'Y2Ey', 'Y2E='] })
    expect(proxyDifferences(set, wanted)).toEqual([])
    const old = hostConfigurationsSchema.parse({ ...wanted, httpsProxy: 'http://10.1.1.1:3128' })
    expect(proxyDifferences(old, wanted)).toEqual(['HTTPS proxy http://10.1.1.1:3128 → unset'])
    const one = hostConfigurationsSchema.parse({ ...wanted, caCerts: ['Y2E='] })
    expect(proxyDifferences(one, wanted)).toEqual(['1 CA certificate added'])
  })
})
