export {
  planSchema,
  variantSchema,
  type Plan,
  type PlanNode,
  type PoolHost,
  type ProcedureVariant,
  type SecretReference,
} from './schema.ts'
export type { PlanProblem } from './problem.ts'
export { MAX_PLAN_LENGTH, readPlan, type ReadPlanResult } from './read-plan.ts'
export { secretReferencesOf, type PlannedSecret } from './secret-references.ts'
export {
  PRODUCT_DEFAULT_REGISTRY_PASSWORD,
  productDefaultPasswords,
  VARIANT_FACTS,
  withVariantDefaults,
} from './variants.ts'
export { expandNodeRange } from './node-range.ts'
export { planDigest } from './digest.ts'
export { planTemplate } from './plan-template.ts'
export { showPlan } from './show-plan.ts'
