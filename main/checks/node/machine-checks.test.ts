import { describe, expect, it } from 'vitest'
import type { Plan } from '../../../shared/plan/index.ts'
import { planWith } from '../../engine/testing/run-harness.ts'
import { ask, withNode } from './testing/ask.ts'
import { device, factsOf, type Changes } from './testing/node-facts.ts'

describe('the state of a node', () => {
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
    expect(ask('node.mode', facts).state).toBe(state)
  })

  it.each([
    ['active_boot', 'pass'],
    ['passive_boot', 'fail'],
    ['livecd_boot', 'fail'],
    ['recovery_boot', 'fail'],
  ])('boot state %s: %s', (bootState, state) => {
    expect(
      ask('node.install-complete', factsOf({ ssh: { 'kairos-agent': { text: bootState } } })),
    ).toMatchObject({
      state,
      measured: bootState,
    })
  })

  it.each([
    [undefined, 'pass', 'none'],
    ['palette', 'pass', 'cluster "palette"'],
    ['another', 'fail', 'cluster "another"'],
  ] as const)('cluster %s: %s', (clusterName, state, measured) => {
    expect(ask('node.no-cluster', factsOf({ facts: { clusterName } }))).toMatchObject({
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
    expect(ask('node.identity', factsOf({ nics })).state).toBe('pass')
  })

  it('is wrong when another machine answers, and what was seen is told', () => {
    const result = ask('node.identity', factsOf({ nics: [{ ip: '10.10.9.9/16', macAddr: mac }] }))
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
    expect(ask('node.identity', facts, changed)).toMatchObject({ state: 'pass' })
    expect(ask('node.identity', facts, changed).threshold).toContain('10.10.0.77')
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
    expect(ask('node.identity', factsOf({ plan, nics }), plan).state).toBe(state)
  })

  it('is unknown when the node tells no address at all', () => {
    for (const nics of [[], [{ macAddr: mac }], [{ ip: '', macAddr: mac }]])
      expect(ask('node.identity', factsOf({ nics })).state).toBe('could-not-run')
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
        disks: [device('/dev/sda', least.disk1 - less), device('/dev/sdb', least.disk2 - less)],
      })
      return (['node.cpu', 'node.memory', 'node.disk1', 'node.disk2', 'node.disk2-path'] as const).map(
        (id) => ask(id, facts, chosen).state,
      )
    }
    expect(new Set(states(0))).toEqual(new Set(['pass']))
    expect(new Set(states(1))).toEqual(new Set(['fail']))
  })

  it('does not take the storage pool drive for the first disk', () => {
    const disks = [device('/dev/sda', 40), device('/dev/sdb', 2000)]
    expect(ask('node.disk1', factsOf({ disks }))).toMatchObject({
      state: 'fail',
      measured: '/dev/sda: 40 GB',
    })
  })

  it('judges the architecture by the pool that the node is in', () => {
    const plan = planWith(3)
    const pools = { ...plan.cluster.pools, worker: poolOfArm64('n3') }
    const mixed = { ...plan, cluster: { ...plan.cluster, pools } }
    const arm64 = (name: string) =>
      ask('node.arch', factsOf({ plan: mixed, name, hardware: { arch: 'arm64' } }), mixed)
    expect(arm64('n1')).toMatchObject({ state: 'fail', measured: 'arm64', threshold: 'amd64' })
    expect(arm64('n3')).toMatchObject({ state: 'pass', threshold: 'arm64' })
    expect(ask('node.arch', factsOf({ plan: mixed, name: 'n3' }), mixed).state).toBe('fail')
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

describe('the memory of a node', () => {
  const modules = (text: string, memory: number) =>
    ask(
      'node.memory',
      factsOf({
        hardware: { memory },
        ssh: { 'memory-modules': { text: `Handle 0x1, DMI type 17, 40 bytes\n\tSize: ${text}\n` } },
      }),
    )

  it('is that of its modules where they are told, whatever the system keeps for itself', () => {
    expect(modules('16 GB', 14_000)).toMatchObject({
      state: 'pass',
      measured: '16384 MiB of modules',
      evidence: 'dmidecode -t 17 -t 19',
    })
    expect(modules('16284 MB', 14_000).state).toBe('pass')
    expect(modules('16283 MB', 16_384).state).toBe('fail')
  })
})

describe('the processors of a node', () => {
  const avx = (flags: string, changes: Changes = {}) =>
    ask('node.cpu-avx', factsOf({ ssh: { 'processor-model': { text: `flags\t: ${flags}\n` } }, ...changes }))

  it('may have AVX only, and on arm64 are not asked for it', () => {
    expect(avx('fpu avx avx2').measured).toBe('AVX and AVX2')
    expect(avx('fpu avx')).toMatchObject({ state: 'pass', measured: 'AVX, no AVX2' })
    expect(avx('fpu avx512f').state).toBe('fail')
    expect(avx('asimd', { hardware: { arch: 'arm64' } })).toMatchObject({ state: 'skipped' })
  })
})

describe('the start of a node', () => {
  const start = (agent: string, marks: string, commandLine: string) =>
    ask(
      'node.install-complete',
      factsOf({
        ssh: {
          'kairos-agent': { text: agent },
          'command-line': { parts: [{ kind: 'file', name: '/proc/cmdline', text: commandLine }] },
          'boot-marks': { parts: [{ kind: 'folder', name: '/run/cos', text: marks }] },
        },
      }),
    )

  it('is from the ISO when one witness says so, and unknown when two contradict each other', () => {
    expect(start('active_boot', 'active_mode', 'root=LABEL=COS_ACTIVE').state).toBe('pass')
    expect(start('active_boot', 'live_mode', 'root=LABEL=COS_ACTIVE').state).toBe('fail')
    expect(start('active_boot', 'active_mode', 'root=live:CDLABEL=COS_LIVE').state).toBe('could-not-run')
  })
})
