import type { Clock } from '../../engine/clock.ts'
import type { ProgramRunner } from '../programs/program-runner.ts'

/** A node that may hold the address for some seconds, and that is asked whether it reaches it at another node. */
export interface ProofNode {
  /** As in the plan. */
  readonly name: string
  /** Programs on that node. */
  readonly runner: ProgramRunner
  /** The interface that is attached to the network of the address. */
  readonly interface: string
  /** MAC address of that interface, lower case with colons. What the node itself says later counts more. */
  readonly mac: string
  /** The node's own IPv4 address on that interface. */
  readonly address: string
}

/**
 * Who answered ARP requests for the address. `owner`: the node that holds it, and nobody else · `other`: somebody else,
 * alone or beside the owner · `silent`: nobody, although it was asked · `unknown`: it could not be asked.
 */
type LinkAnswer = 'owner' | 'other' | 'silent' | 'unknown'

/** Whether the address answered on IP (ICMP echo, or TCP: a refusal is an answer too). */
type NetworkAnswer = 'reached' | 'silent' | 'unknown'

/** One look at the address from one place. */
export interface ReachResult {
  readonly arp: LinkAnswer
  /** MAC addresses that answered, lower case with colons. */
  readonly macs: readonly string[]
  readonly ip: NetworkAnswer
  /** What was seen, in words: evidence for the operator. */
  readonly detail: string
}

/** What one place saw of the address while `to` held it. */
export interface ProofLeg extends ReachResult {
  /** Name of the node that asked, or `workstation`. */
  readonly from: string
  readonly vantage: 'node' | 'workstation'
  /** Name of the node that held the address. */
  readonly to: string
  /** From the first question of this leg until its result was certain; connection times to the node included. */
  readonly milliseconds: number
}

export interface ProofReport {
  readonly address: string
  /**
   * `works`: every node reached it at every holder, and the workstation too where it can tell · `unreachable`: at least
   * one leg did not, or the hand-over did not arrive everywhere · `conflict`: somebody else answers for the address ·
   * `inconclusive`: it could not be tried, or not from everywhere.
   */
  readonly outcome: 'works' | 'unreachable' | 'conflict' | 'inconclusive'
  readonly legs: readonly ProofLeg[]
  /**
   * From the removal at the first holder until it, and everybody who had reached the address there, reached it at the
   * second one and had its MAC address; Landfall's own commands in between included. `undefined`: there was no
   * hand-over, or somebody missed it.
   */
  readonly handOverMilliseconds: number | undefined
  /** Who did not reach the address at its second holder in time, although at the first one. */
  readonly missedHandOver: readonly { readonly from: string; readonly lastSeen: string }[]
  /**
   * `confirmed`: every node that held the address was read afterwards and does not have it · `by-lifetime`: at least
   * one could not be read; its kernel removes the address when the lifetime ends, the warnings say when.
   */
  readonly removed: 'confirmed' | 'by-lifetime'
  /** Whole sentences. */
  readonly warnings: readonly string[]
  /** Why the outcome is what it is, as whole sentences. */
  readonly reason: string
}

/** The workstation's way to the address, which may be routed: then it cannot know a MAC address (`arp: 'unknown'`). */
export interface WorkstationReach {
  reach(address: string, expectedOwner: ProofNode, signal: AbortSignal): Promise<ReachResult>
}

/** What stays behind after a kill stays no longer than this. */
export const longestLifetimeSeconds = 30

export interface ProofOptions {
  /** The candidate, dotted decimal. */
  readonly address: string
  /** At least one. The first that can give an address a lifetime holds it first, the next one holds it second. */
  readonly nodes: readonly ProofNode[]
  readonly workstation?: WorkstationReach | undefined
  readonly clock: Clock
  /** Stops the proof; the address is taken away all the same. */
  readonly signal: AbortSignal
  /**
   * The engine's `change`, for a node: everything that alters a node happens inside it. Not for a dry run, where it does
   * nothing: there is nothing to prove then.
   */
  readonly change: <T>(
    node: string,
    key: string,
    what: string,
    act: (signal: AbortSignal) => Promise<T>,
  ) => Promise<T>
  readonly onProgress?: ((detail: string, fraction?: number) => void) | undefined
  /** After how many seconds a kernel forgets the address when nobody renews it: 2 to 30. Default 30. */
  readonly lifetimeSeconds?: number | undefined
}
