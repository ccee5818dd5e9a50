import { gibibyte, type Disk, type Partition } from '../../hardware.ts'
import type { Command, CommandCall } from '../shell.ts'
import { split, usage } from './arguments.ts'

type Cell = string | number | boolean | null | (string | null)[]
/** A multipath device, of which a disk is one path. */
interface Map {
  map: string
  size: number
}
type Device = Disk | Partition | Map

const isDisk = (item: Device): item is Disk => 'partitions' in item
const pathOf = (item: Device) => ('map' in item ? `/dev/mapper/${item.map}` : item.path)
const fileSystemOf = (item: Device) =>
  isDisk(item)
    ? item.multipath === null
      ? (item.signatures[0] ?? null)
      : 'mpath_member'
    : 'fsType' in item
      ? item.fsType
      : null

const blockColumns: Record<string, (item: Device) => Cell> = {
  NAME: (item) => ('map' in item ? item.map : item.path.replace('/dev/', '')),
  KNAME: (item) => ('map' in item ? 'dm-0' : item.path.replace('/dev/', '')),
  PATH: pathOf,
  SIZE: (item) => item.size,
  TYPE: (item) => ('map' in item ? 'mpath' : isDisk(item) ? 'disk' : 'part'),
  FSTYPE: fileSystemOf,
  LABEL: (item) => ('label' in item ? item.label : null),
  MOUNTPOINT: (item) => ('mountPoint' in item ? item.mountPoint : null),
  MOUNTPOINTS: (item) => ['mountPoint' in item ? item.mountPoint : null],
  MODEL: (item) => ('model' in item ? item.model : null),
  SERIAL: (item) => ('serial' in item ? item.serial : null),
  VENDOR: (item) => (isDisk(item) ? 'VMware' : null),
  WWN: () => null,
  HCTL: () => null,
  ROTA: () => false,
  RO: (item) => isDisk(item) && item.isReadOnly,
  RM: (item) => isDisk(item) && item.isRemovable,
  TRAN: (item) => (isDisk(item) ? (item.path.includes('nvme') ? 'nvme' : 'sas') : null),
  PKNAME: (item) =>
    isDisk(item) || 'map' in item ? null : item.path.replace('/dev/', '').replace(/(?<=\d)p\d+$|\d+$/, ''),
  UUID: () => null,
  PTTYPE: (item) => (isDisk(item) && item.partitions.length > 0 ? 'gpt' : null),
}

export const lsblk: Command = async (call) => {
  const { options, operands } = split(call.args, ['-o', '--output', '-e', '-I'])
  const requested = (options.get('-o') ?? options.get('--output') ?? 'NAME,SIZE,RO,TYPE,MOUNTPOINTS')
    .toUpperCase()
    .split(',')
  const unknown = requested.find((column) => !(column in blockColumns))
  if (unknown !== undefined) return await usage(call, `lsblk: unknown column: ${unknown.toLowerCase()}`, 1)
  if (options.has('-s') || options.has('--inverse')) return await inverse(call, operands)
  const wanted = call.node.hardware.disks.filter(
    (disk) => operands.length === 0 || operands.some((path) => isAt(disk, path)),
  )
  const missing = operands.find((path) => !call.node.hardware.disks.some((disk) => isAt(disk, path)))
  if (missing !== undefined) await call.err(`lsblk: ${missing}: not a block device\n`)
  const isInBytes = options.has('-b') || options.has('--bytes')
  const row = (item: Device): Record<string, Cell> =>
    Object.fromEntries(
      requested.map((column) => {
        const value = blockColumns[column]?.(item) ?? null
        return [
          column.toLowerCase(),
          column === 'SIZE' && !isInBytes ? `${(item.size / gibibyte).toFixed(1)}G` : value,
        ]
      }),
    )
  const isFlat = options.has('-d') || options.has('--nodeps')
  if (options.has('-J') || options.has('--json')) {
    const blockdevices = wanted.map((disk) => {
      const children = isFlat ? [] : childrenOf(disk)
      return { ...row(disk), ...(children.length > 0 ? { children: children.map(row) } : {}) }
    })
    await call.out(`${JSON.stringify({ blockdevices }, null, 3)}\n`)
  } else {
    const items = wanted.flatMap((disk) => (isFlat ? [disk] : [disk, ...childrenOf(disk)]))
    if (!options.has('-n') && !options.has('--noheadings')) await call.out(`${requested.join(' ')}\n`)
    for (const item of items) {
      await call.out(
        `${Object.values(row(item))
          .map((value) => (value === null ? '' : value.toString()))
          .join(' ')}\n`,
      )
    }
  }
  return missing === undefined ? 0 : 32
}

