import { z } from 'zod'
import { problemOf, type Remedy, type RemedyContext, type RemedyPlan } from './remedy.ts'

interface Device {
  readonly path: string
  readonly type?: string | null | undefined
  readonly size?: number | string | null | undefined
  readonly model?: string | null | undefined
  readonly serial?: string | null | undefined
  readonly wwn?: string | null | undefined
  readonly fstype?: string | null | undefined
  readonly label?: string | null | undefined
  readonly mountpoint?: string | null | undefined
  readonly children?: readonly Device[] | undefined
}

const deviceSchema: z.ZodType<Device> = z.lazy(() =>
  z.object({
    path: z.string(),
    type: z.string().nullish(),
    size: z.union([z.number(), z.string()]).nullish(),
    model: z.string().nullish(),
    serial: z.string().nullish(),
    wwn: z.string().nullish(),
    fstype: z.string().nullish(),
    label: z.string().nullish(),
    mountpoint: z.string().nullish(),
    children: z.array(deviceSchema).optional(),
  }),
)
const listSchema = z.object({ blockdevices: z.array(deviceSchema) })

/** Empties the storage pool drive of a node: signatures of file systems, RAID and partition tables (wipefs(8)). */
export const wipeDataDisk: Remedy = {
  id: 'wipe-data-disk',
  checkIds: ['node.disk2-data'],
  isDestructive: true,
  plan: look,
  async apply(context, plan, confirmedName) {
    const { node, runner, signal } = context
    if (plan.kind !== 'offered') return { kind: 'refused', reason: plan.reason }
    if (confirmedName !== node.name)
      return { kind: 'refused', reason: `The name that was typed is not ${node.name}. Nothing was changed.` }
    // The same path may mean another disk by now.
    const again = await look(context)
    if (again.kind !== 'offered') return { kind: 'refused', reason: again.reason }
    if (again.seen !== plan.seen)
      return { kind: 'refused', reason: 'The disk is not as it was shown. Nothing was changed; look again.' }
    const path = context.plan.cluster.storagePoolDrive
    const parts = again.lines.flatMap((line) => /^-(\/dev\/\S+) /.exec(line)?.[1] ?? [])
    // What lies on partitions first: without the table they are not found any more.
    for (const device of [...parts.filter((part) => part !== path), path]) {
      const problem = problemOf(
        await runner.run('wipefs', ['-a', device], { signal, deadlineSeconds: 60, asRoot: true }),
      )
      if (problem !== undefined) return { kind: 'failed', reason: `wipefs -a ${device}: ${problem}` }
    }
    const after = await look(context)
    return after.kind === 'not-needed'
      ? { kind: 'done', seen: after.reason }
      : {
          kind: 'failed',
          reason: `Something is still on ${path}: ${'lines' in after ? after.lines.join('; ') : after.reason}`,
        }
  },
}

