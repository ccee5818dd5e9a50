import type { Plan, ProcedureVariant } from '../../shared/plan/index.ts'
import type { Durations } from './durations.ts'
import type { FaultBoard } from './fault-board.ts'
import type { Exchange } from './http/api-server.ts'
import type { Recorder } from './report.ts'
import type { LabEventName, Scenario } from './scenario.ts'
import type { Scheduler } from './scheduler.ts'

/** What every part of one lab shares. */
export interface LabContext {
  plan: Plan
  variant: ProcedureVariant
  scenario: Scenario
  durations: Durations
  scheduler: Scheduler
  recorder: Recorder
  faults: FaultBoard
  /**
   * Simulated milliseconds that a change of the network is on trial at least: on a clock that runs a hundred times as fast
   * the usual time would be over before this workstation has opened a connection.
   */
  leastTrial: number
  /** Where large files go. */
  folder: string
  onExchange: (exchange: Exchange) => void
  /** Something that scenarios can wait for. `node`: name as in the plan. */
  emit: (name: LabEventName, node: string | null) => void
}
