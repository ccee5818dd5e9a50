import { describe, expect, it } from 'vitest'
import type { SystemInterface } from '../appliance/host-configuration/index.ts'
import { rejectionOf } from '../../e2e/network/https-server.ts'
import { createManualClock } from '../engine/testing/manual-clock.ts'
import { applyNetwork, type NetworkFacts } from './configure-hosts-network.ts'
import type { NodeShell } from './node-shell.ts'
import type { SiteNodeContext } from './site.ts'
import { vipPlan } from './testing/vip-site.ts'

const healthy: SystemInterface = {
  name: 'ens192',
  mac: '52:54:00:00:00:01',
  type: 'dhcp',
  ip: '10.0.0.2/28',
  subnet: undefined,
  gateway: '10.0.0.1',
  nameservers: [],
  searchDomains: [],
  mtu: 1500,
  vlanID: undefined,
  status: 'up',
  configStatus: undefined,
  bondName: undefined,
  bridgeName: undefined,
  isClusterNIC: undefined,
  setup: 'configured',
  kind: 'plain',
}

/** Tries to give the node another address, by SSH; tells the error and every program that was run or change begun. */
async function tryToMove(nic: Partial<SystemInterface>, vlan: number | null = null) {
  const acts: string[] = []
  const plan = vipPlan()
  const [first] = plan.nodes
  if (first === undefined) throw new TypeError('the plan has a node')
  const node = {
    ...first,
    nic: {
      ...first.nic,
      mode: 'static' as const,
      address: '10.0.0.7',
      mask: 28,
      name: nic.name ?? 'auto',
      vlan,
    },
  }
  const facts: NetworkFacts = {
    currentAddress: '10.0.0.2',
    interfaces: undefined,
    system: {
      kind: 'open',
      shell: {
        runner: {
          place: 'n1',
          platform: 'linux',
          run: (program: string) => {
            acts.push(program)
            return Promise.reject(new Error('nothing may be run'))
          },
        },
      } as unknown as NodeShell,
      interfaces: [{ ...healthy, ...nic }],
    },
    files: [],
  }
  const context = {
    services: { plan: { ...plan, nodes: [node] } },
    node,
    mode: 'apply',
    clock: createManualClock(),
    signal: new AbortController().signal,
    warn: () => undefined,
    change: (key: string) => {
      acts.push(key)
      return Promise.reject(new Error('nothing may be changed'))
    },
  } as unknown as SiteNodeContext
  return { error: await rejectionOf(applyNetwork(context, facts)), acts }
}

describe('an address over SSH', () => {
  it.each<[string, Partial<SystemInterface>, number | null, string, RegExp]>([
    ['NetworkManager or ifupdown manages', { setup: 'unmanaged' }, null, 'NETWORK_NOT_MANAGED', /unmanaged/],
    ['networkd has let go', { setup: 'linger' }, null, 'NETWORK_NOT_MANAGED', /linger/],
    ['no networkctl tells of', { setup: undefined }, null, 'NETWORK_NOT_MANAGED', /nothing was changed/],
    ['belongs to a bond', { kind: 'member' }, null, 'NIC_NOT_CONFIGURABLE', /belongs to a bond/],
    ['is a bond', { kind: 'compound' }, null, 'NIC_NOT_CONFIGURABLE', /is a bond/],
    [
      'would carry a VLAN with too long a name',
      { name: 'enp0s31f6np12' },
      4000,
      'NIC_NOT_CONFIGURABLE',
      /longer than 15 characters/,
    ],
  ])(
    'is refused, with nothing run or changed, for an interface that %s',
    async (_, nic, vlan, code, said) => {
      const { error, acts } = await tryToMove(nic, vlan)
      expect(error).toMatchObject({ code, node: 'n1', detail: expect.stringMatching(said) as string })
      expect(acts).toEqual([])
    },
  )

  it('is tried on a plain interface of networkd', async () => {
    expect((await tryToMove({})).acts).not.toEqual([])
  })
})
