import type { LinkStatus } from '../appliance/index.ts'
import type { PhaseContext, NodeContext } from '../engine/phase.ts'
import type { Dialler } from '../network/dialler.ts'
import type { Plan, PlanNode } from '../../shared/plan/index.ts'
import type { SecretStore } from '../secrets/index.ts'
import type { ConsoleAccess } from './console-access.ts'
import type { NodeAccess } from './node-access.ts'
import type { NodeFacts } from './node-facts.ts'
import type { PreparedCluster } from './configure-cluster.ts'

/** What the phases of an installation work with: the plan and the ways to its site. */
export interface Site {
  readonly plan: Plan
  /** Absolute path of a file that the plan names; relative ones are relative to the plan. */
  readonly fileOfPlan: (path: string) => string
  /** Reads a (small) file that the plan names. Throws an AppError that names it. */
  readonly readFile: (path: string) => Promise<Buffer>
  /** Folder for what belongs to this run (exported certificates, log). */
  readonly runFolder: string
  readonly secrets: SecretStore
  readonly dialler: Dialler
  readonly nodes: NodeAccess
  readonly console: ConsoleAccess
  /** Read in this process, by name of the node; gathered anew in the next process. */
  readonly facts: Map<string, NodeFacts>
  /** Filled by `configure-cluster`. */
  prepared: PreparedCluster | undefined
  /** The leader's view of all peers; one request serves everybody who asks within a few seconds. */
  readonly leaderView: (context: SiteContext) => Promise<LinkStatus | undefined>
}

export type SiteContext = PhaseContext<Site>
export type SiteNodeContext = NodeContext<Site>

/** The one node that the plan makes the leader; the plan's rules guarantee it. */
export function leaderOf(plan: Plan): PlanNode {
  const leader = plan.nodes.find((node) => node.leader)
  if (leader === undefined) throw new TypeError('A plan without a leader passed its rules.')
  return leader
}

/** The virtual IP address as an address; the plan's rules refuse `auto` as long as nothing can resolve it. */
export function vipOf(plan: Plan): string {
  return plan.site.vip
}

/** Address that the node has when all is configured. */
export function finalAddressOf(node: PlanNode): string {
  return node.nic.mode === 'static' ? (node.nic.address ?? node.address) : node.address
}

/** Host name that the node has when all is configured. */
export function finalHostNameOf(node: PlanNode): string {
  return node.hostName ?? node.name
}
