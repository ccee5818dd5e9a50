import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isBlocking } from '../../../shared/checks/index.ts'
import { planWith } from '../../engine/testing/run-harness.ts'
import { allOf, askFleet } from './testing/ask.ts'
import { factsOf, type Changes } from './testing/node-facts.ts'

describe('checks of all nodes together', () => {
  const plan = planWith(3)
  const three = (...changes: Changes[]) =>
    ['n1', 'n2', 'n3'].map((name, index) => factsOf({ name, ...changes[index] }))

  it('find machines that are clones of each other', () => {
    const facts = three({}, { facts: { uid: 'edge-n1' } })
    const result = askFleet('node.uid-unique', plan, facts)
    expect(result).toMatchObject({ state: 'fail', measured: 'n1 and n2 have edge-n1' })
  })

  it('find MAC addresses that two nodes share, in whatever case they are told', () => {
    const facts = three(
      { nics: [{ ip: '10.10.0.1/16', macAddr: '52:54:00:AA:BB:CC' }] },
      {},
      { nics: [{ ip: '10.10.0.3/16', macAddr: '52:54:00:aa:bb:cc' }] },
    )
    expect(askFleet('node.mac-unique', plan, facts)).toMatchObject({
      state: 'fail',
      measured: 'n1 and n3 have 52:54:00:aa:bb:cc',
    })
  })

  it('accept a MAC address that several interfaces of one node share, as a bond and its VLANs do', () => {
    const macAddr = '52:54:00:aa:bb:cc'
    const facts = three({ nics: [{ ip: '10.10.0.1/16', macAddr }, { macAddr }, { macAddr }] })
    expect(askFleet('node.mac-unique', plan, facts).state).toBe('pass')
  })

  it.each([
    ['of interfaces that have none', ''],
    ['of the loopback interface', '00:00:00:00:00:00'],
    ['that Calico gives to the interfaces of all pods', 'ee:ee:ee:ee:ee:ee'],
  ])('do not take a MAC address %s for a shared one', (_what, macAddr) => {
    const facts = ['n1', 'n2', 'n3'].map((name, index) =>
      factsOf({
        name,
        nics: [{ macAddr }, { ip: `10.10.0.${index + 1}/16`, macAddr: `52:54:00:00:00:0${index}` }],
      }),
    )
    expect(askFleet('node.mac-unique', plan, facts).state).toBe('pass')
  })

  it('want one version of the agent', () => {
    const result = askFleet('node.agent-version', plan, three({}, { agentVersion: '4.7.1' }))
    expect(result.state).toBe('fail')
    expect(result.measured).toContain('n2: 4.7.1')
    expect(askFleet('node.agent-version', plan, three({}, { agentVersion: null })).state).toBe(
      'could-not-run',
    )
    // Two different ones are wrong, whatever the third one is.
    const mixed = three({}, { agentVersion: '4.7.1' }, { agentVersion: null })
    expect(askFleet('node.agent-version', plan, mixed).state).toBe('fail')
  })

  it('pass nothing of nodes that were not read', () => {
    for (const facts of [[], [factsOf()], [factsOf(), factsOf({ name: 'n2' })]]) {
      const fleet = allOf(plan, facts).filter((result) => result.target === 'all nodes')
      expect(new Set(fleet.map((result) => result.state))).toEqual(new Set(['could-not-run']))
      for (const { measured } of fleet) expect(measured).toContain('n3')
      expect(fleet.filter(isBlocking).map(({ id }) => id)).toEqual([
        'node.uid-unique',
        'node.mac-unique',
        'host.name-unique',
        'node.agent-version',
        'net.mtu-equal',
      ])
    }
  })

  it('find clones by the product UUID of their firmware, too', () => {
    const uuid = '4c4c4544-0042-3010-8052-b4c04f303732'
    const clone: Changes = {
      ssh: { identity: { parts: [{ kind: 'file', name: '/sys/class/dmi/id/product_uuid', text: uuid }] } },
    }
    expect(askFleet('node.uid-unique', plan, three(clone, {}, clone))).toMatchObject({
      state: 'fail',
      measured: `n1 and n3 have the product UUID ${uuid}`,
    })
  })

  it('do not stop for host names that this run is going to give', () => {
    const same = { hostName: 'edge-clone' }
    const result = askFleet('host.name-unique', plan, three({}, same, same))
    expect(result).toMatchObject({ state: 'warn', severity: 'info' })
    expect(result.measured).toMatch(/^n2 and n3 have edge-clone; this run gives/)
    const isFixed = three({}, same, { ...same, facts: { clusterName: 'another' } })
    expect(askFleet('host.name-unique', plan, isFixed)).toMatchObject({ state: 'fail', severity: 'block' })
  })

  it('compare the MTU that the plan sets, and else the one that is there', () => {
    const planned = {
      ...plan,
      nodes: plan.nodes.map((node) => ({ ...node, nic: { ...node.nic, mtu: 9000 } })),
    }
    const facts = ['n1', 'n2', 'n3'].map((name) => factsOf({ name, plan: planned }))
    expect(askFleet('net.mtu-equal', planned, facts)).toMatchObject({
      state: 'pass',
      measured: 'n1, n2, n3: 9000',
    })
    const [first, ...others] = facts
    if (first === undefined) throw new TypeError('no facts')
    const mixed = [factsOf(), ...others]
    expect(askFleet('net.mtu-equal', plan, mixed).measured).toBe('n1: 1500; n2, n3: 9000')
  })

  it('tell of a clone even when another node was not read', () => {
    const facts = [factsOf(), factsOf({ name: 'n2', facts: { uid: 'edge-n1' } })]
    expect(askFleet('node.uid-unique', plan, facts).state).toBe('fail')
  })

  it('find two equal ids among any number of nodes, and only then', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 8 }), (ids) => {
        const many = planWith(ids.length)
        const facts = ids.map((id, index) =>
          factsOf({ plan: many, name: `n${index + 1}`, facts: { uid: `edge-${id}` } }),
        )
        const isUnique = new Set(ids).size === ids.length
        expect(askFleet('node.uid-unique', many, facts).state).toBe(isUnique ? 'pass' : 'fail')
      }),
      { numRuns: 50 },
    )
  })
})
