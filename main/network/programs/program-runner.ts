/**
 * A place where programs can be run: this workstation, or a node over SSH. Whoever uses `ip`, `nmap` or `arping` does
 * not need to know which of them it is.
 */
export interface ProgramRunner {
  /** For messages and observations: `workstation`, the name of a node, or `user@host`. */
  readonly place: string
  /** Operating system of that place, as Node names it. */
  readonly platform: NodeJS.Platform
  /**
   * Runs a program to its end, its deadline, or the abort of the signal (then it rejects with the signal's reason, and
   * the process is gone). No shell ever sees the arguments: a remote runner quotes each of them. Rejects with an
   * `AppError` only when the place itself cannot be reached.
   */
  run(program: string, args: readonly string[], options: RunOptions): Promise<ProgramResult>
}

export interface RunOptions {
  readonly signal: AbortSignal
  /** Real time; then the process is killed. */
  readonly deadlineSeconds: number
  /** Through `sudo` where the account is not root. Default false. */
  readonly asRoot?: boolean
  /** Written to standard input, which then ends. */
  readonly input?: string
  /** Standard output and error together; more than that ends the process. Default 8 MiB. */
  readonly maxOutputBytes?: number
}

export type ProgramResult =
  /** `exitCode` is `null` when a signal ended it. */
  | {
      readonly kind: 'ended'
      readonly exitCode: number | null
      readonly stdout: string
      readonly stderr: string
    }
  /** There is no such program at that place. */
  | { readonly kind: 'missing' }
  /** It needs root, and that cannot be had without a question (or at all). */
  | { readonly kind: 'not-permitted'; readonly reason: string }
  /** It did not end in time, or wrote too much, and was killed. */
  | {
      readonly kind: 'killed'
      readonly reason: 'deadline' | 'output'
      readonly stdout: string
      readonly stderr: string
    }
