import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AppError, assertNever } from '../../shared/errors/index.ts'
import type { Plan, ProcedureVariant } from '../../shared/plan/index.ts'
import { createScaledClock, type Clock } from '../engine/clock.ts'
import type { Dialler } from '../network/dialler.ts'
import { Cluster } from './cluster.ts'
import { ConsoleService } from './console/console-service.ts'
import type { LabContext } from './context.ts'
import { installedDurations, resolveDurations } from './durations.ts'
import { FaultBoard } from './fault-board.ts'
import { isInNetwork } from './hardware.ts'
import type { Exchange } from './http/api-server.ts'
import { Linking } from './linking.ts'
import { LocalUi } from './local-ui/local-ui.ts'
import { LabNode } from './node.ts'
import { Recorder, type LabReport } from './report.ts'
import { faultSchema, quietScenario, type Fault, type FaultInput, type Scenario } from './scenario.ts'
import { Scheduler } from './scheduler.ts'
import { Segment } from './segment.ts'
import { takeSnapshot, type LabSnapshot } from './snapshot.ts'
import type { ShellServices } from './ssh/shell.ts'
import { SshService } from './ssh/ssh-service.ts'
import { createLabDialler, Switch, type EndpointRow, type LabDescription, type Verdict } from './switch.ts'

export interface LabOptions {
  /** The lab fits this plan: its nodes, addresses, ports and VIP. */
  plan: Plan
  /** Simulated seconds per real second. Default 60. */
  timeScale?: number
  scenario?: Scenario
  /** Nobody waits for the nodes to install themselves, unless the scenario says how long that takes. Default false. */
  areNodesInstalled?: boolean
  /** Default `kairos`. */
  initialNodePassword?: string
  /** Default `admin`. */
  initialConsolePassword?: string
  /** Default: that of the scenario, else of the plan, else `A`. */
  variant?: ProcedureVariant
  /** Every HTTP request with its answer. */
  onExchange?: (exchange: Exchange) => void
  /** Milliseconds since the Unix epoch; default is the wall clock. */
  simulatedStart?: number
  /** A clock that a test moves by hand; such a lab cannot be shared with another process. */
  clock?: Clock
}

export interface Lab {
  readonly clock: Clock
  /** Leads the plan's addresses into the lab; what the plan does not name is unreachable (`EHOSTUNREACH`). */
  readonly dialler: Dialler
  /** JSON; with it another process takes part through `attachToLab`. */
  readonly description: LabDescription
  report(): LabReport
  /** Adds a fault at run time, written as in a scenario file. */
  inject(fault: FaultInput): void
  snapshot(): LabSnapshot
  /** Closes everything; nothing keeps the process alive afterwards. */
  stop(): Promise<void>
}

/** Real time that Landfall has at least to reach a node at a new address, see `LabContext.leastTrial`. */
const leastTrialMilliseconds = 5000

/**
 * Starts a practice lab on loopback. All nodes are powered on with the ISO in the drive.
 *
 * @throws AppError `LAB_PLAN_UNFIT` when two things of the plan would answer at the same address and port, or the scenario
 * has hosts on another network.
 */
