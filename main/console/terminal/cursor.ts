import process from 'node:process'

const hideSequence = '\u001B[?25l'
const showSequence = '\u001B[?25h'
const endingSignals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** Hides the cursor of a terminal, and shows it again however the process ends (except by SIGKILL). */
export class Cursor {
  readonly #write: (text: string) => void
  #isHidden = false
  readonly #onExit = (): void => {
    this.show()
  }
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    // Whoever else listens decides what the signal means; the run may well go on for its orderly stop.
    if (process.listenerCount(signal) > 1) return
    this.show()
    // Nobody else does: the signal ends the process, as it would have without this listener.
    process.kill(process.pid, signal)
  }

  constructor(write: (text: string) => void) {
    this.#write = write
  }

  hide(): void {
    if (this.#isHidden) return
    this.#isHidden = true
    process.on('exit', this.#onExit)
    for (const signal of endingSignals) process.on(signal, this.#onSignal)
    this.#write(hideSequence)
  }

  show(): void {
    if (!this.#isHidden) return
    this.#isHidden = false
    process.removeListener('exit', this.#onExit)
    for (const signal of endingSignals) process.removeListener(signal, this.#onSignal)
    this.#write(showSequence)
  }
}
