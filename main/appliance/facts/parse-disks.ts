import { z } from 'zod'
import type { BlockDevice, Disk, Signature } from './node-facts.ts'
import { filled, jsonOf } from './parse-text.ts'

const text = z.string().nullish()
// util-linux writes numbers and booleans since 2.33, strings before.
const size = z.union([z.number().int().nonnegative(), z.string().regex(/^\d{1,16}$/u).transform(Number)]) // prettier-ignore
const flag = z.union([z.boolean(), z.enum(['0', '1']).transform((value) => value === '1')]).nullish()

const deviceSchema = z.object({
  name: z.string().min(1),
  kname: text,
  path: text,
  size: size.nullish(),
  type: text,
  fstype: text,
  label: text,
  pttype: text,
  model: text,
  serial: text,
  wwn: text,
  vendor: text,
  tran: text,
  rota: flag,
  ro: flag,
  rm: flag,
  mountpoint: text,
  mountpoints: z.array(z.string().nullable()).nullish(),
  get children() {
    return z.array(deviceSchema).nullish()
  },
})

/** A disk as lsblk alone tells it. */
export type ListedDisk = Omit<Disk, 'links' | 'signatures' | 'health' | 'multipath'>

/**
 * `lsblk -b -J`. `undefined` when it is something else, or a device has no size: a disk that is only half told must not
 * look like one that is empty.
 */
export function parseBlockDevices(output: string): ListedDisk[] | undefined {
  const parsed = z.object({ blockdevices: z.array(deviceSchema) }).safeParse(jsonOf(output))
  if (!parsed.success) return undefined
  try {
    return parsed.data.blockdevices.map((device) => ({
      ...blockDeviceOf(device),
      model: filled(device.model),
      vendor: filled(device.vendor),
      serial: filled(device.serial),
      wwn: filled(device.wwn),
      transport: filled(device.tran),
      isRotational: device.rota ?? undefined,
      isReadOnly: device.ro ?? undefined,
      isRemovable: device.rm ?? undefined,
    }))
  } catch (error) {
    if (error instanceof HalfTold) return undefined
    throw error
  }
}

class HalfTold extends Error {}

function blockDeviceOf(device: z.output<typeof deviceSchema>): BlockDevice {
  if (device.size == null) throw new HalfTold(device.name)
  const kernelName = filled(device.kname) ?? device.name
  return {
    path: filled(device.path) ?? `/dev/${device.name.replaceAll('!', '/')}`,
    kernelName,
    size: device.size,
    type: filled(device.type) ?? 'unknown',
    fileSystem: filled(device.fstype),
    label: filled(device.label),
    partitionTable: filled(device.pttype),
    mountPoints: [
      ...new Set(
        [device.mountpoint, ...(device.mountpoints ?? [])].flatMap((point) => {
          const path = filled(point)
          return path === undefined ? [] : [path]
        }),
      ),
    ],
    children: (device.children ?? []).map(blockDeviceOf),
  }
}

/** `ls -l` of a folder of links to devices: name of the link and kernel name of the device. */
export function parseDeviceLinks(listing: string): { name: string; device: string }[] {
  return listing.split('\n').flatMap((line) => {
    const [, name, device] = /^l\S+\s.*\s(\S+) -> (?:\.\.\/)*(\S+)$/u.exec(line) ?? []
    return name === undefined || device === undefined ? [] : [{ name, device }]
  })
}

const signaturesSchema = z.object({
  signatures: z.array(z.object({ type: z.string(), label: text, uuid: text })),
})

/** `wipefs -n -J` with its standard error between. Versions that find nothing print nothing, and end well. */
export function parseSignatures(output: string, exitCode: number): Signature[] | undefined {
  if (exitCode !== 0) return undefined
  const start = output.indexOf('{')
  if (start === -1) return output.trim() === '' ? [] : undefined
  const parsed = signaturesSchema.safeParse(jsonOf(output.slice(start, output.lastIndexOf('}') + 1)))
  return parsed.data?.signatures.map(({ type, label, uuid }) => ({
    type,
    label: filled(label),
    uuid: filled(uuid),
  }))
}

const healthSchema = z.object({
  smart_status: z.object({ passed: z.boolean() }).optional(),
  smartctl: z.object({ messages: z.array(z.object({ string: z.string() })).optional() }).optional(),
})

/** `smartctl -j -H` (smartmontools 7.0 and later). `reason`: why the disk tells nothing, in its words. */
export function parseHealth(
  output: string,
): { kind: 'told'; health: 'passed' | 'failing' } | { kind: 'untold'; reason: string | undefined } {
  const parsed = healthSchema.safeParse(
    jsonOf(output.slice(Math.max(0, output.indexOf('{')), output.lastIndexOf('}') + 1)),
  )
  const passed = parsed.data?.smart_status?.passed
  if (passed !== undefined) return { kind: 'told', health: passed ? 'passed' : 'failing' }
  return { kind: 'untold', reason: parsed.data?.smartctl?.messages?.[0]?.string }
}
