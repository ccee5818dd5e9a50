import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { checkReportSchema, type CheckReport } from '../../shared/checks/index.ts'
import { openWorkplace, type Workplace } from './processes.ts'
import { writePlan } from './sites.ts'

let place: Workplace
beforeEach(async () => {
  place = await openWorkplace()
})
afterEach(async () => {
  await place.clear()
})

interface Checked {
  readonly report: CheckReport
  readonly seconds: number
  readonly peakMebibytes: number
}

/** All checks of a lab that lives in a process of its own and is installed already. */
async function checkLab(nodes: number): Promise<Checked> {
  const plan = join(place.folder, `plan-${nodes}.yaml`)
  await writePlan(plan, nodes)
  const description = join(place.folder, `lab-${nodes}.json`)
  const scenario = join(place.folder, 'scenario.yaml')
  // The nodes are there at once: waiting for them is no part of checking.
  await writeFile(scenario, JSON.stringify({ name: 'short waits', durationFactor: 0.001 }))
  const lab = place.landfall(
    'lab',
    plan,
    '--describe',
    description,
    '--scenario',
    scenario,
    '--time-scale',
    '30',
  )
  await lab.line('Ctrl-C ends the lab.')
  const check = place.landfall('check', plan, '--lab-at', description, '--json')
  const { exitCode, errors, seconds, peakMebibytes } = await check.ended
  lab.stop()
  await lab.ended
  expect({ exitCode, errors }).toEqual({ exitCode: 0, errors: '' })
  const report = checkReportSchema.parse(JSON.parse(check.lines.join('\n')))
  return { report, seconds, peakMebibytes }
}

const readNodes = ({ checks }: CheckReport) =>
  checks.filter(({ id, state }) => id === 'node.connected' && state === 'pass').length

it('checks 100 nodes in at most 5 times the time of 3 nodes, with less than 300 MiB', async (test) => {
  const three = await checkLab(3)
  const hundred = await checkLab(100)
  const ratio = hundred.seconds / three.seconds
  await test.annotate(
    `3 nodes ${three.seconds.toFixed(1)} s, ${three.report.summary.total} results, ${three.peakMebibytes.toFixed(0)} MiB; ` +
      `100 nodes ${hundred.seconds.toFixed(1)} s, ${hundred.report.summary.total} results, ` +
      `${hundred.peakMebibytes.toFixed(0)} MiB; ${ratio.toFixed(2)} ×`,
  )
  expect([readNodes(three.report), readNodes(hundred.report)]).toEqual([3, 100])
  expect(hundred.report.checks.filter(({ id }) => id === 'clock.skew')).toHaveLength(100)
  const unknown = hundred.report.checks.filter(({ state }) => state === 'could-not-run').map(({ id }) => id)
  // No place of a lab can ask for DHCP offers.
  expect(unknown).toEqual(['vip.not-in-dhcp-pool'])
  expect(ratio).toBeLessThanOrEqual(5)
  expect(hundred.peakMebibytes).toBeLessThan(300)
}, 300_000)
