import type { Nic } from './hardware.ts'

/** A change of the network that the node takes back by itself unless it is confirmed. */
export interface NetworkTrial {
  readonly id: string
  state: 'pending' | 'rolled-back'
  /** What the interface was before. */
  readonly before: Nic
  readonly withdraw: () => void
  readonly confirm: () => void
}

export interface TrialRequest {
  readonly id: string
  readonly rollBackSeconds: number
  readonly apply: () => void
  readonly withdraw: () => void
  readonly confirm: () => void
}
