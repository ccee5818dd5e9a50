import { z } from 'zod'
import { definitionOf } from './catalogue/index.ts'
import {
  acknowledgementSchema,
  checkResultSchema,
  needsAcknowledgement,
  type CheckResult,
} from './check-result.ts'

/** A warning that somebody took responsibility for. */
export const acceptedWarningSchema = z.strictObject({
  id: checkResultSchema.shape.id,
  target: z.string(),
  /** What was measured then, for whoever reads it later. */
  measured: z.string(),
  ...acknowledgementSchema.shape,
})
export type AcceptedWarning = z.infer<typeof acceptedWarningSchema>

/**
 * Whether somebody may accept a result as it is: only a warning, and none of those that must be right (login, inventory,
 * names, the virtual IP address, identity of disks).
 */
export function mayBeAcknowledged(result: CheckResult): boolean {
  return needsAcknowledgement(result) && definitionOf(result.id).isFinal !== true
}

/**
 * Marks the warnings that somebody accepted before. What has become worse, and blocks now, is not accepted by that; what
 * passes needs nobody.
 */
export function acknowledge(
  results: readonly CheckResult[],
  accepted: readonly AcceptedWarning[],
): CheckResult[] {
  return results.map((result) => {
    const found = accepted.findLast(({ id, target }) => id === result.id && target === result.target)
    if (found === undefined || !mayBeAcknowledged(result)) return result
    const { by, at, why } = found
    return { ...result, state: 'acknowledged', acknowledgement: { by, at, why } }
  })
}
