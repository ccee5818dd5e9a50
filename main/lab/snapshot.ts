import type { Cluster } from './cluster.ts'
import type { ConsoleService, ConsoleSnapshot } from './console/console-service.ts'
import type { Nic } from './hardware.ts'
import type { Linking } from './linking.ts'
import type { HostConfigurations, LabNode, NodeStage, Upload } from './node.ts'

export interface NodeSnapshot {
  name: string
  stage: NodeStage
  edgeHostId: string
  hostName: string
  nic: Nic
  ntpServers: string[]
  configurations: HostConfigurations
  configurationState: string
  isPasswordChanged: boolean
  isLocked: boolean
  isLinked: boolean
  /** `none` before linking. */
  role: 'leader' | 'follower' | 'none'
  contentSync: string
  isInCluster: boolean
  uploads: Upload[]
  /** PEM. */
  certificate: string
}

export interface LabSnapshot {
  nodes: NodeSnapshot[]
  /** `none` before a cluster was asked for. */
  clusterState: string
  clusterHealth: string
  vip: string | null
  console: ConsoleSnapshot
}

export function takeSnapshot(
  nodes: readonly LabNode[],
  linking: Linking,
  cluster: Cluster,
  systemConsole: ConsoleService,
): LabSnapshot {
  return {
    nodes: nodes.map((node) => {
      const accounts = [...node.accounts.values()]
      return {
        name: node.name,
        stage: node.stage,
        edgeHostId: node.edgeHostId,
        hostName: node.hostName,
        nic: structuredClone(node.nic),
        ntpServers: [...node.ntpServers],
        configurations: structuredClone(node.configurations),
        configurationState: node.configurationState,
        isPasswordChanged: accounts.some((account) => account.isPasswordChanged),
        isLocked: accounts.some((account) => account.isLocked),
        isLinked: node.isLinked,
        role: linking.roleOf(node),
        contentSync: linking.contentSyncOf(node),
        isInCluster: node.isInCluster,
        uploads: structuredClone(node.uploads),
        certificate: node.identity.certificate,
      }
    }),
    clusterState: cluster.state ?? 'none',
    clusterHealth: cluster.health,
    vip: cluster.vip,
    console: systemConsole.snapshot(),
  }
}
