import type { RunEvent } from '../../../shared/events/index.ts'

interface Note {
  readonly phase: string
  readonly node: string | undefined
}

export interface EvidenceNote extends Note {
  readonly statement: string
  readonly seen: string
}

export interface AssumptionNote extends Note {
  readonly text: string
}

/**
 * What the summary of a run tells beyond the `RunView`: the evidence, the assumptions and how much was changed.
 * Evidence is that of the latest attempt alone: what an earlier one has seen proves nothing about now.
 */
export class RunNotes {
  readonly #evidence = new Map<string, EvidenceNote>()
  #assumptions: AssumptionNote[] = []
  #changesBegun = 0
  #changesDone = 0
  #retries = 0
  #attemptStartedAt: number | undefined
  #elapsedSeconds: number | undefined

  get evidence(): readonly EvidenceNote[] {
    return [...this.#evidence.values()]
  }

  get assumptions(): readonly AssumptionNote[] {
    return this.#assumptions
  }

  /** Changes that were begun in this attempt, whatever became of them. */
  get changesBegun(): number {
    return this.#changesBegun
  }

  get changesDone(): number {
    return this.#changesDone
  }

  get retries(): number {
    return this.#retries
  }

  /** Milliseconds since the Unix epoch. */
  get attemptStartedAt(): number | undefined {
    return this.#attemptStartedAt
  }

  /** Seconds of the latest attempt, once it has ended. */
  get elapsedSeconds(): number | undefined {
    return this.#elapsedSeconds
  }

  note(event: RunEvent): void {
    switch (event.type) {
      case 'run-started':
      case 'run-resumed':
        this.#evidence.clear()
        this.#assumptions = []
        this.#changesBegun = 0
        this.#changesDone = 0
        this.#retries = 0
        this.#elapsedSeconds = undefined
        this.#attemptStartedAt = Date.parse(event.time)
        return
      case 'run-finished':
        this.#elapsedSeconds = event.elapsedSeconds
        return
      case 'evidence': {
        const { phase, node, statement, seen } = event
        this.#evidence.set(JSON.stringify([phase, node ?? '', statement]), { phase, node, statement, seen })
        return
      }
      case 'assumption':
        this.#assumptions.push({ phase: event.phase, node: event.node, text: event.text })
        return
      case 'change-started':
        this.#changesBegun += 1
        return
      case 'change-finished':
        if (event.outcome === 'done') this.#changesDone += 1
        return
      case 'retry':
        this.#retries += 1
        return
      default:
        return
    }
  }
}
