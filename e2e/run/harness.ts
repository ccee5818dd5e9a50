import { spawn, type ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { zstdCompressSync } from 'node:zlib'
import { expect } from 'vitest'
import type { z } from 'zod'
import { readJournal } from '../../main/engine/journal.ts'
import { Semaphore } from '../../main/engine/semaphore.ts'
import { readScenario, startLab, type Exchange, type Lab } from '../../main/lab/index.ts'
import { runEventSchema, type RunEvent } from '../../shared/events/index.ts'
import { readPlan, type planSchema } from '../../shared/plan/index.ts'
import { killVariable, type KillMoment } from './kill-moment.ts'

const projectRoot = join(import.meta.dirname, '../..')
const program = join(projectRoot, 'main/console/landfall.ts')

/** Default. Simulated seconds in a real one; deadlines of ten simulated minutes leave a busy machine six real seconds. */
const usualTimeScale = 100
/** Installing and deploying take a fiftieth of what they take; tokens and the lock-out live as long as documented. */
const durationFactor = 0.02

/** A plan as it is written. */
export type PlanInput = z.input<typeof planSchema>
type ScenarioInput = Record<string, unknown>
type Fault = Parameters<Lab['inject']>[0]

const places = new Semaphore(3)
/** A site keeps a processor busy half of the time; more of them at once would only be slower. */
export async function withSite(options: SiteOptions, work: (site: TestSite) => Promise<void>): Promise<void> {
  await places.run(new AbortController().signal, async () => {
    const site = await startSite(options)
    try {
      await work(site)
      expect(site.lab.report().labErrors).toBe(0)
    } finally {
      await site.stop()
    }
  })
}

interface SiteOptions {
  readonly plan?: PlanInput
  readonly faults?: readonly Fault[]
  /** More of the scenario. */
  readonly scenario?: ScenarioInput
  /** Simulated seconds in a real one. */
  readonly timeScale?: number
  /** Default: the product's own. */
  readonly initialNodePassword?: string
  /** Where the state goes; default: a folder of this site. */
  readonly stateFolder?: string
}

/** A practice lab in this process, which survives its runs, and a plan and a state folder for them. */
export interface TestSite {
  readonly folder: string
  readonly stateFolder: string
  readonly lab: Lab
  /** Every HTTP request that reached the lab, with its answer. */
  readonly exchanges: readonly Exchange[]
  /** Called with each of them. */
  onExchange: (exchange: Exchange) => void
  readonly packSha256: string
  /** Environment of the processes, besides what they need. */
  readonly env: Record<string, string>
  writePlan(plan: PlanInput): Promise<void>
  /** How the runs reach the lab; default: as it says itself. */
  writeDescription(description: Lab['description']): Promise<void>
  /** `landfall run` as a process of its own. */
  run(...options: readonly string[]): Run
  /** The same, with a preload that kills it. */
  runUntilKilled(moment: KillMoment, ...options: readonly string[]): Run
  /** `landfall` with any arguments. */
  landfall(...args: readonly string[]): Run
  /** The same in a network namespace of its own, out of which no packet gets. */
  landfallWithoutNetwork(...args: readonly string[]): Run
  /** Runs on the lab's site that have a journal, oldest first. */
  journals(): Promise<string[]>
  stop(): Promise<void>
}

export function threeNodes(): PlanInput {
  return {
    version: 1,
    site: {
      name: 'rig',
      network: '10.10.200.0/24',
      gateway: '10.10.200.1',
      vip: '10.10.200.100',
      // It takes time, and has tests of its own (vip.test.ts).
      vipProof: false,
      ntp: ['10.10.200.2'],
    },
    appliance: { variant: 'A', packs: ['pack.tar.zst'] },
    access: { newPassword: { generate: 'node' } },
    nodes: [
      { name: 'n1', address: '10.10.200.11', leader: true, hostName: 'palette-1' },
      { name: 'n2', address: '10.10.200.12', hostName: 'palette-2' },
      { name: 'n3', address: '10.10.200.13', hostName: 'palette-3' },
    ],
    cluster: {
      name: 'palette',
      serviceCidr: '100.64.64.0/18',
      registry: { password: { generate: 'registry' }, generate: true },
    },
    console: { email: 'ops@example.com', newPassword: { generate: 'console' } },
  }
}

async function startSite(options: SiteOptions): Promise<TestSite> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-run-'))
  const stateFolder = options.stateFolder ?? join(folder, 'state')
  const planFile = join(folder, 'plan.yaml')
  const descriptionFile = join(folder, 'lab.json')
  const plan = options.plan ?? threeNodes()
  const pack = zstdCompressSync(randomBytes(200_000))
  await writeFile(join(folder, 'pack.tar.zst'), pack)
  await writeFile(planFile, JSON.stringify(plan, undefined, 2))
  await mkdir(stateFolder, { recursive: true })
  const exchanges: Exchange[] = []
  const scenario = { name: 'test', durationFactor, faults: options.faults ?? [], ...options.scenario }
  const lab = await startLab({
    plan: parsedPlan(plan),
    timeScale: options.timeScale ?? usualTimeScale,
    scenario: readScenario(JSON.stringify(scenario), 'scenario of the test'),
    ...(options.initialNodePassword === undefined
      ? {}
      : { initialNodePassword: options.initialNodePassword }),
    onExchange: (exchange) => {
      exchanges.push(exchange)
      site.onExchange(exchange)
    },
  })
  await writeFile(descriptionFile, JSON.stringify(lab.description))
  const runs: Run[] = []
  const start = (args: readonly string[], more: { moment?: KillMoment; command?: string[] } = {}) => {
    const run = startRun(args, { stateFolder, folder, env: site.env, ...more })
    runs.push(run)
    return run
  }
  const runArguments = ['run', planFile, '--lab-at', descriptionFile, '--json']
  const site: TestSite = {
    folder,
    stateFolder,
    lab,
    exchanges,
    onExchange: () => undefined,
    env: {},
    packSha256: createHash('sha256').update(pack).digest('hex'),
    writePlan: (changed) => writeFile(planFile, JSON.stringify(changed, undefined, 2)),
    run: (...more) => start([...runArguments, ...more]),
    runUntilKilled: (moment, ...more) => start([...runArguments, ...more], { moment }),
    landfall: (...args) => start(args),
    landfallWithoutNetwork: (...args) => start(args, { command: ['/usr/bin/unshare', '-n'] }),
    writeDescription: (description) => writeFile(descriptionFile, JSON.stringify(description)),
    journals: () => journalsIn(stateFolder),
    stop: async () => {
      for (const run of runs) run.kill('SIGKILL')
      await Promise.all(runs.map((run) => run.ended))
      await lab.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return site
}

function parsedPlan(plan: PlanInput) {
  const result = readPlan(JSON.stringify(plan), 'plan of the test')
  if (!result.ok) throw new Error(result.problems.map((problem) => problem.message).join('\n'))
  return result.plan
}

/** How a process of Landfall ended. */
interface Ending {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: readonly string[]
  readonly stderr: string
}

/** A process of Landfall. */
export interface Run {
  readonly ended: Promise<Ending>
  /** All of its events, and how it ended. Fails when a line of standard output is not an event. */
  readonly finished: () => Promise<Ending & { readonly events: readonly RunEvent[] }>
  /** Called with every event as soon as it is told. */
  onEvent: (event: RunEvent) => void
  readonly kill: (signal: NodeJS.Signals) => void
}

function startRun(
  args: readonly string[],
  options: {
    readonly stateFolder: string
    readonly folder: string
    readonly env: Record<string, string>
    readonly moment?: KillMoment
    /** Put in front. */
    readonly command?: readonly string[]
  },
): Run {
  const { moment, stateFolder, folder } = options
  const preload = moment === undefined ? [] : ['--import', join(import.meta.dirname, 'kill-after-line.ts')]
  const command = [...(options.command ?? []), process.execPath, ...preload, program, ...args]
  const child: ChildProcess = spawn(command[0] ?? '', command.slice(1), {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...options.env,
      PATH: process.env['PATH'],
      HOME: folder,
      LANDFALL_STATE_DIR: stateFolder,
      NODE_COMPILE_CACHE: join(projectRoot, 'node_modules', '.cache', 'landfall'),
      ...(moment === undefined ? {} : { [killVariable]: JSON.stringify(moment) }),
    },
  })
  const stdout: string[] = []
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  if (child.stdout === null) throw new Error('no standard output')
  createInterface(child.stdout).on('line', (line) => {
    stdout.push(line)
    const event = parseEvent(line)
    if (event !== undefined) run.onEvent(event)
  })
  const ended = new Promise<Ending>((resolve) => {
    child.once('close', (exitCode, signal) => {
      resolve({ exitCode, signal, stdout, stderr })
    })
  })
  const run: Run = {
    ended,
    finished: async () => {
      const ending = await ended
      const events = ending.stdout.map((line) => runEventSchema.parse(JSON.parse(line)))
      return { ...ending, events }
    },
    onEvent: () => undefined,
    kill: (signal) => void child.kill(signal),
  }
  return run
}

function parseEvent(line: string): RunEvent | undefined {
  try {
    return runEventSchema.safeParse(JSON.parse(line)).data
  } catch {
    return undefined // `finished` tells it
  }
}

async function journalsIn(stateFolder: string): Promise<string[]> {
  const names = await readdir(stateFolder, { recursive: true })
  return names
    .filter((name) => name.endsWith('/journal.ndjson'))
    .toSorted()
    .map((name) => join(stateFolder, name))
}

/** Events of the newest journal, whose chain must be intact and without a gap. */
export async function readEvents(site: TestSite): Promise<readonly RunEvent[]> {
  const file = (await site.journals()).at(-1)
  const reading = readJournal(await readFile(file ?? ''))
  if (reading.kind === 'broken') throw new Error(`line ${String(reading.line)} ${reading.reason}`)
  expect(reading.events.map((event) => event.seq)).toEqual(reading.events.map((_event, index) => index + 1))
  return reading.events
}

/** Ends well, and says so everywhere. */
export async function expectDone(run: Run): Promise<readonly RunEvent[]> {
  const { exitCode, stderr, events } = await run.finished()
  const failure = exitCode === 0 ? '' : `${stderr}\n${JSON.stringify(events.at(-1), undefined, 2)}`
  expect({ exitCode, failure }).toEqual({ exitCode: 0, failure: '' })
  expect(events.at(-1)).toMatchObject({ type: 'run-finished', outcome: 'done', errors: [] })
  return events
}

interface ExpectedFailure {
  readonly exitCode?: number
  readonly code: string
  readonly node?: string
  readonly phase: string
  /** What the operator must be told. */
  readonly says?: readonly (string | RegExp)[]
}

/** Ends with an error that an operator can use: where it happened, what it was, what to do. */
export async function expectFailure(run: Run, expected: ExpectedFailure): Promise<readonly RunEvent[]> {
  const { exitCode, events, stderr } = await run.finished()
  const last = events.at(-1)
  if (last?.type !== 'run-finished') throw new Error(`The run did not tell its end. ${stderr}`)
  const { outcome, errors } = last
  const error = errors.find(({ node }) => node === expected.node) ?? errors[0]
  expect(
    { exitCode, outcome, code: error?.code, node: error?.node, phase: error?.phase },
    JSON.stringify(errors),
  ).toEqual({
    exitCode: expected.exitCode ?? 1,
    outcome: 'failed',
    code: expected.code,
    node: expected.node,
    phase: expected.phase,
  })
  for (const { title, remedies } of errors) {
    expect(title).not.toBe('')
    expect(remedies.length, title).toBeGreaterThan(0)
  }
  const text = JSON.stringify(errors)
  for (const part of expected.says ?? []) expect(text).toMatch(part)
  return events
}

/** The site is installed, everything was done once, and nothing that is secret was left on the workstation. */
export async function expectInstalledOnce(
  site: TestSite,
  plan: PlanInput = threeNodes(),
  vip: string = plan.site.vip,
): Promise<void> {
  const snapshot = site.lab.snapshot()
  const parsed = parsedPlan(plan)
  expect(snapshot).toMatchObject({
    clusterState: 'Running',
    clusterHealth: 'Healthy',
    vip,
    console: { state: 'api', email: plan.console.email, isPasswordChanged: true, isLocked: false },
  })
  expect(
    snapshot.nodes.map(({ hostName, isPasswordChanged, isInCluster, isLocked }) => ({
      hostName,
      isPasswordChanged,
      isInCluster,
      isLocked,
    })),
  ).toEqual(
    parsed.nodes.map((node) => ({
      hostName: node.hostName ?? node.name,
      isPasswordChanged: parsed.access.newPassword !== null,
      isInCluster: true,
      isLocked: false,
    })),
  )
  if (parsed.nodes.length > 1) {
    expect(snapshot.nodes.map(({ role }) => role)).toEqual(
      parsed.nodes.map((node) => (node.leader ? 'leader' : 'follower')),
    )
  }
  const packs = snapshot.nodes
    .flatMap((node) => node.uploads)
    .filter((upload) => upload.fileName === 'pack.tar.zst')
  expect(packs.map(({ sha256 }) => sha256)).toEqual(parsed.appliance.packs.map(() => site.packSha256))
  const report = site.lab.report()
  expect(report).toMatchObject({
    clusterPosts: 1,
    clusterAccepted: 1,
    repeatedWrongPasswords: 0,
    lockOuts: 0,
  })
  expect(report.failedLogins.filter(({ attempts }) => attempts > 1)).toEqual([])
  expect(existsSync(leaseFileOf(site, plan))).toBe(false)
  await expectNoSecrets(site)
}

export function leaseFileOf(site: TestSite, plan: PlanInput = threeNodes()): string {
  return join(site.stateFolder, 'practice', plan.site.name, 'lease.json')
}

/** Passwords of the practice lab have this shape, and every run makes up some (see run-secrets.ts). */
const practicePassword = /Lab-7[0-9a-f]{16}/g

/** Everything secret that went over the wire stands in no file of the state folder. */
async function expectNoSecrets(site: TestSite): Promise<void> {
  const wire = JSON.stringify(site.exchanges)
  const passwords = [...new Set(wire.match(practicePassword))]
  // Else this test would look for nothing.
  expect(passwords.length).toBeGreaterThan(1)
  const sessions = site.exchanges.flatMap((exchange) => exchange.requestHeaders['authorization'] ?? [])
  const secrets = [
    ...passwords,
    ...passwords.map((password) => Buffer.from(password).toString('base64')),
    ...new Set(sessions.map((header) => header.replace(/^\S+ /, ''))),
    'PRIVATE KEY',
    Buffer.from('-----BEGIN PRIVATE KEY').toString('base64').slice(0, 28),
  ]
  const names = await readdir(site.stateFolder, { recursive: true, withFileTypes: true })
  for (const entry of names.filter((name) => name.isFile())) {
    const content = await readFile(join(entry.parentPath, entry.name), 'latin1')
    expect(
      secrets.filter((secret) => content.includes(secret)),
      entry.name,
    ).toEqual([])
  }
}
