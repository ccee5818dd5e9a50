import { createHash } from 'node:crypto'
import type { PlanNode, ProcedureVariant } from '../../shared/plan/index.ts'
import type { LabContext } from './context.ts'
import { machineSchema, type Machine } from './machine.ts'

export const gibibyte = 1024 ** 3

export interface Disk {
  /** `/dev/sda`. */
  path: string
  /** Bytes. */
  size: number
  model: string
  serial: string
  partitions: Partition[]
  /** Paths in /dev/disk. */
  links: string[]
  /** Besides the table of partitions: file systems and members that fill the whole disk. */
  signatures: string[]
  health: 'passed' | 'failing' | 'none'
  /** Name of the multipath device that it is a path of. */
  multipath: string | null
  isRemovable: boolean
  isReadOnly: boolean
}

export interface Partition {
  path: string
  size: number
  fsType: string | null
  label: string | null
  mountPoint: string | null
}

export interface Nic {
  name: string
  mac: string
  mode: 'dhcp' | 'static'
  address: string
  prefix: number
  gateway: string
  nameservers: string[]
  searchDomains: string[]
  mtu: number
  vlan: number | null
  isApplying: boolean
}

export interface Hardware {
  cpus: number
  memoryBytes: number
  disks: Disk[]
}

export function machineOf({ scenario }: LabContext, node: PlanNode): Machine {
  return scenario.machines[node.name] ?? machineSchema.parse({})
}

