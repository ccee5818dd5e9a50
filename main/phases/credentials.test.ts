import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import { RunHistory, type ChangeState, type CredentialName } from '../engine/history.ts'
import type { PhaseContext } from '../engine/phase.ts'
import { createManualClock } from '../engine/testing/manual-clock.ts'
import type { LoginOutcome } from '../network/session.ts'
import { logIn, plannedCredentials, type Credential } from './credentials.ts'

type Outcome = Extract<RunEvent, { type: 'credential-tried' }>['outcome']

const initial: Credential = { name: 'initial', password: 'kairos' }
const wanted: Credential = { name: 'new', password: 'New-password-12345' }

interface Situation {
  credentials?: readonly Credential[]
  /** What the journal of this run saw, oldest first. */
  seen?: readonly (readonly [CredentialName, Outcome])[]
  /** What the journal of an earlier run of the site saw. */
  earlier?: readonly (readonly [CredentialName, Outcome])[]
  passwordChange?: ChangeState
  /** Passwords that the account accepts. */
  accepts?: readonly string[]
  /** Is locked from this attempt on, counted from 1. */
  locksAt?: number
  mode?: 'apply' | 'dry-run'
}

interface Course {
  /** What reached the account, in order. */
  sent: string[]
  /** What became durable, and what was sent, in order. */
  steps: string[]
  result: Credential | AppError
}

async function course(situation: Situation): Promise<Course> {
  const { credentials = [initial, wanted], accepts = [], locksAt = Infinity, mode = 'apply' } = situation
  const history = new RunHistory()
  const tried = (credential: CredentialName, outcome: Outcome): RunEvent => ({
    type: 'credential-tried',
    seq: 1,
    time: '2026-01-01T00:00:00.000Z',
    phase: 'connect-nodes',
    node: 'n1',
    account: 'kairos',
    credential,
    outcome,
  })
  for (const [credential, outcome] of situation.earlier ?? [])
    history.noteEarlierRun(tried(credential, outcome))
  for (const [credential, outcome] of situation.seen ?? []) history.note(tried(credential, outcome))
  const sent: string[] = []
  const steps: string[] = []
  const unused = () => Promise.reject(new Error('a login changes nothing and waits for nothing'))
  const context: PhaseContext<undefined> = {
    services: undefined,
    phase: 'connect-nodes',
    mode,
    clock: createManualClock(),
    signal: new AbortController().signal,
    history,
    change: unused,
    waitFor: unused,
    progress: () => undefined,
    evidence: () => undefined,
    warn: () => undefined,
    report: (event) => {
      if (event.type === 'credential-tried') {
        history.note(tried(event.credential, event.outcome))
        steps.push(`${event.credential} ${event.outcome}`)
      }
      return Promise.resolve()
    },
  }
  const login = (password: string): Promise<LoginOutcome> => {
    sent.push(password)
    steps.push(`sent ${password}`)
    if (sent.length >= locksAt) return Promise.resolve({ kind: 'locked', message: 'locked for 15 minutes' })
    return Promise.resolve(
      accepts.includes(password) ? { kind: 'accepted' } : { kind: 'refused', message: 'wrong password' },
    )
  }
  const result = await logIn({
    context,
    node: 'n1',
    account: 'kairos',
    place: 'node n1',
    credentials,
    passwordChange: situation.passwordChange ?? 'never',
    login,
  }).catch((error: unknown) => {
    if (error instanceof AppError) return error
    throw error
  })
  return { sent, steps, result }
}

/** The order in which passwords are tried when all are refused. */
async function orderOf(situation: Situation): Promise<string> {
  const { steps } = await course(situation)
  return steps
    .filter((step) => step.endsWith(' trying'))
    .map((step) => step.split(' ')[0])
    .join(', ')
}

describe('the password that is tried first', () => {
  it.each<[what: string, situation: Situation, order: string]>([
    ['on a fresh site the initial one', {}, 'initial, new'],
    ['the one that was accepted last', { seen: [['new', 'accepted']] }, 'new, initial'],
    ['the initial one while it is the one in use', { seen: [['initial', 'accepted']] }, 'initial, new'],
    ['not one that was refused', { seen: [['initial', 'refused']] }, 'new, initial'],
    ['not one whose answer was lost', { seen: [['initial', 'trying']] }, 'new, initial'],
    ['after a change that took effect the new one', { passwordChange: 'done' }, 'new, initial'],
    [
      'after a change that took effect the new one, although it was refused before the change',
      {
        passwordChange: 'done',
        seen: [
          ['new', 'refused'],
          ['initial', 'accepted'],
        ],
      },
      'new, initial',
    ],
    [
      'after a change whose answer was lost the new one',
      { passwordChange: 'unknown', seen: [['initial', 'accepted']] },
      'new, initial',
    ],
    [
      'after a change whose answer was lost the initial one, if the new one was refused since',
      {
        passwordChange: 'unknown',
        seen: [
          ['initial', 'accepted'],
          ['new', 'refused'],
        ],
      },
      'initial, new',
    ],
    [
      'after a change that was refused the one that was accepted before',
      { passwordChange: 'failed', seen: [['initial', 'accepted']] },
      'initial, new',
    ],
    [
      'in a new run the one that an earlier run used last',
      { earlier: [['new', 'accepted']] },
      'new, initial',
    ],
    [
      'what this run saw counts more than what an earlier one saw',
      { earlier: [['new', 'accepted']], seen: [['new', 'refused']] },
      'initial, new',
    ],
  ])('is %s', async (_what, situation, order) => {
    expect(await orderOf(situation)).toBe(order)
  })

  it('is followed by the initial one on a node that was installed anew since an earlier run', async () => {
    const earlier = [
      ['initial', 'accepted'],
      ['new', 'accepted'],
    ] as const
    expect(await course({ earlier, accepts: ['kairos'] })).toMatchObject({
      sent: [wanted.password, 'kairos'],
      result: initial,
    })
  })

  it('is the only one when it is accepted', async () => {
    expect(await course({ accepts: ['kairos'] })).toMatchObject({ sent: ['kairos'], result: initial })
    expect(await course({ accepts: [wanted.password], passwordChange: 'done' })).toMatchObject({
      sent: [wanted.password],
      result: wanted,
    })
  })
})

