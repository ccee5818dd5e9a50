import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { AppError } from '../../shared/errors/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import { planDigest } from '../../shared/plan/index.ts'
import { systemClock } from '../engine/clock.ts'
import { createJournal, resumeJournal, type Journal } from '../engine/journal.ts'
import { acquireLease, type Lease } from '../engine/lease.ts'
import { executeRun, type RunResult } from '../engine/run.ts'
import type { LabReport } from '../lab/index.ts'
import { createRunLog } from '../log/run-log.ts'
import { systemDialler } from '../network/dialler.ts'
import { installationPhases } from '../phases/index.ts'
import { readAcknowledgements } from '../storage/acknowledgement-store.ts'
import { memoryIdentityStore, openIdentityStore } from '../storage/index.ts'
import { openLoginAttempts } from '../storage/login-attempts.ts'
import { digestOf, SiteFolder, stateFolder, type RunFolder } from '../storage/site-folder.ts'
import { isStartConfirmed } from './confirm-start.ts'
import { exitCodes } from './exit-codes.ts'
import { openSite } from './open-site.ts'
import { listenForStop } from './listen-for-stop.ts'
import { ownCommand } from './own-command.ts'
import { reportFailure } from './report-failure.ts'
import { changedPaths, refuseFrozenChanges } from './plan-changes.ts'
import { formatProblem, loadPlan, type LoadedPlan } from './plan-file.ts'
import { labPasswordsOf, openPractice, type Practice } from './practice.ts'
import { eventsOf } from './run-events.ts'
import { createRunReporter, type RunReporter } from './terminal/index.ts'
import { openRunSecrets, type RunSecrets } from './run-secrets.ts'
import { practiceView, realView } from './workstation-view.ts'

/** What `landfall run` was asked for. */
export interface RunRequest {
  readonly planFile: string
  readonly dryRun: boolean
  readonly resume: boolean
  /** Begin anew although an earlier run of this site is not finished. */
  readonly fresh: boolean
  readonly json: boolean
  /** Do not ask before the installation of a real site begins. */
  readonly yes: boolean
  /** Practice lab in this process. */
  readonly lab: boolean
  /** Practice lab of another process: its description file. */
  readonly labAt?: string | undefined
  readonly timeScale?: number | undefined
  readonly scenario?: string | undefined
}

/** Performs the whole installation; returns the exit code. Throws AppErrors for everything before the run begins. */
export async function runPlan(request: RunRequest): Promise<number> {
  const loaded = await loadPlan(request.planFile)
  for (const warning of loaded.warnings)
    process.stderr.write(`warning: ${formatProblem(request.planFile, warning)}\n`)
  const stop = listenForStop()
  try {
    return await new PlanRun(request, loaded, stop.signal).execute()
  } finally {
    stop.release()
  }
}

class PlanRun {
  readonly #request: RunRequest
  readonly #loaded: LoadedPlan
  readonly #stop: AbortSignal
  readonly #canonicalPlan: string
  readonly #isPractice: boolean

  constructor(request: RunRequest, loaded: LoadedPlan, stop: AbortSignal) {
    this.#request = request
    this.#loaded = loaded
    this.#stop = stop
    this.#canonicalPlan = planDigest(loaded.plan)
    this.#isPractice = request.lab || request.labAt !== undefined
  }

