import type { AcceptedWarning } from '../../shared/checks/index.ts'
import type { LinkStatus } from '../appliance/index.ts'
import type { PhaseContext, NodeContext } from '../engine/phase.ts'
import type { Dialler } from '../network/dialler.ts'
import type { Vantage } from '../network/discovery/vantage.ts'
import type { WorkstationReach } from '../network/proof-of-life/proof.ts'
import type { Plan, PlanNode } from '../../shared/plan/index.ts'
import type { SecretStore } from '../secrets/index.ts'
import type { ConsoleAccess } from './console-access.ts'
import type { NodeAccess } from './node-access.ts'
import type { NodeFacts } from './node-facts.ts'
import type { LoginAttempts } from '../storage/login-attempts.ts'
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
  /** Refused logins, of all runs of the site. */
  readonly loginAttempts: LoginAttempts
  readonly nodes: NodeAccess
  readonly console: ConsoleAccess
  /** Read in this process, by name of the node; gathered anew in the next process. */
  readonly facts: Map<string, NodeFacts>
  /** When the network between the nodes was measured, and did not block; milliseconds since the Unix epoch, by the run's clock. */
  measuredAt: number | undefined
  /** Warnings of checks that were given in this process, so that nobody reads them twice: id and target. */
  readonly warned: Set<string>
  /** Warnings that somebody has accepted on this site. */
  readonly acknowledgements: readonly AcceptedWarning[]
  /** The virtual IP address: that of the plan, else what `find-vip` found. Read it with `vipOf`. */
  vip: string | undefined
  /** When nobody had that address the last time somebody looked; milliseconds since the Unix epoch, by the run's clock. */
  vipSeenFreeAt: number | undefined
  /** Whether a proof may have left that address on a node. */
  isVipRaised: boolean
  readonly workstation: WorkstationView
  /** Filled by `configure-cluster`. */
  prepared: PreparedCluster | undefined
  /** The leader's view of all peers; one request serves everybody who asks within a few seconds. */
  readonly leaderView: (context: SiteContext) => Promise<LinkStatus | undefined>
}

/** This workstation as a place to look at the site's network from. */
export type WorkstationView =
  | {
      readonly kind: 'here'
      readonly vantage: () => Promise<Vantage>
      readonly reach: WorkstationReach
    }
  /** `reason` says why not. */
  | { readonly kind: 'elsewhere'; readonly reason: string }

export type SiteContext = PhaseContext<Site>
export type SiteNodeContext = NodeContext<Site>

/** The one node that the plan makes the leader; the plan's rules guarantee it. */
export function leaderOf(plan: Plan): PlanNode {
  const leader = plan.nodes.find((node) => node.leader)
  if (leader === undefined) throw new TypeError('A plan without a leader passed its rules.')
  return leader
}

/** Whether the plan leaves the virtual IP address to Landfall. */
export function isVipSearched(plan: Plan): boolean {
  return plan.site.vip === 'auto'
}

/** The virtual IP address; in a dry run that could not look for one, words for it. */
export function vipOf({ services, mode }: Pick<SiteContext, 'services' | 'mode'>): string {
  if (services.vip !== undefined) return services.vip
  if (mode === 'dry-run') return 'the free address that is found'
  throw new TypeError('The virtual IP address is used before it is known.')
}

/** Address that the node has when all is configured. */
export function finalAddressOf(node: PlanNode): string {
  return node.nic.mode === 'static' ? (node.nic.address ?? node.address) : node.address
}

/** Host name that the node has when all is configured. */
export function finalHostNameOf(node: PlanNode): string {
  return node.hostName ?? node.name
}
