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
  const reason: unknown = signal.reason
  // `abort()` without a reason gives a DOMException called AbortError: somebody wanted it to stop.
  if (!(reason instanceof Error) || reason.name === 'AbortError') return new StoppedByOperator()
  return reason
}

/** What `work` gives, unless the signal is aborted first: for work that may not listen to it. */
export async function orAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  if (signal.aborted) {
    // Its own failure is of no interest any more, and must not end the process as an unhandled one.
    work.catch(() => undefined)
    throw reasonOf(signal)
  }
  let handleAbort: (() => void) | undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    handleAbort = () => {
      reject(reasonOf(signal))
    }
    signal.addEventListener('abort', handleAbort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (handleAbort !== undefined) signal.removeEventListener('abort', handleAbort)
  }
}
