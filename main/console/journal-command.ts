import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { AppError } from '../../shared/errors/index.ts'
import { readJournal } from '../engine/journal.ts'
import { exitCodes } from './exit-codes.ts'

/** Checks the chain of a journal and tells its head. */
export async function verifyJournal(file: string, isJson: boolean): Promise<number> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw new AppError({
      code: 'FILE_UNREADABLE',
      title: 'The journal cannot be read.',
      detail: error instanceof Error ? error.message : String(error),
      remedies: ['Check the path; a run tells it at its end.'],
      cause: error,
    })
  })
  const reading = readJournal(bytes)
  if (reading.kind === 'broken') {
    if (isJson) process.stdout.write(`${JSON.stringify({ file, ...reading })}\n`)
    else process.stdout.write(`${file}: line ${reading.line} ${reading.reason}: the journal was altered.\n`)
    return exitCodes.failed
  }
  const { events, head, hasTornLine } = reading
  const last = events.at(-1)
  if (isJson) {
    process.stdout.write(
      `${JSON.stringify({ file, kind: 'intact', events: events.length, head, hasTornLine })}\n`,
    )
    return exitCodes.done
  }
  process.stdout.write(
    `${file}: intact, ${events.length} events${last === undefined ? '' : `, last: ${last.type} at ${last.time}`}.\n` +
      (hasTornLine
        ? 'The last line is torn: the process ended while it was written. It is not counted.\n'
        : '') +
      `SHA-256 of the last line: ${head}\n`,
  )
  return exitCodes.done
}