export async function startLab(options: LabOptions): Promise<Lab> {
  const { plan } = options
  requireDistinctEndpoints(plan)
  requireHostsOfNetwork(plan, options.scenario ?? quietScenario)
  requireMachinesOfPlan(plan, options.scenario ?? quietScenario)
  const scale = options.timeScale ?? 60
  const wallStart = Date.now()
  const simulatedStart = options.clock?.now() ?? options.simulatedStart ?? wallStart
  const origin = { wallStart, simulatedStart, scale }
  const clock = options.clock ?? createScaledClock(origin)
  const scheduler = new Scheduler(clock)
  const scenario = options.scenario ?? quietScenario
  const planned = plan.appliance.variant === 'auto' ? 'A' : plan.appliance.variant
  const variant = options.variant ?? scenario.variant ?? planned
  const recorder = new Recorder(scale)
  const nodes: LabNode[] = []
  const faults = new FaultBoard(scheduler, (fault) => {
    beginFault(fault, nodes)
  })
  faults.startsAt(simulatedStart)
  const folder = await mkdtemp(join(tmpdir(), 'landfall-lab-'))
  const context: LabContext = {
    plan,
    variant,
    scenario,
    durations: resolveDurations(
      { ...(options.areNodesInstalled === true ? installedDurations : {}), ...scenario.durations },
      scenario.durationFactor,
    ),
    scheduler,
    recorder,
    faults,
    leastTrial: options.clock === undefined ? leastTrialMilliseconds * scale : 0,
    folder,
    onExchange: options.onExchange ?? (() => undefined),
    emit: (name, node) => {
      faults.event(name, node)
    },
  }
  for (const fault of scenario.faults) faults.add(fault)
  for (const node of plan.nodes)
    nodes.push(new LabNode(context, node, options.initialNodePassword ?? 'kairos'))
  await Promise.all(nodes.map((node) => node.prepare()))

  const linking = new Linking(context, nodes)
  const cluster = new Cluster(context, nodes, linking)
  const systemConsole = await ConsoleService.create(
    context,
    cluster,
    options.initialConsolePassword ?? 'admin',
  )
  const localUis = new Map(nodes.map((node) => [node, new LocalUi(context, node, { linking, cluster })]))
  const decide = (host: string, port: number): Verdict => {
    scheduler.catchUp()
    return decideConnection(host, port)
  }
  const segment = new Segment(context, nodes, cluster, options.clock === undefined ? scale : 1)
  const services: ShellServices = {
    now: () => scheduler.now(),
    sudoNeedsPassword: scenario.ssh.sudoPassword,
    segment,
    plan,
    network: scenario.network,
    hasArping: scenario.tools.arping,
    isOpen: (address, port) => decideConnection(address, port).kind === 'open',
    dial: (endpoint, dialOptions) => createLabDialler(switchPort).dial(endpoint, dialOptions),
    emitReboot: (node) => {
      setImmediate(() => {
        node.reboot()
      })
    },
  }
  const sshServices = new Map(nodes.map((node) => [node, new SshService(context, node, services)]))

  const decideConnection = (host: string, port: number): Verdict => {
    if (cluster.vip !== null && host === cluster.vip) {
      if (port === 443 && cluster.isConsolePageUp)
        return {
          kind: 'open',
          accept: (socket) => {
            systemConsole.accept(socket)
          },
        }
      if (cluster.isOpen(port)) return { kind: 'open', accept: (socket) => void socket.resume() }
      return { kind: 'refused' }
    }
    const node = nodes.find((one) => one.nic.address === host) ?? nodes.find((one) => one.raised.has(host))
    if (node === undefined) {
      const other = scenario.extraHosts.find((one) => one.address === host)
      if (other === undefined) return { kind: 'unreachable' }
      return other.kind === 'answers' ? { kind: 'refused' } : { kind: 'silent' }
    }
    if (
      scenario.network.newAddressDead.includes(node.name) &&
      host === node.nic.address &&
      host !== node.plan.address
    )
      return { kind: 'unreachable' }
    if (!node.isNetworkUp || faults.active('unreachable', node.name) !== null) return { kind: 'unreachable' }
    const track = (accept: (socket: Socket) => void): Verdict => ({
      kind: 'open',
      accept: (socket) => {
        node.sockets.add(socket)
        socket.once('close', () => node.sockets.delete(socket))
        accept(socket)
      },
    })
    if (port === node.plan.ssh.port)
      return track((socket) => {
        sshServices.get(node)?.accept(socket)
      })
    if (port === node.plan.localUi.port) {
      if (node.stage !== 'ready') return { kind: 'reset' }
      return track((socket) => {
        localUis.get(node)?.accept(socket)
      })
    }
    if (node.isInCluster && cluster.isOpen(port)) return track((socket) => void socket.resume())
    return { kind: 'refused' }
  }

  const network = new Switch(decide)
  const switchPort = await network.listen()
  const endpoints = await Promise.all(
    endpointsOf(plan).map(async (row) => ({
      ...row,
      loopbackPort: await network.listenFor(row.host, row.port),
    })),
  )
  for (const node of nodes) node.installAndStart()

  let stopping: Promise<void> | null = null
  const stop = async () => {
    scheduler.stop()
    network.stop()
    for (const localUi of localUis.values()) localUi.stop()
    systemConsole.stop()
    for (const node of nodes) node.files.dispose()
    await rm(folder, { recursive: true, force: true })
  }
  return {
    clock,
    dialler: createLabDialler(switchPort),
    description: { kind: 'landfall-practice-lab', clock: origin, switchPort, endpoints },
    report: () => recorder.report(scheduler.now()),
    inject: (fault) => {
      faults.add(faultSchema.parse(fault))
    },
    snapshot: () => {
      scheduler.catchUp()
      return takeSnapshot(nodes, linking, cluster, systemConsole)
    },
    stop: () => (stopping ??= stop()),
  }
}

