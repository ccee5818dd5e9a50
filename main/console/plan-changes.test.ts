import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import type { RunEvent } from '../../shared/events/index.ts'
import { planWith } from '../engine/testing/run-harness.ts'
import { changedPaths, refuseFrozenChanges } from './plan-changes.ts'

describe('changed paths', () => {
  it('are those whose values differ, as they are written in a plan', () => {
    const before = { site: { vip: 'a', ntp: ['x', 'y'] }, nodes: [{ name: 'n1' }, { name: 'n2' }] }
    const after = { site: { vip: 'b', ntp: ['x'] }, nodes: [{ name: 'n1' }, { name: 'n3' }, { name: 'n4' }] }
    expect(changedPaths(before, after)).toEqual(['site.vip', 'site.ntp[1]', 'nodes[1].name', 'nodes[2]'])
  })

  it('name what was added, removed, or became something of another kind', () => {
    expect(changedPaths({ a: { b: 1 } }, { a: { b: 1, c: 2 } })).toEqual(['a.c'])
    expect(changedPaths({ a: null }, { a: { b: 1 } })).toEqual(['a'])
    expect(changedPaths({ a: ['x'] }, { a: { 0: 'x' } })).toEqual(['a'])
    expect(changedPaths({ a: '1' }, { a: 1 })).toEqual(['a'])
    expect(changedPaths({}, { toString: 'x' })).toEqual(['toString'])
  })

  it('are none between equal values', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(changedPaths(value, structuredClone(value))).toEqual([])
      }),
    )
  })

  it('find a single change at its path and nowhere else', () => {
    const plan = planWith(3)
    const leaves = leavesOf(plan)
    expect(leaves.length).toBeGreaterThan(50)
    fc.assert(
      fc.property(fc.constantFrom(...leaves), (leaf) => {
        const changed = structuredClone(plan)
        setAt(changed, leaf.keys, 'changed')
        expect(changedPaths(plan, changed)).toEqual([leaf.path])
        expect(changedPaths(changed, plan)).toEqual([leaf.path])
      }),
    )
  })
})

interface Leaf {
  keys: string[]
  path: string
}

function leavesOf(value: unknown, keys: string[] = [], path = ''): Leaf[] {
  if (typeof value !== 'object' || value === null) return [{ keys, path }]
  return Object.entries(value).flatMap(([key, child]) =>
    leavesOf(
      child,
      [...keys, key],
      Array.isArray(value) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`,
    ),
  )
}

function setAt(target: object, keys: readonly string[], value: unknown): void {
  const [key, ...rest] = keys
  if (key === undefined) throw new TypeError('a leaf has a path')
  if (rest.length === 0) {
    Reflect.set(target, key, value)
    return
  }
  const child: unknown = Reflect.get(target, key)
  if (typeof child === 'object' && child !== null) setAt(child, rest, value)
}

describe('changes that the site cannot follow any more', () => {
  const begun = (...phases: string[]): RunEvent[] =>
    phases.map((phase, index) => ({
      type: 'change-started',
      seq: index + 1,
      time: '2026-01-01T00:00:00.000Z',
      phase,
      key: 'key',
      what: 'something',
    }))
  const refusalOf = (changed: string[], events: RunEvent[], vip = '10.10.200.100'): AppError | undefined => {
    try {
      refuseFrozenChanges(changed, events, vip)
      return undefined
    } catch (error) {
      if (error instanceof AppError) return error
      throw error
    }
  }
  const everything = [
    'site.vip',
    'site.network',
    'nodes[0].address',
    'nodes[1].nic.address',
    'nodes[1].leader',
    'nodes[3]',
    'cluster.name',
    'cluster.registry.port',
    'console.email',
    'appliance.packs[0]',
    'access.newPassword.env',
  ]

  it('are none before hosts are linked', () => {
    expect(refusalOf(everything, begun('change-passwords', 'configure-hosts'))).toBeUndefined()
    expect(refusalOf(everything, [])).toBeUndefined()
  })

  it.each(['nodes[0].address', 'nodes[10].nic.mode', 'nodes[1].leader', 'nodes[3]', 'site.network'])(
    'once hosts are linked: %s',
    (path) => {
      expect(refusalOf([path], begun('link-hosts'))?.code).toBe('PLAN_FROZEN')
    },
  )

  it.each(['cluster.name', 'site.vip', 'nodes[1].ntp[0]', 'console.email'])(
    'are not yet, once hosts are linked: %s',
    (path) => {
      expect(refusalOf([path], begun('link-hosts'))).toBeUndefined()
    },
  )

  it.each([
    'cluster.name',
    'cluster.pools.worker',
    'site.vip',
    'site.network',
    'nodes[2]',
    'nodes[0].hostName',
  ])('once the cluster was asked for: %s', (path) => {
    expect(refusalOf([path], begun('link-hosts', 'deploy-cluster'))?.code).toBe('PLAN_FROZEN')
  })

  it.each(['console.email', 'appliance.packs[0]', 'site.name', 'vault'])(
    'are never, because the site can follow: %s',
    (path) => {
      expect(refusalOf([path], begun('link-hosts', 'deploy-cluster'))).toBeUndefined()
    },
  )

  it('do not include the address itself in place of auto, once it was found', () => {
    const events = begun('link-hosts', 'deploy-cluster')
    const { time } = events[0] ?? { time: '' }
    events.push({ type: 'vip-chosen', seq: 3, time, phase: 'find-vip', address: '10.10.200.163' })
    expect(refusalOf(['site.vip'], events, '10.10.200.163')).toBeUndefined()
    expect(refusalOf(['site.vip'], events, '10.10.200.164')?.code).toBe('PLAN_FROZEN')
    expect(refusalOf(['site.vip'], events, 'auto')?.code).toBe('PLAN_FROZEN')
    expect(refusalOf(['site.vip', 'cluster.name'], events, '10.10.200.163')?.detail).toContain('cluster.name')
  })

  it('are all told at once, with the two ways out, and the others are not told', () => {
    const error = refusalOf(everything, begun('link-hosts'))
    expect(error?.detail).toContain(
      'site.network, nodes[0].address, nodes[1].nic.address, nodes[1].leader, nodes[3].',
    )
    expect(error?.detail).not.toContain('console')
    expect(error?.remedies).toHaveLength(2)
    expect(error?.isTransient).toBe(false)
  })
})
