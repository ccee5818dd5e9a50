import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkResultSchema, isBlocking, type CheckResult } from '../../shared/checks/index.ts'
import type { Plan } from '../../shared/plan/index.ts'
import { edgeHostSchema } from '../appliance/local-api-schemas.ts'
import { planWith } from '../engine/testing/run-harness.ts'
import type { BlockDevice, NodeFacts, SshFacts } from '../phases/node-facts.ts'
import { checkNodes } from './node-checks.ts'

const gigabyte = 1_000_000_000

function device(path: string, gigabytes: number, parts: Partial<BlockDevice> = {}): BlockDevice {
  return {
    path,
    size: gigabytes * gigabyte,
    type: 'disk',
    fileSystem: undefined,
    mountPoint: undefined,
    children: [],
    ...parts,
  }
}

const systemDisk = device('/dev/sda', 300, {
  children: [
    device('/dev/sda1', 300, { type: 'part', fileSystem: 'ext4', mountPoint: '/run/initramfs/cos-state' }),
  ],
})
const emptyDisk = device('/dev/sdb', 500)

interface Changes {
  name?: string
  ssh?: Partial<SshFacts> | 'closed'
  nics?: { ip?: string; macAddr?: string }[]
  hardware?: { cores?: number; memory?: number; arch?: string } | 'not told'
  agentVersion?: string | null
  plan?: Plan
  facts?: Partial<NodeFacts>
}

/** Facts of a node that passes every check. */
function factsOf(changes: Changes = {}): NodeFacts {
  const { name = 'n1', ssh = {}, hardware = {}, agentVersion = '4.8.18', plan = planWith(3) } = changes
  const node = plan.nodes.find((candidate) => candidate.name === name)
  if (node === undefined) throw new TypeError(`no node ${name}`)
  const index = plan.nodes.indexOf(node)
  return {
    node,
    uid: `edge-${name}`,
    edgeHost: edgeHostSchema.parse({
      metadata: { id: `edge-${name}` },
      spec: {
        hardwareSpec:
          hardware === 'not told'
            ? undefined
            : {
                archType: hardware.arch ?? 'amd64',
                cpu: { cores: hardware.cores ?? 8 },
                memory: { sizeInMB: hardware.memory ?? 16384 },
              },
        networkInfo: changes.nics ?? [
          { ip: `${node.address}/16`, macAddr: `52:54:00:00:00:${String(10 + index)}` },
        ],
      },
      status: { agentVersion },
    }),
    settings: { managementMode: 'local', installationMode: 'airgap', featureFlags: undefined },
    clusterName: undefined,
    ssh:
      ssh === 'closed'
        ? { kind: 'closed', reason: 'only keys are allowed' }
        : {
            kind: 'read',
            facts: { bootState: 'active_boot', hostName: name, disks: [systemDisk, emptyDisk], ...ssh },
          },
    ...changes.facts,
  }
}

function resultOf(id: string, facts: NodeFacts, plan: Plan = planWith(3)): CheckResult {
  const result = checkNodes(plan, [facts]).find(
    (candidate) => candidate.id === id && candidate.target === facts.node.name,
  )
  if (result === undefined) throw new Error(`there is no check ${id}`)
  return result
}

const fleetOf = (id: string, plan: Plan, facts: readonly NodeFacts[]): CheckResult => {
  const result = checkNodes(plan, facts).find(
    (candidate) => candidate.id === id && candidate.target === 'all nodes',
  )
  if (result === undefined) throw new Error(`there is no check ${id}`)
  return result
}

function withNode(plan: Plan, changes: Partial<Plan['nodes'][number]>): Plan {
  return { ...plan, nodes: plan.nodes.map((node, index) => (index === 0 ? { ...node, ...changes } : node)) }
}

