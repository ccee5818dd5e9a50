import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline/promises'
import { AppError, assertNever } from '../../shared/errors/index.ts'
import { isCheckId, resultOf, type CheckId } from '../../shared/checks/index.ts'
import type { PlanNode } from '../../shared/plan/index.ts'
import {
  remedies,
  type Remedy,
  type RemedyContext,
  type RemedyOutcome,
  type RemedyPlan,
} from '../appliance/remedies/index.ts'
import { createJournal } from '../engine/journal.ts'
import { acquireLease } from '../engine/lease.ts'
import { sitePhase, type Phase } from '../engine/phase.ts'
import { measureSite } from '../phases/measure-site.ts'
import { NodeShell } from '../phases/node-shell.ts'
import type { Site, SiteContext } from '../phases/site.ts'
import { waitForInstall } from '../phases/wait-for-install.ts'
import { exitCodes } from './exit-codes.ts'
import { listenForStop } from './listen-for-stop.ts'
import { openSiteSession, type SiteRequest, type SiteSession } from './site-session.ts'
import { formatResult } from './terminal/check-report.ts'

export interface FixRequest extends SiteRequest {
  readonly check: string
  readonly node: string
  readonly dryRun: boolean
  /** Bytes; default is that of the plan. */
  readonly mtu?: number
  /** Do not ask before something is changed that can be changed back. */
  readonly yes: boolean
  /** Name of the node, typed once more: what is on it may be destroyed. */
  readonly confirm?: string
}

/**
 * Puts right on one node what a check has found, where Landfall can: shows first what it would change, asks, changes it, reads
 * back, and keeps a journal. Returns 3 when it could not be put right.
 */
export async function fixNode(request: FixRequest): Promise<number> {
  const stop = listenForStop()
  try {
    return await fix(request, stop.signal)
  } catch (error) {
    if (stop.signal.aborted && error === stop.signal.reason) return exitCodes.stopped
    throw error
  } finally {
    stop.release()
  }
}

async function fix(request: FixRequest, signal: AbortSignal): Promise<number> {
  const { check, remedy } = remedyOf(request.check)
  // A clock that is set over a real connection shows how fast a rehearsal goes.
  const session = await openSiteSession({ timeScale: 2, ...request }, signal)
  try {
    const node = nodeOf(session, request.node)
    const look = new Fixing(session, {
      check,
      remedy,
      node,
      signal,
      isStarting: request.lab,
      mtu: request.mtu,
    })
    const plan = await look.plan()
    if (plan.kind !== 'offered') {
      process.stdout.write(`${node.name}: nothing is changed. ${plan.reason}\n`)
      return plan.kind === 'not-needed' ? exitCodes.done : exitCodes.checkBlocks
    }
    process.stdout.write(`${plan.lines.join('\n')}\n`)
    if (request.dryRun) {
      process.stdout.write('Nothing was changed.\n')
      return exitCodes.done
    }
    const consent = await consentTo(remedy, node, request, signal)
    if (!consent.isGiven) {
      process.stderr.write(`Nothing was changed. ${consent.reason}\n`)
      return consent.exitCode
    }
    const outcome = await look.apply(plan, consent.confirmedName)
    return tell(node, outcome)
  } finally {
    await session.close()
  }
}

interface FixingOptions {
  readonly check: CheckId
  readonly remedy: Remedy
  readonly node: PlanNode
  readonly signal: AbortSignal
  readonly isStarting: boolean
  readonly mtu: number | undefined
}

class Fixing {
  readonly #session: SiteSession
  readonly #options: FixingOptions

  constructor(session: SiteSession, options: FixingOptions) {
    this.#session = session
    this.#options = options
  }

  /** What would be changed, read from the node. */
  async plan(): Promise<RemedyPlan> {
    let plan: RemedyPlan | undefined
    if (this.#options.isStarting) await this.#walk([waitForInstall])
    await this.#walk([
      this.#phase(async (context) => {
        plan = await this.#options.remedy.plan(await this.#contextOf(context))
      }),
    ])
    if (plan === undefined) throw new TypeError('A remedy without a plan.')
    return plan
  }

  /** Changes it, alone on the site and with a journal of its own. */
  async apply(plan: RemedyPlan, confirmedName: string | undefined): Promise<RemedyOutcome> {
    const { remedy, node, check } = this.#options
    const { folder } = this.#session
    const lease = await acquireLease(folder.leaseFile)
    const place = join(folder.folder, 'remedies')
    await mkdir(place, { recursive: true, mode: 0o700 })
    const stamp = new Date().toISOString().replace(/[-:.Z]/g, '')
    const journalFile = join(place, `${stamp}-${remedy.id}-${node.name}.ndjson`)
    const journal = await createJournal(journalFile)
    let outcome: RemedyOutcome | undefined
    try {
      await this.#walk(
        [
          this.#phase(async (context) => {
            const changed = await context.change(
              `${remedy.id} ${node.name}`,
              `${check}: ${remedy.id}`,
              async () => remedy.apply(await this.#contextOf(context), plan, confirmedName),
            )
            outcome = changed
          }),
        ],
        journal,
      )
    } finally {
      await journal.close()
      await lease.release()
      process.stderr.write(`Journal: ${journalFile}\n`)
    }
    if (outcome === undefined) throw new TypeError('A remedy without an outcome.')
    return outcome
  }

  #phase(act: (context: SiteContext) => Promise<void>): Phase<Site> {
    return sitePhase<Site, undefined>({
      id: 'fix',
      title: 'Put right what a check has found',
      expectedSeconds: 30,
      deadlineSeconds: 60 * 60,
      work: 'ssh',
      gather: () => Promise.resolve(undefined),
      assumeFresh: () => undefined,
      apply: act,
    })
  }

  async #contextOf(context: SiteContext): Promise<RemedyContext> {
    const { node, check, signal, mtu } = this.#options
    const { services, clock } = context
    const { runner } = await NodeShell.open({ ...context, node }, check)
    const localApi = await services.nodes.localApi(context, node)
    const median = check === 'clock.skew' ? await medianOf(context) : undefined
    return {
      plan: services.plan,
      node,
      runner,
      localApi,
      clock,
      signal,
      ...(median === undefined ? {} : { median }),
      ...(mtu === undefined ? {} : { mtu }),
      // Over a new connection: the old one says nothing about a network that has just been changed.
      reopen: async () => {
        await services.nodes.forget(node)
        return (await NodeShell.open({ ...context, node }, check)).runner
      },
    }
  }

  async #walk(
    phases: readonly Phase<Site>[],
    journal?: Awaited<ReturnType<typeof createJournal>>,
  ): Promise<void> {
    const { errors } = await this.#session.walk(phases, {
      ...(journal === undefined ? {} : { journal }),
      onEvent: (event) => {
        // Nothing is changed on a machine whose identity nobody was shown.
        if (event.type === 'identity-pinned')
          process.stdout.write(
            `seen for the first time: ${event.kind} ${event.endpoint} ${event.algorithm} ${event.fingerprint}\n`,
          )
      },
    })
    this.#options.signal.throwIfAborted()
    const [error] = errors
    if (error !== undefined) throw error
  }
}

