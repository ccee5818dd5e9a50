/** `npm run check`: types, lint, format, dead code. Runs all of them and fails if one failed. */
import { spawn } from 'node:child_process'
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import process from 'node:process'
import { ownNode, projectRoot, setupDependencies } from './setup.mjs'

setupDependencies()

// Lint takes as long as all others together.
const lint = ['lint', 'eslint/bin/eslint.js', ['--max-warnings', '0', '.']]
const others = [
  ['types', 'typescript/bin/tsc', ['--build']],
  ['format', 'prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.']],
  ['dead code', 'knip/bin/knip.js', ['--no-progress']],
]

/** Each says what it found when it is done, so that two of them do not mix. */
async function run([name, script, args]) {
  const started = Date.now()
  const child = spawn(ownNode, [join(projectRoot, 'node_modules', script), ...args], {
    cwd: projectRoot,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = []
  child.stdout.on('data', (chunk) => output.push(chunk))
  child.stderr.on('data', (chunk) => output.push(chunk))
  const isGood = await new Promise((resolve) => {
    child.once('error', () => resolve(false))
    child.once('close', (status) => resolve(status === 0))
  })
  process.stdout.write(Buffer.concat(output))
  console.log(`${isGood ? 'ok    ' : 'FAILED'} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
  return isGood
}

const linting = run(lint)
let isGood = true
for (const tool of others) isGood = (await run(tool)) && isGood
process.exit((await linting) && isGood ? 0 : 1)
