import type { ProgramResult, ProgramRunner, RunOptions } from '../../programs/program-runner.ts'

export interface FakeCall {
  readonly program: string
  readonly args: readonly string[]
  readonly options: RunOptions
}

/** Answers from a function, and knows what was asked. A call that is not answered waits until it is aborted. */
export class FakeRunner implements ProgramRunner {
  readonly place = 'n1'
  readonly platform: NodeJS.Platform
  readonly calls: FakeCall[] = []
  /** Calls that are under way. */
  running = 0
  readonly #answer: (call: FakeCall) => ProgramResult | Promise<ProgramResult> | undefined

  constructor(
    answer: (call: FakeCall) => ProgramResult | Promise<ProgramResult> | undefined,
    platform: NodeJS.Platform = 'linux',
  ) {
    this.#answer = answer
    this.platform = platform
  }

  async run(program: string, args: readonly string[], options: RunOptions): Promise<ProgramResult> {
    options.signal.throwIfAborted()
    const call = { program, args, options }
    this.calls.push(call)
    this.running += 1
    try {
      return await (this.#answer(call) ?? untilAborted(options.signal))
    } finally {
      this.running -= 1
    }
  }
}

export function ended(stdout: string, exitCode: number | null = 0, stderr = ''): ProgramResult {
  return { kind: 'ended', exitCode, stdout, stderr }
}

async function untilAborted(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) {
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve)
    })
  }
  // Ending a process takes a moment.
  await new Promise((resolve) => setImmediate(resolve))
  throw signal.reason
}
