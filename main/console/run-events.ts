import { readFile } from 'node:fs/promises'
import type { RunEvent } from '../../shared/events/index.ts'
import { readJournal } from '../engine/journal.ts'
import type { RunFolder } from '../storage/site-folder.ts'

/** What a run told, as far as its journal can be read; a journal that was altered tells nothing. */
export async function eventsOf(run: RunFolder): Promise<readonly RunEvent[]> {
  const reading = readJournal(await readFile(run.journalFile))
  return reading.kind === 'intact' ? reading.events : []
}
