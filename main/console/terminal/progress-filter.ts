import type { RunEvent } from '../../../shared/events/index.ts'

type ProgressEvent = Extract<RunEvent, { type: 'progress' }>

/** In the run's clock. A wait whose text only counts up still shows that it goes on. */
const quietLimitMilliseconds = 60_000

interface Shown {
  readonly wording: string
  readonly detail: string
  readonly tenth: number
  readonly at: number
}

/**
 * Which progress deserves a line in a log: when the wording changes, at every further tenth, and once a minute when only
 * a number in the text has changed ("412 of 9000 MB" would otherwise fill the log by itself).
 */
export class ProgressFilter {
  readonly #shown = new Map<string, Shown>()

  isNoteworthy(event: ProgressEvent): boolean {
    const key = keyOf(event.phase, event.node)
    const last = this.#shown.get(key)
    const next: Shown = {
      wording: event.detail.replace(/[\d.,]*\d/gu, '#'),
      detail: event.detail,
      tenth: event.fraction === undefined ? (last?.tenth ?? 0) : Math.floor(event.fraction * 10),
      at: Date.parse(event.time),
    }
    const isNews =
      next.wording !== last?.wording ||
      next.tenth > last.tenth ||
      (next.detail !== last.detail && next.at - last.at >= quietLimitMilliseconds)
    if (isNews) this.#shown.set(key, next)
    return isNews
  }

  /** A phase that begins anew, and a node that tries again, tell everything anew. */
  note(event: RunEvent): void {
    if (event.type === 'retry') this.#shown.delete(keyOf(event.phase, event.node))
    if (event.type === 'phase-started') {
      for (const node of [undefined, ...event.targets]) this.#shown.delete(keyOf(event.phase, node))
    }
  }
}

function keyOf(phase: string, node: string | undefined): string {
  return JSON.stringify([phase, node ?? ''])
}
