import { AppError } from '../../shared/errors/index.ts'
import type { Plan, PoolHost } from '../../shared/plan/index.ts'
import type { ClusterConfiguration, VariableValue } from './local-api-schemas.ts'

/** What is known of a node that becomes part of the cluster. */
export interface ClusterHost {
  /** `metadata.id` of the edge host. */
  readonly uid: string
  /** Address that the node has in the end. */
  readonly address: string
  readonly hostName: string
}

/**
 * The create call's payload (palette.md §7.3.1). `hosts` is by name of the node in the plan.
 * Throws `NODE_UNKNOWN` when a pool names a node without facts.
 */
export function buildClusterConfiguration(input: {
  readonly plan: Plan
  readonly vip: string
  readonly archiveUploadPath: string
  readonly variables: readonly VariableValue[]
  readonly hosts: ReadonlyMap<string, ClusterHost>
}): ClusterConfiguration {
  const { plan, hosts } = input
  const { controlPlane, worker } = plan.cluster.pools
  return {
    // Tags in key:value form are labels in the product's API; `metadata.tags` takes objects by its description.
    metadata: { name: plan.cluster.name, labels: plan.cluster.tags, tags: {} },
    spec: {
      archiveUploadPath: input.archiveUploadPath,
      profileVariables: input.variables.map((variable) => ({ ...variable })),
      cloudConfig: {
        metadata: {},
        spec: {
          clusterConfig: {
            controlPlaneEndpoint: { host: input.vip, type: 'VIP' },
            ntpServers: plan.cluster.ntp ?? plan.site.ntp,
            sshKeys: plan.cluster.sshKeys,
            overlayNetworkConfiguration: {
              enable: plan.cluster.overlay !== null,
              cidr: plan.cluster.overlay?.cidr ?? '',
            },
          },
          machinePoolConfig: [
            {
              name: controlPlane.name,
              isControlPlane: true,
              useControlPlaneAsWorker: controlPlane.allowWorkerCapability,
              // The role label that public automation sends (palette.md §2.5).
              labels: ['master'],
              ...poolFields(controlPlane, controlPlaneHosts(plan), hosts),
            },
            ...(worker === null
              ? []
              : [
                  {
                    name: worker.name,
                    isControlPlane: false,
                    labels: ['worker'],
                    ...poolFields(worker, worker.hosts, hosts),
                  },
                ]),
          ],
        },
      },
    },
  }
}

/** The hosts of the control plane: those that the plan names, else all nodes that no other pool names; leader first. */
export function controlPlaneHosts(plan: Plan): readonly PoolHost[] {
  const named = plan.cluster.pools.controlPlane.hosts
  const leader = plan.nodes.find((node) => node.leader)?.name
  const leaderFirst = (left: PoolHost, right: PoolHost) =>
    Number(right.node === leader) - Number(left.node === leader)
  if (named !== undefined) return named.toSorted(leaderFirst)
  const elsewhere = new Set(plan.cluster.pools.worker?.hosts.map((host) => host.node))
  return plan.nodes
    .filter((node) => !elsewhere.has(node.name))
    .map((node) => ({ node: node.name, nic: 'auto', hostName: null }))
    .toSorted(leaderFirst)
}

function poolFields(
  pool: Plan['cluster']['pools']['controlPlane'] | NonNullable<Plan['cluster']['pools']['worker']>,
  poolHosts: readonly PoolHost[],
  hosts: ReadonlyMap<string, ClusterHost>,
) {
  return {
    size: poolHosts.length,
    additionalLabels: pool.labels,
    taints: pool.taints,
    machinePoolProperties: { archType: pool.architecture },
    hosts: poolHosts.map((poolHost) => {
      const host = hosts.get(poolHost.node)
      if (host === undefined) {
        throw new AppError({
          code: 'NODE_UNKNOWN',
          title: `Nothing is known of node ${poolHost.node}.`,
          detail: `The pool ${pool.name} names it.`,
          remedies: ['Add the node to "nodes" of the plan, or take it out of the pool.'],
          node: poolHost.node,
        })
      }
      return {
        hostUid: host.uid,
        hostAddress: host.address,
        hostName: poolHost.hostName ?? host.hostName,
        // Absent means that the appliance chooses.
        ...(poolHost.nic === 'auto' ? {} : { nicName: poolHost.nic }),
      }
    }),
  }
}

/** How an existing cluster differs from the one that the plan describes; empty when it is the same cluster. */
export function differencesOfCluster(existing: ClusterConfiguration, wanted: ClusterConfiguration): string[] {
  const differences: string[] = []
  const compare = (what: string, left: string | undefined, right: string | undefined) => {
    if (left !== right)
      differences.push(`${what} is ${left ?? 'not given'}, the plan says ${right ?? 'nothing'}`)
  }
  compare('its name', existing.metadata.name, wanted.metadata.name)
  compare('its virtual IP address', endpointOf(existing), endpointOf(wanted))
  compare('its hosts', hostUidsOf(existing), hostUidsOf(wanted))
  return differences
}

function endpointOf(configuration: ClusterConfiguration): string | undefined {
  return configuration.spec.cloudConfig?.spec.clusterConfig.controlPlaneEndpoint?.host
}

function hostUidsOf(configuration: ClusterConfiguration): string {
  const pools = configuration.spec.cloudConfig?.spec.machinePoolConfig ?? []
  return pools
    .flatMap((pool) => pool.hosts ?? [])
    .map((host) => host.hostUid ?? '?')
    .toSorted()
    .join(', ')
}
