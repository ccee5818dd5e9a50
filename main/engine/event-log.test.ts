import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import type { NewRunEvent, RunEvent } from '../../shared/events/index.ts'
import { EventLog } from './event-log.ts'
import { RunHistory } from './history.ts'
import { createManualClock, letOthersRun } from './testing/manual-clock.ts'
import { createMemoryJournal } from './testing/memory-journal.ts'

function createLog(options: Partial<ConstructorParameters<typeof EventLog>[0]> = {}) {
  const journal = createMemoryJournal()
  const onFailure = vi.fn<(error: AppError) => void>()
  const log = new EventLog({
    journal,
    clock: createManualClock(),
    redact: (text) => text,
    onFailure,
    ...options,
  })
  return { log, journal, onFailure }
}

const warning = (text: string): NewRunEvent => ({ type: 'warning', phase: 'link-hosts', node: 'n1', text })
const texts = (events: readonly RunEvent[]) =>
  events.map((event) => (event.type === 'warning' ? event.text : event.type))
const seqs = (events: readonly RunEvent[]) => events.map(({ seq }) => seq)

describe('numbering', () => {
  it('counts from 1 without gaps, in the order of the calls, and goes on behind earlier events', async () => {
    const first = createLog()
    for (const text of ['a', 'b', 'c']) first.log.emit(warning(text))
    await first.log.settled()
    expect(seqs(first.journal.events)).toEqual([1, 2, 3])
    const second = createLog({ earlier: first.log.events })
    second.log.emit(warning('d'))
    await second.log.settled()
    expect(seqs(second.log.events)).toEqual([1, 2, 3, 4])
    expect(texts(second.journal.events)).toEqual(['d'])
  })

  it('has no gap after an event that was refused as a bug, and tells of it once', async () => {
    const { log, journal, onFailure } = createLog()
    log.emit(warning('a'))
    const nonsense = { type: 'progress', phase: '', detail: 'x', fraction: 7 } as const
    await expect(log.emitDurably(nonsense)).rejects.toMatchObject({ code: 'INTERNAL' })
    expect(() => {
      log.emit(nonsense)
    }).not.toThrow()
    log.emit(warning('b'))
    await log.settled()
    expect(seqs(journal.events)).toEqual([1, 2])
    expect(onFailure).toHaveBeenCalledTimes(1)
    expect(onFailure.mock.calls[0]?.[0]).toMatchObject({ code: 'INTERNAL' })
  })

  it('gives every event the time of the clock it was given', async () => {
    const { log } = createLog({ clock: createManualClock(Date.UTC(2030, 4, 5)) })
    await log.emitDurably(warning('a'))
    expect(log.events[0]?.time).toBe('2030-05-05T00:00:00.000Z')
  })
})

describe('durability', () => {
  it('hands an event on only after it is on the disk', async () => {
    const { log, journal } = createLog()
    const seen: RunEvent[] = []
    log.subscribe((event) => {
      expect(journal.events).toContainEqual(event)
      seen.push(event)
    })
    journal.hold()
    const durable = vi.fn<() => void>()
    const promise = log.emitDurably(warning('a')).then(durable)
    await letOthersRun()
    expect([seen, log.events]).toEqual([[], []])
    expect(durable).not.toHaveBeenCalled()
    journal.flow()
    await promise
    expect(texts(seen)).toEqual(['a'])
  })

  it('hands nothing on, and fails once, when the disk fails', async () => {
    const { log, journal, onFailure } = createLog()
    const failure = new AppError({ code: 'JOURNAL_WRITE_FAILED', title: 'The disk is full.' })
    const seen: RunEvent[] = []
    log.subscribe((event) => seen.push(event))
    journal.breakWith(failure)
    log.emit(warning('a'))
    await expect(log.emitDurably(warning('b'))).rejects.toBe(failure)
    await log.settled()
    expect(seen).toEqual([])
    expect(onFailure.mock.calls).toEqual([[failure]])
  })
})

