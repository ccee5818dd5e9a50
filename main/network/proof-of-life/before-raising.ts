import { containsAddress, parseAddress, parseNetwork } from '../../../shared/plan/ipv4.ts'
import type { Clock } from '../../engine/clock.ts'
import { takeAway } from './address-acts.ts'
import { allSettled } from './all-settled.ts'
import type { LinkReading } from './ask-link.ts'
import { expiryGraceMilliseconds, proofLabel } from './borrowed-address.ts'
import { reachFromWorkstation } from './hand-over.ts'
import type { Holder } from './leg.ts'
import { readNeighbourEntry } from './neighbour-entry.ts'
import { findAddress, readNodeState, type HeldAddress, type NodeState } from './node-state.ts'
import type { EarlyEnd, ProofContext } from './proof-context.ts'
import { longestLifetimeSeconds, type ProofNode, type WorkstationReach } from './proof.ts'
import { reachByIp } from './reach-by-ip.ts'
import { unlessUnreachable } from './unless-unreachable.ts'

export type Preparation =
  /** `workstation`: only where it hears nothing yet, so that an answer later means something. */
  { readonly holders: readonly Holder[]; readonly workstation: WorkstationReach | undefined } | EarlyEnd

/**
 * Nobody may have the address before it is raised: what a killed run left is taken away, then every node asks for it.
 * Rejects with the signal's reason, and with what `change` rejects with.
 */
export async function prepare(context: ProofContext, signal: AbortSignal): Promise<Preparation> {
  context.progress(`Looking whether anybody has ${context.address}`, 0)
  const readings = await allSettled(
    context.nodes.map(async (node) => ({ node, state: await readState(context, node, signal) })),
  )
  for (const { node, state } of readings) {
    const end = await clearAway(context, node, state, signal)
    if (end !== undefined) return end
  }
  const holders = readings.map(({ node, state }) => ({ node, macs: macsOf(node, state) }))
  const twins = whyNotTold(holders)
  if (twins !== undefined) return twins
  const [end, workstation] = await allSettled([
    whyNotFree(context, signal),
    lookFromWorkstation(context, holders, signal),
  ])
  return end ?? (isEarlyEnd(workstation) ? workstation : { holders, workstation })
}

export function isEarlyEnd(result: object | undefined): result is EarlyEnd {
  return result !== undefined && 'outcome' in result
}

/** A firewall on the way may answer for machines that do not exist: then its answers prove nothing later either. */
async function lookFromWorkstation(
  context: ProofContext,
  holders: readonly Holder[],
  signal: AbortSignal,
): Promise<WorkstationReach | EarlyEnd | undefined> {
  const { address, workstation, clock, warnings } = context
  const [to] = holders
  if (workstation === undefined || to === undefined) return undefined
  const seen = await reachFromWorkstation(workstation, { address, to, clock, signal })
  if (seen.macs.length > 0)
    return {
      outcome: 'conflict',
      reason: `Another machine has ${address}: ${seen.macs.join(' and ')} answered the workstation. Nothing was raised.`,
    }
  if (seen.ip !== 'reached') return workstation
  warnings.push(
    `The workstation gets an answer from ${address} although no machine has it (${seen.detail}): something on the way ` +
      'answers instead, so the address was not tried from the workstation.',
  )
  return undefined
}

async function readState(context: ProofContext, node: ProofNode, signal: AbortSignal): Promise<NodeState> {
  const state = await unlessUnreachable(signal, readNodeState(node, signal), (why) => ({
    kind: 'unreadable' as const,
    why,
  }))
  if (state.kind === 'unreadable') {
    context.warnings.push(`The addresses of ${node.name} could not be read: ${state.why}.`)
    return state
  }
  const mac = state.macs.get(node.interface)
  if (mac !== undefined && mac !== node.mac.toLowerCase())
    context.warnings.push(`${node.interface} of ${node.name} has the MAC address ${mac}, not ${node.mac}.`)
  if (!state.addresses.some((held) => held.interface === node.interface && isInNetworkOf(held, context)))
    context.warnings.push(
      `${node.interface} of ${node.name} is in no network that contains ${context.address}: its packets take another way.`,
    )
  return state
}

function isInNetworkOf(held: HeldAddress, context: ProofContext): boolean {
  const network = parseNetwork(`${held.address}/${held.prefix}`)
  const address = parseAddress(context.address)
  return network !== undefined && address !== undefined && containsAddress(network, address)
}

/** A kernel answers for its addresses on any interface; which one is heard first is chance. */
function macsOf(node: ProofNode, state: NodeState): readonly string[] {
  if (state.kind === 'unreadable') return [node.mac.toLowerCase()]
  const own = state.macs.get(node.interface) ?? node.mac.toLowerCase()
  return [own, ...[...state.macs.values()].filter((mac) => mac !== own)]
}

/** Machines that were copied together with their MAC address cannot be told apart, and disturb each other. */
function whyNotTold(holders: readonly Holder[]): EarlyEnd | undefined {
  for (const [index, { node, macs }] of holders.entries()) {
    const twin = holders.slice(0, index).find((other) => other.macs[0] === macs[0])
    if (twin !== undefined)
      return {
        outcome: 'inconclusive',
        reason: `${twin.node.name} and ${node.name} have the same MAC address ${macs[0] ?? ''}; one of them must get another. Nothing was raised.`,
      }
  }
  return undefined
}

