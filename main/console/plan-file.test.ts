import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import process from 'node:process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import { MAX_PLAN_LENGTH, planTemplate } from '../../shared/plan/index.ts'
import { formatProblem, loadPlan, readPlanFile } from './plan-file.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-plan-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function write(content: string | Uint8Array, name = 'plan.yaml'): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, content)
  return file
}

async function refusalOf(path: string): Promise<AppError> {
  const thrown = await loadPlan(path).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(thrown instanceof AppError)) throw new Error(`an AppError was expected, not ${String(thrown)}`)
  return thrown
}

describe('a plan that is in order', () => {
  it('is loaded with its absolute place, also from a relative path', async () => {
    const file = await write(planTemplate())
    const loaded = await loadPlan(relative(process.cwd(), file))
    expect(loaded.file).toBe(file)
    expect(loaded.plan.site.name).toBe('site-1')
  })

  it('names files relative to itself, absolutely, or in the home folder of the operator', async () => {
    const { fileOfPlan } = await loadPlan(await write(planTemplate()))
    expect(fileOfPlan('./packs/a.zst')).toBe(join(folder, 'packs/a.zst'))
    expect(fileOfPlan('../a.zst')).toBe(join(folder, '..', 'a.zst'))
    expect(fileOfPlan('/media/usb/a.zst')).toBe('/media/usb/a.zst')
    expect(fileOfPlan('~/.ssh/id_ed25519')).toBe(join(homedir(), '.ssh/id_ed25519'))
    expect(fileOfPlan('~')).toBe(homedir())
    // Only the operator's own home folder has this short form.
    expect(fileOfPlan('~other/a.zst')).toBe(join(folder, '~other/a.zst'))
  })
})

describe('a plan with problems', () => {
  it('is refused with all of them, each with file, line, field and the way out', async () => {
    const file = await write(
      planTemplate().replace('vip: 10.10.200.100', 'vip: nonsense').replace('palette', '-'),
    )
    const error = await refusalOf(file)
    expect(error.code).toBe('PLAN_INVALID')
    expect(error.title).toContain('Nothing was changed')
    const lines = error.detail.trim().split('\n')
    expect(lines.length).toBeGreaterThan(0)
    expect(error.detail).toMatch(new RegExp(`^${file}:\\d+:\\d+ site\\.vip: .+ → .+$`, 'm'))
    expect(error.remedies.join(' ')).toContain('plan lint')
  })

  it('has no place within the plan where a problem is of the file as a whole', () => {
    const problem = {
      severity: 'error' as const,
      code: 'x',
      line: 1,
      column: 1,
      value: '',
      message: 'M.',
      fix: 'F.',
    }
    expect(formatProblem('p.yaml', { ...problem, path: '' })).toBe('p.yaml:1:1 M. → F.')
    expect(formatProblem('p.yaml', { ...problem, path: 'site' })).toBe('p.yaml:1:1 site: M. → F.')
  })
})

describe('a file that is no plan', () => {
  it.each([
    ['is missing', () => Promise.resolve(join(folder, 'missing.yaml')), 'ENOENT'],
    ['is a folder', () => mkdir(join(folder, 'dir')).then(() => join(folder, 'dir')), 'not a file'],
    ['is a device', () => Promise.resolve('/dev/null'), 'not a file'],
    ['is too large', () => write(Buffer.alloc(MAX_PLAN_LENGTH + 1, 0x20)), `${MAX_PLAN_LENGTH + 1} bytes`],
    ['is not UTF-8', () => write(Buffer.from('site: { name: caf\xe9 }', 'latin1')), 'not UTF-8'],
  ])('is refused when it %s, by run and lint alike', async (_what, make, words) => {
    const file = await make()
    const error = await refusalOf(file)
    expect(error.code).toBe('PLAN_UNREADABLE')
    expect(error.detail).toContain(words)
    expect(error.detail).toContain(file)
    expect(error.remedies.join('')).not.toBe('')
    const linted = await readPlanFile(file)
    expect(linted.ok).toBe(false)
    expect(linted.ok ? [] : linted.problems.map(({ message }) => message).join()).toContain(words)
  })
})
