/**
 * Runs a program of the project with the project's own Node: `node scripts/run.mjs FILE [ARGUMENT…]`.
 * Sets the clone up first when that has not happened yet.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ownNode, projectRoot, setupDependencies } from './setup.mjs'

const [file, ...args] = process.argv.slice(2)
if (file === undefined) {
  console.error('usage: node scripts/run.mjs FILE [ARGUMENT…]')
  process.exit(2)
}
setupDependencies()

// Left to itself V8 lets the heap grow on a large machine before it clears anything away: a run of a hundred nodes would take half
// as much memory again, and no less time.
const nodeOptions = ['--max-semi-space-size=2', '--optimize-for-size']

const child = spawn(ownNode, [...nodeOptions, join(projectRoot, file), ...args], {
  stdio: 'inherit',
  // Paths on the command line are relative to where the operator typed it, not to the project.
  ...(file.endsWith('landfall.ts') && process.env.INIT_CWD !== undefined
    ? { cwd: process.env.INIT_CWD }
    : {}),
  // Node strips the types of each file once and keeps the result: the second start is twice as fast.
  env: { NODE_COMPILE_CACHE: join(projectRoot, 'node_modules', '.cache', 'landfall'), ...process.env },
})
// Ctrl-C reaches the child by itself (same terminal); this process only waits for its orderly end.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => child.kill('SIGTERM'))
process.on('SIGHUP', () => child.kill('SIGHUP'))
child.on('error', (error) => {
  console.error(`Cannot start ${ownNode}: ${error.message}`)
  process.exit(1)
})
child.on('exit', (code, signal) => {
  if (signal !== null) process.kill(process.pid, signal)
  else process.exit(code ?? 1)
})