  async execute(): Promise<number> {
    const { dryRun, resume, yes } = this.#request
    const isAsked = !dryRun && !resume && !yes && !this.#isPractice
    if (isAsked && !(await isStartConfirmed(this.#loaded.plan, this.#stop))) {
      process.stderr.write('Nothing was begun.\n')
      return exitCodes.stopped
    }
    const secrets = await this.#openSecrets()
    const practice = await this.#openPractice(secrets)
    try {
      return await this.#withLease(secrets, practice)
    } finally {
      await practice?.stop()
    }
  }

  async #openSecrets(): Promise<RunSecrets> {
    const { plan, file } = this.#loaded
    const mode = this.#isPractice ? 'practice' : this.#request.dryRun ? 'dry-run' : 'apply'
    const secrets = await openRunSecrets({ plan, planFile: file, mode })
    // Everything is asked for, and made, at the start: nobody has to sit beside a run and wait for a question.
    if (mode !== 'dry-run') await secrets.store.resolveAll(plan)
    return secrets
  }

  async #openPractice({ store }: RunSecrets): Promise<Practice | undefined> {
    if (!this.#isPractice) return undefined
    const { plan } = this.#loaded
    return openPractice(plan, {
      ...(this.#request.timeScale === undefined ? {} : { timeScale: this.#request.timeScale }),
      ...(this.#request.scenario === undefined ? {} : { scenarioFile: this.#request.scenario }),
      ...(this.#request.labAt === undefined ? {} : { descriptionFile: this.#request.labAt }),
      ...(await labPasswordsOf(plan, store)),
    })
  }

  async #withLease(secrets: RunSecrets, practice: Practice | undefined): Promise<number> {
    const site = this.#siteFolder()
    if (this.#request.dryRun) return this.#run({ secrets, practice, site, lease: undefined })
    const lease = await acquireLease(site.leaseFile)
    try {
      return await this.#run({ secrets, practice, site, lease })
    } finally {
      await lease.release()
    }
  }

  /**
   * A lab in this process is gone with it: its state is of no use to anybody else, and must not be mistaken for that of
   * the real site.
   */
  #siteFolder(): SiteFolder {
    const root = stateFolder(process.env)
    const { name } = this.#loaded.plan.site
    if (!this.#isPractice) return new SiteFolder(join(root, 'sites', name))
    if (this.#request.labAt !== undefined) return new SiteFolder(join(root, 'practice', name))
    return new SiteFolder(join(root, 'practice', `${name}-${process.pid}-${Date.now().toString(36)}`))
  }

  async #run(parts: {
    secrets: RunSecrets
    practice: Practice | undefined
    site: SiteFolder
    lease: Lease | undefined
  }): Promise<number> {
    const { secrets, practice, site, lease } = parts
    const { plan } = this.#loaded
    const redact = (text: string) => secrets.store.redactor.redact(text)
    const clock = practice?.clock ?? systemClock
    const opened = await this.#openRun(site)
    const known = await openIdentityStore(site.identitiesFile)
    const services = openSite({
      loaded: this.#loaded,
      secrets: secrets.store,
      areSecretsComplete: secrets.isComplete,
      // A dry run leaves no trace, hence it does not pin anything either.
      identities: this.#request.dryRun ? memoryIdentityStore(known) : known,
      dialler: practice?.dialler ?? systemDialler,
      clock,
      runFolder: opened.run.folder,
      workstation: practice === undefined ? realView(clock) : practiceView,
      acknowledgements: await readAcknowledgements(site.acknowledgementsFile),
      // What a dry run is refused counts at the product as well.
      loginAttempts: openLoginAttempts(site.loginAttemptsFile),
      ...(this.#request.dryRun ? { connectTimeoutMilliseconds: 3000 } : {}),
    })
    const started = Date.now()
    const reporter = createRunReporter({
      format: this.#request.json ? 'json' : 'auto',
      stdout: process.stdout,
      stderr: process.stderr,
      clock,
      earlier: opened.earlier ?? [],
      resumeCommand: this.#resumeCommand(),
      footnotes: () => this.#footnotes(opened, practice?.report(), (Date.now() - started) / 1000),
    })
    const log = opened.journal === undefined ? undefined : createRunLog(opened.run.folder, redact)
    let hasEnded = false
    try {
      const result = await executeRun({
        runId: opened.run.id,
        plan,
        planDigest: digestOf(this.#canonicalPlan),
        phases: installationPhases,
        services,
        mode: this.#request.dryRun ? 'dry-run' : 'apply',
        clock,
        ...(opened.journal === undefined ? {} : { journal: opened.journal }),
        ...(opened.earlier === undefined ? {} : { earlier: opened.earlier }),
        ...(opened.earlierRun === undefined ? {} : { earlierRun: opened.earlierRun }),
        changedInputs: opened.changedInputs,
        signal: lease === undefined ? this.#stop : AbortSignal.any([this.#stop, lease.lost]),
        redact,
        onEvent: (event) => {
          hasEnded = event.type === 'run-finished'
          reporter.onEvent(event)
          log?.event(event)
        },
        consoleUrl: () => (services.vip === undefined ? undefined : `https://${services.vip}/system`),
      })
      await services.close()
      for (const error of result.errors) {
        log?.error(error)
        // Without its journal a run cannot note its own end: nobody else tells.
        if (!hasEnded) reportFailure(error)
      }
      return exitCodeOf(result)
    } finally {
      await closeAll(reporter, opened.journal, log)
    }
  }

  /** A new run folder and journal, or the last ones when resumed. A dry run has neither. */
  async #openRun(site: SiteFolder): Promise<OpenedRun> {
    if (this.#request.dryRun) {
      const folder = site.folder
      return { run: { id: 'dry-run', folder, journalFile: '', planFile: '' }, changedInputs: [] }
    }
    const latest = await site.latestRun()
    if (this.#request.resume) {
      if (latest === undefined) throw nothingToResume(this.#loaded.plan.site.name)
      return await this.#resumeRun(latest)
    }
    if (latest !== undefined && !this.#request.fresh) await refuseUnfinished(latest, this.#resumeCommand())
    const earlierRun = latest === undefined ? [] : await eventsOf(latest)
    const run = await site.createRun(new Date(), this.#canonicalPlan)
    return { run, journal: await createJournal(run.journalFile), earlierRun, changedInputs: [] }
  }

  async #resumeRun(run: RunFolder): Promise<OpenedRun> {
    const { journal, events } = await resumeJournal(run.journalFile)
    try {
      if (isDone(events)) throw alreadyDone(run)
      const before: unknown = JSON.parse(await readFile(run.planFile, 'utf8'))
      const changedInputs = changedPaths(before, JSON.parse(this.#canonicalPlan))
      refuseFrozenChanges(changedInputs, events, this.#loaded.plan.site.vip)
      // A run that was killed before its first line is durable begins like a new one.
      return events.length === 0
        ? { run, journal, changedInputs }
        : { run, journal, earlier: events, changedInputs }
    } catch (error) {
      await journal.close()
      throw error
    }
  }

  #resumeCommand(): string {
    const { planFile, lab, labAt } = this.#request
    const run = `${ownCommand()} run ${planFile}`
    // A lab in this process ends with it: there is nothing to go on with.
    if (lab) return `${run} --lab (begins anew, because the practice lab ended with this command)`
    return `${run} --resume${labAt === undefined ? '' : ` --lab-at ${labAt}`}`
  }

  #footnotes(opened: OpenedRun, report: LabReport | undefined, wallSeconds: number): string[] {
    const lines = opened.journal === undefined ? [] : [`Journal: ${opened.run.journalFile}`]
    if (report !== undefined) {
      const ratio = wallSeconds / report.criticalPathWallSeconds
      lines.push(
        `Practice lab: ${report.criticalPathWallSeconds.toFixed(1)} s of its own, the run took ${wallSeconds.toFixed(1)} s ` +
          `(${ratio.toFixed(2)} ×); cluster asked for ${report.clusterPosts} ×, ${report.requests} requests`,
      )
    }
    return lines
  }
}

interface OpenedRun {
  readonly run: RunFolder
  readonly journal?: Journal
  readonly earlier?: readonly RunEvent[]
  /** Events of another run before this one. */
  readonly earlierRun?: readonly RunEvent[]
  readonly changedInputs: readonly string[]
}

async function closeAll(
  reporter: RunReporter,
  journal: Journal | undefined,
  log: { close(): Promise<void> } | undefined,
): Promise<void> {
  await journal?.close()
  await log?.close()
  await reporter.close()
}

async function refuseUnfinished(latest: RunFolder, resumeCommand: string): Promise<void> {
  const events = await eventsOf(latest)
  if (isDone(events)) return
  const last = events.findLast((event) => event.type === 'run-finished')
  throw new AppError({
    code: 'RUN_UNFINISHED',
    title: 'An earlier run of this site is not finished.',
    detail: `Run ${latest.id} ${last === undefined ? 'was interrupted' : `ended as ${last.outcome}`}.`,
    remedies: [
      `Go on with it: ${resumeCommand}`,
      'Or begin a new run with --fresh: what the site looks like is read again, nothing is done twice.',
    ],
  })
}

/** Whether the last thing that happened in a run is that it came to its good end. */
function isDone(events: readonly RunEvent[]): boolean {
  const last = events.at(-1)
  return last?.type === 'run-finished' && last.outcome === 'done'
}

function alreadyDone(run: RunFolder): AppError {
  return new AppError({
    code: 'RUN_DONE',
    title: 'There is nothing to go on with: the last run of this site is done.',
    detail: `Run ${run.id}.`,
    remedies: [
      'To see that the site is still as planned, start without --resume: what is done is recognised.',
    ],
  })
}

function nothingToResume(site: string): AppError {
  return new AppError({
    code: 'NOTHING_TO_RESUME',
    title: `There is no run of the site ${site} on this workstation.`,
    detail: '',
    remedies: ['Start without --resume: what was done already is recognised on the site itself.'],
  })
}

function exitCodeOf(result: RunResult): number {
  if (result.outcome === 'stopped') return exitCodes.stopped
  if (result.outcome === 'done') return exitCodes.done
  return result.errors.some((error) => error.code === 'CHECK_BLOCKS')
    ? exitCodes.checkBlocks
    : exitCodes.failed
}
