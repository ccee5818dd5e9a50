import { createLogUpdate } from 'log-update'
import { Cursor } from './cursor.ts'
import type { SafeOutput, TerminalStream } from './safe-output.ts'

/** At most eight pictures a second: fast enough to look alive, slow enough for a serial console. */
const shortestPause = 125
/** Without events the elapsed time still moves. */
const longestPause = 1000

const eraseScreen = '\u001B[H\u001B[2J'

/** The part of a terminal that is redrawn in place. Real time, because it is for eyes. */
export class LiveScreen {
  readonly #stdout: TerminalStream
  readonly #output: SafeOutput
  readonly #render: (width: number, height: number) => string[]
  readonly #now: () => number
  readonly #onFault: (error: unknown) => void
  readonly #cursor: Cursor
  readonly #draw: ReturnType<typeof createLogUpdate>
  #timer: NodeJS.Timeout | undefined
  #due = 0
  #lastDrawn = -Infinity
  #isActive = false
  #drawnSize: { width: number; height: number } | undefined
  readonly #onResize = (): void => {
    this.requestRedraw()
  }

  constructor(options: {
    stdout: TerminalStream
    output: SafeOutput
    /** Lines of at most `width` columns, fewer than `height`. */
    render: (width: number, height: number) => string[]
    now: () => number
    onFault: (error: unknown) => void
  }) {
    this.#stdout = options.stdout
    this.#output = options.output
    this.#render = options.render
    this.#now = options.now
    this.#onFault = options.onFault
    this.#cursor = new Cursor((text) => {
      options.output.write(text)
    })
    // The cursor is this class's own affair: the library would hide the one of standard error, not of this stream.
    this.#draw = createLogUpdate(options.stdout, { showCursor: true })
  }

  /** The last column stays empty: some terminals wrap as soon as it is written. */
  get width(): number {
    return Math.max(1, (this.#stdout.columns ?? 80) - 1)
  }

  get #height(): number {
    return this.#stdout.rows ?? 24
  }

  /** Something is new: draws now, or as soon as the last picture is old enough. */
  requestRedraw(): void {
    if (!this.#isActive) {
      this.#isActive = true
      this.#cursor.hide()
      this.#stdout.on('resize', this.#onResize)
    }
    this.#schedule(Math.max(0, this.#lastDrawn + shortestPause - this.#now()))
  }

  /** Takes the picture away and gives the terminal back. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (!this.#isActive) return
    this.#isActive = false
    this.#stdout.removeListener('resize', this.#onResize)
    if (!this.#output.isBroken) {
      this.#draw.clear()
      this.#draw.done()
    }
    this.#drawnSize = undefined
    this.#cursor.show()
  }

  #schedule(pause: number): void {
    const due = this.#now() + pause
    if (this.#timer !== undefined && this.#due <= due) return
    clearTimeout(this.#timer)
    this.#due = due
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#redraw()
    }, pause)
    // The picture alone is no reason for the process to stay.
    this.#timer.unref()
  }

  #redraw(): void {
    if (this.#output.isBroken) return
    try {
      const size = { width: this.width, height: this.#height }
      const old = this.#drawnSize
      if (old !== undefined && (size.width < old.width || size.height < old.height)) {
        // The terminal has wrapped or scrolled the old picture: where it stands now cannot be known.
        this.#draw.done()
        this.#output.write(eraseScreen)
      }
      this.#draw(this.#render(size.width, size.height).join('\n'))
      this.#drawnSize = size
    } catch (error) {
      this.#onFault(error)
    }
    this.#lastDrawn = this.#now()
    this.#schedule(longestPause)
  }
}
