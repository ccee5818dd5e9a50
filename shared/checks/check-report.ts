import { z } from 'zod'
import {
  checkResultSchema,
  checkStateSchema,
  isBlocking,
  type CheckResult,
  type CheckState,
} from './check-result.ts'

/** What `landfall check --json` prints. */
export const checkReportSchema = z.strictObject({
  checks: z.array(checkResultSchema),
  /** How many checks are in which state, and how many of them stop the installation. */
  summary: z.record(z.enum(['total', 'blocking', ...checkStateSchema.options]), z.int()),
  /** About the plan and about the looking itself; whole sentences. */
  warnings: z.array(z.string()),
})
export type CheckReport = z.infer<typeof checkReportSchema>

export function summaryOf(checks: readonly CheckResult[]): CheckReport['summary'] {
  const count = (state: CheckState) => checks.filter((check) => check.state === state).length
  return {
    total: checks.length,
    blocking: checks.filter(isBlocking).length,
    pass: count('pass'),
    warn: count('warn'),
    fail: count('fail'),
    pending: count('pending'),
    running: count('running'),
    'could-not-run': count('could-not-run'),
    skipped: count('skipped'),
    acknowledged: count('acknowledged'),
  }
}
