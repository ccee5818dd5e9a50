import { describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import type { PhaseContext } from '../engine/phase.ts'
import { createManualClock } from '../engine/testing/manual-clock.ts'
import { executeRun, type RunOptions } from '../engine/run.ts'
import { changePasswords } from './change-passwords.ts'
import type { Credential } from './credentials.ts'
import type { Site } from './site.ts'
import { eventsOf, vipPlan } from './testing/vip-site.ts'

const passwords: Credential[] = [
  { name: 'initial', password: 'kairos' },
  { name: 'new', password: 'New-password-12345' },
]

interface Fleet {
  /** Nodes that do not want the new password. */
  refusing?: readonly string[]
  /** Nodes whose answer is lost each time, although the change took effect. */
  losing?: readonly string[]
  /** Nodes where SSH does not take the new password. */
  withoutSsh?: readonly string[]
}

/** Nodes in memory, as `NodeAccess` shows them. */
function fleet({ refusing = [], losing = [], withoutSsh = [] }: Fleet = {}) {
  const plan = vipPlan()
  const current = new Map(plan.nodes.map(({ name }) => [name, 'kairos']))
  const sent: string[] = []
  const accepted = async (context: PhaseContext<unknown>, { name }: { name: string }) => {
    const credential = passwords.find(({ password }) => password === current.get(name))
    if (credential === undefined) throw new Error('no such password')
    await context.report({
      type: 'credential-tried',
      account: 'kairos',
      credential: credential.name,
      outcome: 'accepted',
    })
    return credential
  }
  const site = {
    plan,
    facts: new Map(plan.nodes.map(({ name }) => [name, { host: { kind: 'read' } }])),
    nodes: {
      credentials: () => Promise.resolve(passwords),
      acceptedCredential: accepted,
      forget: () => Promise.resolve(),
      ssh: (_context: unknown, { name }: { name: string }) =>
        Promise.resolve(
          withoutSsh.includes(name) && current.get(name) !== 'kairos'
            ? { kind: 'closed', reason: 'The server offers: password.' }
            : { kind: 'open', connection: { loginMethod: 'password' } },
        ),
      localApi: (_context: unknown, { name }: { name: string }) =>
        Promise.resolve({
          changePassword: (_old: string, wanted: string) => {
            sent.push(name)
            if (refusing.includes(name)) return Promise.resolve({ kind: 'refused', message: 'too simple' })
            current.set(name, wanted)
            if (!losing.includes(name)) return Promise.resolve({ kind: 'changed' })
            return Promise.reject(
              new AppError({ code: 'NO_ANSWER', title: 'The answer was lost.', isTransient: true }),
            )
          },
        }),
    },
  } as unknown as Site
  const clock = createManualClock()
  clock.runFree(120_000)
  const run = async (options: Partial<RunOptions<Site>> = {}) => {
    const events: RunEvent[] = []
    const result = await executeRun({
      runId: 'run-1',
      plan,
      planDigest: 'a'.repeat(64),
      services: site,
      mode: 'apply',
      clock,
      signal: new AbortController().signal,
      redact: (text) => text,
      onEvent: (event) => events.push(event),
      ...options,
      phases: [changePasswords],
    })
    return { result, events }
  }
  return { run, sent, current }
}

describe('the passwords of the nodes', () => {
  it('are changed on one node first, and on the others when the new one is proven there', async () => {
    const { run, sent } = fleet()
    const { result, events } = await run()
    expect(result.outcome).toBe('done')
    expect(sent.toSorted()).toEqual(['n1', 'n2', 'n3'])
    const first = sent[0]
    const proof = events.findIndex(
      (event) => event.type === 'credential-tried' && event.node === first && event.credential === 'new',
    )
    const next = events.findIndex((event) => event.type === 'change-started' && event.node !== first)
    expect(proof).toBeGreaterThan(0)
    expect(next).toBeGreaterThan(proof)
    expect(eventsOf(events, 'evidence').map(({ seen }) => seen)).toEqual(
      Array(3).fill('kairos logged in to the Local UI with it, SSH as well'),
    )
  })

  it('stay the old ones everywhere when the first node does not want the new one', async () => {
    const { run, sent, current } = fleet({ refusing: ['n1', 'n2', 'n3'] })
    const { result } = await run()
    expect(sent).toHaveLength(1)
    expect([...current.values()]).toEqual(['kairos', 'kairos', 'kairos'])
    expect(result.errors.map(({ code }) => code).toSorted()).toEqual([
      'PASSWORD_HELD_BACK',
      'PASSWORD_HELD_BACK',
      'PASSWORD_REFUSED',
    ])
    for (const error of result.errors) expect(error.detail).toContain('n1, n2, n3: the old password.')
  })

  it('are told for every node when one fails in the middle, and the next run completes them', async () => {
    const world = fleet({ refusing: ['n3'] })
    const { result, events } = await world.run()
    expect(result.errors.map(({ code, node }) => [code, node])).toEqual([['PASSWORD_REFUSED', 'n3']])
    expect(result.errors[0]?.detail).toMatch(/n3: the old password\./)
    expect([...world.current.values()].slice(0, 2)).toEqual(Array(2).fill('New-password-12345'))
    const again = await world.run({ earlier: events })
    // n1 and n2 are not touched again.
    expect(world.sent.filter((name) => name !== 'n3')).toHaveLength(2)
    expect(again.result.errors[0]?.detail).toContain(
      'n1, n2: the new password, and a login with it was accepted.',
    )
  })

  it('of which the answer was lost are looked at by a new login, not changed again', async () => {
    const { run, sent } = fleet({ losing: ['n1', 'n2', 'n3'] })
    const { result } = await run()
    expect(result.outcome).toBe('done')
    expect(sent.toSorted()).toEqual(['n1', 'n2', 'n3'])
  })

  it('are not called proven where SSH was open before and is closed to the new one', async () => {
    const { run } = fleet({ withoutSsh: ['n1', 'n2', 'n3'] })
    const { result } = await run()
    expect(result.errors.map(({ code }) => code)).toContain('PASSWORD_NOT_FOR_SSH')
    expect(result.errors.map(({ code }) => code)).toContain('PASSWORD_HELD_BACK')
  })

  it('are announced, one change for each node, by a dry run', async () => {
    const { run, sent } = fleet()
    const { events } = await run({ mode: 'dry-run' })
    expect(sent).toEqual([])
    expect(eventsOf(events, 'change-planned').map(({ node }) => node)).toEqual(['n1', 'n2', 'n3'])
  })
})
