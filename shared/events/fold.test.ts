import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { emptyRunView, foldEvent, foldEvents, remainingSeconds } from './fold.ts'
import { runEventSchema, type NewRunEvent, type RunEvent } from './schema.ts'

type End = 'ok' | 'already-done' | 'failed' | 'stopped' | 'killed'
type Step =
  | { kind: 'progress'; fraction: number | undefined }
  | { kind: 'change' | 'evidence' | 'warning' | 'retry' | 'credential' | 'identity' | 'vip' }

interface TargetScript {
  readonly steps: readonly Step[]
  readonly end: End
}
interface AttemptScript {
  /** By phase, then by node. An attempt ends with the first phase that has a target that is not well. */
  readonly targets: readonly (readonly TargetScript[])[]
  /** Seconds between two events. */
  readonly pace: number
}

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('progress' as const),
      fraction: fc.option(
        fc.integer({ min: 0, max: 100 }).map((percent) => percent / 100),
        { nil: undefined },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('change', 'evidence', 'warning', 'retry', 'credential', 'identity', 'vip'),
    }),
  },
)

const endArbitrary = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom<End>('ok', 'already-done') },
  { weight: 1, arbitrary: fc.constantFrom<End>('failed', 'stopped', 'killed') },
)

const nodeNames = ['n1', 'n2', 'n3']
const nodesOf = (phase: number): (string | undefined)[] => (phase % 2 === 0 ? nodeNames : [undefined])
const place = (phase: number, node: string | undefined) => ({
  phase: `phase-${phase}`,
  ...(node === undefined ? {} : { node }),
})
const error = { code: 'UNREACHABLE', title: 'No answer.', detail: '', remedies: [], isTransient: true }

function eventsOfStep(step: Step, at: { phase: string; node?: string }): NewRunEvent[] {
  switch (step.kind) {
    case 'progress':
      return [
        {
          type: 'progress',
          ...at,
          detail: 'copying',
          ...(step.fraction === undefined ? {} : { fraction: step.fraction }),
        },
      ]
    case 'change':
      return [
        { type: 'change-started', ...at, key: 'k', what: 'Set it' },
        { type: 'change-finished', ...at, key: 'k', outcome: 'done' },
      ]
    case 'evidence':
      return [{ type: 'evidence', ...at, statement: 'It is set.', seen: 'yes' }]
    case 'warning':
      return [{ type: 'warning', ...at, text: 'slow' }]
    case 'retry':
      return [{ type: 'retry', ...at, attempt: 1, delaySeconds: 5, error }]
    case 'credential':
      return [{ type: 'credential-tried', ...at, account: 'kairos', credential: 'new', outcome: 'accepted' }]
    case 'identity':
      return [
        { type: 'identity-pinned', ...at, kind: 'ssh', endpoint: 'e', algorithm: 'a', fingerprint: 'f' },
      ]
    case 'vip':
      return [{ type: 'vip-chosen', ...at, address: '10.10.200.100' }]
  }
}

/** Takes one from each list in turn, as events of nodes that go on side by side do. */
function interleave<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(0, ...lists.map((list) => list.length))
  return Array.from({ length: longest }, (_, index) =>
    lists.flatMap((list) => list.slice(index, index + 1)),
  ).flat()
}

/** One attempt as the engine would tell it. `undefined` as outcome: the process was killed. */
function tellAttempt(
  attempt: AttemptScript,
  expectedSeconds: readonly number[],
  mode: 'apply' | 'dry-run',
  isFirst: boolean,
): { events: NewRunEvent[]; outcome: 'done' | 'failed' | 'stopped' | undefined } {
  const shape = {
    runId: 'run-1',
    site: 'rig-7',
    planDigest: 'a'.repeat(64),
    mode,
    phases: expectedSeconds.map((seconds, phase) => ({
      id: `phase-${phase}`,
      title: `P${phase}`,
      expectedSeconds: seconds,
    })),
    nodes: nodeNames,
  }
  const events: NewRunEvent[] = [
    isFirst
      ? { type: 'run-started', ...shape }
      : { type: 'run-resumed', ...shape, changedInputs: ['site.vip'] },
  ]
  const finish = (outcome: 'done' | 'failed' | 'stopped') => {
    events.push({
      type: 'run-finished',
      outcome,
      elapsedSeconds: 5,
      errors: outcome === 'failed' ? [error] : [],
    })
    return { events, outcome }
  }
  for (const phase of expectedSeconds.keys()) {
    const nodes = nodesOf(phase)
    const scripts = nodes.map(
      (_, index) => attempt.targets[phase]?.[index] ?? { steps: [], end: 'ok' as const },
    )
    events.push({ type: 'phase-started', phase: `phase-${phase}`, targets: nodes.map((node) => node ?? '') })
    const told = nodes.map((node, index) => {
      const at = place(phase, node)
      const { steps, end } = scripts[index] ?? { steps: [], end: 'ok' }
      const own: NewRunEvent[] = [
        { type: 'target-started', ...at },
        ...steps.flatMap((step) => eventsOfStep(step, at)),
      ]
      if (end === 'killed') return own
      if (end === 'failed') own.push({ type: 'error', ...at, error })
      const well = mode === 'dry-run' ? 'planned' : 'done'
      own.push({ type: 'target-finished', ...at, outcome: end === 'ok' ? well : end, elapsedSeconds: 3 })
      return own
    })
    events.push(...interleave(told))
    const ends = scripts.map(({ end }) => end)
    if (ends.includes('killed')) return { events, outcome: undefined }
    const finished = { type: 'phase-finished', phase: `phase-${phase}`, elapsedSeconds: 7 } as const
    if (ends.includes('stopped')) {
      events.push({ ...finished, outcome: 'stopped' })
      return finish('stopped')
    }
    if (ends.includes('failed')) {
      events.push({ ...finished, outcome: 'failed' })
      return finish('failed')
    }
    const isSkipped = ends.every((end) => end === 'already-done')
    const well = mode === 'dry-run' ? 'planned' : 'done'
    events.push({ ...finished, outcome: isSkipped ? 'skipped' : well })
  }
  return finish('done')
}

