/** How much a check that did not pass weighs: it stops the installation, it needs somebody who accepts it, it is told. */
export type CheckSeverity = 'block' | 'warn' | 'info'

/** Step of the wizard on which what a check found is put right. */
export type FixStep = 'platform' | 'files' | 'network' | 'nodes' | 'cluster'

/** What is always the same about a check; threshold and remedy depend on the plan and come with the finding. */
export interface CheckDefinition {
  /** What is true when it passes. */
  readonly title: string
  readonly severity: CheckSeverity
  /** `null`: outside of Landfall, at the machine or in its network. */
  readonly fixStep: FixStep | null
  /** Seconds after which a result says nothing any more; `null`: it stays true as long as the plan is the same. */
  readonly ageLimitSeconds: number | null
  /** Nobody may accept it as it is: login, inventory, names, the VIP, identity of disks (checks.md, never-override list). */
  readonly isFinal?: true
}

/** What can change at any moment: clocks, links, who has an address. Also the limit right before the deployment. */
export const minutes5 = 300
/** What somebody would have to open the machine for. */
export const minutes30 = 1800
/** Files on this workstation. */
export const hours24 = 86_400
