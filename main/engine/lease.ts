import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { AppError } from '../../shared/errors/index.ts'

const heartbeatMilliseconds = 10_000
/** Three missed heartbeats. */
const expiryMilliseconds = 30_000

const leaseSchema = z.object({
  id: z.string(),
  pid: z.int().positive(),
  host: z.string(),
  /** Kernel start time of the process where known, so that a reused process id is not mistaken for it. */
  processStart: z.string().nullable(),
  acquired: z.string(),
})
type LeaseContent = z.infer<typeof leaseSchema>

/** The right to run a plan; nobody else has it at the same time. */
export interface Lease {
  /** Aborted, with an `AppError` as reason, when the lease got lost. */
  readonly lost: AbortSignal
  release(): Promise<void>
}

/**
 * Takes the lease or throws `RUN_IN_PROGRESS`. A lease whose process is dead (same workstation), or whose heartbeat is
 * older than 30 s (another one, through a shared folder), is taken over.
 *
 * Times are real time: a lease is between processes of the workstation.
 *
 * Taking over cannot be "remove the stale file, create an own one": whoever found the same stale file a moment ago
 * would remove the new one. Therefore a stale lease has one heir, whoever creates the file that is named after the id
 * of the dead one; the heir then replaces the lease in one step. Should the heir die in between, its claim is inherited
 * in the same way. As ids never come back, a claim that comes too late is seen by looking at the lease again.
 */
export async function acquireLease(file: string): Promise<Lease> {
  const own: LeaseContent = {
    id: randomUUID(),
    pid: process.pid,
    host: hostname(),
    processStart: await processStartOf(process.pid),
    acquired: new Date().toISOString(),
  }
  try {
    await mkdir(dirname(file), { recursive: true })
    // More than one turn only when the holder changes while we look; whoever keeps changing it is alive.
    for (let turn = 0; turn < 5; turn += 1) {
      if (await createExclusively(file, own)) return keepAlive(file, own)
      if ((await inherit(file, own)) === 'inherited') return keepAlive(file, own)
    }
  } catch (error) {
    throw error instanceof AppError ? error : leaseFailed(file, error)
  }
  throw inProgress(file, await readLease(file))
}

/** Takes over from a dead holder, by way of dead heirs. `moved`: somebody was faster, or the lease is free now. */
async function inherit(file: string, own: LeaseContent): Promise<'inherited' | 'moved'> {
  const dead: { path: string; id: string }[] = []
  let path = file
  for (;;) {
    const state = await lookAt(path)
    if (state.kind === 'absent') return 'moved'
    if (state.kind === 'alive') throw inProgress(file, state.lease)
    dead.push({ path, id: state.id })
    path = claimOf(file, state.id)
    // Ids are unique; only files that were damaged or copied by hand can refer to each other in a circle.
    if (dead.some((seen) => seen.path === path)) throw new Error(`${path} is damaged; remove it`)
    if (await createExclusively(path, own)) break
  }
  for (const seen of dead) {
    const state = await lookAt(seen.path)
    if (state.kind !== 'dead' || state.id !== seen.id) {
      await rm(path, { force: true })
      return 'moved'
    }
  }
  await rename(path, file)
  await removeOldClaims(file, own.id)
  return 'inherited'
}

function claimOf(file: string, deadId: string): string {
  return `${file}.heir-of-${deadId}`
}

/** All claims but those on our own lease are settled as soon as the lease is ours. */
async function removeOldClaims(file: string, ownId: string): Promise<void> {
  const prefix = basename(claimOf(file, ''))
  for (const name of await readdir(dirname(file))) {
    if (!name.startsWith(prefix) || name === `${prefix}${ownId}`) continue
    await rm(join(dirname(file), name), { force: true })
  }
}

/** Creates the file with its content in one step, or tells that it is there already. */
async function createExclusively(file: string, content: LeaseContent): Promise<boolean> {
  const draft = join(dirname(file), `.${randomUUID()}.draft`)
  try {
    await writeNew(draft, content)
    await link(draft, file)
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    if (!cannotLinkCodes.some((code) => isCode(error, code))) throw error
  } finally {
    await rm(draft, { force: true })
  }
  // A file system without hard links (FAT, some shares). For a moment the file is there without its content; readers
  // take a fresh one that they cannot read for alive.
  try {
    await writeNew(file, content)
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  }
}

