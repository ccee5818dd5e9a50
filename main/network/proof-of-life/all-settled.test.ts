import { describe, expect, it } from 'vitest'
import { allSettled } from './all-settled.ts'

describe('waiting for all', () => {
  it('gives the results in order', async () => {
    expect(await allSettled([Promise.resolve(1), Promise.resolve('two')])).toEqual([1, 'two'])
  })

  it('rejects with the first failure, but not before the others have ended', async () => {
    const failure = new Error('first')
    let end: () => void = () => undefined
    let hasEnded = false
    const slow = new Promise<void>((resolve) => {
      end = () => {
        hasEnded = true
        resolve()
      }
    })
    let isSettled = false
    const all = allSettled([slow, Promise.reject(failure), Promise.reject(new Error('second'))]).finally(
      () => {
        isSettled = true
      },
    )
    const outcome = expect(all).rejects.toBe(failure)
    await new Promise((resolve) => setImmediate(resolve))
    expect(isSettled).toBe(false)
    end()
    await outcome
    expect(hasEnded).toBe(true)
  })
})
