import { AppError, toAppError } from '../../shared/errors/index.ts'
import type { NewRunEvent, RunEvent, RunOutcome } from '../../shared/events/index.ts'
import type { Plan, PlanNode } from '../../shared/plan/index.ts'
import { orAborted, reasonOf, StoppedByOperator, withRealTimeLimit } from './cancellation.ts'
import type { Clock } from './clock.ts'
import { EventLog, type EventListener } from './event-log.ts'
import { RunHistory } from './history.ts'
import type { Journal } from './journal.ts'
import type { Phase, PhaseContext, WorkKind } from './phase.ts'
import { Semaphore } from './semaphore.ts'
import { createContext, defaultRetryDelaysSeconds, runTarget, type TargetOutcome } from './target-runner.ts'

/** How many nodes do the same kind of work at once. */
const workLimits: Record<WorkKind, number> = { wait: 256, api: 24, ssh: 24, upload: 3 }

/** Seconds of real time that the clean-up after a run may take. */
const cleanUpLimitSeconds = 30

export interface RunOptions<S> {
  readonly runId: string
  readonly plan: Plan
  /** SHA-256 of the plan's canonical form, hexadecimal. */
  readonly planDigest: string
  readonly phases: readonly Phase<S>[]
  readonly services: S
  readonly mode: 'apply' | 'dry-run'
  readonly clock: Clock
  /** Absent in a dry run: it leaves no trace. */
  readonly journal?: Journal
  /** Events of the earlier attempts; present when the run is resumed. */
  readonly earlier?: readonly RunEvent[]
  /** Events of another, earlier run of this site; tells which passwords are in use. */
  readonly earlierRun?: readonly RunEvent[]
  /** Paths of the plan that were changed since the run began. */
  readonly changedInputs?: readonly string[]
  /** After how many seconds a target is taken up again after a transient error; empty: not at all. Default 5, 15, 30, 60. */
  readonly retryDelaysSeconds?: readonly number[]
  /** The operator's stop, the loss of the lease. */
  readonly signal: AbortSignal
  readonly redact: (text: string) => string
  readonly onEvent: EventListener
  /** The address to go to, asked for when all is done: a run may find it out. */
  readonly consoleUrl?: () => string | undefined
}

export interface RunResult {
  readonly outcome: RunOutcome
  readonly errors: readonly AppError[]
}

/**
 * Executes the phases in their order. Within a phase all targets go on side by side, and all of them come to their end
 * even when one fails, so that the operator sees every problem at once; the next phase begins only if all are well.
 */
export async function executeRun<S>(options: RunOptions<S>): Promise<RunResult> {
  return new Run(options).execute()
}

class Run<S> {
  readonly #options: RunOptions<S>
  readonly #log: EventLog
  readonly #history: RunHistory
  readonly #signal: AbortSignal
  readonly #semaphores: Record<WorkKind, Semaphore>
  readonly #begun: Phase<S>[] = []
  readonly #started: number
  /** Aborted when an event cannot be noted any more: without a journal nothing may be changed. */
  readonly #journalFailure = new AbortController()

