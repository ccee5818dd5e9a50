import { assertNever, type AppErrorData } from '../../../shared/errors/index.ts'
import type { RunView } from '../../../shared/events/index.ts'
import { formatDuration } from './duration.ts'
import { listNames } from './event-line.ts'
import type { RunNotes } from './run-notes.ts'
import { paintNothing, type Paint } from './style.ts'
import { cleanLines, cleanText, countOf } from './text.ts'

/** Statements of one phase, and warnings, that a summary lists before it counts the rest; the journal has all. */
const mostStatements = 6
const mostWarnings = 10

export interface SummaryOptions {
  /** What to type to go on, e.g. `landfall run rig-7.yaml --resume`. */
  readonly resumeCommand: string
  /** Where things are and the like; stands before the last line. */
  readonly footnotes?: readonly string[]
  readonly paint?: Paint
}

/** What a run has come to, in several lines, and as the last one what to do next. */
export function formatSummary(view: RunView, notes: RunNotes, options: SummaryOptions): string {
  const paint = options.paint ?? paintNothing
  const blocks = [
    headline(view, notes, paint),
    ...bodyBlocks(view, notes, paint),
    (options.footnotes ?? []).map(cleanText),
    nextStep(view, notes, options),
  ]
  return blocks
    .filter((block) => block.length > 0)
    .map((block) => block.join('\n'))
    .join('\n\n')
}

/** One error as a block: what, where, what was seen, and what the operator can do about it. */
export function formatError(error: AppErrorData, paint: Paint = paintNothing): string {
  const place = [
    error.node === undefined ? '' : `node ${cleanText(error.node)}`,
    error.phase === undefined ? '' : `phase ${cleanText(error.phase)}`,
    cleanText(error.code),
  ].filter((part) => part !== '')
  const lines = [paint(`Error: ${cleanText(error.title)}`, 'bad'), `  Where: ${place.join(', ')}`]
  const detail = cleanLines(error.detail)
  for (const [index, line] of detail.entries())
    lines.push(`${index === 0 ? '  Seen:  ' : '         '}${line}`)
  if (error.remedies.length > 0) lines.push('  What you can do:')
  for (const [index, remedy] of error.remedies.entries()) lines.push(`    ${index + 1}. ${cleanText(remedy)}`)
  return lines.map((line) => line.trimEnd()).join('\n')
}

function headline(view: RunView, notes: RunNotes, paint: Paint): string[] {
  const what = `${view.mode === 'dry-run' ? 'Dry run' : 'Run'} ${cleanText(view.runId ?? '')} on site ${cleanText(view.site ?? '')}`
  const time = notes.elapsedSeconds === undefined ? '' : ` after ${formatDuration(notes.elapsedSeconds)}`
  switch (view.status) {
    case 'done':
      return [paint(`${what}: done${time}.`, 'good'), counts(view, notes)]
    case 'failed':
      return [paint(`${what}: FAILED${time}.`, 'bad'), counts(view, notes)]
    case 'stopped':
      return [paint(`${what}: stopped${time}.`, 'alert'), counts(view, notes)]
    case 'pending':
    case 'running':
      return [paint(`${what}: broke off before its end.`, 'bad'), counts(view, notes)]
    default:
      return assertNever(view.status)
  }
}

function counts(view: RunView, notes: RunNotes): string {
  const reached = view.phases.filter((phase) => isReached(phase.status)).length
  const changes =
    view.mode === 'dry-run'
      ? `${countOf(view.plannedChanges.length, 'change')} planned, ${countOf(notes.assumptions.length, 'assumption')}`
      : `${countOf(notes.changesDone, 'change')} made`
  const unfinished = notes.changesBegun - notes.changesDone
  return [
    `${reached} of ${countOf(view.phases.length, 'phase')} complete`,
    countOf(view.nodes.length, 'node'),
    changes,
    ...(view.mode === 'apply' && unfinished > 0
      ? [`${countOf(unfinished, 'change')} failed or of unknown outcome`]
      : []),
    `${notes.evidence.length} verified`,
    countOf(notes.retries, 'retry', 'retries'),
    countOf(view.warnings.length, 'warning'),
    countOf(view.errors.length, 'error'),
  ].join(', ')
}

function bodyBlocks(view: RunView, notes: RunNotes, paint: Paint): string[][] {
  const errors = view.errors.map((error) => [formatError(error, paint)])
  const warnings = warningBlock(view, paint)
  if (view.mode === 'dry-run') {
    return [plannedBlock(view), assumptionBlock(notes), warnings, ...errors]
  }
  switch (view.status) {
    case 'done':
      return [evidenceBlock(view, notes), warnings, ...errors]
    case 'failed':
    case 'stopped':
    case 'pending':
    case 'running':
      return [progressBlock(view), warnings, ...errors]
    default:
      return assertNever(view.status)
  }
}

