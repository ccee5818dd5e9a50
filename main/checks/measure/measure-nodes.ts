import { randomBytes, randomInt } from 'node:crypto'
import type { CheckId, Finding } from '../../../shared/checks/index.ts'
import { AppError } from '../../../shared/errors/index.ts'
import type { Plan } from '../../../shared/plan/index.ts'
import { mapFact, read, unread, type Fact } from '../../appliance/facts/fact.ts'
import type { Clock } from '../../engine/clock.ts'
import { Semaphore } from '../../engine/semaphore.ts'
import { printableStart } from '../../network/printable.ts'
import type { ProgramResult, ProgramRunner } from '../../network/programs/program-runner.ts'
import { askOwners } from './ask-owners.ts'
import { findingsOfFleet, findingsOfNode, findingsOfPairs } from './check-measurements.ts'
import { readScriptOutput } from './job-output.ts'
import { measureClock } from './measure-clock.ts'
import type { AddressQuestion, Measurements, NodeMeasurement, PeerMeasurement } from './measurements.ts'
import { readDnsAnswer, readNtpAnswer } from './messages.ts'
import { fullMeshLimit, peersOf } from './pairs.ts'
import { isNeeded, jobsOf, measuredChecks, plannedNode, type PlannedJob, type Purpose } from './plan-jobs.ts'
import {
  readDatagram,
  readDhcp,
  readDisk,
  readGateway,
  readLookup,
  readOwn,
  readPeer,
  readPorts,
  readWeb,
  type Answer,
} from './read-jobs.ts'
import { strangeAnswer } from './reasons.ts'
import { measureScript } from './script.ts'

export interface MeasuredNode {
  readonly name: string
  /** IPv4 address by which the others reach it. */
  readonly address: string
  readonly runner: ProgramRunner
  /** Interface that carries the address; `undefined`: not known. */
  readonly interface: string | undefined
  /** Bytes. The node's own word comes first. */
  readonly mtu: number | undefined
  readonly isControlPlane: boolean
}

export interface MeasureOptions {
  readonly plan: Plan
  readonly nodes: readonly MeasuredNode[]
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Default: all that can be measured. */
  readonly only?: ReadonlySet<CheckId>
  /** It writes to the disks of the nodes, for up to 40 s. */
  readonly isDiskSpeedAsked: boolean
  /** Called as soon as what is known of a node or a pair is final; each finding once. */
  readonly onFindings?: (findings: readonly Finding[]) => void
  /** `fraction`: 0 to 1. */
  readonly onProgress?: (detail: string, fraction: number) => void
}

/** So many nodes are measured at the same time. */
const nodesAtOnce = 64
/** Real time on the node: after that no job begins; those that run end by themselves. */
const budgetSeconds = 25
const budgetOfPeer = 0.3
/** What the longest job may take after the budget, and the way back. */
const graceSeconds = 25
const diskSeconds = 65
const maxOutputBytes = 8 * 1024 * 1024

/**
 * Measures on and between the nodes: one script on each, some round trips for its clock, and ARP from its neighbour. Changes
 * nothing on the nodes but, where asked for, a scratch file that is gone at once.
 *
 * Never rejects because of a node: what could not be measured says why, and its checks could not run. Rejects with the
 * signal's reason when it is aborted.
 */
export async function measureNodes(options: MeasureOptions): Promise<Measurements> {
  const { plan, nodes, only, signal, isDiskSpeedAsked, onFindings, onProgress } = options
  const asked = measuredChecks.filter((id) => only === undefined || only.has(id))
  const leader = plan.nodes.find((node) => node.leader)?.name
  const peers = peersOf(nodes, leader)
  const places = new Semaphore(nodesAtOnce)
  const done = new Map<string, MeasuredParts>()
  const asker = nodes.find(({ name }) => name === leader) ?? nodes[0]

  const measurementsNow = (): Measurements => {
    const parts = nodes.flatMap(({ name }) => done.get(name) ?? [])
    return {
      asked,
      isDiskSpeedAsked,
      isFullMesh: nodes.length <= fullMeshLimit,
      nodes: parts.map(({ node }) => node),
      owners: parts.flatMap(({ owners }) => owners),
      plannedAddresses: parts.flatMap(({ planned }) => planned),
    }
  }
  const tell = (name: string) => {
    onProgress?.(`${name} is measured`, done.size / nodes.length)
    if (onFindings === undefined) return
    const now = measurementsNow()
    // A pair is final when both have told; in a large fleet a node when all that it asks have.
    const isFinal = (from: string, to: string) => done.has(from) && done.has(to)
    onFindings([...findingsOfNode(plan, now, name), ...findingsOfPairs(plan, now, isFinal, name)])
  }

  await Promise.all(
    nodes.map((node, index) =>
      places.run(signal, async () => {
        const own = peers.get(node.name) ?? []
        const measured = await measureNode({
          ...options,
          asked,
          node,
          peers: own,
          // Each asks for the next one, so that nobody has to answer for itself.
          next: nodes.length > 1 ? nodes[(index + 1) % nodes.length] : undefined,
          isOnly: nodes.length === 1,
          asksDhcp: node === asker,
        })
        done.set(node.name, measured)
        tell(node.name)
      }),
    ),
  )
  const all = measurementsNow()
  onFindings?.(findingsOfFleet(plan, all))
  return all
}

