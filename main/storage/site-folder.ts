import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises'
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
  /** Warnings of checks that somebody accepted. */
  readonly acknowledgementsFile: string
  /** Refused logins of all runs. */
  readonly loginAttemptsFile: string
  readonly #runs: string

  constructor(folder: string) {
    this.folder = folder
    this.identitiesFile = join(folder, 'identities.json')
    this.leaseFile = join(folder, 'lease.json')
    this.loginAttemptsFile = join(folder, 'login-attempts.json')
    this.acknowledgementsFile = join(folder, 'acknowledgements.json')
    this.#runs = join(folder, 'runs')
  }

  /**
   * Makes the folder of a new run, with the plan it begins with. `now` is real time; ids sort by it. Throws
   * `STATE_FOLDER_NOT_WRITABLE`.
   */
  async createRun(now: Date, canonicalPlan: string): Promise<RunFolder> {
    // 20260304-050607089: to the millisecond, so that the newest is known of two runs in the same second as well.
    const stamp = now
      .toISOString()
      .replace(/[-:.Z]/g, '')
      .replace('T', '-')
    const run = this.#run(`${stamp}-${randomBytes(2).toString('hex')}`)
    try {
      await mkdir(run.folder, { recursive: true, mode: 0o700 })
      await writeFile(run.planFile, canonicalPlan, { mode: 0o600 })
    } catch (error) {
      throw unusable('The folder for the journal cannot be made.', run.folder, error)
    }
    return run
  }

  /**
   * The newest run that has a journal. Throws when that cannot be told: to take an unreadable folder for an empty one
   * would begin the installation anew.
   */
  async latestRun(): Promise<RunFolder | undefined> {
    try {
      for (const name of (await namesIn(this.#runs)).toSorted().toReversed()) {
        const run = this.#run(name)
        if ((await sizeOf(run.journalFile)) > 0) return run
      }
      return undefined
    } catch (error) {
      throw unusable('The journals of earlier runs cannot be read.', this.#runs, error)
    }
  }

  #run(id: string): RunFolder {
    const folder = join(this.#runs, id)
    return { id, folder, journalFile: join(folder, 'journal.ndjson'), planFile: join(folder, 'plan.json') }
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isCode(error, 'ENOENT')) return []
    throw error
  }
}

/** 0 when there is no such file. */
async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size
  } catch (error) {
    // ENOTDIR: beside the folders of the runs lies a file of somebody else.
    if (isCode(error, 'ENOENT') || isCode(error, 'ENOTDIR')) return 0
    throw error
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

function unusable(title: string, folder: string, error: unknown): AppError {
  return new AppError({
    code: 'STATE_FOLDER_NOT_WRITABLE',
    title,
    detail: `${folder}: ${error instanceof Error ? error.message : String(error)}`,
    remedies: ['Free some space, correct the permissions, or name another folder in LANDFALL_STATE_DIR.'],
    cause: error,
  })
}

/** SHA-256 of the plan's canonical form. */
export function digestOf(canonicalPlan: string): string {
  return createHash('sha256').update(canonicalPlan).digest('hex')
}
