/** `npm run check`: types, lint, format, dead code. Runs all of them and fails if one failed. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { ownNode, projectRoot, setupDependencies } from './setup.mjs'

setupDependencies()

const tools = [
  ['types', 'typescript/bin/tsc', ['--build']],
  ['lint', 'eslint/bin/eslint.js', ['--max-warnings', '0', '.']],
  ['format', 'prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.']],
  ['dead code', 'knip/bin/knip.js', ['--no-progress']],
]

const failed = tools.filter(([name, script, args]) => {
  const started = Date.now()
  const result = spawnSync(ownNode, [join(projectRoot, 'node_modules', script), ...args], {
    cwd: projectRoot,
    stdio: 'inherit',
  })
  const isGood = result.status === 0
  console.log(`${isGood ? 'ok    ' : 'FAILED'} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
  return !isGood
})
process.exit(failed.length === 0 ? 0 : 1)
