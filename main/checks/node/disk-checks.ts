import { valueOf } from '../../appliance/facts/index.ts'
import {
  describeDisk,
  gigabytesOf,
  lastingNamesOf,
  mountsOf,
  secondDiskOf,
  systemDiskOf,
  tracesOf,
  type LocatedDrive,
} from './disks.ts'
import { listed, unknown, verdict, type Question, type Verdict } from './question.ts'
import type { Subject } from './subject.ts'

type Found = Extract<LocatedDrive, { kind: 'found' }>
type Known = Exclude<LocatedDrive, { kind: 'unknown' }>

/** Disks of a node (checks.md §3.3). */
export const diskChecks: readonly Question<Subject>[] = [
  {
    id: 'node.disk1',
    threshold: ({ minimum }) => `at least ${minimum.firstDiskGigabytes} GB`,
    remedy: () => 'Give the node a larger first disk and install it again.',
    ask: (subject) =>
      onDisks(subject, (drive) => {
        const disk = systemDiskOf(drive)
        return disk === undefined
          ? verdict(false, 'there is no disk for the system', drive.source)
          : verdict(
              gigabytesOf(disk) >= subject.minimum.firstDiskGigabytes,
              `${disk.path}: ${gigabytesOf(disk)} GB`,
              drive.source,
            )
      }),
  },
  {
    id: 'node.disk2',
    threshold: ({ minimum }) => `at least ${minimum.storageDiskGigabytes} GB`,
    remedy: () => 'Give the node a second disk of this size. Its content is destroyed by the installation.',
    ask: (subject) =>
      onDisks(subject, (drive) => {
        const disk = secondDiskOf(drive)
        return disk === undefined
          ? verdict(false, 'there is no second disk', drive.source)
          : verdict(
              gigabytesOf(disk) >= subject.minimum.storageDiskGigabytes,
              `${disk.path}: ${gigabytesOf(disk)} GB`,
              drive.source,
            )
      }),
  },
  {
    id: 'node.disk2-path',
    threshold: ({ plan, minimum }) =>
      `${plan.cluster.storagePoolDrive} on every node: a fixed disk of at least ${minimum.storageDiskGigabytes} GB, ` +
      'not the disk of the system, nothing mounted',
    remedy: () =>
      'Set cluster.storagePoolDrive to the path that the second disk has on every node, or add the disk. ' +
      'Its content is destroyed by the installation.',
    ask: (subject) =>
      onDisks(subject, (drive) =>
        drive.kind === 'found' ? judgeDrive(subject, drive) : absentDrive(subject, drive),
      ),
  },
  {
    id: 'node.disk2-data',
    threshold: ({ plan }) =>
      `nothing on ${plan.cluster.storagePoolDrive}, or consent in the plan (confirmErase)`,
    remedy: ({ node }) =>
      `The installation destroys what is on this drive. Save it, or write "confirmErase: ${node.name}" at ` +
      `nodes "${node.name}" of the plan if it is not needed.`,
    ask: (subject) => onDrive(subject, (drive) => judgeData(subject, drive)),
  },
  {
    id: 'node.disk-health',
    threshold: () => 'no disk expects to fail (SMART)',
    remedy: () =>
      'Replace the disk before the installation, and install the node again if it was the first one.',
    ask: (subject) => onDisks(subject, (drive) => judgeHealth(subject, drive)),
  },
  {
    id: 'node.multipath',
    threshold: ({ plan }) =>
      `${plan.cluster.storagePoolDrive} is a disk of its own, or the multipath device itself`,
    remedy: () => 'Set cluster.storagePoolDrive to the multipath device (/dev/mapper/…), or to a local disk.',
    ask: (subject) =>
      onDrive(subject, ({ device, disk, source }) => {
        if (device !== disk) return verdict(true, `${device.path} is the multipath device itself`, source)
        const { multipath } = disk
        if (multipath.kind === 'unread') return unknown(`unknown: ${multipath.reason}`, multipath.source)
        return multipath.value === undefined
          ? verdict(true, `${disk.path} is no path of a multipath device`, multipath.source)
          : verdict(false, `${disk.path} is a path of ${multipath.value}`, multipath.source)
      }),
  },
]

function onDisks({ drive }: Subject, judge: (drive: Known) => Verdict): Verdict {
  return drive.kind === 'unknown' ? unknown(`unknown: ${drive.reason}`, drive.source) : judge(drive)
}

function onDrive(subject: Subject, judge: (drive: Found) => Verdict): Verdict {
  return onDisks(subject, (drive) =>
    drive.kind === 'found' ? judge(drive) : unknown('there is no such drive', drive.source),
  )
}

