import { AppError } from '../../shared/errors/index.ts'
import { sitePhase } from '../engine/phase.ts'
import { leaderOf, vipOf, type Site } from './site.ts'

/** The procedure's own validation at the end (palette.md §1.10), read from cluster and console. */
export const validateInstallation = sitePhase<Site, undefined>({
  id: 'validate',
  title: 'Validate the installation',
  expectedSeconds: 30,
  work: 'api',
  gather: () => Promise.resolve(undefined),
  assumeFresh: () => undefined,
  apply: async (context) => {
    if (context.mode === 'dry-run') return
    const { services, signal } = context
    const leader = await services.nodes.localApi(context, leaderOf(services.plan))
    const { client } = await services.console.session(context)
    const details = await leader.clusterDetails({ signal })
    const applications = await leader.clusterApplications({ signal })
    const registry = services.plan.cluster.registry.inCluster
      ? await leader.registryHealth({ signal })
      : undefined
    const [pageStatus, isHealthy, version] = [
      await client.page('/system', { signal }),
      await client.isHealthy({ signal }),
      await client.installedVersion({ signal }),
    ]
    const packs = (applications?.clusterProfileTemplates ?? []).flatMap((profile) => profile.packs)
    const notRunning = packs.filter((pack) => pack.status?.toLowerCase() !== 'running')
    const problems = [
      ...(is(details?.status?.clusterState, 'running')
        ? []
        : [`cluster state ${details?.status?.clusterState ?? '?'}`]),
      ...(is(details?.status?.health?.status, 'healthy')
        ? []
        : [
            `cluster health ${details?.status?.health?.status ?? '?'} ${details?.status?.health?.reason ?? ''}`,
          ]),
      ...notRunning.map((pack) => `application ${pack.name ?? '?'} is ${pack.status ?? '?'}`),
      ...(packs.length === 0 ? ['the leader lists no applications'] : []),
      ...(registry !== undefined && !is(registry.State, 'healthy')
        ? [`registry ${registry.State ?? '?'} ${registry.Message ?? ''}`]
        : []),
      ...(pageStatus < 400 ? [] : [`https://${vipOf(context)}/system answers ${pageStatus}`]),
      ...(isHealthy ? [] : ['GET /v1/health/ready of the console does not say ready']),
    ]
    if (problems.length > 0) {
      throw new AppError({
        code: 'VALIDATION_FAILED',
        title: 'The installation is not as it must be.',
        detail: `${problems.join('; ')}.`,
        remedies: [
          'A cluster may flap for some minutes after its start: go on with --resume.',
          'Then look at "Cluster" in the Local UI.',
        ],
        // Flapping heals; the engine looks again a few times before it gives up.
        isTransient: true,
      })
    }
    context.evidence('Cluster', `Running and Healthy, all ${packs.length} applications Running`)
    if (registry !== undefined)
      context.evidence('Registry', `${registry.State ?? '?'}, ${registry.DiskAvailable ?? '?'} free`)
    context.evidence('System console', `page answers ${pageStatus}, ready, version ${version ?? 'not told'}`)
  },
})

function is(value: string | undefined, word: string): boolean {
  return value?.toLowerCase() === word
}
