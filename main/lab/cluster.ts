import type { ClusterRequest } from './cluster-request.ts'
import type { LabContext } from './context.ts'
import { stableHash } from './hardware.ts'
import type { Linking } from './linking.ts'
import type { LabNode } from './node.ts'
import { profilesOf, type Profile } from './profile.ts'

export type ClusterState = 'Provisioning' | 'Running' | 'Error'

/** The stages of a deployment as the appliance reports them, with the share of its time at which each is reached. */
export const lifecycle = [
  { category: 'edgeHost', type: 'ContentVerified', label: 'Content verified', at: 0.04 },
  { category: 'edgeHost', type: 'HostsPrepared', label: 'Hosts prepared', at: 0.1 },
  { category: 'cluster', type: 'ControlPlaneInitialized', label: 'Kubernetes API answers', at: 0.22 },
  { category: 'cluster', type: 'NodesJoined', label: 'All nodes joined', at: 0.33 },
  { category: 'cluster', type: 'NetworkReady', label: 'Cluster network ready', at: 0.42 },
  { category: 'cluster', type: 'StorageReady', label: 'Storage pool ready', at: 0.5 },
  { category: 'cluster', type: 'RegistryReady', label: 'Registry ready', at: 0.56 },
  { category: 'cluster', type: 'ManagementPlaneReady', label: 'Management plane ready', at: 0.95 },
] as const

const restartFollowersAt = 0.12
const restartLeaderAt = 0.16
const packsFrom = 0.25
const packsTo = 0.97
const consolePageAt = 0.85

interface Step {
  at: number
  act: () => void
}

/** The cluster that a `POST /cluster` makes, and its way to Running. */
export class Cluster {
  readonly #context: LabContext
  readonly #nodes: readonly LabNode[]
  readonly #linking: Linking
  readonly profiles: Profile[]
  request: ClusterRequest | null = null
  state: ClusterState | null = null
  reason = ''
  leader: LabNode | null = null
  members: LabNode[] = []
  /** Simulated milliseconds. */
  createdAt = 0
  consolePageSince: number | null = null
  /** Share of the deployment that is done, 0 to 1. */
  progress = 0
  ntpServers: string[] = []
  sshKeys: string[] = []
  readonly reachedAt = new Map<string, number>()
  readonly packsRunning = new Map<string, number>()
  #stalledOnce = false

  constructor(context: LabContext, nodes: readonly LabNode[], linking: Linking) {
    this.#context = context
    this.#nodes = nodes
    this.#linking = linking
    this.profiles = profilesOf(context.variant)
  }

  get vip(): string | null {
    const host = this.request?.spec.cloudConfig.spec.clusterConfig.controlPlaneEndpoint?.host
    return host !== undefined && this.reachedAt.has('ControlPlaneInitialized') ? host : null
  }

  get health(): 'Healthy' | 'Unhealthy' {
    return this.state === 'Running' ? 'Healthy' : 'Unhealthy'
  }

  get isConsolePageUp(): boolean {
    return this.consolePageSince !== null
  }

  get name(): string {
    return this.request?.metadata?.name ?? ''
  }

  /** Ports of nodes and VIP that a running cluster opens. */
  isOpen(port: number): boolean {
    if (port === 6443) return this.reachedAt.has('ControlPlaneInitialized')
    if (port === 30003) return this.reachedAt.has('RegistryReady')
    return port === 443 && this.isConsolePageUp
  }

