import type { EdgeHost, LocalSettings } from '../index.ts'
import { mergeGateways, mergeInterfaces, mergeNameServers, type MergedInterface } from './merge-network.ts'
import { hostSource, mapMerged, merge, nothing, same, ssh, told, type Merged, type Told } from './merged.ts'
import type { HostFacts } from './node-facts.ts'
import { filled, wordsOf } from './parse-text.ts'

export interface MergedFacts {
  /** `metadata.id` of the edge host. Only the API tells it. */
  readonly edgeHostId: Merged<string>
  readonly agentVersion: Merged<string>
  readonly managementMode: Merged<string>
  readonly installationMode: Merged<string>
  readonly hostName: Merged<string>
  readonly cpuCount: Merged<number>
  /** Bytes that programs may use. */
  readonly memory: Merged<number>
  /** `amd64`, `arm64`. */
  readonly architecture: Merged<string>
  /** e.g. `ubuntu` */
  readonly osFamily: Merged<string>
  readonly osVersion: Merged<string>
  readonly kernelRelease: Merged<string>
  readonly isSecureBootOn: Merged<boolean>
  readonly disks: Merged<readonly MergedDisk[]>
  /** Every interface that either of them knows, by name. */
  readonly interfaces: ReadonlyMap<string, MergedInterface>
  readonly gateway: Merged<readonly string[]>
  readonly dnsServers: Merged<readonly string[]>
}

export interface MergedDisk {
  /** The API has no names of devices. */
  readonly path: string | undefined
  readonly size: number
}

export interface FactSources {
  /** `undefined`: the Local API did not answer. */
  readonly edgeHost: EdgeHost | undefined
  readonly settings: LocalSettings | undefined
  /** `undefined`: the node could not be reached over SSH. */
  readonly host: HostFacts | undefined
}

const settingsSource = 'GET /v1/edge-mgmt/settings'

/**
 * Puts together what the Local API and SSH tell about one node. What counts as the same:
 *
 * - memory: the API may count the memory that the kernel sees or all that is installed, in MiB or MB;
 * - MAC addresses, operating systems and host names: without regard to case; a host name also with or without its domain;
 * - addresses: with or without prefix;
 * - disks: the same number of disks of the same sizes, in GB or GiB;
 * - interfaces and name servers: an interface that only SSH knows is no contradiction, as the API leaves out what is not
 *   a card.
 */
export function mergeFacts({ edgeHost, settings, host }: FactSources): MergedFacts {
  const { spec, status, metadata } = edgeHost ?? {}
  const hardware = spec?.hardwareSpec
  const api = <Value>(value: Value | undefined): Told<Value> => told(value, hostSource)
  return {
    edgeHostId: merge(api(filled(metadata?.id)), nothing, same),
    agentVersion: merge(api(filled(status?.agentVersion)), nothing, same),
    managementMode: merge(told(filled(settings?.managementMode), settingsSource), nothing, same),
    installationMode: merge(told(filled(settings?.installationMode), settingsSource), nothing, same),
    hostName: merge(api(filled(status?.hostName)), ssh(host?.hostName.current), isSameHostName),
    cpuCount: merge(api(hardware?.cpu?.cores), ssh(host?.cpu.count), same),
    memory: merge(api(memoryOf(hardware?.memory?.sizeInMB)), ssh(host?.memory.total), (a, b) =>
      isSameMemory(a, b, host === undefined ? nothing : ssh(host.memory.installed)),
    ),
    architecture: merge(api(filled(hardware?.archType)), ssh(host?.os.architecture), isSameWord),
    osFamily: merge(api(filled(hardware?.os?.family)), ssh(host?.os.id), (family, id) =>
      [id, ...familyNames(host)].some((name) => isSameWord(family, name)),
    ),
    osVersion: merge(api(filled(hardware?.os?.version)), ssh(host?.os.version), (a, b) =>
      [b, ...releaseValues(host, 'KAIROS_FLAVOR_RELEASE')].some((version) => isSameVersion(a, version)),
    ),
    kernelRelease: merge(
      api(filled(hardware?.os?.kernelVersion)),
      ssh(host?.os.kernelRelease),
      isSameVersion,
    ),
    isSecureBootOn: merge(api(spec?.hostInfo?.secureBoot), secureBootOf(host), same),
    disks: mergeDisks(edgeHost, host),
    interfaces: mergeInterfaces(edgeHost, host),
    gateway: mergeGateways(edgeHost, host),
    dnsServers: mergeNameServers(edgeHost, host),
  }
}

