import { AppError } from '../../shared/errors/index.ts'
import type { Clock } from '../engine/clock.ts'
import { sitePhase } from '../engine/phase.ts'
import { longestLifetimeSeconds, type ProofLeg, type ProofReport } from '../network/proof-of-life/proof.ts'
import { isFailed } from '../network/proof-of-life/verdict-of-leg.ts'
import { readCluster } from './planned-cluster.ts'
import { openProofNodes } from './proof-nodes.ts'
import { vipOf, type Site, type SiteContext } from './site.ts'
import { clusterChange, noteSeen, refuseUsed, vipInUse } from './vip-judgement.ts'
import { removeLeftovers } from './vip-leftover.ts'
import { judgeVip } from './vip-look.ts'
import { nodesInOrderOfUse, type AbsentPlace } from './vip-vantages.ts'

/** Between the two looks at an address: who slept or restarted during the first one is heard by the second. */
const secondLookAfterSeconds = 60

/** Why there is nothing to prove any more; `undefined`: there is. */
interface Facts {
  readonly settledBy: string | undefined
}

/**
 * Looks at the address once more, and then proves that it works: silence only proves that nobody else answers, not that
 * the network lets the address live on a node (port security, private VLANs).
 */
export const proveVip = sitePhase<Site, Facts>({
  id: 'prove-vip',
  title: 'Prove that the virtual IP address works',
  expectedSeconds: 30,
  deadlineSeconds: 30 * 60,
  work: 'ssh',
  gather: async (context) => {
    const cluster = await readCluster(context)
    if (cluster !== undefined) {
      return { settledBy: `GET /v1/edge-mgmt/cluster names "${cluster.metadata.name ?? '?'}"` }
    }
    const request = context.history.change(clusterChange.phase, undefined, clusterChange.key)
    const wasAsked = request === 'done' || request === 'unknown'
    return {
      settledBy: wasAsked ? 'the cluster was asked for before, by the journal of this run' : undefined,
    }
  },
  assumeFresh: () => ({ settledBy: undefined }),
  select: (_context, { settledBy }) =>
    settledBy === undefined
      ? { kind: 'needed' }
      : {
          kind: 'already-done',
          statement: 'The cluster uses the virtual IP address; it is not tried out any more',
          seen: settledBy,
        },
  apply: async (context) => {
    const { plan } = context.services
    if (context.mode === 'dry-run') {
      if (plan.site.vipProof) await listActs(context)
      return
    }
    await removeLeftovers(context, vipOf(context))
    await waitForSecondLook(context)
    if (!plan.site.vipProof) {
      // The look right before the cluster is asked for is the second one then.
      context.evidence('The virtual IP address is not tried out beforehand', 'site.vipProof is false')
    } else if (!(await isProven(context))) await lookAgain(context)
  },
  cleanUp: async (context) => {
    if (context.services.isVipRaised) await removeLeftovers(context, vipOf(context))
    context.services.isVipRaised = false
  },
})

/** Waits for what is left of the time between two looks; most of it has passed with linking and synchronising. */
async function waitForSecondLook(context: SiteContext): Promise<void> {
  const { vipSeenFreeAt } = context.services
  if (vipSeenFreeAt === undefined) return
  const address = vipOf(context)
  const dueAt = vipSeenFreeAt + secondLookAfterSeconds * 1000
  const leftSeconds = () => (dueAt - context.clock.now()) / 1000
  await context.waitFor(
    {
      until: `${secondLookAfterSeconds} s have passed since ${address} was looked at`,
      everySeconds: Math.max(1, leftSeconds()),
      deadlineSeconds: 10 * secondLookAfterSeconds,
      remedies: ['Go on with --resume.'],
    },
    () =>
      Promise.resolve(
        leftSeconds() <= 0
          ? { kind: 'ready', value: undefined }
          : {
              kind: 'waiting',
              detail: `A second look at ${address} follows in ${Math.ceil(leftSeconds())} s`,
            },
      ),
  )
}

/** The second look where no proof makes it. What was told with the first one is not told again. */
async function lookAgain(context: SiteContext): Promise<void> {
  const address = vipOf(context)
  const wasFree = context.services.vipSeenFreeAt !== undefined
  const judgement = await judgeVip(context, address)
  refuseUsed(context, judgement)
  if (judgement.kind === 'unasked') return
  if (wasFree || judgement.report.verdict === 'free') noteSeen(context, address, judgement)
}

async function listActs(context: SiteContext): Promise<void> {
  for (const { name } of nodesInOrderOfUse(context.services).slice(0, 2)) {
    await context.change(
      `raise ${name}`,
      `raise ${vipOf(context)} on ${name} for at most ${longestLifetimeSeconds} s, reach it from the other nodes, and take it away`,
      () => Promise.resolve(),
    )
  }
}

