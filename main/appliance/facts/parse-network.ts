import { z } from 'zod'
import { formatNetwork, parseNetwork } from '../../../shared/plan/ipv4.ts'
import type { DhcpLease, InterfaceAddress, LinkDetails, Route } from './node-facts.ts'
import { assignmentsOf, filled, integerOf, isAddress, jsonOf, macOf, wordsOf } from './parse-text.ts'

const text = z.string().optional()
const number = z.number().optional()

const counters = z.looseObject({ errors: number, dropped: number }).optional()

const linkSchema = z.looseObject({
  // Absent in the empty objects that some versions print for what a filter left out.
  ifname: text,
  flags: z.array(z.string()).default([]),
  link: z.string().nullish(),
  master: text,
  permaddr: text,
  max_mtu: number,
  linkinfo: z
    .looseObject({ info_kind: text, info_data: z.looseObject({ id: z.unknown().optional() }).optional() })
    .optional(),
  stats64: z.looseObject({ rx: counters, tx: counters }).optional(),
})

/** `ip -j -s -d link`: details by the name of the interface. */
export function parseLinks(output: string): Map<string, LinkDetails> | undefined {
  const parsed = z.array(linkSchema).safeParse(jsonOf(output))
  if (!parsed.success) return undefined
  return new Map(
    parsed.data.flatMap((link) => {
      if (link.ifname === undefined) return []
      const { info_kind: kind, info_data: data } = link.linkinfo ?? {}
      const id = data?.id
      const details: LinkDetails = {
        isUp: link.flags.includes('UP'),
        kind: filled(kind),
        vlanId: kind === 'vlan' && typeof id === 'number' ? id : undefined,
        master: filled(link.master),
        parent: filled(link.link),
        permanentMac: macOf(link.permaddr),
        maxMtu: link.max_mtu !== undefined && link.max_mtu > 0 ? link.max_mtu : undefined,
        receiveErrors: link.stats64?.rx?.errors,
        transmitErrors: link.stats64?.tx?.errors,
        receiveDropped: link.stats64?.rx?.dropped,
        transmitDropped: link.stats64?.tx?.dropped,
      }
      return [[link.ifname, details] as const]
    }),
  )
}

const addressSchema = z.looseObject({
  ifname: text,
  addr_info: z
    .array(
      z.looseObject({
        family: text,
        local: text,
        prefixlen: number,
        scope: text,
        dynamic: z.boolean().optional(),
        valid_life_time: number,
      }),
    )
    .default([]),
})

/** iproute2 prints the largest number of 32 bits for "forever". */
const forever = 4_294_967_295

/** `ip -j addr`, or `ip -o -4 addr` of BusyBox: addresses by the name of the interface. */
export function parseAddresses(output: string): Map<string, InterfaceAddress[]> | undefined {
  const json = jsonOf(output)
  if (json === undefined) return parseAddressLines(output)
  const parsed = z.array(addressSchema).safeParse(json)
  if (!parsed.success) return undefined
  return new Map(
    parsed.data.flatMap(({ ifname, addr_info: entries }) => {
      if (ifname === undefined) return []
      const addresses = entries.flatMap((entry): InterfaceAddress[] => {
        const { family, local, prefixlen: prefix, scope, dynamic, valid_life_time: seconds } = entry
        if ((family !== 'inet' && family !== 'inet6') || local === undefined || prefix === undefined)
          return []
        const hasEnd = seconds !== undefined && seconds < forever
        return [
          {
            family,
            address: local,
            prefix,
            scope,
            isDynamic: dynamic === true || hasEnd,
            validForMs: hasEnd ? seconds * 1000 : undefined,
          },
        ]
      })
      return [[ifname, addresses] as const]
    }),
  )
}

function parseAddressLines(output: string): Map<string, InterfaceAddress[]> | undefined {
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  const addresses = new Map<string, InterfaceAddress[]>()
  for (const line of lines) {
    const found = /^\d+:\s+(\S+)\s+inet (\S+?)\/(\d{1,2})\b(.*)$/u.exec(line)
    const [, name, address, prefix, rest = ''] = found ?? []
    if (name === undefined || address === undefined || !isAddress(address)) return undefined
    const list = addresses.get(name) ?? []
    list.push({
      family: 'inet',
      address,
      prefix: Number(prefix),
      scope: /\bscope (\w+)/u.exec(rest)?.[1],
      isDynamic: /\bdynamic\b/u.test(rest),
      validForMs: undefined,
    })
    addresses.set(name, list)
  }
  return lines.length === 0 ? undefined : addresses
}

const hopSchema = z.looseObject({
  gateway: text,
  via: z.looseObject({ host: text }).optional(),
  dev: text,
})
const routeSchema = hopSchema.extend({
  type: text,
  dst: text,
  protocol: text,
  metric: number,
  table: z.union([z.string(), z.number().transform(String)]).optional(),
  nexthops: z.array(hopSchema).optional(),
})

/** Addresses of the node itself and its broadcasts: the kernel's own bookkeeping, no ways to anywhere. */
const ownRouteTypes = new Set(['local', 'broadcast', 'multicast', 'anycast'])

/**
 * `ip -j -4 route show table all`, or the text of `ip -4 route`. `undefined` also when one destination cannot be read: a route
 * that is left out may be the one that a network overlaps.
 */
