import { describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import { RunHistory } from './history.ts'
import { createMemoryJournal } from './testing/memory-journal.ts'
import { onNodes, permanentError, startRun, transientError } from './testing/run-harness.ts'

/** What the run that follows sees, when the journal of the first one ends after `isLast`. */
async function resumedAfter(
  act: () => Promise<void>,
  isLast: (event: RunEvent) => boolean,
): Promise<{ change: string; other: string }> {
  const journal = createMemoryJournal()
  const first = startRun([onNodes('p', { apply: (context) => context.change('boot', 'Boot', act) })], {
    journal,
  })
  await first.result
  const end = journal.events.findIndex(isLast)
  expect(end).toBeGreaterThan(0)
  let seen: { change: string; other: string } | undefined
  const look = onNodes('p', {
    gather: ({ history }) => {
      seen = { change: history.change('p', 'n1', 'boot'), other: history.change('p', 'n2', 'boot') }
      return Promise.resolve()
    },
  })
  await startRun([look], { earlier: journal.events.slice(0, end + 1) }).result
  if (seen === undefined) throw new Error('nothing was gathered')
  return seen
}

const isType = (type: RunEvent['type']) => (event: RunEvent) => event.type === type

describe('a resumed run knows of an act that it', () => {
  it.each([
    ['was never begun', 'never', () => Promise.resolve(), isType('target-started')],
    ['was begun, and nothing more is known', 'unknown', () => Promise.resolve(), isType('change-started')],
    ['was done', 'done', () => Promise.resolve(), isType('change-finished')],
    ['was refused', 'failed', () => Promise.reject(permanentError()), isType('change-finished')],
    ['got no answer', 'unknown', () => Promise.reject(transientError()), isType('change-finished')],
    ['met a bug', 'unknown', () => Promise.reject(new TypeError('bug')), isType('change-finished')],
  ] as const)('%s', async (_name, state, act, isLast) => {
    expect(await resumedAfter(act, isLast)).toEqual({ change: state, other: 'never' })
  })
})

describe('a resumed run knows of a password', () => {
  const tried = async (outcomes: readonly ('trying' | 'accepted' | 'refused' | 'locked')[]) => {
    const journal = createMemoryJournal()
    const phase = onNodes('p', {
      apply: async (context) => {
        for (const outcome of outcomes) {
          await context.report({
            type: 'credential-tried',
            account: 'kairos',
            credential: 'initial',
            outcome,
          })
        }
      },
    })
    await startRun([phase], { journal }).result
    const history = new RunHistory()
    for (const event of journal.events) history.note(event)
    expect(history.credential('n1', 'kairos', 'new')).toBeUndefined()
    expect(history.credential('n2', 'kairos', 'initial')).toBeUndefined()
    return history.credential('n1', 'kairos', 'initial')
  }

  it('that it was never tried', async () => {
    expect(await tried([])).toBeUndefined()
  })
  it.each(['trying', 'accepted', 'refused', 'locked'] as const)(
    'that the last try ended with %s',
    async (outcome) => {
      expect(await tried(['trying', outcome])).toBe(outcome)
    },
  )
  it('that it is durable before the answer can be used', async () => {
    const journal = createMemoryJournal()
    const failure = new AppError({ code: 'JOURNAL_WRITE_FAILED', title: 'The disk is full.' })
    let wasUsed = false
    const phase = onNodes('p', {
      apply: async (context) => {
        journal.breakWith(failure)
        await context.report({
          type: 'credential-tried',
          account: 'kairos',
          credential: 'new',
          outcome: 'trying',
        })
        wasUsed = true
      },
    })
    expect(await startRun([phase], { journal }).result).toEqual({ outcome: 'failed', errors: [failure] })
    expect(wasUsed).toBe(false)
  })
})

describe('an act that is repeated', () => {
  it('is known by what happened last', () => {
    const history = new RunHistory()
    const event = { time: '2026-01-01T00:00:00.000Z', phase: 'p', node: 'n1', key: 'boot' } as const
    history.note({ ...event, seq: 1, type: 'change-started', what: 'Boot' })
    history.note({ ...event, seq: 2, type: 'change-finished', outcome: 'failed' })
    history.note({ ...event, seq: 3, type: 'change-started', what: 'Boot' })
    expect(history.change('p', 'n1', 'boot')).toBe('unknown')
    history.note({ ...event, seq: 4, type: 'change-finished', outcome: 'done' })
    expect(history.change('p', 'n1', 'boot')).toBe('done')
    expect(history.change('q', 'n1', 'boot')).toBe('never')
    expect(history.change('p', undefined, 'boot')).toBe('never')
  })
})

describe('a resumed run knows of the virtual IP address', () => {
  const chosenAfter = async (addresses: readonly string[]) => {
    const journal = createMemoryJournal()
    const phase = onNodes('p', {
      apply: async (context) => {
        for (const address of addresses) await context.report({ type: 'vip-chosen', address })
      },
    })
    await startRun([phase], { journal, redact: (text) => text.replaceAll('10.10', '***') }).result
    let seen: string | undefined
    const look = onNodes('q', {
      gather: ({ history }) => {
        seen = history.chosenVip()
        return Promise.resolve()
      },
    })
    await startRun([look], { earlier: journal.events }).result
    return seen
  }

  it('that none was chosen', async () => {
    expect(await chosenAfter([])).toBeUndefined()
  })
  it('which one was chosen last, in full, whatever is removed from texts', async () => {
    expect(await chosenAfter(['10.10.200.163', '10.10.200.171'])).toBe('10.10.200.171')
  })
})
