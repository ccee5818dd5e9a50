import { appendFile, open } from 'node:fs/promises'
import { join } from 'node:path'
import { createJournal } from '../../main/engine/journal.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import type { Ratio } from './ratio.ts'

/** Lines of a journal, each durable before the next, against the same number of bytes written without waiting. */
export async function compareJournal(folder: string, lines: number): Promise<Ratio> {
  const file = join(folder, 'journal.ndjson')
  const journal = await createJournal(file)
  const begin = performance.now()
  for (let seq = 1; seq <= lines; seq += 1) await journal.append(eventOf(seq))
  const durable = lines / ((performance.now() - begin) / 1000)
  await journal.close()

  const handle = await open(join(folder, 'plain.ndjson'), 'a')
  const plainBegin = performance.now()
  try {
    for (let seq = 1; seq <= lines; seq += 1) await appendFile(handle, `${JSON.stringify(eventOf(seq))}\n`)
  } finally {
    await handle.close()
  }
  const plain = lines / ((performance.now() - plainBegin) / 1000)
  return {
    what: 'journal: chained by hashes and fsync after every line, against appending only',
    unit: 'lines/s',
    ours: durable,
    theirs: plain,
  }
}

function eventOf(seq: number): RunEvent {
  const time = new Date(Date.UTC(2027, 0, 4) + seq * 1000).toISOString()
  return {
    seq,
    time,
    type: 'progress',
    phase: 'upload-packs',
    node: 'n1',
    detail: 'Uploading pack.tar.zst',
    fraction: 0.5,
  }
}
