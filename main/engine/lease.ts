import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { z } from 'zod'
import { AppError } from '../../shared/errors/index.ts'

const heartbeatMilliseconds = 10_000
/** Three missed heartbeats. */
const expiryMilliseconds = 30_000

const leaseSchema = z.object({
  id: z.string(),
  pid: z.int(),
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
 */
export async function acquireLease(file: string): Promise<Lease> {
  await mkdir(dirname(file), { recursive: true })
  const own: LeaseContent = {
    id: randomUUID(),
    pid: process.pid,
    host: hostname(),
    processStart: await processStartOf(process.pid),
    acquired: new Date().toISOString(),
  }
  // Twice at most: once more after a stale lease was moved out of the way.
  for (let attempt = 0; attempt < 2; attempt += 1) {
    if (await createExclusively(file, own)) return keepAlive(file, own)
    const other = await readLease(file)
    if (other !== undefined && (await isAlive(file, other))) throw inProgress(file, other)
    await moveAway(file, own.id)
  }
  throw inProgress(file, await readLease(file))
}

async function createExclusively(file: string, content: LeaseContent): Promise<boolean> {
  try {
    const handle = await open(file, 'wx', 0o600)
    try {
      await handle.writeFile(JSON.stringify(content))
      await handle.sync()
    } finally {
      await handle.close()
    }
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  }
}

function keepAlive(file: string, own: LeaseContent): Lease {
  const lost = new AbortController()
  const beat = async () => {
    const current = await readLease(file)
    if (current?.id === own.id) {
      const now = new Date()
      await utimes(file, now, now)
      return
    }
    clearInterval(timer)
    lost.abort(
      new AppError({
        code: 'LEASE_LOST',
        title: 'Another process took over this run.',
        detail: `${file} is not ours any more.`,
        remedies: ['Let the other process finish, or stop it and go on with --resume.'],
      }),
    )
  }
  const timer = setInterval(() => {
    beat().catch((error: unknown) => {
      lost.abort(error)
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

async function readLease(file: string): Promise<LeaseContent | undefined> {
  try {
    return leaseSchema.safeParse(JSON.parse(await readFile(file, 'utf8'))).data
  } catch (error) {
    // Half written by a process that died in the act: as good as no lease, once it is old enough.
    if (error instanceof SyntaxError || isCode(error, 'ENOENT')) return undefined
    throw error
  }
}

async function isAlive(file: string, lease: LeaseContent): Promise<boolean> {
  if (lease.host === hostname()) {
    try {
      process.kill(lease.pid, 0)
    } catch (error) {
      // EPERM: it lives, but belongs to somebody else.
      if (!isCode(error, 'EPERM')) return false
    }
    return lease.processStart === (await processStartOf(lease.pid))
  }
  const { mtimeMs } = await stat(file)
  return Date.now() - mtimeMs < expiryMilliseconds
}

/** Renaming is atomic: of several processes that find the same stale lease only one succeeds. */
async function moveAway(file: string, id: string): Promise<void> {
  const aside = `${file}.stale-${id}`
  try {
    await rename(file, aside)
    await rm(aside, { force: true })
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
  }
}

/** Field 22 of /proc/PID/stat (proc(5)); null where there is no such file. */
async function processStartOf(pid: number): Promise<string | null> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
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
