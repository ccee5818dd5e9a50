import { AppError, toAppError } from '../../shared/errors/index.ts'
import {
  acknowledge,
  definitionOf,
  resultOf,
  type AcceptedWarning,
  type CheckId,
  type CheckResult,
  type Finding,
} from '../../shared/checks/index.ts'
import type { Clock } from '../engine/clock.ts'

/** Checks that are answered together, because they come from the same looking. */
export interface CheckStage {
  /** For progress: "Reading the nodes". */
  readonly title: string
  readonly ids: readonly CheckId[]
  /** On what each of these checks looks, as far as that is known beforehand; a result for another target may come. */
  readonly targets: readonly string[]
  /**
   * Looks, and hands over each finding as soon as it is certain. Findings of other checks are dropped. What rejects makes
   * every check that has no finding yet one that could not run, with the error as its reason.
   */
  run(asked: ReadonlySet<CheckId>, take: (findings: readonly Finding[]) => void): Promise<void>
}

export interface CheckSessionOptions {
  /** In their order: a later one may use what an earlier one has found out. */
  readonly stages: readonly CheckStage[]
  readonly clock: Pick<Clock, 'now'>
  readonly accepted: readonly AcceptedWarning[]
  /** Each result whenever it changes: pending, running, and what came of it. */
  readonly onResult?: (result: CheckResult) => void
  readonly onStage?: (title: string) => void
}

/**
 * The checks of a site as something that lives: all or some of them run, run again, and tell what they are at. Results
 * of the last run stay until they are replaced.
 */
export class CheckSession {
  readonly #options: CheckSessionOptions
  readonly #results = new Map<string, CheckResult>()

  constructor(options: CheckSessionOptions) {
    this.#options = options
  }

  /** In the order of the stages, and within them as they came. */
  get results(): readonly CheckResult[] {
    return [...this.#results.values()]
  }

  /** Ids of all checks that this session can run. */
  get ids(): ReadonlySet<CheckId> {
    return new Set(this.#options.stages.flatMap(({ ids }) => ids))
  }

  /**
   * Runs the checks with these ids, or all. Rejects with the signal's reason, and with what is no `AppError`; what was
   * not finished then stays pending.
   */
  async run(asked: ReadonlySet<CheckId>, signal: AbortSignal): Promise<void> {
    const planned = this.#options.stages
      .map((stage) => ({ stage, ids: stage.ids.filter((id) => asked.has(id)) }))
      .filter(({ ids }) => ids.length > 0)
    for (const { stage, ids } of planned) this.#announce(stage, ids, 'pending')
    for (const { stage, ids } of planned) {
      signal.throwIfAborted()
      this.#options.onStage?.(stage.title)
      this.#announce(stage, ids, 'running')
      await this.#runStage(stage, new Set(ids), signal)
    }
  }

  async #runStage(stage: CheckStage, ids: ReadonlySet<CheckId>, signal: AbortSignal): Promise<void> {
    let failure: AppError | undefined
    try {
      await stage.run(ids, (findings) => {
        this.#take(findings.filter(({ id }) => ids.has(id)))
      })
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof AppError)) throw error
      failure = toAppError(error)
    }
    for (const [key, result] of this.#results) {
      if (result.state !== 'running' || !ids.has(result.id)) continue
      // No finding came for this target: either nobody could look, or the check has other targets on this site.
      if (failure === undefined) this.#results.delete(key)
      else this.#take([couldNotRun(result, failure)])
    }
  }

  #announce(stage: CheckStage, ids: readonly CheckId[], state: 'pending' | 'running'): void {
    const known = this.results.filter((result) => ids.includes(result.id))
    const expected = ids.flatMap((id) =>
      known.some((result) => result.id === id) ? [] : stage.targets.map((target) => waiting(id, target)),
    )
    for (const result of [...known, ...expected]) this.#put({ ...unanswered(result), state, at: null })
  }

  #take(findings: readonly Finding[]): void {
    const now = this.#options.clock.now()
    const results = findings.map((finding) => resultOf(finding, now))
    for (const result of acknowledge(results, this.#options.accepted)) this.#put(result)
  }

  #put(result: CheckResult): void {
    const key = `${result.id} ${result.target}`
    const before = this.#results.get(key)
    this.#results.set(key, result)
    // The same again, only later, is no news.
    if (before === undefined || !isSame(before, result)) this.#options.onResult?.(result)
  }
}

function isSame(before: CheckResult, after: CheckResult): boolean {
  return JSON.stringify({ ...before, at: null }) === JSON.stringify({ ...after, at: null })
}

function waiting(id: CheckId, target: string): CheckResult {
  const { title, severity, fixStep, ageLimitSeconds } = definitionOf(id)
  return {
    id,
    target,
    state: 'pending',
    severity,
    title,
    measured: '',
    threshold: '',
    evidence: '',
    remedy: '',
    fixStep,
    at: null,
    ageLimitSeconds,
  }
}

/** What was measured before says nothing any more while it is measured again. */
function unanswered({ acknowledgement: _, ...result }: CheckResult): CheckResult {
  return { ...result, measured: '', evidence: '' }
}

function couldNotRun({ id, target, threshold }: CheckResult, error: AppError): Finding {
  return {
    id,
    target,
    state: 'could-not-run',
    measured: error.message,
    threshold: threshold === '' ? definitionOf(id).title : threshold,
    evidence: error.code,
    remedy: error.remedies[0] ?? 'Run the checks again.',
  }
}
