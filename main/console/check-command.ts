import { join } from 'node:path'
import process from 'node:process'
import { AppError } from '../../shared/errors/index.ts'
import { isBlocking, type CheckResult } from '../../shared/checks/index.ts'
import { checkNodes, checkWorkstation, reachResult } from '../checks/index.ts'
import { systemClock } from '../engine/clock.ts'
import { acquireLease } from '../engine/lease.ts'
import type { Phase } from '../engine/phase.ts'
import { executeRun, type RunResult } from '../engine/run.ts'
import { systemDialler } from '../network/dialler.ts'
import { connectNodes } from '../phases/connect-nodes.ts'
import type { Site } from '../phases/site.ts'
import { waitForInstall } from '../phases/wait-for-install.ts'
import { memoryIdentityStore, openIdentityStore } from '../storage/index.ts'
import { SiteFolder, stateFolder } from '../storage/site-folder.ts'
import { reachableId, vipChecks } from './check-vip.ts'
import { exitCodes } from './exit-codes.ts'
import { listenForStop } from './listen-for-stop.ts'
import { openSite } from './open-site.ts'
import { formatProblem, loadPlan } from './plan-file.ts'
import { labPasswordsOf, openPractice } from './practice.ts'
import { openRunSecrets } from './run-secrets.ts'
import { practiceView, realView } from './workstation-view.ts'

interface CheckRequest {
  readonly planFile: string
  readonly only?: readonly string[]
  readonly json: boolean
  readonly lab: boolean
  readonly labAt?: string
  readonly timeScale?: number
  readonly scenario?: string
}

/**
 * Runs the checks that there are; returns 3 when one of them blocks. Reads only, except for `vip.reachable`, which runs
 * when it is named only.
 */
export async function checkPlan(request: CheckRequest): Promise<number> {
  const stop = listenForStop()
  try {
    return await runChecks(request, stop.signal)
  } finally {
    stop.release()
  }
}

async function runChecks(request: CheckRequest, signal: AbortSignal): Promise<number> {
  const loaded = await loadPlan(request.planFile)
  const isPractice = request.lab || request.labAt !== undefined
  const secrets = await openRunSecrets({
    plan: loaded.plan,
    planFile: loaded.file,
    mode: isPractice ? 'practice' : 'dry-run',
  })
  const practice = isPractice
    ? await openPractice(loaded.plan, {
        ...(request.timeScale === undefined ? {} : { timeScale: request.timeScale }),
        ...(request.scenario === undefined ? {} : { scenarioFile: request.scenario }),
        ...(request.labAt === undefined ? {} : { descriptionFile: request.labAt }),
        ...(await labPasswordsOf(loaded.plan, secrets.store)),
      })
    : undefined
  const clock = practice?.clock ?? systemClock
  const folder = new SiteFolder(
    join(stateFolder(process.env), isPractice ? 'practice' : 'sites', loaded.plan.site.name),
  )
  const site = openSite({
    loaded,
    secrets: secrets.store,
    areSecretsComplete: secrets.isComplete,
    // Checking pins nothing: what is seen for the first time is shown and pinned by the run.
    identities: memoryIdentityStore(await openIdentityStore(folder.identitiesFile)),
    dialler: practice?.dialler ?? systemDialler,
    clock,
    runFolder: folder.folder,
    workstation: isPractice ? practiceView : realView(clock),
    connectTimeoutMilliseconds: 5000,
  })
  try {
    const walk = (phases: readonly Phase<Site>[]) =>
      executeRun({
        runId: 'check',
        plan: loaded.plan,
        planDigest: '0'.repeat(64),
        phases,
        services: site,
        mode: 'apply',
        clock,
        retryDelaysSeconds: [],
        signal,
        redact: (text) => secrets.store.redactor.redact(text),
        onEvent: () => undefined,
      })
    // The practice lab has just been switched on; on a real site the nodes are there, or that is the finding.
    const run = await walk(practice === undefined ? [connectNodes] : [waitForInstall, connectNodes])
    const vipResults: CheckResult[] = []
    const vipRun = isVipAsked(request) ? await lookAtVip(request, folder, walk, vipResults) : undefined
    if (run.outcome === 'stopped' || vipRun?.outcome === 'stopped') return exitCodes.stopped
    const [vipError] = vipRun?.errors ?? []
    if (vipError !== undefined) throw vipError
    const facts = [...site.facts.values()]
    const results = [
      ...(await checkWorkstation(loaded.plan, {
        stateFolder: stateFolder(process.env),
        fileOfPlan: loaded.fileOfPlan,
        readsMedia: true,
      })),
      ...loaded.plan.nodes.map((node) => reachResult(node, site.facts.get(node.name), run.errors)),
      ...checkNodes(loaded.plan, facts),
      ...vipResults,
    ].filter((result) => request.only === undefined || request.only.includes(result.id))
    if (request.only !== undefined && results.length === 0) throw unknownChecks(request.only)
    const warnings = loaded.warnings.map((warning) => formatProblem(request.planFile, warning))
    process.stdout.write(
      request.json ? `${JSON.stringify({ results, warnings })}\n` : formatResults(results, warnings),
    )
    return results.some(isBlocking) ? exitCodes.checkBlocks : exitCodes.done
  } finally {
    await site.close()
    await practice?.stop()
  }
}

function isVipAsked({ only }: CheckRequest): boolean {
  return only === undefined || only.some((id) => id.startsWith('vip.'))
}

/** Whoever raises the address on nodes must be alone on the site. */
async function lookAtVip(
  { only }: CheckRequest,
  folder: SiteFolder,
  walk: (phases: readonly Phase<Site>[]) => Promise<RunResult>,
  results: CheckResult[],
): Promise<RunResult> {
  const isReachableAsked = only?.includes(reachableId) === true
  const phase = vipChecks({
    isReachableAsked,
    takeResults: (more) => results.push(...more),
    announce: (text) => process.stderr.write(`${text}\n`),
  })
  const lease = isReachableAsked ? await acquireLease(folder.leaseFile) : undefined
  try {
    return await walk([phase])
  } finally {
    await lease?.release()
  }
}

function unknownChecks(only: readonly string[]): AppError {
  return new AppError({
    code: 'BAD_ARGUMENT',
    title: `There is no check ${only.join(', ')}.`,
    detail: '',
    remedies: ['Run without --only to see the ids of all checks.'],
  })
}

function formatResults(results: readonly CheckResult[], warnings: readonly string[]): string {
  const blocking = results.filter(isBlocking)
  const warned = results.filter((result) => result.state !== 'pass' && !isBlocking(result))
  const lines = results.map((result) => {
    const word = result.state === 'pass' ? 'pass ' : isBlocking(result) ? 'BLOCK' : 'warn '
    const place = `${result.target.padEnd(15)} ${result.id.padEnd(22)}`
    const line = `${word}  ${place} ${result.title}: ${result.measured}`
    return result.state === 'pass'
      ? line
      : `${line}\n       must be: ${result.threshold}\n       do: ${result.remedy}`
  })
  return [
    ...warnings.map((warning) => `warn   plan: ${warning}`),
    ...lines,
    `${results.length} checks: ${results.length - blocking.length - warned.length} passed, ${warned.length} warn, ${blocking.length} block.`,
    '',
  ].join('\n')
}
