import { allSettled } from './all-settled.ts'
import type { LinkReading } from './ask-link.ts'
import type { Course } from './carry.ts'
import type { Holder } from './leg.ts'
import { forgetNeighbour } from './neighbour-entry.ts'
import { findAddress, readNodeState } from './node-state.ts'
import type { EarlyEnd, ProofContext } from './proof-context.ts'
import { unlessUnreachable } from './unless-unreachable.ts'

const requests = 2

/**
 * After the last removal: no node has the address, and nobody answers for it any more. The nodes forget who had it: the
 * next look at their neighbour tables would find a holder that has gone. `undefined`: nothing speaks against the proof.
 * Rejects only with the signal's reason.
 */
export async function lookAfterwards(
  context: ProofContext,
  holders: readonly Holder[],
  course: Course,
  signal: AbortSignal,
): Promise<EarlyEnd | undefined> {
  const { address, legs, link, nodes, removals, warnings } = context
  // Who expires later may have it, and answer.
  const pending = new Set([...removals].filter(([, { kind }]) => kind !== 'confirmed').map(([name]) => name))
  const states = await allSettled(
    nodes.map(async (node) => {
      const state = await unlessUnreachable(signal, readNodeState(node, signal), () => undefined)
      if (removals.size > 0) {
        const forgetting = forgetNeighbour(node.runner, address, node.interface, signal)
        await unlessUnreachable(signal, forgetting, () => undefined)
      }
      return { node, state }
    }),
  )
  for (const { node, state } of states) {
    if (state?.kind === 'read' && findAddress(state, address) !== undefined && !pending.has(node.name))
      return {
        outcome: 'conflict',
        reason: `${node.name} has ${address} again, although it was taken away: something else on it uses it.`,
      }
  }
  if (removals.size === 0 || course.end?.outcome === 'conflict' || legs.some(({ arp }) => arp === 'other'))
    return undefined
  const readings = await allSettled(
    nodes.map((node) =>
      unlessUnreachable(
        signal,
        link.ask(node, { kind: 'arping', count: requests }, signal),
        (detail): LinkReading => ({ kind: 'unknown', detail }),
      ),
    ),
  )
  const expected = new Set(holders.filter(({ node }) => pending.has(node.name)).flatMap(({ macs }) => macs))
  const strangers = [
    ...new Set(readings.flatMap((reading) => (reading.kind === 'answered' ? reading.macs : []))),
  ].filter((mac) => !expected.has(mac))
  if (strangers.length > 0)
    return {
      outcome: 'conflict',
      reason: `After the address was taken away everywhere, ${strangers.join(' and ')} answered for ${address}.`,
    }
  if (readings.every(({ kind }) => kind === 'unknown'))
    warnings.push(`No node could ask afterwards whether anybody still answers for ${address}.`)
  return undefined
}
