import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planSchema, type Plan } from '../../shared/plan/index.ts'
import {
  buildClusterConfiguration,
  controlPlaneHosts,
  differencesOfCluster,
  type ClusterHost,
} from './cluster-configuration.ts'
import { clusterConfigurationSchema, type ClusterConfiguration } from './local-api-schemas.ts'

/** A plan with nodes `n1`, `n2`, … whose cluster has `cluster` on top; `leader` counts from 0. */
function planOf(nodes: number, cluster: object = {}, leader = 0): Plan {
  return planSchema.parse({
    version: 1,
    site: { name: 'rig-7', network: '10.10.200.0/24', vip: '10.10.200.100', ntp: ['ntp.site'] },
    access: { newPassword: { generate: 'node' } },
    nodes: Array.from({ length: nodes }, (_, index) => ({
      name: `n${index + 1}`,
      address: `10.10.200.${index + 1}`,
      leader: index === leader,
    })),
    cluster: { name: 'palette', registry: { password: { generate: 'registry' } }, ...cluster },
    console: { email: 'ops@example.com', newPassword: { env: 'CONSOLE_PASSWORD' } },
  })
}

function hostsOf(plan: Plan): Map<string, ClusterHost> {
  return new Map(
    plan.nodes.map(({ name, address }) => [
      name,
      { uid: `edge-${name}`, address, hostName: `palette-${name}` },
    ]),
  )
}

function build(plan: Plan, hosts = hostsOf(plan)): ClusterConfiguration {
  const configuration = buildClusterConfiguration({
    plan,
    vip: plan.site.vip,
    archiveUploadPath: '/usr/local/spectrocloud/clusterconfig/override/spc.tgz',
    variables: [{ name: 'mgmtplane.mongoReplicas', value: '3', profileUid: 'p1' }],
    hosts,
  })
  // What is sent is what the appliance's own answer to GET would be read as.
  expect(clusterConfigurationSchema.parse(JSON.parse(JSON.stringify(configuration)))).toEqual(configuration)
  return configuration
}

const poolsOf = (configuration: ClusterConfiguration) =>
  configuration.spec.cloudConfig?.spec.machinePoolConfig ?? []
const clusterConfigOf = (configuration: ClusterConfiguration) =>
  configuration.spec.cloudConfig?.spec.clusterConfig