describe('every attempt', () => {
  it('is durable before it is made, and its outcome after', async () => {
    const { steps, result } = await course({ accepts: [wanted.password] })
    expect(steps).toEqual([
      'initial trying',
      'sent kairos',
      'initial refused',
      'new trying',
      `sent ${wanted.password}`,
      'new accepted',
    ])
    expect(result).toEqual(wanted)
  })

  it('is the last one when the account is locked', async () => {
    const { sent, result } = await course({ locksAt: 1, accepts: [wanted.password] })
    expect(sent).toEqual(['kairos'])
    expect(result).toMatchObject({ code: 'LOGIN_LOCKED', node: 'n1', isTransient: false })
    expect((result as AppError).message).toContain('kairos of node n1')
    expect((result as AppError).detail).toBe('locked for 15 minutes')
  })

  it('is made once only for a password that both names stand for; it counts as the new one', async () => {
    const credentials = [{ ...initial, password: wanted.password }, wanted]
    expect((await course({ credentials })).sent).toEqual([wanted.password])
    expect(await course({ credentials, accepts: [wanted.password] })).toMatchObject({ result: wanted })
  })
})

describe('a login that no password opens', () => {
  it('is refused with account, place and what was tried, and shows no password', async () => {
    const { result } = await course({})
    expect(result).toMatchObject({
      code: 'LOGIN_REFUSED',
      title: 'node n1 refused the login of kairos.',
      node: 'n1',
      isTransient: false,
    })
    const words = JSON.stringify((result as AppError).toData())
    expect(words).toContain('the initial password: wrong password; the new password: wrong password')
    expect(words).not.toContain(wanted.password)
  })

  it('is no final answer in a dry run, which may lack the password in use', async () => {
    const { result } = await course({ mode: 'dry-run', credentials: [initial] })
    expect(result).toMatchObject({ code: 'LOGIN_REFUSED', isTransient: true })
  })

  it('is not tried at all without a password', async () => {
    const { sent, result } = await course({ mode: 'dry-run', credentials: [] })
    expect(sent).toEqual([])
    expect(result).toMatchObject({ code: 'NO_CREDENTIALS', isTransient: true })
  })
})

describe('the passwords that a plan names', () => {
  it('are those that can be had, in the order of the procedure, and only those are got', async () => {
    const get = (password: string) => () => Promise.resolve(password)
    expect(await plannedCredentials({ initial: get('kairos'), wanted: get('x') })).toEqual([
      initial,
      { name: 'new', password: 'x' },
    ])
    expect(await plannedCredentials({ initial: get('kairos'), wanted: false })).toEqual([initial])
    expect(await plannedCredentials({ initial: false, wanted: false })).toEqual([])
  })
})

describe('whatever happened before', () => {
  const name = fc.constantFrom<CredentialName>('initial', 'new')
  const outcome = fc.constantFrom<Outcome>('trying', 'accepted', 'refused', 'locked')
  const journal = fc.array(fc.tuple(name, outcome), { maxLength: 8 })
  const password = fc.constantFrom('kairos', wanted.password)
  const situation = fc.record({
    credentials: fc
      .tuple(fc.option(password), fc.option(password))
      .map(([first, second]): Credential[] => [
        ...(first === null ? [] : [{ name: 'initial' as const, password: first }]),
        ...(second === null ? [] : [{ name: 'new' as const, password: second }]),
      ]),
    seen: journal,
    earlier: journal,
    passwordChange: fc.constantFrom<ChangeState>('never', 'unknown', 'done', 'failed'),
    accepts: fc.subarray(['kairos', wanted.password]),
    locksAt: fc.constantFrom(1, 2, Infinity),
    mode: fc.constantFrom<'apply' | 'dry-run'>('apply', 'dry-run'),
  })

  it('no password is sent twice, nothing after a lock or an acceptance, and the right one is found', async () => {
    await fc.assert(
      fc.asyncProperty(situation, async (given) => {
        const { sent, steps, result } = await course(given)
        const passwords = given.credentials.map((credential) => credential.password)
        expect(new Set(sent).size).toBe(sent.length)
        expect(sent.every((text) => passwords.includes(text))).toBe(true)
        expect(sent.length).toBeLessThanOrEqual(given.locksAt)
        // Each attempt: durable, sent, outcome durable.
        expect(steps).toHaveLength(3 * sent.length)
        expect(steps.filter((_, index) => index % 3 === 0).every((step) => step.endsWith(' trying'))).toBe(
          true,
        )
        const last = sent.at(-1)
        if (result instanceof AppError) {
          if (given.locksAt === Infinity) {
            expect(new Set(sent)).toEqual(new Set(passwords))
            expect(passwords.some((text) => given.accepts.includes(text))).toBe(false)
          }
        } else {
          expect(result.password).toBe(last)
          expect(given.accepts).toContain(last)
          expect(sent.slice(0, -1).some((text) => given.accepts.includes(text))).toBe(false)
        }
      }),
      { numRuns: 300 },
    )
  })
})