function absentDrive({ plan, node, fleet }: Subject, drive: Known): Verdict {
  const path = plan.cluster.storagePoolDrive
  const second = secondDiskOf(drive)
  const paths = listed(drive.disks.map((disk) => disk.path)) || 'none'
  const guess =
    second === undefined ? '' : `; the second disk seems to be ${second.path} (${describeDisk(second)})`
  const other = fleet.find((one) => one.node !== node && one.drive.kind === 'found')
  return {
    ...verdict(false, `not there; disks: ${paths}${guess}`, evidenceOf(drive, second)),
    ...(other?.drive.kind === 'found'
      ? {
          remedy:
            `On ${other.node.name} ${path} is ${describeDisk(other.drive.disk)} (${lastingNamesOf(other.drive.disk)}). ` +
            'All nodes need the same path: change the order of the disks or their controllers, or name a path that all have ' +
            'in cluster.storagePoolDrive, for example one in /dev/disk/by-path.',
        }
      : {}),
  }
}

function judgeDrive({ plan, facts, minimum }: Subject, drive: Found): Verdict {
  const { device, disk } = drive
  const evidence = evidenceOf(drive, disk)
  const fail = (measured: string) => verdict(false, measured, evidence)
  // Only where something tells it: the largest other disk is a guess.
  if (systemDiskOf(drive) === disk) return fail(`${device.path} is the disk that the system runs from`)
  if (disk.isRemovable === undefined || disk.isReadOnly === undefined)
    return unknown('lsblk does not tell whether it is removable or read-only', evidence)
  if (disk.isRemovable) return fail('removable')
  if (disk.isReadOnly) return fail('read-only')
  const mounts = mountsOf(device)
  // Once this plan's cluster is there, the drive is in use by the cluster itself.
  if (mounts.length > 0 && facts.clusterName !== plan.cluster.name) return fail(`in use: ${listed(mounts)}`)
  return verdict(gigabytesOf(device) >= minimum.storageDiskGigabytes, describeDisk(disk), evidence)
}

function evidenceOf({ source }: Known, disk: Parameters<typeof lastingNamesOf>[0] | undefined): string {
  return disk === undefined ? source : `${source}; /dev/disk/by-id: ${lastingNamesOf(disk)}`
}

function judgeData({ plan, node, facts }: Subject, { device, disk, source }: Found): Verdict {
  const { signatures } = disk
  const evidence = `${source}; ${signatures.source}`
  const seen = tracesOf(device)
  const further = (valueOf(signatures) ?? [])
    .filter(({ type }) => !seen.some((trace) => trace.startsWith(`${type} `)))
    .map(({ type, label }) => `${type}${label === undefined ? '' : ` "${label}"`} on ${disk.path}`)
  const traces = [...seen, ...further]
  // Once the cluster is there, what the drive holds is the cluster's own.
  if (traces.length > 0 && facts.clusterName === plan.cluster.name)
    return verdict(true, 'used by this cluster', evidence)
  if (traces.length === 0) {
    return signatures.kind === 'read'
      ? verdict(true, 'empty', evidence)
      : unknown(`unknown: ${signatures.reason}`, evidence)
  }
  const measured = `holds ${listed(traces, ', ')}`
  return node.confirmErase === node.name
    ? verdict(true, `${measured}; to be destroyed as the plan says`, evidence)
    : verdict(false, measured, evidence)
}

function judgeHealth({ host }: Subject, { disks, source }: Known): Verdict {
  const evidence = 'smartctl -H'
  const failing = disks.filter(({ health }) => valueOf(health) === 'failing')
  if (failing.length > 0)
    return verdict(false, `near to failing: ${listed(failing.map(({ path }) => path))}`, evidence)
  if (disks.length === 0) return unknown('there are no disks', source)
  const untold = disks.flatMap(({ path, health }) =>
    health.kind === 'unread' ? [{ path, reason: health.reason }] : [],
  )
  const [first] = untold
  if (first === undefined) return verdict(true, `none of ${disks.length} expects to fail`, evidence)
  const hypervisor = valueOf(host.identity.virtualization)
  if (hypervisor !== undefined && hypervisor !== 'none') {
    return {
      state: 'skipped',
      measured: `not asked of virtual disks (${hypervisor}): look at the storage below them`,
      evidence: host.identity.virtualization.source,
    }
  }
  return {
    ...unknown(`unknown of ${listed(untold.map(({ path }) => path))}: ${first.reason}`, evidence),
    // The image may come without it, and then nobody can be asked to accept anything.
    ...(first.reason.includes('there is no program') ? { severity: 'info' as const } : {}),
  }
}
