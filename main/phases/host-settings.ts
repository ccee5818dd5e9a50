import ipaddr from 'ipaddr.js'
import { VARIANT_FACTS, type Plan, type PlanNode } from '../../shared/plan/index.ts'
import type { InterfaceSettings } from '../appliance/host-configuration/index.ts'
import type { HostConfigurations, NetworkInterface, NetworkInterfaceConfig } from '../appliance/index.ts'

/** The interface that the plan means, of those that the node has. */
export function interfaceOf(
  node: PlanNode,
  currentAddress: string,
  interfaces: readonly NetworkInterface[],
): NetworkInterface | undefined {
  if (node.nic.name !== 'auto') return interfaces.find((nic) => nic.name === node.nic.name)
  return interfaces.find((nic) => addressOf(nic.ip) === currentAddress)
}

/** What the interface shall be set to; `undefined` when the plan keeps it as it is. */
export function wantedInterface(plan: Plan, node: PlanNode): NetworkInterfaceConfig | undefined {
  const { nic } = node
  if (nic.mode === 'keep') return undefined
  const dns = node.dns ?? plan.site.dns
  const nameservers = [dns.primary, dns.alternate].filter((server) => server !== null)
  const common = {
    ...(nameservers.length === 0 ? {} : { nameservers }),
    ...(nic.mtu === null ? {} : { mtu: nic.mtu }),
    ...(nic.vlan === null ? {} : { vlanID: String(nic.vlan) }),
  }
  if (nic.mode === 'dhcp') return { type: 'dhcp', ...common }
  const gateway = nic.gateway ?? plan.site.gateway
  return {
    type: 'static',
    ip: nic.address ?? node.address,
    subnet: netmaskOf(nic.mask, plan.site.network),
    ...(gateway === null ? {} : { gateway }),
    ...common,
  }
}

/** The same, as systemd-networkd is told it; `name`: of the interface. */
export function settingsOf(name: string, wanted: NetworkInterfaceConfig): InterfaceSettings {
  const common = {
    name,
    mtu: wanted.mtu,
    vlan: wanted.vlanID === undefined ? undefined : Number(wanted.vlanID),
    nameservers: wanted.nameservers ?? [],
  }
  if (wanted.type === 'dhcp' || wanted.ip === undefined) return { mode: 'dhcp', ...common }
  const prefix = ipaddr.IPv4.parse(wanted.subnet ?? '').prefixLengthFromSubnetMask()
  if (prefix === null) throw new TypeError(`${wanted.subnet ?? ''} is no network mask.`)
  return { mode: 'static', address: wanted.ip, prefix, gateway: wanted.gateway, ...common }
}

/** In words, what differs between an interface and what it shall be; empty when it is as wanted. */
export function interfaceDifferences(nic: NetworkInterface, wanted: NetworkInterfaceConfig): string[] {
  const differences: string[] = []
  const compare = (what: string, current: string | undefined, target: string | undefined) => {
    if (target !== undefined && current !== target)
      differences.push(`${what} ${orUnset(current)} → ${target}`)
  }
  compare('addressing', nic.type?.toLowerCase(), wanted.type)
  compare('address', addressOf(nic.ip), wanted.ip)
  compare('mask', maskOf(nic), wanted.subnet)
  compare('gateway', nic.gateway, wanted.gateway)
  compare('DNS', nic.nameservers.join(' '), wanted.nameservers?.join(' '))
  compare('MTU', nic.mtu?.toString(), wanted.mtu?.toString())
  compare('VLAN', nic.vlanID, wanted.vlanID)
  return differences
}

/** The agent tells what is not set as nothing or as an empty text. */
function orUnset(value: string | undefined): string {
  return value === undefined || value === '' ? 'unset' : value
}

/** Dotted mask of a plan's mask, or of the site's network. */
function netmaskOf(mask: number | string | null, network: string): string {
  if (typeof mask === 'string') return mask
  const prefix = mask ?? ipaddr.IPv4.parseCIDR(network)[1]
  return ipaddr.IPv4.subnetMaskFromPrefixLength(prefix).toString()
}

/** The agent shows the mask as dotted mask, as prefix length, or behind the address. */
function maskOf(nic: NetworkInterface): string | undefined {
  const prefix = nic.ip?.split('/')[1] ?? nic.subnet
  if (prefix === undefined || prefix === '') return undefined
  const length = Number(prefix.replace(/^\//, ''))
  return Number.isInteger(length) && length >= 0 && length <= 32
    ? ipaddr.IPv4.subnetMaskFromPrefixLength(length).toString()
    : prefix
}

function addressOf(address: string | undefined): string | undefined {
  return address === undefined || address === '' ? undefined : address.split('/')[0]
}

/**
 * The node's proxy settings; `undefined` when the plan wants none. The exceptions that every cluster needs (palette.md
 * §5) are added: node network, VIP, pod and service network, and the names inside of the cluster.
 */
export function wantedProxy(
  plan: Plan,
  vip: string,
  caCerts: readonly string[],
): Partial<HostConfigurations> | undefined {
  const { proxy } = plan.site
  if (proxy === null) return undefined
  const exceptions = [
    ...proxy.noProxy,
    plan.site.network,
    vip,
    ...clusterNetworksOf(plan),
    'localhost',
    '127.0.0.1',
    '.svc',
    '.local',
  ]
  return {
    httpProxy: proxy.http ?? '',
    httpsProxy: proxy.https ?? '',
    noProxy: [...new Set(exceptions)].join(','),
    caCerts: [...caCerts],
  }
}

/** Pod and service networks: as planned, else the documented defaults of every generation that the ISO may be of. */
function clusterNetworksOf(plan: Plan): string[] {
  const { variant } = plan.appliance
  const generations = variant === 'auto' ? Object.values(VARIANT_FACTS) : [VARIANT_FACTS[variant]]
  const pods =
    plan.cluster.podCidr === undefined ? generations.map((facts) => facts.podCidr) : [plan.cluster.podCidr]
  const services =
    plan.cluster.serviceCidr === undefined
      ? generations.map((facts) => facts.serviceCidr)
      : [plan.cluster.serviceCidr]
  return [...pods, ...services].filter((network) => network !== null)
}

/** In words, what differs between the node's proxy settings and what they shall be. */
export function proxyDifferences(current: HostConfigurations, wanted: Partial<HostConfigurations>): string[] {
  const differences: string[] = []
  const compare = (what: string, left: string | undefined, right: string | undefined) => {
    if ((left ?? '') !== (right ?? ''))
      differences.push(`${what} ${masked(orUnset(left))} → ${masked(orUnset(right))}`)
  }
  compare('HTTP proxy', current.httpProxy, wanted.httpProxy)
  compare('HTTPS proxy', current.httpsProxy, wanted.httpsProxy)
  compare('no proxy for', current.noProxy, wanted.noProxy)
  const missing = (wanted.caCerts ?? []).filter((certificate) => !current.caCerts.includes(certificate))
  if (missing.length > 0)
    differences.push(`${missing.length} CA certificate${missing.length === 1 ? '' : 's'} added`)
  return differences
}

/** What was set by hand may carry a password. */
function masked(url: string): string {
  return url.replace(/\/\/[^/@\s]*@/g, '//***@')
}
