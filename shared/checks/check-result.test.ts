import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  acknowledge,
  catalogue,
  checkReportSchema,
  checkResultSchema,
  definitionOf,
  isBlocking,
  isCheckId,
  isStale,
  mayBeAcknowledged,
  needsAcknowledgement,
  resultOf,
  summaryOf,
  type CheckResult,
  type Finding,
} from './index.ts'

const ids = Object.keys(catalogue).filter(isCheckId)
const finding: Finding = {
  id: 'node.nic-speed',
  target: 'n1',
  state: 'fail',
  measured: '100 Mbit/s',
  threshold: 'at least 1 Gbit/s',
  evidence: '/sys/class/net/eth0/speed',
  remedy: 'Use another port.',
}
const slow: Finding = { ...finding, id: 'node.nic-speed' }
const small: Finding = { ...finding, id: 'node.cpu' }
const at = Date.parse('2026-03-04T05:06:07Z')

describe('a finding becomes a result', () => {
  it('with what the catalogue says of its check, and the time', () => {
    expect(resultOf(slow, at)).toEqual({
      ...slow,
      state: 'warn',
      severity: 'warn',
      title: definitionOf('node.nic-speed').title,
      fixStep: null,
      at: '2026-03-04T05:06:07.000Z',
      ageLimitSeconds: 300,
    })
  })

  it.each([
    ['block', 'pass', 'pass', false, false],
    ['block', 'fail', 'fail', true, false],
    ['block', 'could-not-run', 'could-not-run', true, false],
    ['block', 'skipped', 'skipped', false, false],
    ['warn', 'pass', 'pass', false, false],
    ['warn', 'fail', 'warn', false, true],
    ['warn', 'could-not-run', 'could-not-run', false, true],
    ['info', 'fail', 'warn', false, false],
    ['info', 'could-not-run', 'could-not-run', false, false],
  ] as const)(
    'of weight %s, found %s: state %s, blocks %s, needs somebody %s',
    (severity, state, shown, blocks, needs) => {
      const result = resultOf({ ...small, severity, state }, at)
      expect(result.state).toBe(shown)
      expect(isBlocking(result)).toBe(blocks)
      expect(needsAcknowledgement(result)).toBe(needs)
    },
  )

  it('that is well-formed, whatever the check', () => {
    for (const id of ids)
      expect(checkResultSchema.parse(resultOf({ ...finding, id }, at))).toMatchObject({ id })
    expect(checkResultSchema.safeParse({ ...resultOf(small, at), id: 'node.unknown' }).success).toBe(false)
    expect(checkResultSchema.safeParse({ ...resultOf(small, at), state: 'passed' }).success).toBe(false)
    expect(checkResultSchema.safeParse({ ...resultOf(small, at), extra: 1 }).success).toBe(false)
  })
})

it.each(['pending', 'running'] as const)('what is %s does not let an installation go on', (state) => {
  expect(isBlocking({ severity: 'block', state })).toBe(true)
  expect(isBlocking({ severity: 'warn', state })).toBe(false)
})

describe('the age of a result', () => {
  it('is judged by the limit of its check, to the second', () => {
    const result = resultOf(slow, at)
    expect(isStale(result, at + 300_000)).toBe(false)
    expect(isStale(result, at + 300_001)).toBe(true)
    expect(isStale({ ...result, at: null }, at)).toBe(true)
  })

  it('does not matter for what the plan alone tells', () => {
    const result = resultOf({ ...finding, id: 'pool.cp-odd' }, at)
    expect(isStale(result, at + 1e12)).toBe(false)
  })
})

describe('an accepted warning', () => {
  const who = { by: 'ops', at: '2026-03-04T05:00:00.000Z', why: 'the old switch is replaced in May' }
  const accepted = { id: slow.id, target: 'n1', measured: '100 Mbit/s', ...who }

  it('says who accepted it, when and why', () => {
    expect(acknowledge([resultOf(slow, at)], [accepted])).toEqual([
      { ...resultOf(slow, at), state: 'acknowledged', acknowledgement: who },
    ])
  })

  it('is one check of one target', () => {
    const others = [resultOf({ ...slow, target: 'n2' }, at), resultOf({ ...slow, id: 'node.nic-link' }, at)]
    expect(acknowledge(others, [accepted])).toEqual(others)
  })

  it('is not accepted any more once it blocks, and needs nobody once it passes', () => {
    for (const changed of [{ severity: 'block' as const }, { state: 'pass' as const }]) {
      const result = resultOf({ ...slow, ...changed }, at)
      expect(acknowledge([result], [accepted])).toEqual([result])
    }
  })

  it('never stands for what must be right, and nothing that blocks can be one', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ids),
        fc.constantFrom('pass', 'fail', 'could-not-run', 'skipped'),
        fc.constantFrom('block', 'warn', 'info', undefined),
        (id, state, severity) => {
          const result = resultOf({ ...finding, id, state, severity }, at)
          const [after] = acknowledge([result], [{ ...accepted, id }])
          if (isBlocking(result) || definitionOf(id).isFinal === true) expect(after).toEqual(result)
          expect(after?.state === 'acknowledged').toBe(mayBeAcknowledged(result))
        },
      ),
    )
  })
})

describe('a report', () => {
  it('counts every result once, and those that block', () => {
    const checks: CheckResult[] = [
      resultOf(slow, at),
      resultOf(small, at),
      resultOf({ ...small, state: 'pass' }, at),
      resultOf({ ...small, state: 'could-not-run' }, at),
      { ...resultOf(small, at), state: 'pending', at: null },
    ]
    const summary = summaryOf(checks)
    expect(summary).toEqual({
      total: 5,
      blocking: 3,
      pass: 1,
      warn: 1,
      fail: 1,
      pending: 1,
      running: 0,
      'could-not-run': 1,
      skipped: 0,
      acknowledged: 0,
    })
    checkReportSchema.parse({ checks, summary, warnings: [] })
  })
})
