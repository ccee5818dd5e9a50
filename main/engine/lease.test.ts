import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { acquireLease } from './lease.ts'

const holderProgram = fileURLToPath(new URL('testing/lease-holder.ts', import.meta.url))

let directory: string
let file: string
const ended: (() => Promise<void>)[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'landfall-lease-'))
  file = join(directory, 'run.lock')
})
afterEach(async () => {
  vi.useRealTimers()
  await Promise.all(ended.splice(0).map((end) => end()))
  await rm(directory, { recursive: true, force: true })
})

/** A process that is ready to try for the lease. */
async function spawnHolder() {
  const child = spawn(process.execPath, [holderProgram, file], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const nextLine = async () => {
    const line = await lines.next()
    return line.done === true ? 'ended' : line.value
  }
  const kill = async () => {
    child.kill('SIGKILL')
    await exited
  }
  ended.push(kill)
  expect(await nextLine()).toBe('ready')
  return {
    kill,
    /** `held`, or the code of the error. */
    tryForIt: () => {
      child.stdin.write('go\n')
      return nextLine()
    },
    release: async () => {
      child.stdin.end()
      await exited
    },
  }
}

const foreignLease = {
  id: 'foreign',
  pid: 1,
  host: `not-${hostname()}`,
  processStart: null,
  acquired: 'then',
}

/** A lease of another workstation that was last heard of `seconds` ago. */
async function writeLease(content: object, seconds: number, at = file) {
  await writeFile(at, JSON.stringify(content))
  const time = new Date(Date.now() - seconds * 1000)
  await utimes(at, time, time)
}

async function holderId(): Promise<string> {
  return (JSON.parse(await readFile(file, 'utf8')) as { id: string }).id
}

describe('a lease', () => {
  it('is refused to a second process while the first one lives, and free after its release', async () => {
    const [first, second, third] = await Promise.all([spawnHolder(), spawnHolder(), spawnHolder()])
    expect(await first.tryForIt()).toBe('held')
    expect(await second.tryForIt()).toBe('RUN_IN_PROGRESS')
    await expect(acquireLease(file)).rejects.toMatchObject({
      code: 'RUN_IN_PROGRESS',
      detail: expect.stringContaining(`on ${hostname()} has held`) as string,
    })
    await first.release()
    expect(await third.tryForIt()).toBe('held')
  })

  it('is refused to a second run of the same process', async () => {
    const lease = await acquireLease(file)
    await expect(acquireLease(file)).rejects.toMatchObject({ code: 'RUN_IN_PROGRESS' })
    await lease.release()
    await (await acquireLease(file)).release()
    expect(await readdir(directory)).toEqual([])
  })

  it('is taken over at once when its process was killed', async () => {
    const [first, second] = await Promise.all([spawnHolder(), spawnHolder()])
    expect(await first.tryForIt()).toBe('held')
    await first.kill()
    expect(await second.tryForIt()).toBe('held')
    expect(await readdir(directory)).toEqual(['run.lock'])
  })

  it.skipIf(process.platform !== 'linux')(
    'is taken over when its process id belongs to another process now',
    async () => {
      const lease = await acquireLease(file)
      const content = JSON.parse(await readFile(file, 'utf8')) as object
      await lease.release()
      await writeLease({ ...content, processStart: '1' }, 0)
      await (await acquireLease(file)).release()
    },
  )

  it('of another workstation is taken over after 30 s without heartbeat, not before', async () => {
    await writeLease(foreignLease, 25)
    await expect(acquireLease(file)).rejects.toMatchObject({ code: 'RUN_IN_PROGRESS' })
    await writeLease(foreignLease, 31)
    const lease = await acquireLease(file)
    expect(await holderId()).not.toBe('foreign')
    await lease.release()
  })

  it('that nobody finished writing counts as taken while it is fresh', async () => {
    await writeFile(file, '{"id":')
    await expect(acquireLease(file)).rejects.toMatchObject({ code: 'RUN_IN_PROGRESS' })
    await utimes(file, new Date(0), new Date(0))
    await (await acquireLease(file)).release()
  })

  it('is inherited through heirs that died while they took it over', async () => {
    const dead = (id: string) => ({ ...foreignLease, id })
    await writeLease(dead('a'), 99)
    await writeLease(dead('b'), 99, `${file}.heir-of-a`)
    await writeLease(dead('c'), 99, `${file}.heir-of-b`)
    const lease = await acquireLease(file)
    expect(await readdir(directory)).toEqual(['run.lock'])
    await lease.release()
  })

  it('is not taken from an heir that lives', async () => {
    await writeLease(foreignLease, 99)
    await writeLease({ ...foreignLease, id: 'heir' }, 1, `${file}.heir-of-foreign`)
    await expect(acquireLease(file)).rejects.toMatchObject({ code: 'RUN_IN_PROGRESS' })
    expect(await holderId()).toBe('foreign')
  })

  it('is refused when its files refer to each other in a circle', async () => {
    await writeLease(foreignLease, 99)
    await writeLease(foreignLease, 99, `${file}.heir-of-foreign`)
    await expect(acquireLease(file)).rejects.toMatchObject({ code: 'LEASE_FAILED' })
  })

  it('says what to do when its folder cannot be written', async () => {
    await writeFile(join(directory, 'a-file'), '')
    await expect(acquireLease(join(directory, 'a-file', 'run.lock'))).rejects.toMatchObject({
      code: 'LEASE_FAILED',
    })
  })
})

describe('a race', () => {
  it('of processes for a stale lease has exactly one winner', async () => {
    const rounds = 3
    for (let round = 0; round < rounds; round += 1) {
      await writeLease({ ...foreignLease, id: `dead-${round}` }, 99)
      const holders = await Promise.all([spawnHolder(), spawnHolder(), spawnHolder()])
      const answers = await Promise.all(holders.map((holder) => holder.tryForIt()))
      expect(answers.toSorted()).toEqual(['RUN_IN_PROGRESS', 'RUN_IN_PROGRESS', 'held'])
      const winner = holders[answers.indexOf('held')]
      await winner?.release()
      expect(await readdir(directory)).toEqual([])
    }
  })

  it('of many attempts for a stale lease has exactly one winner, in every order of their steps', async () => {
    // Within one process the steps of the attempts interleave freely: hundreds of races in little time.
    for (let round = 0; round < 24; round += 1) {
      await writeLease({ ...foreignLease, id: `dead-${round}` }, 99)
      if (round % 2 === 1) {
        await writeLease({ ...foreignLease, id: `heir-${round}` }, 99, `${file}.heir-of-dead-${round}`)
      }
      const results = await Promise.allSettled(
        Array.from({ length: 2 + (round % 5) }, async (_, index) => {
          for (let turn = 0; turn < index * (round % 3); turn += 1) await stat(file)
          return acquireLease(file)
        }),
      )
      const leases = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      expect(leases).toHaveLength(1)
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'RUN_IN_PROGRESS' })
      }
      await leases[0]?.release()
    }
    expect(await readdir(directory)).toEqual([])
  })

  it('for a free lease has exactly one winner', async () => {
    for (let round = 0; round < 15; round += 1) {
      const results = await Promise.allSettled(Array.from({ length: 5 }, () => acquireLease(file)))
      const leases = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      expect(leases).toHaveLength(1)
      await leases[0]?.release()
    }
  })
})

describe('a heartbeat', () => {
  it('keeps the lease fresh', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const lease = await acquireLease(file)
    await utimes(file, new Date(0), new Date(0))
    vi.advanceTimersByTime(10_000)
    await vi.waitFor(async () => {
      expect(Date.now() - (await stat(file)).mtimeMs).toBeLessThan(5000)
    })
    expect(lease.lost.aborted).toBe(false)
    await lease.release()
  })

  it('aborts the run when somebody else has taken over, and leaves the other one its lease', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const lease = await acquireLease(file)
    await writeLease(foreignLease, 0)
    vi.advanceTimersByTime(10_000)
    await vi.waitFor(() => {
      expect(lease.lost.aborted).toBe(true)
    })
    expect(lease.lost.reason).toMatchObject({ code: 'LEASE_LOST' })
    await lease.release()
    expect(await holderId()).toBe('foreign')
  })

  it('aborts the run when the file is gone', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const lease = await acquireLease(file)
    await rm(file)
    vi.advanceTimersByTime(10_000)
    await vi.waitFor(() => {
      expect(lease.lost.reason).toMatchObject({ code: 'LEASE_LOST' })
    })
  })
})
