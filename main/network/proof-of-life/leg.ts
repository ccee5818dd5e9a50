import type { Clock } from '../../engine/clock.ts'
import { allSettled } from './all-settled.ts'
import type { LinkReading, LinkTools } from './ask-link.ts'
import { readNeighbourEntry, type NeighbourEntry } from './neighbour-entry.ts'
import type { ProofLeg, ProofNode, ReachResult } from './proof.ts'
import { reachAgain, reachByIp, type IpAnswer } from './reach-by-ip.ts'
import { unlessUnreachable } from './unless-unreachable.ts'

/** A node with every MAC address that it may answer with: a kernel answers on any of its interfaces. */
export interface Holder {
  readonly node: ProofNode
  readonly macs: readonly string[]
}

export interface LegQuestion {
  readonly from: ProofNode
  readonly to: Holder
  /** All nodes of the proof: a MAC address that is none of theirs is a stranger's. */
  readonly holders: readonly Holder[]
  readonly address: string
  readonly link: LinkTools
  readonly clock: Clock
  readonly signal: AbortSignal
}

export interface LegAnswer {
  readonly leg: ProofLeg
  /** How IP was answered, to ask the same way again. */
  readonly by: 'ping' | 'tcp' | undefined
}

const arpRequests = 3
/** delay_first_probe_time of Linux, and the probe itself. */
const confirmationSeconds = 8

/** What `from` sees of the address while `to` holds it. Rejects only with the signal's reason. */
export async function askLeg(question: LegQuestion): Promise<LegAnswer> {
  const { from, to, address, link: tools, clock, signal } = question
  const startedAt = clock.now()
  const [link, ip] = await allSettled([
    orUnknown(signal, tools.ask(from, { kind: 'arping', count: arpRequests }, signal)),
    orUnknown(signal, reachByIp(from, address, signal)),
  ])
  // After the packets: now the kernel itself has asked as well.
  const readEntry = () => orUnreadable(signal, readNeighbourEntry(from, address, signal))
  let entry = await readEntry()
  // Without arping the kernel must tell, and what it was only announced it confirms after five seconds of use.
  const giveUpAt = clock.now() + confirmationSeconds * 1000
  while (link.kind === 'unknown' && ip.kind === 'reached' && isUnconfirmed(entry) && clock.now() < giveUpAt) {
    await clock.sleep(1000, signal)
    await orUnknown(signal, reachAgain(from, address, ip.by, signal))
    entry = await readEntry()
  }
  const place = { from: from.name, vantage: 'node', to: to.node.name } as const
  const leg = { ...place, ...combine(question, link, ip, entry), milliseconds: clock.now() - startedAt }
  return { leg, by: ip.kind === 'reached' ? ip.by : undefined }
}

/**
 * Two kinds of evidence for the MAC address. arping collects every answer, a second machine's too, but it bypasses the
 * kernel; the neighbour table says through whom IP went. An old entry of the holder before is no answer: a node that
 * missed the announcement has one.
 */
function combine(question: LegQuestion, link: LinkReading, ip: IpAnswer, entry: NeighbourEntry): ReachResult {
  const { to, holders } = question
  const known = new Set(holders.flatMap((holder) => holder.macs))
  const isUsed = entry.kind === 'resolved' && (ip.kind === 'reached' || entry.isFresh)
  const isTelling =
    isUsed && (!known.has(entry.mac) || (link.kind !== 'silent' && to.macs.includes(entry.mac)))
  const used = isTelling ? [entry.mac] : []
  const macs = [...new Set([...(link.kind === 'answered' ? link.macs : []), ...used])]
  return {
    arp: judgeLink(macs, to, link, entry),
    macs,
    ip: ip.kind,
    detail: [link.detail, ip.detail, entry.detail].join('; '),
  }
}

function judgeLink(
  macs: readonly string[],
  to: Holder,
  link: LinkReading,
  entry: NeighbourEntry,
): ReachResult['arp'] {
  if (macs.some((mac) => !to.macs.includes(mac))) return 'other'
  // Requests that stayed without answer weigh more than an entry that the kernel made at another moment.
  if (link.kind === 'silent') return 'silent'
  if (link.kind === 'answered') return macs.length > 0 ? 'owner' : 'unknown'
  if (macs.length > 0) return isUnconfirmed(entry) ? 'unknown' : 'owner'
  return entry.kind === 'failed' || entry.kind === 'asking' ? 'silent' : 'unknown'
}

function isUnconfirmed(entry: NeighbourEntry): boolean {
  return entry.kind === 'resolved' && !entry.isFresh
}

async function orUnknown<T>(
  signal: AbortSignal,
  work: Promise<T>,
): Promise<T | { kind: 'unknown'; detail: string }> {
  return unlessUnreachable(signal, work, (detail) => ({ kind: 'unknown', detail }))
}

async function orUnreadable(signal: AbortSignal, work: Promise<NeighbourEntry>): Promise<NeighbourEntry> {
  return unlessUnreachable(signal, work, (detail) => ({ kind: 'unreadable', detail }))
}
