import { readFile } from 'node:fs/promises'
import type { AcceptedWarning } from '../../shared/checks/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import type { LinkStatus } from '../appliance/index.ts'
import type { Clock } from '../engine/clock.ts'
import type { Dialler } from '../network/dialler.ts'
import { ConsoleAccess } from '../phases/console-access.ts'
import { NodeAccess } from '../phases/node-access.ts'
import { isVipSearched, leaderOf, type Site, type SiteContext, type WorkstationView } from '../phases/site.ts'
import type { SecretStore } from '../secrets/index.ts'
import { memoryLoginAttempts, type LoginAttempts } from '../storage/login-attempts.ts'
import type { IdentityStore } from '../storage/identity-store.ts'
import type { LoadedPlan } from './plan-file.ts'

/** How long one reading of the leader's table serves everybody who asks, in milliseconds of the run's clock. */
const leaderViewLifetime = 3000

interface SiteOptions {
  readonly loaded: LoadedPlan
  readonly secrets: SecretStore
  /** False in a dry run for which not all secrets could be had: then only the product's defaults are tried. */
  readonly areSecretsComplete: boolean
  readonly identities: IdentityStore
  readonly dialler: Dialler
  readonly clock: Clock
  readonly runFolder: string
  readonly workstation: WorkstationView
  /** Refused logins of all runs of the site; default: those of this process. */
  readonly loginAttempts?: LoginAttempts
  readonly acknowledgements?: readonly AcceptedWarning[]
  /** Real time for one connection. */
  readonly connectTimeoutMilliseconds?: number
}

/** Puts together what the phases work with. Opens no connection yet. */
export function openSite(options: SiteOptions): Site & { close(): Promise<void> } {
  const { loaded, secrets, identities, dialler, clock } = options
  const { plan } = loaded
  const loginAttempts = options.loginAttempts ?? memoryLoginAttempts()
  const readPlanFile = (path: string) => readFileOfPlan(loaded, path)
  const nodes = new NodeAccess({
    plan,
    secrets,
    areSecretsComplete: options.areSecretsComplete,
    identities,
    dialler,
    clock,
    readFile: readPlanFile,
    loginAttempts,
    ...(options.connectTimeoutMilliseconds === undefined
      ? {}
      : { connectTimeoutMilliseconds: options.connectTimeoutMilliseconds }),
  })
  const consoleAccess = new ConsoleAccess({
    plan,
    vip: () => site.vip,
    secrets,
    areSecretsComplete: options.areSecretsComplete,
    identities,
    // Through the jump host, as everything at the site.
    dialler: nodes.dialler,
    clock,
  })
  const site: Site = {
    plan,
    fileOfPlan: loaded.fileOfPlan,
    readFile: readPlanFile,
    runFolder: options.runFolder,
    secrets,
    dialler: nodes.dialler,
    loginAttempts,
    nodes,
    console: consoleAccess,
    facts: new Map(),
    measuredAt: undefined,
    warned: new Set(),
    acknowledgements: options.acknowledgements ?? [],
    vip: isVipSearched(plan) ? undefined : plan.site.vip,
    vipSeenFreeAt: undefined,
    isVipRaised: false,
    workstation: options.workstation,
    prepared: undefined,
    leaderView: createLeaderView(nodes, plan, clock),
  }
  return Object.assign(site, {
    close: async () => {
      await nodes.close()
      await consoleAccess.close()
    },
  })
}

function createLeaderView(nodes: NodeAccess, plan: LoadedPlan['plan'], clock: Clock): Site['leaderView'] {
  let last: { at: number; view: Promise<LinkStatus | undefined> } | undefined
  return (context: SiteContext) => {
    const now = clock.now()
    if (last !== undefined && now - last.at < leaderViewLifetime) return last.view
    const view = nodes
      .localApi(context, leaderOf(plan))
      .then((leader) => leader.linkStatus({ signal: context.signal }))
    last = { at: now, view }
    // A failed reading is not kept: the next one who asks reads again.
    view.catch(() => {
      if (last?.view === view) last = undefined
    })
    return view
  }
}

async function readFileOfPlan(loaded: LoadedPlan, path: string): Promise<Buffer> {
  const file = loaded.fileOfPlan(path)
  try {
    return await readFile(file)
  } catch (error) {
    throw new AppError({
      code: 'FILE_UNREADABLE',
      title: 'A file that the plan names cannot be read.',
      detail: error instanceof Error ? error.message : String(error),
      remedies: ['Correct the path in the plan; relative paths start at the folder of the plan.'],
      cause: error,
    })
  }
}