/** What the clocks of all nodes are ahead of this one, in the middle; milliseconds. */
async function medianOf(context: SiteContext): Promise<number | undefined> {
  const { measurements, findings } = await measureSite(context, {
    only: new Set<CheckId>(['clock.skew']),
    isDiskSpeedAsked: false,
  })
  for (const finding of findings)
    process.stdout.write(`${formatResult(resultOf(finding, context.clock.now()))}\n`)
  const offsets = measurements.nodes
    .flatMap(({ clock }) => (clock.kind === 'read' ? [clock.value.offset * 1000] : []))
    .toSorted((one, other) => one - other)
  // A node compared with itself agrees.
  if (offsets.length < 2) return undefined
  // Of an even number the lower one in the middle: a clock that a node really has.
  return offsets[Math.floor((offsets.length - 1) / 2)]
}

type Consent =
  | { readonly isGiven: true; readonly confirmedName: string | undefined }
  | { readonly isGiven: false; readonly reason: string; readonly exitCode: number }

/** `--yes` is no consent to destroy data: the name of the node has to be given. */
async function consentTo(
  remedy: Remedy,
  node: PlanNode,
  { yes, confirm }: FixRequest,
  signal: AbortSignal,
): Promise<Consent> {
  const isTerminal = process.stdin.isTTY && process.stderr.isTTY
  if (!remedy.isDestructive) {
    if (yes) return { isGiven: true, confirmedName: undefined }
    if (!isTerminal)
      return { isGiven: false, reason: 'Give --yes where nobody can be asked.', exitCode: exitCodes.badInput }
    const answer = await ask(`Change this on ${node.name}? [y/N] `, signal)
    return /^y(es)?$/i.test(answer)
      ? { isGiven: true, confirmedName: undefined }
      : { isGiven: false, reason: '', exitCode: exitCodes.stopped }
  }
  const typed =
    confirm ??
    (isTerminal ? await ask(`This destroys data. Type the name of the node to go on: `, signal) : undefined)
  if (typed === node.name) return { isGiven: true, confirmedName: typed }
  return {
    isGiven: false,
    reason: `Data would be destroyed: give the name of the node, --confirm ${node.name}.`,
    exitCode: typed === undefined || confirm !== undefined ? exitCodes.badInput : exitCodes.stopped,
  }
}

async function ask(question: string, signal: AbortSignal): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return (await terminal.question(question, { signal })).trim()
  } finally {
    terminal.close()
  }
}

function tell(node: PlanNode, outcome: RemedyOutcome): number {
  switch (outcome.kind) {
    case 'done':
      process.stdout.write(`${node.name}: done. ${outcome.seen}\n`)
      return exitCodes.done
    case 'refused':
      process.stdout.write(`${node.name}: nothing was changed. ${outcome.reason}\n`)
      return exitCodes.checkBlocks
    case 'failed':
      process.stdout.write(`${node.name}: not put right. ${outcome.reason}\n`)
      return exitCodes.failed
    default:
      return assertNever(outcome)
  }
}

function remedyOf(text: string): { check: CheckId; remedy: Remedy } {
  const remedy = isCheckId(text) ? remedies.find(({ checkIds }) => checkIds.includes(text)) : undefined
  if (remedy !== undefined && isCheckId(text)) return { check: text, remedy }
  const known = remedies.flatMap(({ checkIds }) => checkIds)
  throw new AppError({
    code: 'BAD_ARGUMENT',
    title: isCheckId(text)
      ? `What ${text} finds cannot be put right from here.`
      : `There is no check ${text}.`,
    detail: `Landfall can put right: ${known.join(', ')}.`,
    remedies: ['Do what the check says: landfall check PLAN names it.'],
  })
}

function nodeOf({ loaded }: SiteSession, name: string): PlanNode {
  const node = loaded.plan.nodes.find((candidate) => candidate.name === name)
  if (node !== undefined) return node
  throw new AppError({
    code: 'BAD_ARGUMENT',
    title: `The plan has no node "${name}".`,
    detail: `It has: ${loaded.plan.nodes.map((candidate) => candidate.name).join(', ')}.`,
    remedies: ['Give one of these names.'],
  })
}
