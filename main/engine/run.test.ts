import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import type { PhaseContext, WorkKind } from './phase.ts'
import { createManualClock, letOthersRun } from './testing/manual-clock.ts'
import { createMemoryJournal } from './testing/memory-journal.ts'
import { onNodes, onSite, permanentError, planWith, startRun, transientError } from './testing/run-harness.ts'

const done = { outcome: 'done', errors: [] }
const unhandled: unknown[] = []
const handleUnhandled = (reason: unknown) => unhandled.push(reason)
const warnings: Error[] = []
const handleWarning = (warning: Error) => warnings.push(warning)

beforeEach(() => {
  process.on('unhandledRejection', handleUnhandled)
  process.on('warning', handleWarning)
})
afterEach(async () => {
  await letOthersRun()
  process.off('unhandledRejection', handleUnhandled)
  process.off('warning', handleWarning)
  expect(unhandled.splice(0)).toEqual([])
  expect(warnings.splice(0)).toEqual([])
})

/** An event without what differs from run to run. */
function gist(event: RunEvent): string {
  const node = 'node' in event && event.node !== undefined ? ` ${event.node}` : ''
  const phase = 'phase' in event ? ` ${event.phase}` : ''
  const outcome = 'outcome' in event ? ` ${event.outcome}` : ''
  return `${event.type}${phase}${node}${outcome}`
}

describe('a target of a phase', () => {
  it('is gathered, selected, applied and verified, in this order and phase by phase', async () => {
    const steps: string[] = []
    const phase = (id: string) =>
      onNodes<string>(id, {
        gather: ({ node }) => {
          steps.push(`${id} gather ${node.name}`)
          return Promise.resolve(`facts of ${node.name}`)
        },
        select: ({ node }, facts) => {
          steps.push(`${id} select ${node.name} with ${facts}`)
          return { kind: 'needed' }
        },
        apply: ({ node }, facts) => {
          steps.push(`${id} apply ${node.name} with ${facts}`)
          return Promise.resolve()
        },
        verify: ({ node }) => {
          steps.push(`${id} verify ${node.name}`)
          return Promise.resolve()
        },
      })
    const run = startRun([phase('a'), phase('b')], { consoleUrl: () => 'https://10.10.200.100/system' })
    expect(await run.result).toEqual(done)
    expect(steps).toEqual(
      ['a', 'b'].flatMap((id) => [
        `${id} gather n1`,
        `${id} select n1 with facts of n1`,
        `${id} apply n1 with facts of n1`,
        `${id} verify n1`,
      ]),
    )
    expect(run.events.map(gist)).toEqual([
      'run-started',
      ...['a', 'b'].flatMap((id) => [
        `phase-started ${id}`,
        `target-started ${id} n1`,
        `target-finished ${id} n1 done`,
        `phase-finished ${id} done`,
      ]),
      'run-finished done',
    ])
    expect(run.events.at(-1)).toMatchObject({ consoleUrl: 'https://10.10.200.100/system' })
  })

  it('that is done already is not applied, and the evidence is told', async () => {
    const apply = vi.fn<() => Promise<void>>(() => Promise.resolve())
    const selected = { kind: 'already-done', statement: 'n1 is linked.', seen: 'state: linked' } as const
    const run = startRun([onNodes('link', { select: () => selected, apply, verify: apply })])
    expect(await run.result).toEqual(done)
    expect(apply).not.toHaveBeenCalled()
    expect(run.eventsOf('evidence')).toMatchObject([
      { phase: 'link', node: 'n1', statement: 'n1 is linked.', seen: 'state: linked' },
    ])
    expect(run.eventsOf('target-finished')).toMatchObject([{ outcome: 'already-done' }])
    expect(run.eventsOf('phase-finished')).toMatchObject([{ outcome: 'skipped' }])
  })

  it('is only a node that the phase concerns, or the site as a whole', async () => {
    const leader = onNodes('leader', { concerns: (node) => node.leader })
    const nobody = onNodes('nobody', { concerns: () => false })
    const run = startRun([leader, onSite('site'), nobody], { plan: planWith(3) })
    expect(await run.result).toEqual(done)
    expect(run.eventsOf('phase-started').map(({ targets }) => targets)).toEqual([['n1'], [''], []])
    expect(run.eventsOf('target-started').map(({ node }) => node)).toEqual(['n1', undefined])
  })
})

