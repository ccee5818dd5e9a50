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
  readonly #listeners = new Set<{ readonly notify: EventListener }>()
  readonly #redact: (text: string) => string
  readonly #onFailure: (error: AppError) => void
  #seq: number
  #hasFailed = false
  #last: Promise<void> = Promise.resolve()

  constructor(options: {
    journal?: Journal | undefined
    earlier?: readonly RunEvent[]
    clock: Clock
    /** Removes secrets from every text, as the last line of defence. */
    redact: (text: string) => string
    /** Called once, when an event cannot be noted any more: a dead journal, or a bug. */
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

  /** Notes an event; whoever must not go on before it is durable uses `emitDurably`. Never throws. */
  emit(event: NewRunEvent): void {
    // A failure stops the run through onFailure; there is nothing to do for this caller.
    this.emitDurably(event).catch(() => undefined)
  }

  /** Resolves when the event is on the disk and was handed on. Never throws, only rejects. */
  emitDurably(event: NewRunEvent): Promise<void> {
    const time = new Date(this.#clock.now()).toISOString()
    // Parsing is the guarantee that nothing but what the schema names gets out.
    const parsed = runEventSchema.safeParse({
      ...redactTexts(event, this.#redact),
      seq: this.#seq + 1,
      time,
    })
    if (!parsed.success) {
      this.#fail(parsed.error)
      return Promise.reject(toAppError(parsed.error))
    }
    // Only what gets into the journal gets a number: a gap would break the chain.
    this.#seq += 1
    const noted = (this.#journal?.append(parsed.data) ?? Promise.resolve()).then(() => {
      this.#events.push(parsed.data)
      this.#handOn(parsed.data)
    })
    this.#last = noted.catch((error: unknown) => {
      this.#fail(error)
    })
    return noted
  }

  /** Resolves when everything noted so far is durable (or the journal has failed). */
  settled(): Promise<void> {
    return this.#last
  }

  /** Calls `listener` with all events above `afterSeq`, and from then on with every new one. Returns the end of it. */
  subscribe(listener: EventListener, afterSeq = 0): () => void {
    for (const event of this.#events) if (event.seq > afterSeq) listener(event)
    const subscription = { notify: listener }
    this.#listeners.add(subscription)
    return () => {
      this.#listeners.delete(subscription)
    }
  }

  #handOn(event: RunEvent): void {
    // A copy: who subscribes meanwhile has got this event by the catch-up already.
    for (const subscription of [...this.#listeners]) {
      if (!this.#listeners.has(subscription)) continue
      try {
        subscription.notify(event)
      } catch (error) {
        // The event is durable and the others shall see it; but somebody is blind now, so the run must not go on.
        this.#fail(error)
      }
    }
  }

  #fail(error: unknown): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    this.#onFailure(toAppError(error))
  }
}

/** What programs look things up by. It comes from the plan and from the code, never from a secret. */
const identifiers = new Set([
  'type',
  'mode',
  'outcome',
  'code',
  'kind',
  'credential',
  'runId',
  'planDigest',
  'id',
  'phase',
  'node',
  'nodes',
  'targets',
  'fingerprint',
  'address',
  'consoleUrl',
])

function redactTexts(value: object, redact: (text: string) => string): object {
  const redactAny = (item: unknown): unknown => {
    if (typeof item === 'string') return redact(item)
    if (Array.isArray(item)) return item.map(redactAny)
    return typeof item === 'object' && item !== null ? redactTexts(item, redact) : item
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, identifiers.has(key) ? item : redactAny(item)]),
  )
}
