import type { FreeAddressReport } from '../../shared/addresses/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import type { Plan } from '../../shared/plan/index.ts'
import { isHostAddress, parseAddress, parseNetwork } from '../../shared/plan/ipv4.ts'
import { sitePhase } from '../engine/phase.ts'
import { endpointOf, readCluster } from './planned-cluster.ts'
import { reservedAddresses } from './reserved-addresses.ts'
import { isVipSearched, type Site, type SiteContext } from './site.ts'
import { clusterChange, freeStatement, noteSeen, refuseUsed } from './vip-judgement.ts'
import { removeLeftovers } from './vip-leftover.ts'
import { judgeVip, searchVip, type VipJudgement } from './vip-look.ts'

/** Whether the address can still be chosen. */
type Facts =
  /** The cluster is there and has one. */
  | { readonly kind: 'cluster'; readonly address: string; readonly seen: string }
  /** It was asked for with one, and does not show yet. */
  | { readonly kind: 'asked'; readonly address: string }
  | { readonly kind: 'open' }

/**
 * Settles which address the cluster gets: that of the plan, after looking whether somebody has it, or, for `auto`, a free
 * one. Before anything on the nodes is altered.
 */
export const findVip = sitePhase<Site, Facts>({
  id: 'find-vip',
  title: 'Find a free virtual IP address',
  expectedSeconds: 15,
  deadlineSeconds: 30 * 60,
  work: 'ssh',
  gather: async (context) => {
    const facts = await gatherFacts(context)
    if (facts.kind !== 'open') await settle(context, facts.address)
    return facts
  },
  assumeFresh: () => ({ kind: 'open' }),
  select: (_context, facts) => {
    switch (facts.kind) {
      case 'cluster':
        return { kind: 'already-done', statement: 'The cluster has its virtual IP address', seen: facts.seen }
      case 'asked':
        return {
          kind: 'already-done',
          statement: 'The virtual IP address is the one with which the cluster was asked for',
          seen: `${facts.address}, by the journal of this run`,
        }
      case 'open':
        return { kind: 'needed' }
    }
  },
  apply: async (context) => {
    const { plan } = context.services
    if (!isVipSearched(plan)) {
      await acceptPlanned(context, plan.site.vip)
      return
    }
    const chosen = context.history.chosenVip()
    if (chosen !== undefined && (await isKept(context, chosen))) return
    await choose(context).catch((error: unknown) => {
      goOnWithout(context, error)
    })
  },
})

async function gatherFacts(context: SiteContext): Promise<Facts> {
  const { plan } = context.services
  const isSearched = isVipSearched(plan)
  const cluster = await readCluster(context)
  if (cluster !== undefined) {
    const endpoint = endpointOf(cluster)
    const address = isSearched ? (endpoint ?? context.history.chosenVip()) : plan.site.vip
    if (address === undefined) throw endpointMissing()
    const seen = `GET /v1/edge-mgmt/cluster names "${cluster.metadata.name ?? '?'}" with ${endpoint ?? 'no virtual IP address'}`
    return { kind: 'cluster', address, seen }
  }
  const request = context.history.change(clusterChange.phase, undefined, clusterChange.key)
  const address = isSearched ? context.history.chosenVip() : plan.site.vip
  const wasAsked = request === 'done' || request === 'unknown'
  return wasAsked && address !== undefined ? { kind: 'asked', address } : { kind: 'open' }
}

/** From here on this is the address. What was chosen is durable before anything uses it. */
async function settle(context: SiteContext, address: string): Promise<void> {
  const { services, history } = context
  if (isVipSearched(services.plan) && history.chosenVip() !== address) {
    await context.report({ type: 'vip-chosen', address })
  }
  services.vip = address
}

async function acceptPlanned(context: SiteContext, address: string): Promise<void> {
  await removeLeftovers(context, address)
  const judgement = await judgeVip(context, address)
  refuseUsed(context, judgement)
  tell(context, warningsOf(judgement))
  noteSeen(context, address, judgement)
  await settle(context, address)
}

/** Looks again at what this run has chosen before; says why when it cannot stay. */
async function isKept(context: SiteContext, address: string): Promise<boolean> {
  await removeLeftovers(context, address)
  const why = whyNotByPlan(context.services.plan, address) ?? (await whyNotFree(context, address))
  if (why === undefined) return true
  context.warn(`${address}, which this run had chosen, cannot stay: ${why} Another address is looked for.`)
  return false
}

/** The plan may have changed since; `undefined`: it leaves the address free. */
function whyNotByPlan(plan: Plan, address: string): string | undefined {
  const network = parseNetwork(plan.site.network)
  const number = parseAddress(address)
  if (network === undefined || number === undefined || !isHostAddress(network, number))
    return `It is no address of ${plan.site.network}.`
  const owner = reservedAddresses(plan).get(address)
  return owner === undefined ? undefined : `It is ${owner}.`
}

async function whyNotFree(context: SiteContext, address: string): Promise<string | undefined> {
  const judgement = await judgeVip(context, address)
  if (judgement.kind === 'unasked') return judgement.reason
  if (judgement.report.verdict !== 'free') return judgement.report.reason
  tell(context, warningsOf(judgement))
  noteSeen(context, address, judgement)
  await settle(context, address)
  return undefined
}

async function choose(context: SiteContext): Promise<void> {
  const { best, report, seen } = await searchVip(context)
  if (best === undefined) throw noFreeAddress(context.services.plan.site.network, report)
  tell(context, report.warnings)
  context.evidence(freeStatement(best.address), seen)
  context.services.vipSeenFreeAt = context.clock.now()
  await settle(context, best.address)
}

/** A dry run lists what follows all the same; what cannot be reached now may be reached by the run. */
function goOnWithout(context: SiteContext, error: unknown): void {
  if (context.mode === 'apply' || !(error instanceof AppError) || !error.isTransient) throw error
  context.warn(`No free address was looked for: ${error.message}`)
}

/** What belongs to a doubt is in its reason. */
function warningsOf(judgement: VipJudgement): readonly string[] {
  return judgement.kind === 'asked' && judgement.report.verdict === 'free' ? judgement.warnings : []
}

function tell(context: SiteContext, warnings: readonly string[]): void {
  for (const warning of warnings) context.warn(warning)
}

function noFreeAddress(network: string, { asked, used, doubtful }: FreeAddressReport): AppError {
  const [doubt] = doubtful
  return new AppError({
    code: 'NO_FREE_ADDRESS',
    title: `No free address was found in ${network}.`,
    detail:
      `${asked.addresses} of ${asked.of} addresses asked: ${used.length} used, ${doubtful.length} doubtful.` +
      (doubt === undefined ? '' : ` For example ${doubt.address}: ${doubt.reason}`),
    remedies: [
      'Free an address of this network, then go on with --resume.',
      'Or write an address as site.vip that you know to be free.',
    ],
  })
}

function endpointMissing(): AppError {
  return new AppError({
    code: 'BAD_ANSWER',
    title: 'The leader does not tell the virtual IP address of the cluster.',
    detail: 'GET /v1/edge-mgmt/cluster has no controlPlaneEndpoint.host, and site.vip is auto.',
    remedies: ['Write the address of the cluster as site.vip in the plan, then go on with --resume.'],
    isTransient: true,
  })
}
