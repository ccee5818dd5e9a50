import type { Finding } from '../../../shared/checks/index.ts'
import type { Plan } from '../../../shared/plan/index.ts'
import { nodeOf } from './check-links.ts'
import { isUnreached, matrixOf, oddOnes } from './matrix.ts'
import type { AddressQuestion, Measurements } from './measurements.ts'
import { plannedNode } from './plan-jobs.ts'

/** Whether every node reaches every other one, both ways; names whoever is alone. */
export function majorityFinding(plan: Plan, measurements: Measurements): Finding {
  const { nodes, isFullMesh } = measurements
  const { cells } = matrixOf(measurements)
  const asked = isFullMesh
    ? 'each node asked each other one'
    : `${cells.length} ways were asked: each node the leader, its control plane and four neighbours`
  const finding = {
    id: 'net.majority-group',
    target: 'all nodes',
    threshold: 'every node reaches every other one, both ways',
    evidence: `ping and TCP between the nodes; ${asked}`,
    remedy:
      'Look at the cable, the switch port, the VLAN or port group and the firewall of the node that is named, and at its address and mask.',
  } as const
  if (plan.nodes.length === 1) {
    return { ...finding, state: 'skipped', measured: 'there is one node only' }
  }
  const unreached = cells.filter(isUnreached)
  const absent = plan.nodes.map(({ name }) => name).filter((name) => nodeOf(measurements, name) === undefined)
  const silent = nodes
    .filter(({ peers }) => peers.some(({ ping, ports }) => ping.kind === 'unread' && ports.kind === 'unread'))
    .map(({ name }) => name)
  const unasked = absent.length === 0 ? [] : [`${absent.join(', ')}: not measured`]
  const unknown = cells.filter(({ isReached }) => isReached === undefined)
  if (unreached.length > 0) {
    const odd = oddOnes(cells, unreached)
    const ways = unreached.filter(({ from, to }) => !odd.includes(from) && !odd.includes(to))
    const shown = ways.slice(0, 8).map(({ from, to }) => `${from} does not reach ${to}`)
    return {
      ...finding,
      state: 'fail',
      measured: [
        ...odd.map((node) => alone(node, unreached)),
        ...shown,
        ...(ways.length > shown.length ? [`and ${ways.length - shown.length} more`] : []),
        ...unasked,
      ].join('; '),
    }
  }
  if (unknown.length > 0 || absent.length > 0 || cells.length === 0) {
    const told = silent.length === 0 ? [] : [`${silent.join(', ')} could not be asked`]
    return {
      ...finding,
      state: 'could-not-run',
      measured: [...told, ...unasked].join('; ') || `${unknown.length} ways are not known`,
    }
  }
  return {
    ...finding,
    state: 'pass',
    measured: `all ${cells.length} ways between ${nodes.length} nodes are open`,
  }
}

function alone(node: string, unreached: readonly { readonly from: string; readonly to: string }[]): string {
  const outward = unreached.filter(({ from }) => from === node).map(({ to }) => to)
  const inward = unreached.filter(({ to }) => to === node).map(({ from }) => from)
  const some = (names: readonly string[]) =>
    names.length > 4 ? `${names.slice(0, 4).join(', ')} and ${names.length - 4} more` : names.join(', ')
  const words = [
    outward.length === 0 ? undefined : `does not reach ${some(outward)}`,
    inward.length === 0 ? undefined : `is not reached by ${some(inward)}`,
  ]
  return `${node} is the odd one out: it ${words.filter((word) => word !== undefined).join(', and ')}`
}

/** Two machines with the address of one node. */
export function ownerFindings(measurements: Measurements): Finding[] {
  const { nodes, owners } = measurements
  return nodes.map((node) => {
    const question = owners.find((one) => one.node === node.name)
    const finding = {
      id: 'net.ip-collision',
      target: node.name,
      threshold: `one MAC address answers for ${node.address}, and it is the node's own`,
      evidence: question?.macs.source ?? 'arping from another node',
      remedy: `Find the other machine by its MAC address in the switch, and give it another address than ${node.address}.`,
    } as const
    const seen = macsSeenByPeers(measurements, node.name)
    if (seen.length > 1) {
      return { ...finding, state: 'fail', measured: `the other nodes know it by ${seen.join(' and ')}` }
    }
    if (question === undefined) {
      return nodes.length === 1
        ? { ...finding, state: 'skipped', measured: 'there is no other node to ask from' }
        : { ...finding, state: 'could-not-run', measured: 'no other node asked' }
    }
    if (question.macs.kind === 'unread')
      return { ...finding, state: 'could-not-run', measured: question.macs.reason }
    return { ...finding, ...ownerVerdict(measurements, question, question.macs.value) }
  })
}

