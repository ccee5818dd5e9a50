import type { PlanPath } from '../problem.ts'
import type { Draft } from '../schema-walk.ts'
import type { Plan } from '../schema.ts'

/** What a rule found; the reader adds line and column. Texts never repeat what could be a secret. */
export interface Finding {
  severity: 'error' | 'warning'
  code: string
  path: PlanPath
  message: string
  fix: string
}

/**
 * A rule between fields. It sees whatever parsed, so it must stay silent about a field that is `undefined`, unless
 * `isGiven` says that the operator really left it out.
 */
export interface RuleContext {
  plan: Draft<Plan>
  /** True when the text has something at `path`, valid or not. */
  readonly isGiven: (path: PlanPath) => boolean
}

export type Rule = (context: RuleContext) => Finding[]

export function error(code: string, path: PlanPath, message: string, fix: string): Finding {
  return { severity: 'error', code, path, message, fix }
}

export function warning(code: string, path: PlanPath, message: string, fix: string): Finding {
  return { severity: 'warning', code, path, message, fix }
}

/** Groups `items` by key and returns those that are not the first of their key, with the first one. */
export function repeated<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string | number | undefined,
): { item: Item; first: Item }[] {
  const firsts = new Map<string | number, Item>()
  return items.flatMap((item) => {
    const key = keyOf(item)
    if (key === undefined) return []
    const first = firsts.get(key)
    if (first !== undefined) return [{ item, first }]
    firsts.set(key, item)
    return []
  })
}
