import { z } from 'zod'
import { formatPath, type PlanPath } from './problem.ts'
import { childSchema, isSecretPlace, unwrapSchema } from './schema-walk.ts'
import { planSchema, type Plan, type SecretReference } from './schema.ts'

/** A secret that a plan needs, and the field that needs it. */
export interface PlannedSecret {
  /** Field of the plan, e.g. `cluster.registry.password`. */
  path: string
  ref: SecretReference
}

/** Every reference to a secret in the plan, in the order of the schema. */
export function secretReferencesOf(plan: Plan): PlannedSecret[] {
  return collect(planSchema, plan, [])
}

function collect(schema: z.core.$ZodType, value: unknown, path: PlanPath): PlannedSecret[] {
  if (typeof value !== 'object' || value === null) return []
  if (isSecretPlace(schema)) return [{ path: formatPath(path), ref: value as SecretReference }]
  if (Array.isArray(value)) {
    return value.flatMap((item: unknown, index) => collectChild(schema, index, item, path))
  }
  const keys = unwrapSchema(schema) instanceof z.ZodObject ? orderedKeys(schema, value) : Object.keys(value)
  return keys.flatMap((key) => collectChild(schema, key, (value as Record<string, unknown>)[key], path))
}

function orderedKeys(schema: z.core.$ZodType, value: object): string[] {
  const inner = unwrapSchema(schema)
  const known = inner instanceof z.ZodObject ? Object.keys(inner.def.shape) : []
  return known.filter((key) => Object.hasOwn(value, key))
}

function collectChild(
  schema: z.core.$ZodType,
  step: string | number,
  value: unknown,
  path: PlanPath,
): PlannedSecret[] {
  const child = childSchema(schema, step)
  return child === undefined ? [] : collect(child, value, [...path, step])
}
