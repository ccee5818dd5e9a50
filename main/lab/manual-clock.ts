import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../engine/clock.ts'

interface Sleeper {
  dueAt: number
  resolve: () => void
}

/** A clock that stands still until a test moves it; sleepers wake in order, each at exactly its time. */
export interface ManualClock extends Clock {
  /** Moves time on by `milliseconds` and lets everything that becomes due happen on the way. */
  advance(milliseconds: number): Promise<void>
}

export function createManualClock(start: number): ManualClock {
  let now = start
  const sleepers: Sleeper[] = []
  return {
    now: () => now,
    sleep: (milliseconds, signal) => {
      signal?.throwIfAborted()
      return new Promise((resolve, reject) => {
        const handleAbort = () => {
          sleepers.splice(sleepers.indexOf(sleeper), 1)
          reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
        }
        const sleeper: Sleeper = {
          dueAt: now + milliseconds,
          resolve: () => {
            signal?.removeEventListener('abort', handleAbort)
            resolve()
          },
        }
        sleepers.push(sleeper)
        signal?.addEventListener('abort', handleAbort, { once: true })
      })
    },
    advance: async (milliseconds) => {
      const target = now + milliseconds
      for (;;) {
        await nextTurn()
        const next = sleepers.filter((one) => one.dueAt <= target).sort((a, b) => a.dueAt - b.dueAt)[0]
        if (next === undefined) break
        sleepers.splice(sleepers.indexOf(next), 1)
        now = Math.max(now, next.dueAt)
        next.resolve()
      }
      now = target
      await nextTurn()
    },
  }
}
