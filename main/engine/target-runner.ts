import { AppError, toAppError } from '../../shared/errors/index.ts'
import type { PlanNode } from '../../shared/plan/index.ts'
import { reasonOf } from './cancellation.ts'
import type { Clock } from './clock.ts'
import type { EventLog } from './event-log.ts'
import type { RunHistory } from './history.ts'
import type { Look, NodeContext, Phase, PhaseContext, WaitOptions } from './phase.ts'

/** How often a target is taken up again after a transient error, and after how many seconds. */
export const defaultRetryDelaysSeconds: readonly number[] = [5, 15, 30, 60]

export type TargetOutcome = 'done' | 'already-done' | 'planned'

interface TargetOptions<S> {
  readonly phase: Phase<S>
  readonly node: PlanNode | undefined
  readonly services: S
  readonly mode: 'apply' | 'dry-run'
  readonly clock: Clock
  readonly log: EventLog
  readonly history: RunHistory
  readonly retryDelaysSeconds: readonly number[]
  readonly signal: AbortSignal
}

/**
 * Takes one target through a phase: gather, select, apply, verify. After a transient error the whole of it is done
 * again, so that what took effect meanwhile drops out of the selection instead of being done twice.
 *
 * Throws an `AppError` with node and phase, or the signal's reason.
 */
export async function runTarget<S>(options: TargetOptions<S>): Promise<TargetOutcome> {
  const { phase, node, clock, log, signal } = options
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await attemptTarget(options)
    } catch (thrown) {
      if (signal.aborted) throw reasonOf(signal)
      const error = toAppError(thrown).at({ node: node?.name, phase: phase.id })
      const delaySeconds = options.retryDelaysSeconds[attempt - 1]
      if (!error.isTransient || delaySeconds === undefined) throw error
      log.emit({ type: 'retry', ...placeOf(options), attempt, delaySeconds, error: error.toData() })
      await clock.sleep(delaySeconds * 1000, signal)
    }
  }
}

async function attemptTarget<S>(options: TargetOptions<S>): Promise<TargetOutcome> {
  const context = createContext(options)
  const { phase } = options
  // Both kinds of phase are called alike; a node phase gets a context that has the node.
  return phase.scope === 'node'
    ? attempt(phase, nodeContext(context, options), options)
    : attempt(phase, context, options)
}

interface Steps<C> {
  gather(context: C): Promise<unknown>
  assumeFresh(context: C): unknown
  select?(
    context: C,
    facts: unknown,
  ): { kind: 'needed' } | { kind: 'already-done'; statement: string; seen: string }
  apply?(context: C, facts: unknown): Promise<void>
  verify?(context: C): Promise<void>
}

async function attempt<S, C extends PhaseContext<S>>(
  phase: Steps<C>,
  context: C,
  options: TargetOptions<S>,
): Promise<TargetOutcome> {
  const facts = await gatherFacts(phase, context, options)
  const selection = phase.select?.(context, facts) ?? { kind: 'needed' }
  if (selection.kind === 'already-done') {
    context.evidence(selection.statement, selection.seen)
    return 'already-done'
  }
  await phase.apply?.(context, facts)
  if (options.mode === 'dry-run') return 'planned'
  await phase.verify?.(context)
  return 'done'
}

async function gatherFacts<S, C extends PhaseContext<S>>(
  phase: Steps<C>,
  context: C,
  options: TargetOptions<S>,
): Promise<unknown> {
  if (options.mode === 'apply') return phase.gather(context)
  try {
    return await phase.gather(context)
  } catch (thrown) {
    if (options.signal.aborted) throw reasonOf(options.signal)
    const error = toAppError(thrown)
    if (!error.isTransient) throw error
    const text = `Could not be read (${error.title} ${error.detail}); assumed to be fresh.`
    options.log.emit({ type: 'assumption', ...placeOf(options), text })
    return phase.assumeFresh(context)
  }
}

function nodeContext<S>(context: PhaseContext<S>, options: TargetOptions<S>): NodeContext<S> {
  if (options.node === undefined) throw new TypeError(`Phase ${options.phase.id} needs a node.`)
  return { ...context, node: options.node }
}

