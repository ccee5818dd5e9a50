import { describe, expect, test } from 'vitest'
import { foldEvents, runEventSchema, type NewRunEvent, type RunEvent } from '../../../shared/events/index.ts'
import { formatEventLine } from './event-line.ts'
import { ProgressFilter } from './progress-filter.ts'
import { RunNotes } from './run-notes.ts'
import { formatError, formatSummary } from './summary.ts'

const start = new Date(2026, 10, 22, 8, 0, 0).getTime()
const phases = [
  { id: 'upload', title: 'Copy the ISO', expectedSeconds: 60 },
  { id: 'link-hosts', title: 'Link the hosts', expectedSeconds: 60 },
]
const refused = {
  code: 'LOGIN_REFUSED',
  title: 'The node refused the login.',
  detail: 'Permission denied\n\u001B[31m(publickey)',
  remedies: ['Check the password.', 'Unlock the account.'],
  node: 'n2',
  phase: 'link-hosts',
  isTransient: false,
}

function numbered(events: readonly NewRunEvent[]): RunEvent[] {
  return events.map((event, index) =>
    runEventSchema.parse({ ...event, seq: index + 1, time: new Date(start + index * 1000).toISOString() }),
  )
}

function summaryOf(events: readonly NewRunEvent[]): string {
  const all = numbered(events)
  const notes = new RunNotes()
  for (const event of all) notes.note(event)
  return formatSummary(foldEvents(all), notes, { resumeCommand: 'landfall run PLAN --resume' })
}

function opening(mode: 'apply' | 'dry-run', nodes = ['n1', 'n2']): NewRunEvent {
  return { type: 'run-started', runId: 'r-1', site: 'rig-7', planDigest: 'a'.repeat(64), mode, phases, nodes }
}

const lastLine = (text: string): string | undefined => text.split('\n').at(-1)

describe('the summary', () => {
  test('of a done run lists the evidence by phase and ends with the address', () => {
    const text = summaryOf([
      opening('apply'),
      { type: 'change-started', phase: 'upload', node: 'n1', key: 'iso', what: 'copy' },
      { type: 'change-finished', phase: 'upload', node: 'n1', key: 'iso', outcome: 'done' },
      { type: 'evidence', phase: 'upload', node: 'n1', statement: 'The digest matches', seen: 'ab12' },
      { type: 'evidence', phase: 'upload', node: 'n2', statement: 'The digest matches', seen: 'ab12' },
      { type: 'phase-finished', phase: 'upload', outcome: 'done', elapsedSeconds: 5 },
      { type: 'phase-finished', phase: 'link-hosts', outcome: 'skipped', elapsedSeconds: 0 },
      {
        type: 'run-finished',
        outcome: 'done',
        elapsedSeconds: 200,
        consoleUrl: 'https://10.10.200.100/system',
        errors: [],
      },
    ])
    expect(text).toContain('Run r-1 on site rig-7: done after 3 min 20 s.')
    expect(text).toContain(
      '2 of 2 phases complete, 2 nodes, 1 change made, 2 verified, 0 retries, 0 warnings, 0 errors',
    )
    expect(text).toContain('  Copy the ISO\n    n1, n2: The digest matches (ab12)')
    expect(lastLine(text)).toBe('Palette is ready: https://10.10.200.100/system')
  })

  test('does not show one node’s reading as that of all', () => {
    const text = summaryOf([
      opening('apply'),
      { type: 'evidence', phase: 'upload', node: 'n1', statement: 'Time is right', seen: '08:00' },
      { type: 'evidence', phase: 'upload', node: 'n2', statement: 'Time is right', seen: '08:01' },
      { type: 'run-finished', outcome: 'done', elapsedSeconds: 1, errors: [] },
    ])
    expect(text).toContain('n1, n2: Time is right\n')
  })

  test('does not count what an earlier attempt has seen as evidence', () => {
    const { type: _type, ...shape } = opening('apply') as Extract<NewRunEvent, { type: 'run-started' }>
    const text = summaryOf([
      opening('apply'),
      { type: 'evidence', phase: 'upload', node: 'n1', statement: 'Old', seen: '' },
      { type: 'run-resumed', ...shape, changedInputs: [] },
      { type: 'run-finished', outcome: 'done', elapsedSeconds: 1, errors: [] },
    ])
    expect(text).toContain('nothing was reported as verified')
    expect(text).not.toContain('Old')
  })

  test('of a failed run shows each error and ends with how to go on', () => {
    const text = summaryOf([
      opening('apply'),
      { type: 'phase-finished', phase: 'upload', outcome: 'done', elapsedSeconds: 5 },
      { type: 'phase-finished', phase: 'link-hosts', outcome: 'failed', elapsedSeconds: 5 },
      {
        type: 'run-finished',
        outcome: 'failed',
        elapsedSeconds: 10,
        errors: [refused, { ...refused, node: 'n1' }],
      },
    ])
    expect(text).toContain('FAILED after 10 s')
    expect(text.match(/^Error: The node refused the login\.$/gmu)).toHaveLength(2)
    expect(text).toContain('Complete: Copy the ISO\nStill to do: Link the hosts')
    expect(lastLine(text)).toBe('Go on with: landfall run PLAN --resume')
  })

  test('of a stopped run tells what is complete and how to go on', () => {
    const text = summaryOf([
      opening('apply'),
      { type: 'phase-finished', phase: 'upload', outcome: 'done', elapsedSeconds: 5 },
      { type: 'run-finished', outcome: 'stopped', elapsedSeconds: 10, errors: [] },
    ])
    expect(text).toContain('Complete: Copy the ISO')
    expect(lastLine(text)).toBe('Go on with: landfall run PLAN --resume')
  })

  test('of a run whose end never came does not claim one', () => {
    const text = summaryOf([opening('apply')])
    expect(text).toContain('broke off before its end')
    expect(text).not.toMatch(/ready|: done/u)
    expect(lastLine(text)).toContain('--resume')
  })

  test('of a dry run groups the changes by phase and node and ends with "Nothing was changed."', () => {
    const text = summaryOf([
      opening('dry-run'),
      {
        type: 'change-planned',
        phase: 'upload',
        node: 'n1',
        key: 'iso',
        what: 'Copy palette.iso\n-nothing\n+palette.iso',
      },
      { type: 'change-planned', phase: 'upload', node: 'n2', key: 'iso', what: 'Copy palette.iso' },
      { type: 'change-planned', phase: 'link-hosts', key: 'token', what: 'Create a link token' },
      { type: 'assumption', phase: 'upload', node: 'n2', text: 'Not reachable, taken as fresh' },
      { type: 'run-finished', outcome: 'done', elapsedSeconds: 2, errors: [] },
    ])
    expect(text).toContain(
      [
        'A run would change:',
        '  Copy the ISO',
        '    n1: Copy palette.iso',
        '      -nothing',
        '      +palette.iso',
        '    n2: Copy palette.iso',
        '  Link the hosts',
        '    site: Create a link token',
      ].join('\n'),
    )
    expect(text).toContain('n2: Not reachable, taken as fresh')
    expect(text).toContain('3 changes planned, 1 assumption')
    expect(lastLine(text)).toBe('Nothing was changed.')
  })

  test('does not say that nothing was changed when a change began in a dry run', () => {
    const text = summaryOf([
      opening('dry-run'),
      { type: 'change-started', phase: 'upload', node: 'n1', key: 'iso', what: 'copy' },
      { type: 'run-finished', outcome: 'done', elapsedSeconds: 2, errors: [] },
    ])
    expect(text).not.toContain('Nothing was changed')
  })
})

