import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../shared/errors/index.ts'
import type { PlanNode } from '../../shared/plan/index.ts'
import type { EdgeHost, LocalApiClient, LocalSettings } from '../appliance/index.ts'
import type { CollectedFacts, MergedFacts } from '../appliance/facts/index.ts'
import type { SiteNodeContext } from './site.ts'

/** What was read from a node. */
export interface NodeFacts {
  readonly node: PlanNode
  /** `metadata.id` of the edge host. */
  readonly uid: string
  readonly edgeHost: EdgeHost
  readonly settings: LocalSettings
  /** Name of the cluster that the node belongs to already, if any. */
  readonly clusterName: string | undefined
  /** What the operating system tells over SSH. */
  readonly host: HostAnswer
  /** Both together. Where SSH is closed, it says so for each fact that only SSH tells. */
  readonly merged: MergedFacts
}

export type HostAnswer =
  | { readonly kind: 'read'; readonly collected: Omit<CollectedFacts, 'raw'> }
  | { readonly kind: 'closed'; readonly reason: string }

/** Real time for all commands on one node. The slowest of them ask disks that may be dead. */
const deadlineSeconds = 45

/** Reads everything about a node that later phases decide upon. */
export async function readNodeFacts(context: SiteNodeContext): Promise<NodeFacts> {
  const { node, services, signal } = context
  const client = await services.nodes.localApi(context, node)
  const [edgeHost, settings, clusterName] = await Promise.all([
    client.edgeHost({ signal }),
    client.settings({ signal }),
    clusterNameOf(client, signal),
  ])
  const uid = edgeHost.metadata?.id
  if (uid === undefined || uid === '') {
    throw new AppError({
      code: 'BAD_ANSWER',
      title: `${node.name} does not tell the id of its edge host.`,
      detail: 'GET /v1/edge-mgmt/edgehosts/current has no metadata.id.',
      remedies: ['The agent may still be starting; go on with --resume in a few minutes.'],
      isTransient: true,
    })
  }
  const host = await askHost(context)
  const { mergeFacts, unreadHostFacts } = await import('../appliance/facts/index.ts')
  const hostFacts = host.kind === 'read' ? host.collected.facts : unreadHostFacts(host.reason)
  const merged = mergeFacts({ edgeHost, settings, host: hostFacts })
  return { node, uid, edgeHost, settings, clusterName, host, merged }
}

/** The definition is on the host that created the cluster only; its members know the details. */
async function clusterNameOf(client: LocalApiClient, signal: AbortSignal): Promise<string | undefined> {
  const cluster = (await client.cluster({ signal })) ?? (await client.clusterDetails({ signal }))
  return cluster === undefined ? undefined : (cluster.metadata?.name ?? '(without a name)')
}

async function askHost(context: SiteNodeContext): Promise<HostAnswer> {
  const { node, services, signal, clock } = context
  const access = await services.nodes.ssh(context, node)
  if (access.kind === 'closed') return access
  // Not before it is needed: both take their time to load.
  const [{ createSshRunner }, { collectNodeFacts }] = await Promise.all([
    import('../network/programs/ssh-runner.ts'),
    import('../appliance/facts/index.ts'),
  ])
  const password = async () => (await services.nodes.acceptedCredential(context, node)).password
  const runner = createSshRunner({ place: node.name, connection: access.connection, password })
  const { raw, ...collected } = await collectNodeFacts(runner, {
    signal,
    deadlineSeconds,
    asRoot: true,
    clock,
  })
  // It is in the file from now on, not in the memory as well.
  await keepRawFacts(context, raw)
  const { completeness } = collected
  switch (completeness.kind) {
    case 'complete':
      return { kind: 'read', collected }
    case 'partial':
      context.warn(`Not all facts of ${node.name} could be read: ${completeness.reason}`)
      return { kind: 'read', collected }
    case 'none':
      // A connection that broke heals: the engine asks again.
      if (completeness.error?.isTransient === true) throw new AppError(completeness.error)
      return { kind: 'closed', reason: completeness.reason }
  }
}

/** For the support bundle. Facts that cannot be kept are no reason to stop. A dry run leaves nothing behind. */
async function keepRawFacts(context: SiteNodeContext, raw: string): Promise<void> {
  const { node, services, mode } = context
  if (mode === 'dry-run') return
  const folder = join(services.runFolder, 'facts')
  const { writeFileAtomically } = await import('../storage/atomic-file.ts')
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeFileAtomically(join(folder, `${node.name}.txt`), raw)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    context.warn(`What ${node.name} told about itself could not be kept for the support bundle: ${reason}`)
  }
}
