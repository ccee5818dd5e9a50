import { orAborted, withRealTimeLimit } from '../../engine/cancellation.ts'
import type { Clock } from '../../engine/clock.ts'
import type { Holder } from './leg.ts'
import { readNeighbourEntry } from './neighbour-entry.ts'
import type { ProofNode, ReachResult, WorkstationReach } from './proof.ts'
import { reachAgain } from './reach-by-ip.ts'
import { unlessUnreachable } from './unless-unreachable.ts'

/** Whether a place saw that the address has moved. `at`: milliseconds since the Unix epoch of the clock. */
export type Arrival = { readonly from: string } & (
  { readonly kind: 'arrived'; readonly at: number } | { readonly kind: 'missed'; readonly lastSeen: string }
)

interface WatchOptions {
  readonly address: string
  readonly to: Holder
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** A neighbour entry that nobody announces anew is given up after about 8 s (5 s of delay, 3 unicast probes). */
export const handOverSeconds = 10
const pollMilliseconds = 150

/**
 * Looks again and again until IP reaches the address and the kernel's neighbour entry is that of its new holder. Both,
 * because a node of a cluster forwards packets: the holder before would pass them on for as long as somebody keeps
 * sending to its MAC address. Rejects only with the signal's reason.
 */
export function watchFromNode(from: ProofNode, by: 'ping' | 'tcp', options: WatchOptions): Promise<Arrival> {
  const { address, to, signal } = options
  return watch(from.name, options, async () => {
    const ip = await unlessUnreachable(signal, reachAgain(from, address, by, signal), (detail) => ({
      kind: 'unknown' as const,
      detail,
    }))
    if (ip.kind !== 'reached') return ip.detail
    const entry = await unlessUnreachable(signal, readNeighbourEntry(from, address, signal), (detail) => ({
      kind: 'unreadable' as const,
      detail,
    }))
    // Where the table cannot be read, the leg that is asked afterwards judges the MAC address.
    if (entry.kind === 'unreadable') return undefined
    return entry.kind === 'resolved' && to.macs.includes(entry.mac)
      ? undefined
      : `${ip.detail}; ${entry.detail}`
  })
}

/** The same from the workstation, which may not know MAC addresses. */
export function watchFromWorkstation(workstation: WorkstationReach, options: WatchOptions): Promise<Arrival> {
  return watch('workstation', options, async () => {
    const result = await reachFromWorkstation(workstation, options)
    const hasArrived = result.ip === 'reached' && (result.arp === 'owner' || result.arp === 'unknown')
    return hasArrived ? undefined : result.detail
  })
}

async function watch(
  from: string,
  options: WatchOptions,
  look: () => Promise<string | undefined>,
): Promise<Arrival> {
  const { clock, signal } = options
  const giveUpAt = clock.now() + handOverSeconds * 1000
  for (;;) {
    const lastSeen = await look()
    if (lastSeen === undefined) return { from, kind: 'arrived', at: clock.now() }
    if (clock.now() >= giveUpAt) return { from, kind: 'missed', lastSeen }
    await clock.sleep(pollMilliseconds, signal)
  }
}

const workstationSeconds = 10

/** One look of the workstation, ended also when it does not listen to its signal. */
export async function reachFromWorkstation(
  workstation: WorkstationReach,
  options: WatchOptions,
): Promise<ReachResult> {
  options.signal.throwIfAborted()
  const limit = withRealTimeLimit(options.signal, workstationSeconds * 1000)
  try {
    return await unlessUnreachable(
      options.signal,
      orAborted(limit.signal, workstation.reach(options.address, options.to.node, limit.signal)),
      (detail) => ({ arp: 'unknown', macs: [], ip: 'unknown', detail }),
    )
  } finally {
    limit.release()
  }
}