describe('after a transient error', () => {
  it('the target is taken up again after 5, 15, 30 and 60 s, then it fails', async () => {
    const clock = createManualClock()
    const gather = vi.fn<() => Promise<undefined>>(() => Promise.reject(transientError()))
    const run = startRun([onNodes('p', { gather, deadlineSeconds: 3600 })], { clock })
    const startedAt = clock.now()
    const tries: number[] = []
    gather.mockImplementation(() => {
      tries.push((clock.now() - startedAt) / 1000)
      return Promise.reject(transientError())
    })
    await clock.advance(200_000)
    expect(await run.result).toMatchObject({
      outcome: 'failed',
      errors: [{ code: 'UNREACHABLE', node: 'n1', phase: 'p', isTransient: true }],
    })
    expect(tries).toEqual([0, 5, 20, 50, 110])
    expect(run.eventsOf('retry')).toMatchObject(
      [5, 15, 30, 60].map((delaySeconds, index) => ({ attempt: index + 1, delaySeconds, node: 'n1' })),
    )
  })

  it('the target is gathered again, so that what took effect is not done twice', async () => {
    let isLinked = false
    const act = vi.fn<() => Promise<void>>(() => {
      isLinked = true
      return Promise.reject(transientError('The answer got lost.'))
    })
    const link = onNodes<boolean>('link', {
      gather: () => Promise.resolve(isLinked),
      select: (_context, facts) =>
        facts ? { kind: 'already-done', statement: 'linked', seen: 'yes' } : { kind: 'needed' },
      apply: async (context) => {
        await context.change('link', 'Link', act)
      },
    })
    const run = startRun([link])
    expect(await run.result).toEqual(done)
    expect(act).toHaveBeenCalledTimes(1)
    expect(run.eventsOf('change-finished')).toMatchObject([{ outcome: 'unknown' }])
    expect(run.eventsOf('target-finished')).toMatchObject([{ outcome: 'already-done' }])
  })

  it.each(['apply', 'verify'] as const)('of %s the whole target is done again', async (failing) => {
    const steps: string[] = []
    const step = (name: string) => () => {
      const isFirst = !steps.includes(name)
      steps.push(name)
      return name === failing && isFirst ? Promise.reject(transientError()) : Promise.resolve()
    }
    const phase = onNodes('p', { gather: step('gather'), apply: step('apply'), verify: step('verify') })
    expect(await startRun([phase]).result).toEqual(done)
    const upToFailure = failing === 'apply' ? ['gather', 'apply'] : ['gather', 'apply', 'verify']
    expect(steps).toEqual([...upToFailure, 'gather', 'apply', 'verify'])
  })
})

describe('after a permanent error', () => {
  it('nothing is tried again', async () => {
    const gather = vi.fn<() => Promise<undefined>>(() => Promise.reject(permanentError()))
    const run = startRun([onNodes('p', { gather })])
    expect(await run.result).toMatchObject({ outcome: 'failed', errors: [{ code: 'LOGIN_REFUSED' }] })
    expect(gather).toHaveBeenCalledTimes(1)
    expect(run.eventsOf('retry')).toEqual([])
  })

  it('a bug is reported as one, with node and phase', async () => {
    const run = startRun([onNodes('p', { gather: () => Promise.reject(new TypeError('x is undefined')) })])
    expect(await run.result).toMatchObject({
      outcome: 'failed',
      errors: [{ code: 'INTERNAL', node: 'n1', phase: 'p', detail: 'TypeError: x is undefined' }],
    })
  })

  it('of one node all the others come to their end, all errors are told, and the next phase does not begin', async () => {
    const finished: string[] = []
    const phase = onNodes('p', {
      apply: async ({ node, clock, signal }) => {
        if (node.name === 'n1') throw permanentError('First.')
        await clock.sleep(60_000, signal)
        if (node.name === 'n3') throw permanentError('Third.')
        finished.push(node.name)
      },
    })
    const run = startRun([phase, onNodes('next')], { plan: planWith(4) })
    const result = await run.result
    expect(result).toMatchObject({
      outcome: 'failed',
      errors: [
        { title: 'First.', node: 'n1', phase: 'p' },
        { title: 'Third.', node: 'n3', phase: 'p' },
      ],
    })
    expect(finished).toEqual(['n2', 'n4'])
    expect(run.eventsOf('error').map(({ node }) => node)).toEqual(['n1', 'n3'])
    expect(run.eventsOf('phase-started').map((event) => event.phase)).toEqual(['p'])
    expect(run.eventsOf('phase-finished')).toMatchObject([{ outcome: 'failed' }])
    expect(run.eventsOf('run-finished')).toMatchObject([
      { outcome: 'failed', errors: result.errors.map((error) => error.toData()) },
    ])
  })
})

