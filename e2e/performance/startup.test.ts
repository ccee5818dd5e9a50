import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { projectRoot } from './processes.ts'

const program = join(projectRoot, 'main/console/landfall.ts')
const execute = promisify(execFile)

let cache: string
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'landfall-compile-cache-'))
})
afterAll(async () => {
  await rm(cache, { recursive: true, force: true })
})

/** Seconds from the start of the process to its end, with the compile cache that `scripts/run.mjs` gives it. */
async function start(args: readonly string[]): Promise<{ seconds: number; output: string }> {
  const begin = performance.now()
  const { stdout } = await execute(process.execPath, [program, ...args], {
    cwd: projectRoot,
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
  })
  return { seconds: (performance.now() - begin) / 1000, output: stdout }
}

function medianOf(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}

describe('once the compile cache is warm, the program answers in under a second:', () => {
  it.each([
    { args: ['--help'], says: 'Usage: landfall' },
    { args: ['--version'], says: '0.1.0' },
    { args: ['plan', 'lint', 'examples/three-nodes.yaml'], says: 'three-nodes.yaml' },
  ])(
    'landfall $args',
    async ({ args, says }) => {
      const cold = await start(args)
      expect(cold.output).toContain(says)
      const warm: number[] = []
      for (let count = 0; count < 5; count += 1) warm.push((await start(args)).seconds)
      expect(medianOf(warm)).toBeLessThan(1)
    },
    60_000,
  )
})
