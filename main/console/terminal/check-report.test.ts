import { describe, expect, it } from 'vitest'
import { resultOf, summaryOf, type CheckResult, type Finding } from '../../../shared/checks/index.ts'
import { formatReport, formatResult } from './check-report.ts'

const finding: Finding = {
  id: 'node.cpu',
  target: 'n2',
  state: 'fail',
  measured: '4',
  threshold: 'at least 8',
  evidence: '/proc/cpuinfo',
  remedy: 'Give the node more processors.',
}
const blocking = resultOf(finding, 0)
const warning = resultOf({ ...finding, id: 'node.nic-speed', measured: '100 Mbit/s' }, 0)
const passed = resultOf({ ...finding, id: 'clock.skew', state: 'pass' }, 0)
const accepted: CheckResult = {
  ...warning,
  target: 'n3',
  state: 'acknowledged',
  acknowledgement: { by: 'ops@laptop', at: '2026-03-04T05:06:07.000Z', why: 'replaced in May' },
}
const reportOf = (checks: CheckResult[], warnings: string[] = []) =>
  formatReport({ checks, summary: summaryOf(checks), warnings })

describe('a result on the terminal', () => {
  it('is one line with its weight, target, id and what was measured', () => {
    expect(formatResult(blocking)).toBe(
      'BLOCK     n2              node.cpu               Enough processors: 4',
    )
  })

  it('that could not be read blocks in the same word as one that failed', () => {
    expect(formatResult(resultOf({ ...finding, state: 'could-not-run' }, 0))).toMatch(/^BLOCK /)
    expect(formatResult(resultOf({ ...finding, id: 'node.nic-speed', state: 'could-not-run' }, 0))).toMatch(
      /^\? /,
    )
  })

  it('has nothing in it that a terminal would obey', () => {
    const line = formatResult(resultOf({ ...finding, measured: '4\u001b[2J\nrm -rf' }, 0))
    expect(line).not.toContain('\u001b')
    expect(line).not.toContain('\n')
  })
})

describe('the report', () => {
  it('repeats what blocks with threshold, evidence and way out, and counts', () => {
    const text = reportOf([blocking, warning, passed, accepted])
    expect(text).toContain('What stops the installation')
    expect(text).toContain('must be: at least 8')
    expect(text).toContain('seen by: /proc/cpuinfo')
    expect(text).toContain('do: Give the node more processors.')
    expect(text).toContain('by ops@laptop, 2026-03-04T05:06:07.000Z: replaced in May')
    expect(text).toContain('4 checks: 1 passed, 1 warn, 1 accepted, 0 could not run, 0 skipped; 1 block.')
    expect(text).toContain('Accept a warning with: landfall check')
  })

  it('says no more than the counts when all is well', () => {
    expect(reportOf([passed]).trim()).toBe(
      '1 check: 1 passed, 0 warn, 0 accepted, 0 could not run, 0 skipped; 0 block.',
    )
  })

  it('tells warnings of the looking itself', () => {
    expect(reportOf([passed], ['n1 was slow.'])).toContain('warning: n1 was slow.')
  })
})
