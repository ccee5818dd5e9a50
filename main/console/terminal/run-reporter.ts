import process from 'node:process'
import { assertNever } from '../../../shared/errors/index.ts'
import { emptyRunView, foldEvent, type RunEvent, type RunView } from '../../../shared/events/index.ts'
import type { Clock } from '../../engine/clock.ts'
import { formatEventLine } from './event-line.ts'
import { LiveScreen } from './live-screen.ts'
import { ProgressFilter } from './progress-filter.ts'
import { RunNotes } from './run-notes.ts'
import { SafeOutput, type TerminalStream } from './safe-output.ts'
import { chooseGlyphs, createPaint, type Glyphs, type Paint } from './style.ts'
import { formatSummary } from './summary.ts'
import { cleanText } from './text.ts'
import { renderPhaseList, renderView } from './view.ts'

export interface RunReporterOptions {
  /** `auto`: the live view on a terminal, otherwise plain lines. `json`: one event a line. */
  readonly format: 'auto' | 'plain' | 'json'
  readonly stdout: TerminalStream
  readonly stderr: NodeJS.WritableStream
  /** The run's clock: what elapsed times and estimates are measured with. */
  readonly clock: Pick<Clock, 'now'>
  /** Events of earlier attempts: part of the picture, but not told again. */
  readonly earlier?: readonly RunEvent[]
  /** What to type to take the run up again, as the last line of a failed one tells. */
  readonly resumeCommand?: string
  /** Asked at the end: lines of the summary before its last one. */
  readonly footnotes?: () => readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly platform?: NodeJS.Platform
  /** Milliseconds of real time, ever rising; paces the redrawing. */
  readonly now?: () => number
}

export interface RunReporter {
  /** Never throws: a fault of the picture must not stop an installation. */
  onEvent(event: RunEvent): void
  /** Ends the picture, shows the cursor, and resolves when everything is written. Can be called twice. */
  close(): Promise<void>
}

/** Real time that a slow reader of the output gets at the end. */
const flushLimitMilliseconds = 5000

/** Tells a run to a terminal, a log or a program. */
export function createRunReporter(options: RunReporterOptions): RunReporter {
  return new GuardedReporter(options)
}

/** What the three formats have in common: folding, and that no fault of theirs reaches the run. */
class GuardedReporter implements RunReporter {
  readonly #output: SafeOutput
  readonly #stderr: SafeOutput
  readonly #teller: Teller
  readonly #notes = new RunNotes()
  #view: RunView = emptyRunView
  #hasToldFault = false
  #isClosed = false

  constructor(options: RunReporterOptions) {
    // Standard error is the last place to tell anything; when it breaks too, there is nobody left to tell.
    this.#stderr = new SafeOutput(options.stderr, () => undefined)
    this.#output = new SafeOutput(options.stdout, (error) => {
      this.#tellFault('The output cannot be written any more', error)
    })
    for (const event of options.earlier ?? []) this.#fold(event)
    this.#teller = createTeller(options, this.#output, {
      view: () => this.#view,
      notes: this.#notes,
      onFault: (error) => {
        this.#tellFault('The run cannot be displayed', error)
      },
    })
  }

  onEvent(event: RunEvent): void {
    try {
      // Seen already: a replay that begins too early.
      if (event.seq <= this.#view.lastSeq) return
      this.#fold(event)
      this.#teller.tell(event)
    } catch (error) {
      this.#tellFault('The run cannot be displayed', error)
    }
  }

  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true
      try {
        this.#teller.end()
      } catch (error) {
        this.#tellFault('The run cannot be displayed', error)
      }
    }
    await Promise.all([
      this.#output.flush(flushLimitMilliseconds),
      this.#stderr.flush(flushLimitMilliseconds),
    ])
  }

  #fold(event: RunEvent): void {
    this.#view = foldEvent(this.#view, event)
    this.#notes.note(event)
  }

  #tellFault(what: string, thrown: unknown): void {
    if (this.#hasToldFault) return
    this.#hasToldFault = true
    const cause = thrown instanceof Error ? thrown.message : String(thrown)
    this.#stderr.write(`${what} (${cleanText(cause)}). The run itself goes on; the journal has everything.\n`)
  }
}

interface Teller {
  /** Called after the event was folded. */
  tell(event: RunEvent): void
  end(): void
}

interface Told {
  readonly view: () => RunView
  readonly notes: RunNotes
  readonly onFault: (error: unknown) => void
}

function createTeller(options: RunReporterOptions, output: SafeOutput, told: Told): Teller {
  const env = options.env ?? process.env
  switch (options.format) {
    case 'json':
      return {
        tell: (event) => {
          output.write(`${JSON.stringify(event)}\n`)
        },
        end: () => undefined,
      }
    case 'plain':
      return createPlainTeller(options, output, told)
    case 'auto':
      return isLiveTerminal(options.stdout, env)
        ? createLiveTeller(options, env, output, told)
        : createPlainTeller(options, output, told)
    default:
      return assertNever(options.format)
  }
}

/** A build server's pseudo-terminal and a dumb terminal cannot be redrawn. */
function isLiveTerminal(stdout: TerminalStream, env: NodeJS.ProcessEnv): boolean {
  const ci = env['CI'] ?? ''
  return stdout.isTTY === true && env['TERM'] !== 'dumb' && (ci === '' || ci === 'false' || ci === '0')
}

function summaryText(options: RunReporterOptions, told: Told, paint: Paint): string {
  const resumeCommand = options.resumeCommand ?? 'landfall run PLAN --resume'
  return `\n${formatSummary(told.view(), told.notes, {
    resumeCommand,
    paint,
    footnotes: options.footnotes?.() ?? [],
  })}\n`
}

function createPlainTeller(options: RunReporterOptions, output: SafeOutput, told: Told): Teller {
  const paint = createPaint(options.stdout)
  const filter = new ProgressFilter()
  let isSummaryDue = false
  return {
    tell: (event) => {
      isSummaryDue = true
      filter.note(event)
      if (event.type === 'progress' && !filter.isNoteworthy(event)) return
      const line = formatEventLine(event)
      if (line !== undefined) output.write(`${line}\n`)
      if (event.type === 'run-finished') {
        isSummaryDue = false
        output.write(summaryText(options, told, paint))
      }
    },
    end: () => {
      if (isSummaryDue) output.write(summaryText(options, told, paint))
    },
  }
}

function createLiveTeller(
  options: RunReporterOptions,
  env: NodeJS.ProcessEnv,
  output: SafeOutput,
  told: Told,
): Teller {
  const { stdout } = options
  const paint = createPaint(stdout)
  const glyphs: Glyphs = chooseGlyphs(env, options.platform ?? process.platform)
  const screen = new LiveScreen({
    stdout,
    output,
    now: options.now ?? (() => performance.now()),
    onFault: told.onFault,
    render: (width, height) =>
      renderView(told.view(), {
        width,
        height,
        now: options.clock.now(),
        since: told.notes.attemptStartedAt,
        glyphs,
        paint,
      }),
  })
  let isSummaryDue = false
  const finish = (): void => {
    isSummaryDue = false
    screen.stop()
    const list = renderPhaseList(told.view(), { width: screen.width, glyphs, paint })
    output.write(`${list.join('\n')}\n${summaryText(options, told, paint)}`)
  }
  return {
    tell: (event) => {
      isSummaryDue = true
      if (event.type === 'run-finished') finish()
      else screen.requestRedraw()
    },
    end: () => {
      if (isSummaryDue) finish()
      else screen.stop()
    },
  }
}
