import {
  remainingSeconds,
  type PhaseView,
  type RunView,
  type Status,
  type TargetView,
} from '../../../shared/events/index.ts'
import { formatDuration, formatRemaining } from './duration.ts'
import { bar, paintLine, paintNothing, percent, statusSpan, statusWord, unicodeGlyphs } from './style.ts'
import type { Glyphs, Line, Paint, Span } from './style.ts'
import { cleanText, countOf, fitText, widthOf } from './text.ts'

export interface ViewLayout {
  /** Columns of the terminal. */
  readonly width: number
  /** Rows of the terminal; one of them stays free for the cursor. */
  readonly height: number
  /** Milliseconds since the Unix epoch, in the run's clock. */
  readonly now: number
  /** Begin of this attempt, in milliseconds; without it the time since the first attempt is shown. */
  readonly since?: number | undefined
  readonly glyphs?: Glyphs
  readonly paint?: Paint
}

interface Lane {
  readonly name: string
  readonly target: TargetView
}

interface Section {
  readonly phase: PhaseView
  readonly lanes: readonly Lane[]
}

/** What cannot be left out of the picture comes first. */
const laneOrder: readonly Status[] = ['failed', 'running', 'stopped', 'pending', 'planned', 'done', 'skipped']

/**
 * The live picture of a run: at most `height - 1` lines of at most `width` columns, whatever the run holds. Where there
 * is not room for everything, the failed and the running come first and the rest is counted.
 */
export function renderView(view: RunView, layout: ViewLayout): string[] {
  const glyphs = layout.glyphs ?? unicodeGlyphs
  const paint = layout.paint ?? paintNothing
  const width = Math.max(0, Math.floor(layout.width))
  const rows = Math.max(0, Math.floor(layout.height) - 1)
  const isRoomy = rows >= 18

  const top = [headerLine(view, layout, glyphs), progressLine(view, layout.now, width, glyphs)]
  const errors = errorLines(view, rows, glyphs)
  const warnings = warningLines(view, rows)
  const blank: Line[] = isRoomy ? [[]] : []
  const bottom = [
    ...(warnings.length > 0 ? blank : []),
    ...warnings,
    ...(errors.length > 0 ? blank : []),
    ...errors,
  ]
  const body = phaseLines(view, rows - top.length - blank.length - bottom.length, layout.now, width, glyphs)
  const lines = [...top, ...blank, ...body, ...bottom]
  return lines.slice(0, rows).map((line) => paintLine(line, width, glyphs, paint))
}

/** The list of all phases without their nodes, for the end of a run: one line each. */
export function renderPhaseList(
  view: RunView,
  options: { readonly width: number; readonly glyphs: Glyphs; readonly paint: Paint },
): string[] {
  const now = view.lastEventAt ?? 0
  return view.phases.map((phase) =>
    paintLine(phaseLine(phase, now, options.glyphs), options.width, options.glyphs, options.paint),
  )
}

function headerLine(view: RunView, layout: ViewLayout, glyphs: Glyphs): Line {
  const start = layout.since ?? view.startedAt
  const end = view.status === 'running' || view.lastEventAt === undefined ? layout.now : view.lastEventAt
  const parts: Span[] = [{ text: `Palette on ${cleanText(view.site ?? 'the site')}`, tone: 'strong' }]
  if (view.mode === 'dry-run') parts.push({ text: 'dry run, changes nothing', tone: 'alert' })
  if (start !== undefined) parts.push({ text: formatDuration((end - start) / 1000), tone: 'plain' })
  if (view.attempts > 1) parts.push({ text: `attempt ${view.attempts}`, tone: 'plain' })
  if (view.runId !== undefined) parts.push({ text: `run ${cleanText(view.runId)}`, tone: 'quiet' })
  return parts.flatMap((part, index): Span[] =>
    index === 0 ? [part] : [{ text: ` ${glyphs.separator} `, tone: 'quiet' }, part],
  )
}

function progressLine(view: RunView, now: number, width: number, glyphs: Glyphs): Line {
  const cells = Math.max(0, Math.min(40, Math.floor(width / 2) - 8))
  const rest =
    view.status === 'running'
      ? formatRemaining(remainingSeconds(view, now))
      : view.status === 'pending'
        ? 'starting'
        : statusWord(view.status)
  return [
    bar(view.progress, cells, glyphs),
    { text: ` ${percent(view.progress).padStart(5)}`, tone: 'strong' },
    { text: rest === '' ? '' : `  ${rest}`, tone: 'plain' },
  ]
}

