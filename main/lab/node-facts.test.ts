import { describe, expect, it } from 'vitest'
import { collectNodeFacts } from '../appliance/facts/collect-node-facts.ts'
import { disagreementsOf, mergeFacts } from '../appliance/facts/merge-facts.ts'
import type { HostFacts } from '../appliance/facts/node-facts.ts'
import { edgeHostSchema } from '../appliance/local-api-schemas.ts'
import { readScenario, type Scenario } from './scenario.ts'
import { callLab, examplePlan, logIn } from './testing/lab-client.ts'
import { runnerOf } from './testing/node-runner.ts'
import { startReadyLab, startTestLab, type TestLab } from './testing/site.ts'

async function collectFrom(test: TestLab, node: string, asRoot = true) {
  return await collectNodeFacts(await runnerOf(test, node), {
    signal: new AbortController().signal,
    deadlineSeconds: 30,
    asRoot,
    clock: test.clock,
  })
}

function scenarioWith(text: string): Scenario {
  return readScenario(`name: test\n${text}`, 'test.yaml')
}

const value = (expected: unknown) => ({ kind: 'read', value: expected })

/** Where the leaves of the facts are that were not read, with the reason. */
function unreadOf(facts: unknown, path = ''): string[] {
  if (typeof facts !== 'object' || facts === null || facts instanceof Map) return []
  if ('kind' in facts && facts.kind === 'unread') return [`${path}: ${String(Reflect.get(facts, 'reason'))}`]
  return Object.entries(facts).flatMap(([name, inner]) => unreadOf(inner, `${path}.${name}`))
}

