import { createHash } from 'node:crypto'

export interface FailedLogin {
  node: string
  account: string
  /** First 16 hex digits of SHA-256 of what was tried: tells attempts apart without holding a secret. */
  passwordHash: string
  attempts: number
}

/** What happened in the lab, for tests and for the end of a rehearsal. */
export interface LabReport {
  requests: number
  peakConcurrentRequests: number
  /** Requests that created a cluster or tried to. */
  clusterPosts: number
  clusterAccepted: number
  failedLogins: FailedLogin[]
  /** How often a password was tried again on an account that had refused exactly that password. */
  repeatedWrongPasswords: number
  lockOuts: number
  linkRequests: number
  linksCompleted: number
  /** Link requests that came with a token that had run out. */
  expiredTokens: number
  passwordChanges: number
  uploads: number
  uploadsCut: number
  reboots: number
  /** Requests and commands on which the lab itself broke down; anything but 0 is a defect of the lab. */
  labErrors: number
  /** Simulated seconds in which the lab itself was at work and nobody could have been faster. */
  criticalPathSeconds: number
  /** The same in real seconds. */
  criticalPathWallSeconds: number
}

type Counter = {
  [Key in keyof LabReport]: LabReport[Key] extends number ? Key : never
}[keyof LabReport]

/** Counts; every part of the lab writes into the same one. */
export class Recorder {
  readonly #scale: number
  readonly #counts = new Map<Counter, number>()
  readonly #failed = new Map<string, FailedLogin>()
  readonly #busy: { from: number; to: number }[] = []
  #concurrent = 0

  constructor(scale: number) {
    this.#scale = scale
  }

  count(counter: Counter): void {
    this.#counts.set(counter, (this.#counts.get(counter) ?? 0) + 1)
  }

  /** The lab is at work from `from` to `to` (simulated milliseconds). */
  busy(from: number, to: number): void {
    if (to > from) this.#busy.push({ from, to })
  }

  failedLogin(node: string, account: string, password: string): void {
    const passwordHash = createHash('sha256').update(password).digest('hex').slice(0, 16)
    const key = JSON.stringify([node, account, passwordHash])
    const known = this.#failed.get(key)
    if (known === undefined) this.#failed.set(key, { node, account, passwordHash, attempts: 1 })
    else {
      known.attempts += 1
      this.count('repeatedWrongPasswords')
    }
  }

  requestStarted(): () => void {
    this.count('requests')
    this.#concurrent += 1
    this.#counts.set(
      'peakConcurrentRequests',
      Math.max(this.#counts.get('peakConcurrentRequests') ?? 0, this.#concurrent),
    )
    let isOpen = true
    return () => {
      if (isOpen) this.#concurrent -= 1
      isOpen = false
    }
  }

  report(now: number): LabReport {
    const get = (counter: Counter) => this.#counts.get(counter) ?? 0
    const seconds = unionLength(this.#busy, now) / 1000
    return {
      requests: get('requests'),
      peakConcurrentRequests: get('peakConcurrentRequests'),
      clusterPosts: get('clusterPosts'),
      clusterAccepted: get('clusterAccepted'),
      failedLogins: [...this.#failed.values()].map((one) => ({ ...one })),
      repeatedWrongPasswords: get('repeatedWrongPasswords'),
      lockOuts: get('lockOuts'),
      linkRequests: get('linkRequests'),
      linksCompleted: get('linksCompleted'),
      expiredTokens: get('expiredTokens'),
      passwordChanges: get('passwordChanges'),
      uploads: get('uploads'),
      uploadsCut: get('uploadsCut'),
      reboots: get('reboots'),
      labErrors: get('labErrors'),
      criticalPathSeconds: seconds,
      criticalPathWallSeconds: seconds / this.#scale,
    }
  }
}

/** Length of the union of the intervals, as far as they lie before `end`. */
function unionLength(intervals: readonly { from: number; to: number }[], end: number): number {
  let total = 0
  let covered = -Infinity
  for (const { from, to } of [...intervals].sort((a, b) => a.from - b.from)) {
    const start = Math.max(from, covered)
    const stop = Math.min(to, end)
    if (stop > start) {
      total += stop - start
      covered = stop
    }
  }
  return total
}
