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
  const destination = openLog(join(folder, 'landfall.log'))
  let closing: Promise<void> | undefined
  const logger = pino(
    { base: null, timestamp: pino.stdTimeFunctions.isoTime },
    {
      write: (line) => {
        if (closing === undefined) destination?.write(redact(line))
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
      closing ??=
        destination === undefined
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

/**
 * Opened and written at once: a destination that is not is flushed when the process exits, and ends it with an error of its
 * own if the file is not open by then. Undefined when the file cannot be opened.
 */
function openLog(path: string) {
  try {
    const destination = pino.destination({ dest: path, mode: 0o600, sync: true })
    destination.on('error', () => {
      // A line that cannot be written is lost: the log must not stop an installation.
    })
    return destination
  } catch {
    return undefined
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
