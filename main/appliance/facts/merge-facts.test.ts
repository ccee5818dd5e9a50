import { describe, expect, it } from 'vitest'
import type { EdgeHost } from '../index.ts'
import { edgeHostSchema } from '../local-api-schemas.ts'
import { read, unread } from './fact.ts'
import { factsOfReport } from './facts-of-report.ts'
import { disagreementsOf, mergeFacts } from './merge-facts.ts'
import type { Merged } from './merged.ts'
import type { HostFacts } from './node-facts.ts'
import { readReport, writeReport } from './report.ts'

const gibibyte = 1024 ** 3
const mark = 'landfall-0123456789abcdef'

/** A node as the script reports it. */
function hostOf(changes: Partial<Parameters<typeof writeReport>[1]> = {}): HostFacts {
  const file = (name: string, text: string) => ({ kind: 'file', name, text })
  const text = writeReport(mark, {
    'host-name': { parts: [file('/proc/sys/kernel/hostname', 'node-1\n')] },
    'os-release': {
      parts: [file('/etc/os-release', 'ID=ubuntu\nVERSION_ID="22.04"\nKAIROS_FLAVOR=ubuntu\n')],
    },
    kernel: { text: 'Linux 5.15.0-139-generic x86_64\n' },
    processors: { text: '8\n' },
    memory: { parts: [file('/proc/meminfo', `MemTotal:       16357786 kB\n`)] },
    'block-devices': {
      text: JSON.stringify({
        blockdevices: [
          { name: 'sda', size: 300 * gibibyte, type: 'disk' },
          { name: 'sdb', size: 500 * gibibyte, type: 'disk' },
          { name: 'sr0', size: gibibyte, type: 'rom', rm: true },
          { name: 'loop0', size: 1000, type: 'loop' },
        ],
      }),
    },
    interfaces: {
      parts: [
        { kind: 'interface', name: 'eth0', text: 'ifindex=2\naddress=52:54:00:aa:00:07\nmtu=1500\n' },
        {
          kind: 'interface',
          name: 'lo',
          text: 'ifindex=1\naddress=00:00:00:00:00:00\nmtu=65536\nvirtual=yes\n',
        },
      ],
    },
    addresses: {
      text: JSON.stringify([
        {
          ifname: 'eth0',
          addr_info: [
            { family: 'inet', local: '10.0.0.5', prefixlen: 24 },
            { family: 'inet6', local: 'fe80::1', prefixlen: 64 },
          ],
        },
      ]),
    },
    routes: { text: JSON.stringify([{ dst: 'default', gateway: '10.0.0.1', dev: 'eth0' }]) },
    resolver: { parts: [file('/etc/resolv.conf', 'nameserver 10.0.0.2\nnameserver 10.0.0.3\n')] },
    'secure-boot-variable': { parts: [{ kind: 'variable', name: 'SecureBoot', text: '6 0 0 0 0\n' }] },
    ...changes,
  })
  return factsOfReport(readReport(mark, text), 'it was not asked')
}

function apiOf(spec: object = {}, status: object = {}): EdgeHost {
  return edgeHostSchema.parse({
    metadata: { id: 'edge-1' },
    spec: {
      hardwareSpec: {
        archType: 'amd64',
        cpu: { cores: 8 },
        memory: { sizeInMB: 16_384 },
        disks: [{ size: 322 }, { size: 537 }],
        os: { family: 'Ubuntu', version: '22.04', kernelVersion: '5.15.0-139-generic' },
      },
      hostInfo: { secureBoot: false },
      networkInfo: [
        {
          nicName: 'eth0',
          ip: '10.0.0.5',
          subnet: '255.255.255.0',
          gateway: '10.0.0.1',
          macAddr: '52:54:00:AA:00:07',
          isDefault: true,
        },
      ],
      ...spec,
    },
    status: {
      agentVersion: 'v4.10.4',
      hostName: 'node-1',
      dns: { nameservers: ['10.0.0.3', '10.0.0.2'] },
      ...status,
    },
  })
}

const merged = (edgeHost: EdgeHost | undefined, host: HostFacts | undefined) =>
  mergeFacts({ edgeHost, settings: undefined, host })
const hardware = (changes: object) => {
  const { hardwareSpec } = apiOf().spec ?? {}
  return apiOf({ hardwareSpec: { ...hardwareSpec, ...changes } })
}
const kindOf = ({ kind }: Merged<unknown>) => kind