describe('the facts of a node of the lab', () => {
  it('are all there for root, and the Local UI tells the same', async () => {
    const test = await startReadyLab()
    try {
      const { facts, completeness, privilege } = await collectFrom(test, 'n1')
      expect([completeness.kind, privilege.kind]).toEqual(['complete', 'root'])
      // The loopback interface is no card.
      expect(unreadOf(facts).filter((fact) => !fact.startsWith('.network.interfaces.value.0.'))).toEqual([])
      expect(facts.boot).toMatchObject({ state: value('active_boot'), isUefi: value(true) })
      expect(facts.clock.epochMs).toEqual({ ...value(test.clock.now()), source: 'date +%s.%N' })
      const token = await logIn(test.lab, 'n1')
      const { json } = await callLab(test.lab, 'n1', 'GET', '/v1/edge-mgmt/edgehosts/current', { token })
      const merged = mergeFacts({ edgeHost: edgeHostSchema.parse(json), settings: undefined, host: facts })
      expect(disagreementsOf(merged)).toEqual([])
      for (const fact of [merged.hostName, merged.cpuCount, merged.memory, merged.disks, merged.gateway])
        expect(fact.kind).toBe('agreed')
    } finally {
      await test.lab.stop()
    }
  })

  it('are fewer for an account that cannot become root', async () => {
    const test = await startReadyLab()
    try {
      const { facts, privilege } = await collectFrom(test, 'n1', false)
      expect(privilege.kind).toBe('account')
      expect(facts.identity.productUuid.kind).toBe('unread')
      expect(facts.memory.installed.kind).toBe('unread')
      const disks = facts.disks.kind === 'read' ? facts.disks.value : []
      expect(disks.map(({ signatures }) => signatures.kind)).toEqual(['unread', 'unread'])
    } finally {
      await test.lab.stop()
    }
  })

  it('follow what is changed on the node', async () => {
    const test = await startReadyLab()
    try {
      const runner = await runnerOf(test, 'n1')
      const signal = new AbortController().signal
      const asRoot = { signal, deadlineSeconds: 10, asRoot: true }
      await runner.run('hostnamectl', ['set-hostname', 'palette-1'], asRoot)
      await runner.run('mkdir', ['-p', '/etc/systemd/timesyncd.conf.d'], asRoot)
      await runner.run('tee', ['/etc/systemd/timesyncd.conf.d/ntp.conf'], {
        ...asRoot,
        input: '[Time]\nNTP=10.10.200.7\n',
      })
      await runner.run('systemctl', ['restart', 'systemd-timesyncd'], asRoot)
      const { facts } = await collectFrom(test, 'n1')
      expect(facts.hostName).toMatchObject({ current: value('palette-1'), static: value('palette-1') })
      expect(facts.clock.source).toMatchObject({
        value: { servers: ['10.10.200.7'], server: '10.10.200.7', stratum: 2 },
      })
    } finally {
      await test.lab.stop()
    }
  })

  it('are those of the machines that the scenario describes', async () => {
    const scenario = scenarioWith(`
machines:
  n2:
    cpus: 4
    cpuFlags: [fpu, sse4_2]
    memoryGibibytes: 8
    firmware: bios
    hypervisor: none
    bootState: livecd_boot
    edgeHostId: edge-clone
    productUuid: 4C4C4544-0042-3010-8052-B4C04F303732
    agentVersion: v4.6.1
    furtherDisks: 60
    storageDrive: { path: /dev/nvme1n1, signatures: [LVM2_member], health: failing, multipath: mpatha }
    nic: { mtu: 9000, speedMegabits: null, hasCarrier: false, receiveErrors: 17, leaseSeconds: 3600 }
    clock: { offsetSeconds: -86400, timeZone: Europe/Berlin, isSynchronized: false }
`)
    const test = await startReadyLab({ scenario })
    try {
      const { facts } = await collectFrom(test, 'n2')
      expect(facts.cpu).toMatchObject({ count: value(4), flags: value(['fpu', 'sse4_2']) })
      expect(facts.memory).toMatchObject({ total: value(8 * 1024 ** 3), installed: value(8 * 1024 ** 3) })
      expect(facts.boot).toMatchObject({
        state: value('livecd_boot'),
        isUefi: value(false),
        secureBoot: value('not-uefi'),
      })
      expect(facts.identity).toMatchObject({
        productUuid: value('4c4c4544-0042-3010-8052-b4c04f303732'),
        virtualization: value('none'),
      })
      const disks = disksOf(facts)
      expect(disks).toHaveLength(62)
      expect(disks.find(({ path }) => path === '/dev/nvme1n1')).toMatchObject({
        fileSystem: 'mpath_member',
        links: value([expect.stringContaining('/dev/disk/by-id/nvme-Virtual_disk_')]),
        signatures: value([expect.objectContaining({ type: 'LVM2_member' })]),
        health: value('failing'),
        multipath: value('mpatha'),
        children: [{ path: '/dev/mapper/mpatha', type: 'mpath' }],
      })
      const { interfaces } = facts.network
      expect(interfaces.kind === 'read' && interfaces.value[1]).toMatchObject({
        mtu: 9000,
        hasCarrier: value(false),
        speedMegabits: { kind: 'unread' },
        link: { value: { receiveErrors: 17 } },
        lease: { value: { lifetimeMs: 3_600_000 } },
      })
      expect(facts.clock).toMatchObject({
        epochMs: value(test.clock.now() - 86_400_000),
        timeZone: value('Europe/Berlin'),
        isSynchronized: value(false),
      })
      expect(test.lab.snapshot().nodes[1]?.edgeHostId).toBe('edge-clone')
      const token = await logIn(test.lab, 'n2')
      const { json } = await callLab(test.lab, 'n2', 'GET', '/v1/edge-mgmt/edgehosts/current', { token })
      expect(edgeHostSchema.parse(json).status?.agentVersion).toBe('v4.6.1')
    } finally {
      await test.lab.stop()
    }
  })

  it('do not lose the data of a disk that is only looked at', async () => {
    const scenario = scenarioWith('machines: { n1: { storageDrive: { signatures: [ext4] } } }')
    const test = await startReadyLab({ scenario })
    try {
      for (const _ of [1, 2]) {
        const { facts } = await collectFrom(test, 'n1')
        expect(disksOf(facts)[1]?.signatures).toMatchObject({ value: [{ type: 'ext4' }] })
      }
    } finally {
      await test.lab.stop()
    }
  })
})

function disksOf({ disks }: HostFacts) {
  return disks.kind === 'read' ? disks.value : []
}

describe('machines of a scenario', () => {
  it('must be those of the plan', async () => {
    const scenario = scenarioWith('machines: { n9: { cpus: 4 } }')
    await expect(startTestLab({ scenario, plan: examplePlan() })).rejects.toMatchObject({
      code: 'LAB_PLAN_UNFIT',
      detail: expect.stringContaining('n9') as unknown,
    })
  })

  it('are healthy where nothing is said', () => {
    const { machines } = scenarioWith('machines: { n1: {} }')
    expect(machines['n1']).toMatchObject({
      cpus: 8,
      storageDrive: { signatures: [] },
      clock: { offsetSeconds: 0 },
    })
  })
})
