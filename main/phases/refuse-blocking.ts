import {
  acknowledge,
  isBlocking,
  resultOf,
  type CheckResult,
  type Finding,
} from '../../shared/checks/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import type { SiteContext } from './site.ts'

/** Ends the run, with all of them at once, when checks block; gives a warning for each other one that did not pass. */
export function refuseBlocking(context: SiteContext, findings: readonly Finding[]): void {
  const { services, clock } = context
  const now = clock.now()
  const results = acknowledge(
    findings.map((finding) => resultOf(finding, now)),
    services.acknowledgements,
  )
  const blocking = results.filter(isBlocking)
  if (blocking.length > 0) throw refusal(blocking)
  for (const result of results) tell(context, result)
}

function tell(context: SiteContext, result: CheckResult): void {
  const { id, target, title, measured, threshold, remedy, severity, state, acknowledgement } = result
  if (state === 'acknowledged' && acknowledgement !== undefined) {
    const { by, at, why } = acknowledgement
    context.evidence(`${target}: ${title}: not so, and accepted`, `${measured}; ${by}, ${at}: ${why}`)
  } else if (severity !== 'info' && state !== 'pass' && state !== 'skipped') {
    const { warned } = context.services
    if (warned.has(`${id} ${target}`)) return
    warned.add(`${id} ${target}`)
    context.warn(`${target}: ${title}: ${measured} (should be ${threshold}). ${remedy}`)
  }
}

function refusal(blocking: readonly CheckResult[]): AppError {
  const targets = new Set(blocking.map((result) => result.target))
  return new AppError({
    code: 'CHECK_BLOCKS',
    title: blocking.length === 1 ? 'A check does not pass.' : `${blocking.length} checks do not pass.`,
    detail: blocking
      .map((result) => `${result.target}: ${result.title}: ${result.measured}; must be: ${result.threshold}.`)
      .join(' '),
    remedies: [...new Set(blocking.map((result) => `${result.target}: ${result.remedy}`))],
    node: targets.size === 1 ? nodeOf([...targets][0]) : undefined,
  })
}

/** Checks of the workstation, of files and of all nodes together belong to no node. */
function nodeOf(target: string | undefined): string | undefined {
  return target === undefined || /^(all nodes|workstation)$|[./]/.test(target) ? undefined : target
}