/** The context that a phase sees; also used for its clean-up. */
export function createContext<S>(options: TargetOptions<S>): PhaseContext<S> {
  const { log, clock, signal, mode } = options
  const place = placeOf(options)
  let lastProgress: { detail: string; percent: number } | undefined
  const progress = (detail: string, fraction?: number) => {
    // A quotient of nothing by nothing (bytes of an empty file) tells nothing about how far it is.
    const isKnown = fraction !== undefined && !Number.isNaN(fraction)
    const percent = !isKnown ? -1 : Math.floor(Math.min(1, Math.max(0, fraction)) * 100)
    // The journal keeps every event: say only what is new.
    if (lastProgress?.detail === detail && lastProgress.percent === percent) return
    lastProgress = { detail, percent }
    log.emit({ type: 'progress', ...place, detail, ...(percent < 0 ? {} : { fraction: percent / 100 }) })
  }
  return {
    services: options.services,
    phase: options.phase.id,
    mode,
    clock,
    signal,
    history: options.history,
    progress,
    change: (key, what, act) => change(options, key, what, act),
    waitFor: (waitOptions, look) =>
      mode === 'dry-run' ? Promise.resolve(undefined) : waitFor(options, waitOptions, look, progress),
    evidence: (statement, seen) => {
      log.emit({ type: 'evidence', ...place, statement, seen })
    },
    warn: (text) => {
      log.emit({ type: 'warning', ...place, text })
    },
    report: (report) => log.emitDurably({ ...report, ...place }),
  }
}

async function change<S, T>(
  options: TargetOptions<S>,
  key: string,
  what: string,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const { log, signal } = options
  signal.throwIfAborted()
  const place = placeOf(options)
  if (options.mode === 'dry-run') {
    log.emit({ type: 'change-planned', ...place, key, what })
    return undefined
  }
  // Durable before it happens: a run that is resumed knows that it may have taken effect.
  await log.emitDurably({ type: 'change-started', ...place, key, what })
  const finish = (outcome: 'done' | 'failed' | 'unknown') =>
    log.emitDurably({ type: 'change-finished', ...place, key, outcome })
  if (signal.aborted) {
    // Stopped in the last moment: it is certain that nothing was done.
    await finish('failed')
    throw reasonOf(signal)
  }
  let result: T
  try {
    result = await act(signal)
  } catch (thrown) {
    // Only a clear refusal says that nothing took effect; after a lost connection or an abort nobody knows.
    const isRefused = thrown instanceof AppError && !thrown.isTransient && !signal.aborted
    await finish(isRefused ? 'failed' : 'unknown')
    throw thrown
  }
  await finish('done')
  return result
}

async function waitFor<S, T>(
  options: TargetOptions<S>,
  wait: WaitOptions,
  look: (signal: AbortSignal) => Promise<Look<T>>,
  progress: (detail: string, fraction?: number) => void,
): Promise<T> {
  const { clock, signal, log } = options
  const place = placeOf(options)
  const started = clock.now()
  let hasWarned = false
  for (;;) {
    let lastSeen: string
    signal.throwIfAborted()
    try {
      const result = await look(signal)
      if (result.kind === 'ready') return result.value
      lastSeen = result.detail
      progress(result.detail, result.fraction)
    } catch (thrown) {
      if (signal.aborted) throw reasonOf(signal)
      const error = toAppError(thrown)
      if (!error.isTransient) throw error
      lastSeen = error.message
      progress(error.title)
    }
    const elapsedSeconds = (clock.now() - started) / 1000
    if (elapsedSeconds >= wait.deadlineSeconds) {
      throw new AppError({
        code: 'DEADLINE_PASSED',
        title: `Waited in vain until ${wait.until}.`,
        detail: `Gave up after ${inMinutes(elapsedSeconds)}. Last seen: ${lastSeen}`,
        remedies: wait.remedies,
      })
    }
    if (wait.softSeconds !== undefined && !hasWarned && elapsedSeconds >= wait.softSeconds) {
      hasWarned = true
      const text =
        `Waiting until ${wait.until} takes longer than usual (${inMinutes(elapsedSeconds)}); last seen: ${asSentence(lastSeen)} ` +
        `Going on until ${inMinutes(wait.deadlineSeconds)} have passed.`
      log.emit({ type: 'warning', ...place, text })
    }
    // The last look is at the deadline, not one interval after it.
    await clock.sleep(Math.min(wait.everySeconds, wait.deadlineSeconds - elapsedSeconds) * 1000, signal)
  }
}

function asSentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`
}

function inMinutes(seconds: number): string {
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`
}

function placeOf<S>(options: TargetOptions<S>): { phase: string; node?: string } {
  return { phase: options.phase.id, ...(options.node === undefined ? {} : { node: options.node.name }) }
}
