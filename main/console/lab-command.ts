import { writeFile } from 'node:fs/promises'
import process from 'node:process'
import { AppError } from '../../shared/errors/index.ts'
import { planTemplate, readPlan, type Plan } from '../../shared/plan/index.ts'
import { exitCodes } from './exit-codes.ts'
import { ownCommand } from './own-command.ts'
import { loadPlan } from './plan-file.ts'
import { labPasswordsOf, startPracticeLab } from './practice.ts'
import { openRunSecrets } from './run-secrets.ts'

interface LabRequest {
  readonly planFile?: string | undefined
  readonly nodes: number
  readonly timeScale: number
  readonly scenario?: string
  readonly writePlan?: string
  readonly describe?: string
}

/** Runs a practice lab until it is stopped. */
export async function runLab(request: LabRequest): Promise<number> {
  const plan =
    request.planFile === undefined ? await generatePlan(request) : (await loadPlan(request.planFile)).plan
  const secrets = await openRunSecrets({ plan, planFile: request.planFile ?? '', mode: 'practice' })
  const lab = await startPracticeLab(plan, {
    timeScale: request.timeScale,
    ...(request.scenario === undefined ? {} : { scenarioFile: request.scenario }),
    ...(await labPasswordsOf(plan, secrets.store)),
  })
  try {
    const description = JSON.stringify(lab.description, undefined, 2)
    if (request.describe !== undefined) await writeFile(request.describe, `${description}\n`, { mode: 0o600 })
    process.stdout.write(formatTable(plan, lab.description.endpoints, request))
    await untilStopped()
    const report = lab.report()
    process.stdout.write(
      `\nThe lab served ${report.requests} requests; clusters asked for: ${report.clusterPosts}; ` +
        `refused logins: ${report.failedLogins.reduce((sum, login) => sum + login.attempts, 0)}.\n`,
    )
    return exitCodes.done
  } finally {
    await lab.stop()
  }
}

async function generatePlan(request: LabRequest): Promise<Plan> {
  const text = planTemplate({
    nodes: Array.from({ length: request.nodes }, (_, index) => `10.10.200.${index + 11}`),
    network: '10.10.200.0/24',
    vip: '10.10.200.250',
  })
  const result = readPlan(text, 'generated plan')
  if (!result.ok) throw new TypeError(`The generated plan is wrong: ${result.problems[0]?.message ?? '?'}`)
  if (request.writePlan !== undefined) {
    await writeFile(request.writePlan, text, { flag: 'wx' }).catch((error: unknown) => {
      throw new AppError({
        code: 'BAD_ARGUMENT',
        title: 'The plan cannot be written.',
        detail: error instanceof Error ? error.message : String(error),
        remedies: ['Name a file that does not exist yet.'],
        cause: error,
      })
    })
  }
  return result.plan
}

function formatTable(
  plan: Plan,
  endpoints: readonly {
    host: string
    port: number
    service: string
    node: string | null
    loopbackPort: number
  }[],
  request: LabRequest,
): string {
  const rows = endpoints.map(
    (row) =>
      `  ${(row.node ?? 'cluster').padEnd(10)} ${row.service.padEnd(9)} ${`${row.host}:${row.port}`.padEnd(22)} 127.0.0.1:${row.loopbackPort}`,
  )
  const planFile = request.planFile ?? request.writePlan ?? 'PLAN'
  return [
    `Practice lab for ${plan.site.name}: ${plan.nodes.length} nodes, ${request.timeScale} times as fast as in reality.`,
    '  node       service   address in the plan    on this workstation',
    ...rows,
    ...(request.describe === undefined
      ? []
      : [`Install it from another terminal: ${ownCommand()} run ${planFile} --lab-at ${request.describe}`]),
    'Ctrl-C ends the lab.',
    '',
  ].join('\n')
}

function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => {
      resolve()
    })
    process.once('SIGTERM', () => {
      resolve()
    })
  })
}
