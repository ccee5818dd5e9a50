import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { factsOfReport } from './facts-of-report.ts'
import type { Disk, HostFacts } from './node-facts.ts'
import { readReport, writeReport, type WrittenSection } from './report.ts'
import { sectionNames, type SectionName } from './sections.ts'

const mark = 'landfall-0123456789abcdef'

/**
 * Reports of a virtual machine with systemd, started by UEFI: SATA, SCSI, NVMe, USB, CD-ROM, RAID, LVM, multipath, a VLAN, a bond,
 * two cards with DHCP. Written by the script, as root and as an account. And of a network namespace with BusyBox only.
 */
const texts = {
  root: readFileSync(new URL('recorded/debian-12-root.txt', import.meta.url), 'utf8'),
  account: readFileSync(new URL('recorded/debian-12-user.txt', import.meta.url), 'utf8'),
  busybox: readFileSync(new URL('recorded/busybox.txt', import.meta.url), 'utf8'),
}
const factsOf = (text: string, interruption = 'it was cut') =>
  factsOfReport(readReport(mark, text), interruption)
const root = factsOf(texts.root)
const account = factsOf(texts.account)

const disksOf = ({ disks }: HostFacts): readonly Disk[] => (disks.kind === 'read' ? disks.value : [])
const disk = (facts: HostFacts, path: string) => disksOf(facts).find((one) => one.path === path)
const interfacesOf = ({ network: { interfaces } }: HostFacts) =>
  interfaces.kind === 'read' ? interfaces.value : []
const nic = (facts: HostFacts, name: string) => interfacesOf(facts).find((one) => one.name === name)
const value = (expected: unknown) => ({ kind: 'read', value: expected })

