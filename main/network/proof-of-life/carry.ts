import { allSettled } from './all-settled.ts'
import { BorrowedAddress } from './borrowed-address.ts'
import { reachFromWorkstation, watchFromNode, watchFromWorkstation, type Arrival } from './hand-over.ts'
import { askLeg, type Holder, type LegAnswer } from './leg.ts'
import type { EarlyEnd, ProofContext } from './proof-context.ts'
import { isFailed } from './verdict-of-leg.ts'
import type { ProofLeg, ProofNode, WorkstationReach } from './proof.ts'
import { unlessUnreachable } from './unless-unreachable.ts'

/** What happened from the first raising to the last removal. The legs are in the context. */
export interface Course {
  /** Why it ended before it was through. */
  readonly end?: EarlyEnd
  readonly handOver?: HandOver
}

export interface HandOver {
  /** When the first holder had it no longer, in milliseconds since the Unix epoch of the clock. */
  readonly startedAt: number
  readonly to: string
  readonly arrivals: readonly Arrival[]
}

interface Cast {
  readonly holders: readonly Holder[]
  readonly workstation: WorkstationReach | undefined
}

/** Lets one node after the other hold the address. When it settles, it has been taken away from each. */
export async function carry(context: ProofContext, cast: Cast, signal: AbortSignal): Promise<Course> {
  for (const [index, holder] of cast.holders.entries()) {
    context.progress(`Raising ${context.address} on ${holder.node.name}`, 0.3)
    const course = await hold(context, holder.node, signal, async (borrowed, signal) => {
      const visit = await visitAll(context, cast, holder, borrowed, signal)
      if (visit.stop !== undefined) return visit.stop
      const next = cast.holders.slice(index + 1)
      return cast.holders.length === 1
        ? {}
        : handOver(context, cast, { holder, borrowed, answers: visit.answers }, next, signal)
    })
    if (course !== 'refused') return course
  }
  return { end: { outcome: 'inconclusive', reason: `No node could hold ${context.address}.` } }
}

interface FirstStay {
  readonly holder: Holder
  readonly borrowed: BorrowedAddress
  readonly answers: readonly LegAnswer[]
}

async function handOver(
  context: ProofContext,
  cast: Cast,
  first: FirstStay,
  candidates: readonly Holder[],
  signal: AbortSignal,
): Promise<Course> {
  const { address } = context
  const from = first.holder.node.name
  context.progress(`Handing ${address} over from ${from}`, 0.6)
  const removal = await first.borrowed.remove()
  if (removal.kind !== 'confirmed')
    return {
      end: {
        outcome: 'inconclusive',
        reason: `It is not certain that ${address} is gone from ${from} (${removal.why}), so no other node got it.`,
      },
    }
  const startedAt = removal.at ?? context.clock.now()
  for (const holder of candidates) {
    const course = await hold(context, holder.node, signal, async (borrowed, signal): Promise<Course> => {
      const arrivals = await watchArrivals(context, cast, first, holder, signal)
      const { stop } = await visitAll(context, cast, holder, borrowed, signal)
      if (stop !== undefined) return stop
      const isMissed = arrivals.some(({ kind }) => kind === 'missed')
      const lost = isMissed ? await borrowed.whyNotHeld(signal) : undefined
      // Who did not follow to an address that was not there says nothing.
      if (lost !== undefined) return lostWhileLookedFor(context, holder, lost)
      return { handOver: { startedAt, to: holder.node.name, arrivals } }
    })
    if (course !== 'refused') return course
  }
  return {
    end: {
      outcome: 'inconclusive',
      reason: `No node besides ${from} could hold ${address}, so the hand-over was not tried.`,
    },
  }
}

/** Gives the address to a node, lets it be used, and takes it away on every way out. */
async function hold<T extends object>(
  context: ProofContext,
  node: ProofNode,
  signal: AbortSignal,
  use: (borrowed: BorrowedAddress, signal: AbortSignal) => Promise<T>,
): Promise<T | 'refused'> {
  const { address, clock, lifetimeSeconds, removals, warnings } = context
  const what = `Give ${address} to ${node.name} for some seconds, with a lifetime of ${lifetimeSeconds} s`
  return context.change(node.name, 'hold-address', what, async (changeSignal) => {
    const anySignal = AbortSignal.any([signal, changeSignal])
    const borrowed = new BorrowedAddress({ holder: node, address, lifetimeSeconds, clock })
    try {
      const raising = await borrowed.raise(anySignal)
      if (raising.kind === 'raised') return await use(borrowed, anySignal)
      warnings.push(raising.why)
      return 'refused'
    } finally {
      removals.set(node.name, await borrowed.remove())
    }
  })
}

interface Visit {
  readonly answers: readonly LegAnswer[]
  /** Going on would say nothing; why, where the legs do not tell. */
  readonly stop: Pick<Course, 'end'> | undefined
}