/** Every node asks for the address before the first one takes it: that is the second look. */
async function isProven(context: SiteContext): Promise<boolean> {
  const address = vipOf(context)
  const tried = await tryOut(context, address)
  if (tried.kind === 'tried') return isWorking(context, tried.report, tried.absent)
  context.warn(`It was not proven that ${address} works: no node can try it out. ${tried.reason}`.trim())
  return false
}

/** What came of trying the address out; `nobody`: no node can take it. */
type Trial =
  | { readonly kind: 'tried'; readonly report: ProofReport; readonly absent: readonly AbsentPlace[] }
  | { readonly kind: 'nobody'; readonly reason: string }

/** Lets nodes take the address for some seconds. Whatever they change is noted, and undone. */
export async function tryOut(context: SiteContext, address: string): Promise<Trial> {
  const { services, clock, signal } = context
  const { nodes, absent } = await openProofNodes(context, address)
  if (nodes.length === 0) return { kind: 'nobody', reason: listOf(absent) }
  const { proveAddress } = await import('../network/proof-of-life/index.ts')
  const report = await proveAddress({
    address,
    nodes,
    ...(services.workstation.kind === 'here' ? { workstation: services.workstation.reach } : {}),
    clock: withRealDeadlines(clock),
    signal,
    change: (node, key, what, act) => changeOn(context, node, key, what, act),
    onProgress: (detail, fraction) => {
      context.progress(detail, fraction)
    },
  })
  services.isVipRaised = report.removed !== 'confirmed'
  return { kind: 'tried', report, absent }
}

/**
 * Waits pass in the run's time, deadlines in real time: what a single network operation takes, it takes on the practice lab
 * as well, whatever its time scale.
 */
function withRealDeadlines(clock: Clock): Clock {
  const startedAt = clock.now()
  const wallStartedAt = Date.now()
  return {
    now: () => startedAt + (Date.now() - wallStartedAt),
    sleep: (milliseconds, signal) => clock.sleep(milliseconds, signal),
  }
}

async function changeOn<T>(
  context: SiteContext,
  node: string,
  key: string,
  what: string,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  context.services.isVipRaised = true
  let result: { readonly value: T } | undefined
  await context.change(`${key} ${node}`, what, async (signal) => {
    result = { value: await act(signal) }
  })
  // Only a dry run skips the act, and a dry run does not get here.
  if (result === undefined) throw new TypeError('An act of the proof did not happen.')
  return result.value
}

/** @throws AppError `VIP_IN_USE`, `VIP_NOT_REACHABLE` */
function isWorking(context: SiteContext, report: ProofReport, absent: readonly AbsentPlace[]): boolean {
  const { address, outcome, reason, warnings } = report
  for (const warning of warnings) context.warn(warning)
  const notTried = absent.length === 0 ? '' : ` Not tried from: ${listOf(absent)}`
  switch (outcome) {
    case 'works':
      context.evidence(`${address} works`, `${reason} ${describe(report)}${notTried}`)
      return true
    case 'conflict':
      throw vipInUse(context, address, `${reason} ${describe(report)}`.trim())
    case 'inconclusive':
      context.warn(`It was not proven that ${address} works: ${reason}${notTried}`)
      return false
    case 'unreachable':
      if (!isForWorkstationOnly(report)) throw notReachable(report)
      context.warn(
        `The nodes reach ${address}, this workstation does not: ${reason} ` +
          'The system console will be at that address: open the way to it.',
      )
      return true
  }
}

/** The workstation's way may be filtered or routed; the cluster does not need it. */
function isForWorkstationOnly({ legs, missedHandOver }: ProofReport): boolean {
  return (
    legs.every((leg) => leg.vantage === 'workstation' || !isFailed(leg)) &&
    missedHandOver.every(({ from }) => from === 'workstation')
  )
}

function notReachable({ address, reason }: ProofReport): AppError {
  return new AppError({
    code: 'VIP_NOT_REACHABLE',
    title: `The virtual IP address ${address} does not work in this network.`,
    detail: reason,
    remedies: [
      'Allow more than one address per port: port security and DHCP snooping on switches; promiscuous mode, MAC changes and forged transmits on vSphere, SpoofGuard on NSX.',
      'Check that all nodes are in one layer 2 network that lets them talk to each other (no private VLAN, no client isolation).',
      'If this address cannot be tried out but is known to work, write vipProof: false below site in the plan.',
    ],
  })
}

/** The reason of the report has the hand-over; this has what each place saw. */
function describe({ legs, removed }: ProofReport): string {
  return [
    ...(legs.length === 0 ? [] : [`${legs.map(describeLeg).join('; ')}.`]),
    ...(removed === 'confirmed' && legs.length > 0 ? ['It was taken away again.'] : []),
  ].join(' ')
}

function describeLeg({ from, to, detail }: ProofLeg): string {
  return `${from} → ${to}: ${detail}`
}

function listOf(absent: readonly AbsentPlace[]): string {
  return absent.map(({ name, reason }) => `${name}: ${reason.replace(/[.\s]+$/, '')}.`).join(' ')
}
