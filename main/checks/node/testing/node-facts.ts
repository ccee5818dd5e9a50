import { factsOfReport } from '../../../appliance/facts/facts-of-report.ts'
import { mergeFacts } from '../../../appliance/facts/merge-facts.ts'
import type { HostFacts } from '../../../appliance/facts/node-facts.ts'
import { readReport, writeReport, type WrittenSection } from '../../../appliance/facts/report.ts'
import type { SectionName } from '../../../appliance/facts/sections.ts'
import { edgeHostSchema } from '../../../appliance/local-api-schemas.ts'
import { planWith } from '../../../engine/testing/run-harness.ts'
import type { NodeFacts } from '../../../phases/node-facts.ts'
import type { Plan } from '../../../../shared/plan/index.ts'

export const gigabyte = 1_000_000_000
/** When the nodes of these tests were asked; milliseconds since the Unix epoch. */
const askedAt = Date.UTC(2027, 0, 4, 8)

/** As `lsblk -J` writes it. */
export interface TestDevice {
  readonly path: string
  readonly gigabytes: number
  readonly type?: string
  readonly fstype?: string
  readonly label?: string
  readonly mountpoint?: string
  readonly children?: readonly TestDevice[]
  readonly isRemovable?: boolean
  readonly isReadOnly?: boolean
  /** What wipefs finds; default nothing. `denied`: it was not run as root. */
  readonly signatures?: readonly string[] | 'denied'
  readonly health?: 'passed' | 'failing' | 'untold'
  /** Names in /dev/disk/by-id. */
  readonly links?: readonly string[]
}

export function device(path: string, gigabytes: number, parts: Partial<TestDevice> = {}): TestDevice {
  return { path, gigabytes, ...parts }
}

export const systemDisk = device('/dev/sda', 300, {
  children: [
    device('/dev/sda1', 300, { type: 'part', fstype: 'ext4', mountpoint: '/run/initramfs/cos-state' }),
  ],
})
export const emptyDisk = device('/dev/sdb', 500)

interface Nic {
  readonly ip?: string
  readonly macAddr?: string
}

export interface Changes {
  readonly name?: string
  /** Sections of what the node answered over SSH, instead of those of a healthy one. */
  readonly ssh?: Partial<Record<SectionName, WrittenSection>> | 'closed'
  readonly disks?: readonly TestDevice[]
  /** In both answers. */
  readonly nics?: readonly Nic[]
  readonly hardware?:
    { readonly cores?: number; readonly memory?: number; readonly arch?: string } | 'not told'
  /** In both answers. */
  readonly hostName?: string
  readonly secureBoot?: boolean
  readonly agentVersion?: string | null
  readonly plan?: Plan
  readonly facts?: Partial<Pick<NodeFacts, 'uid' | 'settings' | 'clusterName'>>
}

/** Facts of a node that passes every check, as both interfaces would tell them. */
export function factsOf(changes: Changes = {}): NodeFacts {
  const { name = 'n1', ssh = {}, hardware = {}, agentVersion = '4.8.18', plan = planWith(3) } = changes
  const node = plan.nodes.find((candidate) => candidate.name === name)
  if (node === undefined) throw new TypeError(`no node ${name}`)
  const index = plan.nodes.indexOf(node)
  const nics = changes.nics ?? [{ ip: `${node.address}/16`, macAddr: `52:54:00:00:00:${String(10 + index)}` }]
  const hostName = changes.hostName ?? `palette-${name}`
  const isSecure = changes.secureBoot ?? false
  const told = hardware === 'not told' ? undefined : hardware
  const edgeHost = edgeHostSchema.parse({
    metadata: { id: `edge-${name}` },
    spec: {
      hardwareSpec:
        told === undefined
          ? undefined
          : {
              archType: told.arch ?? 'amd64',
              cpu: { cores: told.cores ?? 8 },
              memory: { sizeInMB: told.memory ?? 16384 },
            },
      hostInfo: { secureBoot: isSecure },
      networkInfo: nics,
    },
    status: { agentVersion, hostName },
  })
  const settings = { managementMode: 'local', installationMode: 'airgap', featureFlags: undefined }
  const answers = healthyAnswers(changes, { index, nics, hostName, isSecure })
  const host: NodeFacts['host'] =
    ssh === 'closed'
      ? { kind: 'closed', reason: 'only keys are allowed' }
      : { kind: 'read', collected: collectedOf(name, { ...answers, ...ssh }) }
  const hostFacts = host.kind === 'read' ? host.collected.facts : hostFactsOf({}, 'only keys are allowed')
  return {
    node,
    uid: `edge-${name}`,
    edgeHost,
    settings,
    clusterName: undefined,
    host,
    ...changes.facts,
    merged: mergeFacts({ edgeHost, settings: changes.facts?.settings ?? settings, host: hostFacts }),
  }
}

