import { z } from 'zod'
import { isInNetwork, isIpv4 } from './hardware.ts'
import { judgeVariables, type Profile } from './profile.ts'

const text = z.string()
const textMap = z.record(z.string(), z.string())
const nicSchema = z.looseObject({ nicName: text.optional(), ip: text.optional() })
const hostSchema = z.strictObject({
  IsCandidateCaption: z.boolean().optional(),
  caCert: text.optional(),
  hostAddress: text.optional(),
  hostName: text.optional(),
  hostUid: text.optional(),
  networkInfo: z.array(nicSchema).optional(),
  nic: nicSchema.optional(),
  nicName: text.optional(),
  nodeInfo: z.unknown().optional(),
  staticIP: text.optional(),
  tags: z.unknown().optional(),
  twoNodeCandidatePriority: z.enum(['primary', 'secondary']).optional(),
})
const poolSchema = z.strictObject({
  additionalLabels: textMap.optional(),
  additionalTags: textMap.optional(),
  hosts: z.array(hostSchema),
  isControlPlane: z.boolean().optional(),
  labels: z.array(text).optional(),
  machinePoolProperties: z.strictObject({ archType: z.enum(['amd64', 'arm64']).optional() }).optional(),
  maxSize: z.int().optional(),
  minSize: z.int().optional(),
  name: text.optional(),
  nodeRepaveInterval: z.int().optional(),
  osType: text.optional(),
  size: z.int().optional(),
  skipK8sUpgrade: z.enum(['enabled', 'disabled']).optional(),
  taints: z
    .array(
      z.strictObject({
        key: text.optional(),
        value: text.optional(),
        effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
        timeAdded: text.optional(),
      }),
    )
    .optional(),
  updateStrategy: z
    .strictObject({ type: z.enum(['RollingUpdateScaleOut', 'RollingUpdateScaleIn']).optional() })
    .optional(),
  useControlPlaneAsWorker: z.boolean().optional(),
})
const requestSchema = z.strictObject({
  metadata: z
    .strictObject({
      creationTimestamp: text.optional(),
      id: text.optional(),
      labels: textMap.optional(),
      lastModifiedTimestamp: text.optional(),
      name: text.optional(),
      tags: z.record(z.string(), z.unknown()).optional(),
    })
    .optional(),
  spec: z.strictObject({
    archiveUploadPath: text.optional(),
    profileVariables: z.array(z.strictObject({ name: text, profileUid: text, value: text })).optional(),
    scheduleAt: text.optional(),
    cloudConfig: z.strictObject({
      metadata: z.unknown().optional(),
      spec: z.strictObject({
        clusterConfig: z.strictObject({
          controlPlaneEndpoint: z
            .strictObject({ ddnsSearchDomain: text.optional(), host: text.optional(), type: text.optional() })
            .optional(),
          isTwoNodeCluster: z.boolean().optional(),
          ntpServers: z.array(text).optional(),
          overlayNetworkConfiguration: z
            .strictObject({ cidr: text.optional(), enable: z.boolean().optional() })
            .optional(),
          sshKeys: z.array(text).optional(),
          staticIp: z.boolean().optional(),
        }),
        machinePoolConfig: z.array(poolSchema),
      }),
    }),
  }),
})
export type ClusterRequest = z.infer<typeof requestSchema>

/** What a request is judged against. */
export interface ClusterFacts {
  archiveUploadPath: string
  profiles: readonly Profile[]
  nodeNetwork: string
  /** Hosts that this host could put into a cluster: itself and its followers. */
  hosts: { id: string; address: string; isReady: boolean; isLeader: boolean; storagePaths: string[] }[]
}

export type ClusterRequestVerdict =
  { kind: 'good'; request: ClusterRequest } | { kind: 'bad'; problems: string[] }

