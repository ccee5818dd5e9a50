import { performance } from 'node:perf_hooks'
import type { Clock } from '../../../engine/clock.ts'

/** What a step between two sleeps may add when no monotonic time confirms it, in milliseconds. */
const longestStep = 500
const longestOversleep = 100

/**
 * Milliseconds that have passed at least. A wall clock jumps when it is set, or when the machine was suspended; then
 * it would seem that a question had been repeated for a long time, though it was asked once. What this counts, and it
 * may count less than what passed, has been waited for.
 */
export interface Stopwatch {
  elapsed(): number
  /** Sleeps on the clock; rejects with the signal's reason when aborted. */
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>
}

/** @param monotonic real milliseconds that never jump; they confirm steps that are long because something was slow */
export function createStopwatch(clock: Clock, monotonic: () => number = () => performance.now()): Stopwatch {
  let elapsed = 0
  let last = clock.now()
  let lastMonotonic = monotonic()
  const add = (least: number, most: number) => {
    const now = clock.now()
    const nowMonotonic = monotonic()
    elapsed += Math.min(Math.max(most, nowMonotonic - lastMonotonic), Math.max(least, now - last))
    last = now
    lastMonotonic = nowMonotonic
  }
  return {
    elapsed: () => {
      add(0, longestStep)
      return elapsed
    },
    sleep: async (milliseconds, signal) => {
      add(0, longestStep)
      await clock.sleep(milliseconds, signal)
      add(milliseconds, milliseconds + longestOversleep)
    },
  }
}
