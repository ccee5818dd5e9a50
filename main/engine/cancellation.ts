import { AppError } from '../../shared/errors/index.ts'

/** The reason with which the operator's stop aborts everything. */
export class StoppedByOperator extends Error {
  constructor() {
    super('stopped by the operator')
    this.name = 'StoppedByOperator'
  }
}

/** A signal that also aborts after `milliseconds` of real time. Call `release` when the work is over. */
export function withRealTimeLimit(
  signal: AbortSignal,
  milliseconds: number,
): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController()
  const timer = setTimeout(() => {
    controller.abort(
      new AppError({
        code: 'TIMED_OUT',
        title: 'This took too long.',
        detail: `Gave up after ${milliseconds / 1000} s.`,
        isTransient: true,
      }),
    )
  }, milliseconds)
  return {
    signal: AbortSignal.any([signal, controller.signal]),
    release: () => {
      clearTimeout(timer)
    },
  }
}

/** The reason of an aborted signal as an error that can be thrown. */
export function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new StoppedByOperator()
}
