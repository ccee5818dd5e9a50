import type { Finding } from '../../../shared/checks/index.ts'
import type { Plan } from '../../../shared/plan/index.ts'
import type { NodeFacts } from '../../phases/node-facts.ts'
import { clockChecks } from './clock-checks.ts'
import { diskChecks } from './disk-checks.ts'
import { fleetChecks } from './fleet-checks.ts'
import { interfaceChecks } from './interface-checks.ts'
import { machineChecks } from './machine-checks.ts'
import { findingOf } from './question.ts'
import { subjectsOf } from './subject.ts'

const nodeChecks = [...machineChecks, ...diskChecks, ...interfaceChecks, ...clockChecks]

/** The checks of single nodes and of all nodes together that need nothing but their facts (checks.md §3.3, §3.4). */
export function checkNodes(plan: Plan, facts: readonly NodeFacts[]): Finding[] {
  const subjects = subjectsOf(plan, facts)
  return [
    ...subjects.flatMap((subject) => nodeChecks.map((check) => findingOf(check, subject, subject.node.name))),
    ...fleetChecks.map((check) => findingOf(check, { plan, subjects }, 'all nodes')),
  ]
}