describe('waiting', () => {
  const options = {
    until: 'the Local UI answers',
    everySeconds: 10,
    deadlineSeconds: 95,
    remedies: ['Look at the screen of the node.'],
  }
  type Look = { kind: 'ready'; value: string } | { kind: 'waiting'; detail: string; fraction?: number }
  const startWait = (look: () => Promise<Look>, more: { softSeconds?: number } = {}) => {
    const clock = createManualClock()
    const startedAt = clock.now()
    const looks: number[] = []
    let value: string | undefined
    const phase = onNodes('wait', {
      work: 'wait',
      apply: async (context) => {
        value = await context.waitFor({ ...options, ...more }, () => {
          looks.push((clock.now() - startedAt) / 1000)
          return look()
        })
      },
    })
    const run = startRun([phase], { clock })
    return { run, clock, looks, value: () => value }
  }
  const waiting = (detail: string) => Promise.resolve({ kind: 'waiting', detail } as const)

  it('looks at every interval of the injected clock, until it is ready', async () => {
    let count = 0
    const wait = startWait(() => {
      count += 1
      return count === 4
        ? Promise.resolve({ kind: 'ready', value: 'v4' })
        : Promise.resolve({ kind: 'waiting', detail: 'no answer yet', fraction: count / 10 })
    })
    await wait.clock.advance(30_000)
    expect(await wait.run.result).toEqual(done)
    expect(wait.looks).toEqual([0, 10, 20, 30])
    expect(wait.value()).toBe('v4')
    expect(wait.run.eventsOf('progress').map(({ fraction }) => fraction)).toEqual([0.1, 0.2, 0.3])
  })

  it('says the same thing only once', async () => {
    const wait = startWait(() => waiting('no answer yet'))
    await wait.clock.advance(100_000)
    await wait.run.result
    expect(wait.run.eventsOf('progress')).toHaveLength(1)
  })

  it('takes a transient error of a look for "not yet"', async () => {
    let count = 0
    const wait = startWait(() => {
      count += 1
      if (count < 3) return Promise.reject(transientError())
      return Promise.resolve({ kind: 'ready', value: 'up' })
    })
    await wait.clock.advance(20_000)
    expect(await wait.run.result).toEqual(done)
    expect(wait.run.eventsOf('retry')).toEqual([])
    expect(wait.run.eventsOf('progress')).toMatchObject([{ detail: 'Connection refused.' }])
  })

  it('fails at once on a permanent error of a look', async () => {
    const wait = startWait(() => Promise.reject(permanentError()))
    expect(await wait.run.result).toMatchObject({ outcome: 'failed', errors: [{ code: 'LOGIN_REFUSED' }] })
    expect(wait.looks).toEqual([0])
  })

  it('warns exactly once after the soft limit, and goes on', async () => {
    const wait = startWait(() => waiting('2 of 3 pods ready'), { softSeconds: 35 })
    await wait.clock.advance(39_000)
    expect(wait.run.eventsOf('warning')).toEqual([])
    await wait.clock.advance(51_000)
    expect(wait.run.eventsOf('warning')).toMatchObject([
      {
        phase: 'wait',
        node: 'n1',
        text:
          'Waiting until the Local UI answers takes longer than usual (40 s); last seen: 2 of 3 pods ready. ' +
          'Going on until 95 s have passed.',
      },
    ])
    wait.run.stop()
    await wait.run.result
  })

  it('fails at the deadline, after a last look, with what was seen and what to do', async () => {
    const wait = startWait(() => waiting('2 of 3 pods ready'))
    await wait.clock.advance(94_999)
    expect(wait.run.eventsOf('error')).toEqual([])
    await wait.clock.advance(1)
    expect(await wait.run.result).toMatchObject({
      outcome: 'failed',
      errors: [
        {
          code: 'DEADLINE_PASSED',
          title: 'Waited in vain until the Local UI answers.',
          detail: 'Gave up after 95 s. Last seen: 2 of 3 pods ready',
          remedies: options.remedies,
          node: 'n1',
          phase: 'wait',
        },
      ],
    })
    expect(wait.looks.at(-1)).toBe(95)
  })
})

