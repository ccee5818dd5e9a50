import { createHash } from 'node:crypto'
import { AppError } from '../../shared/errors/index.ts'
import type { Clock } from '../engine/clock.ts'
import { messageOfAnswer, redact, type HttpAnswer } from './http-client.ts'

export interface Credentials {
  username: string
  password: string
}

/** What came of one attempt to log in. */
export type LoginOutcome<Accepted extends object = object> =
  | ({ kind: 'accepted' } & Accepted)
  /** Wrong name or password, in the server's words. */
  | { kind: 'refused'; message: string }
  /** Too many wrong attempts before; `until` is in milliseconds since the epoch of the client's clock. */
  | { kind: 'locked'; message: string; until?: number }

/** What came of the attempt to change something that the server checks, e.g. a password against its policy. */
export type ChangeOutcome =
  | { kind: 'changed' } /** Not changed, and why, in the server's words. */
  | { kind: 'refused'; message: string }

/**
 * Remembers which passwords were refused, so that the same client never tries one twice: appliance and console lock
 * the account after five failures (palette.md §4.2). Keeps hashes only.
 */
export function createRefusalMemory(describePlace: () => { where: string; node?: string | undefined }): {
  throwIfRefused(credentials: Credentials): void
  add(credentials: Credentials): void
} {
  const refused = new Set<string>()
  return {
    throwIfRefused(credentials) {
      if (!refused.has(hashOf(credentials))) return
      const { where, node } = describePlace()
      throw new AppError({
        code: 'LOGIN_ALREADY_REFUSED',
        title: `${where} has refused this password for ${credentials.username} already.`,
        detail: 'It was not tried a second time, because the account is locked after a few failures.',
        remedies: ['Give the right password, then start again.'],
        node,
      })
    },
    add(credentials) {
      refused.add(hashOf(credentials))
    },
  }
}

function hashOf(credentials: Credentials): string {
  return createHash('sha256')
    .update(JSON.stringify([credentials.username, credentials.password]))
    .digest('base64')
}

/**
 * Reads the answer to a login that was not accepted. `undefined`: the answer is no verdict on the password (a server
 * error, for instance), the caller reports it as what it is.
 */
export function readLoginRefusal(
  answer: HttpAnswer,
  credentials: Credentials,
  clock: Clock,
): Extract<LoginOutcome, { kind: 'refused' | 'locked' }> | undefined {
  const message = redact(messageOfAnswer(answer) ?? '', [credentials.password])
  if (answer.status === 429 || answer.status === 423 || saysLocked(message)) {
    const wait = waitOf(answer.headers['retry-after'], message, clock.now())
    return {
      kind: 'locked',
      message: message === '' ? `HTTP ${String(answer.status)}` : message,
      ...(wait === undefined ? {} : { until: wait }),
    }
  }
  if (answer.status === 400 || answer.status === 401 || answer.status === 403 || saysRefused(message)) {
    return { kind: 'refused', message: message === '' ? `HTTP ${String(answer.status)}` : message }
  }
  return undefined
}

function saysLocked(message: string): boolean {
  return /\block(ed|out)?\b|too many|temporarily (blocked|disabled)|try again (in|after)/iu.test(message)
}

function saysRefused(message: string): boolean {
  return /(invalid|incorrect|wrong|bad) (user|username|password|credential|login)|authentication fail/iu.test(
    message,
  )
}

const unitMilliseconds: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000 }

/** Retry-After (RFC 9110 §10.2.3: seconds or a date), else a duration or a time within the message. */
function waitOf(retryAfter: string | undefined, message: string, now: number): number | undefined {
  if (retryAfter !== undefined) {
    if (/^\d{1,9}$/u.test(retryAfter)) return now + Number(retryAfter) * 1000
    const date = Date.parse(retryAfter)
    if (!Number.isNaN(date)) return date
  }
  const timestamp = /\d{4}-\d{2}-\d{2}T[\d:.]+(?:Z|[+-]\d{2}:\d{2})/u.exec(message)?.[0]
  if (timestamp !== undefined) {
    const date = Date.parse(timestamp)
    if (!Number.isNaN(date)) return date
  }
  // "15 minutes", "14m59s", "1h30m"
  let milliseconds = 0
  for (const [, count, unit] of message.matchAll(
    /(\d{1,6})\s*(h|m|s)(?:ours?|inutes?|ins?|econds?|ecs?)?(?![a-z])/giu,
  )) {
    milliseconds += Number(count) * (unitMilliseconds[unit?.toLowerCase() ?? ''] ?? 0)
  }
  return milliseconds === 0 ? undefined : now + milliseconds
}