describe('a real node, as root', () => {
  it('has started as it says', () => {
    expect(root.boot).toMatchObject({
      state: value('active_boot'),
      stateByAgent: value('active_boot'),
      stateByCommandLine: value('active_boot'),
      marks: value(['active_mode']),
      images: { kind: 'unread', reason: 'there is no such folder' },
      isUefi: value(true),
      secureBoot: value('setup-mode'),
    })
    expect(JSON.stringify(root.boot.commandLine)).toContain('rd.iscsi.password=…')
  })

  it('is who it is', () => {
    expect(root.identity).toMatchObject({
      productUuid: value('4c4c4544-0042-3010-8052-b4c04f303732'),
      serialNumber: value('SN-0042'),
      vendor: value('Example'),
      product: value('Rig-7'),
      virtualization: value('qemu'),
    })
    expect(root.hostName).toMatchObject({ current: value('node-7'), static: value('node-7') })
    expect(root.os).toMatchObject({
      id: value('debian'),
      version: value('12'),
      architecture: value('amd64'),
      kernelRelease: value('6.1.0-56-amd64'),
    })
    expect(root.cpu).toMatchObject({ count: value(1) })
    expect(root.memory).toMatchObject({ installed: value(1536 * 1024 ** 2), swap: value(0) })
  })

  it('has its disks, whatever they hold', () => {
    expect(disksOf(root).map(({ path, type }) => `${path.slice(5)} ${type}`)).toEqual([
      'loop0 loop',
      'sda disk',
      'sdb disk',
      'sdc disk',
      'sdd disk',
      'sde disk',
      'sdf disk',
      'sdg disk',
      'sdh disk',
      'sdi disk',
      'sdj disk',
      'sdk disk',
      'sdl disk',
      'sdm disk',
      'sdn disk',
      'sdo disk',
      'sdp disk',
      'sr0 rom',
      'vda disk',
      'nvme0n1 disk',
      'nvme1n1 disk',
    ])
    expect(disk(root, '/dev/sda')).toMatchObject({
      size: 250 * 1024 ** 3,
      model: 'Example SSD 870',
      serial: 'SATA0001',
      transport: 'sata',
      isRotational: false,
      signatures: value([]),
      health: value('passed'),
      multipath: value(undefined),
      links: { value: expect.arrayContaining(['/dev/disk/by-id/ata-Example_SSD_870_SATA0001']) as unknown },
    })
    expect(disk(root, '/dev/sdb')).toMatchObject({
      signatures: value([expect.objectContaining({ type: 'linux_raid_member' })]),
      children: [{ type: 'raid1', path: '/dev/md0', fileSystem: 'ext4' }],
    })
    expect(disk(root, '/dev/sdd')).toMatchObject({
      signatures: value([expect.objectContaining({ type: 'LVM2_member' })]),
      children: [{ type: 'lvm', path: '/dev/mapper/drbd--vg-thin' }],
    })
    expect(disk(root, '/dev/sdf')).toMatchObject({
      partitionTable: 'gpt',
      signatures: { value: expect.arrayContaining([expect.objectContaining({ type: 'gpt' })]) as unknown },
      children: [{}, { label: 'COS_PERSISTENT', mountPoints: ['/usr/local'] }],
    })
    expect(disk(root, '/dev/nvme1n1')).toMatchObject({
      transport: 'nvme',
      children: [{ path: '/dev/nvme1n1p1', fileSystem: 'xfs' }],
      links: { value: expect.arrayContaining(['/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_NVME0001']) as unknown },
    })
    expect(disk(root, '/dev/sdp')).toMatchObject({
      isRemovable: true,
      transport: 'usb',
      health: { kind: 'unread' },
    })
  })

  it('knows both paths of a multipath device', () => {
    for (const path of ['/dev/sdn', '/dev/sdo']) {
      expect(disk(root, path)).toMatchObject({
        multipath: value('mpatha'),
        wwn: '0x600a0b8000000001',
        fileSystem: 'mpath_member',
      })
    }
    expect(disk(root, '/dev/sdm')?.multipath).toMatchObject(value(undefined))
  })

  it('asks only disks for what they hold', () => {
    for (const path of ['/dev/loop0', '/dev/sr0']) {
      expect(disk(root, path)?.signatures).toMatchObject({
        kind: 'unread',
        reason: 'only disks are asked for it',
      })
    }
  })

  it('has its network', () => {
    expect(nic(root, 'enp0s2')).toMatchObject({
      mac: '52:54:00:aa:00:08',
      isPhysical: true,
      driver: 'e1000e',
      mtu: 1500,
      hasCarrier: value(true),
      speedMegabits: value(1000),
      duplex: value('full'),
      link: value(expect.objectContaining({ isUp: true, receiveErrors: 0, maxMtu: 9212 })),
      lease: value(expect.objectContaining({ server: '10.0.2.2', lifetimeMs: 86_400_000 })),
      addresses: {
        value: expect.arrayContaining([
          expect.objectContaining({ address: '10.0.2.15', prefix: 24, isDynamic: true }),
        ]) as unknown,
      },
    })
    expect(nic(root, 'enp0s1')?.speedMegabits).toMatchObject({
      kind: 'unread',
      source: '/sys/class/net/enp0s1/speed',
    })
    expect(nic(root, 'enp0s1.100')).toMatchObject({
      isPhysical: false,
      link: value(expect.objectContaining({ kind: 'vlan', vlanId: 100, parent: 'enp0s1' })),
      lease: value(undefined),
    })
    expect(nic(root, 'bond0')).toMatchObject({
      hasCarrier: value(false),
      link: value(expect.objectContaining({ kind: 'bond' })),
    })
    expect(nic(root, 'lo')?.mac).toBeUndefined()
    const { routes, dnsServers } = root.network
    expect(
      routes.kind === 'read' && routes.value.filter(({ destination }) => destination === '0.0.0.0/0'),
    ).toHaveLength(2)
    expect(dnsServers).toMatchObject({ value: ['10.0.2.3'], source: '/run/systemd/resolve/resolv.conf' })
  })

  it('has a clock', () => {
    expect(root.clock).toMatchObject({
      timeZone: value('Etc/UTC'),
      utcOffsetMs: value(0),
      isRtcLocalTime: value(false),
      isSynchronized: value(false),
      isNtpEnabled: value(true),
      source: value(expect.objectContaining({ service: 'systemd-timesyncd', server: undefined })),
    })
    const { rtcDifferenceMs } = root.clock
    expect(rtcDifferenceMs.kind === 'read' && Math.abs(rtcDifferenceMs.value)).toBeLessThanOrEqual(1000)
  })

  it('has services, sockets and space', () => {
    const { services, listening } = root
    const state = (unit: string) =>
      services.kind === 'read' && services.value.find((one) => one.unit === unit)
    expect(state('systemd-networkd.service')).toMatchObject({
      isInstalled: true,
      state: 'active',
      startMode: 'enabled',
    })
    expect(state('sshd.service')).toMatchObject({ isInstalled: true, state: 'active' })
    expect(state('stylus-agent.service')).toMatchObject({ isInstalled: false, state: 'inactive' })
    expect(
      listening.kind === 'read' && listening.value.map(({ port, process }) => `${port} ${process ?? ''}`),
    ).toContain('22 sshd')
    expect(root.space).toMatchObject({
      '/usr/local': value(expect.objectContaining({ mountPoint: '/usr/local' })),
      '/oem': value(expect.objectContaining({ mountPoint: '/' })),
    })
  })
})

