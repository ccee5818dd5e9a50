import { z } from 'zod'
import { appErrorDataSchema } from '../errors/index.ts'

/**
 * Everything that a run tells: to the terminal, to the wizard, to the journal. All of them fold the same events
 * (`fold.ts`). An event never contains a secret.
 */

const base = {
  /** Position in the run, from 1, without gaps. */
  seq: z.int().min(1),
  /** ISO 8601 with milliseconds, in the time of the run's clock. */
  time: z.iso.datetime(),
}

const phaseId = z.string().min(1)
/** Name of the node as in the plan; absent where an event concerns the whole site. */
const node = z.string().min(1).optional()

const phaseSummarySchema = z.strictObject({
  id: phaseId,
  title: z.string().min(1),
  /** Expected duration in seconds; weighs the phase in the progress of the run. */
  expectedSeconds: z.number().min(0),
})

export const runOutcomeSchema = z.enum(['done', 'failed', 'stopped'])
export type RunOutcome = z.infer<typeof runOutcomeSchema>

const runShape = {
  runId: z.string().min(1),
  site: z.string().min(1),
  /** SHA-256 of the plan's canonical form. */
  planDigest: z.string().regex(/^[0-9a-f]{64}$/),
  mode: z.enum(['apply', 'dry-run']),
  phases: z.array(phaseSummarySchema),
  nodes: z.array(z.string().min(1)),
}

export const runEventSchema = z.discriminatedUnion('type', [
  z.strictObject({ ...base, type: z.literal('run-started'), ...runShape }),
  /** The same run goes on after it was stopped, failed or killed. */
  z.strictObject({
    ...base,
    type: z.literal('run-resumed'),
    ...runShape,
    /** Paths of the plan whose values differ from the ones that the run began with. */
    changedInputs: z.array(z.string()),
  }),
  z.strictObject({
    ...base,
    type: z.literal('run-finished'),
    outcome: runOutcomeSchema,
    elapsedSeconds: z.number().min(0),
    /** Address of the system console, when the run is done. */
    consoleUrl: z.url().optional(),
    errors: z.array(appErrorDataSchema),
  }),
  z.strictObject({ ...base, type: z.literal('phase-started'), phase: phaseId, targets: z.array(z.string()) }),
  z.strictObject({
    ...base,
    type: z.literal('phase-finished'),
    phase: phaseId,
    /** `skipped`: the site needs nothing of it; `unknown` only in a dry run, when the site could not be read. */
    outcome: z.enum(['done', 'skipped', 'failed', 'stopped', 'planned']),
    elapsedSeconds: z.number().min(0),
  }),
  /** One target (a node, or the site) of a phase begins. */
  z.strictObject({ ...base, type: z.literal('target-started'), phase: phaseId, node }),
  z.strictObject({
    ...base,
    type: z.literal('target-finished'),
    phase: phaseId,
    node,
    outcome: z.enum(['done', 'already-done', 'failed', 'stopped', 'planned']),
    elapsedSeconds: z.number().min(0),
  }),
  /** What is going on right now, in one short line. `fraction` is of this target in this phase. */
  z.strictObject({
    ...base,
    type: z.literal('progress'),
    phase: phaseId,
    node,
    detail: z.string(),
    fraction: z.number().min(0).max(1).optional(),
  }),
  /** Something was read back from the site and proves a statement. */
  z.strictObject({
    ...base,
    type: z.literal('evidence'),
    phase: phaseId,
    node,
    statement: z.string(),
    seen: z.string(),
  }),
  /** Written, and durable, before anything outside the workstation is altered. */
  z.strictObject({
    ...base,
    type: z.literal('change-started'),
    phase: phaseId,
    node,
    key: z.string(),
    what: z.string(),
  }),
  z.strictObject({
    ...base,
    type: z.literal('change-finished'),
    phase: phaseId,
    node,
    key: z.string(),
    outcome: z.enum(['done', 'failed', 'unknown']),
  }),
  /** Dry run: what would be altered. */
  z.strictObject({
    ...base,
    type: z.literal('change-planned'),
    phase: phaseId,
    node,
    key: z.string(),
    what: z.string(),
  }),
  /** Dry run: what could not be read, and what is assumed instead. */
  z.strictObject({ ...base, type: z.literal('assumption'), phase: phaseId, node, text: z.string() }),
  z.strictObject({
    ...base,
    type: z.literal('identity-pinned'),
    phase: phaseId,
    node,
    kind: z.enum(['ssh', 'tls']),
    endpoint: z.string(),
    algorithm: z.string(),
    fingerprint: z.string(),
  }),
  /** A password was tried. Which one is told by name, never by value. */
  z.strictObject({
    ...base,
    type: z.literal('credential-tried'),
    phase: phaseId,
    node,
    account: z.string(),
    credential: z.enum(['initial', 'new']),
    outcome: z.enum(['trying', 'accepted', 'refused', 'locked']),
  }),
  /**
   * `site.vip` is `auto`, and this is the address: durable before anything uses it, so that a resumed run takes the same
   * one. The last one counts.
   */
  z.strictObject({ ...base, type: z.literal('vip-chosen'), phase: phaseId, node, address: z.ipv4() }),
  z.strictObject({
    ...base,
    type: z.literal('retry'),
    phase: phaseId,
    node,
    attempt: z.int().min(1),
    delaySeconds: z.number().min(0),
    error: appErrorDataSchema,
  }),
  /** Goes on, but somebody should know: a soft time-out, a tolerated fault. */
  z.strictObject({ ...base, type: z.literal('warning'), phase: phaseId, node, text: z.string() }),
  z.strictObject({ ...base, type: z.literal('error'), phase: phaseId, node, error: appErrorDataSchema }),
])

export type RunEvent = z.infer<typeof runEventSchema>
export type RunEventType = RunEvent['type']

type WithoutPosition<E> = E extends unknown ? Omit<E, 'seq' | 'time'> : never
/** An event before it got its place in the run. */
export type NewRunEvent = WithoutPosition<RunEvent>
