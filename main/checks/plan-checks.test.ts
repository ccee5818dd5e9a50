import { describe, expect, it } from 'vitest'
import { checkResultSchema, planCheckIds, resultOf } from '../../shared/checks/index.ts'
import type { PlanProblem } from '../../shared/plan/index.ts'
import { checkPlanRules, otherRemarks } from './plan-checks.ts'

const remark: PlanProblem = {
  severity: 'warning',
  code: 'cidr.private',
  path: 'cluster.podCidr',
  line: 31,
  column: 12,
  value: '192.169.0.0/16',
  message: 'The network is a public one.',
  fix: 'Write a private network.',
}

describe('the rules of the plan as checks', () => {
  it('pass where they remarked nothing, each of them once', () => {
    const findings = checkPlanRules([])
    expect(findings.map(({ id }) => id)).toEqual(planCheckIds)
    expect(new Set(findings.map(({ state }) => state))).toEqual(new Set(['pass']))
  })

  it('warn with place, value and way out where they did, and do not pass as well', () => {
    const findings = checkPlanRules([remark, { ...remark, path: 'cluster.serviceCidr' }])
    const told = findings.filter(({ id }) => id === 'cidr.private').map((finding) => resultOf(finding, 0))
    expect(told.map((result) => checkResultSchema.parse(result))).toMatchObject([
      {
        target: 'plan: cluster.podCidr',
        state: 'warn',
        measured: 'The network is a public one. (192.169.0.0/16)',
      },
      { target: 'plan: cluster.serviceCidr', state: 'warn', remedy: 'Write a private network.' },
    ])
    expect(told[0]?.evidence).toContain('line 31')
    expect(findings).toHaveLength(planCheckIds.length + 1)
  })

  it('leave alone what is no check of the catalogue', () => {
    const other = { ...remark, code: 'yaml.alias' }
    expect(checkPlanRules([other]).some(({ state }) => state !== 'pass')).toBe(false)
    expect(otherRemarks([remark, other])).toEqual([other])
  })
})

it('every warning of the rules can be shown as a check, or is about the form of the file', async () => {
  const { readFile, readdir } = await import('node:fs/promises')
  const folder = new URL('../../shared/plan/rules/', import.meta.url)
  const files = (await readdir(folder)).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  const texts = await Promise.all(files.map((name) => readFile(new URL(name, folder), 'utf8')))
  const codes = texts.flatMap((text) =>
    [...text.matchAll(/(?:error|warning)\(\s*'([a-z.\-/]+)'/g)].map(([, code]) => code),
  )
  expect(codes.length).toBeGreaterThan(40)
  const { isCheckId } = await import('../../shared/checks/index.ts')
  expect(codes.filter((code) => code === undefined || !isCheckId(code))).toEqual([])
})
