/** Keys and list positions from the top of the plan to a value. */
export type PlanPath = readonly (string | number)[]

/** Something in a plan that is wrong (`error`) or that the operator should know (`warning`). Never holds a secret. */
export interface PlanProblem {
  severity: 'error' | 'warning'
  /** Stable identifier: a check of the catalogue (`vip.in-subnet`) or `yaml.*` / `schema.*`. */
  code: string
  /** Where in the plan, e.g. `nodes[1].address`; empty for the plan as a whole. */
  path: string
  /** 1-based. */
  line: number
  /** 1-based, in UTF-16 code units. */
  column: number
  /** What stands there, shortened; `(hidden)` where a secret could stand. */
  value: string
  /** One sentence: what is wrong. */
  message: string
  /** What to write instead. */
  fix: string
}

/** `['nodes', 1, 'address']` as `nodes[1].address`. */
export function formatPath(path: PlanPath): string {
  return path
    .map((step, index) => {
      if (typeof step === 'number') return `[${step}]`
      if (!/^[A-Za-z_][\w-]*$/.test(step)) return `[${JSON.stringify(step)}]`
      return index === 0 ? step : `.${step}`
    })
    .join('')
}
