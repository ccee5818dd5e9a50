import { resultOf, type CheckId, type CheckResult } from '../../../../shared/checks/index.ts'
import type { Plan } from '../../../../shared/plan/index.ts'
import { planWith } from '../../../engine/testing/run-harness.ts'
import type { NodeFacts } from '../../../phases/node-facts.ts'
import { checkNodes } from '../index.ts'

export function allOf(plan: Plan, facts: readonly NodeFacts[]): CheckResult[] {
  return checkNodes(plan, facts).map((finding) => resultOf(finding, 0))
}

/** What one check says about one node. */
export function ask(id: CheckId, facts: NodeFacts, plan: Plan = planWith(3)): CheckResult {
  return only(allOf(plan, [facts]), id, facts.node.name)
}

/** What one check says about all nodes. */
export function askFleet(id: CheckId, plan: Plan, facts: readonly NodeFacts[]): CheckResult {
  return only(allOf(plan, facts), id, 'all nodes')
}

function only(results: readonly CheckResult[], id: CheckId, target: string): CheckResult {
  const [result, another] = results.filter((one) => one.id === id && one.target === target)
  if (result === undefined || another !== undefined)
    throw new Error(`there is not one check ${id} of ${target}`)
  return result
}

/** The plan with another first node. */
export function withNode(plan: Plan, changes: Partial<Plan['nodes'][number]>): Plan {
  return { ...plan, nodes: plan.nodes.map((node, index) => (index === 0 ? { ...node, ...changes } : node)) }
}
