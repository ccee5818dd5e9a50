import { readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { AppError } from '../../shared/errors/index.ts'
import {
  MAX_PLAN_LENGTH,
  readPlan,
  type Plan,
  type PlanProblem,
  type ReadPlanResult,
} from '../../shared/plan/index.ts'

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
  const content = await readPlanText(file)
  if ('problem' in content) {
    throw new AppError({
      code: 'PLAN_UNREADABLE',
      title: 'The plan cannot be read.',
      detail: `${path}: ${content.problem.message}`,
      remedies: [content.problem.fix],
      cause: content.cause,
    })
  }
  const result = readPlan(content.text, path)
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
  const place = problem.path === '' ? '' : `${problem.path}: `
  return `${fileName}:${problem.line}:${problem.column} ${place}${problem.message} → ${problem.fix}`
}

/** Reads and checks a file; one that cannot be read is a problem like any other, so that all files get their answer. */
export async function readPlanFile(file: string): Promise<ReadPlanResult> {
  const content = await readPlanText(file)
  return 'problem' in content
    ? { ok: false, problems: [content.problem], warnings: [] }
    : readPlan(content.text, file)
}

type PlanText = { readonly text: string } | { readonly problem: PlanProblem; readonly cause?: unknown }

async function readPlanText(file: string): Promise<PlanText> {
  const refuse = (code: string, message: string, fix: string, cause?: unknown): PlanText => ({
    problem: { severity: 'error', code, path: '', line: 1, column: 1, value: '', message, fix },
    cause,
  })
  try {
    const facts = await stat(file)
    if (!facts.isFile()) {
      return refuse('plan.unreadable', 'This is not a file.', 'Give the YAML file of the plan.')
    }
    if (facts.size > MAX_PLAN_LENGTH) {
      return refuse(
        'plan.too-large',
        `The file has ${facts.size} bytes; a plan has a few thousand, at most 1 MiB.`,
        'Give the plan itself, not an ISO or a bundle.',
      )
    }
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file)) }
  } catch (error) {
    if (error instanceof TypeError) {
      return refuse('plan.unreadable', 'The file is not UTF-8 text.', 'Save the plan as UTF-8.', error)
    }
    return refuse(
      'plan.unreadable',
      `The file cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
      'Check the path; "landfall plan init FILE" writes a plan to start from.',
      error,
    )
  }
}