describe('the deadline of a phase', () => {
  it('ends a target that heeds its signal, and leaves an act that it interrupted unknown', async () => {
    const clock = createManualClock()
    const phase = onNodes('p', {
      deadlineSeconds: 120,
      apply: async (context) => {
        await context.change('install', 'Install', (signal) => clock.sleep(999_000_000, signal))
      },
    })
    const run = startRun([phase, onNodes('next')], { clock })
    await clock.advance(119_999)
    expect(run.eventsOf('error')).toEqual([])
    await clock.advance(1)
    expect(await run.result).toMatchObject({
      outcome: 'failed',
      errors: [{ code: 'DEADLINE_PASSED', title: '"Title of p" was not finished in time.', node: 'n1' }],
    })
    expect(run.eventsOf('change-finished')).toMatchObject([{ outcome: 'unknown' }])
    expect(run.eventsOf('retry')).toEqual([])
    expect(clock.sleeping).toEqual([])
  })

  it.each([
    [10, 600],
    [1000, 3000],
  ])(
    'of an expected duration of %d s is %d s, where the phase does not say',
    async (expectedSeconds, limit) => {
      const clock = createManualClock()
      const run = startRun(
        [onNodes('p', { expectedSeconds, apply: ({ signal }) => clock.sleep(1e9, signal) })],
        {
          clock,
        },
      )
      await letOthersRun()
      expect(clock.sleeping).toContain(limit * 1000)
      run.stop()
      await run.result
      expect(clock.sleeping).toEqual([])
    },
  )
})

describe('a change', () => {
  it('is durable before its act begins, and its end before the phase goes on', async () => {
    const journal = createMemoryJournal()
    const steps: string[] = []
    const phase = onNodes('p', {
      apply: async (context) => {
        journal.hold()
        const result = context.change('boot', 'Boot n1', () => {
          steps.push('act')
          journal.hold()
          return Promise.resolve('booted')
        })
        await letOthersRun()
        expect(steps).toEqual([])
        steps.push('flow')
        journal.flow()
        await letOthersRun()
        expect(journal.events.at(-1)).toMatchObject({ type: 'change-started', key: 'boot', what: 'Boot n1' })
        steps.push('flow')
        journal.flow()
        steps.push((await result) ?? 'nothing')
        expect(journal.events.at(-1)).toMatchObject({ type: 'change-finished', key: 'boot', outcome: 'done' })
      },
    })
    expect(await startRun([phase], { journal }).result).toEqual(done)
    expect(steps).toEqual(['flow', 'act', 'flow', 'booted'])
  })

  it('that is stopped between its announcement and its act never happened, and says so', async () => {
    const act = vi.fn<() => Promise<void>>(() => Promise.resolve())
    const run = startRun([onNodes('p', { apply: (context) => context.change('boot', 'Boot', act) })], {
      onEvent: (event) => {
        if (event.type === 'change-started') run.stop()
      },
    })
    expect(await run.result).toEqual({ outcome: 'stopped', errors: [] })
    expect(act).not.toHaveBeenCalled()
    expect(run.eventsOf('change-finished')).toMatchObject([{ outcome: 'failed' }])
  })

  it('does not happen when the journal fails, and neither does anything after it', async () => {
    const journal = createMemoryJournal()
    const failure = new AppError({ code: 'JOURNAL_WRITE_FAILED', title: 'The disk is full.' })
    const acts: string[] = []
    const changes = (id: string) =>
      onNodes(id, {
        apply: async (context) => {
          for (const key of ['1', '2', '3']) {
            await context.change(key, key, () => {
              acts.push(`${context.node.name} ${key}`)
              if (acts.length === 4) journal.breakWith(failure)
              return Promise.resolve()
            })
          }
        },
        cleanUp: async (context) => {
          await context.change('clean', 'clean', () => {
            acts.push('clean')
            return Promise.resolve()
          })
        },
      })
    const run = startRun([changes('p'), changes('q')], { journal, plan: planWith(2) })
    expect(await run.result).toEqual({ outcome: 'failed', errors: [failure] })
    expect(acts).toHaveLength(4)
    expect(journal.events).toEqual(run.events)
  })

  it('is never "done" when the last words could not be noted', async () => {
    const failure = new AppError({ code: 'JOURNAL_WRITE_FAILED', title: 'The disk is full.' })
    for (const last of ['target-finished', 'phase-finished'] as const) {
      const journal = createMemoryJournal()
      const run = startRun([onNodes('p')], {
        journal,
        onEvent: (event) => {
          if (event.type === last) journal.breakWith(failure)
        },
      })
      expect(await run.result).toEqual({ outcome: 'failed', errors: [failure] })
    }
  })
})

