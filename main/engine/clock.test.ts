import { afterEach, describe, expect, it, vi } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import { orAborted, reasonOf, StoppedByOperator, withRealTimeLimit } from './cancellation.ts'
import { createScaledClock, systemClock } from './clock.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('a clock', () => {
  it('rejects a sleep with the reason that was given, at once when it was given before', async () => {
    const controller = new AbortController()
    const sleep = systemClock.sleep(60_000, controller.signal)
    controller.abort(new StoppedByOperator())
    await expect(sleep).rejects.toBeInstanceOf(StoppedByOperator)
    await expect(systemClock.sleep(0, controller.signal)).rejects.toBeInstanceOf(StoppedByOperator)
  })

  it('sleeps no time for times that have passed', async () => {
    await expect(systemClock.sleep(-5000)).resolves.toBeUndefined()
  })

  it('sleeps longer than one timer of Node can', async () => {
    const controller = new AbortController()
    const woken = vi.fn<() => void>()
    const sleep = systemClock.sleep(40 * 24 * 3600 * 1000, controller.signal).then(woken)
    // A timer that overflows fires after one millisecond.
    await systemClock.sleep(30)
    expect(woken).not.toHaveBeenCalled()
    controller.abort(new StoppedByOperator())
    await expect(sleep).rejects.toBeInstanceOf(StoppedByOperator)
  })

  it('with a scale runs that many times as fast', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 })
    const clock = createScaledClock({ wallStart: 1_000_000, simulatedStart: 5000, scale: 60 })
    expect(clock.now()).toBe(5000)
    vi.setSystemTime(1_001_000)
    expect(clock.now()).toBe(65_000)
    vi.useRealTimers()
    const fast = createScaledClock({ wallStart: Date.now(), simulatedStart: 0, scale: 100_000 })
    await fast.sleep(600_000)
    expect(fast.now()).toBeGreaterThanOrEqual(500_000)
  })
})

describe('a limit of real time', () => {
  it('aborts with an error that can heal by itself', () => {
    vi.useFakeTimers()
    const limit = withRealTimeLimit(new AbortController().signal, 2000)
    vi.advanceTimersByTime(1999)
    expect(limit.signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    expect(limit.signal.reason).toMatchObject({
      code: 'TIMED_OUT',
      isTransient: true,
      detail: 'Gave up after 2 s.',
    })
  })

  it('aborts with the outer reason, and not at all after it was released', () => {
    vi.useFakeTimers()
    const outer = new AbortController()
    const stopped = withRealTimeLimit(outer.signal, 2000)
    outer.abort(new StoppedByOperator())
    expect(stopped.signal.reason).toBeInstanceOf(StoppedByOperator)
    const released = withRealTimeLimit(new AbortController().signal, 2000)
    stopped.release()
    released.release()
    vi.advanceTimersByTime(5000)
    expect(released.signal.aborted).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('the reason of an abort', () => {
  it('is the error that was given, else the operator', () => {
    const error = new AppError({ code: 'LEASE_LOST', title: 'Lost.' })
    expect(reasonOf(AbortSignal.abort(error))).toBe(error)
    expect(reasonOf(AbortSignal.abort())).toBeInstanceOf(StoppedByOperator)
    expect(reasonOf(AbortSignal.abort('because'))).toBeInstanceOf(StoppedByOperator)
  })

  it('ends work that does not listen to it', async () => {
    const controller = new AbortController()
    const work = orAborted(controller.signal, new Promise<never>(() => undefined))
    controller.abort(new StoppedByOperator())
    await expect(work).rejects.toBeInstanceOf(StoppedByOperator)
    await expect(orAborted(new AbortController().signal, Promise.resolve(7))).resolves.toBe(7)
  })
})
