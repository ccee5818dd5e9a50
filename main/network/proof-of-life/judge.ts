import type { Course } from './carry.ts'
import { handOverSeconds } from './hand-over.ts'
import { timeOfDay, type EarlyEnd, type ProofContext } from './proof-context.ts'
import type { ProofLeg, ProofReport } from './proof.ts'
import { failureText, isFailed, isProven } from './verdict-of-leg.ts'

/** The report of a proof that has come to its end, early or not; everything has been taken away. */
export function judge(context: ProofContext, course: Course): ProofReport {
  const { address, legs, removals } = context
  const arrivals = course.handOver?.arrivals ?? []
  const missed = arrivals.flatMap((arrival) => (arrival.kind === 'missed' ? [arrival] : []))
  const times = arrivals.flatMap((arrival) => (arrival.kind === 'arrived' ? [arrival.at] : []))
  const handOverMilliseconds =
    course.handOver === undefined || times.length === 0 || missed.length > 0
      ? undefined
      : Math.max(...times) - course.handOver.startedAt
  const isRemoved = [...removals.values()].every(({ kind }) => kind === 'confirmed')
  return {
    address,
    ...outcomeOf(context, course, missed, handOverMilliseconds),
    legs,
    handOverMilliseconds,
    missedHandOver: missed.map(({ from, lastSeen }) => ({ from, lastSeen })),
    removed: isRemoved ? 'confirmed' : 'by-lifetime',
    warnings: [...new Set([...context.warnings, ...expiryWarnings(context)])],
  }
}

type Verdict = Pick<ProofReport, 'outcome' | 'reason'>
type Missed = readonly { readonly from: string; readonly lastSeen: string }[]

/** The worst that was seen counts. What the workstation does not reach counts least: its way may be filtered. */
function outcomeOf(
  context: ProofContext,
  { end, handOver }: Course,
  missed: Missed,
  handOverMilliseconds: number | undefined,
): Verdict {
  const { legs } = context
  const strangers = legs.filter(({ arp }) => arp === 'other')
  if (strangers.length > 0) return { outcome: 'conflict', reason: strangers.map(strangerText).join(' ') }
  if (end?.outcome === 'conflict') return end
  const ofNodes = unreachable(
    legs.filter((leg) => leg.vantage === 'node' && isFailed(leg)),
    missed.filter(({ from }) => from !== workstation),
    handOver?.to,
  )
  if (ofNodes !== undefined) return ofNodes
  if (end !== undefined) return end
  const unclear = legs.filter((leg) => leg.vantage === 'node' && !isProven(leg))
  if (unclear.length > 0) return inconclusive(unclear.map(unclearText).join(' '))
  const ofWorkstation = unreachable(
    legs.filter((leg) => leg.vantage === 'workstation' && isFailed(leg)),
    missed.filter(({ from }) => from === workstation),
    handOver?.to,
  )
  if (ofWorkstation !== undefined) return ofWorkstation
  const proven = legs.filter(isProven)
  if (proven.length === 0)
    return inconclusive(`Nobody could try to reach ${context.address} from outside the node that held it.`)
  return { outcome: 'works', reason: worksText(context, proven, handOver?.to, handOverMilliseconds) }
}

const workstation = 'workstation'

function inconclusive(reason: string): EarlyEnd {
  return { outcome: 'inconclusive', reason }
}

function unreachable(
  failed: readonly ProofLeg[],
  missed: Missed,
  second: string | undefined,
): Verdict | undefined {
  if (failed.length + missed.length === 0) return undefined
  const texts = [
    ...failed.map((leg) => `${failureText(leg)} (${leg.detail}).`),
    ...missed.map(
      ({ from, lastSeen }) =>
        `${from} did not follow within ${handOverSeconds} s when it moved to ${second ?? 'another node'} (${lastSeen}).`,
    ),
  ]
  return { outcome: 'unreachable', reason: texts.join(' ') }
}

function strangerText(leg: ProofLeg): string {
  return `While ${leg.to} held it, ${leg.from} heard ${leg.macs.join(' and ')} answer for it.`
}

function unclearText(leg: ProofLeg): string {
  return `${leg.from} could not try it at ${leg.to} (${leg.detail}).`
}

function worksText(
  { address, nodes }: ProofContext,
  proven: readonly ProofLeg[],
  second: string | undefined,
  handOverMilliseconds: number | undefined,
): string {
  const first = proven[0]?.to ?? ''
  const who = nodes.length > 1 ? 'every other node' : undefined
  const from = [who, proven.some(({ vantage }) => vantage === workstation) ? 'the workstation' : undefined]
    .filter((place) => place !== undefined)
    .join(' and ')
  const held = `${address} was raised on ${first} and reached from ${from}`
  if (second === undefined) return `${held}. There is one node only: no hand-over was tried.`
  const time = handOverMilliseconds === undefined ? '' : `; the hand-over took ${handOverMilliseconds} ms`
  return `${held}, then the same on ${second}${time}.`
}

function expiryWarnings({ address, removals }: ProofContext): string[] {
  return [...removals].flatMap(([name, removal]) =>
    removal.kind === 'by-lifetime'
      ? [
          `It is not certain that ${address} is gone from ${name}: ${removal.why}. ` +
            `Its kernel removes it by ${timeOfDay(removal.goneBy)} at the latest.`,
        ]
      : [],
  )
}