describe('the payload that creates a cluster (palette.md §7.3.1)', () => {
  it('of one node is one control plane pool of one host', () => {
    expect(build(planOf(1))).toEqual({
      metadata: { name: 'palette', labels: {}, tags: {} },
      spec: {
        archiveUploadPath: '/usr/local/spectrocloud/clusterconfig/override/spc.tgz',
        profileVariables: [{ name: 'mgmtplane.mongoReplicas', value: '3', profileUid: 'p1' }],
        cloudConfig: {
          metadata: {},
          spec: {
            clusterConfig: {
              controlPlaneEndpoint: { host: '10.10.200.100', type: 'VIP' },
              ntpServers: ['ntp.site'],
              sshKeys: [],
              overlayNetworkConfiguration: { enable: false, cidr: '' },
            },
            machinePoolConfig: [
              {
                name: 'control-plane-pool',
                isControlPlane: true,
                useControlPlaneAsWorker: true,
                labels: ['master'],
                size: 1,
                additionalLabels: {},
                taints: [],
                machinePoolProperties: { archType: 'amd64' },
                hosts: [{ hostUid: 'edge-n1', hostAddress: '10.10.200.1', hostName: 'palette-n1' }],
              },
            ],
          },
        },
      },
    })
  })

  it.each([3, 5])('of %i nodes has them all in the control plane, and as many as its size says', (count) => {
    const [pool, ...others] = poolsOf(build(planOf(count)))
    expect(others).toEqual([])
    expect(pool?.size).toBe(count)
    expect(pool?.hosts?.map((host) => host.hostUid)).toEqual(
      Array.from({ length: count }, (_, index) => `edge-n${index + 1}`),
    )
  })

  it('names the leader first, wherever the plan has it', () => {
    const [pool] = poolsOf(build(planOf(3, {}, 2)))
    expect(pool?.hosts?.map((host) => host.hostUid)).toEqual(['edge-n3', 'edge-n1', 'edge-n2'])
    const hosts = [{ node: 'n2' }, { node: 'n1' }, { node: 'n3' }]
    const [named] = poolsOf(build(planOf(3, { pools: { controlPlane: { hosts } } }, 2)))
    expect(named?.hosts?.map((host) => host.hostUid)).toEqual(['edge-n3', 'edge-n2', 'edge-n1'])
  })

  it('has a worker pool for the nodes that the plan gives it, with labels and taints of its own', () => {
    const plan = planOf(5, {
      pools: {
        controlPlane: { allowWorkerCapability: false, labels: { rack: 'r1' } },
        worker: {
          hosts: [
            { node: 'n4', nic: 'eth1' },
            { node: 'n5', hostName: 'worker-5' },
          ],
          labels: { 'example.com/rack': 'r2' },
          taints: [
            { key: 'role', value: 'db', effect: 'NoSchedule' },
            { key: 'slow', effect: 'NoExecute' },
          ],
          architecture: 'arm64',
        },
      },
    })
    const [controlPlane, worker] = poolsOf(build(plan))
    expect(controlPlane).toMatchObject({
      isControlPlane: true,
      useControlPlaneAsWorker: false,
      size: 3,
      additionalLabels: { rack: 'r1' },
    })
    expect(worker).toEqual({
      name: 'worker-pool',
      isControlPlane: false,
      labels: ['worker'],
      size: 2,
      additionalLabels: { 'example.com/rack': 'r2' },
      taints: [
        { key: 'role', value: 'db', effect: 'NoSchedule' },
        { key: 'slow', value: '', effect: 'NoExecute' },
      ],
      machinePoolProperties: { archType: 'arm64' },
      hosts: [
        { hostUid: 'edge-n4', hostAddress: '10.10.200.4', hostName: 'palette-n4', nicName: 'eth1' },
        { hostUid: 'edge-n5', hostAddress: '10.10.200.5', hostName: 'worker-5' },
      ],
    })
  })

  it('sends tags as labels, because the API takes objects as tags', () => {
    const { metadata } = build(planOf(1, { tags: { owner: 'platform', site: '7' } }))
    expect(metadata).toEqual({ name: 'palette', labels: { owner: 'platform', site: '7' }, tags: {} })
  })

  it('takes time servers of the cluster before those of the site, also when the cluster shall have none', () => {
    const ntpOf = (cluster: object) => clusterConfigOf(build(planOf(1, cluster)))?.ntpServers
    expect(ntpOf({})).toEqual(['ntp.site'])
    expect(ntpOf({ ntp: ['ntp.cluster', '10.1.1.1'] })).toEqual(['ntp.cluster', '10.1.1.1'])
    expect(ntpOf({ ntp: [] })).toEqual([])
  })

  it('has the overlay and the SSH keys that the plan names', () => {
    const sshKeys = ['ssh-ed25519 AAAA ops']
    expect(
      clusterConfigOf(build(planOf(1, { overlay: { cidr: '100.64.192.0/23' }, sshKeys }))),
    ).toMatchObject({
      overlayNetworkConfiguration: { enable: true, cidr: '100.64.192.0/23' },
      sshKeys,
    })
  })

  it('is not built when nothing is known of a node: the error names node and pool', () => {
    const plan = planOf(3)
    const hosts = hostsOf(plan)
    hosts.delete('n2')
    expect(() => build(plan, hosts)).toThrow(
      expect.objectContaining({
        code: 'NODE_UNKNOWN',
        node: 'n2',
        detail: 'The pool control-plane-pool names it.',
      }),
    )
  })

  it('puts every node into exactly one pool, whatever nodes the worker pool takes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 9 }), fc.nat(), fc.nat(), (count, seed, leaderSeed) => {
        const leader = leaderSeed % count
        const workers = Array.from({ length: count }, (_, index) => index).filter(
          (index) => index !== leader && (seed >> index) % 2 === 1,
        )
        const worker =
          workers.length === 0 ? null : { hosts: workers.map((index) => ({ node: `n${index + 1}` })) }
        const plan = planOf(count, { pools: { worker } }, leader)
        const pools = poolsOf(build(plan))
        const uids = pools.flatMap((pool) => (pool.hosts ?? []).map((host) => host.hostUid))
        expect(uids.toSorted()).toEqual(plan.nodes.map((node) => `edge-${node.name}`).toSorted())
        expect(pools.every((pool) => pool.size === pool.hosts?.length)).toBe(true)
        expect(controlPlaneHosts(plan)[0]?.node).toBe(`n${leader + 1}`)
      }),
      { numRuns: 60 },
    )
  })
})

describe('an existing cluster', () => {
  it('is the one of the plan, in whatever order its hosts and pools are told', () => {
    const plan = planOf(5, { pools: { worker: { hosts: [{ node: 'n4' }, { node: 'n5' }] } } })
    const existing = structuredClone(build(plan))
    existing.spec.cloudConfig?.spec.machinePoolConfig?.reverse()
    for (const pool of poolsOf(existing)) pool.hosts?.reverse()
    expect(differencesOfCluster(existing, build(plan))).toEqual([])
  })

  it('is another one when name, virtual IP address or hosts differ; each difference is told', () => {
    const existing = build(planOf(3))
    expect(differencesOfCluster(existing, build(planOf(3, { name: 'other' })))).toEqual([
      'its name is palette, the plan says other',
    ])
    const moved = planOf(3)
    const [address] = differencesOfCluster(
      existing,
      build({ ...moved, site: { ...moved.site, vip: '10.10.200.101' } }),
    )
    expect(address).toBe('its virtual IP address is 10.10.200.100, the plan says 10.10.200.101')
    const [hosts] = differencesOfCluster(existing, build(planOf(1)))
    expect(hosts).toContain('edge-n1, edge-n2, edge-n3')
  })

  it('that tells nothing of itself is another one, and does not stop the comparison', () => {
    const empty = clusterConfigurationSchema.parse({ metadata: {}, spec: {} })
    expect(differencesOfCluster(empty, build(planOf(1)))).toHaveLength(3)
    const withoutHosts = clusterConfigurationSchema.parse({
      metadata: { name: 'palette' },
      spec: {
        cloudConfig: { spec: { clusterConfig: {}, machinePoolConfig: [{ hosts: null }, { hosts: [{}] }] } },
      },
    })
    expect(differencesOfCluster(withoutHosts, build(planOf(1)))).toHaveLength(2)
  })
})