const mark = 'landfall-0123456789abcdef'

function hostFactsOf(
  sections: Partial<Record<SectionName, WrittenSection>>,
  interruption: string,
): HostFacts {
  return factsOfReport(readReport(mark, writeReport(mark, sections)), interruption)
}

function collectedOf(place: string, sections: Partial<Record<SectionName, WrittenSection>>) {
  return {
    place,
    facts: hostFactsOf(sections, 'the connection was cut'),
    startedAt: askedAt,
    endedAt: askedAt + 1000,
    durationMs: 1000,
    privilege: { kind: 'root' as const },
    completeness: { kind: 'complete' as const },
    raw: '',
  }
}

function healthyAnswers(
  { disks = [systemDisk, emptyDisk], hardware = {} }: Changes,
  own: { index: number; nics: readonly Nic[]; hostName: string; isSecure: boolean },
): Partial<Record<SectionName, WrittenSection>> {
  const told = hardware === 'not told' ? undefined : hardware
  const memory = told?.memory ?? 16384
  const uuid = `4c4c4544-0042-3010-8052-${String(own.index).padStart(12, '0')}`
  return {
    time: { text: `epoch=${askedAt / 1000}.5\nzone=UTC\noffset=+0000\n` },
    'boot-marks': {
      parts: [
        { kind: 'firmware', name: 'efi', text: '' },
        { kind: 'folder', name: '/run/cos', text: 'active_mode\n' },
      ],
    },
    kernel: { text: `Linux 5.15.0-139-generic ${told?.arch === 'arm64' ? 'aarch64' : 'x86_64'}\n` },
    'host-name': { parts: [{ kind: 'file', name: '/proc/sys/kernel/hostname', text: `${own.hostName}\n` }] },
    identity: {
      parts: [
        { kind: 'file', name: '/sys/class/dmi/id/product_uuid', text: `${uuid}\n` },
        { kind: 'file', name: '/sys/class/dmi/id/product_name', text: 'Rig-7\n' },
      ],
    },
    virtualization: { text: 'none\n', exitCode: 1 },
    ...(told === undefined
      ? { processors: { missing: 'nproc' } }
      : {
          processors: { text: `${told.cores ?? 8}\n` },
          memory: {
            parts: [{ kind: 'file', name: '/proc/meminfo', text: `MemTotal: ${memory * 1024} kB\n` }],
          },
        }),
    'processor-model': { text: 'model name\t: Xeon\nflags\t\t: fpu avx avx2\n' },
    ...diskAnswers(disks),
    ...networkAnswers(own.nics),
    timedatectl: { text: 'Timezone=Etc/UTC\nLocalRTC=no\nNTP=yes\nNTPSynchronized=yes\n' },
    'secure-boot-variable': {
      parts: [{ kind: 'variable', name: 'SecureBoot', text: `6 0 0 0 ${own.isSecure ? 1 : 0}\n` }],
    },
    'kairos-agent': { text: 'active_boot' },
  }
}

