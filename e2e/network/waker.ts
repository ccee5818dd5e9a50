/** Wakes something once: at its time, or before when it is told to. */
export interface Waker {
  /** Resolves when it is awake. */
  wake(): Promise<void>
  /** Resolves when it is awake by itself or by `wake`; rejects when it never will be. */
  whenAwake(): Promise<void>
  /** It is not woken any more. Resolves when nothing is under way. */
  stop(): Promise<void>
}

/** `afterMilliseconds` of real time; `undefined`: only when it is told to. */
export function createWaker(work: () => Promise<void>, afterMilliseconds: number | undefined): Waker {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  // Who waits for it hears of a failure; if nobody does, it must not end the process.
  promise.catch(() => undefined)
  let state: 'asleep' | 'waking' | 'stopped' = 'asleep'

  const wake = (): Promise<void> => {
    if (state === 'asleep') {
      state = 'waking'
      work().then(resolve, reject)
    }
    return promise
  }
  const timer = afterMilliseconds === undefined ? undefined : setTimeout(() => void wake(), afterMilliseconds)
  return {
    wake,
    whenAwake: () => promise,
    stop: async () => {
      clearTimeout(timer)
      if (state === 'waking') await promise.catch(() => undefined)
      state = 'stopped'
      reject(new Error('it was stopped before it woke'))
    },
  }
}