/** Announces the address and reaches it from everywhere while `to` holds it. */
async function visitAll(
  context: ProofContext,
  cast: Cast,
  to: Holder,
  borrowed: BorrowedAddress,
  signal: AbortSignal,
): Promise<Visit> {
  const { address, legs, warnings } = context
  context.progress(`Reaching ${address} on ${to.node.name}`, cast.holders[0] === to ? 0.4 : 0.7)
  const questions = questionsOf(context, cast, to, signal)
  const [first] = await allSettled([
    allSettled(questions.map(async (question) => ({ question, answer: await question() }))),
    announce(context, to.node, signal),
  ])
  let lost = await whyVoid(first.map(({ answer }) => answer))
  const answers = await allSettled(
    first.map(async ({ question, answer }) => {
      if (lost !== undefined || isDisturbed(answer) || !isFailed(answer.leg)) return answer
      // One packet in ten that is lost is no reason to call an address unreachable; twice in a row nothing is.
      const second = await question()
      if (!isFailed(second.leg))
        warnings.push(
          `${second.leg.from} reached ${address} at ${to.node.name} only when asked again: packets get lost.`,
        )
      return second
    }),
  )
  lost ??= await whyVoid(answers)
  // Who did not reach an address that was not there says nothing.
  const isVoid = ({ leg }: LegAnswer) => lost !== undefined && isFailed(leg)
  legs.push(...answers.map((answer) => (isVoid(answer) ? asVoid(answer.leg) : answer.leg)))
  if (answers.some(isDisturbed)) return { answers, stop: {} }
  if (lost === undefined) return { answers, stop: undefined }
  return { answers, stop: lostWhileLookedFor(context, to, lost) }

  async function whyVoid(given: readonly LegAnswer[]): Promise<string | undefined> {
    const isDoubted = given.some(({ leg }) => isFailed(leg)) && !given.some(isDisturbed)
    return isDoubted ? borrowed.whyNotHeld(signal) : undefined
  }
}

function lostWhileLookedFor({ address }: ProofContext, to: Holder, why: string): Pick<Course, 'end'> {
  const reason = `${to.node.name} lost ${address} while it was looked for: ${why}.`
  return { end: { outcome: 'inconclusive', reason } }
}

function isDisturbed({ leg }: LegAnswer): boolean {
  return leg.arp === 'other'
}

/** One for every other node, and one for the workstation. */
function questionsOf(
  context: ProofContext,
  cast: Cast,
  to: Holder,
  signal: AbortSignal,
): (() => Promise<LegAnswer>)[] {
  const { address, clock, link } = context
  const { holders, workstation } = cast
  const ofNodes = holders
    .filter((holder) => holder !== to)
    .map(
      ({ node }) =>
        () =>
          askLeg({ from: node, to, holders, address, link, clock, signal }),
    )
  return workstation === undefined
    ? ofNodes
    : [...ofNodes, () => askWorkstation(workstation, { address, to, clock, signal })]
}

async function askWorkstation(
  workstation: WorkstationReach,
  question: Parameters<typeof reachFromWorkstation>[1],
): Promise<LegAnswer> {
  const startedAt = question.clock.now()
  const seen = await reachFromWorkstation(workstation, question)
  const place = { from: 'workstation', vantage: 'workstation', to: question.to.node.name } as const
  return { leg: { ...place, ...seen, milliseconds: question.clock.now() - startedAt }, by: undefined }
}

function asVoid(leg: ProofLeg): ProofLeg {
  const detail = `says nothing, ${leg.to} had lost the address: ${leg.detail}`
  return { ...leg, arp: 'unknown', ip: 'unknown', detail }
}

async function announce(context: ProofContext, node: ProofNode, signal: AbortSignal): Promise<void> {
  const problem = await unlessUnreachable(signal, context.link.announce(node, signal), (why) => why)
  if (problem !== undefined)
    context.warnings.push(
      `${node.name} could not announce ${context.address} (${problem}): others noticed only when they asked anew.`,
    )
}

/** Announces the address at its second holder; who reached it at the first one is waited for. */
async function watchArrivals(
  context: ProofContext,
  cast: Cast,
  first: FirstStay,
  to: Holder,
  signal: AbortSignal,
): Promise<Arrival[]> {
  const { address, clock } = context
  const options = { address, to, clock, signal }
  const ofNodes = first.answers.filter(({ leg }) => leg.vantage === 'node')
  const ways = new Map(ofNodes.map(({ leg, by }) => [leg.from, by]))
  // The first holder has not asked before: what answered the others will answer it.
  ways.set(first.holder.node.name, [...ways.values()].find((by) => by !== undefined) ?? 'ping')
  const watchers = cast.holders.flatMap(({ node }) => {
    const by = ways.get(node.name)
    return by === undefined || node === to.node ? [] : [watchFromNode(node, by, options)]
  })
  const wasReachedByWorkstation = first.answers.some(
    ({ leg }) => leg.vantage === 'workstation' && leg.ip === 'reached',
  )
  if (cast.workstation !== undefined && wasReachedByWorkstation)
    watchers.push(watchFromWorkstation(cast.workstation, options))
  const [arrivals] = await allSettled([allSettled(watchers), announce(context, to.node, signal)])
  return arrivals
}