describe('what both tell', () => {
  it('is agreed, with both sources and the exact value of the node', () => {
    const facts = merged(apiOf(), hostOf())
    expect(disagreementsOf(facts)).toEqual([])
    expect(facts.cpuCount).toEqual({
      kind: 'agreed',
      value: 8,
      sources: ['GET /v1/edge-mgmt/edgehosts/current', 'nproc'],
    })
    expect(facts.memory).toMatchObject({ kind: 'agreed', value: 16_357_786 * 1024 })
    expect(facts.interfaces.get('eth0')).toMatchObject({
      mac: { kind: 'agreed', value: '52:54:00:aa:00:07' },
      addresses: { kind: 'agreed', value: ['10.0.0.5/24'] },
    })
    for (const name of [
      'hostName',
      'architecture',
      'osFamily',
      'osVersion',
      'kernelRelease',
      'isSecureBootOn',
      'disks',
      'gateway',
      'dnsServers',
    ] as const) {
      expect({ name, kind: kindOf(facts[name]) }).toEqual({ name, kind: 'agreed' })
    }
  })

  it('differently is a disagreement of both values', () => {
    const facts = merged(hardware({ cpu: { cores: 16 } }), hostOf())
    expect(facts.cpuCount).toEqual({
      kind: 'disagreement',
      api: 16,
      ssh: 8,
      sources: ['GET /v1/edge-mgmt/edgehosts/current', 'nproc'],
    })
    expect(disagreementsOf(facts)).toEqual([{ fact: 'cpuCount', api: '16', ssh: '8' }])
  })
})

describe('what one of them tells', () => {
  it('has one source', () => {
    expect(merged(apiOf(), undefined).cpuCount).toEqual({ kind: 'told', value: 8, source: 'GET /v1/edge-mgmt/edgehosts/current' }) // prettier-ignore
    expect(merged(undefined, hostOf()).cpuCount).toEqual({ kind: 'told', value: 8, source: 'nproc' })
    expect(merged(apiOf(), hostOf()).agentVersion).toMatchObject({ kind: 'told', value: 'v4.10.4' })
    expect(merged(undefined, hostOf()).interfaces.get('eth0')?.mac.kind).toBe('told')
  })

  it('because the other could not read it, is no disagreement', () => {
    const host = hostOf({ processors: { missing: 'nproc' } })
    expect(merged(apiOf(), host).cpuCount).toMatchObject({ kind: 'told', value: 8 })
    expect(merged(undefined, host).cpuCount).toEqual({
      kind: 'unread',
      reason: 'nproc: there is no program nproc on the node',
    })
    expect(merged(undefined, undefined).cpuCount).toMatchObject({ kind: 'unread' })
    expect(merged(apiOf({}, { hostName: '' }), hostOf()).hostName).toMatchObject({
      kind: 'told',
      value: 'node-1',
    })
  })

  it('of the settings is told by them', () => {
    const settings = { managementMode: 'local', installationMode: 'airgap', featureFlags: undefined }
    expect(mergeFacts({ edgeHost: undefined, settings, host: undefined }).managementMode).toEqual({
      kind: 'told',
      value: 'local',
      source: 'GET /v1/edge-mgmt/settings',
    })
  })
})

describe('memory', () => {
  const inMiB = (size: number) => kindOf(merged(hardware({ memory: { sizeInMB: size } }), hostOf()).memory)

  it.each([
    ['all that is installed', 16_384],
    ['what the kernel sees', 15_974],
    ['what the kernel sees, in MB', 16_751],
    ['bytes', 16_384 * 1024 ** 2],
  ])('counts as the same when the API tells %s', (_, size) => {
    expect(inMiB(size)).toBe('agreed')
  })

  it.each([8192, 12_288, 20_480, 32_768])('of %d MiB is a disagreement', (size) => {
    expect(inMiB(size)).toBe('disagreement')
  })

  it('may lose more where the modules tell how much there is', () => {
    const lost = {
      ...hostOf(),
      memory: {
        ...hostOf().memory,
        total: read(12 * gibibyte, '/proc/meminfo'),
        installed: read(16 * gibibyte, 'dmidecode'),
      },
    }
    expect(merged(apiOf(), lost).memory.kind).toBe('agreed')
    const unknown = { ...lost, memory: { ...lost.memory, installed: unread('no root', 'dmidecode') } }
    expect(merged(apiOf(), unknown).memory.kind).toBe('disagreement')
  })
})

describe('disks', () => {
  const sizes = (...list: number[]) =>
    merged(hardware({ disks: list.map((size) => ({ size })) }), hostOf()).disks

  it.each([
    ['GB', [322, 537]],
    ['GiB', [300, 500]],
    ['another order', [537, 322]],
    ['with the drive', [300, 500, 1]],
  ])('are the same in %s', (_, list) => {
    expect(sizes(...list).kind).toBe('agreed')
  })

  it.each([[[322]], [[322, 322]], [[322, 537, 537]], [[322, 1000]]])(
    'of %j GB are a disagreement',
    (list) => {
      expect(sizes(...list)).toMatchObject({ kind: 'disagreement' })
    },
  )

  it('that the API does not list are told by the node', () => {
    expect(sizes()).toMatchObject({ kind: 'told', value: [{ path: '/dev/sda' }, { path: '/dev/sdb' }] })
  })
})

