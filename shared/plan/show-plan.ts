import { Document, isCollection, isMap, isScalar, isSeq } from 'yaml'
import { formatPath, type PlanPath } from './problem.ts'
import type { Plan } from './schema.ts'

/** A value of the effective plan that the operator did not write. */
export interface EffectiveDefault {
  /** As in `PlanProblem.path`. */
  path: string
  /** `plan-format`: the same for every appliance. `variant`: from the appliance's generation or from the rest of the plan. */
  source: 'plan-format' | 'variant'
}

export interface ShownPlan {
  /** YAML; every value that is a default says so in a comment. */
  text: string
  defaults: EffectiveDefault[]
}

/**
 * The effective plan for a person.
 *
 * @param effective The plan with everything filled in, see `withVariantDefaults`.
 * @param plan The plan as `readPlan` gave it.
 * @param givenPaths What the operator wrote, from `readPlan`.
 */
export function showPlan(effective: Plan, plan: Plan, givenPaths: ReadonlySet<string>): ShownPlan {
  const document = new Document(effective, { aliasDuplicateObjects: false })
  const defaults: EffectiveDefault[] = []

  const mark = (path: PlanPath, value: unknown): string | undefined => {
    const name = formatPath(path)
    if (givenPaths.has(name)) return undefined
    const source = JSON.stringify(at(plan, path)) === JSON.stringify(value) ? 'plan-format' : 'variant'
    defaults.push({ path: name, source })
    return source === 'variant' ? ' default, from variant or plan' : ' default'
  }
  const visit = (node: unknown, path: PlanPath): void => {
    if (isMap(node)) {
      for (const pair of node.items) {
        const step = [...path, String(isScalar(pair.key) ? pair.key.value : pair.key)]
        const { value } = pair
        if (isScalar(value)) {
          const comment = mark(step, value.value)
          if (comment !== undefined) value.comment = comment
        } else if (isCollection(value) && value.items.length === 0) {
          const comment = mark(step, isMap(value) ? {} : [])
          if (comment !== undefined) value.comment = comment
          value.flow = true
        } else visit(value, step)
      }
    } else if (isSeq(node)) {
      node.items.forEach((item, index) => {
        const step = [...path, index]
        if (!isScalar(item)) visit(item, step)
        else {
          const comment = mark(step, item.value)
          if (comment !== undefined) item.comment = comment
        }
      })
    }
  }
  visit(document.contents, [])
  return { text: document.toString({ lineWidth: 0 }), defaults }
}

function at(value: unknown, path: PlanPath): unknown {
  return path.reduce<unknown>(
    (parent, step) =>
      typeof parent === 'object' && parent !== null
        ? (parent as Record<string | number, unknown>)[step]
        : undefined,
    value,
  )
}
