import type { Clock } from '../engine/clock.ts'

interface Task {
  dueAt: number
  order: number
  run: (at: number) => void
}

/**
 * The lab's only source of things that happen by themselves. Runs tasks in the order of their due time on one clock,
 * with one pending timer, so that a stopped lab leaves nothing behind.
 */
export class Scheduler {
  readonly #clock: Clock
  #tasks: Task[] = []
  #count = 0
  #runningAt: number | null = null
  #timer: { dueAt: number; cancel: AbortController } | null = null
  #isStopped = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Simulated milliseconds. Inside a task: the time at which that task was due, however late the timer was. */
  now(): number {
    return this.#runningAt ?? this.#clock.now()
  }

  /** Runs `run` at `dueAt` (simulated milliseconds). Returns a function that takes it back. */
  at(dueAt: number, run: (at: number) => void): () => void {
    if (this.#isStopped) return () => undefined
    const task: Task = { dueAt, order: this.#count++, run }
    const index = this.#tasks.findIndex((other) => other.dueAt > dueAt)
    if (index === -1) this.#tasks.push(task)
    else this.#tasks.splice(index, 0, task)
    this.#arm()
    return () => {
      this.#tasks = this.#tasks.filter((other) => other !== task)
    }
  }

  /** `milliseconds` of simulated time from now. */
  after(milliseconds: number, run: (at: number) => void): () => void {
    return this.at(this.now() + milliseconds, run)
  }

  /** Resolves after `milliseconds` of simulated time, or at once when the lab stops. */
  sleep(milliseconds: number): Promise<void> {
    if (milliseconds <= 0 || this.#isStopped) return Promise.resolve()
    return new Promise((resolve) => {
      this.#sleepers.add(resolve)
      this.after(milliseconds, () => {
        this.#sleepers.delete(resolve)
        resolve()
      })
    })
  }
  readonly #sleepers = new Set<() => void>()

  /** Runs everything that is due. Called before each answer, so that no answer is older than the clock. */
  catchUp(): void {
    if (this.#runningAt !== null) return
    for (;;) {
      const task = this.#tasks[0]
      if (task === undefined || task.dueAt > this.#clock.now()) break
      this.#tasks.shift()
      this.#runningAt = task.dueAt
      try {
        task.run(task.dueAt)
      } finally {
        this.#runningAt = null
      }
    }
    this.#arm()
  }

  stop(): void {
    this.#isStopped = true
    this.#tasks = []
    this.#timer?.cancel.abort()
    this.#timer = null
    for (const resolve of this.#sleepers) resolve()
    this.#sleepers.clear()
  }

  #arm(): void {
    const next = this.#tasks[0]
    if (next === undefined || this.#isStopped || this.#runningAt !== null) return
    if (this.#timer !== null && this.#timer.dueAt <= next.dueAt) return
    this.#timer?.cancel.abort()
    const cancel = new AbortController()
    this.#timer = { dueAt: next.dueAt, cancel }
    this.#clock.sleep(Math.max(0, next.dueAt - this.#clock.now()), cancel.signal).then(
      () => {
        this.#timer = null
        this.catchUp()
      },
      () => undefined, // aborted: an earlier task took over, or the lab stopped
    )
  }
}
