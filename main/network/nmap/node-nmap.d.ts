/** The part of node-nmap 4.0.0 that is used; the package brings no types. See docs/adr/0013. */
declare module 'node-nmap' {
  import type { ChildProcess } from 'node:child_process'

  interface NmapScan {
    /** All arguments of the process: `-oX -`, the options, the targets. */
    command: string[]
    /** `undefined` until it was started. */
    readonly child: ChildProcess | undefined
    readonly killChild: () => void
    commandConstructor(targets: readonly string[], options: readonly string[]): void
    initializeChildProcess(): void
    stopTimer(): void
  }

  const nodeNmap: {
    /** What is started, for every user of the package. */
    nmapLocation: string
    /** Builds the command and starts nmap at once: calls `commandConstructor`, then `initializeChildProcess`. */
    readonly NmapScan: new (targets: readonly string[], options: readonly string[]) => NmapScan
  }
  export default nodeNmap
}