describe('checks of single nodes', () => {
  it('pass on nodes that are what the plan says, with words for everything', () => {
    const results = checkNodes(planWith(3), [factsOf(), factsOf({ name: 'n2' }), factsOf({ name: 'n3' })])
    expect(results.filter((result) => result.state !== 'pass')).toEqual([])
    for (const result of results) {
      checkResultSchema.parse(result)
      for (const words of [result.title, result.measured, result.threshold, result.evidence, result.remedy])
        expect(words).not.toBe('')
    }
  })

  it('block on every fact that could not be read: none of them counts as passed', () => {
    const unread = factsOf({
      ssh: 'closed',
      hardware: 'not told',
      nics: [],
      agentVersion: null,
      facts: {
        settings: { managementMode: undefined, installationMode: undefined, featureFlags: undefined },
      },
    })
    const plan = planWith(1)
    const results = checkNodes(plan, [unread])
    const states = Object.fromEntries(results.map((result) => [result.id, result.state]))
    expect(states).toEqual({
      'node.mode': 'could-not-run',
      'node.identity': 'could-not-run',
      'node.no-cluster': 'pass',
      'node.cpu': 'could-not-run',
      'node.memory': 'could-not-run',
      'node.arch': 'could-not-run',
      'node.install-complete': 'could-not-run',
      'node.disk1': 'could-not-run',
      'node.disk2-path': 'could-not-run',
      'node.disk2-data': 'could-not-run',
      'node.uid-unique': 'pass',
      'node.mac-unique': 'could-not-run',
      'node.agent-version': 'could-not-run',
    })
    expect(results.filter((result) => result.state === 'could-not-run').every(isBlocking)).toBe(true)
    expect(resultOf('node.disk1', unread, plan).measured).toContain('only keys are allowed')
  })

  it.each(['bootState', 'disks'] as const)('block when a command on the node did not answer: %s', (fact) => {
    const results = checkNodes(planWith(1), [factsOf({ plan: planWith(1), ssh: { [fact]: undefined } })])
    const blocked = results.filter(isBlocking)
    expect(blocked.length).toBeGreaterThan(0)
    expect(new Set(blocked.map((result) => result.state))).toEqual(new Set(['could-not-run']))
  })

  it.each([
    ['local', 'airgap', 'pass'],
    ['Local', 'AirGap', 'pass'],
    ['central', 'airgap', 'fail'],
    ['local', 'connected', 'fail'],
    [undefined, 'airgap', 'could-not-run'],
    ['local', undefined, 'could-not-run'],
  ] as const)('management mode %s, installation mode %s: %s', (managementMode, installationMode, state) => {
    const facts = factsOf({
      facts: { settings: { managementMode, installationMode, featureFlags: undefined } },
    })
    expect(resultOf('node.mode', facts).state).toBe(state)
  })

  it.each([
    ['active_boot', 'pass'],
    ['passive_boot', 'fail'],
    ['livecd_boot', 'fail'],
    ['recovery_boot', 'fail'],
  ])('boot state %s: %s', (bootState, state) => {
    expect(resultOf('node.install-complete', factsOf({ ssh: { bootState } }))).toMatchObject({
      state,
      measured: bootState,
    })
  })

  it.each([
    [undefined, 'pass', 'none'],
    ['palette', 'pass', 'cluster "palette"'],
    ['another', 'fail', 'cluster "another"'],
  ] as const)('cluster %s: %s', (clusterName, state, measured) => {
    expect(resultOf('node.no-cluster', factsOf({ facts: { clusterName } }))).toMatchObject({
      state,
      measured,
    })
  })
})

