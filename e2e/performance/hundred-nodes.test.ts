import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { installOnLab, openWorkplace, type Measured, type Workplace } from './processes.ts'
import { writePlan } from './sites.ts'

let place: Workplace
beforeEach(async () => {
  place = await openWorkplace()
})
afterEach(async () => {
  await place.clear()
})

async function install(nodes: number): Promise<Measured> {
  const plan = join(place.folder, `plan-${nodes}.yaml`)
  await writePlan(plan, nodes)
  // As long as the demonstration, and not as hurried: at 150 times the speed the deadlines of a phase would leave the
  // hundred simulated nodes, which share this machine, only a few real seconds.
  const scenario = join(place.folder, 'scenario.yaml')
  await writeFile(scenario, JSON.stringify({ name: 'a fifth of the waits', durationFactor: 0.2 }))
  const measured = await installOnLab(place, plan, ['--scenario', scenario, '--time-scale', '30'])
  expect(measured.run).toMatchObject({ exitCode: 0, errors: '' })
  expect(measured.events.at(-1)).toMatchObject({ type: 'run-finished', outcome: 'done', errors: [] })
  expect(measured.labReport).toContain('clusters asked for: 1; refused logins: 0.')
  return measured
}

it('installs 100 nodes in one run: in at most 3 times the time of 3 nodes, with less than 300 MiB', async (test) => {
  const three = await install(3)
  const hundred = await install(100)
  const ratio = hundred.run.seconds / three.run.seconds
  await test.annotate(
    `3 nodes ${three.run.seconds.toFixed(1)} s, ${three.run.peakMebibytes.toFixed(0)} MiB; ` +
      `100 nodes ${hundred.run.seconds.toFixed(1)} s, ${hundred.run.peakMebibytes.toFixed(0)} MiB; ${ratio.toFixed(2)} ×`,
  )
  expect(hundred.events[0]).toMatchObject({ type: 'run-started' })
  const installed = hundred.events.filter(
    (event) => event.type === 'target-finished' && event.phase === 'connect-nodes',
  )
  expect(installed).toHaveLength(100)
  expect(ratio).toBeLessThanOrEqual(3)
  expect(hundred.run.peakMebibytes).toBeLessThan(300)
  expect(three.run.peakMebibytes).toBeLessThan(300)
}, 300_000)
