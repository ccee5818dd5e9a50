import { describe, expect, it } from 'vitest'
import { checkResultSchema, isBlocking, type CheckResult } from './check-result.ts'

const passed: CheckResult = {
  id: 'node.disk2-data',
  target: 'n1',
  severity: 'block',
  state: 'pass',
  title: 'Storage pool drive is empty',
  measured: 'empty',
  threshold: 'nothing on /dev/sdb',
  evidence: 'lsblk',
  remedy: 'Save the data.',
}

describe('a result of a check', () => {
  it.each([
    ['block', 'pass', false],
    ['block', 'fail', true],
    ['block', 'could-not-run', true],
    ['warn', 'fail', false],
    ['warn', 'could-not-run', false],
    ['info', 'fail', false],
  ] as const)('of severity %s and state %s blocks: %s', (severity, state, blocks) => {
    expect(isBlocking({ ...passed, severity, state })).toBe(blocks)
  })

  it('has an id of the catalogue: a family and a name', () => {
    expect(checkResultSchema.parse(passed)).toEqual(passed)
    for (const id of ['node', 'Node.cpu', 'node.', '.cpu', 'node cpu', ''])
      expect(checkResultSchema.safeParse({ ...passed, id }).success).toBe(false)
  })

  it('says everything that an operator needs, and nothing unknown', () => {
    for (const key of ['measured', 'threshold', 'evidence', 'remedy'])
      expect(checkResultSchema.safeParse({ ...passed, [key]: undefined }).success).toBe(false)
    expect(checkResultSchema.safeParse({ ...passed, extra: 1 }).success).toBe(false)
    expect(checkResultSchema.safeParse({ ...passed, state: 'passed' }).success).toBe(false)
  })
})
