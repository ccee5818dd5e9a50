import { AppError } from '../../../shared/errors/index.ts'
import { parseAddress } from '../../../shared/plan/ipv4.ts'
import { lookAfterwards } from './after-removal.ts'
import { LinkTools } from './ask-link.ts'
import { isEarlyEnd, prepare } from './before-raising.ts'
import { carry } from './carry.ts'
import { judge } from './judge.ts'
import { timeOfDay, type ProofContext } from './proof-context.ts'
import { longestLifetimeSeconds, type ProofOptions, type ProofReport } from './proof.ts'

/**
 * Proves that an address works before anything depends on it: one node holds it for some seconds, every other node and
 * the workstation reach it there, then a second node takes over, as kube-vip does when a node fails, and the hand-over
 * is timed. Silence proves that nobody else has an address; only this proves that the network lets it live (port
 * security, SpoofGuard or a private VLAN may not).
 *
 * The address never stays: it is added with a lifetime that its kernel counts (see `BorrowedAddress`), and it is taken
 * away on every way out. That happens inside the `change` that gave it, also after an abort, so that the journal names
 * the node before it is altered.
 *
 * Takes about 20 s, up to a minute where much stays silent. Whatever it finds is in the report. Rejects only
 * - with the signal's reason, when it is certain that no node has the address any more;
 * - with what `change` rejects with, under the same condition;
 * - with an `AppError` `PROOF_ADDRESS_REMAINS` when either of them happens and that is not certain, or when a node may
 *   have the address without a lifetime. It names the nodes and when their kernels remove the address.
 */
export async function proveAddress(options: ProofOptions): Promise<ProofReport> {
  const context = contextOf(options)
  options.signal.throwIfAborted()
  let report: ProofReport
  try {
    report = await prove(context, options.signal)
  } catch (thrown) {
    throw remainsError(context, thrown) ?? thrown
  }
  const isLeft = [...context.removals.values()].some(({ kind }) => kind === 'left')
  const error = isLeft ? remainsError(context, undefined) : undefined
  if (error !== undefined) throw error
  return report
}

async function prove(context: ProofContext, signal: AbortSignal): Promise<ProofReport> {
  const preparation = await prepare(context, signal)
  if (isEarlyEnd(preparation)) return judge(context, { end: preparation })
  const course = await carry(context, preparation, signal)
  context.progress(`Making sure that ${context.address} is gone`, 0.9)
  const end = await lookAfterwards(context, preparation.holders, course, signal)
  return judge(context, end === undefined ? course : { ...course, end })
}

function contextOf(options: ProofOptions): ProofContext {
  const { address, nodes, clock, lifetimeSeconds = longestLifetimeSeconds } = options
  if (parseAddress(address) === undefined) throw new TypeError(`${address} is not an IPv4 address.`)
  if (nodes.length === 0) throw new TypeError('A proof needs at least one node.')
  if (new Set(nodes.map(({ name }) => name)).size < nodes.length)
    throw new TypeError('Each node takes part in a proof once.')
  if (!Number.isInteger(lifetimeSeconds) || lifetimeSeconds < 2 || lifetimeSeconds > longestLifetimeSeconds)
    throw new TypeError(`An address of a proof lives 2 to ${longestLifetimeSeconds} s.`)
  return {
    address,
    nodes,
    workstation: options.workstation,
    clock,
    change: options.change,
    lifetimeSeconds,
    link: new LinkTools(address, clock),
    progress: (detail, fraction) => options.onProgress?.(detail, fraction),
    legs: [],
    warnings: [],
    removals: new Map(),
  }
}

function remainsError(context: ProofContext, cause: unknown): AppError | undefined {
  const { address, nodes } = context
  const remaining = nodes.flatMap((node) => {
    const removal = context.removals.get(node.name)
    if (removal === undefined || removal.kind === 'confirmed') return []
    return [{ node, removal }]
  })
  const [first] = remaining
  if (first === undefined) return undefined
  const last = Math.max(
    ...remaining.map(({ removal }) => (removal.kind === 'left' ? Infinity : removal.goneBy)),
  )
  return new AppError({
    code: 'PROOF_ADDRESS_REMAINS',
    title: `It is not certain that ${address} is gone from ${remaining.map(({ node }) => node.name).join(' and ')}.`,
    detail: remaining
      .map(({ node, removal }) => {
        const end =
          removal.kind === 'left'
            ? 'It does not go by itself'
            : `Its kernel removes it by ${timeOfDay(removal.goneBy)} at the latest`
        return `${node.name}: ${removal.why}. ${end}.`
      })
      .join(' '),
    remedies: [
      ...(last === Infinity ? [] : [`Wait until ${timeOfDay(last)}, then go on.`]),
      ...remaining.map(
        ({ node }) => `Or on ${node.name}: sudo ip address del ${address}/32 dev ${node.interface}`,
      ),
    ],
    node: first.node.name,
    isTransient: last !== Infinity,
    cause,
  })
}