describe('progress', () => {
  it('is said in whole percent between 0 and 1, whatever a phase computes', async () => {
    const phase = onNodes('p', {
      apply: (context) => {
        for (const fraction of [-1, 0.123456, 0.129, 7, Number.NaN]) context.progress('copying', fraction)
        return Promise.resolve()
      },
    })
    const run = startRun([phase])
    expect(await run.result).toEqual(done)
    expect(run.eventsOf('progress').map(({ fraction }) => fraction)).toEqual([0, 0.12, 1, undefined])
  })
})

describe('stopping', () => {
  /** A run with all kinds of awaits: two phases before, one that fails and retries, one that waits, changes in all. */
  const startBusyRun = (stopAfter: number) => {
    const acts: { name: string; wasAborted: boolean }[] = []
    const cleaned: string[] = []
    let isStopped = false
    const clock = createManualClock()
    clock.runFree()
    const pause = async (context: PhaseContext<undefined>) => {
      await context.clock.sleep(1000, context.signal)
      await letOthersRun(1)
    }
    const phase = (id: string, work: WorkKind) => {
      let failures = 0
      return onNodes(id, {
        work,
        gather: pause,
        apply: async (context) => {
          await context.change('one', 'One', async () => {
            acts.push({ name: `${id} ${context.node.name}`, wasAborted: isStopped })
            await pause(context)
          })
          if (failures++ === 0) throw transientError()
          await context.report({
            type: 'credential-tried',
            account: 'kairos',
            credential: 'new',
            outcome: 'accepted',
          })
          let looks = 0
          await context.waitFor(
            { until: 'it is up', everySeconds: 5, deadlineSeconds: 60, remedies: [] },
            () => {
              looks += 1
              return Promise.resolve(
                looks === 3 ? { kind: 'ready', value: 1 } : { kind: 'waiting', detail: `look ${looks}` },
              )
            },
          )
          await context.change('two', 'Two', () => {
            acts.push({ name: `${id} ${context.node.name}`, wasAborted: isStopped })
            return Promise.resolve()
          })
        },
        verify: pause,
        cleanUp: () => {
          if (cleaned.at(-1) !== id) cleaned.push(id)
          return Promise.resolve()
        },
      })
    }
    const journal = createMemoryJournal()
    const run = startRun([phase('a', 'api'), phase('b', 'upload'), phase('c', 'wait')], {
      plan: planWith(5),
      clock,
      journal,
      onEvent: ({ seq }) => {
        if (seq === stopAfter) {
          isStopped = true
          run.stop()
        }
      },
    })
    return { run, acts, cleaned, journal }
  }

  it('at any moment ends the run as stopped, cleans up in reverse order and lets nothing begin any more', async () => {
    const whole = startBusyRun(0)
    expect(await whole.run.result).toEqual(done)
    expect(whole.cleaned).toEqual(['c', 'b', 'a'])
    // The last one that can still be stopped is the last one before the phases are over.
    const last = whole.run.events.findLast((event) => event.type === 'target-finished')?.seq ?? 0
    expect(last).toBeGreaterThan(100)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: last }), async (stopAfter) => {
        const { run, acts, cleaned, journal } = startBusyRun(stopAfter)
        expect(await run.result).toEqual({ outcome: 'stopped', errors: [] })
        expect(acts.filter(({ wasAborted }) => wasAborted)).toEqual([])
        const begun = run.eventsOf('phase-started').map((event) => event.phase)
        expect(cleaned).toEqual(begun.toReversed())
        expect(run.events.at(-1)).toMatchObject({ type: 'run-finished', outcome: 'stopped', errors: [] })
        expect(journal.events).toEqual(run.events)
        expect(run.eventsOf('error')).toEqual([])
        await letOthersRun()
        expect(run.events).toHaveLength(journal.events.length)
        expect(unhandled).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  it('before the run begins changes nothing', async () => {
    const gather = vi.fn<() => Promise<undefined>>(() => Promise.resolve(undefined))
    const run = startRun([onNodes('p', { gather })])
    run.stop()
    expect(await run.result).toEqual({ outcome: 'stopped', errors: [] })
    expect(gather).not.toHaveBeenCalled()
  })

  it('with an error as reason (a lost lease) fails with that error, and an interrupted act stays unknown', async () => {
    const lost = new AppError({ code: 'LEASE_LOST', title: 'Another process took over.' })
    const controller = new AbortController()
    const phase = onNodes('p', {
      apply: async (context) => {
        await context.change('boot', 'Boot', (signal) => {
          controller.abort(lost)
          return context.clock.sleep(1000, signal)
        })
      },
    })
    const run = startRun([phase], { signal: controller.signal, plan: planWith(1) })
    expect(await run.result).toEqual({ outcome: 'failed', errors: [lost] })
    expect(run.eventsOf('change-finished')).toMatchObject([{ outcome: 'unknown' }])
  })

  it('with a plain abort() counts as stopped', async () => {
    const controller = new AbortController()
    const phase = onNodes('p', {
      apply: ({ clock, signal }) => {
        controller.abort()
        return clock.sleep(1000, signal)
      },
    })
    const run = startRun([phase], { signal: controller.signal })
    expect(await run.result).toEqual({ outcome: 'stopped', errors: [] })
  })
})

describe('cleaning up', () => {
  it('goes on after a clean-up that failed or hung, tells of it, and keeps the outcome', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const cleaned: string[] = []
    const phase = (id: string, cleanUp: () => Promise<void>) =>
      onSite(id, {
        cleanUp: () => {
          cleaned.push(id)
          return cleanUp()
        },
      })
    const run = startRun([
      phase('a', () => Promise.resolve()),
      phase('b', () => new Promise(() => undefined)),
      phase('c', () => Promise.reject(permanentError('No session.'))),
      onSite('d', { apply: () => Promise.reject(permanentError('Why it failed.')) }),
    ])
    await vi.waitFor(() => {
      expect(cleaned).toContain('b')
    })
    vi.advanceTimersByTime(30_000)
    const result = await run.result
    vi.useRealTimers()
    expect(result.errors).toMatchObject([{ title: 'Why it failed.' }])
    expect(cleaned).toEqual(['c', 'b', 'a'])
    expect(run.eventsOf('warning')).toMatchObject([
      { phase: 'c', text: 'Clean-up failed: No session.' },
      { phase: 'b', text: 'Clean-up failed: This took too long. Gave up after 30 s.' },
    ])
  })
})

