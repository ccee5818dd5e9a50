/** `npm test`: sets up what is missing, then lint, types, format, dead code and every test. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { ownNode, projectRoot, setupDependencies, setupSystem } from './setup.mjs'

setupDependencies()
setupSystem()

const args = process.argv.slice(2)
const isWholeRun = args.length === 0
const check = isWholeRun
  ? spawnSync(ownNode, [join(projectRoot, 'scripts', 'check.mjs')], { cwd: projectRoot, stdio: 'inherit' })
  : { status: 0 }
const tests = spawnSync(ownNode, [join(projectRoot, 'node_modules/vitest/vitest.mjs'), 'run', ...args], {
  cwd: projectRoot,
  stdio: 'inherit',
})
if (check.status !== 0) console.error('npm run check failed, see above.')
process.exit(check.status !== 0 || tests.status !== 0 ? 1 : 0)