function ownerVerdict(
  measurements: Measurements,
  { node, from }: AddressQuestion,
  macs: readonly string[],
): Pick<Finding, 'state' | 'measured'> {
  if (macs.length === 0) return { state: 'could-not-run', measured: `nobody answers ARP from ${from}` }
  if (macs.length > 1) return { state: 'fail', measured: `${macs.join(' and ')} answer` }
  const own = ownMacs(measurements, node)
  if (own === undefined) {
    return {
      state: 'could-not-run',
      measured: `${macs.join()} answers; the node did not tell whether that is its own`,
    }
  }
  return macs.every((mac) => own.includes(mac))
    ? { state: 'pass', measured: `${macs.join()}, its own` }
    : { state: 'fail', measured: `${macs.join()} answers, which is no interface of the node` }
}

/** By the neighbour tables of the others; a bond's interfaces are one machine. */
function macsSeenByPeers(measurements: Measurements, node: string): string[] {
  const seen = measurements.nodes
    .flatMap(({ peers }) => peers)
    .filter(({ name }) => name === node)
    .flatMap(({ link }) =>
      link.kind === 'read' && link.value.via === undefined ? (link.value.mac ?? []) : [],
    )
  const own = ownMacs(measurements, node) ?? []
  const macs = [...new Set(seen)].sort()
  return macs.every((mac) => own.includes(mac)) ? macs.slice(0, 1) : macs
}

function ownMacs(measurements: Measurements, node: string): readonly string[] | undefined {
  const own = nodeOf(measurements, node)?.own
  return own?.kind === 'read' ? own.value.interfaces.map(({ mac }) => mac) : undefined
}

/** Whether somebody has the address that a node shall get. */
export function plannedAddressFindings(plan: Plan, measurements: Measurements): Finding[] {
  return measurements.nodes.map((node) => {
    const nic = plannedNode(plan, node.name)?.nic
    const question = measurements.plannedAddresses.find((one) => one.node === node.name)
    const address = nic?.mode === 'static' ? nic.address : null
    const finding = {
      id: 'net.ip-free',
      target: node.name,
      threshold: `nobody answers for ${address ?? 'the address'}`,
      evidence: question?.macs.source ?? 'arping -D from another node',
      remedy: `Choose another address for ${node.name} (nic.address in the plan), or give the other machine another one.`,
    } as const
    if (address === null) {
      return { ...finding, state: 'skipped', measured: 'the plan gives the node no other address' }
    }
    if (address === node.address)
      return { ...finding, state: 'pass', measured: `the node has ${address} already` }
    if (question === undefined) return { ...finding, state: 'could-not-run', measured: 'nobody asked' }
    const { macs, from } = question
    if (macs.kind === 'unread') return { ...finding, state: 'could-not-run', measured: macs.reason }
    if (macs.value.length === 0) {
      return { ...finding, state: 'pass', measured: `nobody answers for ${address} (asked from ${from})` }
    }
    const own = ownMacs(measurements, node.name) ?? []
    return macs.value.every((mac) => own.includes(mac))
      ? { ...finding, state: 'pass', measured: `the node itself has ${address} already` }
      : { ...finding, state: 'fail', measured: `${macs.value.join(' and ')} answers for ${address}` }
  })
}

export function dhcpFinding({ nodes }: Measurements): Finding {
  const finding = {
    id: 'net.duplicate-dhcp',
    target: 'all nodes',
    threshold: 'at most one DHCP server',
    remedy: 'Find the second DHCP server by its address, and stop it: nodes would get addresses of both.',
  } as const
  const asker = nodes.find(({ dhcpServers }) => dhcpServers !== undefined)
  const servers = asker?.dhcpServers
  if (asker === undefined || servers === undefined) {
    return {
      ...finding,
      evidence: 'nmap',
      state: 'could-not-run',
      measured: 'the interface to ask by is not known',
    }
  }
  const evidence = `${servers.source} on ${asker.name}`
  if (servers.kind === 'unread') {
    const isAbsent = servers.reason.includes('no program nmap')
    return isAbsent
      ? {
          ...finding,
          evidence,
          state: 'skipped',
          measured: `${servers.reason}, with which it could be asked`,
        }
      : { ...finding, evidence, state: 'could-not-run', measured: servers.reason }
  }
  const measured = servers.value.length === 0 ? 'no DHCP server answers' : servers.value.join(', ')
  return { ...finding, evidence, state: servers.value.length > 1 ? 'fail' : 'pass', measured }
}
