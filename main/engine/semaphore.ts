import { reasonOf } from './cancellation.ts'

/** Lets at most `limit` holders in at the same time, in the order they came. */
export class Semaphore {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(limit: number) {
    this.#free = limit
  }

  /** Runs `work` when a place is free. Rejects with the signal's reason when aborted while waiting. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#enter(signal)
    try {
      // Between the place becoming free and now the run may have been stopped.
      signal.throwIfAborted()
      return await work()
    } finally {
      this.#leave()
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#free > 0) {
      this.#free -= 1
      return
    }
    await new Promise<void>((resolve, reject) => {
      const handleAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1)
        reject(reasonOf(signal))
      }
      const enter = () => {
        signal.removeEventListener('abort', handleAbort)
        resolve()
      }
      signal.addEventListener('abort', handleAbort, { once: true })
      this.#waiting.push(enter)
    })
  }

  #leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free += 1
    else next()
  }
}