describe('subscribing', () => {
  it('from any position gets every event exactly once and in order, however it falls between the events', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('emit', 'subscribe', 'let run', 'subscribe while told'), { maxLength: 30 }),
        fc.array(fc.nat(25), { minLength: 8, maxLength: 8 }),
        async (steps, positions) => {
          const { log } = createLog()
          const viewers: { after: number; seen: RunEvent[] }[] = []
          const subscribe = () => {
            const viewer = { after: positions[viewers.length % 8] ?? 0, seen: [] }
            viewers.push(viewer)
            log.subscribe((event) => (viewer.seen as RunEvent[]).push(event), viewer.after)
          }
          for (const step of steps) {
            if (step === 'emit') log.emit(warning('x'))
            else if (step === 'let run') await letOthersRun(1)
            else if (step === 'subscribe') subscribe()
            else {
              const end = log.subscribe(() => {
                end()
                subscribe()
              }, Number.MAX_SAFE_INTEGER)
            }
          }
          await log.settled()
          const all = seqs(log.events)
          for (const { after, seen } of viewers) {
            // Whoever asks for events above a number that is not reached yet gets what comes next.
            const received = seqs(seen)
            const expected = all.filter((seq) => seq > after)
            expect(received.slice(received.length - expected.length)).toEqual(expected)
            expect(received).toEqual([...new Set(received)].sort((a, b) => a - b))
          }
        },
      ),
      { numRuns: 150 },
    )
  })

  it('ends when it was ended, for one of two alike listeners only', async () => {
    const { log } = createLog()
    const listener = vi.fn<(event: RunEvent) => void>()
    const end = log.subscribe(listener)
    log.subscribe(listener)
    await log.emitDurably(warning('a'))
    end()
    await log.emitDurably(warning('b'))
    expect(listener.mock.calls.map(([event]) => event.seq)).toEqual([1, 1, 2])
  })

  it('of a viewer that throws stops the run, but neither hides the event from others nor takes it back', async () => {
    const { log, onFailure } = createLog()
    const other = vi.fn<(event: RunEvent) => void>()
    log.subscribe(() => {
      throw new TypeError('a bug in the screen')
    })
    log.subscribe(other)
    await log.emitDurably(warning('a'))
    expect(other).toHaveBeenCalledTimes(1)
    expect(onFailure.mock.calls[0]?.[0]).toMatchObject({ code: 'INTERNAL' })
  })
})

describe('redaction', () => {
  const secret = 'hunter2'
  const redact = (text: string) => text.replaceAll(secret, '•••')
  const error = {
    code: 'LOGIN_REFUSED',
    title: `t ${secret}`,
    detail: `d ${secret}`,
    remedies: [`r ${secret}`],
    isTransient: false,
  }
  const place = { phase: 'p', node: 'n1' }
  const events: NewRunEvent[] = [
    { type: 'progress', ...place, detail: secret },
    { type: 'evidence', ...place, statement: secret, seen: `x${secret}x` },
    { type: 'change-started', ...place, key: secret, what: secret },
    { type: 'change-finished', ...place, key: secret, outcome: 'done' },
    { type: 'change-planned', ...place, key: secret, what: secret },
    { type: 'assumption', ...place, text: secret },
    { type: 'credential-tried', ...place, account: secret, credential: 'new', outcome: 'trying' },
    { type: 'identity-pinned', ...place, kind: 'ssh', endpoint: secret, algorithm: secret, fingerprint: 'f' },
    { type: 'retry', ...place, attempt: 1, delaySeconds: 5, error },
    { type: 'warning', ...place, text: `${secret}${secret}` },
    { type: 'error', ...place, error },
    { type: 'run-finished', outcome: 'failed', elapsedSeconds: 1, errors: [error] },
  ]

  it.each(events)('takes a secret out of every text of $type', async (event) => {
    const { log, journal } = createLog({ redact })
    await log.emitDurably(event)
    expect(JSON.stringify(journal.events)).not.toContain(secret)
    expect(JSON.stringify(journal.events)).toContain('•••')
  })

  it('leaves what programs look things up by alone, even when a secret is as short as a word of the schema', async () => {
    const { log, journal } = createLog({ redact: (text) => text.replaceAll(/progress|n1|p/g, '•••') })
    await log.emitDurably({ type: 'progress', ...place, detail: 'step' })
    expect(journal.events).toMatchObject([{ type: 'progress', phase: 'p', node: 'n1', detail: 'ste•••' }])
  })

  it('does not make the history forget an act, a login or an evidence whose name it touched', async () => {
    const history = new RunHistory(redact)
    const { log } = createLog({ redact })
    log.subscribe((event) => {
      history.note(event)
    })
    for (const event of events) log.emit(event)
    await log.settled()
    expect(history.change('p', 'n1', secret)).toBe('done')
    expect(history.credential('n1', secret, 'new')).toBe('trying')
    expect(history.evidence('p', 'n1', secret)).toBe('x•••x')
  })
})
