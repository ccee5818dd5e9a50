import { join } from 'node:path'
import process from 'node:process'
import type { RunEvent } from '../../shared/events/index.ts'
import { systemClock, type Clock } from '../engine/clock.ts'
import type { Journal } from '../engine/journal.ts'
import type { Phase } from '../engine/phase.ts'
import { executeRun, type RunResult } from '../engine/run.ts'
import { systemDialler } from '../network/dialler.ts'
import type { Site } from '../phases/site.ts'
import { readAcknowledgements } from '../storage/acknowledgement-store.ts'
import { memoryIdentityStore, openIdentityStore } from '../storage/index.ts'
import { openLoginAttempts } from '../storage/login-attempts.ts'
import { SiteFolder, stateFolder } from '../storage/site-folder.ts'
import { openSite } from './open-site.ts'
import { loadPlan, type LoadedPlan } from './plan-file.ts'
import { labPasswordsOf, openPractice } from './practice.ts'
import { openRunSecrets } from './run-secrets.ts'
import { practiceView, realView } from './workstation-view.ts'

/** Which site a command works on, when it is no installation. */
export interface SiteRequest {
  readonly planFile: string
  readonly lab: boolean
  readonly labAt?: string
  readonly timeScale?: number
  readonly scenario?: string
}

/** A site that is looked at, outside of a run. */
export interface SiteSession {
  readonly loaded: LoadedPlan
  readonly site: Site
  readonly clock: Clock
  readonly folder: SiteFolder
  readonly redact: (text: string) => string
  /** Executes phases one after the other, without a retry and, unless one is given, without a journal. */
  walk(
    phases: readonly Phase<Site>[],
    options?: { readonly journal?: Journal; readonly onEvent?: (event: RunEvent) => void },
  ): Promise<RunResult>
  close(): Promise<void>
}

/** Opens the site of a plan, or a practice lab that fits it with its nodes installed. Opens no connection to the site yet. */
export async function openSiteSession(request: SiteRequest, signal: AbortSignal): Promise<SiteSession> {
  const loaded = await loadPlan(request.planFile)
  const isPractice = request.lab || request.labAt !== undefined
  const secrets = await openRunSecrets({
    plan: loaded.plan,
    planFile: loaded.file,
    mode: isPractice ? 'practice' : 'dry-run',
  })
  const folder = new SiteFolder(
    join(stateFolder(process.env), isPractice ? 'practice' : 'sites', loaded.plan.site.name),
  )
  const [acknowledgements, identities] = await Promise.all([
    readAcknowledgements(folder.acknowledgementsFile),
    openIdentityStore(folder.identitiesFile),
  ])
  const practice = isPractice
    ? await openPractice(loaded.plan, {
        areNodesInstalled: true,
        ...(request.timeScale === undefined ? {} : { timeScale: request.timeScale }),
        ...(request.scenario === undefined ? {} : { scenarioFile: request.scenario }),
        ...(request.labAt === undefined ? {} : { descriptionFile: request.labAt }),
        ...(await labPasswordsOf(loaded.plan, secrets.store)),
      })
    : undefined
  const clock = practice?.clock ?? systemClock
  const site = openSite({
    loaded,
    secrets: secrets.store,
    areSecretsComplete: secrets.isComplete,
    // Looking pins nothing: what is seen for the first time is shown and pinned by the run.
    identities: memoryIdentityStore(identities),
    dialler: practice?.dialler ?? systemDialler,
    clock,
    runFolder: folder.folder,
    workstation: isPractice ? practiceView : realView(clock),
    connectTimeoutMilliseconds: 5000,
    acknowledgements,
    loginAttempts: openLoginAttempts(folder.loginAttemptsFile),
  })
  const redact = (text: string) => secrets.store.redactor.redact(text)
  return {
    loaded,
    site,
    clock,
    folder,
    redact,
    walk: (phases, { journal, onEvent } = {}) =>
      executeRun({
        runId: 'look',
        plan: loaded.plan,
        planDigest: '0'.repeat(64),
        phases,
        services: site,
        mode: 'apply',
        clock,
        ...(journal === undefined ? {} : { journal }),
        retryDelaysSeconds: [],
        signal,
        redact,
        onEvent: onEvent ?? (() => undefined),
      }),
    close: async () => {
      await site.close()
      await practice?.stop()
    },
  }
}
