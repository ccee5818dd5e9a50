import {
  catalogue,
  definitionOf,
  isCheckId,
  planCheckIds,
  type CheckId,
  type Finding,
} from '../../shared/checks/index.ts'
import { productDefaultPasswords, type Plan, type PlanProblem } from '../../shared/plan/index.ts'
import type { AppError } from '../../shared/errors/index.ts'
import {
  beforeConfiguration,
  checkCredentials,
  checkHostKeys,
  checkLockout,
  checkNodes,
  checkPlanRules,
  checkPosition,
  checkReach,
  checkTls,
  checkWorkstation,
} from '../checks/index.ts'
import type { Clock } from '../engine/clock.ts'
import type { RunResult } from '../engine/run.ts'
import { nodePhase, sitePhase, type Phase } from '../engine/phase.ts'
import type { Credential } from '../phases/credentials.ts'
import { connectNodes } from '../phases/connect-nodes.ts'
import { measureSite, type SiteMeasurement } from '../phases/measure-site.ts'
import type { Site } from '../phases/site.ts'
import { waitForInstall } from '../phases/wait-for-install.ts'
import type { CheckStage } from './check-session.ts'
import { lookAtOperatorPorts } from './operator-ports.ts'
import { reachableId, vipPhase } from './vip-stage.ts'
import { readPosition } from './workstation-position.ts'

export interface SiteStagesOptions {
  readonly site: Site
  /** About the plan, from reading it. */
  readonly remarks: readonly PlanProblem[]
  readonly stateFolder: string
  readonly leaseFile: string
  readonly signal: AbortSignal
  readonly clock: Pick<Clock, 'now'>
  /** Executes phases that only look. */
  readonly walk: (phases: readonly Phase<Site>[]) => Promise<RunResult>
  /** Nodes that have just been switched on are waited for. */
  readonly areNodesStarting: boolean
  /** Runs while the virtual IP address is raised on nodes: nobody else may work on the site. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>
  /** What is about to be altered, for the operator. */
  readonly announce: (text: string) => void
  readonly onMeasured?: (measurement: SiteMeasurement) => void
}

const idsFrom = (family: string) =>
  Object.keys(catalogue)
    .filter(isCheckId)
    .filter((id) => id.startsWith(family))

/** Checks of §3.4 that the facts of the nodes answer. */
const factsOfNetwork: readonly CheckId[] = [
  'host.name-unique',
  'net.same-subnet',
  'net.non-overlapping',
  'net.default-route',
  'net.mtu-equal',
  'net.dhcp-lease',
  'ntp.synced',
  'clock.tz',
]
/** They alter something, if only for seconds: they run when they are asked for by their name. */
export const namedOnlyIds: readonly CheckId[] = [reachableId, 'node.disk-speed']

/** Compared between the nodes: their target is all of them. */
const fleetIds: readonly CheckId[] = [
  'node.uid-unique',
  'node.mac-unique',
  'node.agent-version',
  'node.homogeneous',
  'node.secure-boot',
  'net.mtu-equal',
  'host.name-unique',
]
/** Told of every node, read or not. */
const withoutFacts: readonly CheckId[] = [
  'node.connected',
  'net.ports-operator',
  'ws.tls-inspection',
  'ssh.host-key',
  'cred.default-changed',
  'cred.lockout',
]
const workstationIds: readonly CheckId[] = [
  ...idsFrom('ws.').filter((id) => id !== 'ws.clock' && id !== 'ws.tls-inspection'),
  ...idsFrom('media.').filter((id) => !isPlanCheck(id)),
  'bundle.zst-valid',
  'reg.cert-key-match',
  'reg.cert-san',
  'reg.cert-dates',
  'reg.cert-chain',
]
const nodeIds: readonly CheckId[] = [
  ...idsFrom('node.').filter((id) => id !== 'node.disk-speed' && !isPlanCheck(id)),
  ...factsOfNetwork,
  'net.ports-operator',
  'ws.tls-inspection',
  'ssh.host-key',
  'cred.default-changed',
  'cred.lockout',
]
const vipIds: readonly CheckId[] = idsFrom('vip.').filter((id) => !isPlanCheck(id))

function isPlanCheck(id: CheckId): boolean {
  return planCheckIds.some((planId) => planId === id)
}