export function parseRoutes(output: string): Route[] | undefined {
  // Without any route some versions print nothing at all.
  if (output.trim() === '') return []
  const json = jsonOf(output)
  const parsed = z.array(routeSchema).safeParse(json ?? routeLines(output))
  if (!parsed.success) return undefined
  const routes: Route[] = []
  for (const route of parsed.data) {
    const { type = 'unicast', dst, protocol, metric, table = 'main', nexthops } = route
    if (ownRouteTypes.has(type)) continue
    const destination = dst === undefined ? undefined : destinationOf(dst)
    if (destination === undefined) return undefined
    for (const hop of nexthops ?? [route]) {
      routes.push({
        destination,
        gateway: hop.gateway ?? hop.via?.host,
        interface: hop.dev,
        protocol,
        metric,
        table,
        type,
      })
    }
  }
  return routes
}

function destinationOf(text: string): string | undefined {
  if (text === 'default') return '0.0.0.0/0'
  const network = parseNetwork(text.includes('/') ? text : `${text}/32`)
  return network === undefined ? undefined : formatNetwork(network)
}

const routeWords = new Set(['unicast', 'blackhole', 'unreachable', 'prohibit', 'throw', 'nat'])

/** The text of `ip route` in the shape of its JSON. */
function routeLines(output: string): unknown[] {
  return output
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const words = wordsOf(line)
      const type = routeWords.has(words[0] ?? '') ? words.shift() : undefined
      const dst = words.shift()
      const after = (name: string) => {
        const place = words.indexOf(name)
        return place === -1 ? undefined : words[place + 1]
      }
      const metric = integerOf(after('metric'))
      const fields = { type, dst, gateway: after('via'), dev: after('dev'), protocol: after('proto'), metric }
      return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
    })
}

/** resolv.conf(5). Addresses of the loopback network are there as well. */
export function parseResolvConf(text: string): { servers: string[]; searchDomains: string[] } {
  const servers: string[] = []
  let searchDomains: string[] = []
  for (const line of text.split('\n')) {
    const [keyword, ...values] = wordsOf(line.replace(/[#;].*$/u, ''))
    const [server] = values
    if (keyword === 'nameserver' && server !== undefined && isAddress(server)) servers.push(server)
    // The last of them counts.
    if (keyword === 'search' || keyword === 'domain') searchDomains = values.filter((name) => name !== '.')
  }
  return { servers: unique(servers), searchDomains: unique(searchDomains) }
}

/** `resolvectl dns`: servers of all links, maybe with port and name (`10.0.0.1:53#name`). */
export function parseResolvectlDns(text: string): string[] {
  return unique(
    valuesOfLinks(text)
      .map((word) => word.replace(/#.*$/u, '').replace(/^((?:\d+\.){3}\d+):\d+$/u, '$1'))
      .filter(isAddress),
  )
}

/** `resolvectl domain`. `~` marks a domain that only chooses the server; it is not searched. */
export function parseResolvectlDomain(text: string): string[] {
  return unique(valuesOfLinks(text).filter((word) => !word.startsWith('~')))
}

function valuesOfLinks(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [, values] = /^(?:Global|Link \d+ \([^)]*\)):(.*)$/u.exec(line.trim()) ?? []
    return wordsOf(values)
  })
}

export function isLoopbackAddress(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}

/**
 * A lease of systemd-networkd. Times are seconds in older versions, time spans (`1d 2h`) since 255, and the file is JSON in
 * the newest ones.
 */
export function parseLease(text: string): DhcpLease | undefined {
  const values = leaseValues(text)
  const address = filled(values.get('ADDRESS'))
  const lifetimeMs = durationOf(values.get('LIFETIME'))
  if (address === undefined && lifetimeMs === undefined) return undefined
  return {
    address,
    server: filled(values.get('SERVER_ADDRESS')),
    routers: wordsOf(values.get('ROUTER')),
    dnsServers: wordsOf(values.get('DNS')),
    ntpServers: wordsOf(values.get('NTP')),
    lifetimeMs,
  }
}

function leaseValues(text: string): Map<string, string> {
  const json = z.record(z.string(), z.unknown()).safeParse(jsonOf(text))
  if (!json.success) return assignmentsOf(text)
  const servers = z.record(z.string(), z.unknown()).safeParse(json.data['Servers']).data ?? {}
  return new Map(
    Object.entries({ ...json.data, ...servers }).map(([name, value]) => [
      name.toUpperCase(),
      z.array(z.string()).safeParse(value).data?.join(' ') ?? (typeof value === 'string' ? value : ''),
    ]),
  )
}

const spanUnits: Readonly<Record<string, number>> = {
  y: 31_557_600,
  month: 2_629_800,
  w: 604_800,
  d: 86_400,
  h: 3600,
  min: 60,
  s: 1,
}

/** Seconds, or a time span as systemd writes it (systemd.time(7)); in milliseconds. */
function durationOf(text: string | undefined): number | undefined {
  const span = text?.trim().toLowerCase() ?? ''
  if (span === 'infinity' || span === String(forever)) return Infinity
  const seconds = integerOf(span)
  if (seconds !== undefined) return seconds < 0 ? undefined : seconds * 1000
  let sum = 0
  const words = wordsOf(span)
  for (const word of words) {
    const [, count, unit = ''] = /^(\d{1,9})(y|month|w|d|h|min|s)$/u.exec(word) ?? []
    const factor = spanUnits[unit]
    if (count === undefined || factor === undefined) return undefined
    sum += Number(count) * factor
  }
  return words.length === 0 ? undefined : sum * 1000
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}
