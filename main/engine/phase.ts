import type { NewRunEvent } from '../../shared/events/index.ts'
import type { PlanNode } from '../../shared/plan/index.ts'
import type { Clock } from './clock.ts'
import type { History } from './history.ts'

/** What a phase does most of; the engine limits how many nodes do the same kind of work at once. */
export type WorkKind = 'wait' | 'api' | 'ssh' | 'upload'

/** What a phase may report besides changes, progress and evidence, which have methods of their own. */
export type Report = Extract<NewRunEvent, { type: 'identity-pinned' | 'credential-tried' | 'vip-chosen' }>
type WithoutPlace<E> = E extends unknown ? Omit<E, 'phase' | 'node'> : never

/** One look at something that is waited for. */
export type Look<T> =
  | { readonly kind: 'ready'; readonly value: T }
  /** `fraction`: 0 to 1 of this wait, if it can be told. */
  | { readonly kind: 'waiting'; readonly detail: string; readonly fraction?: number | undefined }

export interface WaitOptions {
  /** Completes "waiting until …", e.g. "the Local UI answers". */
  readonly until: string
  /** Seconds between two looks. */
  readonly everySeconds: number
  /** After these seconds the wait fails. */
  readonly deadlineSeconds: number
  /** After these seconds a warning is given, once; the wait goes on. */
  readonly softSeconds?: number
  /** What to do when the deadline passes. */
  readonly remedies: readonly string[]
}

/** What a phase works with, for one target: a node, or the site as a whole. */
export interface PhaseContext<S> {
  /** The world of the phases; the engine does not look inside. */
  readonly services: S
  readonly phase: string
  readonly mode: 'apply' | 'dry-run'
  readonly clock: Clock
  /** Aborted when the operator stops the run, or when the run cannot go on. Goes into every await. */
  readonly signal: AbortSignal
  /** What the journal of this run says about the acts that are not idempotent. */
  readonly history: History
  /**
   * The only way to alter anything outside the workstation. In a dry run `act` is not called, the change is listed, and
   * the result is `undefined`. `key` names the act within the phase and node, for the history.
   */
  change<T>(key: string, what: string, act: (signal: AbortSignal) => Promise<T>): Promise<T | undefined>
  /** Looks again and again; transient errors of a look count as "not yet". `undefined` in a dry run. */
  waitFor<T>(options: WaitOptions, look: (signal: AbortSignal) => Promise<Look<T>>): Promise<T | undefined>
  /** One short line about what is going on, and how far this target is (0 to 1). */
  progress(detail: string, fraction?: number): void
  /** A statement, and what was read back from the site that proves it. */
  evidence(statement: string, seen: string): void
  warn(text: string): void
  /** Resolves when the report is durable. */
  report(report: WithoutPlace<Report>): Promise<void>
}

export interface NodeContext<S> extends PhaseContext<S> {
  readonly node: PlanNode
}

/** Whether a target still needs the phase, decided from facts of the site. */
export type Selection =
  | { readonly kind: 'needed' }
  /** Nothing to do; `statement` and `seen` are the evidence. */
  | { readonly kind: 'already-done'; readonly statement: string; readonly seen: string }

interface PhaseBase<C, F> {
  /** Stable, used in the journal. */
  readonly id: string
  readonly title: string
  /** Typical duration in seconds, for progress and time remaining. */
  readonly expectedSeconds: number
  readonly work: WorkKind
  /** Seconds for one target, everything included. Default: three times the expected duration, at least ten minutes. */
  readonly deadlineSeconds?: number
  /** Reads from the site what `select` and `apply` need. */
  gather(context: C): Promise<F>
  /** What `gather` would find on a fresh site; used in a dry run for what cannot be read. */
  assumeFresh(context: C): F
  /** Absent: the phase only reads, it is needed always. */
  select?(context: C, facts: F): Selection
  apply?(context: C, facts: F): Promise<void>
  /** Reads back and gives evidence, or throws. Not called in a dry run. */
  verify?(context: C): Promise<void>
  /** Undoes what must not stay behind (a temporary address, a session). Called in reverse order at the end of the run. */
  cleanUp?(context: C): Promise<void>
}

export interface NodePhase<S, F> extends PhaseBase<NodeContext<S>, F> {
  readonly scope: 'node'
  /** Which nodes it concerns at all. Default: all. */
  concerns?(node: PlanNode): boolean
}

export interface SitePhase<S, F> extends PhaseBase<PhaseContext<S>, F> {
  readonly scope: 'site'
}

/** A phase whose facts the engine only carries from one method to the next. */
export type Phase<S> = NodePhase<S, unknown> | SitePhase<S, unknown>

/** Checks a phase of nodes with the type of its own facts. */
export function nodePhase<S, F>(phase: Omit<NodePhase<S, F>, 'scope'>): Phase<S> {
  // The engine hands a phase only facts that the same phase gathered.
  return { ...phase, scope: 'node' }
}

/** Checks a phase of the site with the type of its own facts. */
export function sitePhase<S, F>(phase: Omit<SitePhase<S, F>, 'scope'>): Phase<S> {
  return { ...phase, scope: 'site' }
}
