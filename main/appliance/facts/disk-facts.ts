import { type Fact, mapFact, parseFact, read, unread } from './fact.ts'
import type { Disk } from './node-facts.ts'
import {
  type ListedDisk,
  parseBlockDevices,
  parseDeviceLinks,
  parseHealth,
  parseSignatures,
} from './parse-disks.ts'
import { assignmentsOf, integerOf } from './parse-text.ts'
import type { ReportReader } from './report-reader.ts'
import type { ReportPart } from './report.ts'

/** Loop devices, drives and what is made of disks are left out. */
const onlyDisks = 'only disks are asked for it'

export function diskFacts(reader: ReportReader): Fact<readonly Disk[]> {
  const listed = parseFact(reader.output('block-devices'), parseBlockDevices)
  const links = reader.parts('disk-links')
  const maps = reader.parts('multipath')
  const signatures = reader.partsSoFar('signatures')
  const health = reader.partsSoFar('health')
  return mapFact(listed, (disks) =>
    disks.map((disk): Disk => {
      const name = disk.path.replace(/^\/dev\//u, '')
      return {
        ...disk,
        links: linksOf(links, disk),
        signatures: signaturesOf(reader, signatures, name),
        health: healthOf(reader, health, name),
        multipath: multipathOf(maps, disk, listed.source),
      }
    }),
  )
}

function linksOf(parts: Fact<readonly ReportPart[]>, disk: ListedDisk): Disk['links'] {
  return mapFact(parts, (folders) =>
    folders
      .filter(({ kind }) => kind === 'folder')
      .flatMap((folder) =>
        parseDeviceLinks(folder.text)
          .filter(({ device }) => device === disk.kernelName)
          .map((link) => `/dev/disk/${folder.name}/${link.name}`),
      ),
  )
}

function signaturesOf(reader: ReportReader, parts: readonly ReportPart[], name: string): Disk['signatures'] {
  const source = `wipefs -n -J /dev/${name}`
  const place = parts.findIndex((part) => part.kind === 'disk' && part.name === name)
  const output = parts[place]
  const status = parts[place + 1]
  if (output === undefined || status?.kind !== 'status')
    return unread(reader.whyNot('signatures', onlyDisks), source)
  const exitCode = integerOf(status.name) ?? -1
  return exitCode === 0
    ? parseFact(read(output.text, source), (text) => parseSignatures(text, exitCode))
    : unread(output.text.trim().split('\n')[0] ?? '', source)
}

function healthOf(reader: ReportReader, parts: readonly ReportPart[], name: string): Disk['health'] {
  const source = `smartctl -H /dev/${name}`
  const part = parts.find((one) => one.kind === 'disk' && one.name === name)
  if (part === undefined) return unread(reader.whyNot('health', onlyDisks), source)
  const answer = parseHealth(part.text)
  return answer.kind === 'told'
    ? read(answer.health, source)
    : unread(answer.reason ?? 'the disk does not tell', source)
}

function multipathOf(
  maps: Fact<readonly ReportPart[]>,
  disk: ListedDisk,
  listSource: string,
): Disk['multipath'] {
  // lsblk alone is enough for a yes, but not for a no.
  const child = disk.children.find(({ type }) => type === 'mpath')
  if (child !== undefined) return read(child.path.replace(/^\/dev\/(mapper\/)?/u, ''), listSource)
  if (disk.fileSystem === 'mpath_member') return read('a path that is not in use', listSource)
  return mapFact(maps, (parts) => {
    const map = parts.find(
      ({ text }) => /^uuid=mpath-/mu.test(text) && text.split('\n').includes(`slave=${disk.kernelName}`),
    )
    return map === undefined ? undefined : (assignmentsOf(map.text).get('name') ?? map.name)
  })
}