interface NodeTask extends Pick<MeasureOptions, 'plan' | 'clock' | 'signal' | 'isDiskSpeedAsked'> {
  readonly asked: readonly CheckId[]
  readonly node: MeasuredNode
  readonly peers: readonly MeasuredNode[]
  readonly next: MeasuredNode | undefined
  readonly isOnly: boolean
  readonly asksDhcp: boolean
}

interface MeasuredParts {
  readonly node: NodeMeasurement
  readonly owners: readonly AddressQuestion[]
  readonly planned: readonly AddressQuestion[]
}

/** One thing after the other: a node may allow one session only. */
async function measureNode(task: NodeTask): Promise<MeasuredParts> {
  const { plan, node, peers, asked, clock, signal, next } = task
  const clockReading = isNeeded('clock', asked)
    ? await measureClock(node.runner, clock, signal)
    : unread('not asked for', 'date')
  const jobs = jobsOf({
    plan,
    asked,
    node,
    peers,
    isDiskSpeedAsked: task.isDiskSpeedAsked,
    asksDhcp: task.asksDhcp,
    label: `landfall-${randomBytes(6).toString('hex')}`,
    randomId: () => randomInt(65_536),
  })
  const answers = jobs.length === 0 ? [] : await runJobs(task, jobs)
  const measurement = measurementOf(node, peers, clockReading, answers)
  const device = measurement.peers
    .map(({ link }) => (link.kind === 'read' ? link.value.interface : undefined))
    .find((name) => name !== undefined)
  const target = next ?? (task.isOnly ? node : undefined)
  const shallGet = target === undefined ? undefined : plannedNode(plan, target.name)?.nic
  const { owners, planned } = await askOwners(
    {
      from: node.name,
      address: node.address,
      runner: node.runner,
      interface: node.interface ?? device,
      owners:
        isNeeded('owners', asked) && next !== undefined ? [{ node: next.name, address: next.address }] : [],
      planned:
        isNeeded('plannedAddresses', asked) &&
        target !== undefined &&
        shallGet?.mode === 'static' &&
        shallGet.address !== null &&
        shallGet.address !== target.address
          ? [{ node: target.name, address: shallGet.address }]
          : [],
    },
    clock,
    signal,
  )
  return { node: measurement, owners, planned }
}

interface JobAnswer {
  readonly purpose: Purpose
  readonly job: PlannedJob['job']
  readonly answer: Answer
}

async function runJobs(task: NodeTask, jobs: readonly PlannedJob[]): Promise<JobAnswer[]> {
  const { node, signal } = task
  const mark = `landfall-${randomBytes(9).toString('hex')}`
  const hasDisk = jobs.some(({ job }) => job.kind === 'disk')
  const seconds = budgetSeconds + Math.ceil(jobs.length * budgetOfPeer)
  const input = measureScript(
    mark,
    seconds,
    jobs.map(({ job }) => job),
  )
  const deadlineSeconds = seconds + graceSeconds + (hasDisk ? diskSeconds : 0)
  const ask = (asRoot: boolean) =>
    node.runner.run('sh', ['-s'], { signal, deadlineSeconds, input, maxOutputBytes, asRoot })
  let text = ''
  let trouble: string | undefined
  try {
    // Root may write to the disk everywhere, and needs no permission for ping.
    const first = await ask(true)
    const result = first.kind === 'not-permitted' ? await ask(false) : first
    ;({ text, trouble } = answerOf(result, deadlineSeconds))
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof AppError)) throw error
    // The detail may hold what the node printed until then.
    trouble = error.title
  }
  const output = readScriptOutput(mark, text)
  const why = trouble ?? 'the answer of the node ends in the middle'
  return jobs.map(({ job, purpose }, index) => {
    const found = output.jobs.get(index)
    return { job, purpose, answer: found === undefined ? { trouble: why } : { output: found } }
  })
}

