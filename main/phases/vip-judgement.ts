import type { AddressReport } from '../../shared/addresses/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import type { SiteContext } from './site.ts'
import type { VipJudgement } from './vip-look.ts'

/** @throws AppError `VIP_IN_USE` that names who answered, and where that was heard. */
export function refuseUsed(context: SiteContext, judgement: VipJudgement): void {
  if (judgement.kind === 'unasked' || judgement.report.verdict !== 'used') return
  const { address, reason, evidence } = judgement.report
  throw vipInUse(context, address, [reason, answersIn(evidence)].filter((text) => text !== '').join(' '))
}

/** `detail`: who has the address, and how that is known. */
export function vipInUse({ services, history }: SiteContext, address: string, detail: string): AppError {
  const wasChosen = services.plan.site.vip === 'auto'
  const isAskedFor = !['never', 'failed'].includes(
    history.change(clusterChange.phase, undefined, clusterChange.key),
  )
  return new AppError({
    code: 'VIP_IN_USE',
    title: `The virtual IP address ${address} is in use.`,
    detail,
    remedies: [
      wasChosen
        ? `Go on with ${isAskedFor ? '--fresh' : '--resume'}: another free address is chosen.`
        : 'Choose a free address for site.vip, or write auto there: then one is looked for.',
      'Or find the machine that has this address and change it there, then go on with --resume.',
    ],
  })
}

/**
 * Notes what was seen of an address that nobody is known to have: evidence when it is free, a warning when nobody can
 * tell. `untold` begins the warning for an address that nobody could ask for.
 */
export function noteSeen(context: SiteContext, address: string, judgement: VipJudgement): void {
  if (judgement.kind === 'unasked') {
    context.warn(
      `Nobody could ask whether somebody has ${address}, so nothing is known about it. ${judgement.reason}`,
    )
    return
  }
  const { verdict, reason } = judgement.report
  if (verdict === 'free') {
    context.evidence(freeStatement(address), judgement.seen)
    context.services.vipSeenFreeAt = context.clock.now()
  } else {
    context.warn(
      `It is not certain that ${address} is free: ${reason} Choose another address unless you know better.`,
    )
  }
}

/** Silence is no proof, so it does not say "free". */
export function freeStatement(address: string): string {
  return `Nobody answers for ${address}`
}

function answersIn(evidence: AddressReport['evidence']): string {
  const answers = evidence
    .filter(({ answer }) => answer === 'answered')
    .map(({ vantage, method, macs, detail }) => {
      const who = macs.length === 0 ? 'an answer' : macs.join(' and ')
      return `${vantage} heard ${who} by ${method} (${detail})`
    })
  return answers.length === 0 ? '' : `${[...new Set(answers)].join('; ')}.`
}

/** The one act after which the address cannot be changed any more. */
export const clusterChange = { phase: 'deploy-cluster', key: 'create-cluster' }
