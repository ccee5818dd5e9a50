import { assertNever, type AppErrorData } from '../../../shared/errors/index.ts'
import type { RunEvent } from '../../../shared/events/index.ts'
import { formatDuration, formatTimeOfDay } from './duration.ts'
import { cleanText, countOf, fitText } from './text.ts'

/** Columns of the phase and of the node; longer ones push the text on instead of being cut: a log is searched. */
const phaseColumn = 18
const nodeColumn = 8

/** Names that a line lists before it counts the rest. */
const mostNames = 8

/**
 * One line of the log of a run, `HH:MM:SS  phase  node  text`, or `undefined` for events that say nothing on their own.
 * Progress is always formatted; `ProgressFilter` decides which of it is worth a line.
 */
export function formatEventLine(event: RunEvent): string | undefined {
  const text = describe(event)
  if (text === undefined) return undefined
  const place = 'phase' in event ? event.phase : 'run'
  const node = 'node' in event && event.node !== undefined ? event.node : '-'
  const columns = [
    formatTimeOfDay(Date.parse(event.time)),
    column(place, phaseColumn),
    column(node, nodeColumn),
    cleanText(text),
  ]
  return columns.join('  ').trimEnd()
}

function describe(event: RunEvent): string | undefined {
  switch (event.type) {
    case 'run-started':
      return `${event.mode === 'dry-run' ? 'dry run' : 'run'} ${event.runId} on site ${event.site}: ${scale(event)}`
    case 'run-resumed': {
      const changed =
        event.changedInputs.length === 0
          ? ''
          : `; changed in the plan since: ${listNames(event.changedInputs)}`
      return `run ${event.runId} on site ${event.site} goes on: ${scale(event)}${changed}`
    }
    case 'run-finished':
      return `${event.outcome} after ${formatDuration(event.elapsedSeconds)}`
    case 'phase-started': {
      const names = event.targets.filter((name) => name !== '')
      return names.length === 0 ? 'started' : `started for ${listNames(names)}`
    }
    case 'phase-finished':
      return event.outcome === 'skipped'
        ? 'nothing to do'
        : `${event.outcome} after ${formatDuration(event.elapsedSeconds)}`
    case 'target-started':
      return undefined
    case 'target-finished':
      // What concerns the whole site ends together with its phase, which says the same.
      if (event.node === undefined) return undefined
      return event.outcome === 'already-done'
        ? 'nothing to do'
        : `${event.outcome} after ${formatDuration(event.elapsedSeconds)}`
    case 'progress':
      return event.fraction === undefined
        ? event.detail
        : `${event.detail} (${Math.floor(event.fraction * 100)} %)`
    case 'evidence':
      return `verified: ${event.statement}${event.seen === '' ? '' : ` (seen: ${event.seen})`}`
    case 'change-started':
      return `changing [${event.key}]: ${firstLine(event.what)}`
    case 'change-finished':
      return describeChangeEnd(event.key, event.outcome)
    case 'change-planned':
      return `would change [${event.key}]: ${firstLine(event.what)}`
    case 'assumption':
      return `assumed: ${event.text}`
    case 'identity-pinned':
      return `identity pinned: ${event.kind} ${event.endpoint} ${event.algorithm} ${event.fingerprint}`
    case 'credential-tried':
      return event.outcome === 'trying'
        ? undefined
        : `login of ${event.account} with the ${event.credential} password: ${event.outcome}`
    case 'vip-chosen':
      return `the virtual IP address is ${event.address}`
    case 'retry': {
      const wait = event.delaySeconds === 0 ? 'now' : `in ${formatDuration(event.delaySeconds)}`
      return `attempt ${event.attempt} failed, trying again ${wait}: ${describeError(event.error)}`
    }
    case 'warning':
      return `WARNING: ${event.text}`
    case 'error':
      return `ERROR: ${describeError(event.error)}`
    default:
      return assertNever(event)
  }
}

function describeChangeEnd(key: string, outcome: 'done' | 'failed' | 'unknown'): string {
  switch (outcome) {
    case 'done':
      return `changed [${key}]`
    case 'failed':
      return `change failed [${key}]`
    case 'unknown':
      return `change with unknown outcome [${key}]; it is read back before anything is repeated`
    default:
      return assertNever(outcome)
  }
}

function describeError(error: AppErrorData): string {
  return error.detail === '' ? error.title : `${error.title} ${error.detail}`
}

function scale(event: Extract<RunEvent, { type: 'run-started' | 'run-resumed' }>): string {
  return `${countOf(event.phases.length, 'phase')}, ${countOf(event.nodes.length, 'node')}`
}

/** `n1, n2, n3 and 97 more`. */
export function listNames(names: readonly string[]): string {
  if (names.length <= mostNames) return names.map((name) => cleanText(name)).join(', ')
  const first = names.slice(0, mostNames - 1).map((name) => cleanText(name))
  return `${first.join(', ')} and ${names.length - first.length} more`
}

function column(text: string, width: number): string {
  const clean = cleanText(text)
  return clean.length > width ? clean : fitText(clean, width, '')
}

/** The difference that a change makes follows in further lines; the summary and the journal have it. */
function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}
