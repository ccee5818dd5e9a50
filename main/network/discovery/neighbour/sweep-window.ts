/** Fewer are never tried: below that, something else is wrong than their number. */
const smallestSize = 8
const firstPause = 400
/** After this time whoever filled the table has got its answers or has given up. */
const longestPause = 3200
/** How much larger the window gets in a second without trouble: so many, or that share of itself. */
const growth = { least: 32, share: 0.5 }
/** As long as a question lives nothing has changed: only then it is tried with more. */
const keepsSizeFor = 3500

/**
 * How many unanswered questions the system's neighbour table may hold at a time. Its room is limited (Linux:
 * `net.ipv4.neigh.default.gc_thresh3`, 1024 by default), is shared with everything else on the machine, and cannot be
 * asked for everywhere: it shows when questions do not appear in the table. Times are those of a `Stopwatch`.
 */
export class SweepWindow {
  readonly #largest: number
  #size: number
  #pause = 0
  #pausedUntil = 0
  #grownAt = 0

  constructor(largest: number) {
    this.#largest = Math.max(smallestSize, Math.floor(largest))
    this.#size = this.#largest
  }

  get size(): number {
    return Math.floor(this.#size)
  }

  /** Nothing is to be sent until then. */
  isPaused(now: number): boolean {
    return now < this.#pausedUntil
  }

  /** The table did not take everything; `held` of our questions are in it. */
  shrink(held: number, now: number): void {
    this.#size = Math.max(smallestSize, Math.min(held * 0.75, this.#size * 0.9))
    this.#pause = Math.min(longestPause, Math.max(firstPause, this.#pause * 2))
    this.#pausedUntil = now + this.#pause
    this.#grownAt = now + keepsSizeFor
  }

  /** Everything that was sent lately is in the table. */
  grow(now: number): void {
    this.#pause = 0
    const seconds = (now - this.#grownAt) / 1000
    if (seconds <= 0) return
    const perSecond = Math.max(growth.least, this.#size * growth.share)
    this.#size = Math.min(this.#largest, this.#size + perSecond * seconds)
    this.#grownAt = now
  }
}