/** Takes away what an earlier proof left on a node. */
async function clearAway(
  context: ProofContext,
  node: ProofNode,
  state: NodeState,
  signal: AbortSignal,
): Promise<EarlyEnd | undefined> {
  const { address, clock, change } = context
  const held = state.kind === 'read' ? findAddress(state, address) : undefined
  if (held === undefined) return undefined
  if (held.label === proofLabel(held.interface)) {
    const what = `Take ${address} away from ${node.name}, where an earlier check left it`
    const result = await change(node.name, 'remove-leftover', what, () =>
      takeAway(node, address, held.interface, clock),
    )
    if (result.kind === 'gone') {
      context.warnings.push(`${node.name} still had ${address} from an earlier check; it was taken away.`)
      return undefined
    }
    context.removals.set(
      node.name,
      typeof held.validSeconds === 'number'
        ? { kind: 'by-lifetime', goneBy: expiryOf(held.validSeconds, clock), why: result.why }
        : { kind: 'left', why: result.why },
    )
    return {
      outcome: 'inconclusive',
      reason: `${address} could not be taken away from ${node.name}, where an earlier check left it: ${result.why}.`,
    }
  }
  if (isShortLived(held)) return waitForExpiry(context, node, held.validSeconds, signal)
  return {
    outcome: 'conflict',
    reason: `${node.name} itself has ${address}, as ${address}/${held.prefix} on ${held.interface}. Nothing was raised.`,
  }
}

/** Perhaps a proof's, on an interface whose name leaves no room for the label: then it goes by itself. */
function isShortLived(held: HeldAddress): held is HeldAddress & { readonly validSeconds: number } {
  return (
    typeof held.validSeconds === 'number' && held.validSeconds <= longestLifetimeSeconds && held.prefix === 32
  )
}

function expiryOf(validSeconds: number, clock: Clock): number {
  return clock.now() + validSeconds * 1000 + expiryGraceMilliseconds
}

async function waitForExpiry(
  context: ProofContext,
  node: ProofNode,
  validSeconds: number,
  signal: AbortSignal,
): Promise<EarlyEnd | undefined> {
  const { address, clock } = context
  const giveUpAt = expiryOf(validSeconds, clock)
  context.progress(`Waiting until ${address} expires on ${node.name} (${validSeconds} s)`, 0)
  while (clock.now() < giveUpAt) {
    await clock.sleep(1000, signal)
    const state = await unlessUnreachable(signal, readNodeState(node, signal), () => undefined)
    if (state?.kind === 'read' && findAddress(state, address) === undefined) return undefined
  }
  return {
    outcome: 'conflict',
    reason: `${node.name} itself has ${address}, and something on it renews it. Nothing was raised.`,
  }
}

const probes = 3

/** Every node asks, by duplicate address detection where it has arping, else through its neighbour table. */
async function whyNotFree(context: ProofContext, signal: AbortSignal): Promise<EarlyEnd | undefined> {
  const { address, nodes, warnings } = context
  const readings = await allSettled(
    nodes.map(async (node) => ({ node, reading: await askWhetherFree(context, node, signal) })),
  )
  const answers = readings.flatMap(({ node, reading }) =>
    reading.kind === 'answered' ? [{ from: node.name, macs: reading.macs }] : [],
  )
  if (answers.length > 0) {
    const macs =
      [...new Set(answers.flatMap((answer) => answer.macs))].join(' and ') || 'an unknown MAC address'
    const askers = answers.map(({ from }) => from).join(', ')
    return {
      outcome: 'conflict',
      reason: `Another machine has ${address}: ${macs} answered (asked from ${askers}). Nothing was raised.`,
    }
  }
  for (const { node, reading } of readings)
    if (reading.kind === 'unknown')
      warnings.push(`${node.name} could not ask who has ${address}: ${reading.detail}.`)
  return readings.some(({ reading }) => reading.kind === 'silent')
    ? undefined
    : {
        outcome: 'inconclusive',
        reason: `No node could ask whether somebody has ${address}. Nothing was raised.`,
      }
}

async function askWhetherFree(
  context: ProofContext,
  node: ProofNode,
  signal: AbortSignal,
): Promise<LinkReading> {
  const asUnknown = (detail: string): LinkReading => ({ kind: 'unknown', detail })
  const reading = await unlessUnreachable(
    signal,
    context.link.ask(node, { kind: 'arp-probe', count: probes }, signal),
    asUnknown,
  )
  if (reading.kind !== 'unknown') return reading
  const byTable = await unlessUnreachable(signal, askByNeighbourTable(context, node, signal), asUnknown)
  return byTable.kind === 'unknown' ? reading : byTable
}

/** The kernel asks three times, one second apart, and gives an old entry five more seconds before it asks. */
const tableSeconds = 12

/** A packet makes the kernel ask by ARP; its neighbour table says what it heard. Rejects like the runner. */
async function askByNeighbourTable(
  context: ProofContext,
  node: ProofNode,
  signal: AbortSignal,
): Promise<LinkReading> {
  const { address, clock } = context
  const giveUpAt = clock.now() + tableSeconds * 1000
  for (;;) {
    const ip = await reachByIp(node, address, signal)
    const entry = await readNeighbourEntry(node, address, signal)
    if (ip.kind === 'reached' || (entry.kind === 'resolved' && entry.isFresh))
      return {
        kind: 'answered',
        macs: entry.kind === 'resolved' ? [entry.mac] : [],
        detail: `${ip.detail}; ${entry.detail}`,
      }
    if (entry.kind === 'failed') return { kind: 'silent', detail: entry.detail }
    if (entry.kind === 'unreadable' || clock.now() >= giveUpAt)
      return { kind: 'unknown', detail: entry.detail }
    await clock.sleep(500, signal)
  }
}