/** Judges a `POST /cluster` the way a strict server does: everything that would not become a working cluster. */
export function judgeClusterRequest(body: unknown, facts: ClusterFacts): ClusterRequestVerdict {
  const parsed = requestSchema.safeParse(body)
  if (!parsed.success) {
    return {
      kind: 'bad',
      problems: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
    }
  }
  const { metadata, spec } = parsed.data
  const { clusterConfig, machinePoolConfig: pools } = spec.cloudConfig.spec
  const problems: string[] = []
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(metadata?.name ?? ''))
    problems.push('metadata.name is no DNS-1123 label')
  if (spec.archiveUploadPath !== facts.archiveUploadPath) {
    problems.push(`spec.archiveUploadPath must be ${facts.archiveUploadPath}`)
  }

  const values = spec.profileVariables ?? []
  const wrong = judgeVariables(facts.profiles, values).filter((one) => !one.isValid)
  for (const one of wrong) problems.push(`variable ${one.name}: ${one.reason}`)
  for (const profile of facts.profiles) {
    for (const { name } of profile.variables) {
      if (!values.some((value) => value.name === name && value.profileUid === profile.uid)) {
        problems.push(`variable ${name} of profile ${profile.name} is missing`)
      }
    }
  }

  const { host: vip = '', type } = clusterConfig.controlPlaneEndpoint ?? {}
  if (type !== 'VIP') problems.push('clusterConfig.controlPlaneEndpoint.type must be VIP')
  if (!isIpv4(vip)) problems.push('clusterConfig.controlPlaneEndpoint.host is no IPv4 address')
  else {
    if (!isInNetwork(vip, facts.nodeNetwork))
      problems.push(`VIP ${vip} is outside the network of the nodes ${facts.nodeNetwork}`)
    if (facts.hosts.some((host) => host.address === vip)) problems.push(`VIP ${vip} is the address of a host`)
  }
  if (clusterConfig.isTwoNodeCluster === true) problems.push('isTwoNodeCluster is not possible here')

  const controlPlanes = pools.filter((pool) => pool.isControlPlane === true)
  const [controlPlane] = controlPlanes
  if (controlPlane === undefined || controlPlanes.length !== 1)
    problems.push('exactly one pool must be the control plane')
  else {
    if (controlPlane.hosts.length % 2 === 0) problems.push('the control plane needs an odd number of hosts')
    const leader = facts.hosts.find((host) => host.isLeader)
    if (!controlPlane.hosts.some((host) => host.hostUid === leader?.id))
      problems.push('the leader must be in the control plane')
    if (pools.length === 1 && controlPlane.useControlPlaneAsWorker !== true) {
      problems.push('useControlPlaneAsWorker must be true when there is no worker pool')
    }
  }
  const names = pools.map((pool) => pool.name ?? '')
  if (names.includes('')) problems.push('every pool needs a name')
  if (new Set(names).size !== names.length) problems.push('pool names must be unique')

  const used = new Set<string>()
  const drive = values.find((value) => value.name === 'csi.storagepoolDrive')?.value ?? ''
  for (const pool of pools) {
    const place = `pool ${pool.name ?? ''}`
    if (pool.hosts.length === 0) problems.push(`${place} has no host`)
    if (pool.size !== undefined && pool.size !== pool.hosts.length) {
      problems.push(`${place} has size ${pool.size} and ${pool.hosts.length} hosts`)
    }
    for (const host of pool.hosts) {
      const uid = host.hostUid ?? ''
      const known = facts.hosts.find((one) => one.id === uid)
      if (known === undefined) {
        problems.push(`${place}: host ${uid === '' ? 'without hostUid' : uid} is not linked to this leader`)
        continue
      }
      if (used.has(uid)) problems.push(`${place}: host ${uid} is used twice`)
      used.add(uid)
      if (!known.isReady) problems.push(`${place}: host ${uid} is not Ready and Synced`)
      if (host.hostAddress !== known.address) {
        problems.push(`${place}: host ${uid} has the address ${known.address}, not ${host.hostAddress ?? ''}`)
      }
      if (drive !== '' && !known.storagePaths.includes(drive))
        problems.push(`${place}: host ${uid} has no disk ${drive}`)
    }
  }
  return problems.length === 0 ? { kind: 'good', request: parsed.data } : { kind: 'bad', problems }
}
