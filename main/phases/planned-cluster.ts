import { buildClusterConfiguration, type ClusterHost } from '../appliance/cluster-configuration.ts'
import type { ClusterConfiguration, VariableValue } from '../appliance/index.ts'
import { finalAddressOf, finalHostNameOf, leaderOf, vipOf, type Site, type SiteContext } from './site.ts'

/** The cluster of the plan on the nodes that were read. Without variables it is good for comparing only. */
export function plannedConfiguration(
  context: SiteContext,
  definition: { readonly archiveUploadPath: string; readonly variables: readonly VariableValue[] } = {
    archiveUploadPath: '',
    variables: [],
  },
): ClusterConfiguration {
  const { services } = context
  const { plan } = services
  return buildClusterConfiguration({ plan, vip: vipOf(context), hosts: hostsOf(services), ...definition })
}

/** What the leader has; `undefined`: no cluster. */
export async function readCluster(context: SiteContext): Promise<ClusterConfiguration | undefined> {
  const leader = await context.services.nodes.localApi(context, leaderOf(context.services.plan))
  return leader.cluster({ signal: context.signal })
}

/** Address of the cluster's control plane, where it tells one. */
export function endpointOf(cluster: ClusterConfiguration): string | undefined {
  return cluster.spec.cloudConfig?.spec.clusterConfig.controlPlaneEndpoint?.host
}

function hostsOf({ plan, facts }: Site): Map<string, ClusterHost> {
  const hosts = new Map<string, ClusterHost>()
  for (const node of plan.nodes) {
    const uid = facts.get(node.name)?.uid
    if (uid === undefined) continue
    hosts.set(node.name, { uid, address: finalAddressOf(node), hostName: finalHostNameOf(node) })
  }
  return hosts
}
