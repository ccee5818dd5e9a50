import type { CheckId } from '../../../shared/checks/index.ts'
import type { Plan, PlanNode } from '../../../shared/plan/index.ts'
import type { LocalApiClient } from '../index.ts'
import type { Clock } from '../../engine/clock.ts'
import type { ProgramResult, ProgramRunner } from '../../network/programs/program-runner.ts'

export type RemedyId = 'set-mtu' | 'step-clock' | 'wipe-data-disk'

export interface RemedyContext {
  readonly plan: Plan
  readonly node: PlanNode
  readonly runner: ProgramRunner
  readonly localApi?: LocalApiClient
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Median of the nodes' clocks against the workstation's, in milliseconds; needed to step a clock without a time server. */
  readonly median?: number
  /**
   * Opens the node anew, at the address that it has now, and makes sure that it is the same machine. Without it an MTU is
   * not set.
   */
  readonly reopen?: (signal: AbortSignal) => Promise<ProgramRunner>
  /** Bytes, to be set on the interface that carries the node's address; default is that of the plan. */
  readonly mtu?: number
}

/** What a remedy would do, read from the node without changing anything. */
export type RemedyPlan =
  | {
      readonly kind: 'offered'
      /** As in a diff: `-` what is, `+` what shall be. */
      readonly lines: readonly string[]
      /** Ties the plan to what was seen: it is read again right before anything is changed. */
      readonly seen: string
    }
  | { readonly kind: 'not-needed' | 'not-offered'; readonly reason: string }

export type RemedyOutcome =
  /** `seen`: what was read back. */
  | { readonly kind: 'done'; readonly seen: string }
  /** Nothing was changed. */
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string }

export interface Remedy {
  readonly id: RemedyId
  readonly checkIds: readonly CheckId[]
  /** Something is lost for ever; the name of the node has to be typed. */
  readonly isDestructive: boolean
  /** Changes nothing. */
  plan(context: RemedyContext): Promise<RemedyPlan>
  apply(context: RemedyContext, plan: RemedyPlan, confirmedName?: string): Promise<RemedyOutcome>
}

/** Why it did not succeed; `undefined`: it did. */
export function problemOf(result: ProgramResult): string | undefined {
  switch (result.kind) {
    case 'ended':
      return result.exitCode === 0
        ? undefined
        : (result.stderr || result.stdout).trim().slice(0, 300) || `exit code ${String(result.exitCode)}`
    case 'missing':
      return 'there is no such program on the node'
    case 'not-permitted':
      return `root is needed: ${result.reason}`
    case 'killed':
      return 'it did not end in time'
  }
}
