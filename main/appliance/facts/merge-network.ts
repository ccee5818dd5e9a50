import { parseNetwork, prefixOfMask } from '../../../shared/plan/ipv4.ts'
import type { EdgeHost } from '../index.ts'
import type { Fact } from './fact.ts'
import { hostSource, merge, same, ssh, told, type Merged } from './merged.ts'
import type { HostFacts, NetworkInterface } from './node-facts.ts'
import { filled, macOf } from './parse-text.ts'

export interface MergedInterface {
  readonly mac: Merged<string>
  /** IPv4, with prefix where it is told. */
  readonly addresses: Merged<readonly string[]>
}

type ApiNic = NonNullable<EdgeHost['spec']>['networkInfo'][number]

export function mergeInterfaces(
  edgeHost: EdgeHost | undefined,
  host: HostFacts | undefined,
): ReadonlyMap<string, MergedInterface> {
  const listed = edgeHost?.spec?.networkInfo ?? []
  const interfaces = host?.network.interfaces
  const known = interfaces?.kind === 'read' ? interfaces.value : []
  const nameOf = (nic: ApiNic) =>
    filled(nic.nicName) ?? known.find(({ mac }) => mac !== undefined && mac === macOf(nic.macAddr))?.name
  const names = new Set([...listed.flatMap((nic) => nameOf(nic) ?? []), ...known.map(({ name }) => name)])
  return new Map(
    [...names].map((name) => {
      const ofApi = listed.filter((nic) => nameOf(nic) === name)
      const ofNode = known.find((nic) => nic.name === name)
      return [name, mergeInterface(ofApi, ofNode, interfaces)] as const
    }),
  )
}

function mergeInterface(
  listed: readonly ApiNic[],
  ofNode: NetworkInterface | undefined,
  interfaces: Fact<unknown> | undefined,
): MergedInterface {
  const nodeSource = interfaces?.source ?? ''
  const reason = interfaces?.kind === 'unread' ? `${interfaces.source}: ${interfaces.reason}` : undefined
  // The API knows an interface that the node does not have: that is a contradiction, not silence.
  const isGone = interfaces?.kind === 'read' && ofNode === undefined
  const apiAddresses = listed.flatMap((nic) => filled(nic.ip) ?? []).map((ip) => withPrefix(ip, listed[0]))
  const nodeAddresses = ssh(ofNode?.addresses)
  return {
    mac: merge(
      told(
        listed.map((nic) => macOf(nic.macAddr)).find((mac) => mac !== undefined),
        hostSource,
      ),
      { value: isGone ? 'no such interface' : ofNode?.mac, source: nodeSource, reason },
      same,
    ),
    addresses: merge<readonly string[]>(
      told(apiAddresses.length === 0 ? undefined : apiAddresses, hostSource),
      {
        value: isGone
          ? []
          : nodeAddresses.value
              ?.filter(({ family }) => family === 'inet')
              .map(({ address, prefix }) => `${address}/${prefix}`),
        source: nodeAddresses.source || nodeSource,
        reason: nodeAddresses.reason ?? reason,
      },
      (ofApi, own) => ofApi.every((address) => own.some((one) => isSameAddress(address, one))),
    ),
  }
}

/** The API has the mask in a field of its own, as a mask or as a network. */
function withPrefix(ip: string, nic: ApiNic | undefined): string {
  const subnet = filled(nic?.subnet)
  if (ip.includes('/') || subnet === undefined) return ip
  const prefix = prefixOfMask(subnet) ?? parseNetwork(subnet)?.prefix
  return prefix === undefined ? ip : `${ip}/${prefix}`
}

function isSameAddress(a: string, b: string): boolean {
  const [addressA, prefixA] = a.split('/')
  const [addressB, prefixB] = b.split('/')
  return addressA === addressB && (prefixA === undefined || prefixB === undefined || prefixA === prefixB)
}

export function mergeGateways(
  edgeHost: EdgeHost | undefined,
  host: HostFacts | undefined,
): Merged<readonly string[]> {
  const listed = (edgeHost?.spec?.networkInfo ?? [])
    .filter(({ isDefault }) => isDefault !== false)
    .flatMap(({ gateway }) => filled(gateway) ?? [])
  const routes = ssh(host?.network.routes)
  const own = routes.value
    ?.filter(({ destination, table }) => destination === '0.0.0.0/0' && table === 'main')
    .flatMap(({ gateway }) => gateway ?? [])
  return merge<readonly string[]>(
    told(listed.length === 0 ? undefined : unique(listed), hostSource),
    { ...routes, value: own === undefined ? undefined : unique(own) },
    (ofApi, ofNode) => ofApi.every((gateway) => ofNode.includes(gateway)),
  )
}

export function mergeNameServers(
  edgeHost: EdgeHost | undefined,
  host: HostFacts | undefined,
): Merged<readonly string[]> {
  const status = edgeHost?.status?.dns?.nameservers ?? []
  const listed = status.length > 0 ? status : (edgeHost?.spec?.networkInfo ?? []).flatMap(({ dns }) => dns)
  return merge<readonly string[]>(
    told(listed.length === 0 ? undefined : unique(listed), hostSource),
    ssh(host?.network.dnsServers),
    (ofApi, ofNode) => ofApi.length === ofNode.length && ofApi.every((server) => ofNode.includes(server)),
  )
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}