function phaseLines(view: RunView, room: number, now: number, width: number, glyphs: Glyphs): Line[] {
  if (room <= 0 || view.phases.length === 0) return []
  const sections = view.phases.map((phase): Section => ({
    phase,
    lanes: isUnfolded(phase, view) ? lanesOf(phase, view) : [],
  }))
  const wanted = sections.reduce((sum, section) => sum + section.lanes.length, 0)
  const laneRoom =
    wanted + sections.length <= room
      ? wanted
      : Math.min(wanted, Math.max(Math.ceil(room / 2), room - sections.length), room - 1)
  const { shown, hidden } = phaseWindow(sections, room - laneRoom)

  const lines: Line[] = []
  let left = laneRoom
  for (const section of shown) {
    lines.push(phaseLine(section.phase, now, glyphs))
    if (section.lanes.length === 0 || left <= 0) continue
    const lanes = laneLines(section.lanes, left, width, glyphs)
    left -= lanes.length
    lines.push(...lanes)
  }
  if (hidden.length > 0) {
    const counts = countStatuses(hidden.map((section) => section.phase.status))
    lines.push([
      { text: `${glyphs.ellipsis} and ${countOf(hidden.length, 'more phase')}: ${counts}`, tone: 'quiet' },
    ])
  }
  return lines
}

/** The running phases show their nodes; when the run has come to a halt, so does the phase where it did. */
function isUnfolded(phase: PhaseView, view: RunView): boolean {
  if (phase.status === 'running') return true
  const isHalted = !view.phases.some((other) => other.status === 'running')
  return isHalted && (phase.status === 'failed' || phase.status === 'stopped')
}

function lanesOf(phase: PhaseView, view: RunView): Lane[] {
  const order = new Map(view.nodes.map((name, index) => [name, index]))
  return [...phase.targets]
    .map(([name, target]) => ({ name, target }))
    .sort((a, b) => (order.get(a.name) ?? view.nodes.length) - (order.get(b.name) ?? view.nodes.length))
}

/** As many phases as there are rows, around the first unfolded one, or the first that still waits. */
function phaseWindow(
  sections: readonly Section[],
  room: number,
): { shown: readonly Section[]; hidden: readonly Section[] } {
  if (sections.length <= room) return { shown: sections, hidden: [] }
  // A row for the count of those that are not shown, unless that would leave none for a phase.
  const size = room >= 2 ? room - 1 : Math.max(0, room)
  const found = sections.findIndex((section) => section.lanes.length > 0)
  const waiting = sections.findIndex((section) => section.phase.status === 'pending')
  const anchor = found >= 0 ? found : waiting >= 0 ? waiting : sections.length - 1
  // What was done just before is worth less than what comes next: one row of the past when there are three.
  const start = Math.max(0, Math.min(anchor - (size >= 3 ? 1 : 0), sections.length - size))
  const shown = sections.slice(start, start + size)
  return { shown, hidden: room >= 2 ? sections.filter((section) => !shown.includes(section)) : [] }
}

function phaseLine(phase: PhaseView, now: number, glyphs: Glyphs): Line {
  const seconds =
    phase.elapsedSeconds ??
    (phase.status === 'running' && phase.startedAt !== undefined ? (now - phase.startedAt) / 1000 : undefined)
  const finished = [...phase.targets.values()].filter((target) => isFinished(target.status)).length
  const nodes =
    phase.status === 'running' && phase.targets.size > 1 ? `${finished} of ${phase.targets.size} done` : ''
  const extra = [nodes, seconds === undefined || seconds < 1 ? '' : formatDuration(seconds)].filter(
    (part) => part !== '',
  )
  return [
    statusSpan(phase.status, glyphs),
    { text: ` ${cleanText(phase.title)}`, tone: phase.status === 'running' ? 'strong' : 'plain' },
    { text: extra.length === 0 ? '' : `  ${extra.join(', ')}`, tone: 'quiet' },
  ]
}

function isFinished(status: Status): boolean {
  return status === 'done' || status === 'skipped' || status === 'planned'
}

