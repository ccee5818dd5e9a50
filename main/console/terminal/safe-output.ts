/** A stream that may be a terminal; `process.stdout` is one. */
export interface TerminalStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
}

/**
 * A stream whose failure does not end the run: the installation is worth more than its picture. A reader that went away
 * (`| head`) is normal; anything else, a full disk for example, is told once through `onFailure`.
 */
export class SafeOutput {
  readonly #stream: NodeJS.WritableStream
  readonly #onFailure: (error: Error) => void
  readonly #onError = (error: Error): void => {
    this.#fail(error)
  }
  #isBroken = false

  constructor(stream: NodeJS.WritableStream, onFailure: (error: Error) => void) {
    this.#stream = stream
    this.#onFailure = onFailure
    stream.on('error', this.#onError)
  }

  get isBroken(): boolean {
    return this.#isBroken
  }

  write(text: string): void {
    if (this.#isBroken) return
    try {
      this.#stream.write(text)
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /**
   * Resolves when everything written has left this process, the stream broke, or `limitMilliseconds` of real time are
   * over. The listener for errors stays: one that is on its way would otherwise end the process.
   */
  flush(limitMilliseconds: number): Promise<void> {
    if (this.#isBroken) return Promise.resolve()
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer)
        this.#stream.removeListener('error', finish)
        this.#stream.removeListener('close', finish)
        resolve()
      }
      const timer = setTimeout(finish, limitMilliseconds)
      this.#stream.once('error', finish)
      this.#stream.once('close', finish)
      try {
        this.#stream.write('', () => {
          finish()
        })
      } catch (error) {
        this.#fail(error instanceof Error ? error : new Error(String(error)))
        finish()
      }
    })
  }

  #fail(error: Error): void {
    if (this.#isBroken) return
    this.#isBroken = true
    if (!('code' in error && error.code === 'EPIPE')) this.#onFailure(error)
  }
}