describe('a dry run', () => {
  const needed = () => ({ kind: 'needed' }) as const

  it('lists every change and does none, waits for nothing, verifies nothing, cleans up nothing', async () => {
    const never = vi.fn<() => Promise<never>>(() => Promise.reject(new Error('must not be called')))
    const phase = onNodes('p', {
      gather: () => Promise.resolve(undefined),
      select: needed,
      apply: async (context) => {
        expect(await context.change('boot', 'Boot the node', never)).toBeUndefined()
        const wait = { until: 'it is up', everySeconds: 1, deadlineSeconds: 1, remedies: [] }
        expect(await context.waitFor(wait, never)).toBeUndefined()
      },
      verify: never,
      cleanUp: never,
    })
    const run = startRun([phase, onNodes('q')], {
      mode: 'dry-run',
      plan: planWith(2),
      clock: createManualClock(),
    })
    expect(await run.result).toEqual(done)
    expect(never).not.toHaveBeenCalled()
    expect(run.eventsOf('change-planned')).toMatchObject(
      ['n1', 'n2'].map((node) => ({ phase: 'p', node, key: 'boot', what: 'Boot the node' })),
    )
    expect(run.eventsOf('change-started')).toEqual([])
    expect(run.eventsOf('phase-finished')).toMatchObject([{ outcome: 'planned' }, { outcome: 'planned' }])
    expect(run.eventsOf('run-started')).toMatchObject([{ mode: 'dry-run' }])
    expect(run.eventsOf('run-finished')[0]).not.toHaveProperty('consoleUrl')
  })

  it('assumes what cannot be reached to be fresh, says so, and goes on with that', async () => {
    const seen: string[] = []
    const phase = onNodes<string>('p', {
      gather: () => Promise.reject(transientError()),
      assumeFresh: ({ node }) => `fresh ${node.name}`,
      select: (_context, facts) => {
        seen.push(facts)
        return { kind: 'needed' }
      },
    })
    const run = startRun([phase], { mode: 'dry-run' })
    expect(await run.result).toEqual(done)
    expect(seen).toEqual(['fresh n1'])
    expect(run.eventsOf('assumption')).toMatchObject([
      {
        phase: 'p',
        node: 'n1',
        text: 'Could not be read (Connection refused. 10.10.0.1:5080); assumed to be fresh.',
      },
    ])
    expect(run.eventsOf('retry')).toEqual([])
  })

  it('fails where reading fails for good', async () => {
    const run = startRun([onNodes('p', { gather: () => Promise.reject(permanentError()) })], {
      mode: 'dry-run',
    })
    expect(await run.result).toMatchObject({ outcome: 'failed', errors: [{ code: 'LOGIN_REFUSED' }] })
    expect(run.eventsOf('assumption')).toEqual([])
  })

  it('shows what is done already, as a real run does', async () => {
    const selected = { kind: 'already-done', statement: 's', seen: 'x' } as const
    const run = startRun([onNodes('p', { select: () => selected })], { mode: 'dry-run' })
    expect(await run.result).toEqual(done)
    expect(run.eventsOf('phase-finished')).toMatchObject([{ outcome: 'skipped' }])
  })
})

