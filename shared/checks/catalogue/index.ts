import type { CheckDefinition } from '../definition.ts'
import { networkChecks } from './network.ts'
import { nodeChecks } from './node.ts'
import { planChecks } from './plan.ts'
import { vipChecks } from './vip.ts'
import { workstationChecks } from './workstation.ts'

/** Every check that there is, by its id. The ids are those of the catalogue (checks.md) and are stable. */
export const catalogue = {
  ...workstationChecks,
  ...planChecks,
  ...nodeChecks,
  ...networkChecks,
  ...vipChecks,
}

export type CheckId = keyof typeof catalogue

/** Those that the plan alone answers. */
export const planCheckIds = Object.keys(planChecks) as (keyof typeof planChecks)[]

export function isCheckId(id: string): id is CheckId {
  return Object.hasOwn(catalogue, id)
}

export function definitionOf(id: CheckId): CheckDefinition {
  return catalogue[id]
}
