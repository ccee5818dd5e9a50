import { parse as parseYaml } from 'yaml'
import type { PlanNode } from '../../shared/plan/index.ts'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { mkdirSync } from 'node:fs'
import { Account } from './account.ts'
import { createServerIdentity, type ServerIdentity } from './certificate.ts'
import type { LabContext } from './context.ts'
import { VirtualFileSystem } from './file-system.ts'
import {
  agentVersions,
  createHardware,
  createNic,
  machineIdentity,
  machineOf,
  stableHash,
  type Hardware,
  type Nic,
} from './hardware.ts'
import type { Machine } from './machine.ts'
import type { NetworkTrial, TrialRequest } from './network-trial.ts'
import { readNetworkUnits } from './network-units.ts'
import { SessionTokens } from './session-tokens.ts'
import { createKeyPair } from './ssh/key-pair.ts'

/** `starting`: the operating system runs and answers SSH, the Local UI does not answer yet. */
export type NodeStage = 'installing' | 'booting' | 'starting' | 'ready' | 'off'

export interface HostConfigurations {
  caCerts: string[]
  httpProxy: string
  httpsProxy: string
  noProxy: string
}

export interface Upload {
  kind: 'content' | 'cluster-definition'
  fileName: string
  size: number
  sha256: string
  signature: string | null
  uploadedAt: number
}

/** A further address of the NIC (`ip addr add`); gone after a restart, and by itself when its time is over. */
export interface RaisedAddress {
  prefix: number
  /** Of the interface, or one that begins with its name. */
  label: string
  /** Simulated milliseconds since the Unix epoch; `Infinity`: for ever. */
  validUntil: number
  preferredUntil: number
}

/** One simulated machine that was booted from the ISO. */
export class LabNode {
  readonly name: string
  readonly plan: PlanNode
  readonly edgeHostId: string
  readonly machine: Machine
  readonly hardware: Hardware
  readonly nic: Nic
  readonly files: VirtualFileSystem
  readonly tokens = new SessionTokens()
  readonly accounts = new Map<string, Account>()
  readonly sockets = new Set<Socket>()
  readonly uploads: Upload[] = []
  /** Besides the address of the NIC itself. */
  readonly raised = new Map<string, RaisedAddress>()
  readonly agentVersion: string
  readonly #context: LabContext
  readonly #initialHostName: string
  /** What its clock is ahead of the true time, in milliseconds. */
  #clockOffset: number

  stage: NodeStage = 'off'
  /** How often it was started. */
  boots = 0
  /** When its kernel was started the last time; simulated milliseconds. */
  startedAt = 0
  hostName: string
  identity: ServerIdentity = { certificate: '', key: '' }
  /** OpenSSH private keys. */
  hostKeys: string[] = []
  ntpServers: string[] = []
  configurations: HostConfigurations = { caCerts: [], httpProxy: '', httpsProxy: '', noProxy: '' }
  configurationState: 'Not Configured' | 'In Progress' | 'Configured' | 'Failed' = 'Not Configured'
  userData: Record<string, unknown> = {}
  managementInterface = ''
  /** The last change of the network that was on trial; `null`: none since the last start, or it was confirmed. */
  trial: NetworkTrial | null = null
  /** Set by linking: the node's address and links must not change any more. */
  isLinked = false
  isInCluster = false
  logs: 'Unknown' | 'InProgress' | 'Completed' = 'Unknown'
  /** Simulated time until which the Local UI says that it is temporarily unavailable. */
  unavailableUntil = -Infinity
  onIdentityChange: () => void = () => undefined
  onHostKeyChange: () => void = () => undefined
  #life = 0
  #keys = 0