function laneLines(lanes: readonly Lane[], room: number, width: number, glyphs: Glyphs): Line[] {
  const names = lanes.map((lane) => laneName(lane))
  const nameWidth = Math.min(
    names.reduce((widest, name) => Math.max(widest, widthOf(name)), 0),
    Math.max(4, Math.floor(width / 4)),
  )
  if (lanes.length <= room) return lanes.map((lane) => laneLine(lane, nameWidth, width, glyphs))
  // Sorting is stable: nodes of the same state keep their places from one picture to the next.
  const urgent = [...lanes].sort(
    (a, b) => laneOrder.indexOf(a.target.status) - laneOrder.indexOf(b.target.status),
  )
  const shown = urgent.slice(0, room - 1)
  const hidden = urgent.slice(room - 1)
  const counts = countStatuses(hidden.map((lane) => lane.target.status))
  const text =
    shown.length === 0
      ? `  ${countOf(hidden.length, 'node')}: ${counts}`
      : `  ${glyphs.ellipsis} and ${hidden.length} more: ${counts}`
  return [...shown.map((lane) => laneLine(lane, nameWidth, width, glyphs)), [{ text, tone: 'quiet' }]]
}

function laneName(lane: Lane): string {
  return lane.name === '' ? 'site' : cleanText(lane.name)
}

function laneLine(lane: Lane, nameWidth: number, width: number, glyphs: Glyphs): Line {
  const { status, detail, fraction } = lane.target
  const cells = width >= 100 ? 12 : width >= 60 ? 8 : 4
  return [
    { text: `  ${fitText(laneName(lane), nameWidth, glyphs.ellipsis)} `, tone: 'plain' },
    statusSpan(status, glyphs),
    { text: ' ', tone: 'plain' },
    bar(fraction, cells, glyphs),
    { text: width >= 60 ? ` ${percent(fraction).padStart(5)}` : '', tone: 'plain' },
    { text: detail === '' ? '' : ` ${cleanText(detail)}`, tone: status === 'done' ? 'quiet' : 'plain' },
  ]
}

/** The order in which states are counted: trouble first, then what is behind, then what is ahead. */
const countOrder: readonly Status[] = [
  'failed',
  'running',
  'stopped',
  'done',
  'skipped',
  'planned',
  'pending',
]

/** `80 done, 7 waiting`. */
function countStatuses(statuses: readonly Status[]): string {
  const parts: string[] = []
  for (const status of countOrder) {
    const count = statuses.filter((other) => other === status).length
    if (count > 0) parts.push(`${count} ${statusWord(status)}`)
  }
  return parts.join(', ')
}

function warningLines(view: RunView, rows: number): Line[] {
  const room = rows >= 24 ? 3 : rows >= 12 ? 1 : 0
  const shown = room === 0 ? [] : view.warnings.slice(-room)
  const hidden = view.warnings.length - shown.length
  return shown.map((warning, index): Line => {
    const more = index === 0 && hidden > 0 ? ` (${hidden} before)` : ''
    const where = warning.node === undefined ? '' : ` ${cleanText(warning.node)}`
    return [
      { text: `warning${more}${where}:`, tone: 'alert' },
      { text: ` ${cleanText(warning.text)}`, tone: 'plain' },
    ]
  })
}

function errorLines(view: RunView, rows: number, glyphs: Glyphs): Line[] {
  const room = rows >= 18 ? 4 : rows >= 12 ? 2 : 1
  const shown = view.errors.slice(0, view.errors.length > room ? Math.max(1, room - 1) : room)
  const hidden = view.errors.length - shown.length
  const lines = shown.map((error): Line => {
    // Where only one row is left, it tells both: one error, and that there are others.
    const more = room === 1 && hidden > 0 ? ` (1 of ${view.errors.length})` : ''
    const where = error.node === undefined ? '' : ` ${cleanText(error.node)}`
    return [
      { text: `error${more}${where}:`, tone: 'bad' },
      { text: ` ${cleanText(error.title)}`, tone: 'plain' },
    ]
  })
  if (room > 1 && hidden > 0) {
    lines.push([{ text: `${glyphs.ellipsis} and ${countOf(hidden, 'more error')}`, tone: 'bad' }])
  }
  return lines
}