export function diskAnswers(disks: readonly TestDevice[]): Partial<Record<SectionName, WrittenSection>> {
  const nameOf = (disk: TestDevice) => disk.path.replace('/dev/', '')
  return {
    'block-devices': { text: JSON.stringify({ blockdevices: disks.map(lsblkOf) }) },
    'disk-links': {
      parts: [
        {
          kind: 'folder',
          name: 'by-id',
          text: disks
            .flatMap((disk) =>
              (disk.links ?? [`scsi-${nameOf(disk)}`]).map(
                (link) => `lrwxrwxrwx 1 root root 9 Jan 1 00:00 ${link} -> ../../${nameOf(disk)}\n`,
              ),
            )
            .join(''),
        },
      ],
    },
    multipath: {
      parts: disks.flatMap((disk) =>
        (disk.children ?? [])
          .filter(({ type }) => type === 'mpath')
          .map(({ path }) => ({
            kind: 'map',
            name: 'dm-0',
            text: `name=${path.replace('/dev/mapper/', '')}\nuuid=mpath-1\nslave=${nameOf(disk)}\n`,
          })),
      ),
    },
    signatures: {
      parts: disks.flatMap((disk) => {
        const { signatures = [] } = disk
        const isDenied = signatures === 'denied'
        const found = isDenied ? [] : signatures.map((type) => ({ type, label: null, uuid: null }))
        const text = isDenied
          ? 'wipefs: error: probing initialization failed: Permission denied\n'
          : found.length === 0
            ? ''
            : JSON.stringify({ signatures: found })
        return [
          { kind: 'disk', name: nameOf(disk), text },
          { kind: 'status', name: isDenied ? '1' : '0', text: '' },
        ]
      }),
    },
    health: {
      parts: disks.map((disk) => ({
        kind: 'disk',
        name: nameOf(disk),
        text: JSON.stringify(
          disk.health === 'untold'
            ? { smartctl: { messages: [{ string: 'Device does not support SMART' }] } }
            : { smart_status: { passed: disk.health !== 'failing' } },
        ),
      })),
    },
  }
}

function lsblkOf(disk: TestDevice): Record<string, unknown> {
  return {
    name: disk.path.replace(/^\/dev\/(mapper\/)?/, ''),
    path: disk.path,
    size: disk.gigabytes * gigabyte,
    type: disk.type ?? 'disk',
    fstype: disk.fstype ?? null,
    label: disk.label ?? null,
    mountpoints: [disk.mountpoint ?? null],
    model: 'Virtual disk',
    serial: `SN-${disk.path}`,
    ro: disk.isReadOnly ?? false,
    rm: disk.isRemovable ?? false,
    ...(disk.children === undefined ? {} : { children: disk.children.map(lsblkOf) }),
  }
}

/** Cards named eth0, eth1, … */
function networkAnswers(nics: readonly Nic[]): Partial<Record<SectionName, WrittenSection>> {
  const named = nics.map((nic, index) => ({ name: `eth${index}`, ...nic }))
  return {
    interfaces: {
      parts: named.map(({ name, macAddr = '' }, index) =>
        interfacePart(name, { ifindex: index + 2, address: macAddr }),
      ),
    },
    links: {
      text: JSON.stringify(
        named.map(({ name }) => ({
          ifname: name,
          flags: ['UP'],
          stats64: { rx: { errors: 0, dropped: 0 }, tx: { errors: 0, dropped: 0 } },
        })),
      ),
    },
    addresses: {
      text: JSON.stringify(
        named.map(({ name, ip = '' }) => {
          const [local = '', prefix = '24'] = ip.split('/')
          const family = local.includes(':') ? 'inet6' : 'inet'
          return {
            ifname: name,
            addr_info: local === '' ? [] : [{ family, local, prefixlen: Number(prefix), scope: 'global' }],
          }
        }),
      ),
    },
    routes: { text: JSON.stringify([{ dst: 'default', gateway: '10.10.0.254', dev: 'eth0' }]) },
    leases: { parts: [{ kind: 'folder', name: 'leases', text: '' }] },
  }
}

/** A part of the section `interfaces`: a card with everything told. */
export function interfacePart(name: string, values: Readonly<Record<string, string | number>> = {}) {
  const all = { ifindex: 2, mtu: 1500, operstate: 'up', carrier: 1, speed: 10_000, duplex: 'full', ...values }
  return {
    kind: 'interface',
    name,
    text: Object.entries(all)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  }
}
