import { AppError } from '../../../shared/errors/index.ts'
import type { RunEvent } from '../../../shared/events/index.ts'
import { planSchema, type Plan } from '../../../shared/plan/index.ts'
import { StoppedByOperator } from '../cancellation.ts'
import { nodePhase, sitePhase, type NodePhase, type Phase, type SitePhase } from '../phase.ts'
import { executeRun, type RunOptions, type RunResult } from '../run.ts'
import { createManualClock, type ManualClock } from './manual-clock.ts'

/** A plan with the nodes `n1`, `n2`, … */
export function planWith(nodeCount: number): Plan {
  return planSchema.parse({
    version: 1,
    site: { name: 'rig-7', network: '10.10.0.0/16', vip: '10.10.200.100' },
    access: { newPassword: { generate: 'node' } },
    nodes: Array.from({ length: nodeCount }, (_, index) => ({
      name: `n${index + 1}`,
      address: `10.10.${Math.floor(index / 200)}.${(index % 200) + 1}`,
      leader: index === 0,
    })),
    cluster: { name: 'palette', registry: { password: { generate: 'registry' } } },
    console: { email: 'ops@example.com', newPassword: { env: 'CONSOLE_PASSWORD' } },
  })
}

/** A phase on every node that does nothing but what `parts` says. */
export function onNodes<F = undefined>(
  id: string,
  parts: Partial<NodePhase<undefined, F>> = {},
): Phase<undefined> {
  return nodePhase<undefined, F | undefined>({
    id,
    title: `Title of ${id}`,
    expectedSeconds: 10,
    work: 'api',
    gather: () => Promise.resolve(undefined),
    assumeFresh: () => undefined,
    ...(parts as Partial<NodePhase<undefined, F | undefined>>),
  })
}

/** A phase of the site that does nothing but what `parts` says. */
export function onSite<F = undefined>(
  id: string,
  parts: Partial<SitePhase<undefined, F>> = {},
): Phase<undefined> {
  return sitePhase<undefined, F | undefined>({
    id,
    title: `Title of ${id}`,
    expectedSeconds: 10,
    work: 'api',
    gather: () => Promise.resolve(undefined),
    assumeFresh: () => undefined,
    ...(parts as Partial<SitePhase<undefined, F | undefined>>),
  })
}

export interface StartedRun {
  readonly result: Promise<RunResult>
  /** What viewers have got so far. */
  readonly events: readonly RunEvent[]
  readonly clock: ManualClock
  /** The operator presses Stop. */
  stop(): void
  eventsOf<T extends RunEvent['type']>(type: T): Extract<RunEvent, { type: T }>[]
}

/** Starts a run of one node, with whatever `options` says instead. Sleeps wake at once unless a clock is given. */
export function startRun(
  phases: readonly Phase<undefined>[],
  options: Partial<Omit<RunOptions<undefined>, 'phases' | 'clock'>> & { clock?: ManualClock } = {},
): StartedRun {
  const clock = options.clock ?? createManualClock()
  if (options.clock === undefined) clock.runFree()
  const stop = new AbortController()
  const events: RunEvent[] = []
  const { signal, onEvent } = options
  const result = executeRun({
    runId: 'run-1',
    plan: planWith(1),
    planDigest: 'a'.repeat(64),
    services: undefined,
    mode: 'apply',
    redact: (text) => text,
    ...options,
    phases,
    clock,
    signal: signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]),
    onEvent: (event) => {
      events.push(event)
      onEvent?.(event)
    },
  })
  return {
    result,
    events,
    clock,
    stop: () => {
      stop.abort(new StoppedByOperator())
    },
    eventsOf: <T extends RunEvent['type']>(type: T) =>
      events.filter((event): event is Extract<RunEvent, { type: T }> => event.type === type),
  }
}

export function transientError(title = 'Connection refused.'): AppError {
  return new AppError({ code: 'UNREACHABLE', title, detail: '10.10.0.1:5080', isTransient: true })
}

export function permanentError(title = 'The login was refused.'): AppError {
  return new AppError({ code: 'LOGIN_REFUSED', title, remedies: ['Check the password.'] })
}