  constructor(context: LabContext, plan: PlanNode, initialPassword: string) {
    this.#context = context
    this.plan = plan
    this.name = plan.name
    this.machine = machineOf(context, plan)
    this.#clockOffset = this.machine.clock.offsetSeconds * 1000
    const { edgeHostId, mac } = machineIdentity(plan)
    this.edgeHostId = this.machine.edgeHostId ?? edgeHostId
    const initialHostName = edgeHostId.startsWith('edge-') ? edgeHostId : `edge-${edgeHostId}`
    this.hardware = createHardware(context, plan, this.machine)
    this.nic = createNic(context, plan, mac, this.machine)
    const duplicate = context.faults.active('duplicate-host-name', plan.name)?.fault
    const original = context.plan.nodes.find((node) => node.name === duplicate?.of)
    this.#initialHostName = original === undefined ? initialHostName : machineIdentity(original).edgeHostId
    this.hostName = this.#initialHostName
    this.agentVersion =
      this.machine.agentVersion ?? context.scenario.agent.version ?? agentVersions[context.variant]
    const folder = join(context.folder, stableHash(plan.name).slice(0, 16))
    mkdirSync(folder, { recursive: true })
    this.files = new VirtualFileSystem(folder, () => context.scheduler.now())
    const user = context.plan.access.user
    const password =
      context.faults.active('wrong-initial-password', plan.name) === null
        ? initialPassword
        : `not-${stableHash('password', plan.name).slice(0, 12)}`
    this.accounts.set(
      user,
      new Account({
        node: plan.name,
        name: user,
        password,
        scheduler: context.scheduler,
        durations: context.durations,
        recorder: context.recorder,
        hasDelays: true,
      }),
    )
    this.isInCluster = context.faults.active('already-in-cluster', plan.name) !== null
    this.#fillFiles(user)
  }

  /** Its own clock, which may be wrong; milliseconds since the Unix epoch. */
  clockNow(): number {
    return this.#context.scheduler.now() + this.#clockOffset
  }

  /** Sets its clock, as `date -s` does; milliseconds since 1970. */
  setClock(now: number): void {
    this.#clockOffset = now - this.#context.scheduler.now()
  }

  /** Keys and certificate; the slow part of making a node. */
  async prepare(): Promise<void> {
    await this.changeCertificate()
    this.changeHostKey()
  }

