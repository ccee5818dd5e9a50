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
}

const folder = '/etc/systemd/network'

/**
 * What systemd-networkd would do with the interface: the first `.network` file (lexical order) whose `[Match]` fits.
 * `null` when none does. Only the keys that an appliance uses.
 */
export function readNetworkUnits(files: VirtualFileSystem, interfaceName: string): NetworkUnit | null {
  if (files.stat(folder) === null) return null
  for (const name of files.list(folder)) {
    if (!name.endsWith('.network')) continue
    const sections = parseUnit(files.text(`${folder}/${name}`) ?? '')
    const patterns = (sections.get('Match.Name') ?? []).flatMap((value) => value.split(/\s+/))
    if (!patterns.some((pattern) => isMatch(pattern, interfaceName))) continue
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
    }
  }
  return null
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
