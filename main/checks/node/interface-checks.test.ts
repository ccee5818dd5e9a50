import { describe, expect, it } from 'vitest'
import type { CheckId } from '../../../shared/checks/index.ts'
import type { Plan } from '../../../shared/plan/index.ts'
import { planWith } from '../../engine/testing/run-harness.ts'
import { ask, withNode } from './testing/ask.ts'
import { factsOf, interfacePart, type Changes } from './testing/node-facts.ts'

const address = '10.10.0.1'

function planWithNic(nic: Partial<Plan['nodes'][number]['nic']>): Plan {
  const plan = planWith(3)
  const [first] = plan.nodes
  if (first === undefined) throw new TypeError('a plan without nodes')
  return withNode(plan, { nic: { ...first.nic, ...nic } })
}
const comesStatic = planWithNic({ mode: 'static', address: '10.10.0.77', gateway: '10.10.0.254' })

function leased(info: Record<string, unknown>, lease?: string): Changes {
  return {
    ssh: {
      addresses: {
        text: JSON.stringify([
          { ifname: 'eth0', addr_info: [{ family: 'inet', local: address, prefixlen: 16, ...info }] },
        ]),
      },
      leases: {
        parts:
          lease === undefined
            ? [{ kind: 'absent', name: 'leases', text: '' }]
            : [{ kind: 'file', name: '/run/systemd/netif/leases/2', text: `ADDRESS=${address}\n${lease}\n` }],
      },
    },
  }
}

describe('the lease of an address', () => {
  const hours24 = 24 * 3600
  it.each([
    ['that is fixed', leased({}), 'pass'],
    ['for a day', leased({ dynamic: true }, `LIFETIME=${hours24}`), 'pass'],
    ['for a little less', leased({ dynamic: true }, `LIFETIME=${hours24 - 1}`), 'warn'],
    ['for ever', leased({}, 'LIFETIME=4294967295'), 'pass'],
    ['of unknown length, with a day left', leased({ dynamic: true, valid_life_time: hours24 }), 'pass'],
    ['of unknown length, with less left', leased({ dynamic: true, valid_life_time: 60 }), 'could-not-run'],
    ['of which nothing more is known', leased({ dynamic: true }), 'could-not-run'],
  ])('%s: %#', (_what, changes, state) => {
    expect(ask('net.dhcp-lease', factsOf(changes)).state).toBe(state)
  })

  it('does not matter when this run makes the address fixed', () => {
    const facts = factsOf({ plan: comesStatic, ...leased({ dynamic: true }, 'LIFETIME=60') })
    expect(ask('net.dhcp-lease', facts, comesStatic).state).toBe('skipped')
  })
})

describe('the network of an address', () => {
  it.each([
    ['10.10.0.1/16', 'pass'],
    ['10.10.0.1', 'pass'],
    ['10.10.0.1/24', 'fail'],
    ['10.11.0.1/16', 'fail'],
  ])('%s: %s', (ip, state) => {
    expect(ask('net.same-subnet', factsOf({ nics: [{ ip }], ssh: 'closed' })).state).toBe(state)
  })

  it('is not asked of an address that this run replaces, and is again once it has', () => {
    const before = factsOf({ plan: comesStatic, nics: [{ ip: '192.168.1.7/24' }] })
    expect(ask('net.same-subnet', before, comesStatic)).toMatchObject({
      state: 'skipped',
      measured: 'addresses 192.168.1.7/24; this run gives it 10.10.0.77',
    })
    const after = factsOf({ plan: comesStatic, nics: [{ ip: '10.10.0.77/16' }] })
    expect(ask('net.same-subnet', after, comesStatic).state).toBe('pass')
    const wrong = factsOf({ plan: comesStatic, nics: [{ ip: '10.10.0.77/24' }] })
    expect(ask('net.same-subnet', wrong, comesStatic).state).toBe('fail')
  })

  it('may hold an address without a network of its own, as the virtual one', () => {
    const facts = factsOf({ nics: [{ ip: '10.10.0.1/16' }, { ip: '10.10.200.100/32' }] })
    expect(ask('net.same-subnet', facts).state).toBe('pass')
    expect(ask('net.non-overlapping', facts).state).toBe('pass')
  })
})

