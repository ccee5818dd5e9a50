import type { Clock } from '../../engine/clock.ts'
import { actOnAddresses, takeAway } from './address-acts.ts'
import { findAddress, readNodeState } from './node-state.ts'
import type { ProofNode } from './proof.ts'
import { unlessUnreachable } from './unless-unreachable.ts'

export type Raising =
  | { readonly kind: 'raised' }
  /** The node does not have it as it should; what there is of it, `remove` takes away. `why`: a whole sentence. */
  | { readonly kind: 'refused'; readonly why: string }

/** What is certain about an address after it was taken away. Times in milliseconds since the Unix epoch. */
export type Removal =
  /** Read back: the node does not have it. `at`: when the command had ended; `undefined`: it was never there. */
  | { readonly kind: 'confirmed'; readonly at: number | undefined }
  /** Could not be read back; the kernel removes it at `goneBy` at the latest. */
  | { readonly kind: 'by-lifetime'; readonly goneBy: number; readonly why: string }
  /** It was seen without a lifetime, and it is not certain that it was removed. */
  | { readonly kind: 'left'; readonly why: string }

/** Interface names have at most 15 characters (IFNAMSIZ), and so have labels, which begin with that name. */
const longestLabel = 15

/**
 * Names an address of a proof, so that one that a killed run left is known for certain. (A lifetime alone does not tell:
 * kube-vip gives its address one as well when it follows a DNS name.) `undefined`: the interface's name is too long.
 */
export function proofLabel(interfaceName: string): string | undefined {
  const label = `${interfaceName}:lf`
  return label.length <= longestLabel ? label : undefined
}

/** Beyond the lifetime: the kernel looks for expired addresses about once a second. */
export const expiryGraceMilliseconds = 2_000

interface BorrowOptions {
  readonly holder: ProofNode
  readonly address: string
  readonly lifetimeSeconds: number
  readonly clock: Clock
}

/**
 * An address that a node has for some seconds. Its end does not depend on this process: the address is added together
 * with a lifetime, in one request to the kernel, so there is no moment at which it would stay. It is renewed while it is
 * needed, never for more than one lifetime.
 *
 * An `ip` that cannot do that is refused, not helped out with a process that sleeps on the node and removes the address
 * then: such a process ends with the login session on many systems (KillUserProcesses of systemd), and nobody would be
 * left to notice. Another node holds the address instead. The `ip` of the appliance can, and that of BusyBox 1.35 too.
 *
 * A preferred lifetime of 0 marks it as deprecated: nothing takes it as the source of a new connection.
 */
export class BorrowedAddress {
  readonly #options: BorrowOptions
  #mayBeThere = false
  /** A command that gives it, and of which nobody knows whether it may still take effect. */
  #isRaiseOutstanding = false
  #wasSeenWithoutLifetime = false
  #goneBy = 0
  /** Until then it is certainly there, unless somebody else takes it away: its lifetime, from when it was last asked for. */
  #heldUntil = 0
  /** A renewal came when the lifetime may have been over. */
  #wasLate = false
  #removedAt: number | undefined
  #renewal: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined

  constructor(options: BorrowOptions) {
    this.#options = options
  }

