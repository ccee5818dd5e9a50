import { assertNever, type AppErrorData } from '../errors/index.ts'
import type { RunEvent, RunOutcome } from './schema.ts'

/** State of a whole phase, of a node in a phase, or of the run, as far as events have told it. */
export type Status = 'pending' | 'running' | 'done' | 'skipped' | 'failed' | 'stopped' | 'planned'

export interface TargetView {
  readonly status: Status
  /** The last short line about what is going on. */
  readonly detail: string
  /** 0 to 1, never decreasing within one attempt of the run. */
  readonly fraction: number
}

export interface PhaseView {
  readonly id: string
  readonly title: string
  readonly expectedSeconds: number
  readonly status: Status
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number | undefined
  readonly elapsedSeconds: number | undefined
  /** By node name; the site as a whole has the key `''`. */
  readonly targets: ReadonlyMap<string, TargetView>
}

export interface RunView {
  readonly lastSeq: number
  readonly runId: string | undefined
  readonly site: string | undefined
  readonly mode: 'apply' | 'dry-run'
  readonly status: 'pending' | 'running' | RunOutcome
  readonly nodes: readonly string[]
  readonly phases: readonly PhaseView[]
  /** 0 to 1; never decreases, not even when a run is resumed. */
  readonly progress: number
  readonly startedAt: number | undefined
  readonly lastEventAt: number | undefined
  /** How often the run was begun or taken up again. */
  readonly attempts: number
  readonly warnings: readonly {
    readonly phase: string
    readonly node: string | undefined
    readonly text: string
  }[]
  readonly errors: readonly AppErrorData[]
  readonly plannedChanges: readonly {
    readonly phase: string
    readonly node: string | undefined
    readonly what: string
  }[]
  readonly consoleUrl: string | undefined
  /** The virtual IP address that was found; `undefined`: the plan names one, or none is chosen yet. */
  readonly chosenVip: string | undefined
}

export const emptyRunView: RunView = {
  lastSeq: 0,
  runId: undefined,
  site: undefined,
  mode: 'apply',
  status: 'pending',
  nodes: [],
  phases: [],
  progress: 0,
  startedAt: undefined,
  lastEventAt: undefined,
  attempts: 0,
  warnings: [],
  errors: [],
  plannedChanges: [],
  consoleUrl: undefined,
  chosenVip: undefined,
}

const pendingTarget: TargetView = { status: 'pending', detail: '', fraction: 0 }

/**
 * The view after one more event. Events that were seen already (`seq` not above `lastSeq`) change nothing, so a viewer
 * may replay from wherever it likes.
 */
export function foldEvent(view: RunView, event: RunEvent): RunView {
  if (event.seq <= view.lastSeq) return view
  const applied = { ...applyEvent(view, event), lastSeq: event.seq, lastEventAt: Date.parse(event.time) }
  return { ...applied, progress: Math.max(view.progress, progressOf(applied)) }
}

export function foldEvents(events: Iterable<RunEvent>, start: RunView = emptyRunView): RunView {
  let view = start
  for (const event of events) view = foldEvent(view, event)
  return view
}

/**
 * Seconds that the run will still take: what the phases that are left are expected to need, scaled by how this run has
 * kept to the expectation so far. `undefined` when the run is not going on.
 */
export function remainingSeconds(view: RunView, now: number): number | undefined {
  if (view.status !== 'running') return undefined
  let left = 0
  let expectedOfDone = 0
  let spentOnDone = 0
  for (const phase of view.phases) {
    if (phase.status === 'pending') left += phase.expectedSeconds
    if (phase.status === 'running') {
      const elapsed = phase.startedAt === undefined ? 0 : (now - phase.startedAt) / 1000
      const byFraction = phase.expectedSeconds * (1 - fractionOf(phase))
      // A phase that takes longer than expected still has something left: never promise "0 s" while it runs.
      left += Math.max(Math.min(byFraction, phase.expectedSeconds - elapsed), byFraction * 0.1, 1)
    }
    if (phase.status === 'done' && phase.elapsedSeconds !== undefined && phase.elapsedSeconds > 1) {
      expectedOfDone += phase.expectedSeconds
      spentOnDone += phase.elapsedSeconds
    }
  }
  // A few fast phases must not make the estimate jump: the pace counts only as much as is known about it.
  const pace = (spentOnDone + 60) / (expectedOfDone + 60)
  return left * Math.min(3, Math.max(0.3, pace))
}

