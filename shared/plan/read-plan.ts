import { distance } from 'fastest-levenshtein'
import type { z } from 'zod'
import { formatPath, type PlanPath, type PlanProblem } from './problem.ts'
import { checkRules } from './rules.ts'
import { isInSecretPlace, keysOf, parseLeniently, schemaAt, type Draft } from './schema-walk.ts'
import { MESSAGE_ARROW, planSchema, type Plan } from './schema.ts'
import { readYaml, type YamlSource } from './yaml-source.ts'

export type ReadPlanResult =
  | {
      ok: true
      plan: Plan
      warnings: PlanProblem[]
      /** Paths (as in `PlanProblem.path`) that the text itself gives; what is not here is a default. */
      givenPaths: ReadonlySet<string>
    }
  | { ok: false; problems: PlanProblem[]; warnings: PlanProblem[] }

/** Characters. A plan is written by a person; anything larger is the wrong file. */
export const MAX_PLAN_LENGTH = 1024 * 1024

const HIDDEN = '(hidden)'

/**
 * Reads a plan and checks all of it: syntax, shape, and the rules between fields, in one go and sorted by position.
 * Never throws for what `text` may hold, and never repeats a value that stands where a secret could.
 *
 * @param text YAML 1.2, one document.
 * @param fileName Only for messages.
 */
export function readPlan(text: string, fileName: string): ReadPlanResult {
  if (text.length > MAX_PLAN_LENGTH) {
    return failure([
      wholeFileProblem(
        'plan.too-large',
        `${fileName} is larger than 1 MiB.`,
        'Give the plan itself, a YAML text of a few kilobytes, not an ISO or a bundle.',
      ),
    ])
  }
  const source = readYaml(text)
  const problems: PlanProblem[] = source.faults.map((fault) => ({
    severity: fault.severity,
    code: fault.code,
    path: '',
    ...source.position(fault.offset),
    value: '',
    message: fault.message,
    fix: fault.fix,
  }))
  if (source.faults.some((fault) => fault.isFatal)) return failure(problems)

  if (source.value === null || source.value === undefined) {
    problems.push(
      wholeFileProblem(
        'yaml.empty',
        `${fileName} holds no plan: it is empty or has comments only.`,
        'Write a plan; "landfall plan init" makes one to start from.',
      ),
    )
    return failure(problems)
  }
  if (typeof source.value !== 'object' || Array.isArray(source.value)) {
    problems.push({
      ...wholeFileProblem(
        'yaml.not-a-mapping',
        `${fileName} is not a plan: its top level is ${Array.isArray(source.value) ? 'a list' : 'a single value'}.`,
        `Start with "version: 1" and the keys ${keysOf(planSchema).slice(1).join(', ')}.`,
      ),
      ...source.position(source.locateValue([])),
    })
    return failure(problems)
  }

  const parsed = planSchema.safeParse(source.value)
  if (!parsed.success) problems.push(...parsed.error.issues.flatMap((issue) => schemaProblems(issue, source)))
  const draft = (parsed.success ? parsed.data : parseLeniently(planSchema, source.value)) as Draft<Plan>
  problems.push(
    ...checkRules(draft, source.has).map(({ severity, code, path, message, fix }) => ({
      severity,
      code,
      path: formatPath(path),
      ...source.position(source.locateValue(path)),
      value: printable(source.value, path),
      message,
      fix,
    })),
  )

  const sorted = sortProblems(problems)
  if (parsed.success && sorted.every((problem) => problem.severity === 'warning')) {
    return {
      ok: true,
      plan: parsed.data,
      warnings: sorted,
      givenPaths: new Set(source.leaves().map(formatPath)),
    }
  }
  return failure(sorted)
}

function failure(problems: readonly PlanProblem[]): ReadPlanResult {
  const sorted = sortProblems(problems)
  return {
    ok: false,
    problems: sorted.filter((problem) => problem.severity === 'error'),
    warnings: sorted.filter((problem) => problem.severity === 'warning'),
  }
}

function sortProblems(problems: readonly PlanProblem[]): PlanProblem[] {
  return problems
    .map(withoutControlCharacters)
    .toSorted(
      (a, b) =>
        a.line - b.line ||
        a.column - b.column ||
        (a.severity === b.severity ? 0 : a.severity === 'error' ? -1 : 1),
    )
}

