import {
  definitionOf,
  isCheckId,
  planCheckIds,
  type CheckId,
  type Finding,
} from '../../shared/checks/index.ts'
import type { PlanProblem } from '../../shared/plan/index.ts'

const evidence = 'rules of the plan, as landfall plan lint has them'

/**
 * What the plan alone tells (checks.md §3.4 and §3.5). A plan with errors is never checked, so what its rules did not
 * remark is as it must be; what they warned of is told with its place.
 */
export function checkPlanRules(remarks: readonly PlanProblem[]): Finding[] {
  const told = remarks.flatMap((remark) => (isCheckId(remark.code) ? [findingOf(remark.code, remark)] : []))
  const silent = planCheckIds.filter((id) => !told.some((finding) => finding.id === id))
  return [
    ...told,
    ...silent.map((id): Finding => ({
      id,
      target: 'plan',
      state: 'pass',
      measured: 'nothing to remark',
      threshold: definitionOf(id).title,
      evidence,
      remedy: '',
    })),
  ]
}

/** Remarks that are no check of the catalogue, and stay warnings about the plan. */
export function otherRemarks(remarks: readonly PlanProblem[]): PlanProblem[] {
  return remarks.filter(({ code }) => !isCheckId(code))
}

function findingOf(id: CheckId, { path, line, value, message, fix, severity }: PlanProblem): Finding {
  return {
    id,
    target: path === '' ? 'plan' : `plan: ${path}`,
    state: 'fail',
    severity: severity === 'error' ? 'block' : 'warn',
    measured: value === '' ? message : `${message} (${value})`,
    threshold: definitionOf(id).title,
    evidence: `line ${line} of the plan; ${evidence}`,
    remedy: fix,
  }
}