/** What a fault does by itself; the others are asked for where they matter. */
function beginFault(fault: Fault, nodes: readonly LabNode[]): void {
  const meant = nodes.filter(
    (node) => !('node' in fault) || fault.node === undefined || fault.node === node.name,
  )
  switch (fault.kind) {
    case 'unreachable':
      for (const node of meant) node.cutConnections()
      break
    case 'reboot':
      for (const node of meant) node.reboot()
      break
    case 'certificate-changed':
      for (const node of meant) {
        // Connections that are open keep their certificate; cutting them makes clients meet the new one.
        void node.changeCertificate().then(() => {
          node.cutConnections()
        })
      }
      break
    case 'host-key-changed':
      for (const node of meant) {
        node.changeHostKey()
        node.cutConnections()
      }
      break
    case 'http-error':
    case 'garbage':
    case 'slow':
    case 'wrong-initial-password':
    case 'already-in-cluster':
    case 'link-token-expired':
    case 'sync-stalls':
    case 'deploy-fails':
    case 'deploy-stalls':
    case 'disk-missing':
    case 'small-disk':
    case 'duplicate-host-name':
    case 'upload-cut':
    case 'post-lost-answer':
    case 'console-late':
      break
    default:
      assertNever(fault)
  }
}

function endpointsOf(plan: Plan): EndpointRow[] {
  const rows: EndpointRow[] = []
  for (const node of plan.nodes) {
    const addresses = new Set([
      node.address,
      ...(node.nic.mode === 'static' && node.nic.address !== null ? [node.nic.address] : []),
    ])
    for (const host of addresses) {
      rows.push({ host, port: node.ssh.port, service: 'ssh', node: node.name })
      rows.push({ host, port: node.localUi.port, service: 'local-ui', node: node.name })
    }
  }
  rows.push({ host: plan.site.vip, port: 443, service: 'console', node: null })
  return rows
}

function requireDistinctEndpoints(plan: Plan): void {
  const seen = new Map<string, string>()
  for (const row of endpointsOf(plan)) {
    const place = `${row.host}:${row.port}`
    const owner = row.node === null ? 'the system console' : `node ${row.node}`
    const other = seen.get(place)
    if (other !== undefined) {
      throw new AppError({
        code: 'LAB_PLAN_UNFIT',
        title: 'The practice lab cannot be built from this plan.',
        detail: `${owner} and ${other} would both answer at ${place}.`,
        remedies: ['Give every node and the VIP its own address in the plan.'],
      })
    }
    seen.set(place, owner)
  }
}

/** A host that nobody can ever see is a mistake of the scenario. */
function requireHostsOfNetwork(plan: Plan, scenario: Scenario): void {
  const stray = scenario.extraHosts.find(({ address }) => !isInNetwork(address, plan.site.network))
  if (stray === undefined) return
  throw new AppError({
    code: 'LAB_PLAN_UNFIT',
    title: 'The scenario does not fit this plan.',
    detail: `Its host ${stray.address} (extraHosts) is not on the node network ${plan.site.network} of the plan.`,
    remedies: ['Write addresses of the node network into the scenario.'],
  })
}

/** A machine that no node is would be a mistake of the scenario. */
function requireMachinesOfPlan(plan: Plan, scenario: Scenario): void {
  const stray = Object.keys(scenario.machines).find((name) => !plan.nodes.some((node) => node.name === name))
  if (stray === undefined) return
  throw new AppError({
    code: 'LAB_PLAN_UNFIT',
    title: 'The scenario does not fit this plan.',
    detail: `It describes the machine of ${stray} (machines); the plan has no such node.`,
    remedies: [`Use the names of the plan: ${plan.nodes.map(({ name }) => name).join(', ')}.`],
  })
}
