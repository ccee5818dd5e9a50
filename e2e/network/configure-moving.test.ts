import { expect, test, describe } from 'vitest'
import { expectDone, expectInstalledOnce, threeNodes, withSite } from '../run/harness.ts'

/** Milliseconds; most of it is waiting for a place, see withSite. */
const timeout = 400_000

const moving = {
  ...threeNodes(),
  nodes: [1, 2, 3].map((number) => ({
    name: `n${String(number)}`,
    address: `10.10.200.${String(10 + number)}`,
    leader: number === 1,
    nic: { mode: 'static' as const, address: `10.10.200.${String(30 + number)}`, mask: 24, mtu: 1400 },
  })),
}
const oldAgent = { agent: { networkApi: false }, ssh: { sudoPassword: true } }

describe.concurrent('nodes of an old agent that get another address over SSH', { timeout }, () => {
  test('are followed there, and keep it', () =>
    withSite({ plan: moving, scenario: oldAgent }, async (site) => {
      await expectDone(site.run())
      await expectInstalledOnce(site, moving)
      expect(site.lab.snapshot().nodes.map(({ nic }) => [nic.mode, nic.address, nic.mtu])).toEqual(
        [31, 32, 33].map((last) => ['static', `10.10.200.${String(last)}`, 1400]),
      )
    }))

  test('come back where the new address is dead, and the run says so', () =>
    withSite({ plan: moving, scenario: { ...oldAgent, network: { newAddressDead: 'n2' } } }, async (site) => {
      const { exitCode, events } = await site.run().finished()
      expect(exitCode).toBe(1)
      const errors = events.flatMap((event) => (event.type === 'error' ? [event.error] : []))
      expect(errors).toEqual([expect.objectContaining({ code: 'NETWORK_CHANGE_ROLLED_BACK', node: 'n2' })])
      expect(site.lab.snapshot().nodes.map(({ nic }) => nic.address)).toEqual([
        '10.10.200.31',
        '10.10.200.12',
        '10.10.200.33',
      ])
    }))

  test('do not take an address that another machine has', () =>
    withSite(
      {
        plan: moving,
        scenario: { ...oldAgent, extraHosts: [{ address: '10.10.200.32', mac: '52:54:00:00:00:70' }] },
      },
      async (site) => {
        const { exitCode, events } = await site.run().finished()
        // The checks before the configuration find it; configure-hosts would refuse it as well (ADDRESS_TAKEN).
        expect(exitCode).toBe(3)
        const errors = events.flatMap((event) => (event.type === 'error' ? [event.error] : []))
        expect(errors).toEqual([expect.objectContaining({ code: 'CHECK_BLOCKS', node: 'n2' })])
        expect(errors[0]?.detail).toContain('52:54:00:00:00:70')
        expect(site.lab.snapshot().nodes.find(({ name }) => name === 'n2')?.nic).toMatchObject({
          address: '10.10.200.12',
          mtu: 1500,
        })
      },
    ))
})

describe.concurrent('nodes whose agent sets the network and that have SSH', { timeout }, () => {
  test('try another address first, and come back where it is dead: the agent was not told', () =>
    withSite({ plan: moving, scenario: { network: { newAddressDead: 'n2' } } }, async (site) => {
      const { exitCode, events } = await site.run().finished()
      expect(exitCode).toBe(1)
      const errors = events.flatMap((event) => (event.type === 'error' ? [event.error] : []))
      expect(errors).toEqual([expect.objectContaining({ code: 'NETWORK_CHANGE_ROLLED_BACK', node: 'n2' })])
      expect(site.lab.snapshot().nodes.map(({ nic }) => [nic.mode, nic.address, nic.mtu])).toEqual([
        ['static', '10.10.200.31', 1400],
        ['dhcp', '10.10.200.12', 1500],
        ['static', '10.10.200.33', 1400],
      ])
    }))
})
