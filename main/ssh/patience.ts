import type { Clock } from '../engine/clock.ts'
import { wasDroppedEarly } from './ssh-errors.ts'

interface PatienceOptions {
  clock: Clock
  signal: AbortSignal | undefined
  /** From 0 to 1; default random. Keeps those that were dropped together from coming back together. */
  jitter?: () => number
}

/** Seconds of the run's time, before jitter. */
const pausesSeconds = [0.5, 1, 2, 4, 8, 16]

/**
 * Makes a connection again, after growing pauses, when the server closed it before anything was sent that could count: a
 * server with too many logins at once does this to some of them. Nothing else is repeated, above all no password.
 */
export async function connectPatiently<T>(
  connect: () => Promise<T>,
  { clock, signal, jitter = Math.random }: PatienceOptions,
): Promise<T> {
  for (const seconds of pausesSeconds) {
    try {
      return await connect()
    } catch (error) {
      if (!wasDroppedEarly(error)) throw error
      await clock.sleep(seconds * (0.5 + jitter()) * 1000, signal)
    }
  }
  return await connect()
}
