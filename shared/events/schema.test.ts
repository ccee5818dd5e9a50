import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { runEventSchema, type NewRunEvent, type RunEventType } from './schema.ts'

const phase = fc.string({ minLength: 1 })
const node = fc.option(fc.string({ minLength: 1 }), { nil: undefined })
const seconds = fc.double({ min: 0, max: 1e9, noNaN: true, noDefaultInfinity: true }).map(Math.abs)
const text = fc.string({ unit: 'grapheme' })
const error = fc.record(
  {
    code: fc.constantFrom('INTERNAL', 'LOGIN_REFUSED', 'E2'),
    title: fc.string({ minLength: 1 }),
    detail: text,
    remedies: fc.array(text),
    node: fc.string(),
    phase: fc.string(),
    isTransient: fc.boolean(),
  },
  { requiredKeys: ['code', 'title', 'detail', 'remedies', 'isTransient'] },
)
const shape = {
  runId: phase,
  site: phase,
  planDigest: fc.constant('0123456789abcdef'.repeat(4)),
  mode: fc.constantFrom('apply', 'dry-run'),
  phases: fc.array(fc.record({ id: phase, title: phase, expectedSeconds: seconds })),
  nodes: fc.array(phase),
}

/** One arbitrary for each type: a new type without one does not compile. */
const fields: Record<RunEventType, Record<string, fc.Arbitrary<unknown>>> = {
  'run-started': shape,
  'run-resumed': { ...shape, changedInputs: fc.array(text) },
  'run-finished': {
    outcome: fc.constantFrom('done', 'failed', 'stopped'),
    elapsedSeconds: seconds,
    consoleUrl: fc.constantFrom('https://10.10.200.100/system', undefined),
    errors: fc.array(error),
  },
  'phase-started': { phase, targets: fc.array(fc.string()) },
  'phase-finished': {
    phase,
    outcome: fc.constantFrom('done', 'skipped', 'failed', 'stopped', 'planned'),
    elapsedSeconds: seconds,
  },
  'target-started': { phase, node },
  'target-finished': {
    phase,
    node,
    outcome: fc.constantFrom('done', 'already-done', 'failed', 'stopped', 'planned'),
    elapsedSeconds: seconds,
  },
  progress: { phase, node, detail: text, fraction: fc.constantFrom(0, 0.5, 1, undefined) },
  evidence: { phase, node, statement: text, seen: text },
  'change-started': { phase, node, key: text, what: text },
  'change-finished': { phase, node, key: text, outcome: fc.constantFrom('done', 'failed', 'unknown') },
  'change-planned': { phase, node, key: text, what: text },
  assumption: { phase, node, text },
  'identity-pinned': {
    phase,
    node,
    kind: fc.constantFrom('ssh', 'tls'),
    endpoint: text,
    algorithm: text,
    fingerprint: text,
  },
  'credential-tried': {
    phase,
    node,
    account: text,
    credential: fc.constantFrom('initial', 'new'),
    outcome: fc.constantFrom('trying', 'accepted', 'refused', 'locked'),
  },
  'vip-chosen': { phase, node, address: fc.ipV4() },
  retry: { phase, node, attempt: fc.integer({ min: 1 }), delaySeconds: seconds, error },
  warning: { phase, node, text },
  error: { phase, node, error },
}

const position = {
  seq: fc.integer({ min: 1 }),
  time: fc
    .date({ min: new Date(0), max: new Date('2099-12-31'), noInvalidDate: true })
    .map((date) => date.toISOString()),
}
const types = Object.entries(fields).map(([type, own]) => ({ type, own }))

describe('an event', () => {
  it.each(types)('of type $type survives JSON and the schema unchanged', ({ type, own }) => {
    fc.assert(
      fc.property(fc.record({ type: fc.constant(type), ...position, ...own }), (event) => {
        const parsed = runEventSchema.parse(event)
        const back = runEventSchema.parse(JSON.parse(JSON.stringify(parsed)))
        // As JSON, because it knows no difference between a field that is undefined and one that is absent.
        expect(JSON.stringify(back)).toBe(JSON.stringify(parsed))
        expect(JSON.parse(JSON.stringify(event))).toEqual(JSON.parse(JSON.stringify(back)))
      }),
      { numRuns: 40 },
    )
  })

  it.each(types)('of type $type is refused with a field that the schema does not name', ({ type, own }) => {
    fc.assert(
      fc.property(fc.record({ type: fc.constant(type), ...position, ...own }), (event) => {
        expect(runEventSchema.safeParse({ ...event, password: 'x' }).success).toBe(false)
      }),
      { numRuns: 3 },
    )
  })

  it.each([
    { seq: 0 },
    { seq: 1.5 },
    { time: 'yesterday' },
    { phase: '' },
    { fraction: 1.01 },
    { fraction: -0.1 },
    { fraction: Number.NaN },
    { type: 'unheard-of' },
  ])('is refused with %j', (wrong) => {
    const progress: NewRunEvent = { type: 'progress', phase: 'p', detail: 'd', fraction: 0.5 }
    const event = { ...progress, seq: 1, time: '2026-01-01T00:00:00.000Z' }
    expect(runEventSchema.safeParse(event).success).toBe(true)
    expect(runEventSchema.safeParse({ ...event, ...wrong }).success).toBe(false)
  })
})