const runArbitrary: fc.Arbitrary<RunEvent[]> = fc
  .record({
    expectedSeconds: fc.array(fc.constantFrom(0, 0.5, 10, 600, 3000), { maxLength: 5 }),
    mode: fc.constantFrom('apply' as const, 'dry-run' as const),
    attempts: fc.array(
      fc.record({
        targets: fc.array(
          fc.array(fc.record({ steps: fc.array(stepArbitrary, { maxLength: 4 }), end: endArbitrary }), {
            minLength: 3,
            maxLength: 3,
          }),
          { minLength: 5, maxLength: 5 },
        ),
        pace: fc.constantFrom(0, 0.001, 1, 60, 5000),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ expectedSeconds, mode, attempts }) => {
    const events: RunEvent[] = []
    let time = Date.UTC(2026, 0, 1)
    for (const attempt of attempts) {
      const told = tellAttempt(attempt, expectedSeconds, mode, events.length === 0)
      for (const event of told.events) {
        time += attempt.pace * 1000
        events.push({ ...event, seq: events.length + 1, time: new Date(time).toISOString() })
      }
      if (told.outcome === 'done') break
    }
    return events
  })

describe('the generated runs of these tests', () => {
  it('are valid events, and contain every outcome', () => {
    const outcomes = new Set<string>()
    fc.assert(
      fc.property(runArbitrary, (events) => {
        for (const event of events) expect(runEventSchema.parse(event)).toEqual(event)
        const last = events.at(-1)
        outcomes.add(last?.type === 'run-finished' ? last.outcome : 'killed')
        if (events.some(({ type }) => type === 'run-resumed')) outcomes.add('resumed')
      }),
      { numRuns: 150 },
    )
    expect([...outcomes].toSorted()).toEqual(['done', 'failed', 'killed', 'resumed', 'stopped'])
  })
})

describe('the fold of a run', () => {
  it('shows a progress between 0 and 1 that never decreases and is 1 exactly when the run is done', () => {
    fc.assert(
      fc.property(runArbitrary, (events) => {
        let view = emptyRunView
        for (const event of events) {
          const next = foldEvent(view, event)
          expect(next.progress).toBeGreaterThanOrEqual(view.progress)
          expect(next.progress).toBeLessThanOrEqual(1)
          expect(next.progress === 1).toBe(next.status === 'done')
          expect(next.lastSeq).toBe(event.seq)
          view = next
        }
      }),
      { numRuns: 200 },
    )
  })

  it('is the same when it is interrupted anywhere and continued', () => {
    fc.assert(
      fc.property(runArbitrary, fc.nat(), (events, cut) => {
        const end = cut % (events.length + 1)
        const prefix = foldEvents(events.slice(0, end))
        expect(foldEvents(events.slice(end), prefix)).toEqual(foldEvents(events))
      }),
      { numRuns: 150 },
    )
  })

  it('is not changed by events that it has seen already', () => {
    fc.assert(
      fc.property(runArbitrary, fc.nat(), fc.nat(), (events, cut, back) => {
        const end = cut % (events.length + 1)
        const view = foldEvents(events.slice(0, end))
        for (const event of events.slice(0, end)) expect(foldEvent(view, event)).toBe(view)
        // A viewer that reconnects from some earlier position sees the same in the end.
        const from = back % (end + 1)
        expect(foldEvents(events.slice(from), view)).toEqual(foldEvents(events))
      }),
      { numRuns: 100 },
    )
  })

  it('leaves the view before it untouched', () => {
    fc.assert(
      fc.property(runArbitrary, (events) => {
        let view = emptyRunView
        for (const event of events) {
          const before = structuredClone(view)
          const next = foldEvent(view, event)
          expect(view).toEqual(before)
          view = next
        }
      }),
      { numRuns: 25 },
    )
  })

  it('estimates a finite time, not below zero, whenever the run is going on, and no other time', () => {
    fc.assert(
      fc.property(runArbitrary, fc.integer({ min: -100_000, max: 1e9 }), (events, later) => {
        let view = emptyRunView
        for (const event of events) {
          view = foldEvent(view, event)
          const remaining = remainingSeconds(view, Date.parse(event.time) + later)
          if (view.status !== 'running') expect(remaining).toBeUndefined()
          else {
            expect(remaining).toBeGreaterThanOrEqual(0)
            expect(Number.isFinite(remaining)).toBe(true)
          }
        }
      }),
      { numRuns: 150 },
    )
  })

  it('shows every node of every phase in its last state', () => {
    fc.assert(
      fc.property(runArbitrary, (events) => {
        const lastBegin = events.findLastIndex(({ type }) => type === 'run-started' || type === 'run-resumed')
        const view = foldEvents(events)
        for (const event of events.slice(lastBegin)) {
          if (event.type !== 'target-finished') continue
          const shown = view.phases
            .find(({ id }) => id === event.phase)
            ?.targets.get(event.node ?? '')?.status
          expect(shown).toBe(event.outcome === 'already-done' ? 'done' : event.outcome)
        }
        expect(view.attempts).toBe(
          events.filter(({ type }) => type === 'run-started' || type === 'run-resumed').length,
        )
      }),
      { numRuns: 100 },
    )
  })
})

describe('the time that is left', () => {
  const start: NewRunEvent = {
    type: 'run-started',
    runId: 'run-1',
    site: 'rig-7',
    planDigest: 'a'.repeat(64),
    mode: 'apply',
    phases: [
      { id: 'a', title: 'A', expectedSeconds: 600 },
      { id: 'b', title: 'B', expectedSeconds: 1200 },
    ],
    nodes: ['n1'],
  }
  const begin = Date.UTC(2026, 0, 1)
  const tell = (...told: (readonly [number, NewRunEvent])[]) =>
    foldEvents(
      told.map(([seconds, event], index) => ({
        ...event,
        seq: index + 1,
        time: new Date(begin + seconds * 1000).toISOString(),
      })),
    )
  const left = (seconds: number, ...told: (readonly [number, NewRunEvent])[]) =>
    remainingSeconds(tell(...told), begin + seconds * 1000)
  const startA: NewRunEvent = { type: 'phase-started', phase: 'a', targets: ['n1'] }

  it('is unknown before the run begins', () => {
    expect(left(0)).toBeUndefined()
  })
  it('is what the phases are expected to take', () => {
    expect(left(0, [0, start])).toBe(1800)
  })
  it('gets less while a phase goes on, but is never nothing', () => {
    expect(left(300, [0, start], [0, startA])).toBe(1500)
    expect(left(5000, [0, start], [0, startA])).toBe(1260)
  })
  it('follows what a phase says about itself', () => {
    const progress = { type: 'progress', phase: 'a', node: 'n1', detail: 'x', fraction: 0.9 } as const
    expect(left(10, [0, start], [0, startA], [10, progress])).toBeCloseTo(1260)
  })
  it('is longer on a site that was slow so far', () => {
    const finished = { type: 'phase-finished', phase: 'a', outcome: 'done', elapsedSeconds: 1200 } as const
    const remaining = left(1200, [0, start], [0, startA], [1200, finished])
    expect(remaining).toBeGreaterThan(1800)
    expect(remaining).toBeLessThan(2400)
  })
})

describe('what the operator sees', () => {
  it('keeps warnings of earlier attempts, and forgets their errors', () => {
    const shape = {
      runId: 'r',
      site: 's',
      planDigest: 'a'.repeat(64),
      mode: 'apply',
      phases: [],
      nodes: [],
    } as const
    const told: NewRunEvent[] = [
      { type: 'run-started', ...shape, phases: [], nodes: [] },
      { type: 'warning', phase: 'p', node: 'n1', text: 'slow' },
      { type: 'error', phase: 'p', node: 'n1', error },
      { type: 'run-finished', outcome: 'failed', elapsedSeconds: 1, errors: [error] },
      { type: 'run-resumed', ...shape, phases: [], nodes: [], changedInputs: [] },
    ]
    const events = told.map((event, index) => ({
      ...event,
      seq: index + 1,
      time: '2026-01-01T00:00:00.000Z',
    }))
    expect(foldEvents(events.slice(0, 4))).toMatchObject({ status: 'failed', errors: [error] })
    expect(foldEvents(events)).toMatchObject({
      status: 'running',
      errors: [],
      attempts: 2,
      warnings: [{ phase: 'p', node: 'n1', text: 'slow' }],
    })
  })
})