async function look({ plan, node, runner, signal }: RemedyContext): Promise<RemedyPlan> {
  const path = plan.cluster.storagePoolDrive
  const result = await runner.run(
    'lsblk',
    ['-J', '-b', '-o', 'PATH,TYPE,SIZE,MODEL,SERIAL,WWN,FSTYPE,LABEL,MOUNTPOINT', path],
    { signal, deadlineSeconds: 20 },
  )
  const problem = problemOf(result)
  if (result.kind !== 'ended' || problem !== undefined)
    return { kind: 'not-offered', reason: `${path} of ${node.name} cannot be read: ${problem ?? ''}` }
  const parsed = listSchema.safeParse(jsonOf(result.stdout))
  const [disk] = parsed.success ? parsed.data.blockdevices : []
  if (disk === undefined)
    return { kind: 'not-offered', reason: `lsblk does not tell ${path} of ${node.name}.` }
  if (disk.type !== 'disk') return { kind: 'not-offered', reason: `${path} is no whole disk.` }
  const all = withChildren(disk)
  const mounted = all.find((one) => one.mountpoint != null && one.mountpoint !== '')
  if (mounted !== undefined)
    return {
      kind: 'not-offered',
      reason: `${mounted.path} is in use: mounted at ${mounted.mountpoint ?? ''}.`,
    }
  const active = all.find((one) => one !== disk && one.type !== 'part')
  if (active !== undefined)
    return {
      kind: 'not-offered',
      reason: `${active.path} (${active.type ?? 'unknown'}) on ${path} is active. Stop it on ${node.name} first (vgchange -an, mdadm --stop, multipath -f).`,
    }
  const running = await runningFrom(runner, signal)
  if (running instanceof Error)
    return {
      kind: 'not-offered',
      reason: `It cannot be told from which disk ${node.name} runs: ${running.message}`,
    }
  const inUse = running.find(({ disk: one }) => all.some((part) => part.path === one))
  if (inUse !== undefined)
    return { kind: 'not-offered', reason: `${node.name} runs from ${path}: ${inUse.mountPoint} lies on it.` }
  // Labels of an installed system (palette.md §6.3): the node may run from this disk.
  const system = all.find((one) => (one.label ?? '').startsWith('COS_'))
  if (system !== undefined)
    return {
      kind: 'not-offered',
      reason: `${system.path} carries ${system.label ?? ''}: an operating system is installed on this disk.`,
    }
  if (!isTold(disk.serial) && !isTold(disk.wwn))
    return {
      kind: 'not-offered',
      reason: `${path} has neither a serial number nor a WWN, so it cannot be told from other disks.`,
    }
  const name = [
    disk.model ?? 'disk',
    ...(isTold(disk.serial) ? [`serial ${disk.serial}`] : []),
    ...(isTold(disk.wwn) ? [`WWN ${disk.wwn}`] : []),
    `${String(disk.size)} bytes`,
  ].join(', ')
  const found = all.filter((one) => one !== disk || (one.fstype ?? '') !== '')
  if (found.length === 0) return { kind: 'not-needed', reason: `Nothing is on ${path} (${name}).` }
  return {
    kind: 'offered',
    lines: [
      `${path} of ${node.name}: ${name}`,
      ...found.map((one) =>
        `-${one.path} ${one.type ?? ''} ${one.fstype ?? ''} ${one.label ?? ''}`.trimEnd(),
      ),
      '+(nothing)',
    ],
    seen: JSON.stringify(disk),
  }
}

/** Where the system of an appliance is mounted from (palette.md §6.3), installed or from the ISO. */
const systemPlaces = ['/', '/oem', '/usr/local', '/run/initramfs/cos-state', '/run/initramfs/live']

const mountsSchema = z.object({ filesystems: z.array(z.object({ target: z.string(), source: z.string() })) })

/**
 * The devices that the node runs from, with all disks below them; an Error where the node does not tell. Mounts of overlays
 * and of a RAM disk have no device.
 */
async function runningFrom(
  runner: RemedyContext['runner'],
  signal: AbortSignal,
): Promise<{ mountPoint: string; disk: string }[] | Error> {
  const options = { signal, deadlineSeconds: 20 }
  const mounts = await runner.run('findmnt', ['-J', '-l', '-o', 'TARGET,SOURCE'], options)
  const problem = problemOf(mounts)
  if (mounts.kind !== 'ended' || problem !== undefined) return new Error(`findmnt: ${problem ?? ''}`)
  const parsed = mountsSchema.safeParse(jsonOf(mounts.stdout))
  if (!parsed.success) return new Error('the answer of findmnt is not understood')
  const found: { mountPoint: string; disk: string }[] = []
  for (const { target, source } of parsed.data.filesystems) {
    // A bind mount names the folder as well: /dev/sda5[/state].
    const device = /^\/dev\/[^[]+/.exec(source)?.[0]
    if (!systemPlaces.includes(target) || device === undefined) continue
    // From the device down to the disks: a partition, or a volume over several.
    const below = await runner.run('lsblk', ['-n', '-l', '-s', '-o', 'PATH', device], options)
    const trouble = problemOf(below)
    if (below.kind !== 'ended' || trouble !== undefined) return new Error(`lsblk ${device}: ${trouble ?? ''}`)
    for (const line of below.stdout.split('\n'))
      if (line.trim() !== '') found.push({ mountPoint: target, disk: line.trim() })
  }
  return found
}

function isTold(text: string | null | undefined): text is string {
  return text != null && text !== ''
}

function withChildren(device: Device): Device[] {
  return [device, ...(device.children ?? []).flatMap(withChildren)]
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