function wholeFileProblem(code: string, message: string, fix: string): PlanProblem {
  return { severity: 'error', code, path: '', line: 1, column: 1, value: '', message, fix }
}

function schemaProblems(issue: z.core.$ZodIssue, source: YamlSource): PlanProblem[] {
  // Symbols cannot come out of YAML; the type allows them.
  const path = issue.path.filter((step) => typeof step !== 'symbol')
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key, source))

  const isMissing = !source.has(path)
  const isSecret = isInSecretPlace(planSchema, path)
  const [wrong = issue.message, fix = 'See docs/plan.md for what this field takes.'] =
    issue.message.split(MESSAGE_ARROW)
  return [
    {
      severity: 'error',
      code: isMissing ? 'schema.missing' : isSecret ? 'schema.secret-in-plan' : 'schema.value',
      path: formatPath(path),
      ...source.position(issue.code === 'invalid_key' ? source.locateKey(path) : source.locateValue(path)),
      value: isMissing ? '' : printable(source.value, path),
      message: `${formatPath(path) || 'The plan'} ${wrong}.`,
      fix: `${fix.charAt(0).toUpperCase()}${fix.slice(1)}.`,
    },
  ]
}

function unknownKey(parent: PlanPath, key: string, source: YamlSource): PlanProblem {
  const schema = schemaAt(planSchema, parent)
  const known = schema === undefined ? [] : keysOf(schema)
  const nearest = nearestKey(key, known)
  const path = [...parent, key]
  const place = parent.length === 0 ? 'at the top of the plan' : `in ${formatPath(parent)}`
  const isMerge = key === '<<'
  return {
    severity: 'error',
    code: 'schema.unknown-key',
    path: formatPath(path),
    ...source.position(source.locateKey(path)),
    // A mistyped "password:" has the password behind it.
    value: HIDDEN,
    message: isMerge
      ? `Merge keys (<<) are not part of the plan format.`
      : `unknown key "${shorten(key)}"${nearest === undefined ? ` ${place}.` : `; did you mean "${nearest}"?`}`,
    fix: isMerge
      ? 'Write the keys out.'
      : nearest === undefined
        ? `Remove it; the keys ${place} are ${known.join(', ')}.`
        : `Write "${nearest}", or remove the key; the keys ${place} are ${known.join(', ')}.`,
  }
}

/** The known key that is meant, if one is close enough to be a slip of the finger or another spelling. */
function nearestKey(key: string, known: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replace(/[-_ ]/g, '')
  const ranked = known
    .map((candidate) => ({ candidate, distance: distance(plain(key.slice(0, 64)), plain(candidate)) }))
    .toSorted((a, b) => a.distance - b.distance)
  const best = ranked[0]
  if (best === undefined) return undefined
  return best.distance <= Math.max(1, Math.floor(best.candidate.length / 3)) ? best.candidate : undefined
}

function shorten(text: string): string {
  const oneLine = text.replace(/\s+/g, ' ')
  return oneLine.length > 60 ? `${oneLine.slice(0, 57)}…` : oneLine
}

/** What stands at `path`, for a person; never what could be a secret. */
function printable(root: unknown, path: PlanPath): string {
  if (isInSecretPlace(planSchema, path)) return HIDDEN
  // Variables are free text: somebody will put a password there before reading about secretVariables.
  if (path[0] === 'cluster' && path[1] === 'variables') return HIDDEN
  const value = path.reduce<unknown>(
    (parent, step) =>
      typeof parent === 'object' && parent !== null
        ? (parent as Record<string | number, unknown>)[step]
        : undefined,
    root,
  )
  if (value === undefined) return ''
  if (typeof value === 'string') return mayHoldSecret(value) ? HIDDEN : shorten(value)
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'a mapping'
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return value === null ? 'null' : 'not a plain value'
}

/** A private key, or a URL with user and password. */
function mayHoldSecret(text: string): boolean {
  return text.includes('PRIVATE KEY') || /:\/\/[^/]*@/.test(text)
}

/** Problems are printed on terminals; names and keys of a plan may hold anything. */
function withoutControlCharacters(problem: PlanProblem): PlanProblem {
  const clean = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '\ufffd')
  return {
    ...problem,
    path: clean(problem.path),
    value: clean(problem.value),
    message: clean(problem.message),
    fix: clean(problem.fix),
  }
}
