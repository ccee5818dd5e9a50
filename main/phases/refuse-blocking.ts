import { isBlocking, type CheckResult } from '../../shared/checks/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import type { SiteContext } from './site.ts'

/** Ends the run, with all of them at once, when checks block; gives a warning for each other one that did not pass. */
export function refuseBlocking(context: SiteContext, results: readonly CheckResult[]): void {
  const blocking = results.filter(isBlocking)
  if (blocking.length > 0) throw refusal(blocking)
  for (const result of results.filter((candidate) => candidate.state !== 'pass')) {
    context.warn(
      `${result.target}: ${result.title}: ${result.measured} (should be ${result.threshold}). ${result.remedy}`,
    )
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