test('an error is a block with title, place, what was seen and numbered remedies, without controls', () => {
  expect(formatError(refused)).toBe(
    [
      'Error: The node refused the login.',
      '  Where: node n2, phase link-hosts, LOGIN_REFUSED',
      '  Seen:  Permission denied',
      '         (publickey)',
      '  What you can do:',
      '    1. Check the password.',
      '    2. Unlock the account.',
    ].join('\n'),
  )
})

describe('a line of the log', () => {
  const place = { phase: 'upload', node: 'n1' }
  test.each<[NewRunEvent, RegExp]>([
    [{ type: 'change-started', ...place, key: 'iso', what: 'Copy it' }, /changing \[iso\]: Copy it$/u],
    [{ type: 'change-finished', ...place, key: 'iso', outcome: 'unknown' }, /unknown outcome \[iso\]/u],
    [
      { type: 'evidence', ...place, statement: 'Same digest', seen: 'ab' },
      /verified: Same digest \(seen: ab\)$/u,
    ],
    [
      {
        type: 'identity-pinned',
        ...place,
        kind: 'ssh',
        endpoint: '10.0.0.1:22',
        algorithm: 'ed25519',
        fingerprint: 'SHA256:x',
      },
      /identity pinned: ssh 10\.0\.0\.1:22 ed25519 SHA256:x$/u,
    ],
    [
      { type: 'retry', ...place, attempt: 1, delaySeconds: 90, error: refused },
      /attempt 1 failed, trying again in 1 min 30 s: The node/u,
    ],
    [{ type: 'warning', ...place, text: 'slow\u001B[2J' }, /WARNING: slow$/u],
    [
      { type: 'error', ...place, error: refused },
      /ERROR: The node refused the login\. Permission denied \(publickey\)$/u,
    ],
  ])('%o', (event, pattern) => {
    const line = numbered([event]).map((one) => formatEventLine(one))[0]
    expect(line).toMatch(/^08:00:00 {2}upload +n1 +/u)
    expect(line).toMatch(pattern)
  })
})

describe('progress in a log', () => {
  function shown(steps: readonly { detail: string; fraction?: number; second: number }[]): string[] {
    const filter = new ProgressFilter()
    return steps
      .filter(({ detail, fraction, second }) =>
        filter.isNoteworthy({
          type: 'progress',
          phase: 'upload',
          node: 'n1',
          seq: 1,
          time: new Date(start + second * 1000).toISOString(),
          detail,
          ...(fraction === undefined ? {} : { fraction }),
        }),
      )
      .map(({ detail }) => detail)
  }

  test('is one line for each tenth, however many events there are', () => {
    const steps = Array.from({ length: 1001 }, (_, n) => ({
      detail: `${n} of 1000 MB`,
      fraction: n / 1000,
      second: 0,
    }))
    expect(shown(steps)).toHaveLength(11)
  })

  test('is a line when the wording changes', () => {
    expect(
      shown([
        { detail: 'copying', second: 0 },
        { detail: 'copying', second: 1 },
        { detail: 'verifying', second: 2 },
      ]),
    ).toEqual(['copying', 'verifying'])
  })

  test('without a fraction still tells once a minute that a number moves', () => {
    const steps = Array.from({ length: 181 }, (_, second) => ({ detail: `waiting for ${second} s`, second }))
    expect(shown(steps)).toEqual([0, 60, 120, 180].map((second) => `waiting for ${second} s`))
  })
})