  /**
   * Gives the node the address and reads back that its lifetime is finite. From here on `remove` must be called,
   * whatever comes of it. Rejects only with the signal's reason.
   */
  async raise(signal: AbortSignal): Promise<Raising> {
    signal.throwIfAborted()
    const { holder, address, lifetimeSeconds } = this.#options
    const refusal = (await this.#setLifetime('add')) ?? (await this.whyNotHeld(signal))
    if (refusal !== undefined) {
      const why = `${holder.name} cannot hold ${address} for ${lifetimeSeconds} s and not longer: ${refusal}.`
      return { kind: 'refused', why }
    }
    this.#renewal = this.#renew()
    return { kind: 'raised' }
  }

  /**
   * Why the node does not hold the address as it was raised, or may not have held it all the time; `undefined`: it does.
   * Rejects only with the signal's reason.
   */
  async whyNotHeld(signal: AbortSignal): Promise<string | undefined> {
    const { holder, address, lifetimeSeconds, clock } = this.#options
    const state = await unlessUnreachable(signal, readNodeState(holder, signal), (why) => ({
      kind: 'unreadable' as const,
      why,
    }))
    if (state.kind === 'unreadable') return `its addresses could not be read (${state.why})`
    const held = findAddress(state, address)
    if (held === undefined) return 'the address is not there'
    if (held.validSeconds === 'forever' || held.validSeconds === 'unknown') {
      this.#wasSeenWithoutLifetime = true
      return held.validSeconds === 'forever'
        ? 'its kernel shows the address without an end'
        : 'it does not tell how long the address lives'
    }
    if (held.validSeconds > lifetimeSeconds) return `it shows a lifetime of ${held.validSeconds} s`
    if (held.interface !== holder.interface || held.prefix !== 32)
      return `it shows ${held.address}/${held.prefix} on ${held.interface}`
    // Also while a renewal is under way that comes too late: what is read now does not tell what was before.
    return this.#wasLate || clock.now() > this.#heldUntil
      ? `its lifetime of ${lifetimeSeconds} s could not be renewed in time, so it may have been away in between`
      : undefined
  }

  /** Takes the address away. As `takeAway`: listens to no signal, never rejects. May be called again. */
  async remove(): Promise<Removal> {
    this.#renewal?.stop.abort()
    await this.#renewal?.ended
    this.#renewal = undefined
    if (!this.#mayBeThere) return { kind: 'confirmed', at: this.#removedAt }
    const { holder, address, clock } = this.#options
    const result = await takeAway(holder, address, holder.interface, clock)
    if (result.kind === 'gone' && !this.#isRaiseOutstanding) {
      this.#mayBeThere = false
      this.#removedAt = result.at
      return { kind: 'confirmed', at: result.at }
    }
    const why =
      result.kind === 'gone'
        ? `a command to ${holder.name} did not end and may still take effect`
        : result.why
    return this.#wasSeenWithoutLifetime
      ? { kind: 'left', why }
      : { kind: 'by-lifetime', goneBy: this.#goneBy, why }
  }

  /** Why it was not set, as the end of a sentence. */
  async #setLifetime(verb: 'add' | 'replace'): Promise<string | undefined> {
    const { holder, address, lifetimeSeconds, clock } = this.#options
    const label = proofLabel(holder.interface)
    // From the moment that it is sent.
    this.#mayBeThere = true
    const sentAt = clock.now()
    const act = await actOnAddresses(holder, [
      ...['address', verb, `${address}/32`, 'dev', holder.interface],
      ...['valid_lft', String(lifetimeSeconds), 'preferred_lft', '0'],
      ...(label === undefined ? [] : ['label', label]),
    ])
    this.#goneBy = clock.now() + lifetimeSeconds * 1000 + expiryGraceMilliseconds
    if (act.kind === 'done') {
      if (verb === 'replace' && clock.now() > this.#heldUntil) this.#wasLate = true
      this.#heldUntil = sentAt + lifetimeSeconds * 1000
      return undefined
    }
    if (act.kind === 'unclear') this.#isRaiseOutstanding = true
    // The kernel adds it or refuses: what it refused is not ours to take away, even where the address is there now.
    else if (verb === 'add') this.#mayBeThere = false
    return act.why
  }

  /** Renews the lifetime at its half, until stopped. A renewal that fails is seen by whoever asks `whyNotHeld`. */
  #renew(): { readonly stop: AbortController; readonly ended: Promise<void> } {
    const { clock, lifetimeSeconds } = this.#options
    const stop = new AbortController()
    const renewUntilStopped = async () => {
      for (;;) {
        try {
          await clock.sleep(lifetimeSeconds * 500, stop.signal)
        } catch {
          // Stopped: a sleep rejects for nothing else.
          return
        }
        await this.#setLifetime('replace')
      }
    }
    return { stop, ended: renewUntilStopped() }
  }
}
