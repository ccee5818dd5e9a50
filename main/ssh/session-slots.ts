import { setTimeout as sleepRealTime } from 'node:timers/promises'

/** How long somebody waits for another command of the same connection to end. Real time. */
const longestWaitMilliseconds = 300_000
/** A server that has just ended a session may need a moment before it allows the next one. */
const pausesMilliseconds = [50, 150, 500, 1500]

/** A place for one session of a connection. */
export interface SessionSlot {
  /** The server allowed the session. */
  opened(): void
  /**
   * The server refused the session. True: it allows fewer at a time than were asked for; ask for a new slot, and with it wait
   * for one of the others to end. False: it allows none.
   */
  refused(): Promise<boolean>
  /** The session has ended. Twice is no error. */
  release(): void
}

/**
 * Keeps to the number of sessions that a server allows on one connection (`MaxSessions` of sshd_config). Nobody tells that
 * number beforehand: it is learned from the first refusal.
 */
export class SessionSlots {
  readonly #waiting: { enter: () => void; refuse: (error: Error) => void }[] = []
  #limit = Number.POSITIVE_INFINITY
  #used = 0
  #hasOpened = false
  #refusalsInARow = 0
  #end: Error | undefined

  /** Waits until there is room. Rejects with the signal's reason, when the connection ends, or after five minutes. */
  async take(
    signal: AbortSignal | undefined,
    timedOut: (milliseconds: number) => Error,
  ): Promise<SessionSlot> {
    signal?.throwIfAborted()
    if (this.#end !== undefined) throw this.#end
    if (this.#used >= this.#limit) await this.#wait(signal, timedOut)
    else this.#used += 1
    return this.#slot()
  }

  /** The connection has ended: whoever waits is told. */
  close(error: Error): void {
    this.#end ??= error
    for (const { refuse } of this.#waiting.splice(0)) refuse(error)
  }

  #slot(): SessionSlot {
    let isHeld = true
    const release = () => {
      if (!isHeld) return
      isHeld = false
      this.#leave()
    }
    return {
      release,
      opened: () => {
        this.#hasOpened = true
        this.#refusalsInARow = 0
      },
      refused: async () => {
        const others = this.#used - 1
        if (others > 0) {
          // Before the release: nobody who waits may take the place that does not exist.
          this.#limit = Math.min(this.#limit, others)
          release()
          return true
        }
        const pause = this.#hasOpened ? pausesMilliseconds[this.#refusalsInARow] : undefined
        this.#refusalsInARow += 1
        if (pause !== undefined) await sleepRealTime(pause)
        release()
        return pause !== undefined
      },
    }
  }

  #leave(): void {
    this.#used -= 1
    if (this.#used >= this.#limit) return
    const next = this.#waiting.shift()
    if (next === undefined) return
    this.#used += 1
    next.enter()
  }

  async #wait(signal: AbortSignal | undefined, timedOut: (milliseconds: number) => Error): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', handleAbort)
        const index = this.#waiting.indexOf(waiting)
        if (index !== -1) this.#waiting.splice(index, 1)
        settle()
      }
      const waiting = {
        enter: () => {
          end(resolve)
        },
        refuse: (error: Error) => {
          end(() => {
            reject(error)
          })
        },
      }
      const handleAbort = () => {
        waiting.refuse(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
      }
      const timer = setTimeout(() => {
        waiting.refuse(timedOut(longestWaitMilliseconds))
      }, longestWaitMilliseconds)
      signal?.addEventListener('abort', handleAbort, { once: true })
      this.#waiting.push(waiting)
    })
  }
}

/** RFC 4254 §5.1: what OpenSSH answers when there are too many sessions, and what others do. */
export function isSessionRefusal(error: unknown): boolean {
  return error instanceof Error && 'reason' in error && (error.reason === 2 || error.reason === 4)
}
