import type { Clock } from '../engine/clock.ts'

/**
 * Keeps calls apart: resolves when the caller may go, at the earliest `intervalMilliseconds` (of the clock's time)
 * after the caller before it.
 */
export function createPace(
  clock: Clock,
  intervalMilliseconds: number,
): (signal?: AbortSignal) => Promise<void> {
  let nextFree = Number.NEGATIVE_INFINITY
  return async (signal) => {
    signal?.throwIfAborted()
    const now = clock.now()
    const turn = Math.max(now, nextFree)
    nextFree = turn + intervalMilliseconds
    if (turn > now) await clock.sleep(turn - now, signal)
  }
}
