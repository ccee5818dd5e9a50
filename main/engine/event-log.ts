import { toAppError, type AppError } from '../../shared/errors/index.ts'
import { runEventSchema, type NewRunEvent, type RunEvent } from '../../shared/events/index.ts'
import type { Clock } from './clock.ts'
import type { Journal } from './journal.ts'

export type EventListener = (event: RunEvent) => void

/**
 * Numbers events, makes them durable and hands them on, in this order: what somebody has seen is in the journal.
 * Keeps all of them, so that a late viewer can catch up from any `seq`.
 */
export class EventLog {
  readonly #events: RunEvent[]
  readonly #journal: Journal | undefined
  readonly #clock: Clock
  readonly #listeners = new Set<EventListener>()
  readonly #redact: (text: string) => string
  readonly #onFailure: (error: AppError) => void
  #seq: number
  #last: Promise<void> = Promise.resolve()

  constructor(options: {
    journal?: Journal | undefined
    earlier?: readonly RunEvent[]
    clock: Clock
    /** Removes secrets from every text, as the last line of defence. */
    redact: (text: string) => string
    /** Called once, when the journal cannot be written any more. */
    onFailure: (error: AppError) => void
  }) {
    this.#journal = options.journal
    this.#events = [...(options.earlier ?? [])]
    this.#seq = this.#events.length
    this.#clock = options.clock
    this.#redact = options.redact
    this.#onFailure = options.onFailure
  }

  get events(): readonly RunEvent[] {
    return this.#events
  }

  /** Notes an event; whoever must not go on before it is durable awaits the promise. Never rejects with `void`. */
  emit(event: NewRunEvent): void {
    // A failed journal stops the run through onFailure; there is nothing to do for this caller.
    this.emitDurably(event).catch(() => undefined)
  }

  /** Resolves when the event is on the disk and was handed on. */
  emitDurably(event: NewRunEvent): Promise<void> {
    this.#seq += 1
    const positioned = { ...event, seq: this.#seq, time: new Date(this.#clock.now()).toISOString() }
    // Parsing is the guarantee that nothing but what the schema names gets out, and it redacts on the way.
    const complete = runEventSchema.parse(redactTexts(positioned, this.#redact))
    const done = (this.#journal?.append(complete) ?? Promise.resolve()).then(() => {
      this.#events.push(complete)
      for (const listener of this.#listeners) listener(complete)
    })
    this.#last = done.catch((error: unknown) => {
      this.#onFailure(toAppError(error))
    })
    return done
  }

  /** Resolves when everything noted so far is durable (or the journal has failed). */
  settled(): Promise<void> {
    return this.#last
  }

  /** Calls `listener` with all events above `afterSeq`, and from then on with every new one. Returns the end of it. */
  subscribe(listener: EventListener, afterSeq = 0): () => void {
    for (const event of this.#events) if (event.seq > afterSeq) listener(event)
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }
}

function redactTexts(value: unknown, redact: (text: string) => string): unknown {
  if (typeof value === 'string') return redact(value)
  if (Array.isArray(value)) return value.map((item) => redactTexts(item, redact))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redactTexts(item, redact)]))
  }
  return value
}
