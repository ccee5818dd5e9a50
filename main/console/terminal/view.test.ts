import fc from 'fast-check'
import stringWidth from 'string-width'
import { describe, expect, test } from 'vitest'
import { foldEvents, runEventSchema, type NewRunEvent, type RunEvent } from '../../../shared/events/index.ts'
import { asciiGlyphs, unicodeGlyphs, type Paint } from './style.ts'
import { renderView } from './view.ts'

const start = Date.parse('2026-11-22T08:00:00.000Z')
const digest = 'a'.repeat(64)
const phaseIds = [
  'reach-hosts',
  'upload',
  'boot',
  'configure',
  'link-hosts',
  'cluster',
  'first-login',
  'packs',
]
const phases = phaseIds.map((id) => ({ id, title: `Title of ${id}`, expectedSeconds: 120 }))

function at(events: readonly NewRunEvent[], stepSeconds = 1): RunEvent[] {
  return events.map((event, index) =>
    runEventSchema.parse({
      ...event,
      seq: index + 1,
      time: new Date(start + index * stepSeconds * 1000).toISOString(),
    }),
  )
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `n${index + 1}`)
}

function opening(nodes: readonly string[]): NewRunEvent {
  return {
    type: 'run-started',
    runId: 'r-1',
    site: 'rig-7',
    planDigest: digest,
    mode: 'apply',
    phases,
    nodes: [...nodes],
  }
}

/** `upload` is under way: the first `done` nodes have it, the next `running` copy, `failed` ones failed, the rest wait. */
function uploading(count: number, counts: { done: number; running: number; failed: number }): RunEvent[] {
  const nodes = names(count)
  const phase = 'upload'
  const events: NewRunEvent[] = [
    opening(nodes),
    { type: 'phase-started', phase: 'reach-hosts', targets: nodes },
    { type: 'phase-finished', phase: 'reach-hosts', outcome: 'done', elapsedSeconds: 61 },
    { type: 'phase-started', phase, targets: nodes },
  ]
  nodes.forEach((node, index) => {
    const isDone = index < counts.done
    const isRunning = !isDone && index < counts.done + counts.running
    const isFailed = !isDone && !isRunning && index < counts.done + counts.running + counts.failed
    if (isDone) events.push({ type: 'target-finished', phase, node, outcome: 'done', elapsedSeconds: 5 })
    if (isFailed) events.push({ type: 'target-finished', phase, node, outcome: 'failed', elapsedSeconds: 5 })
    if (isRunning) {
      events.push({ type: 'target-started', phase, node })
      events.push({
        type: 'progress',
        phase,
        node,
        detail: `copied 512 of 1024 MB to ${node}`,
        fraction: 0.5,
      })
    }
  })
  return at(events)
}

const sizes = [
  { width: 40, height: 10 },
  { width: 80, height: 24 },
  { width: 120, height: 40 },
]