describe('the same node without root', () => {
  it('says of each fact that it needs root', () => {
    expect(account.identity.productUuid).toEqual({
      kind: 'unread',
      reason: 'only root may read it',
      source: '/sys/class/dmi/id/product_uuid',
    })
    expect(account.memory.installed).toMatchObject({
      kind: 'unread',
      reason: expect.stringContaining('Permission denied') as string,
    })
    expect(disk(account, '/dev/sda')).toMatchObject({
      signatures: { kind: 'unread', reason: expect.stringContaining('Permission denied') as string },
      health: { kind: 'unread', reason: expect.stringContaining('Permission denied') as string },
    })
  })

  it('tells everything else alike', () => {
    expect(disksOf(account).map(({ path, size, children }) => [path, size, children])).toEqual(
      disksOf(root).map(({ path, size, children }) => [path, size, children]),
    )
    expect(account.boot.secureBoot).toEqual(root.boot.secureBoot)
    expect(account.services).toEqual(root.services)
    expect(account.network.routes).toEqual(root.network.routes)
    expect(disk(account, '/dev/sdn')?.multipath).toEqual(disk(root, '/dev/sdn')?.multipath)
  })
})

describe('a node that has only BusyBox', () => {
  const busybox = factsOf(texts.busybox)

  it('tells what the kernel tells', () => {
    expect(busybox.os.kernelRelease.kind).toBe('read')
    expect(busybox.memory.total.kind).toBe('read')
    expect(busybox.cpu.count.kind).toBe('read')
    expect(busybox.clock.epochMs.kind).toBe('read')
    expect(nic(busybox, 'enp0s2')).toMatchObject({ mtu: 1500, speedMegabits: value(10_000) })
    expect(nic(busybox, 'enp0s2')?.addresses).toMatchObject(
      value([expect.objectContaining({ address: '10.0.2.15', prefix: 24 })]),
    )
    expect(busybox.network.routes).toMatchObject({
      kind: 'read',
      value: [{ destination: '0.0.0.0/0', gateway: '10.0.2.2' }, { destination: '10.0.2.0/24' }],
    })
    expect(busybox.network.dnsServers).toMatchObject(value(['10.0.2.3']))
    expect(busybox.boot.state).toMatchObject(value('active_boot'))
    expect(busybox.space['/usr/local']).toMatchObject(value(expect.objectContaining({ mountPoint: '/' })))
    // Without ss: by the tables of the kernel.
    expect(busybox.listening).toMatchObject({ kind: 'read', source: '/proc/net/tcp, /proc/net/tcp6' })
  })

  it('says which programs it does not have', () => {
    expect(busybox.disks).toEqual({
      kind: 'unread',
      reason: 'there is no program lsblk on the node',
      source: expect.stringMatching(/^lsblk /u) as string,
    })
    expect(busybox.services).toMatchObject({ reason: 'there is no program systemctl on the node' })
    expect(nic(busybox, 'enp0s2')?.link).toMatchObject({ kind: 'unread' })
  })
})

/** What is read in `part` is read alike in `whole`: recursively, as facts hold lists of facts. */
function expectNothingInvented(part: unknown, whole: unknown, path: string): void {
  if (typeof part !== 'object' || part === null) {
    expect({ path, value: part }).toEqual({ path, value: whole })
    return
  }
  if ('kind' in part && part.kind === 'unread') return
  const other = typeof whole === 'object' && whole !== null ? whole : {}
  // A second way to learn the same is told with its own source.
  const keys = Object.keys(part).filter((key) => key !== 'source')
  for (const key of keys) {
    expectNothingInvented(part[key as keyof typeof part], other[key as keyof typeof other], `${path}.${key}`)
  }
}