/** `lsblk -nlso PATH`: each device, then the disk that it lies on. */
async function inverse(call: CommandCall, operands: readonly string[]): Promise<number> {
  for (const path of operands) {
    const disk = call.node.hardware.disks.find(
      (one) => isAt(one, path) || one.partitions.some((part) => part.path === path),
    )
    if (disk === undefined) return await usage(call, `lsblk: ${path}: not a block device`, 32)
    await call.out([...new Set([path, disk.path])].map((one) => `${one}\n`).join(''))
  }
  return 0
}

export const findmnt: Command = async (call) => {
  const partitions = call.node.hardware.disks.flatMap((disk) => disk.partitions)
  const filesystems = [
    // The root is an overlay over an image.
    { target: '/', source: 'overlay' },
    ...partitions.flatMap(({ path, mountPoint }) =>
      mountPoint === null ? [] : [{ target: mountPoint, source: path }],
    ),
  ]
  await call.out(`${JSON.stringify({ filesystems }, null, 3)}\n`)
  return 0
}

function isAt(disk: Disk, path: string): boolean {
  return disk.path === path || disk.links.includes(path)
}

function childrenOf(disk: Disk): Device[] {
  return [...disk.partitions, ...(disk.multipath === null ? [] : [{ map: disk.multipath, size: disk.size }])]
}

export const wipefs: Command = async (call) => {
  const { operands, options } = split(call.args)
  if (call.user !== 'root')
    return await usage(call, 'wipefs: error: probing initialization failed: Permission denied', 1)
  const onlyLooks = options.has('-n') || options.has('--no-act')
  const erases = options.has('-a') || options.has('--all')
  for (const path of operands) {
    const { disks } = call.node.hardware
    const partition = disks.flatMap((one) => one.partitions).find((one) => one.path === path)
    if (partition !== undefined && erases && !onlyLooks) {
      if (partition.mountPoint !== null) return await busy(call, path)
      partition.fsType = null
      partition.label = null
      continue
    }
    const disk = disks.find((one) => isAt(one, path))
    if (disk === undefined)
      return await usage(
        call,
        `wipefs: error: ${path}: probing initialization failed: No such file or directory`,
        1,
      )
    if (!erases || onlyLooks) {
      const types = [...(disk.partitions.length > 0 ? ['gpt'] : []), ...disk.signatures]
      const signatures = types.map((type) => ({ device: path.replace('/dev/', ''), offset: '0x0', type, uuid: null, label: null })) // prettier-ignore
      if (!options.has('-J') && !options.has('--json'))
        await call.out(types.map((type) => `${path}: ${type}\n`).join('')) // prettier-ignore
      // Real ones that find nothing print nothing.
      else if (types.length > 0) await call.out(`${JSON.stringify({ signatures }, null, 3)}\n`)
      continue
    }
    if (disk.partitions.some((one) => one.mountPoint !== null)) return await busy(call, path)
    disk.partitions = []
    disk.signatures = []
  }
  return 0
}

function busy(call: CommandCall, path: string): Promise<number> {
  return usage(call, `wipefs: error: ${path}: probing initialization failed: Device or resource busy`, 1)
}

export const df: Command = async (call) => {
  const { operands } = split(call.args, ['--output'])
  const [system] = call.node.hardware.disks
  const persistent = system?.partitions.find((partition) => partition.mountPoint === '/usr/local')
  const size = persistent?.size ?? 0
  const used = call.node.uploads.reduce((total, upload) => total + upload.size, 0)
  await call.out('Filesystem 1B-blocks Used Available Use% Mounted on\n')
  for (const path of operands.length === 0 ? ['/', '/usr/local'] : operands) {
    const isRoot = path === '/'
    const line = isRoot
      ? `overlay ${8 * gibibyte} ${gibibyte} ${7 * gibibyte} 13% /`
      : `${persistent?.path ?? '/dev/sda5'} ${size} ${used} ${Math.max(0, size - used)} ${Math.round((used / Math.max(1, size)) * 100)}% /usr/local`
    await call.out(`${line}\n`)
  }
  return 0
}