describe.each(sizes)('the live view at $width×$height', ({ width, height }) => {
  test.each([3, 100])('with %d nodes fits, and shows the run, the progress and who is at work', (count) => {
    const view = foldEvents(
      uploading(count, { done: count === 3 ? 1 : 80, running: 1, failed: count === 3 ? 0 : 1 }),
    )
    const lines = renderView(view, { width, height, now: start + 200_000 })
    const text = lines.join('\n')
    expect(lines.length).toBeLessThanOrEqual(height - 1)
    for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(width)
    expect(lines[0]).toMatch(/^Palette on rig-7 · 3 min 20 s/u)
    expect(lines[1]).toMatch(/[█░]+ +\d+ % {2}about \d+ min left$/u)
    expect(text).toContain('▸ running Title of upload')
    expect(text).toMatch(new RegExp(`^ +n${count === 3 ? 2 : 81} +▸ running +█+░+.* copied 5`, 'mu'))
  })

  test('with 100 nodes puts the failed and the running first and counts every other one', () => {
    const view = foldEvents(uploading(100, { done: 80, running: 1, failed: 1 }))
    const lines = renderView(view, { width, height, now: start + 200_000 })
    const lanes = lines.filter((line) => /^ {2}n\d/u.test(line))
    expect(lanes[0]).toMatch(/n82 +✗ failed/u)
    expect(lanes[1]).toMatch(/n81 +▸ running/u)
    const counted = /… and (\d+) more: (\d+) done(?:, (\d+) waiting)?/u.exec(lines.join('\n'))
    expect(counted).not.toBeNull()
    const [more = 0, ...parts] = (counted ?? []).slice(1).map((part) => Number(part ?? 0))
    expect(parts.reduce((sum, part) => sum + part, 0)).toBe(more)
    expect(lanes.length + more).toBe(100)
  })

  test('names the phases that it has no room for', () => {
    const lines = renderView(foldEvents(uploading(100, { done: 10, running: 10, failed: 0 })), {
      width,
      height,
      now: start,
    })
    const shown = lines.filter((line) => line.includes('Title of')).length
    const more = /… and (\d+) more phases?: /u.exec(lines.join('\n'))
    expect(shown + Number(more?.[1] ?? 0)).toBe(phases.length)
  })
})