function evidenceBlock(view: RunView, notes: RunNotes): string[] {
  if (notes.evidence.length === 0) return ['Verified: nothing was reported as verified.']
  const lines = ['Verified:']
  for (const phase of phasesOf(view, notes.evidence)) {
    const nodesByStatement = new Map<string, { nodes: string[]; seen: Set<string> }>()
    for (const entry of notes.evidence) {
      if (entry.phase !== phase.id) continue
      const group = nodesByStatement.get(entry.statement) ?? { nodes: [], seen: new Set() }
      if (entry.node !== undefined) group.nodes.push(entry.node)
      group.seen.add(entry.seen)
      nodesByStatement.set(entry.statement, group)
    }
    lines.push(`  ${phase.title}`)
    for (const [statement, { nodes, seen }] of [...nodesByStatement].slice(0, mostStatements)) {
      const where = nodes.length === 0 ? '' : `${listNames(nodes)}: `
      // Several nodes that showed different things: the statement stands for all, the journal has each.
      const [only] = seen.size === 1 ? seen : []
      lines.push(
        `    ${where}${cleanText(statement)}${only === undefined || only === '' ? '' : ` (${cleanText(only)})`}`,
      )
    }
    const hidden = nodesByStatement.size - mostStatements
    if (hidden > 0) lines.push(`    and ${hidden} more, all of them in the journal`)
  }
  return lines
}

function progressBlock(view: RunView): string[] {
  const complete = view.phases.filter((phase) => isReached(phase.status))
  const open = view.phases.filter((phase) => !isReached(phase.status))
  return [
    `Complete: ${complete.length === 0 ? 'nothing yet' : complete.map((phase) => cleanText(phase.title)).join(', ')}`,
    ...(open.length === 0 ? [] : [`Still to do: ${open.map((phase) => cleanText(phase.title)).join(', ')}`]),
  ]
}

function plannedBlock(view: RunView): string[] {
  if (view.plannedChanges.length === 0) {
    return [view.status === 'done' ? 'A run would change nothing.' : 'No change was planned up to here.']
  }
  const lines = [view.status === 'done' ? 'A run would change:' : 'Up to here, a run would change:']
  for (const phase of phasesOf(view, view.plannedChanges)) {
    lines.push(`  ${phase.title}`)
    for (const node of [...new Set(view.plannedChanges.map((change) => change.node))]) {
      const changes = view.plannedChanges.filter(
        (change) => change.phase === phase.id && change.node === node,
      )
      for (const change of changes) {
        // What follows the first line is the difference that it makes.
        const [first = '', ...difference] = cleanLines(change.what)
        lines.push(`    ${cleanText(node ?? 'site')}: ${first}`, ...difference.map((line) => `      ${line}`))
      }
    }
  }
  return lines
}

function assumptionBlock(notes: RunNotes): string[] {
  if (notes.assumptions.length === 0) return []
  // One unreachable node is the reason in many phases; it is said once.
  const lines = notes.assumptions.map(
    ({ node, text }) => `  ${cleanText(node ?? 'site')}: ${cleanText(text)}`,
  )
  return ['Assumed, because it could not be read:', ...new Set(lines)]
}

function warningBlock(view: RunView, paint: Paint): string[] {
  if (view.warnings.length === 0) return []
  const shown = view.warnings.slice(-mostWarnings)
  const hidden = view.warnings.length - shown.length
  const lines = [paint('Warnings:', 'alert')]
  if (hidden > 0) lines.push(`  ${hidden} earlier ones are in the journal`)
  for (const { node, text } of shown) lines.push(`  ${cleanText(node ?? 'site')}: ${cleanText(text)}`)
  return lines
}

function nextStep(view: RunView, notes: RunNotes, options: SummaryOptions): string[] {
  const goOn = `Go on with: ${cleanText(options.resumeCommand)}`
  if (view.mode === 'dry-run') {
    // A promise that is checked: only if no change was begun.
    return notes.changesBegun === 0
      ? ['Nothing was changed.']
      : [
          `${countOf(notes.changesBegun, 'change')} began although this was a dry run. Report this as a fault of Landfall.`,
        ]
  }
  switch (view.status) {
    case 'done':
      return view.consoleUrl === undefined
        ? ['The installation is complete.']
        : [`Palette is ready: ${cleanText(view.consoleUrl)}`]
    case 'failed':
      return ['What is complete stays complete. Put right what is said above.', goOn]
    case 'stopped':
    case 'pending':
    case 'running':
      return ['What is complete stays complete, and what was cut off is read back first.', goOn]
    default:
      return assertNever(view.status)
  }
}

function isReached(status: RunView['phases'][number]['status']): boolean {
  return status === 'done' || status === 'skipped' || status === 'planned'
}

/** The phases that the entries speak of, in the order of the run; unknown ones last, under their id. */
function phasesOf(view: RunView, entries: readonly { phase: string }[]): { id: string; title: string }[] {
  const ids = new Set(entries.map((entry) => entry.phase))
  const known = view.phases.filter((phase) => ids.delete(phase.id))
  return [
    ...known.map((phase) => ({ id: phase.id, title: cleanText(phase.title) })),
    ...[...ids].map((id) => ({ id, title: cleanText(id) })),
  ]
}
