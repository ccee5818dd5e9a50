import { reasonOf } from '../cancellation.ts'
import type { Clock } from '../clock.ts'

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /** How long everybody who sleeps now was asked to sleep, in milliseconds, in the order they came. */
  readonly sleeping: readonly number[]
  /** Wakes whoever is due within `milliseconds`, each at its time; after each, `settle` lets the world react. */
  advance(milliseconds: number, settle?: () => Promise<void>): Promise<void>
  /**
   * From now on who sleeps for at most `longest` milliseconds wakes at once, and time jumps to when it was due. Longer
   * ones (the deadlines of phases) sleep on.
   */
  runFree(longest?: number): void
}

interface Sleeper {
  readonly dueAt: number
  readonly milliseconds: number
  wake(): void
}

export function createManualClock(start = Date.UTC(2026, 0, 1)): ManualClock {
  let now = start
  let longestFree = -1
  const sleepers = new Set<Sleeper>()
  const earliest = () => [...sleepers].sort((a, b) => a.dueAt - b.dueAt)[0]
  const wakeFreely = () => {
    const next = [...sleepers].filter(isFree).sort((a, b) => a.dueAt - b.dueAt)[0]
    if (next === undefined) return
    now = Math.max(now, next.dueAt)
    next.wake()
  }
  const isFree = (sleeper: Sleeper) => sleeper.milliseconds <= longestFree
  return {
    now: () => now,
    get sleeping() {
      return [...sleepers].map(({ milliseconds }) => milliseconds)
    },
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        const handleAbort = () => {
          sleepers.delete(sleeper)
          if (signal !== undefined) reject(reasonOf(signal))
        }
        const sleeper: Sleeper = {
          dueAt: now + milliseconds,
          milliseconds,
          wake: () => {
            sleepers.delete(sleeper)
            signal?.removeEventListener('abort', handleAbort)
            resolve()
          },
        }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', handleAbort, { once: true })
        if (isFree(sleeper)) setImmediate(wakeFreely)
      }),
    advance: async (milliseconds, settle = letOthersRun) => {
      const target = now + milliseconds
      await settle()
      for (let next = earliest(); next !== undefined && next.dueAt <= target; next = earliest()) {
        now = next.dueAt
        next.wake()
        await settle()
      }
      now = target
    },
    runFree: (longest = 300_000) => {
      longestFree = longest
      for (const sleeper of sleepers) if (isFree(sleeper)) setImmediate(wakeFreely)
    },
  }
}

/** Several turns of the event loop, so that everything that can go on without time or files has done so. */
export async function letOthersRun(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