describe('a report that is cut anywhere', () => {
  it.each(['root', 'account', 'busybox'] as const)('tells nothing else than the whole one (%s)', (name) => {
    const text = texts[name]
    const whole = factsOf(text)
    fc.assert(
      fc.property(fc.nat({ max: text.length }), (length) => {
        const cut = factsOf(text.slice(0, length))
        expectNothingInvented(cut, whole, '')
      }),
      { numRuns: 150 },
    )
  })

  it('says so of what is missing', () => {
    const cut = factsOf(texts.root.slice(0, texts.root.indexOf('begin memory')), 'the connection was cut')
    expect(cut.os.kernelRelease.kind).toBe('read')
    expect(cut.memory.total).toEqual({
      kind: 'unread',
      reason: 'the connection was cut',
      source: '/proc/meminfo',
    })
    expect(cut.disks).toMatchObject({ kind: 'unread', reason: 'the connection was cut' })
  })
})

describe('any answer of any program', () => {
  const part = fc.record({
    kind: fc.constantFrom(
      'file',
      'disk',
      'status',
      'interface',
      'map',
      'folder',
      'list',
      'path',
      'variable',
      'absent',
    ),
    name: fc.constantFrom(
      '/proc/meminfo',
      'sda',
      '0',
      'eth0',
      'dm-0',
      'by-id',
      'dns',
      '/',
      'SecureBoot',
      'efi',
    ),
    text: fc.oneof(
      fc.string(),
      fc.json(),
      fc.constantFrom('ifindex=2\nmtu=1500\n', 'MemTotal: 1 kB\n', '6 0 0 0 1'),
    ),
  })
  const section: fc.Arbitrary<WrittenSection> = fc.record({
    text: fc.oneof(
      fc.string(),
      fc.json(),
      fc.constant('{"blockdevices":[{"name":"sda","size":5,"type":"disk"}]}'),
    ),
    parts: fc.array(part, { maxLength: 4 }),
    said: fc.constantFrom('', 'Permission denied'),
    exitCode: fc.constantFrom(0, 1, 124),
  })

  it('gives facts, and every fact that is not read has a reason', () => {
    const report = fc.dictionary(fc.constantFrom(...sectionNames), section) as fc.Arbitrary<
      Partial<Record<SectionName, WrittenSection>>
    >
    const check = (facts: unknown): void => {
      if (typeof facts !== 'object' || facts === null) return
      if ('kind' in facts && facts.kind === 'unread' && 'reason' in facts && 'source' in facts) {
        expect(facts.reason).not.toBe('')
        expect(facts.source).not.toBe('')
        expect(facts.reason).not.toMatch(/[\p{Cc}]/u)
        return
      }
      for (const one of Object.values(facts)) check(one)
    }
    fc.assert(
      fc.property(report, (sections) => {
        check(factsOf(writeReport(mark, sections)))
      }),
    )
  })
})

describe('two witnesses', () => {
  const boot = (commandLine: string, agent?: string) =>
    factsOf(
      writeReport(mark, {
        'command-line': { parts: [{ kind: 'file', name: '/proc/cmdline', text: commandLine }] },
        'kairos-agent': agent === undefined ? { missing: 'kairos-agent' } : { text: agent },
      }),
    ).boot.state

  it('of the boot that contradict each other are shown, not judged', () => {
    expect(boot('root=LABEL=COS_PASSIVE', 'active_boot')).toEqual({
      kind: 'unread',
      reason: 'kairos-agent state get boot says active_boot, but /proc/cmdline says passive_boot',
      source: 'kairos-agent state get boot; /proc/cmdline',
    })
  })

  it('of the boot help each other', () => {
    expect(boot('root=LABEL=COS_PASSIVE')).toMatchObject(value('passive_boot'))
    expect(boot('root=LABEL=COS_PASSIVE', 'unknown')).toMatchObject(value('passive_boot'))
    expect(boot('rd.immucore.uki', 'active_boot')).toMatchObject(value('active_boot'))
    expect(boot('quiet', 'unknown')).toMatchObject(value('unknown'))
    expect(boot('quiet')).toMatchObject({ kind: 'unread' })
  })

  it('of Secure Boot that contradict each other are shown', () => {
    const secureBoot = (octet: string, mokutil: string) =>
      factsOf(
        writeReport(mark, {
          'secure-boot-variable': {
            parts: [{ kind: 'variable', name: 'SecureBoot', text: `6 0 0 0 ${octet}` }],
          },
          mokutil: { text: mokutil },
        }),
      ).boot.secureBoot
    expect(secureBoot('1', 'SecureBoot enabled\n')).toMatchObject(value('enabled'))
    expect(secureBoot('0', 'SecureBoot enabled\n')).toMatchObject({
      kind: 'unread',
      reason: 'the variables of the firmware say disabled, but mokutil --sb-state says enabled',
    })
  })
})