describe('the identity of a node', () => {
  const address = '10.10.0.1'
  const mac = '52:54:00:00:00:10'

  it('is right when the address that the plan names is on one of its interfaces', () => {
    const nics = [{ ip: '192.168.7.7/24' }, { ip: `${address}/16` }]
    expect(resultOf('node.identity', factsOf({ nics })).state).toBe('pass')
  })

  it('is wrong when another machine answers, and what was seen is told', () => {
    const result = resultOf('node.identity', factsOf({ nics: [{ ip: '10.10.9.9/16', macAddr: mac }] }))
    expect(result.state).toBe('fail')
    expect(result.measured).toContain('10.10.9.9')
    expect(result.measured).toContain(mac)
    expect(result.threshold).toContain(address)
  })

  it('is right at the address that the node shall get, so that a resumed run knows it again', () => {
    const plan = planWith(3)
    const nic = { ...planWith(1).nodes.map((node) => node.nic)[0], mode: 'static', address: '10.10.0.77' }
    const changed = withNode(plan, { nic: nic as Plan['nodes'][number]['nic'] })
    const facts = factsOf({ plan: changed, nics: [{ ip: '10.10.0.77/16' }] })
    expect(resultOf('node.identity', facts, changed)).toMatchObject({ state: 'pass' })
    expect(resultOf('node.identity', facts, changed).threshold).toContain('10.10.0.77')
  })

  it.each([
    ['the MAC address that is expected, in any case', { mac, edgeHostId: null }, 'pass'],
    ['another MAC address', { mac: '52:54:00:99:99:99', edgeHostId: null }, 'fail'],
    ['the edge host that is expected', { mac: null, edgeHostId: 'edge-n1' }, 'pass'],
    ['another edge host', { mac: null, edgeHostId: 'edge-of-the-neighbour' }, 'fail'],
    ['the right MAC address, another edge host', { mac, edgeHostId: 'edge-of-the-neighbour' }, 'fail'],
  ] as const)('has %s', (_what, wanted, state) => {
    const plan = withNode(planWith(3), { expect: wanted })
    const nics = [{ ip: `${address}/16`, macAddr: mac.toUpperCase() }]
    expect(resultOf('node.identity', factsOf({ plan, nics }), plan).state).toBe(state)
  })

  it('is unknown when the node tells no address at all', () => {
    for (const nics of [[], [{ macAddr: mac }], [{ ip: '', macAddr: mac }]])
      expect(resultOf('node.identity', factsOf({ nics })).state).toBe('could-not-run')
  })
})

describe('the size of a node', () => {
  it.each([
    ['A', { cpu: 8, memory: 14746, disk1: 250, disk2: 200 }],
    ['B', { cpu: 8, memory: 14746, disk1: 250, disk2: 500 }],
    ['C', { cpu: 8, memory: 14746, disk1: 250, disk2: 500 }],
    ['D', { cpu: 8, memory: 14746, disk1: 300, disk2: 500 }],
    ['auto', { cpu: 8, memory: 14746, disk1: 250, disk2: 200 }],
  ] as const)('variant %s: just enough passes, one less does not', (variant, least) => {
    const plan = planWith(3)
    const chosen = { ...plan, appliance: { ...plan.appliance, variant } }
    const states = (less: number) => {
      const facts = factsOf({
        plan: chosen,
        hardware: { cores: least.cpu - less, memory: least.memory - less },
        ssh: {
          disks: [device('/dev/sda', least.disk1 - less), device('/dev/sdb', least.disk2 - less)],
        },
      })
      return ['node.cpu', 'node.memory', 'node.disk1', 'node.disk2-path'].map(
        (id) => resultOf(id, facts, chosen).state,
      )
    }
    expect(states(0)).toEqual(['pass', 'pass', 'pass', 'pass'])
    expect(states(1)).toEqual(['fail', 'fail', 'fail', 'fail'])
  })

  it('does not take the storage pool drive for the first disk', () => {
    const disks = [device('/dev/sda', 40), device('/dev/sdb', 2000)]
    expect(resultOf('node.disk1', factsOf({ ssh: { disks } }))).toMatchObject({
      state: 'fail',
      measured: '40 GB',
    })
  })

  it('judges the architecture by the pool that the node is in', () => {
    const plan = planWith(3)
    const pools = { ...plan.cluster.pools, worker: poolOfArm64('n3') }
    const mixed = { ...plan, cluster: { ...plan.cluster, pools } }
    const arm64 = (name: string) =>
      resultOf('node.arch', factsOf({ plan: mixed, name, hardware: { arch: 'arm64' } }), mixed)
    expect(arm64('n1')).toMatchObject({ state: 'fail', measured: 'arm64', threshold: 'amd64' })
    expect(arm64('n3')).toMatchObject({ state: 'pass', threshold: 'arm64' })
    expect(resultOf('node.arch', factsOf({ plan: mixed, name: 'n3' }), mixed).state).toBe('fail')
  })
})