describe('networks of several interfaces', () => {
  it.each([
    [['10.10.0.1/16', '10.11.0.1/16'], 'no overlap', 'pass'],
    [['10.10.0.1/16', 'fe80::1/64'], 'no overlap', 'pass'],
    [
      ['10.10.0.1/16', '192.168.1.1/24', '10.10.4.1/24', '10.10.5.1/24'],
      'eth0 (10.10.0.0/16) and eth2 (10.10.4.0/24); eth0 (10.10.0.0/16) and eth3 (10.10.5.0/24)',
      'fail',
    ],
  ])('%j: %s', (ips, measured, state) => {
    const facts = factsOf({ nics: ips.map((ip) => ({ ip })) })
    expect(ask('net.non-overlapping', facts)).toMatchObject({ measured, state })
  })
})

describe('default routes', () => {
  const route = (gateway: string, dev: string, more: object = {}) => ({
    dst: 'default',
    gateway,
    dev,
    ...more,
  })
  const judge = (routes: object[], plan = planWith(3), changes: Changes = {}) =>
    ask(
      'net.default-route',
      factsOf({ plan, ssh: { routes: { text: JSON.stringify(routes) } }, ...changes }),
      plan,
    )

  it('must be one: none blocks, several warn', () => {
    expect(judge([route('10.10.0.254', 'eth0')]).state).toBe('pass')
    expect(judge([])).toMatchObject({ state: 'fail', severity: 'block' })
    expect(judge([route('10.10.0.254', 'eth0'), route('10.10.0.253', 'eth0', { metric: 9 })])).toMatchObject({
      state: 'warn',
      severity: 'warn',
      measured: '10.10.0.254 by eth0, 10.10.0.253 by eth0',
    })
    // Those of other tables are not taken by usual traffic.
    expect(judge([route('10.10.0.254', 'eth0'), route('10.10.0.9', 'eth0', { table: 'vpn' })]).state).toBe(
      'pass',
    )
  })

  it('must be by the interface that the plan names, or that has the address', () => {
    expect(judge([route('192.168.1.1', 'eth1')])).toMatchObject({
      state: 'warn',
      threshold: 'one default route, by eth0',
    })
    const named = planWithNic({ name: 'eth1' })
    const nics = [{ ip: `${address}/16` }, { ip: '10.11.0.1/16' }]
    const facts = factsOf({
      plan: named,
      nics,
      ssh: { routes: { text: JSON.stringify([route('10.11.0.9', 'eth1')]) } },
    })
    expect(ask('net.default-route', facts, named).state).toBe('pass')
  })

  it('may come with the static address of this run', () => {
    expect(judge([], comesStatic)).toMatchObject({
      state: 'skipped',
      measured: 'none; this run sets 10.10.0.254',
    })
  })
})

describe('the network card', () => {
  const card = (values: Record<string, string | number>, changes: Changes['ssh'] = {}) =>
    factsOf({
      ssh: {
        interfaces: { parts: [interfacePart('eth0', { address: '52:54:00:00:00:10', ...values })] },
        ...(changes === 'closed' ? {} : changes),
      },
    })

  it('may have 1 Gbit/s, and not less', () => {
    expect(ask('node.nic-speed', card({ speed: 1000 })).state).toBe('pass')
    expect(ask('node.nic-speed', card({ speed: 999 })).state).toBe('warn')
  })

  it('of a virtual machine has no speed, which nobody has to accept', () => {
    const virtual = card({ speed: -1 }, { virtualization: { text: 'kvm\n' } })
    expect(ask('node.nic-speed', virtual)).toMatchObject({ state: 'could-not-run', severity: 'info' })
    expect(ask('node.nic-speed', card({ speed: -1 }))).toMatchObject({
      state: 'could-not-run',
      severity: 'warn',
    })
  })

  it('that the plan names must be there', () => {
    const named = planWithNic({ name: 'ens9' })
    for (const id of ['node.nic-link', 'node.nic-errors', 'net.dhcp-lease'] satisfies CheckId[])
      expect(ask(id, factsOf({ plan: named }), named)).toMatchObject({
        state: 'could-not-run',
        measured: 'there is no interface ens9',
      })
  })

  it('is the one that the Local UI tells the address of where the node has no ip', () => {
    const facts = factsOf({ ssh: { addresses: { missing: 'ip' } } })
    expect(ask('node.nic-link', facts)).toMatchObject({ state: 'pass', measured: 'eth0: link, up' })
  })
})
