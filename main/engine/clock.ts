import { setTimeout as sleepRealTime } from 'node:timers/promises'

/**
 * Where the engine takes its time from. In production the wall clock, on the practice lab the lab's faster clock,
 * in tests a clock that is moved by hand.
 *
 * Time-outs of single network operations (connect, request) are real time and do not use this.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch, in this clock's time. */
  now(): number
  /** Resolves after `milliseconds` of this clock's time; rejects with the signal's reason when aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (milliseconds, signal) => sleepUntilDone(milliseconds, signal),
}

/** Where a scaled clock starts, so that several processes can share one (practice lab and run). */
export interface ClockOrigin {
  /** Wall-clock time, in milliseconds since the Unix epoch, at which the scaled clock showed `simulatedStart`. */
  wallStart: number
  /** Milliseconds since the Unix epoch, in scaled time. */
  simulatedStart: number
  /** How many scaled seconds pass in one real second. */
  scale: number
}

/** A clock that runs `scale` times as fast as the wall clock. */
export function createScaledClock(origin: ClockOrigin): Clock {
  return {
    now: () => origin.simulatedStart + (Date.now() - origin.wallStart) * origin.scale,
    sleep: (milliseconds, signal) => sleepUntilDone(milliseconds / origin.scale, signal),
  }
}

/** Node's timers count in a signed 32-bit integer; a longer one would fire at once. */
const longestTimer = 2 ** 31 - 1

async function sleepUntilDone(realMilliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted()
  try {
    let left = Math.max(0, realMilliseconds)
    do {
      const part = Math.min(left, longestTimer)
      await sleepRealTime(part, undefined, signal === undefined ? {} : { signal })
      left -= part
    } while (left > 0)
  } catch (error) {
    // timers/promises rejects with its own AbortError; callers want the reason that was given.
    signal?.throwIfAborted()
    throw error
  }
}
