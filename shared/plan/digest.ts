import type { Plan } from './schema.ts'

/**
 * The canonical text of a plan: JSON with sorted keys and without spaces, in the manner of RFC 8785. Equal plans give
 * equal texts, whatever their YAML looks like; `main/` hashes it to tell whether a run still has the plan it began with.
 */
export function planDigest(plan: Plan): string {
  return canonical(plan)
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`
}
