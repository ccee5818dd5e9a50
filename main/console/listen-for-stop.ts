import process from 'node:process'
import { StoppedByOperator } from '../engine/cancellation.ts'
import { exitCodes } from './exit-codes.ts'

/** The first Ctrl-C stops in good order; the second one ends the process at once, which is safe as well. */
export function listenForStop(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController()
  const handleStop = () => {
    if (controller.signal.aborted) process.exit(exitCodes.stopped)
    process.stderr.write('\nStopping in good order; press Ctrl-C again to end at once (also safe).\n')
    controller.abort(new StoppedByOperator())
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const name of signals) process.on(name, handleStop)
  return {
    signal: controller.signal,
    release: () => {
      for (const name of signals) process.off(name, handleStop)
    },
  }
}
