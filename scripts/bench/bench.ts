/**
 * `npm run bench`: how Landfall compares with what a user would take instead, as ratios of measurements of one run, so
 * that a busy machine changes both sides. Nothing is asserted here; the tests in e2e/performance hold the bounds.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { installOnLab, openWorkplace, type Workplace } from '../../e2e/performance/processes.ts'
import { writePlan } from '../../e2e/performance/sites.ts'
import { measureDiscovery } from './discovery.ts'
import { compareJournal } from './journal.ts'
import { formatTable, type Ratio } from './ratio.ts'
import { compareUploads } from './upload.ts'

const uploadMebibytes = 1024
const journalLines = 2000

const place = await openWorkplace()
try {
  const rows: Ratio[] = []
  const notes: string[] = []
  say('the demonstration')
  rows.push(await compareDemo(place))
  say('100 nodes and 3 nodes')
  rows.push(await compareSizes(place))
  say('uploads')
  const uploads = await measureUploads(place)
  if (typeof uploads === 'string') notes.push(`upload: ${uploads}`)
  else rows.push(uploads)
  say('the journal')
  rows.push(await compareJournal(place.folder, journalLines))
  say('free addresses')
  const discovery = await measureDiscovery()
  if (typeof discovery === 'string') notes.push(`free addresses: ${discovery}`)
  else {
    rows.push(...discovery.rows)
    notes.push(...discovery.notes)
  }
  process.stdout.write(`${[formatTable(rows), ...notes].join('\n')}\n`)
} finally {
  await place.clear()
}

function say(what: string): void {
  process.stderr.write(`Measuring ${what} …\n`)
}

async function compareDemo({ landfall }: Workplace): Promise<Ratio> {
  const demo = landfall('demo')
  const { exitCode, errors } = await demo.ended
  if (exitCode !== 0) throw new Error(`the demonstration failed: ${errors}`)
  const report = demo.lines.find((line) => line.startsWith('Practice lab: ')) ?? ''
  const [, own, wall] = /: ([\d.]+) s of its own, the run took ([\d.]+) s/u.exec(report) ?? []
  return {
    what: 'demonstration: wall time against the time in which the simulated site itself was at work',
    unit: 's',
    ours: Number(wall),
    theirs: Number(own),
  }
}

async function compareSizes(workplace: Workplace): Promise<Ratio> {
  const scenario = join(workplace.folder, 'scenario.yaml')
  await writeFile(scenario, JSON.stringify({ name: 'a fifth of the waits', durationFactor: 0.2 }))
  const secondsFor = async (nodes: number) => {
    const plan = join(workplace.folder, `plan-${nodes}.yaml`)
    await writePlan(plan, nodes)
    const { run } = await installOnLab(workplace, plan, ['--scenario', scenario, '--time-scale', '30'])
    if (run.exitCode !== 0) throw new Error(`the run on ${nodes} nodes failed: ${run.errors}`)
    return run.seconds
  }
  const three = await secondsFor(3)
  return { what: 'one run: 100 nodes against 3 nodes', unit: 's', ours: await secondsFor(100), theirs: three }
}

async function measureUploads({ folder, landfall }: Workplace): Promise<Ratio | string> {
  const plan = join(folder, 'plan-upload.yaml')
  const scenario = join(folder, 'short.yaml')
  const description = join(folder, 'lab-upload.json')
  await writePlan(plan, 3)
  await writeFile(scenario, JSON.stringify({ name: 'short waits', durationFactor: 0.001 }))
  const lab = landfall('lab', plan, '--scenario', scenario, '--time-scale', '60', '--describe', description)
  await lab.line('Ctrl-C ends the lab.')
  try {
    return await compareUploads({
      folder,
      description: JSON.parse(await readFile(description, 'utf8')) as unknown,
      host: '10.10.200.11',
      mebibytes: uploadMebibytes,
    })
  } finally {
    lab.stop()
    await lab.ended
  }
}
