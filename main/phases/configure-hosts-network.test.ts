import { describe, expect, it } from 'vitest'
import type { SystemInterface } from '../appliance/host-configuration/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import { ended } from '../network/arping/testing/fake-runner.ts'
import type { ProgramResult } from '../network/programs/program-runner.ts'
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
async function tryToMove(
  nic: Partial<SystemInterface>,
  vlan: number | null = null,
  answer: (program: string, args: readonly string[]) => ProgramResult = () => ({ kind: 'missing' }),
) {
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
          run: (program: string, args: readonly string[]) => {
            acts.push([program, ...args].join(' '))
            return Promise.resolve(answer(program, args))
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
      return Promise.reject(new AppError({ code: 'BEGUN', title: 'It was begun.' }))
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

  const arping = (heard: string) => (program: string, args: readonly string[]) =>
    program === 'cat'
      ? ended('1\n2\n0x1003\n')
      : program !== '/usr/bin/arping'
        ? ({ kind: 'missing' } as const)
        : ended(args.includes('-V') ? 'arping from iputils 20221126\n' : heard, args.includes('-V') ? 0 : 1)

  it('is refused, with nothing changed, when another machine has it by now', async () => {
    const { error, acts } = await tryToMove(
      {},
      null,
      arping(
        'ARPING 10.0.0.7 from 0.0.0.0 ens192\nUnicast reply from 10.0.0.7 [52:54:00:00:00:70]  0.862ms\nSent 1 probes (1 broadcast(s))\nReceived 1 response(s)\n',
      ),
    )
    expect(error).toMatchObject({
      code: 'ADDRESS_TAKEN',
      node: 'n1',
      detail: expect.stringContaining('52:54:00:00:00:70') as string,
    })
    expect(acts.every((act) => /^(\/usr\/bin\/arping|cat) /.test(act))).toBe(true)
  })

  it('is tried where nobody has it, on a plain interface of networkd', async () => {
    const { error, acts } = await tryToMove({})
    expect(error).toMatchObject({ code: 'BEGUN' })
    expect(acts.at(-1)).toBe('network')
  })
})
