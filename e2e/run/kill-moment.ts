import { z } from 'zod'

/** Environment variable with the moment at which `kill-after-line.ts` ends the process, as JSON. */
export const killVariable = 'LANDFALL_TEST_KILL'

const how = z
  /**
   * `durable`: as soon as the line is on the disk. `written`: the line was written, but not made durable. `torn`: half
   * of the line was written.
   */
  .enum(['durable', 'written', 'torn'])
  .default('durable')

/** The moment: the nth line that this process writes, or the nth one whose event has these fields. */
export const killSchema = z.union([
  z.strictObject({ line: z.int().min(1), how }),
  z.strictObject({ event: z.record(z.string(), z.string()), nth: z.int().min(1).default(1), how }),
])

export type KillMoment = z.input<typeof killSchema>

/** For the name of a test. */
export function nameOf(moment: KillMoment): string {
  const when = 'line' in moment ? `line ${String(moment.line)}` : Object.values(moment.event).join(' ')
  return moment.how === undefined ? when : `${when} (${moment.how})`
}
