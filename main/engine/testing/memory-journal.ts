import type { RunEvent } from '../../../shared/events/index.ts'
import type { Journal } from '../journal.ts'

/** A journal without a file, whose disk a test can stop and break. */
export interface MemoryJournal extends Journal {
  /** What is "on the disk". */
  readonly events: readonly RunEvent[]
  /** From now on nothing becomes durable, until `flow`. */
  hold(): void
  flow(): void
  /** From now on every line fails with `error`. */
  breakWith(error: Error): void
}

export function createMemoryJournal(): MemoryJournal {
  const events: RunEvent[] = []
  let failure: Error | undefined
  let gate: PromiseWithResolvers<void> | undefined
  let queue: Promise<void> = Promise.resolve()
  return {
    file: 'memory',
    events,
    append: (event) => {
      const written = queue.then(async () => {
        await gate?.promise
        if (failure !== undefined) throw failure
        events.push(event)
      })
      queue = written.catch(() => undefined)
      return written
    },
    close: () => queue,
    hold: () => {
      gate = Promise.withResolvers()
    },
    flow: () => {
      gate?.resolve()
      gate = undefined
    },
    breakWith: (error) => {
      failure = error
    },
  }
}