function poolOfArm64(node: string): Plan['cluster']['pools']['worker'] {
  return {
    name: 'worker-pool',
    labels: {},
    taints: [],
    architecture: 'arm64',
    hosts: [{ node, nic: 'auto', hostName: null }],
  }
}

describe('the storage pool drive', () => {
  const drive = (sdb: BlockDevice, changes: Changes = {}) => {
    const facts = factsOf({ ssh: { disks: [systemDisk, sdb] }, ...changes })
    const plan = changes.plan ?? planWith(3)
    return {
      path: resultOf('node.disk2-path', facts, plan),
      data: resultOf('node.disk2-data', facts, plan),
    }
  }
  const partitioned = device('/dev/sdb', 500, {
    children: [device('/dev/sdb1', 500, { type: 'part', fileSystem: 'xfs' })],
  })
  const consenting = withNode(planWith(3), { confirmErase: 'n1' })

  it('must be there: the disks that are there instead are named, and its data is unknown, not absent', () => {
    const facts = factsOf({ ssh: { disks: [systemDisk, device('/dev/nvme1n1', 500)] } })
    const result = resultOf('node.disk2-path', facts)
    expect(result.state).toBe('fail')
    expect(result.measured).toContain('/dev/sda /dev/nvme1n1')
    expect(resultOf('node.disk2-data', facts).state).toBe('could-not-run')
  })

  it('must be a disk: a partition or an optical drive of that path is none', () => {
    const { path } = drive(device('/dev/sdb', 500, { type: 'rom' }))
    expect(path.state).toBe('fail')
    expect(path.measured).toContain('not there')
  })

  it('must not be in use, on whatever level the mount is', () => {
    const { path } = drive(
      device('/dev/sdb', 500, {
        children: [
          device('/dev/sdb1', 500, {
            type: 'part',
            children: [device('/dev/mapper/data', 400, { type: 'lvm', mountPoint: '/srv' })],
          }),
        ],
      }),
    )
    expect(path).toMatchObject({ state: 'fail', measured: 'in use: /srv' })
  })

  it('is not erased without consent: a mounted one not even with it', () => {
    const mounted = device('/dev/sdb', 500, { fileSystem: 'ext4', mountPoint: '/data' })
    const { path } = drive(mounted, { plan: consenting })
    expect(path.state).toBe('fail')
  })

  it('may be empty', () => {
    expect(drive(emptyDisk).data).toMatchObject({ state: 'pass', measured: 'empty' })
  })

  it.each([
    ['a partition', partitioned, ['part /dev/sdb1', 'xfs on /dev/sdb1']],
    [
      'a file system without partitions',
      device('/dev/sdb', 500, { fileSystem: 'LVM2_member' }),
      ['LVM2_member'],
    ],
    [
      'a path of a multipath device',
      device('/dev/sdb', 500, {
        fileSystem: 'mpath_member',
        children: [device('/dev/mapper/mpatha', 500, { type: 'mpath' })],
      }),
      ['mpath_member', 'mpath /dev/mapper/mpatha'],
    ],
  ])('must not hold %s, unless the plan consents for this node', (_what, disk, traces) => {
    const { data } = drive(disk)
    expect(data.state).toBe('fail')
    for (const trace of traces) expect(data.measured).toContain(trace)
    expect(data.remedy).toContain('confirmErase: n1')
    const consented = drive(disk, { plan: consenting }).data
    expect(consented.state).toBe('pass')
    for (const trace of traces) expect(consented.measured).toContain(trace)
  })

  it('is not erased by a consent that names another node', () => {
    const plan = withNode(planWith(3), { confirmErase: 'n2' })
    expect(drive(partitioned, { plan }).data.state).toBe('fail')
  })

  it('may be in use by the cluster that this plan made, and by no other', () => {
    const used = device('/dev/sdb', 500, {
      children: [device('/dev/mapper/linstor', 500, { type: 'lvm', mountPoint: '/var/lib/kubelet/pods/1' })],
    })
    const own = drive(used, { facts: { clusterName: 'palette' } })
    expect([own.path.state, own.data.state]).toEqual(['pass', 'pass'])
    const foreign = drive(used, { facts: { clusterName: 'another' } })
    expect([foreign.path.state, foreign.data.state]).toEqual(['fail', 'fail'])
  })
})