describe('with 200 nodes', () => {
  it.each([
    ['wait', 200],
    ['api', 24],
    ['ssh', 24],
    ['upload', 3],
  ] as const)('work of kind %s is done on %d at once', async (work, limit) => {
    let busy = 0
    let most = 0
    const phase = onNodes('p', {
      work,
      apply: async ({ clock, signal }) => {
        busy += 1
        most = Math.max(most, busy)
        await clock.sleep(1000, signal)
        await letOthersRun(1)
        busy -= 1
      },
    })
    const run = startRun([phase], { plan: planWith(200) })
    expect(await run.result).toEqual(done)
    expect(most).toBe(limit)
    expect(run.eventsOf('target-finished')).toHaveLength(200)
  })

  it('the deadline of a target does not run while it waits for its turn', async () => {
    const phase = onNodes('p', {
      work: 'upload',
      deadlineSeconds: 250,
      apply: ({ clock, signal }) => clock.sleep(200_000, signal),
    })
    const clock = createManualClock()
    const run = startRun([phase], { plan: planWith(30), clock })
    await clock.advance(10 * 200_000)
    expect(await run.result).toEqual(done)
  })

  it('a stop ends all of them, those in the queue too', async () => {
    const phase = onNodes('p', { work: 'upload', apply: ({ clock, signal }) => clock.sleep(1e9, signal) })
    const run = startRun([phase], { plan: planWith(200), clock: createManualClock() })
    await letOthersRun()
    run.stop()
    expect(await run.result).toEqual({ outcome: 'stopped', errors: [] })
    expect(run.eventsOf('target-started')).toHaveLength(3)
    expect(run.eventsOf('target-finished').filter(({ outcome }) => outcome === 'stopped')).toHaveLength(200)
  })
})