/** Everything that can be looked at on a site, in the order in which one thing needs the other. */
export function siteStages(options: SiteStagesOptions): CheckStage[] {
  const { site, signal } = options
  const { plan } = site
  const names = plan.nodes.map(({ name }) => name)
  let connected: Promise<RunResult> | undefined
  const connectAnew = () =>
    (connected = (async () => {
      // One that does not come up is found out right afterwards, and does not keep the others from being read.
      if (options.areNodesStarting) await walkOrStop(options, [waitForInstall])
      return await walkOrStop(options, [connectNodes])
    })())
  const connectOnce = () => connected ?? connectAnew()
  return [
    {
      title: 'Reading the plan',
      ids: [...planCheckIds, 'net.ports-node', 'net.same-subnet'],
      targets: [],
      run: (_asked, take) => {
        take(checkPlanRules(options.remarks))
        return Promise.resolve()
      },
    },
    {
      title: 'Looking at this workstation and the files of the plan',
      ids: workstationIds,
      targets: ['workstation'],
      run: async (asked, take) => {
        const files = checkWorkstation(plan, {
          stateFolder: options.stateFolder,
          fileOfPlan: site.fileOfPlan,
          readsMedia: asked.has('media.sha256'),
        }).then(take)
        const position = readPosition(site.workstation, options.leaseFile, signal).then((seen) => {
          take(checkPosition(plan, seen))
        })
        await Promise.all([files, position])
      },
    },
    {
      title: 'Reading the nodes',
      ids: nodeIds,
      targets: names,
      run: async (_asked, take) => {
        const run = await connectAnew()
        take(plan.nodes.map((node) => checkReach(node, site.facts.get(node.name)?.uid, run.errors)))
        take(await lookAtOperatorPorts(site, signal))
        take(await lookAtAccess(options))
        take(beforeConfiguration(plan, checkNodes(plan, [...site.facts.values()])))
        take(unreadNodes(plan, new Set(site.facts.keys()), run.errors))
      },
    },
    measureStage(options, names, connectOnce),
    {
      title: 'Looking at the virtual IP address',
      ids: vipIds,
      targets: [plan.site.vip === 'auto' ? 'vip: auto' : plan.site.vip],
      run: async (asked, take) => {
        const isReachableAsked = asked.has(reachableId)
        await connectOnce()
        const look = () =>
          walkOrStop(options, [
            vipPhase({ isReachableAsked, takeFindings: take, announce: options.announce }),
          ])
        const { errors } = isReachableAsked ? await options.alone(look) : await look()
        const [error] = errors
        if (error !== undefined) throw error
      },
    },
  ]
}

function measureStage(
  options: SiteStagesOptions,
  names: readonly string[],
  connectOnce: () => Promise<RunResult>,
): CheckStage {
  const others = Object.keys(catalogue).filter(isCheckId)
  const known = new Set<CheckId>([...planCheckIds, ...workstationIds, ...nodeIds, ...vipIds])
  const ids = others.filter((id) => !known.has(id))
  return {
    title: 'Measuring the network between the nodes',
    ids,
    targets: names,
    run: async (asked, take) => {
      const { plan } = options.site
      await connectOnce()
      let measured: SiteMeasurement | undefined
      const phase = sitePhase<Site, undefined>({
        id: 'measure',
        title: 'Measure',
        expectedSeconds: 15,
        deadlineSeconds: 60 * 60,
        work: 'ssh',
        gather: () => Promise.resolve(undefined),
        assumeFresh: () => undefined,
        apply: async (context) => {
          measured = await measureSite(context, {
            only: asked,
            isDiskSpeedAsked: asked.has('node.disk-speed'),
            onFindings: (findings) => {
              take(beforeConfiguration(plan, findings))
            },
          })
        },
      })
      const { errors } = await walkOrStop(options, [phase])
      const [error] = errors
      if (measured === undefined) {
        if (error !== undefined) throw error
        return
      }
      options.onMeasured?.(measured)
      take(beforeConfiguration(plan, measured.findings))
    },
  }
}

async function walkOrStop(
  { walk, signal }: SiteStagesOptions,
  phases: readonly Phase<Site>[],
): Promise<RunResult> {
  const result = await walk(phases)
  signal.throwIfAborted()
  return result
}

/** Identities and passwords, from what connecting has found out: nothing is tried for it. */
async function lookAtAccess(options: SiteStagesOptions): Promise<Finding[]> {
  const { site } = options
  const { plan, nodes, loginAttempts, facts } = site
  const account = plan.access.user
  const now = options.clock.now()
  const refused = await Promise.all(
    plan.nodes.map(async ({ name: node }) => ({
      node,
      account,
      refusedAt: await loginAttempts.refusals({ node, account }),
    })),
  )
  const accepted = new Map<string, Credential>()
  await walkOrStop(options, [
    nodePhase<Site, undefined>({
      id: 'look-at-accounts',
      title: 'Look which password is in use',
      expectedSeconds: 1,
      work: 'api',
      concerns: ({ name }) => facts.has(name),
      gather: () => Promise.resolve(undefined),
      assumeFresh: () => undefined,
      apply: async (context) => {
        // Whoever was read has a session already; it is asked, not opened.
        accepted.set(context.node.name, await nodes.acceptedCredential(context, context.node))
      },
    }),
  ])
  return [
    ...checkTls(plan.nodes.map((node) => ({ node: node.name, proof: nodes.certificateProof(node) }))),
    ...checkHostKeys(plan.nodes.map((node) => ({ node: node.name, judgement: nodes.hostKey(node) }))),
    ...checkLockout(refused, now),
    ...checkCredentials(
      plan.nodes.map(({ name: node }) => ({
        node,
        account,
        accepted: accepted.get(node)?.name,
        isProductDefault: accepted.get(node)?.password === productDefaultPasswords.node,
        isToBeChanged: plan.access.newPassword !== null && accepted.get(node)?.name === 'initial',
      })),
    ),
  ]
}

/** What nobody could read says nothing: each check of that node could not run. */
function unreadNodes(plan: Plan, read: ReadonlySet<string>, errors: readonly AppError[]): Finding[] {
  const perNode = nodeIds.filter((id) => !fleetIds.includes(id) && !withoutFacts.includes(id))
  return plan.nodes
    .filter(({ name }) => !read.has(name))
    .flatMap(({ name }) => {
      const error = errors.find(({ node }) => node === name)
      return perNode.map((id): Finding => ({
        id,
        target: name,
        state: 'could-not-run',
        measured: `${name} was not read: ${error?.title ?? 'it was not reached'}`,
        threshold: definitionOf(id).title,
        evidence: 'see node.connected',
        remedy: error?.remedies[0] ?? 'Switch the node on and check its address and cabling.',
      }))
    })
}
