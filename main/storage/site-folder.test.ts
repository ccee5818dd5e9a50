import fc from 'fast-check'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import { digestOf, SiteFolder, stateFolder, type RunFolder } from './site-folder.ts'

let folder: string
let site: SiteFolder
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-site-'))
  site = new SiteFolder(join(folder, 'rig-7'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function runWithJournal(at: string): Promise<RunFolder> {
  const run = await site.createRun(new Date(at), '{}')
  await writeFile(run.journalFile, '{"seq":1}\n')
  return run
}

async function failureOf(promise: Promise<unknown>): Promise<AppError> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(thrown instanceof AppError)) throw new Error(`an AppError was expected, not ${String(thrown)}`)
  return thrown
}

describe('the folder for the state of Landfall', () => {
  it('is where the platform keeps such things', () => {
    expect(stateFolder({}, 'linux')).toBe(join(homedir(), '.local', 'state', 'landfall'))
    expect(stateFolder({ XDG_STATE_HOME: '/state' }, 'linux')).toBe('/state/landfall')
    expect(stateFolder({ XDG_STATE_HOME: '' }, 'linux')).toBe(join(homedir(), '.local', 'state', 'landfall'))
    expect(stateFolder({}, 'darwin')).toBe(join(homedir(), 'Library', 'Application Support', 'Landfall'))
    expect(stateFolder({ LOCALAPPDATA: '/local' }, 'win32')).toBe(join('/local', 'Landfall'))
    expect(stateFolder({}, 'win32')).toBe(join(homedir(), 'AppData', 'Local', 'Landfall'))
  })

  it('is where the operator says, if it says anything', () => {
    for (const platform of ['linux', 'darwin', 'win32'] as const) {
      expect(stateFolder({ LANDFALL_STATE_DIR: '/mnt/state' }, platform)).toBe('/mnt/state')
      expect(stateFolder({ LANDFALL_STATE_DIR: '' }, platform)).toBe(stateFolder({}, platform))
    }
  })
})

describe('the folder of a run', () => {
  it('holds the plan that the run began with, for its owner only', async () => {
    const run = await site.createRun(new Date('2026-03-04T05:06:07.089Z'), '{"version":1}')
    expect(run.id).toMatch(/^20260304-050607/)
    expect(await readFile(run.planFile, 'utf8')).toBe('{"version":1}')
    expect((await stat(run.planFile)).mode & 0o777).toBe(0o600)
    expect((await stat(run.folder)).mode & 0o777).toBe(0o700)
  })

  it('has an id of its own, also in the same millisecond', async () => {
    const now = new Date('2026-03-04T05:06:07.089Z')
    const runs = await Promise.all([1, 2, 3].map(() => site.createRun(now, '{}')))
    expect(new Set(runs.map((run) => run.id)).size).toBe(3)
  })

  it('has an id that sorts by the time of the run, to the millisecond', async () => {
    const time = fc.date({
      min: new Date('2020-01-01T00:00:00Z'),
      max: new Date('2099-12-31T23:59:59Z'),
      noInvalidDate: true,
    })
    await fc.assert(
      fc.asyncProperty(time, fc.integer({ min: 1, max: 5000 }), async (first, later) => {
        const earlier = await site.createRun(first, '{}')
        const after = await site.createRun(new Date(first.getTime() + later), '{}')
        expect([after.id, earlier.id].toSorted()).toEqual([earlier.id, after.id])
      }),
      { numRuns: 30 },
    )
  })

  it('that cannot be made is an error that names the place and LANDFALL_STATE_DIR', async () => {
    await writeFile(join(folder, 'rig-7'), 'a file in its place')
    const error = await failureOf(site.createRun(new Date(), '{}'))
    expect(error.code).toBe('STATE_FOLDER_NOT_WRITABLE')
    expect(error.detail).toContain(join(folder, 'rig-7'))
    expect(error.remedies.join(' ')).toContain('LANDFALL_STATE_DIR')
  })
})

describe('the latest run', () => {
  it('is none on a site that was never installed', async () => {
    expect(await site.latestRun()).toBeUndefined()
    await mkdir(site.folder, { recursive: true })
    expect(await site.latestRun()).toBeUndefined()
  })

  it('is the newest that has a journal: one that only has a folder never began', async () => {
    await runWithJournal('2026-01-01T00:00:00Z')
    const newest = await runWithJournal('2026-02-01T00:00:00Z')
    await runWithJournal('2025-12-31T23:59:59Z')
    await site.createRun(new Date('2026-03-01T00:00:00Z'), '{}')
    const torn = await site.createRun(new Date('2026-04-01T00:00:00Z'), '{}')
    await writeFile(torn.journalFile, '')
    expect(await site.latestRun()).toEqual(newest)
  })

  it('is not found in files of others between the folders of the runs', async () => {
    const run = await runWithJournal('2026-01-01T00:00:00Z')
    await writeFile(join(site.folder, 'runs', 'thumbs.db'), 'x')
    expect(await site.latestRun()).toEqual(run)
  })

  it('is the same run with the same places in another process', async () => {
    const run = await runWithJournal('2026-01-01T00:00:00Z')
    expect(await new SiteFolder(site.folder).latestRun()).toEqual(run)
  })

  it('is not "none" when the folder cannot be looked into', async () => {
    await mkdir(site.folder, { recursive: true })
    await writeFile(join(site.folder, 'runs'), 'a file in its place')
    const error = await failureOf(site.latestRun())
    expect(error.code).toBe('STATE_FOLDER_NOT_WRITABLE')
    expect(error.detail).toContain(join(site.folder, 'runs'))
  })
})

describe('the digest of a plan', () => {
  it('is its SHA-256', () => {
    expect(digestOf('')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(digestOf('{"version":1}')).not.toBe(digestOf('{"version":2}'))
  })
})
