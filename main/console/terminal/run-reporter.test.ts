import { PassThrough } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { runEventSchema, type NewRunEvent, type RunEvent } from '../../../shared/events/index.ts'
import { createRunReporter, type RunReporterOptions } from './run-reporter.ts'

const start = Date.parse('2026-11-22T08:00:00.000Z')
const hide = '\u001B[?25l'
const show = '\u001B[?25h'
/** log-update begins every picture on a terminal with this. */
const frameStart = '\u001B[?2026h'

const opening: NewRunEvent = {
  type: 'run-started',
  runId: 'r-1',
  site: 'rig-7',
  planDigest: 'a'.repeat(64),
  mode: 'apply',
  phases: [{ id: 'upload', title: 'Copy the ISO', expectedSeconds: 600 }],
  nodes: ['n1'],
}
const phaseStart: NewRunEvent = { type: 'phase-started', phase: 'upload', targets: ['n1'] }
const done: NewRunEvent = {
  type: 'run-finished',
  outcome: 'done',
  elapsedSeconds: 5,
  consoleUrl: 'https://10.10.200.100/system',
  errors: [],
}

function progress(text: string): NewRunEvent {
  return { type: 'progress', phase: 'upload', node: 'n1', detail: text }
}

/** Gives events their place in the run. */
function createNumbering(): (event: NewRunEvent) => RunEvent {
  let seq = 0
  return (event) =>
    runEventSchema.parse({ ...event, seq: ++seq, time: new Date(start + seq * 1000).toISOString() })
}

class FakeTerminal extends PassThrough {
  readonly isTTY: boolean
  columns = 60
  rows = 15
  text = ''

  constructor(isTTY: boolean) {
    super()
    this.isTTY = isTTY
    this.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('utf8')
    })
  }
}

function setUp(options: Partial<RunReporterOptions> & { isTTY?: boolean } = {}) {
  const { isTTY = false, ...rest } = options
  const stdout = new FakeTerminal(isTTY)
  const stderr = new FakeTerminal(false)
  const reporter = createRunReporter({
    format: 'auto',
    stdout,
    stderr,
    clock: { now: () => start },
    env: { LANG: 'C.UTF-8', TERM: 'xterm' },
    platform: 'linux',
    now: () => Date.now(),
    ...rest,
  })
  return { stdout, stderr, reporter, number: createNumbering() }
}

describe('as JSON', () => {
  test('standard output holds exactly the events, one valid one a line', async () => {
    const { stdout, stderr, reporter, number } = setUp({ format: 'json', isTTY: true })
    const events = [opening, phaseStart, progress('a\nb\u001B[2J\u2028'), done].map(number)
    for (const event of events) reporter.onEvent(event)
    await reporter.close()
    const lines = stdout.text.trimEnd().split('\n')
    expect(lines.map((line) => runEventSchema.parse(JSON.parse(line)))).toEqual(events)
    expect(stdout.text).not.toContain('\u001B')
    expect(stderr.text).toBe('')
  })

  test('a reader that went away neither throws nor is complained about', async () => {
    const { stdout, stderr, reporter, number } = setUp({ format: 'json' })
    reporter.onEvent(number(opening))
    stdout.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    await vi.waitFor(() => {
      expect(stdout.closed).toBe(true)
    })
    reporter.onEvent(number(phaseStart))
    await reporter.close()
    expect(stderr.text).toBe('')
  })

  test('any other failure of the output is told once on standard error, and the run goes on', async () => {
    const { stdout, stderr, reporter, number } = setUp({ format: 'json' })
    stdout.destroy(new Error('no space left on device'))
    await vi.waitFor(() => {
      expect(stdout.closed).toBe(true)
    })
    for (const event of [opening, phaseStart, done]) reporter.onEvent(number(event))
    await reporter.close()
    expect(stderr.text.match(/no space left on device/gu)).toHaveLength(1)
  })
})

