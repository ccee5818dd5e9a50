import { describe, expect, it } from 'vitest'
import { createManualClock } from '../../../engine/testing/manual-clock.ts'
import { createStopwatch } from './stopwatch.ts'

const never = new AbortController().signal

/** A wall clock that can be set, and real time. */
function createTimes() {
  const manual = createManualClock()
  let jump = 0
  let real = 0
  const clock = {
    now: () => manual.now() + jump,
    sleep: (milliseconds: number, signal?: AbortSignal) => {
      real += milliseconds
      return manual.sleep(milliseconds, signal)
    },
  }
  manual.runFree()
  return {
    watch: createStopwatch(clock, () => real),
    setBy: (milliseconds: number) => (jump += milliseconds),
    pass: async (milliseconds: number) => {
      real += milliseconds
      await manual.advance(milliseconds)
    },
  }
}

describe('a stopwatch', () => {
  it('counts what was slept, and what took long', async () => {
    const { watch, pass } = createTimes()
    await watch.sleep(1000, never)
    await pass(1500)
    expect(watch.elapsed()).toBe(2500)
    await pass(3000)
    await watch.sleep(500, never)
    expect(watch.elapsed()).toBe(6000)
  })

  it.each([3_600_000, 30_000])('counts next to nothing of a clock that is set by %i ms', async (jump) => {
    const { watch, setBy } = createTimes()
    setBy(jump)
    expect(watch.elapsed()).toBeLessThanOrEqual(500)
    const before = watch.elapsed()
    const sleeping = watch.sleep(1000, never)
    setBy(jump)
    await sleeping
    expect(watch.elapsed() - before).toBeLessThanOrEqual(1100)
  })

  it('never goes back, and still counts what was slept when the clock is set back', async () => {
    const { watch, setBy } = createTimes()
    await watch.sleep(100, never)
    setBy(-3_600_000)
    expect(watch.elapsed()).toBe(100)
    const sleeping = watch.sleep(1000, never)
    setBy(-3_600_000)
    await sleeping
    expect(watch.elapsed()).toBe(1100)
  })
})