  /** Hosts that a leader may use. */
  candidatesOf(leader: LabNode): LabNode[] {
    return [leader, ...this.#linking.followersOf(leader)]
  }

  accept(leader: LabNode, request: ClusterRequest): void {
    const { scheduler, durations, recorder, faults, emit } = this.#context
    const { clusterConfig, machinePoolConfig } = request.spec.cloudConfig.spec
    const ids = new Set(machinePoolConfig.flatMap((pool) => pool.hosts.map((host) => host.hostUid)))
    this.request = request
    this.state = 'Provisioning'
    this.leader = leader
    this.members = this.#nodes.filter((node) => ids.has(node.edgeHostId))
    this.createdAt = scheduler.now()
    this.ntpServers = [...(clusterConfig.ntpServers ?? [])]
    this.sshKeys = [...(clusterConfig.sshKeys ?? [])]
    for (const node of this.members) node.isInCluster = true
    recorder.count('clusterAccepted')
    const late = faults.active('console-late', null)?.fault.by ?? 0
    recorder.busy(
      this.createdAt,
      this.createdAt + durations.deploy * consolePageAt + durations.consoleApi + late,
    )
    recorder.busy(this.createdAt, this.createdAt + durations.deploy)
    emit('cluster-accepted', leader.name)
    this.#walk(this.#steps(leader), 0, 0)
  }

  remove(): void {
    for (const node of this.members) node.isInCluster = false
    this.request = null
    this.state = null
    this.members = []
    this.consolePageSince = null
    this.reachedAt.clear()
    this.packsRunning.clear()
    this.progress = 0
  }

  #steps(leader: LabNode): Step[] {
    const { scheduler, emit } = this.#context
    const steps: Step[] = lifecycle.map(({ type, at }) => ({
      at,
      act: () => {
        this.reachedAt.set(type, scheduler.now())
        if (type === 'StorageReady') this.#useStorage()
      },
    }))
    const packs = this.profiles.flatMap((profile) => profile.packs)
    for (const [index, pack] of packs.entries()) {
      const at = packsFrom + ((packsTo - packsFrom) * index) / Math.max(1, packs.length - 1)
      steps.push({ at, act: () => this.packsRunning.set(pack.name, scheduler.now()) })
    }
    const restart = (node: LabNode) => {
      node.reboot()
      node.unavailableUntil = scheduler.now() + this.#context.durations.deployRestart
    }
    steps.push({
      at: restartFollowersAt,
      act: () => {
        for (const node of this.members) if (node !== leader) restart(node)
      },
    })
    steps.push({
      at: restartLeaderAt,
      act: () => {
        restart(leader)
      },
    })
    steps.push({
      at: consolePageAt,
      act: () => {
        this.consolePageSince = scheduler.now()
        emit('console-page', null)
      },
    })
    steps.push({
      at: 1,
      act: () => {
        this.state = 'Running'
        emit('cluster-running', leader.name)
      },
    })
    return steps.sort((a, b) => a.at - b.at)
  }

  /** Goes from one step to the next; looks for faults before each. */
  #walk(steps: readonly Step[], index: number, done: number): void {
    const step = steps[index]
    if (step === undefined) return
    const { scheduler, durations, faults } = this.#context
    const request = this.request
    scheduler.after((step.at - done) * durations.deploy, () => {
      if (this.request !== request) return
      const failure = faults.active('deploy-fails', null)?.fault
      if (failure !== undefined && step.at >= failure.fraction) {
        this.state = 'Error'
        this.reason = failure.reason
        return
      }
      const stall = faults.active('deploy-stalls', null)?.fault
      if (stall !== undefined && step.at >= stall.fraction && !this.#stalledOnce) {
        this.#stalledOnce = true
        if (stall.for !== undefined)
          scheduler.after(stall.for, () => {
            this.#walk(steps, index, step.at)
          })
        return
      }
      this.progress = step.at
      step.act()
      this.#walk(steps, index + 1, step.at)
    })
  }

  #useStorage(): void {
    const drive = this.request?.spec.profileVariables?.find(
      (one) => one.name === 'csi.storagepoolDrive',
    )?.value
    for (const node of this.members) {
      const disk = node.hardware.disks.find((one) => one.path === drive)
      if (disk === undefined) continue
      disk.partitions = [
        { path: `${disk.path}1`, size: disk.size, fsType: 'LVM2_member', label: 'drbd-vg', mountPoint: null },
      ]
    }
  }

  kubeconfig(): string {
    const server = `https://${this.vip ?? ''}:6443`
    const token = stableHash('kubeconfig', this.name)
    return `apiVersion: v1\nkind: Config\nclusters:\n- name: ${this.name}\n  cluster:\n    server: ${server}\n    insecure-skip-tls-verify: true\ncontexts:\n- name: admin\n  context: {cluster: ${this.name}, user: admin}\ncurrent-context: admin\nusers:\n- name: admin\n  user: {token: ${token}}\n`
  }
}
