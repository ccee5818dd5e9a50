import type { CheckId, Finding } from '../../../shared/checks/index.ts'
import type { Plan } from '../../../shared/plan/index.ts'
import { clockFindings } from './check-clock.ts'
import { dhcpFinding, majorityFinding, ownerFindings, plannedAddressFindings } from './check-fleet.ts'
import { linkFindings } from './check-links.ts'
import { diskFinding, gatewayFinding, serviceFindings } from './check-services.ts'
import type { Measurements } from './measurements.ts'

/** Checks with a finding for each node; those of the clock are made when all clocks are known. */
const perNode: readonly CheckId[] = [
  'net.gateway-answers',
  'dns.servers-answer',
  'dns.wildcard',
  'ntp.servers-answer',
  'proxy.reach',
  'reg.reach',
  'node.disk-speed',
  'clock.skew',
]

/** All findings of what was measured. Pure. Only those that were asked for. */
export function checkMeasurements(plan: Plan, measurements: Measurements): Finding[] {
  return [
    ...measurements.nodes.flatMap(({ name }) => findingsOfNode(plan, measurements, name)),
    ...findingsOfPairs(plan, measurements),
    ...findingsOfFleet(plan, measurements),
  ]
}

/** What needs nothing but what the node itself told. */
export function findingsOfNode(plan: Plan, measurements: Measurements, name: string): Finding[] {
  const node = measurements.nodes.find((one) => one.name === name)
  if (node === undefined) return []
  return askedOf(measurements, [
    gatewayFinding(node),
    ...serviceFindings(plan, node),
    diskFinding(node, measurements.isDiskSpeedAsked),
  ])
}

/**
 * What was measured from one node to another. In a fleet of up to 12 nodes each pair has its own findings, in a larger
 * one each node, about all that it asked.
 *
 * @param isKnown of both ends; default: all are
 * @param about only what became known with this node
 */
export function findingsOfPairs(
  plan: Plan,
  measurements: Measurements,
  isKnown: (from: string, to: string) => boolean = () => true,
  about?: string,
): Finding[] {
  return measurements.nodes.flatMap((from) => {
    const groups = measurements.isFullMesh ? from.peers.map((peer) => [peer]) : [from.peers]
    return groups.flatMap((peers) => {
      if (!peers.every((peer) => isKnown(from.name, peer.name))) return []
      if (about !== undefined && from.name !== about && !peers.some(({ name }) => name === about)) return []
      return askedOf(measurements, linkFindings(plan, measurements, from, peers))
    })
  })
}

/** What compares nodes with each other. */
export function findingsOfFleet(plan: Plan, measurements: Measurements): Finding[] {
  return askedOf(measurements, [
    majorityFinding(plan, measurements),
    ...clockFindings(measurements),
    ...ownerFindings(measurements),
    ...plannedAddressFindings(plan, measurements),
    dhcpFinding(measurements),
    ...notMeasured(plan, measurements),
  ])
}

/** Nodes of the plan that nobody could even ask. */
function notMeasured(plan: Plan, { nodes }: Measurements): Finding[] {
  const known = new Set(nodes.map(({ name }) => name))
  return plan.nodes
    .filter(({ name }) => !known.has(name))
    .flatMap(({ name }) =>
      perNode.map((id) => ({
        id,
        target: name,
        state: 'could-not-run',
        measured: 'not measured: there is no SSH connection to the node',
        threshold: 'measured on the node',
        evidence: 'SSH',
        remedy: 'See what the checks of this node say about SSH, then check again.',
      })),
    )
}

function askedOf({ asked }: Measurements, findings: readonly Finding[]): Finding[] {
  return findings.filter(({ id }) => asked.includes(id))
}
