import { z } from 'zod'
import type { PlanPath } from './problem.ts'
import { initialPasswordSchema, secretReferenceSchema } from './schema.ts'

/** What parsed of a plan that is not entirely valid. A list keeps the places of items that did not parse. */
export type Draft<T> = T extends readonly (infer Item)[]
  ? (Draft<Item> | undefined)[]
  : T extends object
    ? { [Key in keyof T]?: Draft<T[Key]> | undefined }
    : T

/** The schema without `nullable`, `default`, `prefault` and `optional` around it. */
export function unwrapSchema(schema: z.core.$ZodType): z.core.$ZodType {
  let inner = schema
  while (
    inner instanceof z.ZodNullable ||
    inner instanceof z.ZodDefault ||
    inner instanceof z.ZodPrefault ||
    inner instanceof z.ZodOptional
  ) {
    inner = inner.def.innerType
  }
  return inner
}

/** The schema of one step deeper, or `undefined` where the plan ends. */
export function childSchema(schema: z.core.$ZodType, step: string | number): z.core.$ZodType | undefined {
  const inner = unwrapSchema(schema)
  if (inner instanceof z.ZodObject) {
    const shape = inner.def.shape as Record<string, z.core.$ZodType>
    return Object.hasOwn(shape, step) ? shape[step] : undefined
  }
  if (inner instanceof z.ZodArray) return inner.def.element
  if (inner instanceof z.ZodRecord) return inner.def.valueType
  return undefined
}

/** Names of the keys that a mapping at this place may have; empty where it may have any. */
export function keysOf(schema: z.core.$ZodType): string[] {
  const inner = unwrapSchema(schema)
  return inner instanceof z.ZodObject ? Object.keys(inner.def.shape) : []
}

export function schemaAt(root: z.core.$ZodType, path: PlanPath): z.core.$ZodType | undefined {
  return path.reduce<z.core.$ZodType | undefined>(
    (schema, step) => (schema === undefined ? undefined : childSchema(schema, step)),
    root,
  )
}

/** True when a reference to a secret belongs here. */
export function isSecretPlace(schema: z.core.$ZodType): boolean {
  const inner = unwrapSchema(schema)
  return inner === secretReferenceSchema || inner === initialPasswordSchema
}

/** True when the place itself, or one above it, is where a reference to a secret belongs. */
export function isInSecretPlace(root: z.core.$ZodType, path: PlanPath): boolean {
  return path.some((_, index) => {
    const schema = schemaAt(root, path.slice(0, index + 1))
    return schema !== undefined && isSecretPlace(schema)
  })
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Everything of `value` that fits the schema, defaults filled in; what does not fit is `undefined`. */
export function parseLeniently(schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  return parsePieces(schema, value)
}

function parsePieces(schema: z.core.$ZodType, value: unknown): unknown {
  const parsed = z.safeParse(schema, value)
  if (parsed.success) return parsed.data
  const inner = unwrapSchema(schema)
  if (inner instanceof z.ZodObject && isMapping(value)) {
    return Object.fromEntries(
      Object.entries(inner.def.shape as Record<string, z.core.$ZodType>).map(([key, child]) => [
        key,
        parsePieces(child, Object.hasOwn(value, key) ? value[key] : undefined),
      ]),
    )
  }
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    return value.map((item: unknown) => parsePieces(inner.def.element, item))
  }
  if (inner instanceof z.ZodRecord && isMapping(value)) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => z.safeParse(inner.def.keyType, key).success)
        .map(([key, item]) => [key, parsePieces(inner.def.valueType, item)] as const)
        .filter(([, item]) => item !== undefined),
    )
  }
  return undefined
}
