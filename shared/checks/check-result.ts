import { z } from 'zod'

/** The answer to one question about the site; the ids are those of the catalogue and are stable. */
export const checkResultSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/),
  /** What was looked at: a node, the site, a file. */
  target: z.string(),
  severity: z.enum(['block', 'warn', 'info']),
  state: z.enum(['pass', 'fail', 'could-not-run']),
  title: z.string(),
  /** What was measured, in words. */
  measured: z.string(),
  /** What it must be. */
  threshold: z.string(),
  /** Where the measured value comes from. */
  evidence: z.string(),
  /** What to do when it failed. */
  remedy: z.string(),
})

export type CheckResult = z.infer<typeof checkResultSchema>

/** A check that is not passed and may not be passed over. A fact that could not be read is never a pass. */
export function isBlocking(result: CheckResult): boolean {
  return result.severity === 'block' && result.state !== 'pass'
}