describe('as plain lines', () => {
  test.each([
    ['no terminal', { isTTY: false }],
    ['a dumb terminal', { isTTY: true, env: { TERM: 'dumb' } }],
    ['a build server', { isTTY: true, env: { TERM: 'xterm', CI: 'true' } }],
    ['wish', { isTTY: true, format: 'plain' as const }],
  ])('%s gets a log without cursor movements, and the summary at its end', async (_name, options) => {
    const { stdout, reporter, number } = setUp(options)
    for (const event of [opening, phaseStart, progress('half way'), done]) reporter.onEvent(number(event))
    await reporter.close()
    expect(
      stdout.text
        .split('\u001B')
        .slice(1)
        .filter((rest) => !/^\[\d+m/u.test(rest)),
    ).toEqual([])
    expect(stdout.text).toMatch(/^\d\d:\d\d:\d\d {2}upload +n1 +half way$/mu)
    expect(stripVTControlCharacters(stdout.text).trimEnd()).toMatch(
      /\nPalette is ready: https:\/\/10\.10\.200\.100\/system$/u,
    )
  })

  test('neither repeats earlier attempts nor events that it has seen', async () => {
    const number = createNumbering()
    const earlier = [opening, phaseStart, progress('long ago')].map(number)
    const { stdout, reporter } = setUp({ earlier })
    for (const event of earlier) reporter.onEvent(event)
    const next = number(progress('now'))
    reporter.onEvent(next)
    reporter.onEvent(next)
    expect(stdout.text).not.toContain('long ago')
    expect(stdout.text.match(/now/gu)).toHaveLength(1)
    await reporter.close()
  })

  test('a run that ends without saying so is told as broken off, with the way to go on', async () => {
    const { stdout, reporter, number } = setUp({ resumeCommand: 'landfall run rig-7.yaml --resume' })
    reporter.onEvent(number(opening))
    await reporter.close()
    await reporter.close()
    expect(stdout.text.match(/broke off before its end/gu)).toHaveLength(1)
    expect(stdout.text.trimEnd()).toMatch(/Go on with: landfall run rig-7\.yaml --resume$/u)
  })

  test('without any event nothing is said', async () => {
    const { stdout, reporter } = setUp()
    await reporter.close()
    expect(stdout.text).toBe('')
  })
})

describe('on a terminal', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  async function closeWithFakeTime(reporter: { close(): Promise<void> }): Promise<void> {
    const closing = reporter.close()
    await vi.advanceTimersByTimeAsync(10)
    await closing
  }

  const frames = (text: string) => text.split(frameStart).length - 1

  test('the picture is drawn at most eight times a second, and the last news is in it', async () => {
    const { stdout, reporter, number } = setUp({ isTTY: true })
    reporter.onEvent(number(opening))
    reporter.onEvent(number(phaseStart))
    await vi.advanceTimersByTimeAsync(1)
    const before = frames(stdout.text)
    expect(before).toBe(1)
    for (let millisecond = 0; millisecond < 1000; millisecond++) {
      reporter.onEvent(number(progress(`piece ${millisecond}`)))
      await vi.advanceTimersByTimeAsync(1)
    }
    expect(frames(stdout.text) - before).toBeGreaterThanOrEqual(7)
    expect(frames(stdout.text) - before).toBeLessThanOrEqual(8)
    await vi.advanceTimersByTimeAsync(125)
    expect(stdout.text).toContain('piece 999')
    await closeWithFakeTime(reporter)
  })

  test('time goes on in the picture without events', async () => {
    let now = start + 1000
    const { stdout, reporter, number } = setUp({ isTTY: true, clock: { now: () => now } })
    reporter.onEvent(number(opening))
    await vi.advanceTimersByTimeAsync(1)
    now += 65_000
    await vi.advanceTimersByTimeAsync(1000)
    expect(stdout.text).toContain('1 min 5 s')
    await closeWithFakeTime(reporter)
  })

  test.each([
    ['done', [done]],
    ['broken off', []],
  ])('the cursor comes back and the summary stays when the run is %s', async (_name, last) => {
    const listeners = () => process.listenerCount('SIGTERM') + process.listenerCount('exit')
    const before = listeners()
    const { stdout, reporter, number } = setUp({ isTTY: true })
    for (const event of [opening, phaseStart, ...last]) reporter.onEvent(number(event))
    await vi.advanceTimersByTimeAsync(500)
    await closeWithFakeTime(reporter)
    expect(stdout.text.lastIndexOf(show)).toBeGreaterThan(stdout.text.lastIndexOf(hide))
    expect(stdout.text.slice(stdout.text.lastIndexOf(show))).toContain('Run r-1 on site rig-7:')
    expect(listeners()).toBe(before)
    expect(stdout.listenerCount('resize')).toBe(0)
    const text = stdout.text
    await vi.advanceTimersByTimeAsync(5000)
    expect(stdout.text).toBe(text)
  })

  test('a terminal that becomes smaller gets a fresh picture of its size', async () => {
    const { stdout, reporter, number } = setUp({ isTTY: true })
    reporter.onEvent(number(opening))
    await vi.advanceTimersByTimeAsync(200)
    const before = stdout.text.length
    stdout.columns = 40
    stdout.emit('resize')
    await vi.advanceTimersByTimeAsync(200)
    expect(stdout.text.slice(before)).toContain('\u001B[2J')
    await closeWithFakeTime(reporter)
  })

  test('a fault of the picture is told and does not reach the run', async () => {
    const { stderr, reporter, number } = setUp({
      isTTY: true,
      clock: {
        now: () => {
          throw new Error('clock broke')
        },
      },
    })
    reporter.onEvent(number(opening))
    await vi.advanceTimersByTimeAsync(3000)
    await closeWithFakeTime(reporter)
    expect(stderr.text.match(/clock broke/gu)).toHaveLength(1)
  })
})