/** Facts that a machine has without being asked; the same plan always gives the same machine. */
export function stableHash(...parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

export function machineIdentity(node: PlanNode): { edgeHostId: string; mac: string } {
  const hash = stableHash('machine', node.name, node.address)
  const octets = hash.match(/../g) ?? []
  return {
    edgeHostId: node.expect.edgeHostId ?? `edge-${hash.slice(0, 32)}`,
    mac: node.expect.mac ?? ['00', '50', '56', ...octets.slice(0, 3)].join(':'),
  }
}

export function createHardware(context: LabContext, node: PlanNode, machine: Machine): Hardware {
  const { plan, faults } = context
  const small = faults.active('small-disk', node.name)?.fault
  const sizeOf = (disk: 'system' | 'storage') => (small?.disk === disk ? small.gigabytes : 500) * 1000 ** 3
  const serial = stableHash('disk', node.name).slice(0, 12).toUpperCase()
  const { storageDrive } = machine
  const planned = plan.cluster.storagePoolDrive
  // A link of the plan leads to some disk.
  const path = storageDrive.path ?? (planned.startsWith('/dev/disk/') ? '/dev/sdb' : planned)
  const system = systemDisk(sizeOf('system'), serial, path)
  const storage: Disk = {
    ...diskOf(path, sizeOf('storage'), `${serial}-2`),
    signatures: [...storageDrive.signatures],
    health: storageDrive.health,
    multipath: storageDrive.multipath,
    isRemovable: storageDrive.isRemovable,
    isReadOnly: storageDrive.isReadOnly,
  }
  if (planned.startsWith('/dev/disk/') && storageDrive.path === undefined) storage.links.push(planned)
  if (storageDrive.mountPoint !== null) {
    storage.partitions = [
      {
        path: partitionPath(path, 1),
        size: storage.size,
        fsType: 'xfs',
        label: 'data',
        mountPoint: storageDrive.mountPoint,
      },
    ]
  }
  const hasStorage = faults.active('disk-missing', node.name) === null
  const further = Array.from({ length: machine.furtherDisks }, (_, index) =>
    diskOf(`/dev/nvme${index + 2}n1`, 10 * 1000 ** 3, `${serial}-${index + 3}`),
  )
  return {
    cpus: machine.cpus,
    memoryBytes: machine.memoryGibibytes * gibibyte,
    disks: [system, ...(hasStorage ? [storage] : []), ...further],
  }
}

function diskOf(path: string, size: number, serial: string): Disk {
  return {
    path,
    size,
    model: 'Virtual disk',
    serial,
    partitions: [],
    links: [`/dev/disk/by-id/${path.includes('nvme') ? 'nvme' : 'scsi'}-Virtual_disk_${serial}`],
    signatures: [],
    health: 'passed',
    multipath: null,
    isRemovable: false,
    isReadOnly: false,
  }
}

function partitionPath(disk: string, number: number): string {
  return `${disk}${/\d$/.test(disk) ? 'p' : ''}${number}`
}

function systemDisk(size: number, serial: string, storagePath: string): Disk {
  const path = storagePath === '/dev/sda' ? '/dev/sdb' : '/dev/sda'
  const fixed: [string, number, string | null][] = [
    ['COS_GRUB', 0.0625 * gibibyte, '/efi'],
    ['COS_OEM', 0.0625 * gibibyte, '/oem'],
    ['COS_RECOVERY', 40 * gibibyte, null],
    ['COS_STATE', 80 * gibibyte, '/run/initramfs/cos-state'],
  ]
  const used = fixed.reduce((total, [, bytes]) => total + bytes, 0)
  const layout: [string, number, string | null][] = [
    ...fixed,
    ['COS_PERSISTENT', Math.max(size - used, gibibyte), '/usr/local'],
  ]
  return {
    ...diskOf(path, size, `${serial}-1`),
    partitions: layout.map(([label, bytes, mountPoint], index) => ({
      path: partitionPath(path, index + 1),
      size: Math.round(bytes),
      fsType: label === 'COS_GRUB' ? 'vfat' : 'ext4',
      label,
      mountPoint,
    })),
  }
}

/** First address and size of the node network. */
export function sitePrefix(context: LabContext): number {
  return Number(context.plan.site.network.split('/')[1])
}

export function firstHostOf(network: string): string {
  const octets = (network.split('/')[0] ?? '').split('.')
  return [...octets.slice(0, 3), String(Number(octets[3]) + 1)].join('.')
}

export function createNic(context: LabContext, node: PlanNode, mac: string, machine: Machine): Nic {
  const { site } = context.plan
  const gateway = site.gateway ?? firstHostOf(site.network)
  return {
    name: node.nic.name === 'auto' ? 'ens160' : node.nic.name,
    mac: machine.nic.mac ?? mac,
    mode: 'dhcp',
    address: node.address,
    prefix: sitePrefix(context),
    gateway,
    nameservers: [gateway],
    searchDomains: [],
    mtu: machine.nic.mtu,
    vlan: null,
    isApplying: false,
  }
}

/** Dotted mask of a prefix length: 24 gives 255.255.255.0. */
export function maskOf(prefix: number): string {
  return [0, 8, 16, 24].map((shift) => 256 - 2 ** (8 - Math.min(8, Math.max(0, prefix - shift)))).join('.')
}

/** Prefix length of `24`, `/24` or `255.255.255.0`; `null` when it is no mask. */
export function prefixOf(mask: string): number | null {
  const text = mask.replace(/^\//, '')
  if (/^\d{1,2}$/.test(text)) return Number(text) <= 32 ? Number(text) : null
  for (let prefix = 0; prefix <= 32; prefix += 1) if (maskOf(prefix) === text) return prefix
  return null
}

export function isIpv4(text: string): boolean {
  return /^(\d{1,3})(\.\d{1,3}){3}$/.test(text) && text.split('.').every((octet) => Number(octet) <= 255)
}

export function ipv4Number(address: string): number {
  return address.split('.').reduce((total, octet) => total * 256 + Number(octet), 0)
}

export function isInNetwork(address: string, network: string): boolean {
  const [base = '', length = '32'] = network.split('/')
  const size = 2 ** (32 - Number(length))
  return Math.floor(ipv4Number(address) / size) === Math.floor(ipv4Number(base) / size)
}

export const agentVersions: Record<ProcedureVariant, string> = {
  A: 'v4.7.16',
  B: 'v4.7.25',
  C: 'v4.8.18',
  D: 'v4.10.4',
}
