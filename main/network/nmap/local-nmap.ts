import type { ChildProcess } from 'node:child_process'
import nodeNmap from 'node-nmap'
import { findProgram } from '../programs/program-environment.ts'
import { notStarted, supervise } from '../programs/supervise.ts'
import type { NmapProgram } from './nmap-program.ts'

export interface LocalNmapOptions {
  /** File of nmap. Default: where the system has it. */
  readonly location?: string
}

/** Real time. How much later than Landfall the system itself ends an nmap that nobody watches any more. */
const guardSeconds = 5

/** nmap of this workstation, put together and started by node-nmap (docs/adr/0013). */
export function localNmap(options: LocalNmapOptions = {}): NmapProgram {
  return {
    platform: process.platform,
    run: async (args, { signal, deadlineSeconds, asRoot = false }) => {
      signal.throwIfAborted()
      const location = options.location ?? findProgram('nmap')
      if (location === undefined) return { kind: 'missing' }
      if (asRoot && process.getuid !== undefined && process.getuid() !== 0) {
        return { kind: 'not-permitted', reason: 'Landfall does not run as root' }
      }
      let child: ChildProcess
      try {
        child = startNmap(location, args, deadlineSeconds + guardSeconds)
      } catch (error) {
        return notStarted(error instanceof Error ? error : new Error(String(error)))
      }
      return supervise(child, {
        signal,
        deadlineSeconds,
        kill: () => {
          killGroup(child)
        },
      })
    },
  }
}

/**
 * Where the system has `timeout`, that starts nmap: with its interface switched off half-way nmap 7.93 never ends, and after
 * a SIGKILL of Landfall nobody else would be there to end it.
 */
function startNmap(location: string, args: readonly string[], seconds: number): ChildProcess {
  const timeout = process.platform === 'linux' ? findProgram('timeout') : undefined
  const prefix = timeout === undefined ? [] : ['-s', 'KILL', String(Math.ceil(seconds)), location]

  /** Keeps what node-nmap puts together and starts, and takes back what it does beside that. */
  class StartedNmap extends nodeNmap.NmapScan {
    override commandConstructor(targets: readonly string[], options: readonly string[]): void {
      super.commandConstructor(targets, options)
      this.command = [...prefix, ...this.command]
    }

    override initializeChildProcess(): void {
      try {
        super.initializeChildProcess()
      } catch (error) {
        // Without file descriptors left the process has no streams, which node-nmap does not expect. It tells of its own
        // failure a moment later.
        if (this.child === undefined) throw error
      } finally {
        // Bound to nothing, they would throw; and while they are there, Ctrl-C and a bug do not end Landfall.
        for (const event of ['SIGINT', 'uncaughtException', 'exit']) process.off(event, this.killChild)
        this.stopTimer()
      }
      // They lose output, take every warning for a failure and throw at what is no XML.
      this.child?.removeAllListeners()
      this.child?.stdout?.removeAllListeners('data')
      this.child?.stderr?.removeAllListeners('data')
    }
  }

  // Interactive, it would change the terminal that Landfall shows its progress on, and a kill would leave it so.
  nodeNmap.nmapLocation = timeout ?? location
  const scan = new StartedNmap([], ['--noninteractive', ...args])
  const { child } = scan
  if (child === undefined) throw new TypeError('node-nmap started nothing.')
  // As `startScan` does, but nmap may be gone already.
  child.stdin?.on('error', () => undefined).end()
  return child
}

/** `timeout` makes itself the leader of a group, nmap in it. */
function killGroup(child: ChildProcess): void {
  child.kill('SIGKILL')
  if (child.pid === undefined || process.platform === 'win32') return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nobody is left in it, or there is no such group.
  }
}
