import type { LinkTools } from './ask-link.ts'
import type { Removal } from './borrowed-address.ts'
import type { ProofLeg, ProofNode, ProofOptions, WorkstationReach } from './proof.ts'

/** What the steps of one proof share. */
export interface ProofContext {
  readonly address: string
  readonly nodes: readonly ProofNode[]
  readonly workstation: WorkstationReach | undefined
  readonly clock: ProofOptions['clock']
  readonly change: ProofOptions['change']
  readonly lifetimeSeconds: number
  readonly link: LinkTools
  readonly progress: (detail: string, fraction: number) => void
  readonly legs: ProofLeg[]
  readonly warnings: string[]
  /** What is certain of each node that was given the address, by its name. */
  readonly removals: Map<string, Removal>
}

/** Why a proof ends before it is through. */
export interface EarlyEnd {
  readonly outcome: 'conflict' | 'inconclusive'
  /** Whole sentences. */
  readonly reason: string
}

/** For the operator: `12:05:09 UTC`. */
export function timeOfDay(epochMilliseconds: number): string {
  return `${new Date(epochMilliseconds).toISOString().slice(11, 19)} UTC`
}
