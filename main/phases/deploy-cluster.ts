import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../shared/errors/index.ts'
import { differencesOfCluster } from '../appliance/cluster-configuration.ts'
import type { ClusterConfiguration } from '../appliance/index.ts'
import { sitePhase } from '../engine/phase.ts'
import { plannedConfiguration, readCluster } from './planned-cluster.ts'
import { leaderOf, vipOf, type Site, type SiteContext } from './site.ts'
import { clusterChange, noteSeen, refuseUsed, vipInUse } from './vip-judgement.ts'
import { judgeVip } from './vip-look.ts'

interface Facts {
  /** What the appliance has; `undefined`: no cluster. */
  readonly existing: ClusterConfiguration | undefined
}

/**
 * Asks the leader for the cluster, exactly once: what is there already is read first, and after a lost answer the site
 * decides, not the memory of this process.
 */
export const deployCluster = sitePhase<Site, Facts>({
  id: clusterChange.phase,
  title: 'Create the cluster',
  expectedSeconds: 15,
  deadlineSeconds: 30 * 60,
  work: 'api',
  gather: async (context) => ({ existing: await readCluster(context) }),
  assumeFresh: () => ({ existing: undefined }),
  select: (context, { existing }) => {
    if (existing === undefined) return { kind: 'needed' }
    refuseOtherCluster(context, existing)
    return { kind: 'already-done', statement: 'The cluster exists', seen: nameOf(existing) }
  },
  apply: async (context) => {
    if (await appearsAfterLostAnswer(context)) return
    await refuseUsedVip(context)
    const { plan, prepared } = context.services
    await context.change(clusterChange.key, describe(context), async (signal) => {
      if (prepared === undefined) throw new TypeError('The cluster is not prepared.')
      await keepRegistryAuthority(context.services)
      const leader = await context.services.nodes.localApi(context, leaderOf(plan))
      await leader.createCluster(prepared.configuration, { signal }).catch(refusedIfAnswered)
    })
  },
  verify: async (context) => {
    const existing = await context.waitFor(
      {
        until: 'the leader knows the cluster',
        everySeconds: 5,
        deadlineSeconds: 600,
        remedies: ['Look at "Cluster" in the Local UI of the leader.'],
      },
      async () => {
        const cluster = await readCluster(context)
        return cluster === undefined
          ? { kind: 'waiting', detail: 'The leader does not list the cluster yet' }
          : { kind: 'ready', value: cluster }
      },
    )
    if (existing === undefined) return
    refuseOtherCluster(context, existing)
    context.evidence('The cluster exists', nameOf(existing))
  },
})

/**
 * Every process makes a new certificate for the registry; the authority that belongs to the cluster is that of the
 * process which asked for it.
 */
async function keepRegistryAuthority({ prepared, runFolder }: Site): Promise<void> {
  if (prepared?.registryAuthority === undefined) return
  await writeFile(join(runFolder, 'registry-ca.pem'), prepared.registryAuthority)
}

/**
 * The appliance answers a configuration that it does not take with status 500 and a message. That is a verdict, not a
 * passing fault: the request is not repeated.
 */
function refusedIfAnswered(error: unknown): never {
  if (error instanceof AppError && error.code === 'SERVER_ERROR' && error.detail.includes('HTTP 500')) {
    throw new AppError({
      code: 'CLUSTER_REFUSED',
      title: 'The appliance refused the cluster.',
      detail: error.detail,
      remedies: ['Read the message above, correct the plan, then go on with --resume.'],
      node: error.node,
      cause: error,
    })
  }
  throw error
}

/**
 * When an earlier attempt asked for the cluster and nobody heard the answer, the request may still be under way: the
 * site gets some time to show it before it is asked again.
 */
async function appearsAfterLostAnswer(context: SiteContext): Promise<boolean> {
  const request = context.history.change(clusterChange.phase, undefined, clusterChange.key)
  if (request !== 'unknown' && request !== 'done') return false
  const patienceSeconds = 60
  const until = context.clock.now() + patienceSeconds * 1000
  const appeared = await context.waitFor(
    {
      until: 'it is certain whether the earlier request took effect',
      everySeconds: 5,
      deadlineSeconds: patienceSeconds * 3,
      remedies: ['Look at "Cluster" in the Local UI of the leader, then go on with --resume.'],
    },
    async () => {
      if ((await readCluster(context)) !== undefined) return { kind: 'ready', value: true }
      return context.clock.now() >= until
        ? { kind: 'ready', value: false }
        : { kind: 'waiting', detail: 'The cluster was asked for before; looking whether it appears' }
    },
  )
  return appeared ?? false
}

function refuseOtherCluster(context: SiteContext, existing: ClusterConfiguration): void {
  const differences = differencesOfCluster(existing, plannedConfiguration(context))
  if (differences.length === 0) return
  throw new AppError({
    code: 'OTHER_CLUSTER',
    title: 'There is another cluster on these nodes than the one of the plan.',
    detail: `${differences.join('; ')}. Nothing was changed.`,
    remedies: [
      'If the existing cluster is the right one, correct the plan so that it says the same.',
      'If it is not needed any more, delete it in the Local UI of the leader, then go on with --resume.',
    ],
    node: leaderOf(context.services.plan).name,
  })
}

/** The last look, right before the address gets its owner; short, because it was looked at from everywhere before. */
async function refuseUsedVip(context: SiteContext): Promise<void> {
  // A dry run that found no address has none to look at; and one that found one has just looked.
  if (context.services.vip === undefined || context.mode === 'dry-run') return
  const address = vipOf(context)
  const [ports, judgement] = await Promise.all([
    portsThatAnswer(context, address),
    judgeVip(context, address, 1),
  ])
  refuseUsed(context, judgement)
  if (ports.length > 0) {
    throw vipInUse(
      context,
      address,
      `Something answers there on TCP port ${ports.join(', ')}, and there is no cluster yet.`,
    )
  }
  if (judgement.kind === 'asked' && judgement.report.verdict === 'free') noteSeen(context, address, judgement)
}

async function portsThatAnswer(context: SiteContext, host: string): Promise<number[]> {
  const open = await Promise.all(
    [22, 443, 5080, 6443].map(async (port) => {
      try {
        const socket = await context.services.dialler.dial(
          { host, port },
          { signal: context.signal, timeoutMilliseconds: 2000 },
        )
        socket.destroy()
        return port
      } catch {
        // Refused or silent: nothing is proven by that, and nothing is claimed (evidence of use is what is looked for).
        context.signal.throwIfAborted()
        return undefined
      }
    }),
  )
  return open.filter((port) => port !== undefined)
}

function describe(context: SiteContext): string {
  const { plan, prepared } = context.services
  const { controlPlane, worker } = plan.cluster.pools
  const settings =
    prepared === undefined
      ? `storage pool drive ${plan.cluster.storagePoolDrive} (its content is destroyed)`
      : prepared.summary.map(({ label, value }) => `${label} = ${value}`).join(', ')
  return (
    `create the cluster "${plan.cluster.name}" with the virtual IP address ${vipOf(context)}, ` +
    `control plane pool ${controlPlane.name}${worker === null ? ', no worker pool' : `, worker pool ${worker.name}`}; ` +
    settings
  )
}

function nameOf(cluster: ClusterConfiguration): string {
  return `GET /v1/edge-mgmt/cluster names "${cluster.metadata.name ?? '?'}"`
}
