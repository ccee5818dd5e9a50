import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { AppError } from '../../shared/errors/index.ts'
import { MAX_PLAN_LENGTH, readPlan, type Plan, type PlanProblem } from '../../shared/plan/index.ts'

/** A plan that passed its rules, with the place it came from. */
export interface LoadedPlan {
  readonly plan: Plan
  /** Absolute. */
  readonly file: string
  readonly warnings: readonly PlanProblem[]
  /** Absolute path of a file that the plan names. */
  readonly fileOfPlan: (path: string) => string
}

/** Reads a plan; throws `PLAN_UNREADABLE` or `PLAN_INVALID`, which lists all problems. */
export async function loadPlan(path: string): Promise<LoadedPlan> {
  const file = resolve(path)
  const text = await readPlanText(file)
  const result = readPlan(text, path)
  if (!result.ok) {
    throw new AppError({
      code: 'PLAN_INVALID',
      title: `The plan has ${result.problems.length === 1 ? 'a problem' : `${result.problems.length} problems`}. Nothing was changed.`,
      detail: `\n${result.problems.map((problem) => formatProblem(path, problem)).join('\n')}`,
      remedies: ['Correct the plan and check it with: landfall plan lint FILE'],
    })
  }
  const folder = dirname(file)
  return {
    plan: result.plan,
    file,
    warnings: result.warnings,
    fileOfPlan: (name) => resolveFrom(folder, name),
  }
}

/** `~` is the home folder of the operator, everything else is relative to the plan. */
function resolveFrom(folder: string, name: string): string {
  if (name === '~' || name.startsWith('~/')) return join(homedir(), name.slice(1))
  return isAbsolute(name) ? name : resolve(folder, name)
}

/** One line for one problem. */
export function formatProblem(fileName: string, problem: PlanProblem): string {
  return `${fileName}:${problem.line}:${problem.column} ${problem.path}: ${problem.message} → ${problem.fix}`
}

async function readPlanText(file: string): Promise<string> {
  const unreadable = (detail: string, cause?: unknown) =>
    new AppError({
      code: 'PLAN_UNREADABLE',
      title: 'The plan cannot be read.',
      detail,
      remedies: ['Check the path.', 'landfall plan init FILE writes a plan to start from.'],
      cause,
    })
  try {
    const { size } = await stat(file)
    if (size > MAX_PLAN_LENGTH * 4) throw unreadable(`${file} has ${size} bytes; that is no plan.`)
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof AppError) throw error
    throw unreadable(error instanceof Error ? error.message : String(error), error)
  }
}
