import { AppError } from '../../shared/errors/index.ts'
import type { PlanNode } from '../../shared/plan/index.ts'
import { controlPlaneHosts } from '../appliance/cluster-configuration.ts'
import type { Vantage } from '../network/discovery/vantage.ts'
import type { ProgramRunner } from '../network/programs/program-runner.ts'
import { briefly } from './brief-vantage.ts'
import type { Site, SiteContext } from './site.ts'

/** A node on which programs can be run. */
export interface NodeRunner {
  readonly node: PlanNode
  readonly runner: ProgramRunner
}

/** A place that cannot be used, and why, as the end of "not used: …". */
export interface AbsentPlace {
  readonly name: string
  readonly reason: string
}

/** Places to look at the site's network from. */
export interface Lookout {
  readonly vantages: readonly Vantage[]
  readonly absent: readonly AbsentPlace[]
}

/** Nodes that an address is looked at from: one more would cost time and hear the same. */
export const nodesToLookFrom = 3

/** Nodes that take part in a proof: all of a usual site. Of a large one the first, where the address will live. */
export const mostProofNodes = 16

/**
 * The workstation and at most `most` nodes, as far as they can be used at all. Whether they are attached to the right network is
 * found out by whoever looks.
 *
 * @throws a transient AppError when nothing can be used, and a node may only be away for a moment.
 */
export async function openLookout(context: SiteContext, most: number): Promise<Lookout> {
  const { services, clock, signal } = context
  const places: Vantage[] = []
  const absent: AbsentPlace[] = []
  if (services.workstation.kind === 'here') places.push(await services.workstation.vantage())
  else absent.push({ name: 'workstation', reason: services.workstation.reason })
  const nodes = await openRunners(context, most)
  absent.push(...nodes.absent)
  if (nodes.open.length > 0) {
    const { createNodeVantage } = await import('../network/discovery/node-vantage.ts')
    for (const { node, runner } of nodes.open) {
      places.push(briefly(createNodeVantage({ name: node.name, runner, clock })))
    }
  }
  const vantages: Vantage[] = []
  for (const result of await Promise.all(places.map((vantage) => withKnownFacts(vantage, signal)))) {
    if ('reason' in result) absent.push(result)
    else vantages.push(result)
  }
  return { vantages, absent }
}

/** A place that cannot even tell its own interfaces is no reason not to look from the others. */
async function withKnownFacts(vantage: Vantage, signal: AbortSignal): Promise<Vantage | AbsentPlace> {
  try {
    const facts = await vantage.facts(signal)
    return { ...vantage, facts: () => Promise.resolve(facts) }
  } catch (error) {
    if (!(error instanceof AppError) || error.isTransient) throw error
    return { name: vantage.name, reason: error.message }
  }
}

/**
 * Nodes on which programs can be run over SSH, those of the control plane first, the leader before all others; at most
 * `most`.
 *
 * @throws a transient AppError when there is none, and one of them may only be away for a moment.
 */
export async function openRunners(
  context: SiteContext,
  most: number,
): Promise<{ readonly open: readonly NodeRunner[]; readonly absent: readonly AbsentPlace[] }> {
  const open: NodeRunner[] = []
  const absent: AbsentPlace[] = []
  let failure: AppError | undefined
  const left = nodesInOrderOfUse(context.services)
  while (open.length < most && left.length > 0) {
    const next = left.splice(0, Math.min(left.length, most - open.length))
    const results = await Promise.all(next.map((node) => openRunner(context, node)))
    for (const result of results) {
      if (result.kind === 'open') open.push(result)
      else absent.push(result)
      if (result.kind === 'away') failure ??= result.error
    }
  }
  if (open.length === 0 && failure !== undefined) throw failure
  return { open, absent }
}

type Opened =
  | ({ readonly kind: 'open' } & NodeRunner)
  | ({ readonly kind: 'closed' } & AbsentPlace)
  | ({ readonly kind: 'away'; readonly error: AppError } & AbsentPlace)

async function openRunner(context: SiteContext, node: PlanNode): Promise<Opened> {
  const { services, signal } = context
  const { name } = node
  try {
    const access = await services.nodes.ssh(context, node)
    if (access.kind === 'closed') return { kind: 'closed', name, reason: `no SSH: ${access.reason}` }
    const { createSshRunner } = await import('../network/programs/ssh-runner.ts')
    const password = async () => (await services.nodes.acceptedCredential(context, node)).password
    return {
      kind: 'open',
      node,
      runner: createSshRunner({ place: name, connection: access.connection, password }),
    }
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof AppError)) throw error
    // One node is no reason not to look from the others; whoever needs this very node meets the same error.
    return error.isTransient
      ? { kind: 'away', name, reason: error.message, error }
      : { kind: 'closed', name, reason: error.message }
  }
}

/** The address will live on nodes of the control plane. */
export function nodesInOrderOfUse({ plan }: Site): PlanNode[] {
  const names = [...controlPlaneHosts(plan).map((host) => host.node), ...plan.nodes.map((node) => node.name)]
  return [...new Set(names)].flatMap((name) => plan.nodes.filter((node) => node.name === name))
}
