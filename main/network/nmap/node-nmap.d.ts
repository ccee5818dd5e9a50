/** The part of node-nmap 4.0.0 that is used; the package brings no types. See docs/adr/0013. */
declare module 'node-nmap' {
  import type { ChildProcess } from 'node:child_process'
  import type { EventEmitter } from 'node:events'

  class NmapScan extends EventEmitter {
    /** Builds the command and starts nmap at once: calls `commandConstructor`, then `initializeChildProcess`. */
    constructor(targets: readonly string[], args: readonly string[])
    /** All arguments of the process: `-oX -`, the options, the targets. */
    command: string[]
    /** `undefined` until it was started. */
    child: ChildProcess | undefined
    protected commandConstructor(targets: readonly string[], args: readonly string[]): void
    protected initializeChildProcess(): void
    killChild(): void
    stopTimer(): void
  }

  const nodeNmap: {
    /** What is started, for every user of the package. */
    nmapLocation: string
    readonly NmapScan: typeof NmapScan
  }
  export default nodeNmap
}