  async changeCertificate(): Promise<void> {
    const addresses = [this.plan.address, ...(this.plan.nic.address === null ? [] : [this.plan.nic.address])]
    this.identity = await createServerIdentity(this.edgeHostId, addresses, this.#context.scheduler.now())
    this.onIdentityChange()
  }

  changeHostKey(): void {
    const comment = `${this.name}-${++this.#keys}`
    this.hostKeys = [createKeyPair('ed25519', comment).private, createKeyPair('ecdsa', comment).private]
    this.onHostKeyChange()
  }

  get isNetworkUp(): boolean {
    return this.stage === 'starting' || this.stage === 'ready'
  }

  get isUnavailable(): boolean {
    return this.#context.scheduler.now() < this.unavailableUntil
  }

  /** The first power-on, with the ISO in the drive. */
  installAndStart(): void {
    const { scheduler, durations, recorder } = this.#context
    const life = ++this.#life
    const start = scheduler.now()
    const installed = start + durations.install
    this.stage = 'installing'
    recorder.busy(start, installed + durations.boot + durations.localUiFirstStart)
    scheduler.at(installed, () => {
      if (life === this.#life) this.#boot(durations.localUiFirstStart)
    })
  }

  reboot(): void {
    const { durations, recorder, scheduler } = this.#context
    recorder.count('reboots')
    recorder.busy(scheduler.now(), scheduler.now() + durations.boot + durations.localUiRestart)
    this.#boot(durations.localUiRestart)
  }

  shutDown(): void {
    this.#life += 1
    this.stage = 'off'
    this.cutConnections()
  }

  cutConnections(): void {
    for (const socket of this.sockets) socket.resetAndDestroy()
    this.sockets.clear()
  }

  #boot(localUiStart: number): void {
    const { scheduler, durations } = this.#context
    const life = ++this.#life
    this.stage = 'booting'
    this.boots += 1
    this.raised.clear()
    this.cutConnections()
    this.files.loseEphemeral()
    // What was on trial lies in /run, which is empty now.
    if (this.trial?.state === 'pending') Object.assign(this.nic, this.trial.before)
    this.trial = null
    scheduler.after(durations.boot, () => {
      if (life !== this.#life) return
      this.stage = 'starting'
      this.startedAt = scheduler.now()
      this.#readConfigurationOfBoot()
      scheduler.after(localUiStart, () => {
        if (life !== this.#life) return
        this.stage = 'ready'
        this.#context.emit('node-ready', this.name)
      })
    })
  }

  /** What cloud-configs and networkd units say, read as a boot does. */
  #readConfigurationOfBoot(): void {
    const user = this.#context.plan.access.user
    this.files.write('/etc/machine-id', `${stableHash('machine-id', this.name).slice(0, 32)}\n`)
    this.files.write('/etc/os-release', osRelease)
    this.files.write('/etc/hosts', `127.0.0.1 localhost\n`)
    // systemd-resolved's own address, as on Ubuntu; the servers behind it are told by resolvectl.
    this.files.write('/etc/resolv.conf', 'nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n')
    this.files.makeFolders(`/home/${user}`, 'root')
    this.files.write(
      '/opt/spectrocloud/.upload-auth-token',
      stableHash('upload', this.name, String(this.#life)),
      'root',
      0o600,
    )
    let hostName: string | null = null
    for (const name of this.files.list('/oem')) {
      if (!/\.ya?ml$/.test(name)) continue
      hostName = findHostName(safeYaml(this.files.text(`/oem/${name}`) ?? '')) ?? hostName
    }
    this.hostName = hostName ?? this.#initialHostName
    this.files.write('/etc/hostname', `${this.hostName}\n`)
    this.applyNetworkUnits()
  }

  /**
   * Reads `/etc/systemd/network`. Returns whether the node moved to another address; the connections to the old one
   * are cut by the caller, after the answer that announces it.
   */
  applyNetworkUnits(): boolean {
    const unit = readNetworkUnits(this.files, this.nic.name)
    if (unit === null) return false
    if (unit.ntp.length > 0) this.ntpServers = unit.ntp
    const { address } = this.nic
    return this.configureNic(
      {
        mode: unit.mode,
        address: unit.address ?? address,
        prefix: unit.prefix ?? this.nic.prefix,
        gateway: unit.gateway ?? this.nic.gateway,
        nameservers: unit.nameservers.length > 0 ? unit.nameservers : this.nic.nameservers,
        searchDomains: unit.searchDomains,
        mtu: unit.mtu ?? this.nic.mtu,
        ...(unit.vlan === null ? {} : { vlan: unit.vlan }),
      },
      0,
    )
  }

  /** Begins a change of the network that takes itself back. */
  beginTrial({ id, rollBackSeconds, apply, withdraw, confirm }: TrialRequest): void {
    const { scheduler } = this.#context
    const trial: NetworkTrial = {
      id,
      state: 'pending',
      before: structuredClone(this.nic),
      withdraw,
      confirm,
    }
    this.trial = trial
    const isPending = () => this.trial === trial && trial.state === 'pending'
    scheduler.after(1000, () => {
      if (isPending()) apply()
    })
    scheduler.after(Math.max(rollBackSeconds * 1000, this.#context.leastTrial), () => {
      if (!isPending()) return
      trial.state = 'rolled-back'
      trial.withdraw()
      Object.assign(this.nic, trial.before)
      this.cutConnections()
    })
  }

  /** Returns whether it came in time. */
  confirmTrial(): boolean {
    if (this.trial?.state !== 'pending') return false
    this.trial.confirm()
    this.trial.withdraw()
    this.trial = null
    return true
  }

  /** Changes the NIC after `delay` simulated milliseconds. Returns whether the address will be another one. */
  configureNic(change: Partial<Omit<Nic, 'name' | 'mac' | 'isApplying'>>, delay: number): boolean {
    const { scheduler } = this.#context
    const moves = change.address !== undefined && change.address !== this.nic.address
    // A linked host keeps its address: the agent puts its own configuration back.
    const { address, prefix, mode, ...harmless } = change
    const effective = this.isLinked && moves ? harmless : { ...harmless, ...pick({ address, prefix, mode }) }
    const apply = () => {
      Object.assign(this.nic, effective, { isApplying: false })
      if (moves && !this.isLinked && delay > 0) this.cutConnections()
    }
    if (delay === 0) apply()
    else {
      this.nic.isApplying = true
      scheduler.after(delay, apply)
    }
    return moves && !this.isLinked
  }

  /** Adds or replaces a further address for `validFor` and `preferredFor` simulated milliseconds. */
  raiseAddress(
    address: string,
    {
      prefix,
      label,
      validFor,
      preferredFor,
    }: {
      prefix: number
      label: string
      validFor: number
      preferredFor: number
    },
  ): void {
    const { scheduler } = this.#context
    const now = scheduler.now()
    const raised = { prefix, label, validUntil: now + validFor, preferredUntil: now + preferredFor }
    this.raised.set(address, raised)
    if (validFor === Infinity) return
    scheduler.at(raised.validUntil, () => {
      // Unless it was taken away, replaced or lost in a restart in the meantime.
      if (this.raised.get(address) === raised) this.lowerAddress(address)
    })
  }

  /** Takes a further address away. Connections that are open on it stay so, which they would not in reality. */
  lowerAddress(address: string): void {
    this.raised.delete(address)
  }

  setHostName(name: string): void {
    this.hostName = name
    this.files.write('/etc/hostname', `${name}\n`)
  }

  /** The account that SSH and the Local UI log in to. */
  account(name: string): Account | undefined {
    return this.accounts.get(name)
  }

  #fillFiles(user: string): void {
    const { files } = this
    for (const folder of [
      '/oem',
      '/etc/systemd/network',
      '/etc/ssh/sshd_config.d',
      '/etc/kubernetes',
      '/usr/local/cloud-config',
      '/usr/local/spectrocloud/bundle',
      '/usr/local/spectrocloud/clusterconfig',
      '/usr/local/spectrocloud/peerbundle/sha256',
      '/opt/spectrocloud/bin',
      '/var/log/kairos',
      '/var/log/spectrocloud',
      '/var/log/files',
      '/var/tmp',
      '/run/stylus',
      '/run/immucore',
      '/tmp',
      '/root',
      '/dev',
      '/proc/net',
      ...(this.machine.firmware === 'uefi' ? ['/sys/firmware/efi'] : []),
      `/sys/class/net/${this.nic.name}`,
    ]) {
      files.makeFolders(folder, 'root')
    }
    files.makeFolders(`/home`, 'root')
    files.makeFolder(`/home/${user}`, 'root')
    files.write('/usr/lib/os-release', osRelease)
    files.write(
      '/proc/cmdline',
      `BOOT_IMAGE=(loop0)/boot/vmlinuz console=tty1 ${bootArguments[this.machine.bootState]} net.ifnames=1\n`,
    )
    files.write('/proc/meminfo', memoryInfo(this.hardware.memoryBytes))
    files.write('/proc/cpuinfo', cpuInfo(this.hardware.cpus, this.machine.cpuFlags))
    const interfaceFiles = {
      address: this.nic.mac,
      carrier: this.machine.nic.hasCarrier ? '1' : '0',
      carrier_changes: '2',
      // IFF_UP, IFF_BROADCAST, IFF_MULTICAST (linux/if.h)
      flags: '0x1003',
      operstate: this.machine.nic.hasCarrier ? 'up' : 'down',
    }
    for (const [name, content] of Object.entries(interfaceFiles)) {
      files.write(`/sys/class/net/${this.nic.name}/${name}`, `${content}\n`)
    }
    files.write(
      '/oem/90_custom.yaml',
      '#cloud-config\nstylus:\n  includeTui: true\n  enableMultiNode: true\n  managementMode: local\n  installationMode: airgap\n',
    )
    files.write('/var/log/stylus-audit.log', '')
    files.write('/usr/local/installer.log', 'installation finished\n')
  }
}

const osRelease =
  'PRETTY_NAME="Ubuntu 22.04.5 LTS"\nNAME="Ubuntu"\nVERSION_ID="22.04"\nID=ubuntu\nKAIROS_NAME="kairos-core-ubuntu-22.04"\n'

function pick<Shape extends object>(values: Shape): Partial<Shape> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Partial<Shape>
}

function safeYaml(text: string): unknown {
  try {
    return parseYaml(text)
  } catch {
    return null // a broken cloud-config is skipped at boot
  }
}

/** The host name anywhere in a cloud-config: `hostname` of a stage, or `stylus.site.hostName`. */
function findHostName(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null
  let found: string | null = null
  for (const [key, inner] of Object.entries(value)) {
    if ((key === 'hostname' || key === 'hostName') && typeof inner === 'string') found = inner
    else found = findHostName(inner) ?? found
  }
  return found
}

function memoryInfo(bytes: number): string {
  const kibibytes = Math.round(bytes / 1024)
  return `MemTotal:       ${kibibytes} kB\nMemFree:        ${Math.round(kibibytes * 0.8)} kB\nMemAvailable:   ${Math.round(kibibytes * 0.9)} kB\nSwapTotal:      0 kB\n`
}

/** What the kernel is started with (palette.md §6.3). */
const bootArguments: Readonly<Record<Machine['bootState'], string>> = {
  active_boot: 'root=LABEL=COS_ACTIVE cos-img/filename=/cOS/active.img',
  passive_boot: 'root=LABEL=COS_PASSIVE cos-img/filename=/cOS/passive.img',
  recovery_boot: 'root=LABEL=COS_SYSTEM cos-img/filename=/cOS/recovery.img recovery-mode',
  livecd_boot: 'cdroot root=live:CDLABEL=COS_LIVE rd.live.dir=/ rd.live.squashimg=rootfs.squashfs',
}

function cpuInfo(count: number, flags: readonly string[]): string {
  return Array.from(
    { length: count },
    (_, index) =>
      `processor\t: ${index}\nmodel name\t: Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz\nflags\t\t: ${flags.join(' ')}\n`,
  ).join('\n')
}