  constructor(options: RunOptions<S>) {
    this.#options = options
    this.#history = new RunHistory(options.redact)
    for (const event of options.earlierRun ?? []) this.#history.noteEarlierRun(event)
    this.#signal = AbortSignal.any([options.signal, this.#journalFailure.signal])
    this.#log = new EventLog({
      journal: options.journal,
      earlier: options.earlier ?? [],
      clock: options.clock,
      redact: options.redact,
      onFailure: (error) => {
        this.#journalFailure.abort(error)
      },
    })
    this.#log.subscribe((event) => {
      this.#history.note(event)
    })
    this.#log.subscribe(options.onEvent, options.earlier?.length ?? 0)
    this.#semaphores = {
      wait: new Semaphore(workLimits.wait),
      api: new Semaphore(workLimits.api),
      ssh: new Semaphore(workLimits.ssh),
      upload: new Semaphore(workLimits.upload),
    }
    this.#started = options.clock.now()
  }

  async execute(): Promise<RunResult> {
    try {
      await this.#log.emitDurably(this.#openingEvent())
    } catch (error) {
      return { outcome: 'failed', errors: [toAppError(error)] }
    }
    const walked = await this.#walkPhases()
    await this.#cleanUp()
    await this.#log.settled()
    const result = this.#ifNoted(walked)
    const isInstalled = result.outcome === 'done' && this.#options.mode === 'apply'
    const consoleUrl = isInstalled ? this.#options.consoleUrl?.() : undefined
    this.#log.emit({
      type: 'run-finished',
      outcome: result.outcome,
      elapsedSeconds: this.#elapsedSince(this.#started),
      ...(consoleUrl === undefined ? {} : { consoleUrl }),
      errors: result.errors.map((error) => error.toData()),
    })
    await this.#log.settled()
    return this.#ifNoted(result)
  }

  /** Nothing is done whose evidence is not on the disk. */
  #ifNoted(result: RunResult): RunResult {
    const { signal } = this.#journalFailure
    return signal.aborted ? { outcome: 'failed', errors: [toAppError(signal.reason)] } : result
  }

  async #walkPhases(): Promise<RunResult> {
    for (const phase of this.#options.phases) {
      if (this.#signal.aborted) return this.#abortedResult()
      const errors = await this.#runPhase(phase)
      // An abort is told before its consequences in the nodes.
      if (this.#signal.aborted) return this.#abortedResult()
      if (errors.length > 0) return { outcome: 'failed', errors }
    }
    return { outcome: 'done', errors: [] }
  }

  async #runPhase(phase: Phase<S>): Promise<AppError[]> {
    const started = this.#options.clock.now()
    const targets = this.#targetsOf(phase)
    this.#begun.push(phase)
    const names = targets.map((node) => node?.name ?? '')
    this.#log.emit({ type: 'phase-started', phase: phase.id, targets: names })
    const results = await Promise.all(targets.map((node) => this.#runOneTarget(phase, node)))
    const errors = results.flatMap((result) => (result instanceof AppError ? [result] : []))
    this.#log.emit({
      type: 'phase-finished',
      phase: phase.id,
      outcome: this.#phaseOutcome(results, errors),
      elapsedSeconds: this.#elapsedSince(started),
    })
    return errors
  }

  #phaseOutcome(
    results: readonly (TargetOutcome | AppError)[],
    errors: readonly AppError[],
  ): Extract<NewRunEvent, { type: 'phase-finished' }>['outcome'] {
    if (this.#signal.aborted) return 'stopped'
    if (errors.length > 0) return 'failed'
    if (results.every((result) => result === 'already-done')) return 'skipped'
    return this.#options.mode === 'dry-run' ? 'planned' : 'done'
  }

  #targetsOf(phase: Phase<S>): (PlanNode | undefined)[] {
    if (phase.scope === 'site') return [undefined]
    return this.#options.plan.nodes.filter((node) => phase.concerns?.(node) ?? true)
  }

  async #runOneTarget(phase: Phase<S>, node: PlanNode | undefined): Promise<TargetOutcome | AppError> {
    const place = { phase: phase.id, ...(node === undefined ? {} : { node: node.name }) }
    const started = this.#options.clock.now()
    const finish = (outcome: Extract<NewRunEvent, { type: 'target-finished' }>['outcome']) => {
      this.#log.emit({
        type: 'target-finished',
        ...place,
        outcome,
        elapsedSeconds: this.#elapsedSince(started),
      })
    }
    try {
      return await this.#semaphores[phase.work].run(this.#signal, async () => {
        this.#log.emit({ type: 'target-started', ...place })
        const outcome = await this.#withDeadline(phase, (signal) =>
          runTarget({ ...this.#targetOptions(phase, node), signal }),
        )
        finish(outcome)
        return outcome
      })
    } catch (thrown) {
      const error = toAppError(thrown).at(place)
      if (this.#signal.aborted) finish('stopped')
      else {
        this.#log.emit({ type: 'error', ...place, error: error.toData() })
        finish('failed')
      }
      return error
    }
  }

  /** The outermost deadline of a target, for what no inner one catches. In the run's time. */
  async #withDeadline<T>(phase: Phase<S>, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const seconds = phase.deadlineSeconds ?? Math.max(600, phase.expectedSeconds * 3)
    const over = new AbortController()
    const deadline = new AbortController()
    const signal = AbortSignal.any([this.#signal, deadline.signal])
    const timer = this.#options.clock.sleep(seconds * 1000, over.signal).then(
      () => {
        deadline.abort(
          new AppError({
            code: 'DEADLINE_PASSED',
            title: `"${phase.title}" was not finished in time.`,
            detail: `Gave up after ${Math.round(seconds / 60)} min.`,
            remedies: ['Look at the node itself, then go on with --resume.'],
          }),
        )
      },
      () => undefined,
    )
    try {
      return await work(signal)
    } finally {
      over.abort()
      await timer
    }
  }

  /** Newest first, each with a limit of its own; a failed clean-up is told and does not hide why the run ended. */
  async #cleanUp(): Promise<void> {
    if (this.#options.mode === 'dry-run') return
    for (const phase of this.#begun.toReversed()) {
      if (phase.cleanUp === undefined) continue
      await Promise.all(this.#targetsOf(phase).map((node) => this.#cleanUpTarget(phase, node)))
    }
  }

  async #cleanUpTarget(phase: Phase<S>, node: PlanNode | undefined): Promise<void> {
    // The run's own signal may be aborted; a clean-up is for just that case.
    await this.#semaphores[phase.work].run(new AbortController().signal, async () => {
      const limit = withRealTimeLimit(new AbortController().signal, cleanUpLimitSeconds * 1000)
      try {
        const context = createContext({ ...this.#targetOptions(phase, node), signal: limit.signal })
        await orAborted(limit.signal, cleanUpOf(phase, context, node))
      } catch (thrown) {
        const error = toAppError(thrown)
        const place = { phase: phase.id, ...(node === undefined ? {} : { node: node.name }) }
        const text = `Clean-up failed: ${error.message}`
        this.#log.emit({ type: 'warning', ...place, text })
      } finally {
        limit.release()
      }
    })
  }

  #targetOptions(phase: Phase<S>, node: PlanNode | undefined) {
    return {
      phase,
      node,
      services: this.#options.services,
      mode: this.#options.mode,
      clock: this.#options.clock,
      log: this.#log,
      history: this.#history,
      retryDelaysSeconds: this.#options.retryDelaysSeconds ?? defaultRetryDelaysSeconds,
      signal: this.#signal,
    }
  }

  #abortedResult(): RunResult {
    const reason = reasonOf(this.#signal)
    if (reason instanceof StoppedByOperator) return { outcome: 'stopped', errors: [] }
    return { outcome: 'failed', errors: [toAppError(reason)] }
  }

  #openingEvent(): NewRunEvent {
    const { plan } = this.#options
    const shape = {
      runId: this.#options.runId,
      site: plan.site.name,
      planDigest: this.#options.planDigest,
      mode: this.#options.mode,
      phases: this.#options.phases.map(({ id, title, expectedSeconds }) => ({ id, title, expectedSeconds })),
      nodes: plan.nodes.map((node) => node.name),
    }
    return this.#options.earlier === undefined
      ? { type: 'run-started', ...shape }
      : { type: 'run-resumed', ...shape, changedInputs: [...(this.#options.changedInputs ?? [])] }
  }

  #elapsedSince(started: number): number {
    return Math.max(0, (this.#options.clock.now() - started) / 1000)
  }
}

async function cleanUpOf<S>(
  phase: Phase<S>,
  context: PhaseContext<S>,
  node: PlanNode | undefined,
): Promise<void> {
  if (phase.scope === 'site') await phase.cleanUp?.(context)
  else if (node !== undefined) await phase.cleanUp?.({ ...context, node })
}
