import { describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import {
  checkResultSchema,
  isBlocking,
  type AcceptedWarning,
  type CheckId,
  type CheckResult,
  type Finding,
} from '../../shared/checks/index.ts'
import { CheckSession, type CheckStage } from './check-session.ts'

const finding = (id: CheckId, target: string, state: Finding['state'] = 'pass'): Finding => ({
  id,
  target,
  state,
  measured: 'm',
  threshold: 't',
  evidence: 'e',
  remedy: 'r',
})
const { signal } = new AbortController()

function sessionOf(stages: readonly CheckStage[], accepted: readonly AcceptedWarning[] = []) {
  const told: CheckResult[] = []
  const session = new CheckSession({
    stages,
    clock: { now: () => 1000 },
    accepted,
    onResult: (result) => told.push(checkResultSchema.parse(result)),
  })
  const states = () => session.results.map(({ id, target, state }) => `${id} ${target} ${state}`)
  return { session, told, states }
}

const nodes: CheckStage = {
  title: 'Nodes',
  ids: ['node.cpu', 'node.memory'],
  targets: ['n1', 'n2'],
  run: (_asked, take) => {
    take([finding('node.cpu', 'n1'), finding('node.memory', 'n1', 'fail')])
    take([finding('node.cpu', 'n2'), finding('node.memory', 'n2')])
    return Promise.resolve()
  },
}
const network: CheckStage = {
  title: 'Network',
  ids: ['net.latency'],
  targets: ['n1', 'n2'],
  run: (_asked, take) => {
    take([finding('net.latency', 'n1 → n2', 'fail')])
    return Promise.resolve()
  },
}

describe('a session of checks', () => {
  it('tells of every check that it is waiting, running, and what came of it', async () => {
    const { session, told } = sessionOf([nodes, network])
    await session.run(session.ids, signal)
    const course = told.filter(({ id, target }) => id === 'node.memory' && target === 'n1')
    expect(course.map(({ state }) => state)).toEqual(['pending', 'running', 'fail'])
    expect(course[0]).toMatchObject({ at: null })
    expect(course[2]).toMatchObject({ at: '1970-01-01T00:00:01.000Z' })
  })

  it('has results for the targets that were found, not for those that were expected', async () => {
    const { session, states } = sessionOf([nodes, network])
    await session.run(session.ids, signal)
    expect(states()).toEqual([
      'node.cpu n1 pass',
      'node.cpu n2 pass',
      'node.memory n1 fail',
      'node.memory n2 pass',
      'net.latency n1 → n2 warn',
    ])
  })

  it('runs only what is asked, and only the stages that answer it', async () => {
    const ran: string[] = []
    const noting = (stage: CheckStage): CheckStage => ({
      ...stage,
      run: (asked, take) => {
        ran.push(`${stage.title}: ${[...asked].join(' ')}`)
        return stage.run(asked, take)
      },
    })
    const { session, states } = sessionOf([noting(nodes), noting(network)])
    await session.run(new Set<CheckId>(['node.cpu']), signal)
    expect(ran).toEqual(['Nodes: node.cpu'])
    expect(states()).toEqual(['node.cpu n1 pass', 'node.cpu n2 pass'])
  })

  it('replaces what it runs again, and keeps the rest', async () => {
    let state: Finding['state'] = 'fail'
    const changing: CheckStage = {
      ...network,
      run: (_asked, take) => {
        take([finding('net.latency', 'n1 → n2', state)])
        return Promise.resolve()
      },
    }
    const { session, states, told } = sessionOf([nodes, changing])
    await session.run(session.ids, signal)
    state = 'pass'
    told.length = 0
    await session.run(new Set<CheckId>(['net.latency']), signal)
    expect(told.map((result) => `${result.target} ${result.state} ${result.measured}`)).toEqual([
      'n1 → n2 pending ',
      'n1 → n2 running ',
      'n1 → n2 pass m',
    ])
    expect(states()).toContain('net.latency n1 → n2 pass')
    expect(states()).toHaveLength(5)
  })

  it('knows of none that it passed when its stage fails, and goes on with the next', async () => {
    const broken: CheckStage = {
      ...nodes,
      run: (_asked, take) => {
        take([finding('node.cpu', 'n1')])
        return Promise.reject(
          new AppError({ code: 'UNREACHABLE', title: 'n2 is silent.', remedies: ['Switch it on.'] }),
        )
      },
    }
    const { session, states } = sessionOf([broken, network])
    await session.run(session.ids, signal)
    expect(states()).toEqual([
      'node.cpu n1 pass',
      'node.cpu n2 could-not-run',
      'node.memory n1 could-not-run',
      'node.memory n2 could-not-run',
      'net.latency n1 → n2 warn',
    ])
    expect(session.results[1]).toMatchObject({ measured: 'n2 is silent.', remedy: 'Switch it on.' })
    expect(session.results.filter(isBlocking)).toHaveLength(3)
  })

  it('ends with the reason of a stop, and what was not finished blocks', async () => {
    const abort = new AbortController()
    const stopped: CheckStage = {
      ...nodes,
      run: () => {
        abort.abort(new Error('stopped'))
        return Promise.reject(new AppError({ code: 'UNREACHABLE', title: 'cut' }))
      },
    }
    const { session } = sessionOf([stopped, network])
    await expect(session.run(session.ids, abort.signal)).rejects.toThrow('stopped')
    expect(session.results.filter(isBlocking)).toHaveLength(4)
  })

  it('does not hide a fault of its own', async () => {
    const { session } = sessionOf([{ ...nodes, run: () => Promise.reject(new TypeError('a bug')) }])
    await expect(session.run(session.ids, signal)).rejects.toThrow('a bug')
  })

  it('shows what somebody accepted as such', async () => {
    const accepted = {
      id: 'net.latency' as const,
      target: 'n1 → n2',
      measured: 'm',
      by: 'ops',
      at: '2026-01-01T00:00:00.000Z',
      why: 'w',
    }
    const { session, states } = sessionOf([network], [accepted])
    await session.run(session.ids, signal)
    expect(states()).toEqual(['net.latency n1 → n2 acknowledged'])
  })

  it('tells a result once, although it is found twice', async () => {
    const twice: CheckStage = {
      ...network,
      run: (_asked, take) => {
        take([finding('net.latency', 'n1', 'fail')])
        take([finding('net.latency', 'n1', 'fail'), finding('net.latency', 'n2')])
        return Promise.resolve()
      },
    }
    const { session, told } = sessionOf([twice])
    await session.run(session.ids, signal)
    expect(told.map(({ target, state }) => `${target} ${state}`)).toEqual([
      'n1 pending',
      'n2 pending',
      'n1 running',
      'n2 running',
      'n1 warn',
      'n2 pass',
    ])
  })

  it('drops findings of checks that were not asked for', async () => {
    const talkative: CheckStage = {
      ...network,
      run: (_asked, take) => {
        take([finding('net.latency', 'n1'), finding('node.cpu', 'n1', 'fail')])
        return Promise.resolve()
      },
    }
    const { session, states } = sessionOf([talkative])
    await session.run(session.ids, signal)
    expect(states()).toEqual(['net.latency n1 pass'])
  })
})
