import { gibibyte, type Disk, type Partition } from '../../hardware.ts'
import type { Command } from '../shell.ts'
import { split, usage } from './arguments.ts'

type Cell = string | number | boolean | null | (string | null)[]

const blockColumns: Record<string, (item: Disk | Partition) => Cell> = {
  NAME: (item) => item.path.replace('/dev/', ''),
  KNAME: (item) => item.path.replace('/dev/', ''),
  PATH: (item) => item.path,
  SIZE: (item) => item.size,
  TYPE: (item) => ('partitions' in item ? 'disk' : 'part'),
  FSTYPE: (item) => ('fsType' in item ? item.fsType : null),
  LABEL: (item) => ('label' in item ? item.label : null),
  MOUNTPOINT: (item) => ('mountPoint' in item ? item.mountPoint : null),
  MOUNTPOINTS: (item) => ['mountPoint' in item ? item.mountPoint : null],
  MODEL: (item) => ('model' in item ? item.model : null),
  SERIAL: (item) => ('serial' in item ? item.serial : null),
  ROTA: () => false,
  RO: () => false,
  RM: () => false,
  TRAN: (item) => ('partitions' in item ? 'sas' : null),
  PKNAME: (item) => ('partitions' in item ? null : item.path.replace('/dev/', '').replace(/p?\d+$/, '')),
  UUID: () => null,
  PTTYPE: (item) => ('partitions' in item && item.partitions.length === 0 ? null : 'gpt'),
}

export const lsblk: Command = async (call) => {
  const { options, operands } = split(call.args, ['-o', '--output', '-e', '-I'])
  const requested = (options.get('-o') ?? options.get('--output') ?? 'NAME,SIZE,RO,TYPE,MOUNTPOINTS')
    .toUpperCase()
    .split(',')
  const unknown = requested.find((column) => !(column in blockColumns))
  if (unknown !== undefined) return await usage(call, `lsblk: unknown column: ${unknown.toLowerCase()}`, 1)
  const wanted = call.node.hardware.disks.filter(
    (disk) => operands.length === 0 || operands.includes(disk.path),
  )
  const missing = operands.find((path) => !call.node.hardware.disks.some((disk) => disk.path === path))
  if (missing !== undefined) await call.err(`lsblk: ${missing}: not a block device\n`)
  const isInBytes = options.has('-b') || options.has('--bytes')
  const row = (item: Disk | Partition): Record<string, Cell> =>
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
    const blockdevices = wanted.map((disk) => ({
      ...row(disk),
      ...(disk.partitions.length > 0 && !isFlat ? { children: disk.partitions.map(row) } : {}),
    }))
    await call.out(`${JSON.stringify({ blockdevices }, null, 3)}\n`)
  } else {
    const items = wanted.flatMap((disk) => (isFlat ? [disk] : [disk, ...disk.partitions]))
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

export const wipefs: Command = async (call) => {
  const { operands } = split(call.args)
  if (call.user !== 'root')
    return await usage(call, 'wipefs: error: probing initialization failed: Permission denied', 1)
  for (const path of operands) {
    const disk = call.node.hardware.disks.find((one) => one.path === path)
    if (disk === undefined)
      return await usage(
        call,
        `wipefs: error: ${path}: probing initialization failed: No such file or directory`,
        1,
      )
    if (disk.partitions.some((partition) => partition.mountPoint !== null)) {
      return await usage(
        call,
        `wipefs: error: ${path}: probing initialization failed: Device or resource busy`,
        1,
      )
    }
    disk.partitions = []
  }
  return 0
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
