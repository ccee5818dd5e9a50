import { AppError } from '../../shared/errors/index.ts'
import type { HeldAddress, NodeState } from '../network/proof-of-life/node-state.ts'
import { longestLifetimeSeconds, type ProofNode } from '../network/proof-of-life/proof.ts'
import type { SiteContext } from './site.ts'
import { nodesToLookFrom, openRunners, type NodeRunner } from './vip-vantages.ts'

/**
 * Takes the address away from nodes on which a proof left it that was killed: else it would look as if somebody used it.
 * Only what a proof has marked as its own is touched. The nodes then forget who had it.
 */
export async function removeLeftovers(context: SiteContext, address: string): Promise<void> {
  // Only a run leaves something behind; and what it left lives for seconds.
  if (context.mode === 'dry-run') return
  const { open } = await openRunners(context, nodesToLookFrom)
  await Promise.all(open.map((node) => removeLeftover(context, node, address)))
  await Promise.all(open.map((node) => forgetHolder(context, node, address)))
}

/** A node that had the address until it was killed may still be the one that others know for it. */
async function forgetHolder({ signal }: SiteContext, { runner }: NodeRunner, address: string): Promise<void> {
  const { forgetNeighbour, interfacesThatKnow } = await import('../network/proof-of-life/neighbour-entry.ts')
  const { unlessUnreachable } = await import('../network/proof-of-life/unless-unreachable.ts')
  // Read first: every command as root is an entry in somebody's log.
  const names = await unlessUnreachable(signal, interfacesThatKnow(runner, address, signal), () => [])
  for (const name of names) {
    await unlessUnreachable(signal, forgetNeighbour(runner, address, name, signal), () => undefined)
  }
}

async function removeLeftover(
  context: SiteContext,
  { node, runner }: NodeRunner,
  address: string,
): Promise<void> {
  const { proofLabel } = await import('../network/proof-of-life/borrowed-address.ts')
  const { takeAway } = await import('../network/proof-of-life/address-acts.ts')
  // Only its name and its runner are used for reading and for taking away.
  const place: ProofNode = { name: node.name, runner, interface: '', mac: '', address: node.address }
  const held = await heldBy(context, place, address)
  if (held === undefined) return
  if (held.label === proofLabel(held.interface)) {
    const result = await context.change(
      `remove-leftover ${node.name}`,
      `take ${address} away from ${node.name}, where an interrupted proof left it`,
      () => takeAway(place, address, held.interface, context.clock),
    )
    if (result?.kind !== 'not-certain') return
    throw new AppError({
      code: 'PROOF_ADDRESS_REMAINS',
      title: `${address} could not be taken away from ${node.name}, where an interrupted proof left it.`,
      detail: `${result.why}.`,
      remedies: [
        `Wait ${longestLifetimeSeconds} s, then go on with --resume: the node removes it by itself.`,
        `Or remove it by hand: sudo ip address del ${address}/32 dev ${held.interface}`,
      ],
      node: node.name,
    })
  }
  // The name of a long interface leaves no room for the mark: then it goes by itself.
  if (
    held.prefix !== 32 ||
    typeof held.validSeconds !== 'number' ||
    held.validSeconds > longestLifetimeSeconds
  )
    return
  await context.waitFor(
    {
      until: `${address}, which an interrupted proof left on ${node.name}, has expired`,
      everySeconds: 2,
      deadlineSeconds: 2 * longestLifetimeSeconds,
      remedies: [`Look on ${node.name} who keeps the address: ip address show ${held.interface}`],
    },
    async () =>
      (await heldBy(context, place, address)) === undefined
        ? { kind: 'ready', value: undefined }
        : { kind: 'waiting', detail: `${node.name} still has ${address} from an interrupted proof` },
  )
}

/** What cannot be read is judged by whoever looks from the outside. */
async function heldBy(
  context: SiteContext,
  place: ProofNode,
  address: string,
): Promise<HeldAddress | undefined> {
  const { findAddress, readNodeState } = await import('../network/proof-of-life/node-state.ts')
  const state: NodeState = await readNodeState(place, context.signal)
  return state.kind === 'read' ? findAddress(state, address) : undefined
}
