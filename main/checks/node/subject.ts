import { VARIANT_FACTS, type Plan, type PlanNode } from '../../../shared/plan/index.ts'
import {
  unreadHostFacts,
  valueOf,
  type CollectedFacts,
  type HostFacts,
  type NetworkInterface,
} from '../../appliance/facts/index.ts'
import type { NodeFacts } from '../../phases/node-facts.ts'
import { locateDrive, type LocatedDrive } from './disks.ts'
import { valuesOf } from './question.ts'

/** One node as the checks see it. */
export interface Subject {
  readonly plan: Plan
  readonly node: PlanNode
  readonly facts: NodeFacts
  /** What SSH tells; every fact says why not where SSH is closed. */
  readonly host: HostFacts
  readonly collected: Omit<CollectedFacts, 'raw'> | undefined
  readonly minimum: Minimum
  readonly drive: LocatedDrive
  /** IPv4 addresses that either of Local UI and SSH tells, with prefix where it is told. */
  readonly addresses: readonly string[]
  /** Lower case. */
  readonly macs: readonly string[]
  /** All nodes that were read, this one included. */
  readonly fleet: readonly Subject[]
}

export interface Minimum {
  readonly cpus: number
  readonly memoryMebibytes: number
  readonly firstDiskGigabytes: number
  readonly storageDiskGigabytes: number
}

export function subjectsOf(plan: Plan, facts: readonly NodeFacts[]): readonly Subject[] {
  const minimum = minimumOf(plan)
  const fleet: Subject[] = []
  for (const one of facts) {
    const { host: answer } = one
    const host = answer.kind === 'read' ? answer.collected.facts : unreadHostFacts(answer.reason)
    fleet.push({
      plan,
      node: one.node,
      facts: one,
      host,
      collected: answer.kind === 'read' ? answer.collected : undefined,
      minimum,
      drive: locateDrive(host.disks, plan.cluster.storagePoolDrive),
      addresses: addressesOf(one),
      macs: macsOf(one, host),
      fleet,
    })
  }
  return fleet
}

/** Least size of a node in the generation of the procedure that the plan names; `auto` is judged by the mildest one. */
function minimumOf(plan: Plan): Minimum {
  const { variant } = plan.appliance
  const facts = VARIANT_FACTS[variant === 'auto' ? 'A' : variant]
  return {
    cpus: facts.cpuCores,
    memoryMebibytes: facts.memoryGb * 1024,
    firstDiskGigabytes: facts.systemDiskGb,
    storageDiskGigabytes: facts.storageDiskGb,
  }
}

/** Of the whole machine: the loopback interface says nothing about it. */
function addressesOf({ merged, edgeHost }: NodeFacts): string[] {
  const told = [
    ...[...merged.interfaces].flatMap(([name, nic]) => (name === 'lo' ? [] : valuesOf(nic.addresses).flat())),
    // A card that the Local UI has no name for is nowhere else.
    ...(edgeHost.spec?.networkInfo ?? []).flatMap(({ ip }) => (ip === undefined || ip === '' ? [] : [ip])),
  ]
  const withPrefix = new Set(told.filter((address) => address.includes('/')))
  const known = new Set([...withPrefix].map(hostPart))
  return [...withPrefix, ...new Set(told.filter((address) => !address.includes('/') && !known.has(address)))]
}

/** Not of a machine: the loopback interface, and what Calico gives to the interfaces of all pods of every node. */
const commonMacs = new Set(['', '00:00:00:00:00:00', 'ee:ee:ee:ee:ee:ee'])

/** Once each: the interfaces of a bond, and its VLANs, share an address rightly. */
function macsOf({ edgeHost }: NodeFacts, host: HostFacts): string[] {
  const physical = (valueOf(host.network.interfaces) ?? []).filter(({ isPhysical }) => isPhysical)
  const macs = [
    ...(edgeHost.spec?.networkInfo ?? []).map((nic) => nic.macAddr?.toLowerCase() ?? ''),
    // A bond gives all of its cards the address of one of them.
    ...physical.map((nic) => valueOf(nic.link)?.permanentMac ?? nic.mac ?? ''),
  ]
  return [...new Set(macs)].filter((mac) => !commonMacs.has(mac))
}

/** `10.10.200.11` of `10.10.200.11/24`. */
export function hostPart(address: string): string {
  return address.split('/')[0] ?? ''
}

/** Address that the node is going to get from this run, and does not have yet. */
export function comingAddressOf({ node, addresses }: Subject): string | undefined {
  if (node.nic.mode !== 'static' || node.nic.address === null) return undefined
  return addresses.some((address) => hostPart(address) === node.nic.address) ? undefined : node.nic.address
}

/** The interface that the cluster will use; a string says why it is not known. */
export function interfaceOf({ node, host, facts }: Subject): NetworkInterface | string {
  const { interfaces } = host.network
  if (interfaces.kind === 'unread') return `unknown: ${interfaces.reason}`
  if (node.nic.name !== 'auto') {
    const named = interfaces.value.find(({ name }) => name === node.nic.name)
    return named ?? `there is no interface ${node.nic.name}`
  }
  const wanted = [node.address, node.nic.address]
  const ownAddresses = ({ addresses }: NetworkInterface) => valueOf(addresses) ?? []
  const carrying = interfaces.value.find((nic) =>
    ownAddresses(nic).some(({ address }) => wanted.includes(address)),
  )
  if (carrying !== undefined) return carrying
  // Without `ip` on the node, the Local UI still knows which card has the address.
  const told = [...facts.merged.interfaces].find(([, nic]) =>
    valuesOf(nic.addresses)
      .flat()
      .some((address) => wanted.includes(hostPart(address))),
  )
  const known = interfaces.value.find(({ name }) => name === told?.[0])
  return known ?? `no interface is known to have the address ${node.address}`
}