describe('the live view', () => {
  test('says every status in a word, so that no colour is needed', () => {
    const text = renderView(foldEvents(uploading(5, { done: 1, running: 1, failed: 1 })), {
      width: 80,
      height: 40,
      now: start,
    }).join('\n')
    for (const word of ['done', 'running', 'failed', 'waiting']) expect(text).toContain(word)
  })

  test('uses nothing but ASCII where the terminal knows no more', () => {
    const lines = renderView(foldEvents(uploading(100, { done: 1, running: 1, failed: 1 })), {
      width: 60,
      height: 20,
      now: start,
      glyphs: asciiGlyphs,
    })
    expect(lines.join('\n')).toMatch(/^[\n -~]*$/u)
  })

  test('shows errors and the last warnings, also when there are more than rows', () => {
    const error = {
      code: 'X',
      title: 'The disk is gone.',
      detail: '',
      remedies: [],
      isTransient: false,
      node: 'n2',
    }
    const events: NewRunEvent[] = [
      opening(names(3)),
      { type: 'phase-started', phase: 'upload', targets: names(3) },
    ]
    for (let index = 0; index < 9; index++) {
      events.push({ type: 'warning', phase: 'upload', text: `warning number ${index}` })
      events.push({ type: 'error', phase: 'upload', node: 'n2', error })
    }
    const view = foldEvents(at(events))
    const tall = renderView(view, { width: 80, height: 30, now: start })
    expect(tall.join('\n')).toContain('warning number 8')
    expect(tall.join('\n')).toContain('error n2: The disk is gone.')
    expect(tall.at(-1)).toBe('… and 6 more errors')
    const low = renderView(view, { width: 80, height: 10, now: start })
    expect(low.at(-1)).toBe('error (1 of 9) n2: The disk is gone.')
  })

  test('unfolds the phase that failed after the run has come to its end', () => {
    const events = [...uploading(3, { done: 2, running: 0, failed: 1 })]
    const more = at([
      ...events.map(({ seq: _seq, time: _time, ...event }) => event),
      { type: 'phase-finished', phase: 'upload', outcome: 'failed', elapsedSeconds: 3 },
    ])
    const text = renderView(foldEvents(more), { width: 80, height: 24, now: start }).join('\n')
    expect(text).toMatch(/n3 +✗ failed/u)
  })

  test('neutralises what servers and plans put into names and details', () => {
    const evil = '\u001B]0;owned\u0007\u001B[2J\u009B31mboo\r\nnext\u202E'
    const view = foldEvents(
      at([
        { ...opening([evil]), site: evil } as NewRunEvent,
        { type: 'phase-started', phase: 'upload', targets: [evil] },
        { type: 'progress', phase: 'upload', node: evil, detail: evil },
        { type: 'warning', phase: 'upload', node: evil, text: evil },
      ]),
    )
    const lines = renderView(view, { width: 80, height: 24, now: start })
    for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    expect(lines.join('\n')).toContain('boo next')
  })

  test('fits any terminal whatever the events are, with nothing but styling as control characters', () => {
    const text = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.constantFrom('\u001B[2J', '한글 이름', '👩‍🚀👩‍🚀', 'a\nb', 'x'.repeat(300)),
    )
    const name = text.filter((value) => value.length > 0)
    const phase = fc.constantFrom(...phaseIds, 'unknown')
    const node = fc.option(fc.oneof(fc.constantFrom(...names(30)), name), { nil: undefined })
    const place = { phase, node }
    const elapsedSeconds = fc.double({ min: 0, max: 1e7, noNaN: true })
    const error = fc.record({
      code: fc.constant('X'),
      title: name,
      detail: text,
      remedies: fc.array(text, { maxLength: 3 }),
      isTransient: fc.boolean(),
    })
    const run = {
      runId: name,
      site: name,
      planDigest: fc.constant(digest),
      mode: fc.constantFrom('apply' as const, 'dry-run' as const),
      phases: fc.constantFrom(phases, phases.slice(0, 1), []),
      nodes: fc.array(name, { maxLength: 20 }),
    }
    const event: fc.Arbitrary<object> = fc.oneof(
      fc.record({ type: fc.constant('run-started'), ...run }),
      fc.record({
        type: fc.constant('run-resumed'),
        ...run,
        changedInputs: fc.array(text, { maxLength: 3 }),
      }),
      fc.record({
        type: fc.constant('phase-started'),
        phase,
        targets: fc.array(fc.oneof(name, fc.constant('')), { maxLength: 40 }),
      }),
      fc.record({
        type: fc.constant('phase-finished'),
        phase,
        outcome: fc.constantFrom('done', 'skipped', 'failed', 'stopped', 'planned'),
        elapsedSeconds,
      }),
      fc.record({ type: fc.constant('target-started'), ...place }),
      fc.record({
        type: fc.constant('target-finished'),
        ...place,
        outcome: fc.constantFrom('done', 'already-done', 'failed', 'stopped', 'planned'),
        elapsedSeconds,
      }),
      fc.record({
        type: fc.constant('progress'),
        ...place,
        detail: text,
        fraction: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.record({ type: fc.constant('warning'), ...place, text }),
      fc.record({ type: fc.constant('error'), ...place, error }),
      fc.record({
        type: fc.constant('retry'),
        ...place,
        attempt: fc.integer({ min: 1, max: 9 }),
        delaySeconds: elapsedSeconds,
        error,
      }),
      fc.record({
        type: fc.constant('run-finished'),
        outcome: fc.constantFrom('done', 'failed', 'stopped'),
        elapsedSeconds,
        errors: fc.array(error, { maxLength: 5 }),
      }),
    )
    const paint: Paint = (painted) => (painted === '' ? '' : `\u001B[1m${painted}\u001B[22m`)
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 25 }),
        run.phases,
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 60 }),
        fc.boolean(),
        fc.integer({ min: -1e6, max: 1e8 }),
        (events, firstPhases, width, height, isAscii, later) => {
          const first = { ...opening(names(4)), phases: firstPhases }
          const view = foldEvents(at([first, ...events] as NewRunEvent[]))
          const lines = renderView(view, {
            width,
            height,
            now: start + later,
            paint,
            glyphs: isAscii ? asciiGlyphs : unicodeGlyphs,
          })
          expect(lines.length).toBeLessThanOrEqual(height - 1)
          for (const line of lines) {
            expect(stringWidth(line)).toBeLessThanOrEqual(width)
            expect(line.replaceAll('\u001B[1m', '').replaceAll('\u001B[22m', '')).not.toMatch(
              /[\p{Cc}\p{Cf}]/u,
            )
          }
        },
      ),
      { numRuns: 400 },
    )
  })
})