/** Every contradiction, in words. */
export function disagreementsOf(
  facts: MergedFacts,
): { readonly fact: string; readonly api: string; readonly ssh: string }[] {
  const { interfaces, disks, ...others } = facts
  const named: (readonly [string, Merged<unknown>])[] = [
    ...Object.entries(others),
    ['disks', mapMerged(disks, (list) => list.map(({ size }) => `${(size / 1e9).toFixed(1)} GB`))],
    ...[...interfaces].flatMap(([name, nic]): [string, Merged<unknown>][] => [
      [`${name} mac`, nic.mac],
      [`${name} addresses`, nic.addresses],
    ]),
  ]
  return named.flatMap(([fact, merged]) =>
    merged.kind === 'disagreement' ? [{ fact, api: inWords(merged.api), ssh: inWords(merged.ssh) }] : [],
  )
}

function inWords(value: unknown): string {
  return Array.isArray(value) ? value.map(String).join(' ') || 'none' : String(value)
}

function isSameWord(a: string, b: string): boolean {
  return a.trim().toLowerCase() === b.trim().toLowerCase()
}

/** `22.04` and `22.04.5 LTS (Jammy Jellyfish)`: one begins with the other, and goes on with something else than a number. */
function isSameVersion(a: string, b: string): boolean {
  const [short = '', long = ''] = [a.trim(), b.trim()].toSorted((x, y) => x.length - y.length)
  return long.startsWith(short) && !/^\d/u.test(long.slice(short.length))
}

function isSameHostName(a: string, b: string): boolean {
  const [nameA = '', ...domainA] = a.toLowerCase().split('.')
  const [nameB = '', ...domainB] = b.toLowerCase().split('.')
  const isDomainSame = domainA.join('.') === domainB.join('.')
  return nameA === nameB && (isDomainSame || domainA.length === 0 || domainB.length === 0)
}

/** The field is named after MB, its description says bytes: more than 64 TiB of memory must be bytes. */
function memoryOf(size: number | undefined): number | undefined {
  if (size === undefined || size <= 0) return undefined
  return size > 64 * 1024 ** 2 ? size : size * 1024 ** 2
}

/** Firmware and kernel keep up to a tenth, and 100 MiB of a small machine (checks.md, node.memory). */
function isSameMemory(api: number, total: number, installed: Told<number>): boolean {
  const mostByRule = total / 0.9 + 100 * 1024 ** 2
  const most = Math.max(mostByRule, installed.value ?? 0) * 1.005
  return api >= total * 0.995 && api <= most
}

function familyNames(host: HostFacts | undefined): string[] {
  return ['ID_LIKE', 'KAIROS_FLAVOR', 'FLAVOR'].flatMap((name) => releaseValues(host, name))
}

function releaseValues(host: HostFacts | undefined, name: string): string[] {
  const release = host?.os.release
  return release?.kind === 'read' ? wordsOf(release.value.get(name)) : []
}

function secureBootOf(host: HostFacts | undefined): Told<boolean> {
  const { value, source, reason } = ssh(host?.boot.secureBoot)
  return { value: value === undefined ? undefined : value === 'enabled', source, reason }
}

function mergeDisks(edgeHost: EdgeHost | undefined, host: HostFacts | undefined): MergedFacts['disks'] {
  const listed = edgeHost?.spec?.hardwareSpec?.disks
    .flatMap(({ size }) => (size === undefined || size <= 0 ? [] : [size]))
    .map((gigabytes): MergedDisk => ({ path: undefined, size: gigabytes * 1e9 }))
  const node = ssh(host?.disks)
  const devices = node.value?.filter(({ size }) => size > 0) ?? []
  const disks = devices.filter(({ type, isRemovable }) => type === 'disk' && isRemovable !== true)
  return merge<readonly MergedDisk[]>(
    told(listed === undefined || listed.length === 0 ? undefined : listed, hostSource),
    {
      value: node.value === undefined ? undefined : disks.map(({ path, size }) => ({ path, size })),
      source: node.source,
      reason: node.reason,
    },
    (ofApi) => {
      // Fixed disks first: only what is left over may be a drive or a stick.
      const left = [...disks, ...devices.filter((device) => !disks.includes(device))]
      for (const { size } of ofApi.toSorted((a, b) => b.size - a.size)) {
        const place = left.findIndex((device) => isSameDiskSize(size / 1e9, device.size))
        if (place === -1) return false
        left.splice(place, 1)
      }
      return !left.some((device) => disks.includes(device))
    },
  )
}

/** Whole GB or GiB, rounded in either direction. */
function isSameDiskSize(gigabytes: number, bytes: number): boolean {
  return Math.abs(gigabytes - bytes / 1e9) <= 1 || Math.abs(gigabytes - bytes / 1024 ** 3) <= 1
}
