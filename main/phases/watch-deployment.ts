import { AppError } from '../../shared/errors/index.ts'
import type { ClusterApplications, ClusterDetails, LifecycleEvents } from '../appliance/index.ts'
import { sitePhase, type Look } from '../engine/phase.ts'
import { leaderOf, type Site, type SiteContext } from './site.ts'

const minute = 60
/** Consecutive looks that must be good, because states flap during the deployment (checks.md, accept.running-healthy). */
const goodLooksNeeded = 3

interface View {
  readonly details: ClusterDetails | undefined
  readonly applications: ClusterApplications | undefined
  readonly lifecycle: LifecycleEvents
}

/** Follows the deployment until the cluster is Running and Healthy and all of its applications run. */
export const watchDeployment = sitePhase<Site, View | undefined>({
  id: 'watch-deployment',
  title: 'Wait until the cluster runs',
  expectedSeconds: 27 * minute,
  deadlineSeconds: 130 * minute,
  work: 'wait',
  gather: (context) => readView(context).catch(nothingYet),
  assumeFresh: () => undefined,
  select: (_context, view) =>
    view !== undefined && isComplete(view)
      ? { kind: 'already-done', statement: 'The cluster is Running and Healthy', seen: describe(view) }
      : { kind: 'needed' },
  apply: async (context) => {
    let goodLooks = 0
    await context.waitFor(
      {
        until: 'the cluster is Running and Healthy and all applications run',
        everySeconds: 15,
        softSeconds: 50 * minute,
        deadlineSeconds: 120 * minute,
        remedies: [
          'Look at "Cluster" in the Local UI of the leader: which application is not Running?',
          'Do not restart the nodes: they restart by themselves during the deployment.',
          'Download the logs in the Local UI (Diagnostics) of all nodes.',
        ],
      },
      async () => {
        const view = await readView(context)
        refuseFailure(context, view)
        goodLooks = isComplete(view) ? goodLooks + 1 : 0
        return goodLooks >= goodLooksNeeded ? { kind: 'ready', value: undefined } : waiting(view)
      },
    )
  },
  verify: async (context) => {
    const view = await readView(context)
    context.evidence('The cluster is Running and Healthy', describe(view))
  },
})

async function readView(context: SiteContext): Promise<View> {
  const { services, signal } = context
  const leader = await services.nodes.localApi(context, leaderOf(services.plan))
  const [details, applications, lifecycle] = await Promise.all([
    leader.clusterDetails({ signal }),
    leader.clusterApplications({ signal }),
    leader.lifecycleEvents({ signal }),
  ])
  return { details, applications, lifecycle }
}

/** The leader restarts during the deployment: not reachable is not yet a failure. */
function nothingYet(error: unknown): undefined {
  if (error instanceof AppError && error.isTransient) return undefined
  throw error
}

function packsOf(view: View) {
  return (view.applications?.clusterProfileTemplates ?? []).flatMap((profile) => profile.packs)
}

function isComplete(view: View): boolean {
  const status = view.details?.status
  const packs = packsOf(view)
  return (
    status?.clusterState?.toLowerCase() === 'running' &&
    status.health?.status?.toLowerCase() === 'healthy' &&
    packs.length > 0 &&
    packs.every(isRunning)
  )
}

function isRunning(pack: { readonly status: string | undefined }): boolean {
  return pack.status?.toLowerCase() === 'running'
}

function refuseFailure(context: SiteContext, view: View): void {
  const status = view.details?.status
  if (status?.clusterState?.toLowerCase() !== 'error') return
  const waitingPacks = packsOf(view).filter((pack) => !isRunning(pack))
  throw new AppError({
    code: 'DEPLOYMENT_FAILED',
    title: 'The appliance reports that the deployment failed.',
    detail:
      `${status.clusterStateReason ?? 'No reason is given.'} ` +
      `Applications that do not run: ${waitingPacks.map((pack) => pack.name ?? '?').join(', ') || 'none'}.`,
    remedies: [
      'Mend what the reason names; the appliance tries again by itself; then go on with --resume.',
      'If the virtual IP address is taken, the cluster must be deleted in the Local UI and created again with another one.',
    ],
    node: leaderOf(context.services.plan).name,
  })
}

function waiting(view: View): Look<undefined> {
  const { done, total, current } = lifecycleProgress(view.lifecycle)
  const packs = packsOf(view)
  const running = packs.filter(isRunning).length
  const status = view.details?.status
  const parts = [
    `Cluster: ${status?.clusterState ?? 'not there yet'}${status?.health?.status === undefined ? '' : `, ${status.health.status}`}`,
    ...(current === undefined ? [] : [current]),
    ...(packs.length === 0 ? [] : [`applications ${running} of ${packs.length}`]),
  ]
  const steps = total + packs.length
  return {
    kind: 'waiting',
    detail: parts.join('; '),
    fraction: steps === 0 ? undefined : Math.min(0.98, (done + running) / steps),
  }
}

/** How many of the announced conditions are true, and the label of the first that is not. */
export function lifecycleProgress(lifecycle: LifecycleEvents): {
  done: number
  total: number
  current: string | undefined
} {
  const trueTypes = new Set(
    [...lifecycle.edgeHostEvents, ...lifecycle.clusterEvents]
      .filter((condition) => condition.status?.toLowerCase() === 'true')
      .map((condition) => condition.type),
  )
  const isTrue = ({ type }: { readonly type: string | undefined }) =>
    type !== undefined && trueTypes.has(type)
  const ordered = lifecycle.expectedOrder
    .toSorted((left, right) => (left.order ?? 0) - (right.order ?? 0))
    .flatMap((category) =>
      category.conditionsOrder.toSorted((left, right) => (left.order ?? 0) - (right.order ?? 0)),
    )
  const next = ordered.find((condition) => !isTrue(condition))
  return {
    done: ordered.filter(isTrue).length,
    total: ordered.length,
    current: next === undefined ? undefined : (next.reasonLabel ?? next.typeLabel ?? next.type),
  }
}

function describe(view: View): string {
  const status = view.details?.status
  const packs = packsOf(view)
  return (
    `state ${status?.clusterState ?? '?'}, health ${status?.health?.status ?? '?'}, ` +
    `${packs.filter(isRunning).length} of ${packs.length} applications Running, Kubernetes ${status?.k8sVersion ?? '?'}`
  )
}
