import type { Durations } from './durations.ts'
import type { Recorder } from './report.ts'
import type { Scheduler } from './scheduler.ts'

const failuresUntilDelay = 3
const failuresUntilLock = 5

export type LoginOutcome =
  | { kind: 'accepted' }
  | { kind: 'refused'; message: string; delay: number }
  | { kind: 'locked'; message: string; delay: number }

export interface AccountOptions {
  node: string
  name: string
  password: string
  scheduler: Scheduler
  durations: Durations
  recorder: Recorder
  /** The Local UI slows down from the third failure on; the system console only locks. */
  hasDelays: boolean
}

/**
 * One account with its throttling (palette.md §4.2: from the third failure delays that double from one second, after
 * five failures locked for 15 minutes, the right password included). On a node SSH and the Local UI share it.
 */
export class Account {
  readonly name: string
  readonly #options: AccountOptions
  #password: string
  #failures = 0
  #lockedUntil = -Infinity
  sshKeys: string[] = []
  isPasswordChanged = false

  constructor(options: AccountOptions) {
    this.#options = options
    this.name = options.name
    this.#password = options.password
  }

  get isLocked(): boolean {
    return this.#options.scheduler.now() < this.#lockedUntil
  }

  /** For sudo and for the old password of a change: no throttling, nothing counted. */
  isPassword(password: string): boolean {
    return password === this.#password
  }

  login(password: string): LoginOutcome {
    const { scheduler, durations, recorder, node, hasDelays } = this.#options
    if (this.isLocked) {
      if (password !== this.#password) recorder.failedLogin(node, this.name, password)
      const minutes = Math.ceil((this.#lockedUntil - scheduler.now()) / 60_000)
      return {
        kind: 'locked',
        message: `account is locked due to too many failed login attempts, try again in ${minutes} minutes`,
        delay: 0,
      }
    }
    if (password === this.#password) {
      this.#failures = 0
      return { kind: 'accepted' }
    }
    this.#failures += 1
    recorder.failedLogin(node, this.name, password)
    const delay =
      hasDelays && this.#failures >= failuresUntilDelay
        ? durations.firstLoginDelay * 2 ** (this.#failures - failuresUntilDelay)
        : 0
    if (this.#failures >= failuresUntilLock) {
      this.#failures = 0
      this.#lockedUntil = scheduler.now() + durations.loginLock
      recorder.count('lockOuts')
    }
    return { kind: 'refused', message: 'invalid username or password', delay }
  }

  changePassword(password: string): void {
    this.#password = password
    this.isPasswordChanged = true
    this.#options.recorder.count('passwordChanges')
  }
}
