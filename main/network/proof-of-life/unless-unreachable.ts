import { AppError } from '../../../shared/errors/index.ts'
import { reasonOf } from '../../engine/cancellation.ts'

/**
 * A node that cannot be reached itself says nothing about the address: that becomes a value. Rejects with the signal's
 * reason, and with what is no `AppError`, a bug.
 */
export async function unlessUnreachable<T, U>(
  signal: AbortSignal,
  work: Promise<T>,
  instead: (why: string) => U,
): Promise<T | U> {
  try {
    return await work
  } catch (thrown) {
    if (signal.aborted) throw reasonOf(signal)
    if (!(thrown instanceof AppError)) throw thrown
    return instead(asClause(thrown.message))
  }
}

/** A sentence of somebody else as a part of one of ours. */
export function asClause(sentence: string): string {
  return sentence.trim().replace(/\.$/, '')
}
