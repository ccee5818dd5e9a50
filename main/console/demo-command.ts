import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { runPlan } from './run-command.ts'

const examplePlan = fileURLToPath(new URL('../../examples/three-nodes.yaml', import.meta.url))

/** A whole installation without a site: the example plan, on the practice lab. */
export function runDemo(timeScale: number): Promise<number> {
  process.stderr.write(
    `Demonstration: installs three simulated nodes over real SSH and HTTPS on this workstation, ${timeScale} times as fast as in reality.\n`,
  )
  return runPlan({
    planFile: examplePlan,
    dryRun: false,
    resume: false,
    fresh: true,
    json: false,
    yes: true,
    lab: true,
    timeScale,
  })
}