describe('the network', () => {
  const nic = (changes: object) => merged(apiOf({ networkInfo: [{ nicName: 'eth0', ...changes }] }), hostOf())

  it.each([
    ['10.0.0.5', undefined, 'agreed'],
    ['10.0.0.5/24', undefined, 'agreed'],
    ['10.0.0.5', '10.0.0.0/24', 'agreed'],
    ['10.0.0.5', '255.255.0.0', 'disagreement'],
    ['10.0.0.5/16', undefined, 'disagreement'],
    ['10.0.0.6', undefined, 'disagreement'],
  ])('address %s with %s is %s', (ip, subnet, kind) => {
    expect(nic({ ip, subnet }).interfaces.get('eth0')?.addresses.kind).toBe(kind)
  })

  it('knows an interface by its MAC address when the API has no name for it', () => {
    const facts = merged(apiOf({ networkInfo: [{ macAddr: '52-54-00-AA-00-07', ip: '10.0.0.5' }] }), hostOf())
    expect(facts.interfaces.get('eth0')?.addresses.kind).toBe('agreed')
    expect([...facts.interfaces.keys()]).toEqual(['eth0', 'lo'])
  })

  it('shows another MAC address, and an interface that the node does not have', () => {
    expect(disagreementsOf(nic({ macAddr: '52:54:00:aa:00:99' }))).toEqual([
      { fact: 'eth0 mac', api: '52:54:00:aa:00:99', ssh: '52:54:00:aa:00:07' },
    ])
    const gone = merged(
      apiOf({ networkInfo: [{ nicName: 'eth7', macAddr: '52:54:00:aa:00:09', ip: '10.0.0.9' }] }),
      hostOf(),
    )
    expect(disagreementsOf(gone)).toEqual([
      { fact: 'eth7 mac', api: '52:54:00:aa:00:09', ssh: 'no such interface' },
      { fact: 'eth7 addresses', api: '10.0.0.9', ssh: 'none' },
    ])
  })

  it('has one gateway for both, and the same name servers in any order', () => {
    expect(disagreementsOf(nic({ gateway: '10.0.0.254', isDefault: true }))).toEqual([
      { fact: 'gateway', api: '10.0.0.254', ssh: '10.0.0.1' },
    ])
    expect(nic({ gateway: '10.9.0.1', isDefault: false }).gateway).toMatchObject({
      kind: 'told',
      value: ['10.0.0.1'],
    })
    expect(disagreementsOf(merged(apiOf({}, { dns: { nameservers: ['10.0.0.2'] } }), hostOf()))).toEqual([
      { fact: 'dnsServers', api: '10.0.0.2', ssh: '10.0.0.2 10.0.0.3' },
    ])
  })
})

describe('names', () => {
  it.each([
    ['NODE-1', 'agreed'],
    ['node-1.lab.example', 'agreed'],
    ['node-2', 'disagreement'],
    ['node-1x', 'disagreement'],
  ])('of the host: %s is %s', (name, kind) => {
    expect(merged(apiOf({}, { hostName: name }), hostOf()).hostName.kind).toBe(kind)
  })

  it('of the host with different domains differ', () => {
    const host = hostOf({ 'host-name': { parts: [{ kind: 'file', name: '/proc/sys/kernel/hostname', text: 'node-1.a.example\n' }] } }) // prettier-ignore
    expect(merged(apiOf({}, { hostName: 'node-1.b.example' }), host).hostName.kind).toBe('disagreement')
  })

  it.each([
    ['22.04', 'agreed'],
    ['22.04.5 LTS (Jammy Jellyfish)', 'agreed'],
    ['22', 'agreed'],
    ['22.040', 'disagreement'],
    ['24.04', 'disagreement'],
  ])('of the version: %s is %s', (version, kind) => {
    expect(merged(hardware({ os: { version } }), hostOf()).osVersion.kind).toBe(kind)
  })

  it('of the system may be that of the image', () => {
    const host = hostOf({ 'os-release': { parts: [{ kind: 'file', name: '/etc/os-release', text: 'ID=kairos\nID_LIKE="debian"\nKAIROS_FLAVOR=ubuntu\n' }] } }) // prettier-ignore
    expect(merged(apiOf(), host).osFamily.kind).toBe('agreed')
    expect(merged(hardware({ os: { family: 'suse' } }), host).osFamily.kind).toBe('disagreement')
  })

  it('Secure Boot on the node and off for the API is a disagreement', () => {
    const host = hostOf({ 'secure-boot-variable': { parts: [{ kind: 'variable', name: 'SecureBoot', text: '6 0 0 0 1\n' }] } }) // prettier-ignore
    expect(merged(apiOf(), host).isSecureBootOn).toMatchObject({
      kind: 'disagreement',
      api: false,
      ssh: true,
    })
  })
})
