import process from 'node:process'
import { AppError } from '../../shared/errors/index.ts'
import {
  isBlocking,
  isCheckId,
  mayBeAcknowledged,
  summaryOf,
  type AcceptedWarning,
  type CheckId,
  type CheckReport,
  type CheckResult,
} from '../../shared/checks/index.ts'
import { CheckSession, siteStages, namedOnlyIds, type SiteMeasurement } from '../checking/index.ts'
import { otherRemarks } from '../checks/index.ts'
import { acquireLease } from '../engine/lease.ts'
import { addAcknowledgements } from '../storage/acknowledgement-store.ts'
import { stateFolder, type SiteFolder } from '../storage/site-folder.ts'
import { acceptedBy } from './accepted-by.ts'
import { exitCodes } from './exit-codes.ts'
import { listenForStop } from './listen-for-stop.ts'
import { formatProblem } from './plan-file.ts'
import { openSiteSession, type SiteRequest } from './site-session.ts'
import { formatMatrix, formatReport, formatResult } from './terminal/check-report.ts'

export interface CheckRequest extends SiteRequest {
  readonly only?: readonly string[]
  readonly json: boolean
  /** `ID` or `ID@TARGET` of warnings to accept. */
  readonly acknowledge?: readonly string[]
  readonly why?: string
}

/**
 * Runs the checks that there are; returns 3 when one of them blocks. Reads only, except for those that run when they are
 * named only: `vip.reachable` raises the address for some seconds, `node.disk-speed` writes a scratch file.
 */
export async function checkPlan(request: CheckRequest): Promise<number> {
  const stop = listenForStop()
  try {
    return await runChecks(request, stop.signal)
  } catch (error) {
    if (stop.signal.aborted && error === stop.signal.reason) return exitCodes.stopped
    throw error
  } finally {
    stop.release()
  }
}

async function runChecks(request: CheckRequest, signal: AbortSignal): Promise<number> {
  const asked = askedIds(request)
  const accepting = acceptanceOf(request)
  const opened = await openSiteSession(request, signal)
  const { loaded, site, clock, folder } = opened
  const warnings = otherRemarks(loaded.warnings).map((remark) => formatProblem(request.planFile, remark))
  let measured: SiteMeasurement | undefined
  const tells = !request.json
  const isLarge = loaded.plan.nodes.length > 12
  const session = new CheckSession({
    stages: siteStages({
      site,
      remarks: loaded.warnings,
      stateFolder: stateFolder(process.env),
      leaseFile: folder.leaseFile,
      signal,
      clock,
      walk: (phases) =>
        opened.walk(phases, {
          onEvent: (event) => {
            if (event.type === 'warning') warnings.push(event.text)
          },
        }),
      // A practice lab of this process has just been switched on; else the nodes are there, or that is the finding.
      areNodesStarting: request.lab,
      alone: async (work) => {
        const lease = await acquireLease(folder.leaseFile)
        try {
          return await work()
        } finally {
          await lease.release()
        }
      },
      announce: (text) => process.stderr.write(`${text}\n`),
      onMeasured: (measurement) => {
        measured = measurement
      },
    }),
    clock,
    accepted: site.acknowledgements,
    onStage: (title) => {
      if (tells) process.stdout.write(`\n${title}\n`)
    },
    onResult: (result) => {
      const isDone = result.state !== 'pending' && result.state !== 'running'
      // Of a large site only what somebody has to look at.
      if (tells && isDone && !(isLarge && result.state === 'pass'))
        process.stdout.write(`${formatResult(result)}\n`)
    },
  })
  try {
    await session.run(asked ?? new Set([...session.ids].filter((id) => !namedOnlyIds.includes(id))), signal)
    const checks =
      accepting === undefined ? [...session.results] : await accept(accepting, session.results, folder)
    const report: CheckReport = { checks, summary: summaryOf(checks), warnings }
    if (request.json) process.stdout.write(`${JSON.stringify(report)}\n`)
    else {
      if (measured !== undefined)
        process.stdout.write(await formatMatrix(measured.measurements, process.stdout.columns))
      process.stdout.write(formatReport(report))
    }
    return checks.some(isBlocking) ? exitCodes.checkBlocks : exitCodes.done
  } finally {
    await opened.close()
  }
}

/** `undefined`: all. */
function askedIds({ only }: CheckRequest): ReadonlySet<CheckId> | undefined {
  if (only === undefined) return undefined
  const unknown = only.filter((id) => !isCheckId(id))
  if (unknown.length > 0) throw unknownChecks(unknown)
  return new Set(only.filter(isCheckId))
}

interface Acceptance {
  readonly warnings: readonly { readonly id: CheckId; readonly target: string | undefined }[]
  readonly why: string
}

function acceptanceOf({ acknowledge, why }: CheckRequest): Acceptance | undefined {
  if (acknowledge === undefined) return undefined
  if (why === undefined || why.trim() === '') {
    throw new AppError({
      code: 'BAD_ARGUMENT',
      title: '--acknowledge needs a reason.',
      detail: 'Whoever reads the report later must understand why a warning was accepted.',
      remedies: ['Add --why "REASON".'],
    })
  }
  const warnings = acknowledge.map((text) => {
    const [id = '', ...target] = text.split('@')
    if (!isCheckId(id)) throw unknownChecks([id])
    return { id, target: target.length === 0 ? undefined : target.join('@') }
  })
  return { warnings, why: why.trim() }
}

/** Accepts warnings as they were measured now. All of them or none: what may not be accepted changes nothing. */
async function accept(
  { warnings, why }: Acceptance,
  results: readonly CheckResult[],
  folder: SiteFolder,
): Promise<CheckResult[]> {
  const at = new Date().toISOString()
  const by = acceptedBy()
  const chosen = warnings.flatMap(({ id, target }) => {
    const found = results.filter(
      (result) => result.id === id && (target === undefined || result.target === target),
    )
    const open = found.filter(mayBeAcknowledged)
    if (open.length === 0) throw notAcceptable(id, target, found)
    return open
  })
  await addAcknowledgements(
    folder.acknowledgementsFile,
    chosen.map(({ id, target, measured }): AcceptedWarning => ({ id, target, measured, by, at, why })),
  )
  return results.map((result) =>
    chosen.includes(result) ? { ...result, state: 'acknowledged', acknowledgement: { by, at, why } } : result,
  )
}

function notAcceptable(id: CheckId, target: string | undefined, found: readonly CheckResult[]): AppError {
  const place = target === undefined ? id : `${id} of ${target}`
  return new AppError({
    code: 'BAD_ARGUMENT',
    title: `${place} is no warning that can be accepted. Nothing was changed.`,
    detail:
      found.length === 0
        ? 'There is no such result.'
        : found.map((result) => `${result.target}: ${result.state}, ${result.severity}.`).join(' '),
    remedies: [
      'Only warnings can be accepted; what blocks must be put right, and login, names, virtual IP and disks must be right in any case.',
    ],
  })
}

function unknownChecks(unknown: readonly string[]): AppError {
  return new AppError({
    code: 'BAD_ARGUMENT',
    title: `There is no check ${unknown.join(', ')}.`,
    detail: '',
    remedies: ['Run without --only to see the ids of all checks.'],
  })
}
