import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { runEventSchema, type RunEvent } from '../../shared/events/index.ts'

export const projectRoot = join(import.meta.dirname, '../..')
/** As an operator starts it: how Node is set up belongs to what is measured. */
const starter = [join(projectRoot, 'scripts/run.mjs'), 'main/console/landfall.ts']
const peakReporter = pathToFileURL(join(import.meta.dirname, 'report-peak.ts')).href

/** A folder for one measurement, and the processes that were started in it. */
export interface Workplace {
  readonly folder: string
  /** Starts `landfall` with these arguments. */
  readonly landfall: (...args: readonly string[]) => Landfall
  /** Ends what still runs and removes everything. */
  clear(): Promise<void>
}

/** A `landfall` process. */
export interface Landfall {
  /** Lines of standard output so far. */
  readonly lines: readonly string[]
  /** Resolves with the first line of standard output that contains the text; rejects when the process ends before. */
  line(text: string): Promise<string>
  /** Asks it to stop in good order. */
  stop(): void
  readonly ended: Promise<Ended>
}

interface Ended {
  readonly exitCode: number | null
  readonly errors: string
  /** Real time from the start of the process to its end. */
  readonly seconds: number
  /** Most memory that it ever had. */
  readonly peakMebibytes: number
}

export async function openWorkplace(): Promise<Workplace> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-measure-'))
  const started: { kill: () => void; ended: Promise<unknown> }[] = []
  return {
    folder,
    landfall: (...args) => {
      const peakFile = join(folder, `peak-${started.length}`)
      const { landfall, kill } = startLandfall(args, folder, peakFile)
      started.push({ kill, ended: landfall.ended })
      return landfall
    },
    clear: async () => {
      for (const { kill } of started) kill()
      await Promise.allSettled(started.map(({ ended }) => ended))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function startLandfall(
  args: readonly string[],
  folder: string,
  peakFile: string,
): { landfall: Landfall; kill: () => void } {
  const begin = performance.now()
  const child = spawn(process.execPath, [...starter, ...args], {
    cwd: projectRoot,
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that what the starter started can be ended with it.
    detached: process.platform !== 'win32',
    env: {
      ...process.env,
      LANDFALL_STATE_DIR: join(folder, 'state'),
      LANDFALL_PEAK_FILE: peakFile,
      NODE_OPTIONS: `--import=${peakReporter}`,
    },
  })
  const lines: string[] = []
  let errors = ''
  const output = createInterface({ input: child.stdout })
  output.on('line', (line) => lines.push(line))
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode) => {
      const seconds = (performance.now() - begin) / 1000
      readPeak(peakFile).then((peakMebibytes) => {
        resolve({ exitCode, errors, seconds, peakMebibytes })
      }, reject)
    })
  })
  const line = (text: string) =>
    new Promise<string>((resolve, reject) => {
      const known = lines.find((one) => one.includes(text))
      if (known !== undefined) resolve(known)
      output.on('line', (one) => {
        if (one.includes(text)) resolve(one)
      })
      ended.then(() => {
        reject(new Error(`landfall ${args[0] ?? ''} ended without "${text}": ${errors}`))
      }, reject)
    })
  return {
    landfall: { lines, line, stop: () => void child.kill('SIGTERM'), ended },
    kill: () => {
      if (child.exitCode === null && child.signalCode === null) killGroup(child)
    },
  }
}

function killGroup(child: ChildProcess): void {
  if (process.platform === 'win32' || child.pid === undefined) child.kill('SIGKILL')
  else process.kill(-child.pid, 'SIGKILL')
}

/** Of the largest of the processes (the starter is one of them). Not a number when they were killed. */
async function readPeak(file: string): Promise<number> {
  const names = (await readdir(dirname(file))).filter((name) => name.startsWith(`${basename(file)}.`))
  const peaks = await Promise.all(names.map((name) => readFile(join(dirname(file), name), 'utf8')))
  return peaks.length === 0 ? NaN : Math.max(...peaks.map(Number))
}

/** What a lab and a run, each in its own process, came to. */
export interface Measured {
  readonly run: Ended
  readonly lab: Ended
  readonly events: readonly RunEvent[]
  /** Last line of the lab. */
  readonly labReport: string
}

/** Installs the plan on a lab of another process, so that neither the memory nor the time of the two is mixed. */
export async function installOnLab(
  place: Workplace,
  planFile: string,
  labOptions: readonly string[],
): Promise<Measured> {
  const description = join(place.folder, 'lab.json')
  const lab = place.landfall('lab', planFile, '--describe', description, ...labOptions)
  await lab.line('Ctrl-C ends the lab.')
  const run = place.landfall('run', planFile, '--lab-at', description, '--fresh', '--json')
  const runEnded = await run.ended
  lab.stop()
  return {
    run: runEnded,
    lab: await lab.ended,
    events: run.lines.map((line) => runEventSchema.parse(JSON.parse(line))),
    labReport: lab.lines.findLast((line) => line.startsWith('The lab served')) ?? '',
  }
}
