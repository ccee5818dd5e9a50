import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { printableStart } from '../printable.ts'
import { programEnvironment } from './program-environment.ts'
import type { ProgramResult, ProgramRunner, RunOptions } from './program-runner.ts'
import { notStarted, supervise } from './supervise.ts'

export interface LocalRunnerOptions {
  /** Default: the environment of this process. Little of it is passed on, see `programEnvironment`. */
  readonly environment?: NodeJS.ProcessEnv
  /** Whether this process runs as root already. Where there is no root (Windows) nothing is asked for. */
  readonly isRoot?: boolean
}

/**
 * Runs programs on this workstation. Each gets a session of its own, so that it can be killed with everything that it
 * started, and dies with Landfall at the latest. (Only a SIGKILL of Landfall leaves it alone; it then ends by itself.)
 */
export function createLocalRunner(options: LocalRunnerOptions = {}): ProgramRunner {
  const { isRoot = process.getuid === undefined || process.getuid() === 0 } = options
  const environment = programEnvironment(options.environment)

  const run = (program: string, args: readonly string[], runOptions: RunOptions) => {
    let child: ChildProcess
    try {
      child = start(program, args, environment, runOptions.input !== undefined)
    } catch (error) {
      // Too many arguments, or one with a character that cannot be passed.
      return notStarted(error instanceof Error ? error : new Error(String(error)))
    }
    child.stdin?.end(runOptions.input)
    return supervise(child, { ...runOptions, kill: killGroup(child, environment) })
  }

  return {
    place: 'workstation',
    platform: process.platform,
    run: async (program, args, runOptions) => {
      runOptions.signal.throwIfAborted()
      if (runOptions.asRoot !== true || isRoot) return run(program, args, runOptions)
      return readSudo(program, await run('sudo', ['-n', '--', program, ...args], runOptions))
    },
  }
}

function start(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  hasInput: boolean,
): ChildProcess {
  return spawn(program, args, {
    env,
    stdio: [hasInput ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    // The leader of a group; Windows has none.
    detached: process.platform !== 'win32',
    windowsHide: true,
    shell: false,
  })
}

/** How a child is killed together with its group. A program of root's behind sudo needs sudo for that too. */
function killGroup(child: ChildProcess, env: NodeJS.ProcessEnv): () => void {
  return () => {
    if (child.pid === undefined) return
    if (process.platform === 'win32') {
      child.kill('SIGKILL')
      return
    }
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch (error) {
      // ESRCH: nobody is left.
      if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return
      spawnSync('sudo', ['-n', '--', 'kill', '-KILL', '--', `-${child.pid}`], {
        env,
        stdio: 'ignore',
        timeout: 2000,
      })
    }
  }
}

/**
 * Tells what sudo says about itself from what the program says: sudo ends with 1 when it does not start the program
 * (sudo(8), EXIT VALUE), and its own lines begin with its name.
 */
function readSudo(program: string, result: ProgramResult): ProgramResult {
  if (result.kind === 'missing') {
    return { kind: 'not-permitted', reason: 'Landfall does not run as root, and there is no sudo' }
  }
  if (result.kind !== 'ended' || result.exitCode !== 1) return result
  const complaint = result.stderr
    .split('\n')
    .find((line) => /^sudo: (?!unable to resolve host)|^Sorry, user /u.test(line))
  if (complaint === undefined) return result
  if (complaint === `sudo: ${program}: command not found`) return { kind: 'missing' }
  return {
    kind: 'not-permitted',
    reason: `sudo does not allow it without a question: ${printableStart(complaint)}`,
  }
}
