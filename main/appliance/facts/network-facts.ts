import { type Fact, firstRead, mapFact, parseFact, read, readIfTold, unread } from './fact.ts'
import type { NetworkFacts, NetworkInterface } from './node-facts.ts'
import {
  isLoopbackAddress,
  parseAddresses,
  parseLease,
  parseLinks,
  parseResolvConf,
  parseResolvectlDns,
  parseResolvectlDomain,
  parseRoutes,
} from './parse-network.ts'
import { assignmentsOf, integerOf, macOf } from './parse-text.ts'
import { partOf, type ReportReader } from './report-reader.ts'

export function networkFacts(reader: ReportReader): NetworkFacts {
  return {
    interfaces: interfaceFacts(reader),
    routes: parseFact(reader.output('routes'), parseRoutes),
    ...resolverFacts(reader),
  }
}

function interfaceFacts(reader: ReportReader): NetworkFacts['interfaces'] {
  const parts = reader.parts('interfaces')
  const addresses = parseFact(reader.output('addresses'), parseAddresses)
  const links = parseFact(reader.output('links'), parseLinks)
  if (parts.kind === 'unread') return parts
  const interfaces: NetworkInterface[] = []
  for (const { name, text } of parts.value) {
    const values = assignmentsOf(text)
    const index = integerOf(values.get('ifindex'))
    const mtu = integerOf(values.get('mtu'))
    // One that disappears while it is read (a pod that ends) tells half.
    if (index === undefined || mtu === undefined) continue
    const source = (file: string) => `/sys/class/net/${name}/${file}`
    interfaces.push({
      name,
      index,
      mtu,
      mac: macOf(values.get('address')),
      isPhysical: !values.has('virtual'),
      driver: values.get('driver'),
      operationalState: values.get('operstate') ?? 'unknown',
      hasCarrier: readIfTold(
        { '1': true, '0': false }[values.get('carrier') ?? ''],
        source('carrier'),
        'an interface that is switched off does not tell',
      ),
      speedMegabits: speedOf(values.get('speed'), source('speed')),
      duplex: duplexOf(values.get('duplex'), source('duplex')),
      // ip lists every interface; with -o of BusyBox only those with an address.
      addresses: mapFact(addresses, (map) => map.get(name) ?? []),
      link:
        links.kind === 'unread'
          ? links
          : readIfTold(links.value.get(name), links.source, `it does not list ${name}`),
      lease: leaseOf(reader, index),
    })
  }
  return read(interfaces, parts.source)
}

function speedOf(text: string | undefined, source: string): Fact<number> {
  const speed = integerOf(text)
  return readIfTold(
    speed !== undefined && speed > 0 ? speed : undefined,
    source,
    'the driver does not tell the speed of the link',
  )
}

function duplexOf(text: string | undefined, source: string): NetworkInterface['duplex'] {
  return readIfTold(text === 'full' || text === 'half' ? text : undefined, source, 'the driver does not tell')
}

function leaseOf(reader: ReportReader, index: number): NetworkInterface['lease'] {
  const parts = reader.parts('leases')
  if (parts.kind === 'unread') return parts
  const path = `${parts.source}/${index}`
  if (partOf(parts.value, 'absent', 'leases') !== undefined) {
    return unread('systemd-networkd does not run here', parts.source)
  }
  const part = parts.value.find(({ name }) => name === path)
  if (part === undefined) return read(undefined, parts.source)
  return part.kind === 'file'
    ? parseFact(read(part.text, path), parseLease)
    : unread('only root may read it', path)
}

function resolverFacts(reader: ReportReader): Pick<NetworkFacts, 'dnsServers' | 'searchDomains'> {
  const configuration = reader.file('resolver', '/etc/resolv.conf')
  const upstream = reader.file('resolver', '/run/systemd/resolve/resolv.conf')
  const isStub =
    configuration.kind === 'read' && parseResolvConf(configuration.value).servers.every(isLoopbackAddress)
  const file = configuration.kind === 'read' && !isStub ? configuration : firstRead(upstream, configuration)
  const servers = mapFact(file, (text) =>
    parseResolvConf(text).servers.filter((server) => !isLoopbackAddress(server)),
  )
  const links = reader.parts('resolver-links')
  const ofLinks = (name: string, parse: (text: string) => string[]) =>
    mapFact(links, (parts) => parse(partOf(parts, 'list', name)?.text ?? ''))
  const fromLinks = ofLinks('dns', parseResolvectlDns)
  const isTold = servers.kind === 'read' && servers.value.length > 0
  return {
    dnsServers: isTold || fromLinks.kind === 'unread' ? servers : fromLinks,
    searchDomains: isTold || links.kind === 'unread' ? mapFact(file, (text) => parseResolvConf(text).searchDomains) : ofLinks('domain', parseResolvectlDomain), // prettier-ignore
  }
}
