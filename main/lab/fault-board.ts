import type { Fault, FaultKind, LabEventName } from './scenario.ts'
import type { Scheduler } from './scheduler.ts'

type FaultOf<Kind extends FaultKind> = Extract<Fault, { kind: Kind }>

interface Entry {
  readonly fault: Fault
  state: 'armed' | 'active' | 'over'
  /** Hits that are left; `null` when time, not a count, ends it. */
  remaining: number | null
  /** Simulated milliseconds. */
  until: number
  /** Requests seen that fit `onRequest`. */
  seen: number
}

/** A request as faults see it. */
export interface RequestFacts {
  service: 'local-api' | 'console'
  node: string | null
  method: string
  path: string
}

export type RequestFault = FaultOf<'http-error' | 'garbage' | 'slow'>

/** Knows which faults are waiting, at work and over. */
export class FaultBoard {
  readonly #scheduler: Scheduler
  readonly #entries: Entry[] = []
  readonly #startAct: (fault: Fault) => void

  /** `startAct`: does what a fault does by itself when it begins (cut a node off, restart it, change a key). */
  constructor(scheduler: Scheduler, startAct: (fault: Fault) => void) {
    this.#scheduler = scheduler
    this.#startAct = startAct
  }

  add(fault: Fault): void {
    const entry: Entry = {
      fault,
      state: 'armed',
      remaining: 'times' in fault && !('for' in fault && fault.for !== undefined) ? fault.times : null,
      until: Infinity,
      seen: 0,
    }
    this.#entries.push(entry)
    if ('at' in fault && fault.at !== undefined)
      this.#scheduler.at(this.#start + fault.at, () => {
        this.#begin(entry)
      })
    else if (
      !('after' in fault && fault.after !== undefined) &&
      !('onRequest' in fault && fault.onRequest !== undefined)
    ) {
      this.#begin(entry)
    }
  }

  /** Simulated time that `at` counts from. */
  #start = 0
  startsAt(time: number): void {
    this.#start = time
  }

  event(name: LabEventName, node: string | null): void {
    for (const entry of this.#entries) {
      const { fault } = entry
      if (entry.state !== 'armed' || !('after' in fault) || fault.after?.event !== name) continue
      if (fault.node !== undefined && node !== null && fault.node !== node) continue
      const { delay } = fault.after
      // Taken out of `armed` at once, so that a second event does not start it twice.
      entry.state = 'over'
      this.#scheduler.after(delay, () => {
        entry.state = 'armed'
        this.#begin(entry)
      })
    }
  }

  /** Counts a request, begins what waited for it, and returns what shall happen to its answer. */
  request(facts: RequestFacts): RequestFault[] {
    const hits: RequestFault[] = []
    for (const entry of this.#entries) {
      const { fault } = entry
      const isAnswered = fault.kind === 'http-error' || fault.kind === 'garbage' || fault.kind === 'slow'
      const filter = 'onRequest' in fault ? fault.onRequest : undefined
      if (filter === undefined ? !isAnswered : !isFitting(filter, facts)) continue
      if ('node' in fault && fault.node !== undefined && fault.node !== facts.node) continue
      entry.seen += 1
      if (entry.state === 'armed' && filter !== undefined && entry.seen >= filter.nth) this.#begin(entry)
      if (isAnswered && this.#isActive(entry) && this.#use(entry)) hits.push(fault)
    }
    return hits
  }

  /** The fault of this kind that is at work on the node, with its end in simulated time. */
  active<Kind extends FaultKind>(
    kind: Kind,
    node: string | null,
  ): { fault: FaultOf<Kind>; until: number } | null {
    const entry = this.#find(kind, node)
    return entry === undefined ? null : { fault: entry.fault as FaultOf<Kind>, until: entry.until }
  }

  /** Like `active`, and uses up one of its `times`. */
  take<Kind extends FaultKind>(kind: Kind, node: string | null): FaultOf<Kind> | null {
    const entry = this.#find(kind, node)
    return entry !== undefined && this.#use(entry) ? (entry.fault as FaultOf<Kind>) : null
  }

  #find(kind: FaultKind, node: string | null): Entry | undefined {
    return this.#entries.find(
      (entry) =>
        entry.fault.kind === kind &&
        this.#isActive(entry) &&
        (!('node' in entry.fault) || entry.fault.node === undefined || entry.fault.node === node),
    )
  }

  #isActive(entry: Entry): boolean {
    return entry.state === 'active' && this.#scheduler.now() < entry.until && entry.remaining !== 0
  }

  #use(entry: Entry): boolean {
    if (entry.remaining === null) return true
    if (entry.remaining === 0) return false
    entry.remaining -= 1
    return true
  }

  #begin(entry: Entry): void {
    entry.state = 'active'
    if ('for' in entry.fault && entry.fault.for !== undefined && entry.fault.kind !== 'deploy-stalls') {
      entry.until = this.#scheduler.now() + entry.fault.for
    }
    this.#startAct(entry.fault)
  }
}

function isFitting(filter: NonNullable<RequestFault['onRequest']>, facts: RequestFacts): boolean {
  return (
    filter.service === facts.service &&
    (filter.method === '*' || filter.method.toUpperCase() === facts.method) &&
    (filter.path === facts.path ||
      (filter.path.endsWith('*') && facts.path.startsWith(filter.path.slice(0, -1))))
  )
}
