import { readFile } from 'node:fs/promises'
import { AppError } from '../../shared/errors/index.ts'
import type { Plan } from '../../shared/plan/index.ts'
import type { Clock } from '../engine/clock.ts'
import type { Lab, LabReport } from '../lab/index.ts'
import type { Dialler } from '../network/dialler.ts'
import type { SecretStore } from '../secrets/index.ts'

/** A practice lab that a command works against. */
export interface Practice {
  readonly clock: Clock
  readonly dialler: Dialler
  /** Of the lab in this process; a lab of another process reports there. */
  readonly report: () => LabReport | undefined
  readonly stop: () => Promise<void>
}

export interface PracticeOptions {
  readonly timeScale?: number
  readonly scenarioFile?: string
  /** File that `landfall lab --describe` wrote; the lab runs in another process. */
  readonly descriptionFile?: string
  /** The nodes are there already; nobody waits for their installation. Not for a lab that runs already. */
  readonly areNodesInstalled?: boolean
  readonly initialNodePassword?: string
  readonly initialConsolePassword?: string
}

/** Starts a lab that fits the plan, or takes part in one that runs already. */
export async function openPractice(plan: Plan, options: PracticeOptions): Promise<Practice> {
  if (options.descriptionFile !== undefined) {
    const { attachToLab } = await loadLab()
    const { clock, dialler } = attachToLab(JSON.parse(await readText(options.descriptionFile)))
    return { clock, dialler, report: () => undefined, stop: () => Promise.resolve() }
  }
  const lab = await startPracticeLab(plan, options)
  return { clock: lab.clock, dialler: lab.dialler, report: () => lab.report(), stop: () => lab.stop() }
}

/** The passwords that a lab of this plan starts with, where the plan does not leave them to the product. */
export async function labPasswordsOf(
  plan: Plan,
  secrets: SecretStore,
): Promise<Pick<PracticeOptions, 'initialNodePassword' | 'initialConsolePassword'>> {
  const node = plan.access.initialPassword
  const systemConsole = plan.console.initialPassword
  return {
    ...(node === 'product-default'
      ? {}
      : { initialNodePassword: await secrets.resolve(node, 'access.initialPassword') }),
    ...(systemConsole === 'product-default'
      ? {}
      : { initialConsolePassword: await secrets.resolve(systemConsole, 'console.initialPassword') }),
  }
}

/** Starts a lab in this process. */
export async function startPracticeLab(plan: Plan, options: PracticeOptions): Promise<Lab> {
  const { timeScale, scenarioFile, areNodesInstalled, initialNodePassword, initialConsolePassword } = options
  const { readScenario, startLab } = await loadLab()
  return startLab({
    plan,
    ...(timeScale === undefined ? {} : { timeScale }),
    ...(areNodesInstalled === undefined ? {} : { areNodesInstalled }),
    ...(scenarioFile === undefined
      ? {}
      : { scenario: readScenario(await readText(scenarioFile), scenarioFile) }),
    ...(initialNodePassword === undefined ? {} : { initialNodePassword }),
    ...(initialConsolePassword === undefined ? {} : { initialConsolePassword }),
  })
}

/** A run on a real site has no use for it, and it is large. */
function loadLab() {
  return import('../lab/index.ts')
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new AppError({
      code: 'FILE_UNREADABLE',
      title: 'A file of the practice lab cannot be read.',
      detail: error instanceof Error ? error.message : String(error),
      remedies: ['Check the path.'],
      cause: error,
    })
  }
}
