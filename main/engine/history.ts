import type { RunEvent } from '../../shared/events/index.ts'

type CredentialTried = Extract<RunEvent, { type: 'credential-tried' }>
export type CredentialName = CredentialTried['credential']

/** State of an act according to the journal; `unknown`: begun, and nobody knows whether it took effect. */
export type ChangeState = 'never' | 'unknown' | 'done' | 'failed'

export interface History {
  change(phase: string, node: string | undefined, key: string): ChangeState
  /** Outcome of the last try with this credential; `trying`: the process died before the answer. */
  credential(
    node: string | undefined,
    account: string,
    credential: CredentialName,
  ): CredentialTried['outcome'] | undefined
  /** The credential that this account accepted last, as far as this workstation has seen. */
  lastAccepted(node: string | undefined, account: string): CredentialName | undefined
  /** What was seen when this statement was last proven, in this run. */
  evidence(phase: string, node: string | undefined, statement: string): string | undefined
  /** The virtual IP address that this run chose last; `undefined`: none yet. */
  chosenVip(): string | undefined
}

/** Knows what happened in the run so far, events of earlier attempts included. Grows with the run. */
export class RunHistory implements History {
  readonly #changes = new Map<string, ChangeState>()
  readonly #credentials = new Map<string, CredentialTried['outcome']>()
  readonly #accepted = new Map<string, CredentialName>()
  readonly #evidence = new Map<string, string>()
  #chosenVip: string | undefined
  readonly #redact: (text: string) => string

  /** `redact`: what the events went through; a question is put in the same words, or it would find nothing. */
  constructor(redact: (text: string) => string = (text) => text) {
    this.#redact = redact
  }

  /** Takes in one event. */
  note(event: RunEvent): void {
    switch (event.type) {
      case 'change-started':
        this.#changes.set(keyOf(event.phase, event.node, event.key), 'unknown')
        break
      case 'change-finished':
        this.#changes.set(keyOf(event.phase, event.node, event.key), event.outcome)
        break
      case 'credential-tried':
        this.#credentials.set(keyOf(event.node, event.account, event.credential), event.outcome)
        this.noteEarlierRun(event)
        break
      case 'evidence':
        this.#evidence.set(keyOf(event.phase, event.node, event.statement), event.seen)
        break
      case 'vip-chosen':
        this.#chosenVip = event.address
        break
      default:
        break
    }
  }

  /** Takes in one event of another, earlier run of the same site: only which password was the right one counts. */
  noteEarlierRun(event: RunEvent): void {
    if (event.type !== 'credential-tried' || event.outcome !== 'accepted') return
    this.#accepted.set(keyOf(event.node, event.account), event.credential)
  }

  change(phase: string, node: string | undefined, key: string): ChangeState {
    return this.#changes.get(keyOf(phase, node, this.#redact(key))) ?? 'never'
  }

  credential(
    node: string | undefined,
    account: string,
    credential: CredentialName,
  ): CredentialTried['outcome'] | undefined {
    return this.#credentials.get(keyOf(node, this.#redact(account), credential))
  }

  lastAccepted(node: string | undefined, account: string): CredentialName | undefined {
    return this.#accepted.get(keyOf(node, this.#redact(account)))
  }

  evidence(phase: string, node: string | undefined, statement: string): string | undefined {
    return this.#evidence.get(keyOf(phase, node, this.#redact(statement)))
  }

  chosenVip(): string | undefined {
    return this.#chosenVip
  }
}

function keyOf(...parts: readonly (string | undefined)[]): string {
  return JSON.stringify(parts)
}
