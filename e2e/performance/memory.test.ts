import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { open, stat, writeFile } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { installOnLab, openWorkplace, type Measured, type Workplace } from './processes.ts'
import { writePlan } from './sites.ts'

const gibibyte = 2 ** 30
const packBytes = 4 * gibibyte
const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

/** Most memory of the run, and of the lab, which must not gather an upload either. MiB. */
const runLimit = 300
const labLimit = 400

let place: Workplace
beforeEach(async () => {
  place = await openWorkplace()
})
afterEach(async () => {
  await place.clear()
})

async function install(packs: readonly string[]): Promise<Measured> {
  const plan = join(place.folder, 'plan.yaml')
  const scenario = join(place.folder, 'scenario.yaml')
  await writePlan(plan, 3, packs)
  // What is simulated is over soon; protocols keep their real times.
  await writeFile(scenario, JSON.stringify({ name: 'short waits', durationFactor: 0.02 }))
  const measured = await installOnLab(place, plan, ['--scenario', scenario, '--time-scale', '60'])
  expect(measured.run.exitCode, measured.run.errors).toBe(0)
  expect(measured.events.at(-1)).toMatchObject({ type: 'run-finished', outcome: 'done' })
  return measured
}

function describeMemory({ run, lab }: Measured): string {
  return (
    `run ${run.peakMebibytes.toFixed(0)} MiB, lab ${lab.peakMebibytes.toFixed(0)} MiB, ` +
    `${run.seconds.toFixed(0)} s`
  )
}

it('a run on three nodes needs less than 300 MiB', async (test) => {
  const measured = await install([])
  await test.annotate(describeMemory(measured))
  // Not one that never wrote its number.
  expect(measured.run.peakMebibytes).toBeGreaterThan(40)
  expect(measured.run.peakMebibytes).toBeLessThan(runLimit)
}, 120_000)

it('a pack of 4 GiB is sent, and proven to have arrived, with less than 300 MiB', async (test) => {
  const pack = join(place.folder, 'large.tar.zst')
  await writeSparsePack(pack)
  const sha256 = await hashOf(pack)
  const measured = await install([pack])
  await test.annotate(describeMemory(measured))
  expect(measured.events).toContainEqual(
    expect.objectContaining({
      type: 'evidence',
      phase: 'upload-packs',
      statement: 'large.tar.zst has arrived whole',
      seen: `${packBytes} bytes, SHA-256 ${sha256}`,
    }),
  )
  expect(measured.run.peakMebibytes).toBeGreaterThan(40)
  expect(measured.run.peakMebibytes).toBeLessThan(runLimit)
  expect(measured.lab.peakMebibytes).toBeGreaterThan(40)
  expect(measured.lab.peakMebibytes).toBeLessThan(labLimit)
}, 300_000)

/** A file with holes: it has four gigabytes to read and takes a few kilobytes of the disk. */
async function writeSparsePack(path: string): Promise<void> {
  const handle = await open(path, 'wx')
  try {
    await handle.write(zstdMagic)
    await handle.truncate(packBytes)
  } finally {
    await handle.close()
  }
  expect((await stat(path)).size).toBe(packBytes)
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  const input = createReadStream(path, { highWaterMark: 256 * 1024 })
  input.pipe(hash, { end: true })
  await once(hash, 'readable')
  return (hash.read() as Buffer).toString('hex')
}
