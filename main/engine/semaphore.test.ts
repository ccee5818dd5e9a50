import { describe, expect, it, vi } from 'vitest'
import { StoppedByOperator } from './cancellation.ts'
import { Semaphore } from './semaphore.ts'
import { letOthersRun } from './testing/manual-clock.ts'

const { signal: never } = new AbortController()

/** Takes the place until the returned function is called. */
function occupy(semaphore: Semaphore): { leave: () => void; left: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const left = semaphore.run(never, () => promise)
  return {
    leave: () => {
      resolve(undefined)
    },
    left,
  }
}

describe('a semaphore', () => {
  it('lets in as many as it has places, in the order they came', async () => {
    const semaphore = new Semaphore(1)
    const holder = occupy(semaphore)
    const order: number[] = []
    const others = [1, 2, 3].map((number) => semaphore.run(never, () => Promise.resolve(order.push(number))))
    await letOthersRun()
    expect(order).toEqual([])
    holder.leave()
    await Promise.all(others)
    expect(order).toEqual([1, 2, 3])
  })

  it('gets the place back from work that failed', async () => {
    const semaphore = new Semaphore(1)
    await expect(semaphore.run(never, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed')
    await expect(semaphore.run(never, () => Promise.resolve('next'))).resolves.toBe('next')
  })

  it('lets go who stops waiting, and keeps the place of the others', async () => {
    const semaphore = new Semaphore(1)
    const holder = occupy(semaphore)
    const stop = new AbortController()
    const work = vi.fn<() => Promise<void>>(() => Promise.resolve())
    const stopped = semaphore.run(stop.signal, work)
    const patient = semaphore.run(never, () => Promise.resolve('patient'))
    stop.abort(new StoppedByOperator())
    await expect(stopped).rejects.toBeInstanceOf(StoppedByOperator)
    holder.leave()
    await expect(patient).resolves.toBe('patient')
    expect(work).not.toHaveBeenCalled()
  })

  it('does not begin work that was stopped in the moment its place became free, and passes the place on', async () => {
    const semaphore = new Semaphore(1)
    const stop = new AbortController()
    const work = vi.fn<() => Promise<void>>(() => Promise.resolve())
    // Who is let in stops listening for the stop while it waits; in that moment the stop comes.
    const holder = occupy(semaphore)
    const stopped = semaphore.run(stop.signal, work)
    const next = semaphore.run(never, () => Promise.resolve('next'))
    const placeIsHandedOn = new Promise<void>((resolve) => {
      const remove = stop.signal.removeEventListener.bind(stop.signal)
      vi.spyOn(stop.signal, 'removeEventListener').mockImplementation(
        (...parts: Parameters<typeof remove>) => {
          remove(...parts)
          stop.abort(new StoppedByOperator())
          resolve()
        },
      )
    })
    holder.leave()
    await placeIsHandedOn
    await expect(stopped).rejects.toBeInstanceOf(StoppedByOperator)
    await expect(next).resolves.toBe('next')
    expect(work).not.toHaveBeenCalled()
  })
})
