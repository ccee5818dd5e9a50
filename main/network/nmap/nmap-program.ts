import type { ProgramResult, ProgramRunner } from '../programs/program-runner.ts'

export interface NmapRunOptions {
  readonly signal: AbortSignal
  /** Real time; then nmap is killed. */
  readonly deadlineSeconds: number
  /** As root where the account is not; `not-permitted` when that cannot be had. Default false. */
  readonly asRoot?: boolean
}

/** What `nmap -oX -` wrote and how it ended; `stdout` is its XML. */
export type NmapOutput = ProgramResult

/** nmap at some place. The two implementations are alike for whoever uses them; either can be replaced (docs/adr/0013). */
export interface NmapProgram {
  /** Operating system of that place, as Node names it. */
  readonly platform: NodeJS.Platform
  /**
   * Runs nmap with its XML on standard output (`-oX -` is added).
   *
   * @param args options, then targets; no shell sees them.
   * @throws the signal's reason when aborted, and then nmap is gone; an `AppError` when the place cannot be reached.
   */
  run(args: readonly string[], options: NmapRunOptions): Promise<NmapOutput>
}

/** nmap of wherever a runner runs programs: on a node over SSH. */
export function nmapThrough(runner: ProgramRunner): NmapProgram {
  return {
    platform: runner.platform,
    run: (args, options) => runner.run('nmap', ['-oX', '-', ...args], options),
  }
}