describe('checks of all nodes together', () => {
  const plan = planWith(3)
  const three = (...changes: Changes[]) =>
    ['n1', 'n2', 'n3'].map((name, index) => factsOf({ name, ...changes[index] }))

  it('find machines that are clones of each other', () => {
    const facts = three({}, { facts: { uid: 'edge-n1' } })
    const result = fleetOf('node.uid-unique', plan, facts)
    expect(result).toMatchObject({ state: 'fail', measured: 'n1 and n2 have edge-n1' })
  })

  it('find MAC addresses that two nodes share, in whatever case they are told', () => {
    const facts = three(
      { nics: [{ ip: '10.10.0.1/16', macAddr: '52:54:00:AA:BB:CC' }] },
      {},
      { nics: [{ ip: '10.10.0.3/16', macAddr: '52:54:00:aa:bb:cc' }] },
    )
    expect(fleetOf('node.mac-unique', plan, facts)).toMatchObject({
      state: 'fail',
      measured: 'n1 and n3 have 52:54:00:aa:bb:cc',
    })
  })

  it('accept a MAC address that several interfaces of one node share, as a bond and its VLANs do', () => {
    const macAddr = '52:54:00:aa:bb:cc'
    const facts = three({ nics: [{ ip: '10.10.0.1/16', macAddr }, { macAddr }, { macAddr }] })
    expect(fleetOf('node.mac-unique', plan, facts).state).toBe('pass')
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
    expect(fleetOf('node.mac-unique', plan, facts).state).toBe('pass')
  })

  it('want one version of the agent', () => {
    const result = fleetOf('node.agent-version', plan, three({}, { agentVersion: '4.7.1' }))
    expect(result.state).toBe('fail')
    expect(result.measured).toContain('n2: 4.7.1')
    expect(fleetOf('node.agent-version', plan, three({}, { agentVersion: null })).state).toBe('could-not-run')
    // Two different ones are wrong, whatever the third one is.
    const mixed = three({}, { agentVersion: '4.7.1' }, { agentVersion: null })
    expect(fleetOf('node.agent-version', plan, mixed).state).toBe('fail')
  })

  it('pass nothing of nodes that were not read', () => {
    for (const facts of [[], [factsOf()], [factsOf(), factsOf({ name: 'n2' })]]) {
      const fleet = checkNodes(plan, facts).filter((result) => result.target === 'all nodes')
      expect(fleet.map((result) => result.state)).toEqual(['could-not-run', 'could-not-run', 'could-not-run'])
      expect(fleet[0]?.measured).toContain('n3')
      expect(fleet.every(isBlocking)).toBe(true)
    }
  })

  it('tell of a clone even when another node was not read', () => {
    const facts = [factsOf(), factsOf({ name: 'n2', facts: { uid: 'edge-n1' } })]
    expect(fleetOf('node.uid-unique', plan, facts).state).toBe('fail')
  })

  it('find two equal ids among any number of nodes, and only then', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 8 }), (ids) => {
        const many = planWith(ids.length)
        const facts = ids.map((id, index) =>
          factsOf({ plan: many, name: `n${index + 1}`, facts: { uid: `edge-${id}` } }),
        )
        const isUnique = new Set(ids).size === ids.length
        expect(fleetOf('node.uid-unique', many, facts).state).toBe(isUnique ? 'pass' : 'fail')
      }),
      { numRuns: 50 },
    )
  })
})
