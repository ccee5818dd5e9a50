export {
  planSchema,
  type Plan,
  type PlanNode,
  type PoolHost,
  type ProcedureVariant,
  type SecretReference,
} from './schema.ts'
