import { join } from 'node:path'
import pino from 'pino'
import type { AppError } from '../../shared/errors/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'

/** The technical log of a run: every event, and errors with the stack of what caused them. Readable by its owner only. */
export interface RunLog {
  event(event: RunEvent): void
  error(error: AppError): void
  /** What comes after it is dropped. */
  close(): Promise<void>
}

/**
 * Logs into `landfall.log` in the given folder; every line goes through `redact`. A log that cannot be written never
 * throws: it must not stop an installation. (The journal, which must, has its own error.)
 */
export function createRunLog(folder: string, redact: (text: string) => string): RunLog {
  const destination = pino.destination({ dest: join(folder, 'landfall.log'), mode: 0o600, sync: false })
  let isOpened = false
  /** The file could not be opened: the destination would throw at every write, and never close. */
  let isLost = false
  let closing: Promise<void> | undefined
  destination.once('ready', () => {
    isOpened = true
  })
  destination.on('error', () => {
    isLost ||= !isOpened
  })
  const logger = pino(
    { base: null, timestamp: pino.stdTimeFunctions.isoTime },
    {
      write: (line) => {
        if (!isLost && closing === undefined) destination.write(redact(line))
      },
    },
  )
  return {
    event: (event) => {
      logger.info(event)
    },
    error: (error) => {
      logger.error(
        { code: error.code, node: error.node, phase: error.phase, causes: causesOf(error) },
        error.message,
      )
    },
    close: () => {
      closing ??= isLost
        ? Promise.resolve()
        : new Promise((resolve) => {
            destination.once('close', resolve)
            destination.once('error', () => {
              resolve()
            })
            destination.end()
          })
      return closing
    },
  }
}

function causesOf(error: unknown): string[] {
  const causes: string[] = []
  let current: unknown = error
  // Bounded, because a cause may lead back to itself.
  for (let depth = 0; depth < 10 && current instanceof Error; depth += 1) {
    causes.push(current.stack ?? current.message)
    current = current.cause
  }
  return causes
}
