import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import { RunHistory, type CredentialName } from '../engine/history.ts'
import type { PhaseContext } from '../engine/phase.ts'
import type { LoginOutcome } from '../network/session.ts'
import { logIn } from './credentials.ts'

type Outcome = Extract<RunEvent, { type: 'credential-tried' }>['outcome']
type PasswordChange = 'never' | 'unknown' | 'done' | 'failed'

const passwords: Record<CredentialName, string> = { initial: 'the-initial-one', new: 'the-new-one' }

function tried(credential: CredentialName, outcome: Outcome): RunEvent {
  return {
    seq: 1,
    time: '2026-11-22T08:00:00.000Z',
    type: 'credential-tried',
    phase: 'connect-nodes',
    node: 'n1',
    account: 'kairos',
    credential,
    outcome,
  }
}

/** Logs in to an account whose password is `right`; returns what was tried, in order, and what came of it. */
async function attempt(options: {
  right: CredentialName | 'none'
  change?: PasswordChange
  history?: readonly RunEvent[]
  earlierRun?: readonly RunEvent[]
  answers?: (password: string) => LoginOutcome
}): Promise<{ attempts: string[]; reports: string[]; accepted?: CredentialName; error?: AppError }> {
  const history = new RunHistory()
  for (const event of options.earlierRun ?? []) history.noteEarlierRun(event)
  for (const event of options.history ?? []) history.note(event)
  const attempts: string[] = []
  const reports: string[] = []
  const context = {
    history,
    mode: 'apply',
    report: (report: { credential: string; outcome: string }) => {
      reports.push(`${report.credential} ${report.outcome}`)
      return Promise.resolve()
    },
  } as unknown as PhaseContext<unknown>
  const answer =
    options.answers ??
    ((password: string): LoginOutcome =>
      options.right !== 'none' && password === passwords[options.right]
        ? { kind: 'accepted' }
        : { kind: 'refused', message: 'wrong password' })
  try {
    const { name } = await logIn({
      context,
      node: 'n1',
      account: 'kairos',
      place: 'n1',
      credentials: [
        { name: 'initial', password: passwords.initial },
        { name: 'new', password: passwords.new },
      ],
      passwordChange: options.change ?? 'never',
      login: (password) => {
        attempts.push(password === passwords.new ? 'new' : 'initial')
        return Promise.resolve(answer(password))
      },
    })
    return { attempts, reports, accepted: name }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { attempts, reports, error }
  }
}

describe('logging in', () => {
  it('begins with the initial password on a site that was never seen', async () => {
    expect(await attempt({ right: 'initial' })).toMatchObject({ attempts: ['initial'], accepted: 'initial' })
  })

  it('begins with the new password when an earlier run of this site used it, and refuses nothing', async () => {
    const earlierRun = [tried('initial', 'accepted'), tried('new', 'accepted')]
    expect(await attempt({ right: 'new', earlierRun })).toMatchObject({ attempts: ['new'], accepted: 'new' })
  })

  it('finds the initial password again after the node was installed anew', async () => {
    const earlierRun = [tried('initial', 'accepted'), tried('new', 'accepted')]
    expect(await attempt({ right: 'initial', earlierRun })).toMatchObject({ attempts: ['new', 'initial'] })
  })

  it('tries the new password first when nobody knows whether the change took effect', async () => {
    const history = [tried('initial', 'accepted')]
    expect(await attempt({ right: 'new', change: 'unknown', history })).toMatchObject({ attempts: ['new'] })
  })

  it('goes back to the initial one when the new one was refused after a change of unknown outcome', async () => {
    const history = [tried('initial', 'accepted'), tried('new', 'refused')]
    expect(await attempt({ right: 'initial', change: 'unknown', history })).toMatchObject({
      attempts: ['initial'],
    })
  })

  it('puts a password last whose answer was lost', async () => {
    const history = [tried('new', 'trying')]
    expect(await attempt({ right: 'initial', change: 'unknown', history })).toMatchObject({
      attempts: ['initial'],
    })
  })

  it('stops at a locked account without a further attempt', async () => {
    const result = await attempt({
      right: 'none',
      answers: () => ({ kind: 'locked', message: '15 minutes' }),
    })
    expect(result.attempts).toHaveLength(1)
    expect(result.error).toMatchObject({ code: 'LOGIN_LOCKED', node: 'n1', isTransient: false })
  })

  it('notes each attempt before it is made and never names a password', async () => {
    const { reports, error } = await attempt({ right: 'none' })
    expect(reports).toEqual(['initial trying', 'initial refused', 'new trying', 'new refused'])
    expect(error).toMatchObject({ code: 'LOGIN_REFUSED', isTransient: false })
    expect(JSON.stringify(error?.toData())).not.toMatch(/the-(initial|new)-one/)
  })

  it('tries no password twice, whatever happened before, and finds the right one', async () => {
    const outcome = fc.constantFrom<Outcome>('trying', 'accepted', 'refused', 'locked')
    const events = fc.array(
      fc
        .tuple(fc.constantFrom<CredentialName>('initial', 'new'), outcome)
        .map(([name, what]) => tried(name, what)),
      { maxLength: 6 },
    )
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<CredentialName>('initial', 'new'),
        fc.constantFrom<PasswordChange>('never', 'unknown', 'done', 'failed'),
        events,
        events,
        async (right, change, history, earlierRun) => {
          const result = await attempt({ right, change, history, earlierRun })
          expect(new Set(result.attempts).size).toBe(result.attempts.length)
          expect(result.accepted).toBe(right)
        },
      ),
    )
  })
})