function answerOf(
  result: ProgramResult,
  deadlineSeconds: number,
): { text: string; trouble: string | undefined } {
  switch (result.kind) {
    case 'ended': {
      if (result.exitCode === 0) return { text: result.stdout, trouble: undefined }
      const said = printableStart(result.stderr, 160)
      const how = result.exitCode === null ? 'by a signal' : `with exit code ${result.exitCode}`
      return {
        text: result.stdout,
        trouble: `sh on the node was ended ${how}${said === '' ? '' : `: ${said}`}`,
      }
    }
    case 'killed':
      return {
        text: result.stdout,
        trouble:
          result.reason === 'deadline'
            ? `the node did not answer within ${deadlineSeconds} s`
            : 'the node printed too much',
      }
    case 'missing':
      return { text: '', trouble: 'there is no program sh on the node' }
    case 'not-permitted':
      return { text: '', trouble: result.reason }
  }
}

function measurementOf(
  node: MeasuredNode,
  peers: readonly MeasuredNode[],
  clock: NodeMeasurement['clock'],
  answers: readonly JobAnswer[],
): NodeMeasurement {
  const notAsked = { trouble: 'not asked for' }
  const find = <Kind extends Purpose['for']>(kind: Kind) =>
    answers.filter(
      (one): one is JobAnswer & { purpose: Extract<Purpose, { for: Kind }> } => one.purpose.for === kind,
    )
  const answerFor = (kind: Purpose['for'], peer?: string): Answer =>
    answers.find(({ purpose }) => purpose.for === kind && (!('peer' in purpose) || purpose.peer === peer))
      ?.answer ?? notAsked
  const has = (kind: Purpose['for']) => answers.some(({ purpose }) => purpose.for === kind)

  const gateway = readGateway(answerFor('gateway'))
  const [registry] = find('registry-port')
  const [lookup] = find('registry-address')
  return {
    name: node.name,
    address: node.address,
    isControlPlane: node.isControlPlane,
    clock,
    own: readOwn(answerFor('own')),
    peers: peers.map(({ name, address }): PeerMeasurement => {
      const job = answers.find(({ purpose }) => purpose.for === 'ports' && purpose.peer === name)?.job
      return {
        name,
        address,
        ...readPeer(answerFor('peer', name), address),
        ports: readPorts(answerFor('ports', name), address, job?.kind === 'ports' ? job.ports : []),
      }
    }),
    // No gateway at all is the business of the check of the default route.
    ...(has('gateway') && !(gateway.kind === 'read' && gateway.value === undefined)
      ? { gateway: mapFact(gateway, (value) => value ?? { address: '', ping: unread('', '') }) }
      : {}),
    dns: [...Map.groupBy(find('dns'), ({ purpose }) => purpose.server)].map(([server, own]) => ({
      server,
      questions: own.map(({ purpose: { purpose, name, id }, answer }) => ({
        purpose,
        name,
        answer: datagramAs(answer, `DNS question for ${name} to ${server}`, (bytes) =>
          readDnsAnswer(id, bytes),
        ),
      })),
    })),
    ...(lookup?.job.kind === 'lookup'
      ? { registryAddresses: readLookup(lookup.answer, lookup.job.name) }
      : {}),
    ntp: find('ntp').map(({ purpose: { server }, answer }) => ({
      server,
      answer: datagramAs(answer, `NTP question to ${server}`, readNtpAnswer),
    })),
    proxies: find('proxy').map(({ purpose: { url, port }, answer, job }) => ({
      url,
      port: portOf(answer, job, port),
    })),
    ...(registry === undefined
      ? {}
      : {
          registry: {
            url: registry.purpose.url,
            port: portOf(registry.answer, registry.job, registry.purpose.port),
            answer: readWeb(answerFor('registry-web'), registry.purpose.url),
          },
        }),
    ...(has('disk') ? { disk: readDisk(answerFor('disk')) } : {}),
    ...(has('dhcp') ? { dhcpServers: readDhcp(answerFor('dhcp')) } : {}),
  }
}

function portOf(answer: Answer, job: PlannedJob['job'], port: number) {
  const address = job.kind === 'ports' ? job.address : ''
  return mapFact(readPorts(answer, address, [port]), ([one]) => one ?? { port, state: 'unknown' as const })
}

/** `parse` gives `undefined` for what is no answer to the question. */
function datagramAs<Value>(
  answer: Answer,
  source: string,
  parse: (bytes: Uint8Array) => Value | undefined,
): Fact<Value> {
  const bytes = readDatagram(answer, source)
  if (bytes.kind === 'unread') return bytes
  const value = parse(bytes.value)
  return value === undefined ? unread(strangeAnswer, source) : read(value, source)
}
