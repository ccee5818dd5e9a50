import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { AppError } from '../../shared/errors/index.ts'

/** Where Landfall keeps journals, identities and leases. `LANDFALL_STATE_DIR` overrides the platform's usual place. */
export function stateFolder(env: NodeJS.ProcessEnv, platform: NodeJS.Platform = process.platform): string {
  const override = env['LANDFALL_STATE_DIR']
  if (override !== undefined && override !== '') return override
  if (platform === 'win32')
    return join(env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local'), 'Landfall')
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'Landfall')
  const base = env['XDG_STATE_HOME']
  return join(base !== undefined && base !== '' ? base : join(homedir(), '.local', 'state'), 'landfall')
}

export interface RunFolder {
  readonly id: string
  readonly folder: string
  readonly journalFile: string
  readonly planFile: string
}

/** What belongs to one site: its identities, its lease, its runs. */
export class SiteFolder {
  readonly folder: string
  readonly identitiesFile: string
  readonly leaseFile: string
  readonly #runs: string

  constructor(folder: string) {
    this.folder = folder
    this.identitiesFile = join(folder, 'identities.json')
    this.leaseFile = join(folder, 'lease.json')
    this.#runs = join(folder, 'runs')
  }

  /** Makes the folder of a new run, with the plan it begins with. `now` is real time. */
  async createRun(now: Date, canonicalPlan: string): Promise<RunFolder> {
    const stamp = now.toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15)
    const run = this.#run(`${stamp}-${randomBytes(2).toString('hex')}`)
    await mkdir(run.folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw new AppError({
        code: 'STATE_FOLDER_NOT_WRITABLE',
        title: 'The folder for the journal cannot be made.',
        detail: `${run.folder}: ${error instanceof Error ? error.message : String(error)}`,
        remedies: ['Free some space, correct the permissions, or name another folder in LANDFALL_STATE_DIR.'],
        cause: error,
      })
    })
    await writeFile(run.planFile, canonicalPlan, { mode: 0o600 })
    return run
  }

  /** The newest run that has a journal. */
  async latestRun(): Promise<RunFolder | undefined> {
    const names = await readdir(this.#runs).catch(() => [])
    for (const name of names.toSorted().toReversed()) {
      const run = this.#run(name)
      const hasJournal = await readFile(run.journalFile).then(
        (content) => content.length > 0,
        () => false,
      )
      if (hasJournal) return run
    }
    return undefined
  }

  #run(id: string): RunFolder {
    const folder = join(this.#runs, id)
    return { id, folder, journalFile: join(folder, 'journal.ndjson'), planFile: join(folder, 'plan.json') }
  }
}

/** SHA-256 of the plan's canonical form. */
export function digestOf(canonicalPlan: string): string {
  return createHash('sha256').update(canonicalPlan).digest('hex')
}