const cannotLinkCodes = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL']

async function writeNew(file: string, content: LeaseContent): Promise<void> {
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(JSON.stringify(content))
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function keepAlive(file: string, own: LeaseContent): Lease {
  const lost = new AbortController()
  let lastBeat = Date.now()
  const lose = (detail: string, cause?: unknown) => {
    clearInterval(timer)
    lost.abort(
      new AppError({
        code: 'LEASE_LOST',
        title: 'Another process may have taken over this run.',
        detail,
        remedies: ['Let the other process finish, or stop it and go on with --resume.'],
        cause,
      }),
    )
  }
  const beat = async () => {
    if ((await readLease(file))?.id !== own.id) {
      lose(`${file} is not ours any more.`)
      return
    }
    const now = new Date()
    await utimes(file, now, now)
    lastBeat = now.getTime()
  }
  const timer = setInterval(() => {
    beat().catch((error: unknown) => {
      // One failed write to a share is no loss; but before others may take over, this run has to end.
      if (Date.now() - lastBeat < expiryMilliseconds - heartbeatMilliseconds) return
      lose(`${file} could not be renewed: ${error instanceof Error ? error.message : String(error)}.`, error)
    })
  }, heartbeatMilliseconds)
  timer.unref()
  return {
    lost: lost.signal,
    release: async () => {
      clearInterval(timer)
      if ((await readLease(file))?.id === own.id) await rm(file, { force: true })
    },
  }
}

type LeaseState =
  { kind: 'absent' } | { kind: 'alive'; lease: LeaseContent | undefined } | { kind: 'dead'; id: string }

async function lookAt(file: string): Promise<LeaseState> {
  const lease = await readLease(file)
  if (lease?.host === hostname()) {
    return (await isProcessAlive(lease)) ? { kind: 'alive', lease } : { kind: 'dead', id: lease.id }
  }
  try {
    const { mtimeMs } = await stat(file)
    if (Date.now() - mtimeMs < expiryMilliseconds) return { kind: 'alive', lease }
    return { kind: 'dead', id: lease?.id ?? `unreadable-${Math.trunc(mtimeMs)}` }
  } catch (error) {
    if (isCode(error, 'ENOENT')) return { kind: 'absent' }
    throw error
  }
}

/** `undefined`: no lease, or one that nobody finished writing. */
async function readLease(file: string): Promise<LeaseContent | undefined> {
  try {
    return leaseSchema.safeParse(JSON.parse(await readFile(file, 'utf8'))).data
  } catch (error) {
    if (error instanceof SyntaxError || isCode(error, 'ENOENT')) return undefined
    throw error
  }
}

async function isProcessAlive(lease: LeaseContent): Promise<boolean> {
  try {
    process.kill(lease.pid, 0)
  } catch (error) {
    // EPERM: it lives, but belongs to somebody else.
    if (!isCode(error, 'EPERM')) return false
  }
  return lease.processStart === (await processStartOf(lease.pid))
}

/** Field 22 of /proc/PID/stat (proc(5)); null where there is no such file, and for a process that has ended. */
async function processStartOf(pid: number): Promise<string | null> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The second field, the name in brackets, may contain anything; field 3 is the state.
    const [state, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    // A zombie's parent has not yet asked how it ended; it does nothing any more.
    return state === 'Z' || state === 'X' ? null : (rest[18] ?? null)
  } catch {
    return null
  }
}

function leaseFailed(file: string, error: unknown): AppError {
  return new AppError({
    code: 'LEASE_FAILED',
    title: 'The lock file of this run cannot be written.',
    detail: `${file}: ${error instanceof Error ? error.message : String(error)}. Nothing was changed on the site.`,
    remedies: ['Check its folder: it must be writable, and its disk must have some space left.'],
    cause: error,
  })
}

function inProgress(file: string, lease: LeaseContent | undefined): AppError {
  return new AppError({
    code: 'RUN_IN_PROGRESS',
    title: 'This plan is being run already.',
    detail:
      lease === undefined
        ? `The lease ${file} was just taken by another process.`
        : `Process ${lease.pid} on ${lease.host} has held ${file} since ${lease.acquired}.`,
    remedies: ['Watch or stop that one.', 'After it has ended, go on with --resume.'],
  })
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
