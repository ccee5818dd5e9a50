import { z } from 'zod'
import { assertNever } from '../errors/index.ts'
import { definitionOf, isCheckId, type CheckId } from './catalogue/index.ts'
import type { CheckSeverity } from './definition.ts'

/** What came of looking. `could-not-run`: nobody knows. `skipped`: it is not asked on this site, and `measured` says why. */
export type FindingState = 'pass' | 'fail' | 'could-not-run' | 'skipped'

/** What one check found out about one target; what is always the same about the check is in the catalogue. */
export interface Finding {
  readonly id: CheckId
  /** What was looked at: a node, `n1 → n2`, `all nodes`, `plan`, `workstation`, a file, an address. */
  readonly target: string
  readonly state: FindingState
  /** What was measured, in words. */
  readonly measured: string
  /** What it must be. */
  readonly threshold: string
  /** Where the measured value comes from: a command, a request, a file. */
  readonly evidence: string
  /** What to do when it failed. */
  readonly remedy: string
  /** Where it weighs another way here than in the catalogue. */
  readonly severity?: CheckSeverity | undefined
  /** Where it says more than the catalogue. */
  readonly title?: string | undefined
}

/** Who accepted a warning as it is. Holds until it blocks. */
export const acknowledgementSchema = z.strictObject({
  /** Account on the workstation. */
  by: z.string().min(1),
  at: z.iso.datetime(),
  why: z.string().min(1),
})

/** `warn`: did not pass, and somebody may accept it; `fail`: did not pass, and blocks. */
export const checkStateSchema = z.enum([
  'pass',
  'warn',
  'fail',
  'pending',
  'running',
  'could-not-run',
  'skipped',
  'acknowledged',
])
export type CheckState = z.infer<typeof checkStateSchema>

/** The answer to one question about the site. */
export const checkResultSchema = z.strictObject({
  id: z.custom<CheckId>((id) => typeof id === 'string' && isCheckId(id), {
    error: 'is not a check of the catalogue',
  }),
  target: z.string(),
  state: checkStateSchema,
  severity: z.enum(['block', 'warn', 'info']),
  title: z.string(),
  measured: z.string(),
  threshold: z.string(),
  evidence: z.string(),
  remedy: z.string(),
  /** Step of the wizard on which it is put right; `null`: outside of Landfall. */
  fixStep: z.enum(['platform', 'files', 'network', 'nodes', 'cluster']).nullable(),
  /** When it was measured, ISO 8601; `null` while it is pending or running. */
  at: z.iso.datetime().nullable(),
  /** Seconds after which it must be measured again; `null`: never, as long as the plan is the same. */
  ageLimitSeconds: z.int().positive().nullable(),
  acknowledgement: acknowledgementSchema.optional(),
})
export type CheckResult = z.infer<typeof checkResultSchema>

/** `at`: milliseconds since the Unix epoch. */
export function resultOf(finding: Finding, at: number): CheckResult {
  const { id, target, measured, threshold, evidence, remedy } = finding
  const definition = definitionOf(id)
  const severity = finding.severity ?? definition.severity
  return {
    id,
    target,
    state: stateOf(finding.state, severity),
    severity,
    title: finding.title ?? definition.title,
    measured,
    threshold,
    evidence,
    remedy,
    fixStep: definition.fixStep,
    at: new Date(at).toISOString(),
    ageLimitSeconds: definition.ageLimitSeconds,
  }
}

function stateOf(state: FindingState, severity: CheckSeverity): CheckState {
  switch (state) {
    case 'pass':
    case 'could-not-run':
    case 'skipped':
      return state
    case 'fail':
      return severity === 'block' ? 'fail' : 'warn'
    default:
      return assertNever(state)
  }
}

/**
 * A check that stops the installation: it blocks, and it did not pass. What could not be read, or has not been looked at
 * yet, is never a pass.
 */
export function isBlocking({ severity, state }: Pick<CheckResult, 'severity' | 'state'>): boolean {
  if (severity !== 'block') return false
  switch (state) {
    case 'fail':
    case 'could-not-run':
    case 'pending':
    case 'running':
      return true
    case 'pass':
    case 'warn':
    case 'skipped':
    case 'acknowledged':
      return false
    default:
      return assertNever(state)
  }
}

/** A check that an operator must accept, or put right, before the site is altered. */
export function needsAcknowledgement({ severity, state }: Pick<CheckResult, 'severity' | 'state'>): boolean {
  return severity === 'warn' && (state === 'warn' || state === 'could-not-run')
}

/** Whether a result is too old to rely on at the given time (milliseconds since the Unix epoch). */
export function isStale(
  { at, ageLimitSeconds }: Pick<CheckResult, 'at' | 'ageLimitSeconds'>,
  now: number,
): boolean {
  if (at === null) return true
  return ageLimitSeconds !== null && now - Date.parse(at) > ageLimitSeconds * 1000
}
