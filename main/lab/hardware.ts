import { createHash } from 'node:crypto'
import type { PlanNode, ProcedureVariant } from '../../shared/plan/index.ts'
import type { LabContext } from './context.ts'

export const gibibyte = 1024 ** 3

export interface Disk {
  /** `/dev/sda`. */
  path: string
  /** Bytes. */
  size: number
  model: string
  serial: string
  partitions: Partition[]
}

export interface Partition {
  path: string
  size: number
  fsType: string
  label: string
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

export function createHardware(context: LabContext, node: PlanNode): Hardware {
  const { plan, faults } = context
  const small = faults.active('small-disk', node.name)?.fault
  const sizeOf = (disk: 'system' | 'storage') => (small?.disk === disk ? small.gigabytes : 500) * 1000 ** 3
  const serial = stableHash('disk', node.name).slice(0, 12).toUpperCase()
  const system = systemDisk(sizeOf('system'), serial, plan.cluster.storagePoolDrive)
  const storage: Disk = {
    path: plan.cluster.storagePoolDrive,
    size: sizeOf('storage'),
    model: 'Virtual disk',
    serial: `${serial}-2`,
    partitions: [],
  }
  const hasStorage = faults.active('disk-missing', node.name) === null
  return { cpus: 8, memoryBytes: 32 * gibibyte, disks: hasStorage ? [system, storage] : [system] }
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
    path,
    size,
    model: 'Virtual disk',
    serial: `${serial}-1`,
    partitions: layout.map(([label, bytes, mountPoint], index) => ({
      path: `${path}${index + 1}`,
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

export function createNic(context: LabContext, node: PlanNode, mac: string): Nic {
  const { site } = context.plan
  const gateway = site.gateway ?? firstHostOf(site.network)
  return {
    name: node.nic.name === 'auto' ? 'ens160' : node.nic.name,
    mac,
    mode: 'dhcp',
    address: node.address,
    prefix: sitePrefix(context),
    gateway,
    nameservers: [gateway],
    searchDomains: [],
    mtu: 1500,
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
