import type { Clock } from '../../engine/clock.ts'
import { explainResult, findAddress, lookSeconds, readNodeState, type NodeState } from './node-state.ts'
import type { ProofNode } from './proof.ts'
import { asClause } from './unless-unreachable.ts'

/** What came of a command that alters addresses. `unclear`: it may have taken effect, or may still do so. */
export type Act = { readonly kind: 'done' } | { readonly kind: 'refused' | 'unclear'; readonly why: string }

/** Seconds in which `ip address` must have ended; a kernel needs milliseconds, the rest is the connection. */
const actSeconds = 5

/**
 * Runs `ip` as root to its end. Listens to no signal: an operator may stop in the middle, but only a command that has
 * ended can be undone for certain. Never rejects.
 */
export async function actOnAddresses(node: ProofNode, args: readonly string[]): Promise<Act> {
  try {
    const result = await node.runner.run('ip', args, {
      // Should the runner not keep to its deadline.
      signal: AbortSignal.timeout((actSeconds + 2) * 1000),
      deadlineSeconds: actSeconds,
      asRoot: true,
    })
    const why = explainResult('ip', result)
    switch (result.kind) {
      case 'missing':
      case 'not-permitted':
        return { kind: 'refused', why }
      case 'killed':
        return { kind: 'unclear', why }
      case 'ended':
        if (result.exitCode === 0) return { kind: 'done' }
        return { kind: result.exitCode === null ? 'unclear' : 'refused', why }
    }
  } catch (thrown) {
    return { kind: 'unclear', why: messageOf(thrown) }
  }
}

const attempts = 3
const pauseMilliseconds = 500
/** No further attempt after this: an operator who stops does not wait longer for what the kernel does anyway. */
const enoughMilliseconds = 8_000

/** `at`: when the command that took it away had ended, in milliseconds since the Unix epoch. */
export type TakenAway =
  { readonly kind: 'gone'; readonly at: number } | { readonly kind: 'not-certain'; readonly why: string }

/** How iproute2, its kernel and BusyBox say that there is no such address, or not even the interface. */
const absentForm = /address not found|cannot assign requested address|can(no|')t find device/i

/**
 * Takes an address away and reads back that it is gone; a few attempts. Listens to no signal, because it is what happens
 * after an abort, and never rejects. Takes milliseconds; about 20 s when the node does not answer at all.
 */
export async function takeAway(
  node: ProofNode,
  address: string,
  interfaceName: string,
  clock: Clock,
): Promise<TakenAway> {
  const giveUpAt = clock.now() + enoughMilliseconds
  let why = ''
  for (let attempt = 1; attempt <= attempts && clock.now() < giveUpAt; attempt += 1) {
    if (attempt > 1) await clock.sleep(pauseMilliseconds)
    const act = await actOnAddresses(node, ['address', 'del', `${address}/32`, 'dev', interfaceName])
    const at = clock.now()
    const state = await readAfterwards(node)
    const isDeleted = act.kind === 'done' || (act.kind === 'refused' && absentForm.test(act.why))
    const isSeen = state.kind === 'read' && findAddress(state, address) !== undefined
    if (isDeleted && state.kind === 'read' && !isSeen) return { kind: 'gone', at }
    const reason = act.kind === 'done' ? '' : `; ${act.why}`
    why = isSeen
      ? `${node.name} still has it${reason}`
      : state.kind === 'read'
        ? `${node.name} does not show it, but did not remove it${reason}`
        : `${node.name} could not be read afterwards: ${state.why}${reason}`
  }
  return { kind: 'not-certain', why }
}

async function readAfterwards(node: ProofNode): Promise<NodeState> {
  try {
    // Twice: an `ip` without JSON is asked a second time.
    return await readNodeState(node, AbortSignal.timeout((2 * lookSeconds + 2) * 1000))
  } catch (thrown) {
    return { kind: 'unreadable', why: messageOf(thrown) }
  }
}

function messageOf(thrown: unknown): string {
  return asClause(thrown instanceof Error ? thrown.message : String(thrown))
}
