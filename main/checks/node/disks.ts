import { valueOf, type BlockDevice, type Disk, type Fact } from '../../appliance/facts/index.ts'

const gigabyte = 1_000_000_000

/** The disk at the path that the plan names for the storage pool. */
export type LocatedDrive =
  | { readonly kind: 'unknown'; readonly reason: string; readonly source: string }
  | { readonly kind: 'absent'; readonly disks: readonly Disk[]; readonly source: string }
  | {
      readonly kind: 'found'
      /** The disk itself, or a multipath device of which it is a path. */
      readonly device: BlockDevice
      readonly disk: Disk
      readonly disks: readonly Disk[]
      readonly source: string
    }

export function locateDrive(listed: Fact<readonly Disk[]>, path: string): LocatedDrive {
  if (listed.kind === 'unread') return { kind: 'unknown', reason: listed.reason, source: listed.source }
  const { source } = listed
  const disks = listed.value.filter(isRealDisk)
  for (const disk of disks) {
    const device =
      disk.path === path || (valueOf(disk.links)?.includes(path) ?? false)
        ? disk
        : disk.children.find((child) => child.type === 'mpath' && child.path === path)
    if (device !== undefined) return { kind: 'found', device, disk, disks, source }
  }
  return { kind: 'absent', disks, source }
}

/** lsblk calls memory, network devices and replicated volumes disks as well; a reader without a card has no size. */
function isRealDisk({ type, kernelName, size }: Disk): boolean {
  return type === 'disk' && size > 0 && !/^(zram|ram|nbd|rbd|drbd|fd)\d/.test(kernelName)
}

/** Where the appliance mounts its own partitions (palette.md §6.2). */
const mountsOfSystem = new Set(['/', '/oem', '/usr/local', '/run/initramfs/cos-state', '/efi', '/boot/efi'])

/** The disk that the system was installed on; the largest that is not the storage drive where nothing tells it. */
export function systemDiskOf(drive: Exclude<LocatedDrive, { kind: 'unknown' }>): Disk | undefined {
  const isSystem = (device: BlockDevice): boolean =>
    (device.label?.startsWith('COS_') ?? false) ||
    device.mountPoints.some((point) => mountsOfSystem.has(point)) ||
    device.children.some(isSystem)
  return (
    drive.disks.find(isSystem) ??
    largestOf(drive.disks.filter((disk) => !isDrive(drive, disk) && disk.isRemovable !== true))
  )
}

/** The disk that is most probably meant for storage: the largest one that is fixed and not the system's. */
export function secondDiskOf(drive: Exclude<LocatedDrive, { kind: 'unknown' }>): Disk | undefined {
  if (drive.kind === 'found') return drive.disk
  const system = systemDiskOf(drive)
  return largestOf(drive.disks.filter((disk) => disk !== system && disk.isRemovable !== true))
}

function isDrive(drive: LocatedDrive, disk: Disk): boolean {
  return drive.kind === 'found' && drive.disk === disk
}

function largestOf(disks: readonly Disk[]): Disk | undefined {
  return disks.reduce<Disk | undefined>(
    (largest, disk) => (largest === undefined || disk.size > largest.size ? disk : largest),
    undefined,
  )
}

/** Whole GB, rounded down: what is not enough must not look as if it were. */
export function gigabytesOf({ size }: Pick<BlockDevice, 'size'>): number {
  return Math.floor(size / gigabyte)
}

export function mountsOf(device: BlockDevice): string[] {
  return [...device.mountPoints, ...device.children.flatMap(mountsOf)]
}

/** What is on a device, as the kernel and udev know it. */
export function tracesOf(device: BlockDevice): string[] {
  const own = [
    ...(device.partitionTable === undefined || device.children.length > 0
      ? []
      : [`${device.partitionTable} partition table on ${device.path}`]),
    ...(device.fileSystem === undefined ? [] : [`${device.fileSystem} on ${device.path}`]),
  ]
  return [...own, ...device.children.flatMap((child) => [`${child.type} ${child.path}`, ...tracesOf(child)])]
}

/** Size, make and lasting names, so that an operator finds the right disk: `500 GB, Virtual disk, serial 42, …`. */
export function describeDisk(disk: Disk): string {
  const { model, serial, vendor } = disk
  return [
    `${gigabytesOf(disk)} GB`,
    ...(model === undefined ? [] : [vendor === undefined ? model : `${vendor.trim()} ${model}`]),
    ...(serial === undefined ? [] : [`serial ${serial}`]),
  ].join(', ')
}

/** Names that stay the same when disks change places; the first few. */
export function lastingNamesOf(disk: Disk): string {
  const names = (valueOf(disk.links) ?? []).filter((link) => link.startsWith('/dev/disk/by-id/'))
  return names.length === 0 ? 'no name in /dev/disk/by-id' : names.slice(0, 3).join(' ')
}
