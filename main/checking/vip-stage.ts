import type { Finding } from '../../shared/checks/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import { checkVip, type VipFindings } from '../checks/index.ts'
import { sitePhase, type Phase } from '../engine/phase.ts'
import { toFindings } from '../network/proof-of-life/index.ts'
import { longestLifetimeSeconds } from '../network/proof-of-life/proof.ts'
import { endpointOf, readCluster } from '../phases/planned-cluster.ts'
import { tryOut } from '../phases/prove-vip.ts'
import type { Site, SiteContext } from '../phases/site.ts'
import { removeLeftovers } from '../phases/vip-leftover.ts'
import { judgeVip, searchVip } from '../phases/vip-look.ts'

/** The one check that changes something: it runs only when it is asked for by its name. */
export const reachableId = 'vip.reachable'

interface VipCheckOptions {
  readonly isReachableAsked: boolean
  readonly takeFindings: (findings: readonly Finding[]) => void
  /** What is about to be changed, for the operator. */
  readonly announce: (text: string) => void
}

/** Looks at the virtual IP address and its network, from everywhere that can be used. */
export function vipPhase({ isReachableAsked, takeFindings, announce }: VipCheckOptions): Phase<Site> {
  return sitePhase<Site, VipFindings>({
    id: 'check-vip',
    title: 'Look at the virtual IP address',
    expectedSeconds: 30,
    // In a rehearsal the run's clock goes faster than the programs that look.
    deadlineSeconds: 60 * 60,
    work: 'ssh',
    gather: look,
    assumeFresh: () => ({ kind: 'unasked', reason: 'nobody could look' }),
    apply: async (context, findings) => {
      takeFindings(checkVip(context.services.plan, findings))
      if (isReachableAsked) takeFindings(await checkReachable(context, findings, announce))
    },
  })
}

async function look(context: SiteContext): Promise<VipFindings> {
  const { plan } = context.services
  // A leader that cannot be asked has a result of its own; the address is looked at all the same.
  const cluster = await readCluster(context).catch(undefinedIfTold)
  const endpoint = cluster === undefined ? undefined : endpointOf(cluster)
  if (endpoint !== undefined && (plan.site.vip === 'auto' || plan.site.vip === endpoint)) {
    const seen = `GET /v1/edge-mgmt/cluster names "${cluster?.metadata.name ?? '?'}" with ${endpoint}`
    return { kind: 'cluster', address: endpoint, seen }
  }
  try {
    const found = await searchVip(context)
    if (plan.site.vip === 'auto')
      return { kind: 'asked', address: found.best, seen: found.seen, network: found.report }
    const judged = await judgeVip(context, plan.site.vip)
    return judged.kind === 'unasked'
      ? judged
      : { kind: 'asked', address: judged.report, seen: judged.seen, network: found.report }
  } catch (error) {
    context.signal.throwIfAborted()
    if (!(error instanceof AppError)) throw error
    return { kind: 'unasked', reason: error.message }
  }
}

function undefinedIfTold(error: unknown): undefined {
  if (error instanceof AppError) return undefined
  throw error
}

async function checkReachable(
  context: SiteContext,
  findings: VipFindings,
  announce: (text: string) => void,
): Promise<Finding[]> {
  const { vip, vipProof } = context.services.plan.site
  const free =
    findings.kind === 'asked' && findings.address?.verdict === 'free' ? findings.address : undefined
  const notTried = (measured: string): Finding[] => [
    {
      id: reachableId,
      target: vip === 'auto' ? (free?.address ?? 'vip: auto') : vip,
      severity: 'warn',
      state: 'could-not-run',
      title: 'The virtual IP works on this network',
      measured,
      threshold: 'reached from every other node at each of two holders',
      evidence: 'not tried',
      remedy: 'See vip.free: only an address that nobody has can be tried out.',
    },
  ]
  if (!vipProof) return notTried('site.vipProof is false: the plan does not allow it')
  if (free === undefined) return notTried('nobody is known to leave it free, so it was not raised')
  announce(
    `${reachableId}: two nodes take ${free.address} one after the other, for at most ${longestLifetimeSeconds} s each; it is taken away at once.`,
  )
  await removeLeftovers(context, free.address)
  const trial = await tryOut(context, free.address)
  return trial.kind === 'nobody'
    ? notTried(`no node can try it out: ${trial.reason}`)
    : toFindings(trial.report)
}
