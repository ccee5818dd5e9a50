import type { Finding } from '../../shared/checks/index.ts'
import { beforeConfiguration, checkNodes } from '../checks/index.ts'
import { sitePhase } from '../engine/phase.ts'
import { Semaphore } from '../engine/semaphore.ts'
import { measureSite } from './measure-site.ts'
import { readNodeFacts } from './node-facts.ts'
import { readCluster } from './planned-cluster.ts'
import { refuseBlocking } from './refuse-blocking.ts'
import type { Site, SiteContext } from './site.ts'

/** As the engine does it for phases of nodes: more would only need more memory. */
const nodesAtOnce = 24

/** What is older is looked at again before the cluster is asked for (checks.md, deploy.recheck). */
const ageLimitMilliseconds = 5 * 60_000

interface Facts {
  /** Why there is nothing to measure any more; `undefined`: there is. */
  readonly settledBy: string | undefined
  /** What a dry run has found out; it assumes nothing about nodes that it cannot reach. */
  readonly findings?: readonly Finding[]
}

async function lookForCluster(context: SiteContext): Promise<Facts> {
  const cluster = await readCluster(context)
  const settledBy =
    cluster === undefined ? undefined : `GET /v1/edge-mgmt/cluster names "${cluster.metadata?.name ?? '?'}"`
  return { settledBy }
}

/** Measures before anything is altered: a frame that does not pass or a clock that is off is found now, not in an hour. */
export const measureNodesPhase = sitePhase<Site, Facts>({
  id: 'measure-nodes',
  title: 'Measure the network between the nodes, their clocks and disks',
  expectedSeconds: 15,
  deadlineSeconds: 60 * 60,
  work: 'ssh',
  gather: async (context) => {
    const facts = await lookForCluster(context)
    if (context.mode === 'apply' || facts.settledBy !== undefined) return facts
    // A dry run writes nothing, not even a scratch file.
    const { findings } = await measureSite(context, { isDiskSpeedAsked: false })
    return { ...facts, findings }
  },
  assumeFresh: () => ({ settledBy: undefined, findings: [] }),
  select: (_context, { settledBy }) =>
    settledBy === undefined
      ? { kind: 'needed' }
      : { kind: 'already-done', statement: 'The cluster is there; its network is in use', seen: settledBy },
  apply: async (context, facts) => {
    const findings = facts.findings ?? (await measureSite(context, { isDiskSpeedAsked: true })).findings
    note(context, beforeConfiguration(context.services.plan, findings))
  },
})

/**
 * Looks once more at everything that may have changed since: synchronising takes an hour, and a clock or a cable does not
 * wait.
 */
export const checkAgain = sitePhase<Site, Facts>({
  id: 'check-again',
  title: 'Check the nodes once more',
  expectedSeconds: 15,
  deadlineSeconds: 60 * 60,
  work: 'ssh',
  gather: lookForCluster,
  assumeFresh: () => ({ settledBy: undefined }),
  select: ({ services, clock }, { settledBy }) => {
    if (settledBy !== undefined)
      return { kind: 'already-done', statement: 'The cluster is there', seen: settledBy }
    const age = services.measuredAt === undefined ? Infinity : clock.now() - services.measuredAt
    return age > ageLimitMilliseconds
      ? { kind: 'needed' }
      : {
          kind: 'already-done',
          statement: 'The nodes were checked a short time ago',
          seen: `${Math.round(age / 1000)} s ago, at most ${ageLimitMilliseconds / 1000} s`,
        }
  },
  apply: async (context) => {
    // A dry run has just read and measured them.
    if (context.mode === 'dry-run') return
    const { services } = context
    const places = new Semaphore(nodesAtOnce)
    await Promise.all(
      services.plan.nodes.map(async (node) => {
        const facts = await places.run(context.signal, () => readNodeFacts({ ...context, node }))
        services.facts.set(node.name, facts)
      }),
    )
    const findings = checkNodes(services.plan, [...services.facts.values()])
    refuseBlocking(context, findings)
    context.evidence(
      'The nodes are still what the plan says',
      `${findings.length} checks passed, none blocks`,
    )
    const measured = await measureSite(context, { isDiskSpeedAsked: false })
    note(context, measured.findings)
  },
})

function note(context: SiteContext, findings: readonly Finding[]): void {
  refuseBlocking(context, findings)
  if (findings.length === 0) return
  context.services.measuredAt = context.clock.now()
  const count = (state: Finding['state']) => findings.filter((finding) => finding.state === state).length
  context.evidence(
    'The nodes reach each other, and their clocks agree',
    `${findings.length} checks, none blocks: ${count('pass')} passed, ${count('skipped')} are not asked on this site`,
  )
}
