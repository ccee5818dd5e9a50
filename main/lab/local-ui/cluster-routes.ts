import { z } from 'zod'
import { lifecycle, type Cluster } from '../cluster.ts'
import { judgeClusterRequest } from '../cluster-request.ts'
import type { LabContext } from '../context.ts'
import { errorAnswer, type Answer, type Route } from '../http/api-server.ts'
import type { Linking } from '../linking.ts'
import type { LabNode } from '../node.ts'
import { judgeVariables, type Profile } from '../profile.ts'
import { accepted } from './session.ts'

const base = '/v1/edge-mgmt'
export const embeddedArchivePath = '/usr/local/spectrocloud/clusterconfig/embedded/spc.tgz'
const overriddenArchivePath = '/usr/local/spectrocloud/clusterconfig/override/spc.tgz'

const validateSchema = z.strictObject({
  archiveUploadPath: z.string().optional(),
  metadata: z.unknown().optional(),
  variables: z
    .array(z.strictObject({ name: z.string(), profileUid: z.string(), value: z.string() }))
    .default([]),
})
const settingsSchema = z.strictObject({
  ntpServers: z.array(z.string()).optional(),
  sshKeys: z.array(z.string()).optional(),
})

/** Cluster definition, creation and watching. */
export function clusterRoutes(
  context: LabContext,
  node: LabNode,
  { linking, cluster }: { linking: Linking; cluster: Cluster },
): Route[] {
  const { scheduler, recorder, faults } = context
  const isoTime = (at: number) => new Date(at).toISOString()
  const hasOverride = () => node.uploads.some((upload) => upload.kind === 'cluster-definition')
  const archivePath = () => (hasOverride() ? overriddenArchivePath : embeddedArchivePath)
  const isMember = () =>
    cluster.request !== null && (cluster.members.includes(node) || cluster.leader === node)
  const noCluster = () => errorAnswer(404, 'ClusterNotFound', 'there is no cluster')

  const create = (body: unknown): Answer => {
    recorder.count('clusterPosts')
    if (cluster.request !== null || node.isInCluster) {
      return errorAnswer(500, 'ClusterExists', 'cluster already exists')
    }
    if (linking.leaderOf(node) !== null) {
      return errorAnswer(500, 'NotLeader', 'this host is linked to a leader; create the cluster there')
    }
    if (!linking.isContentThere) return errorAnswer(500, 'NoDefinition', 'no cluster definition was uploaded')
    const verdict = judgeClusterRequest(body, {
      archiveUploadPath: archivePath(),
      profiles: cluster.profiles,
      nodeNetwork: context.plan.site.network,
      hosts: cluster.candidatesOf(node).map((host) => ({
        id: host.edgeHostId,
        address: host.nic.address,
        isReady: host === node || linking.isReady(host),
        isLeader: host === node,
        storagePaths: host.hardware.disks.map((disk) => disk.path),
      })),
    })
    if (verdict.kind === 'bad') return errorAnswer(500, 'InvalidCluster', verdict.problems.join('; '))
    cluster.accept(node, verdict.request)
    return {
      ...accepted(202, 'cluster creation is in progress'),
      isCut: faults.take('post-lost-answer', null) !== null,
    }
  }

  const details = (): Answer => {
    const { request } = cluster
    if (request === null && node.isInCluster) return { status: 200, body: earlierCluster(node) }
    if (request === null || !isMember()) return noCluster()
    const { clusterConfig, machinePoolConfig } = request.spec.cloudConfig.spec
    const pools = machinePoolConfig.map((pool) => ({
      hosts: pool.hosts,
      pool: {
        name: pool.name ?? '',
        isControlPlane: pool.isControlPlane ?? false,
        archType: pool.machinePoolProperties?.archType ?? 'amd64',
      },
    }))
    const isRunning = cluster.state === 'Running'
    return {
      status: 200,
      body: {
        metadata: {
          id: cluster.name,
          name: cluster.name,
          labels: request.metadata?.labels ?? {},
          tags: request.metadata?.tags ?? {},
          creationTimestamp: isoTime(cluster.createdAt),
        },
        spec: {
          hostIDs: cluster.members.map((member) => member.edgeHostId),
          nodePools: pools.map(({ hosts, pool }) => ({
            pool,
            hosts: hosts.map((host) => ({
              hostID: host.hostUid ?? '',
              hostName: host.hostName ?? '',
              hostAddress: host.hostAddress ?? '',
            })),
          })),
          ntpServers: cluster.ntpServers,
          sshKeys: cluster.sshKeys,
          overlayCIDR: clusterConfig.overlayNetworkConfiguration?.cidr ?? '',
          vip: clusterConfig.controlPlaneEndpoint?.host ?? '',
        },
        status: {
          agentVersion: node.agentVersion,
          clusterState: cluster.state,
          clusterStateReason: cluster.reason,
          health: {
            status: cluster.health,
            reason: isRunning ? '' : cluster.reason === '' ? 'the cluster is being deployed' : cluster.reason,
          },
          clusterConditions: lifecycle.map(condition),
          isRebootPending: false,
          k8sVersion: kubernetesVersion(cluster),
          kubeconfig: cluster.reachedAt.has('ControlPlaneInitialized') ? cluster.kubeconfig() : '',
          nodePools: pools.map(({ hosts, pool }) => ({
            pool,
            nodes: hosts.flatMap((host) => {
              const member = cluster.members.find((one) => one.edgeHostId === host.hostUid)
              return member === undefined ? [] : [nodeStatus(member)]
            }),
          })),
          ntpServersApplied: isRunning,
          sshKeysApplied: isRunning,
          services: cluster.isConsolePageUp
            ? [
                {
                  name: 'ingress-nginx-controller',
                  host: cluster.vip ?? '',
                  ports: [{ name: 'https', port: 443, targetPort: 'https', protocol: 'TCP' }],
                },
              ]
            : [],
        },
      },
    }
  }

  const condition = (stage: (typeof lifecycle)[number]) => {
    const reachedAt = cluster.reachedAt.get(stage.type)
    return {
      type: stage.type,
      status: reachedAt === undefined ? 'False' : 'True',
      reason: stage.type,
      message: reachedAt === undefined ? `${stage.label}: waiting` : stage.label,
      lastProbeTime: isoTime(scheduler.now()),
      lastTransitionTime: isoTime(reachedAt ?? cluster.createdAt),
    }
  }

  const isJoined = (member: LabNode) =>
    cluster.reachedAt.has(member === cluster.leader ? 'ControlPlaneInitialized' : 'NodesJoined')
  const age = () => `${Math.floor((scheduler.now() - cluster.createdAt) / 60_000)}m`

  const nodeStatus = (member: LabNode) => ({
    nodeName: member.hostName,
    ipv4: member.nic.address,
    architecture: 'amd64',
    age: age(),
    k8sVersion: kubernetesVersion(cluster),
    nodeState: isJoined(member) ? 'Running' : 'Provisioning',
    health: {
      status: isJoined(member) ? 'Healthy' : 'Unhealthy',
      reason: isJoined(member) ? '' : 'the node has not joined',
    },
  })

  const archive = (path: string, uploadedName: string): Answer => ({
    status: 200,
    body: {
      archiveUploadPath: path,
      clusterProfileDetails: cluster.profiles.map((profile) => ({
        profileUid: profile.uid,
        profileName: profile.name,
        profileType: profile.type,
        profileVersion: profile.version,
        profileDescription: uploadedName,
        profileTags: '',
        packs: profile.packs.map(({ name, version }) => ({ name, version, values: '', logo: '' })),
        variables: variablesOf(profile),
      })),
    },
  })

  const pack = (profile: Profile, index: number) => {
    const one = profile.packs[index]
    if (one === undefined) return null
    const runningSince = cluster.packsRunning.get(one.name)
    const all = cluster.profiles.flatMap((each) => each.packs)
    const next = all.find((each) => !cluster.packsRunning.has(each.name))
    const status =
      runningSince !== undefined
        ? 'Running'
        : next?.name === one.name && cluster.progress > 0.2
          ? 'Deploying'
          : 'Pending'
    return {
      name: one.name,
      version: one.version,
      layer: one.layer,
      type: 'spectro',
      logo: '',
      values: '',
      status,
      startTime: isoTime(cluster.createdAt),
      endTime: runningSince === undefined ? '' : isoTime(runningSince),
      conditions: [
        { type: 'Ready', status: runningSince === undefined ? 'False' : 'True', reason: status, message: '' },
      ],
      contents: [{ name: one.name, contentType: 'chart', syncStatus: 'completed', syncMsg: '' }],
    }
  }

  return [
    { method: 'POST', path: `${base}/cluster`, handle: ({ body }) => create(body) },
    {
      method: 'GET',
      path: `${base}/cluster`,
      handle: () =>
        cluster.request === null || !isMember() ? noCluster() : { status: 200, body: masked(cluster) },
    },
    {
      method: 'DELETE',
      path: `${base}/cluster`,
      handle: () => {
        if (cluster.request === null) return errorAnswer(500, 'ClusterNotFound', 'there is no cluster')
        cluster.remove()
        return accepted(202, 'the cluster is being deleted')
      },
    },
    { method: 'GET', path: `${base}/cluster/details`, handle: details },
    {
      method: 'GET',
      path: `${base}/cluster/applications`,
      handle: () => {
        // Variant D shows the definition as soon as the content is there (palette.md §1.7).
        const isPreview = context.variant === 'D' && linking.isContentThere && node.uploads.length > 0
        if (cluster.request === null && !isPreview) return noCluster()
        return {
          status: 200,
          body: {
            clusterProfileTemplates: cluster.profiles.map((profile) => ({
              uid: profile.uid,
              name: profile.name,
              type: profile.type,
              version: profile.version,
              description: '',
              variables: variablesOf(profile).map((one) => ({
                ...one,
                value: one.isSensitive ? '' : valueOf(cluster, one.name),
              })),
              packs: profile.packs.map((_, index) => pack(profile, index)),
            })),
          },
        }
      },
    },
    {
      method: 'GET',
      path: `${base}/cluster/events`,
      handle: () => ({
        status: 200,
        body: {
          items: [...cluster.reachedAt].map(([type, at]) => ({
            metadata: {
              name: type.toLowerCase(),
              namespace: 'spectro-system',
              uid: type,
              creationTimestamp: isoTime(at),
            },
            involvedObject: { kind: 'SpectroCluster', name: cluster.name },
            reason: type,
            severity: 'Normal',
            message: lifecycle.find((stage) => stage.type === type)?.label ?? type,
            source: { component: 'stylus', host: cluster.leader?.hostName ?? '' },
          })),
        },
      }),
    },
    {
      method: 'GET',
      path: `${base}/events/lifecycle`,
      handle: () => {
        const of = (category: string) => lifecycle.filter((stage) => stage.category === category)
        return {
          status: 200,
          body: {
            clusterEvents: cluster.request === null ? [] : of('cluster').map(condition),
            edgeHostEvents: cluster.request === null ? [] : of('edgeHost').map(condition),
            expectedOrder: ['edgeHost', 'cluster'].map((category, order) => ({
              category,
              order: order + 1,
              conditionsOrder: of(category).map((stage, index) => ({
                order: index + 1,
                type: stage.type,
                typeLabel: stage.label,
                reason: stage.type,
                reasonLabel: stage.label,
              })),
            })),
          },
        }
      },
    },
    {
      method: 'GET',
      path: `${base}/clusters/current/nodes`,
      handle: () => ({
        status: 200,
        body: {
          nodes: cluster.members.filter(isJoined).map((member) => ({
            nodeName: member.hostName,
            edgeHostID: member.edgeHostId,
            ipv4: member.nic.address,
            age: age(),
            architecture: 'amd64',
            kernelVersion: '5.15.0-139-generic',
            kubeletVersion: `v${kubernetesVersion(cluster)}`,
            operatingSystem: 'linux',
            osImage: 'Ubuntu 22.04.5 LTS',
            nodeStatus: { conditionType: 'Ready', status: 'True', reason: 'KubeletReady', message: '' },
            nodeHealth: [
              {
                conditionType: 'DiskPressure',
                status: 'False',
                reason: 'KubeletHasNoDiskPressure',
                message: '',
              },
            ],
          })),
        },
      }),
    },
    {
      method: 'GET',
      path: `${base}/clusters/current/machinepools`,
      handle: () => ({
        status: 200,
        body: { items: cluster.request?.spec.cloudConfig.spec.machinePoolConfig ?? [] },
      }),
    },
    {
      method: 'PUT',
      path: `${base}/cluster/settings`,
      handle: ({ body }) => {
        const settings = settingsSchema.safeParse(body)
        if (!settings.success || cluster.request === null)
          return errorAnswer(500, 'InvalidInput', 'these settings cannot be applied')
        cluster.ntpServers = settings.data.ntpServers ?? cluster.ntpServers
        cluster.sshKeys = settings.data.sshKeys ?? cluster.sshKeys
        return accepted(202, 'settings are being applied')
      },
    },
    {
      method: 'GET',
      path: `${base}/cluster/certificates`,
      handle: () => {
        if (!cluster.reachedAt.has('ControlPlaneInitialized')) return noCluster()
        const issued = isoTime(cluster.createdAt)
        const expires = isoTime(cluster.createdAt + 365 * 86_400_000)
        return {
          status: 200,
          body: {
            needsRenewal: false,
            earliestAutoRenewalTime: expires,
            certificates: [
              {
                name: 'kubernetes',
                issueDate: issued,
                expirationDate: expires,
                childCerts: cluster.members.map((member) => ({
                  name: 'apiserver',
                  nodeName: member.hostName,
                  issueDate: issued,
                  expirationDate: expires,
                })),
              },
            ],
          },
        }
      },
    },
    {
      method: 'GET',
      path: `${base}/clusters/archive/embedded/details`,
      handle: () =>
        linking.isContentThere
          ? archive(embeddedArchivePath, '')
          : errorAnswer(404, 'NoDefinition', 'there is no embedded cluster definition'),
    },
    {
      method: 'GET',
      path: `${base}/clusters/archive/overridden/details`,
      handle: () =>
        hasOverride()
          ? archive(overriddenArchivePath, node.uploads.at(-1)?.fileName ?? '')
          : errorAnswer(404, 'NoDefinition', 'no cluster definition was uploaded'),
    },
    {
      method: 'GET',
      path: `${base}/clusters/archive/update/details`,
      handle: () => errorAnswer(404, 'NoUpdate', 'there is no update'),
    },
    {
      method: 'POST',
      path: `${base}/cluster/profiles/variables/validate`,
      handle: ({ body }) => {
        const request = validateSchema.safeParse(body)
        if (!request.success)
          return errorAnswer(500, 'InvalidInput', 'variables must be a list of name, profileUid and value')
        if (request.data.archiveUploadPath !== archivePath()) {
          return errorAnswer(500, 'InvalidInput', `archiveUploadPath must be ${archivePath()}`)
        }
        return {
          status: 200,
          body: {
            variables: judgeVariables(cluster.profiles, request.data.variables).map((one) => ({
              name: one.name,
              profileUid: one.profileUid,
              profileName: one.profileName,
              regex: one.regex,
              isValid: one.isValid,
              validationFailureReason: one.reason,
            })),
          },
        }
      },
    },
  ]
}

