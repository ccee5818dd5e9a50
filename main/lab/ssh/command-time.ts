/** The command was ended from outside. */
export class CommandKilled extends Error {}

/**
 * The time that a command takes, in simulated milliseconds. Only what it waits counts, not what this workstation needs to
 * simulate it: on a clock that runs a hundred times as fast every millisecond of ours would be a tenth of a second.
 */
export class CommandTime {
  readonly #wait: (milliseconds: number) => Promise<void>
  readonly #outer: CommandTime | null
  #left: number
  /** Thrown when its limit is reached; those of a copy are the same. */
  readonly over: CommandKilled

  /** `wait` throws `CommandKilled` when nobody listens any more. */
  constructor(
    wait: (milliseconds: number) => Promise<void>,
    limit = Infinity,
    outer: CommandTime | null = null,
    over = new CommandKilled(),
  ) {
    this.#wait = wait
    this.#left = limit
    this.#outer = outer
    this.over = over
  }

  async sleep(milliseconds: number): Promise<void> {
    const tightest = this.#chain().reduce((least, one) => (one.#left < least.#left ? one : least))
    const part = Math.min(milliseconds, tightest.#left)
    for (const one of this.#chain()) one.#left -= part
    await this.#wait(part)
    if (part < milliseconds) throw tightest.over
  }

  /** The same with a limit of its own. */
  within(milliseconds: number): CommandTime {
    return new CommandTime(this.#wait, milliseconds, this)
  }

  /** For a command that runs beside others: what they wait does not count for it. */
  copy(): CommandTime {
    return new CommandTime(this.#wait, this.#left, this.#outer?.copy() ?? null, this.over)
  }

  #chain(): CommandTime[] {
    return this.#outer === null ? [this] : [this, ...this.#outer.#chain()]
  }
}
