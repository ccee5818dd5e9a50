import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { planTemplate } from '../../shared/plan/index.ts'
import { createProgram } from './program.ts'
import { reportFailure } from './report-failure.ts'

let folder: string
let plan: string
let output = ''
let errors = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-program-'))
  plan = join(folder, 'plan.yaml')
  await writeFile(plan, planTemplate())
  vi.stubEnv('LANDFALL_STATE_DIR', join(folder, 'state'))
  output = ''
  errors = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += String(text)
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    errors += String(text)
    return true
  })
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

/** As `landfall.ts` does it. */
async function landfall(...args: string[]): Promise<number> {
  try {
    return await createProgram().run(['node', 'landfall', ...args])
  } catch (error) {
    return reportFailure(error)
  }
}

const nothingWasDone = async () => {
  expect(await readdir(folder)).toEqual(['plan.yaml'])
  expect(output).toBe('')
}

describe('arguments that Landfall does not know', () => {
  it.each([
    ['a command', ['instal', 'PLAN'], "unknown command 'instal'"],
    ['an option', ['run', 'PLAN', '--dryrun'], "unknown option '--dryrun'"],
    ['an option of another command', ['check', 'PLAN', '--resume'], "unknown option '--resume'"],
    ['an option before the command', ['--json', 'plan', 'lint', 'PLAN'], "unknown option '--json'"],
    ['an argument too many', ['run', 'PLAN', 'PLAN'], 'too many arguments'],
    ['an argument too few', ['run'], "missing required argument 'plan'"],
    ['a command of plan', ['plan', 'lnt', 'PLAN'], "unknown command 'lnt'"],
    ['a command of journal', ['journal', 'check', 'PLAN'], "unknown command 'check'"],
    ['a variant', ['plan', 'show', 'PLAN', '--variant', 'E'], 'Allowed choices are A, B, C, D'],
    ['an option without its value', ['run', 'PLAN', '--scenario'], 'argument missing'],
  ])('%s: exit code 2, and nothing is done', async (_what, args, words) => {
    expect(await landfall(...args.map((arg) => (arg === 'PLAN' ? plan : arg)))).toBe(2)
    expect(errors).toContain(words)
    await nothingWasDone()
  })

  it('are answered with what was probably meant', async () => {
    expect(await landfall('run', plan, '--dry-rum')).toBe(2)
    expect(errors).toContain('Did you mean --dry-run?')
    expect(await landfall('chek', plan)).toBe(2)
    expect(errors).toContain('Did you mean check?')
  })
})

describe('arguments that contradict each other', () => {
  it.each([
    ['run', ['--lab', '--lab-at', 'lab.json']],
    ['run', ['--lab-at', 'lab.json', '--lab']],
    ['check', ['--lab', '--lab-at', 'lab.json']],
    ['run', ['--fresh', '--resume']],
    ['run', ['--resume', '--fresh']],
  ])('%s %j: exit code 2, and nothing is done', async (command, options) => {
    expect(await landfall(command, plan, ...options)).toBe(2)
    expect(errors).toContain('cannot be used with')
    await nothingWasDone()
  })
})

describe('numbers that are none', () => {
  it.each(['0', '-1', 'fast', '', ' ', 'NaN', 'Infinity', '100001', '1e9', '10x'])(
    'as time scale %j: exit code 2',
    async (scale) => {
      for (const command of [['run', plan, '--lab'], ['check', plan, '--lab'], ['lab', plan], ['demo']])
        expect(await landfall(...command, `--time-scale=${scale}`)).toBe(2)
      expect(errors).toMatch(/number above 0|argument missing/)
      await nothingWasDone()
    },
  )

  it.each(['0', '-3', '2.5', 'three', '201'])('as number of nodes %j: exit code 2', async (nodes) => {
    expect(await landfall('lab', `--nodes=${nodes}`)).toBe(2)
    expect(errors).toContain('whole number from 1 to 200')
    await nothingWasDone()
  })
})

describe('help', () => {
  it('names all commands, and is no failure', async () => {
    expect(await landfall('--help')).toBe(0)
    for (const command of ['run', 'demo', 'check', 'lab', 'journal', 'identity', 'plan', 'vault'])
      expect(output).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'))
  })

  it('is what somebody gets who names no command, with exit code 2', async () => {
    expect(await landfall()).toBe(2)
    expect(errors).toContain('Usage: landfall')
  })

  it('tells the version', async () => {
    expect(await landfall('--version')).toBe(0)
    expect(output).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

describe('a plan that cannot be used', () => {
  it.each(['run', 'check'])('ends %s with exit code 2 before anything is begun', async (command) => {
    expect(await landfall(command, join(folder, 'missing.yaml'))).toBe(2)
    expect(errors).toContain('The plan cannot be read.')
    await nothingWasDone()
  })
})