function applyEvent(view: RunView, event: RunEvent): RunView {
  switch (event.type) {
    case 'run-started':
    case 'run-resumed':
      return {
        ...view,
        runId: event.runId,
        site: event.site,
        mode: event.mode,
        status: 'running',
        nodes: event.nodes,
        phases: event.phases.map((phase) => ({
          ...phase,
          status: 'pending',
          startedAt: undefined,
          elapsedSeconds: undefined,
          targets: new Map(),
        })),
        startedAt: view.startedAt ?? Date.parse(event.time),
        attempts: view.attempts + 1,
        errors: [],
        plannedChanges: [],
      }
    case 'run-finished':
      return {
        ...view,
        status: event.outcome,
        errors: event.errors,
        consoleUrl: event.consoleUrl ?? view.consoleUrl,
      }
    case 'phase-started':
      return withPhase(view, event.phase, (phase) => ({
        ...phase,
        status: 'running',
        startedAt: Date.parse(event.time),
        targets: new Map(event.targets.map((name) => [name, pendingTarget])),
      }))
    case 'phase-finished':
      return withPhase(view, event.phase, (phase) => ({
        ...phase,
        status: event.outcome,
        elapsedSeconds: event.elapsedSeconds,
      }))
    case 'target-started':
      return withTarget(view, event.phase, event.node, (target) => ({ ...target, status: 'running' }))
    case 'target-finished':
      return withTarget(view, event.phase, event.node, (target) => ({
        ...target,
        status: event.outcome === 'already-done' ? 'done' : event.outcome,
        fraction: event.outcome === 'failed' || event.outcome === 'stopped' ? target.fraction : 1,
      }))
    case 'progress':
      return withTarget(view, event.phase, event.node, (target) => ({
        ...target,
        detail: event.detail,
        fraction: Math.max(target.fraction, event.fraction ?? 0),
      }))
    case 'change-started':
      return withTarget(view, event.phase, event.node, (target) => ({ ...target, detail: event.what }))
    case 'evidence':
      return withTarget(view, event.phase, event.node, (target) => ({ ...target, detail: event.statement }))
    case 'warning':
      return {
        ...view,
        warnings: [...view.warnings, { phase: event.phase, node: event.node, text: event.text }],
      }
    case 'error':
      return { ...view, errors: [...view.errors, event.error] }
    case 'change-planned':
      return {
        ...view,
        plannedChanges: [...view.plannedChanges, { phase: event.phase, node: event.node, what: event.what }],
      }
    case 'retry':
      return withTarget(view, event.phase, event.node, (target) => ({
        ...target,
        detail: `${event.error.title} Trying again (attempt ${event.attempt + 1}).`,
      }))
    case 'vip-chosen':
      return {
        ...withTarget(view, event.phase, event.node, (target) => ({
          ...target,
          detail: `The virtual IP address is ${event.address}`,
        })),
        chosenVip: event.address,
      }
    case 'change-finished':
    case 'assumption':
    case 'identity-pinned':
    case 'credential-tried':
      return view
    default:
      return assertNever(event)
  }
}

function withPhase(view: RunView, id: string, update: (phase: PhaseView) => PhaseView): RunView {
  return { ...view, phases: view.phases.map((phase) => (phase.id === id ? update(phase) : phase)) }
}

function withTarget(
  view: RunView,
  phaseId: string,
  node: string | undefined,
  update: (target: TargetView) => TargetView,
): RunView {
  return withPhase(view, phaseId, (phase) => {
    const key = node ?? ''
    const targets = new Map(phase.targets)
    targets.set(key, update(targets.get(key) ?? pendingTarget))
    return { ...phase, targets }
  })
}

function fractionOf(phase: PhaseView): number {
  switch (phase.status) {
    case 'done':
    case 'skipped':
    case 'planned':
      return 1
    case 'pending':
      return 0
    case 'running':
    case 'failed':
    case 'stopped': {
      if (phase.targets.size === 0) return 0
      let sum = 0
      for (const target of phase.targets.values()) sum += target.fraction
      return sum / phase.targets.size
    }
    default:
      return assertNever(phase.status)
  }
}

function progressOf(view: RunView): number {
  if (view.status === 'done') return 1
  let total = 0
  let reached = 0
  for (const phase of view.phases) {
    // Even an instant phase counts a little, so that finishing it is visible.
    const weight = phase.expectedSeconds + 1
    total += weight
    reached += weight * fractionOf(phase)
  }
  // The run itself says when it is complete; until then something is always left.
  return total === 0 ? 0 : Math.min(0.999, reached / total)
}