/** A host that somebody used before (fault `already-in-cluster`). */
function earlierCluster(node: LabNode) {
  return {
    metadata: { id: 'earlier-cluster', name: 'earlier-cluster', labels: {}, tags: {} },
    spec: {
      hostIDs: [node.edgeHostId],
      nodePools: [],
      ntpServers: [],
      sshKeys: [],
      overlayCIDR: '',
      vip: '',
    },
    status: {
      agentVersion: node.agentVersion,
      clusterState: 'Running',
      clusterStateReason: '',
      health: { status: 'Healthy', reason: '' },
      clusterConditions: [],
      isRebootPending: false,
      nodePools: [],
      services: [],
    },
  }
}

function variablesOf(profile: Profile) {
  return profile.variables.map((one) => ({ ...one, value: '', hidden: false, immutable: false }))
}

function valueOf(cluster: Cluster, name: string): string {
  return cluster.request?.spec.profileVariables?.find((one) => one.name === name)?.value ?? ''
}

function kubernetesVersion(cluster: Cluster): string {
  return (
    cluster.profiles.flatMap((profile) => profile.packs).find((pack) => pack.name === 'edge-k8s')?.version ??
    ''
  )
}

/** The request as it was, without its secrets. */
function masked(cluster: Cluster): unknown {
  const { request } = cluster
  if (request === null) return null
  const secret = new Set(
    cluster.profiles.flatMap((profile) =>
      profile.variables.filter((one) => one.isSensitive).map((one) => one.name),
    ),
  )
  return {
    ...request,
    spec: {
      ...request.spec,
      profileVariables: request.spec.profileVariables?.map((one) =>
        secret.has(one.name) && one.value !== '' ? { ...one, value: '********' } : one,
      ),
    },
  }
}
