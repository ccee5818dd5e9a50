import { AppError } from '../../../shared/errors/index.ts'
import type { Clock } from '../../engine/clock.ts'
import type { ProgramRunner } from '../../network/programs/program-runner.ts'
import {
  beginNetworkChange,
  confirmNetworkChange,
  readNetworkChange,
  type NetworkChange,
} from './network-change.ts'

/**
 * Seconds after which a node begins to take a change back. Together with what the roll-back itself takes (up to about ten
 * seconds) the node is as it was within a minute.
 */
export const rollBackSeconds = 45
/** Seconds that a node has to be found again where it was. Far more than it needs, for slow switches and leases. */
const backDeadlineSeconds = 900
const everySeconds = 1

export interface SafeChangeOptions {
  /** The node, where it is now. */
  readonly runner: ProgramRunner
  readonly change: NetworkChange
  readonly clock: Clock
  readonly signal: AbortSignal
  /**
   * Opens the node at the address that it shall get, anew at every call, and makes sure that it is the same machine: its
   * pinned identity. Rejects with a transient AppError while it is not there, with another one when somebody else is.
   */
  readonly reachThere: (signal: AbortSignal) => Promise<ProgramRunner>
  /** Opens the node wherever it answers, in the same way. */
  readonly reachAnywhere: (signal: AbortSignal) => Promise<ProgramRunner>
  /** What is still missing at the new address before it may be confirmed, in words; `undefined`: nothing. Rejects as `reachThere`. */
  readonly missing?: (runner: ProgramRunner, signal: AbortSignal) => Promise<string | undefined>
  readonly progress: (detail: string) => void
}

export type SafeChangeOutcome =
  | { readonly kind: 'confirmed' }
  /** The node is as it was. `reason`: why it was not confirmed. */
  | { readonly kind: 'rolled-back'; readonly reason: string }
  /** It was not confirmed, and the node was not found again. */
  | { readonly kind: 'lost'; readonly reason: string; readonly lastSeen: string }
  /** An earlier change is on trial; nothing was begun. */
  | { readonly kind: 'pending' }

/**
 * Changes the network of a node in such a way that it cannot be lost: the node takes the change back by itself unless it is
 * confirmed over a connection to its new address. Whatever happens to Landfall meanwhile, the node is reachable afterwards.
 */
export async function changeSafely(options: SafeChangeOptions): Promise<SafeChangeOutcome> {
  const { runner, change, clock, signal, progress } = options
  // From before the begin: the node counts from later on, so it never gives up earlier than this.
  const deadline = clock.now() + change.rollBackSeconds * 1000
  if ((await beginNetworkChange(runner, change, signal)) === 'pending') return { kind: 'pending' }
  let reason: string
  let there: ProgramRunner | undefined
  do {
    await clock.sleep(everySeconds * 1000, signal)
    try {
      there ??= await options.reachThere(signal)
      const missing = await options.missing?.(there, signal)
      if (missing !== undefined) {
        reason = missing
        progress(`Not confirmed yet: ${reason}`)
        continue
      }
      const answer = await confirmNetworkChange(there, change.id, signal)
      if (answer === 'confirmed') return { kind: 'confirmed' }
      reason = 'it was reached there too late'
      break
    } catch (thrown) {
      signal.throwIfAborted()
      if (!(thrown instanceof AppError)) throw thrown
      there = undefined
      reason = textOf(thrown)
      progress(`Not confirmed yet: ${reason}`)
      // Somebody else's identity does not change by asking again; and nothing must be confirmed there.
      if (!thrown.isTransient) break
    }
  } while (clock.now() < deadline)
  return await waitForRollBack(options, reason)
}

/** Waits until the node is found again and says that it has taken the change back. */
async function waitForRollBack(options: SafeChangeOptions, reason: string): Promise<SafeChangeOutcome> {
  const { change, clock, signal, progress } = options
  const deadline = clock.now() + backDeadlineSeconds * 1000
  /** Somebody else's identity does not change by waiting any longer than this. */
  const strangerDeadline = clock.now() + (change.rollBackSeconds + 30) * 1000
  let lastSeen: string
  do {
    progress('Waiting until the node has put its network settings back')
    try {
      const found = await options.reachAnywhere(signal)
      const state = await readNetworkChange(found, signal)
      // `none`: the node was restarted, with which a change on trial is over.
      if (state.kind === 'none') return { kind: 'rolled-back', reason }
      if (state.kind === 'rolled-back') {
        return { kind: 'rolled-back', reason: [reason, state.reason].filter((one) => one !== '').join('; ') }
      }
      if (state.kind === 'confirming' && state.id === change.id) {
        await confirmNetworkChange(found, change.id, signal)
        return { kind: 'confirmed' }
      }
      lastSeen = 'the change is on trial still'
    } catch (thrown) {
      signal.throwIfAborted()
      if (!(thrown instanceof AppError)) throw thrown
      lastSeen = textOf(thrown)
      if (!thrown.isTransient && clock.now() >= strangerDeadline) break
    }
    await clock.sleep(everySeconds * 1000, signal)
  } while (clock.now() < deadline)
  return { kind: 'lost', reason, lastSeen }
}

function textOf(error: AppError): string {
  return `${error.title} ${error.detail}`.trim().slice(0, 300)
}
