import type { VirtualFileSystem } from './file-system.ts'
import { isIpv4, prefixOf } from './hardware.ts'

export interface NetworkUnit {
  mode: 'dhcp' | 'static'
  address: string | null
  prefix: number | null
  gateway: string | null
  nameservers: string[]
  searchDomains: string[]
  ntp: string[]
  mtu: number | null
  /** IEEE 802.1Q identifier; `null`: untagged. */
  vlan: number | null
}

/** Read as one folder, in the order of the names; of two files with one name that of the first folder counts. */
const folders = ['/etc/systemd/network', '/run/systemd/network']

/**
 * What systemd-networkd would do with the interface: the first `.network` file (lexical order) whose `[Match]` fits.
 * `null` when none does. Only the keys that an appliance uses.
 */
export function readNetworkUnits(files: VirtualFileSystem, interfaceName: string): NetworkUnit | null {
  const sections = unitOf(files, interfaceName)
  if (sections === null) return null
  const tagged = sections.get('Network.VLAN')?.at(-1)
  if (tagged === undefined) return settingsOf(sections, null)
  const device = unitsIn(files, '.netdev').find((one) => one.get('NetDev.Name')?.at(-1) === tagged)
  const vlan = Number(device?.get('VLAN.Id')?.at(-1))
  const inner = unitOf(files, tagged)
  return inner === null || !Number.isInteger(vlan) ? settingsOf(sections, null) : settingsOf(inner, vlan)
}

function unitsIn(files: VirtualFileSystem, ending: string): Map<string, string[]>[] {
  const paths = new Map<string, string>()
  for (const folder of folders) {
    if (files.stat(folder) === null) continue
    for (const name of files.list(folder))
      if (name.endsWith(ending) && !paths.has(name)) paths.set(name, `${folder}/${name}`)
  }
  return [...paths]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, path]) => parseUnit(files.text(path) ?? ''))
}

function unitOf(files: VirtualFileSystem, interfaceName: string): Map<string, string[]> | null {
  return (
    unitsIn(files, '.network').find((sections) =>
      (sections.get('Match.Name') ?? [])
        .flatMap((value) => value.split(/\s+/))
        .some((pattern) => isMatch(pattern, interfaceName)),
    ) ?? null
  )
}

function settingsOf(sections: Map<string, string[]>, vlan: number | null): NetworkUnit {
  const get = (key: string) => sections.get(key) ?? []
  const [address = '', length = ''] = (
    get('Network.Address').at(-1) ??
    get('Address.Address').at(-1) ??
    ''
  ).split('/')
  const isDhcp = get('Network.DHCP').some((value) => /^(yes|true|ipv4)$/i.test(value))
  const mtu = Number(get('Link.MTUBytes').at(-1))
  const words = (key: string) =>
    get(key)
      .flatMap((value) => value.split(/\s+/))
      .filter((word) => word !== '')
  return {
    mode: isDhcp || !isIpv4(address) ? 'dhcp' : 'static',
    address: !isDhcp && isIpv4(address) ? address : null,
    prefix: prefixOf(length),
    gateway: get('Network.Gateway').at(-1) ?? get('Route.Gateway').at(-1) ?? null,
    nameservers: words('Network.DNS'),
    searchDomains: words('Network.Domains'),
    ntp: words('Network.NTP'),
    mtu: Number.isInteger(mtu) && mtu > 0 ? mtu : null,
    vlan,
  }
}

function parseUnit(text: string): Map<string, string[]> {
  const values = new Map<string, string[]>()
  let section = ''
  for (const raw of text.split('\n')) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#') || line.startsWith(';')) continue
    const head = /^\[(.+)\]$/.exec(line)
    if (head !== null) {
      section = head[1] ?? ''
      continue
    }
    const equals = line.indexOf('=')
    if (equals === -1) continue
    const key = `${section}.${line.slice(0, equals).trim()}`
    values.set(key, [...(values.get(key) ?? []), line.slice(equals + 1).trim()])
  }
  return values
}

function isMatch(pattern: string, name: string): boolean {
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${expression}$`).test(name)
}
