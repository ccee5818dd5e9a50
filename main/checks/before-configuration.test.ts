import { describe, expect, it } from 'vitest'
import { isBlocking, resultOf, type CheckId, type Finding } from '../../shared/checks/index.ts'
import type { Plan } from '../../shared/plan/index.ts'
import { planWith } from '../engine/testing/run-harness.ts'
import { beforeConfiguration } from './before-configuration.ts'

function finding(id: CheckId, target: string, state: Finding['state'] = 'fail'): Finding {
  return {
    id,
    target,
    state,
    severity: 'block',
    measured: '',
    threshold: '',
    evidence: '',
    remedy: 'By hand.',
  }
}

const base: Plan = planWith(3)
function planOf(change: (node: Plan['nodes'][number]) => Plan['nodes'][number], ntp: string[] = []): Plan {
  return { ...base, site: { ...base.site, ntp }, nodes: base.nodes.map(change) }
}
const blocks = (plan: Plan, one: Finding) =>
  beforeConfiguration(plan, [one]).map((changed) => isBlocking(resultOf(changed, 0)))[0]

describe('before the nodes are configured', () => {
  it('a name that stands twice does not block: the plan has one for each', () => {
    expect(blocks(base, finding('host.name-unique', 'all nodes'))).toBe(false)
  })

  it.each(['net.mtu-equal', 'net.mtu-path'] as const)(
    '%s blocks only where the plan leaves the MTU open',
    (id) => {
      const set = planOf((node) => ({ ...node, nic: { ...node.nic, mtu: 1500 } }))
      const open = planOf((node) => ({
        ...node,
        nic: { ...node.nic, mtu: node.name === 'n3' ? null : 1500 },
      }))
      expect(blocks(set, finding(id, 'all nodes'))).toBe(false)
      expect(blocks(open, finding(id, 'all nodes'))).toBe(true)
      expect(blocks(open, finding(id, 'n1 → n2'))).toBe(false)
      expect(blocks(open, finding(id, 'n1 → n3'))).toBe(true)
    },
  )

  it('a clock blocks only where nobody is going to set it', () => {
    expect(blocks(base, finding('clock.skew', 'n2'))).toBe(true)
    const set = planOf((node) => node, ['ntp.example.com'])
    expect(blocks(set, finding('clock.skew', 'n2'))).toBe(false)
    expect(beforeConfiguration(set, [finding('clock.skew', 'n2')])[0]?.remedy).toContain('looks again')
  })

  it('everything else stays as it is', () => {
    const set = planOf(
      (node) => ({ ...node, nic: { ...node.nic, mode: 'static', mtu: 1500 } }),
      ['ntp.example.com'],
    )
    for (const one of [
      finding('node.cpu', 'n1'),
      finding('net.loss', 'n1 → n2'),
      finding('clock.skew', 'n1', 'pass'),
    ])
      expect(beforeConfiguration(set, [one])).toEqual([one])
  })
})
