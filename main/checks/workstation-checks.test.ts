import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { checkResultSchema, resultOf, type CheckResult } from '../../shared/checks/index.ts'
import type { Plan } from '../../shared/plan/index.ts'
import { planWith } from '../engine/testing/run-harness.ts'
import { checkWorkstation } from './workstation-checks.ts'

vi.mock(import('node:fs/promises'), async (importOriginal) => {
  const original = await importOriginal()
  return { ...original, statfs: vi.fn(original.statfs) as unknown as typeof original.statfs }
})

const zstdMagic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-checks-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** As they are told, each of them well-formed. */
async function results(...given: Parameters<typeof checkWorkstation>): Promise<CheckResult[]> {
  return (await checkWorkstation(...given)).map((finding) => checkResultSchema.parse(resultOf(finding, 0)))
}

function checkFiles(packs: string[], bundle?: string): Promise<CheckResult[]> {
  const plan: Plan = planWith(1)
  const appliance: Plan['appliance'] = {
    ...plan.appliance,
    packs,
    content: bundle === undefined ? null : { bundle, signature: null },
  }
  return results({ ...plan, appliance }, { stateFolder: folder, fileOfPlan: (path) => join(folder, path) })
}

describe('room on the workstation', () => {
  const room = async (bavail: number): Promise<CheckResult | undefined> => {
    const real = await statfs(folder)
    vi.mocked(statfs).mockResolvedValueOnce({ ...real, bavail, bsize: 1_000_000 })
    return (await checkFiles([]))[0]
  }

  it.each([
    [2000, 'pass', 'warn', '2.0 GB free'],
    [1999, 'warn', 'warn', '1.9 GB free'],
    [200, 'warn', 'warn', '0.2 GB free'],
    [199, 'fail', 'block', '0.1 GB free'],
    [0, 'fail', 'block', '0.0 GB free'],
  ])('of %i MB: %s, %s', async (megabytes, state, severity, measured) => {
    expect(await room(megabytes)).toMatchObject({ id: 'ws.disk-free', state, severity, measured })
  })

  it('is measured where the state folder will be, before it is made', async () => {
    const deep = join(folder, 'not', 'made', 'yet')
    const [result] = await checkWorkstation(planWith(1), { stateFolder: deep, fileOfPlan: (path) => path })
    expect(vi.mocked(statfs)).toHaveBeenLastCalledWith(folder)
    expect(result?.state).not.toBe('could-not-run')
  })

  it('that cannot be measured is not a pass', async () => {
    vi.mocked(statfs).mockRejectedValueOnce(new Error('EIO: i/o error'))
    expect((await checkFiles([]))[0]).toMatchObject({ state: 'could-not-run', measured: 'EIO: i/o error' })
  })
})

describe('files to upload', () => {
  const stateOf = async (name: string) => (await checkFiles([name]))[1]

  it('pass when they begin as zstd files do: packs and the content bundle', async () => {
    for (const name of ['pack.tar.zst', 'content.zst'])
      await writeFile(join(folder, name), Buffer.concat([zstdMagic, Buffer.from('rest')]))
    const found = (await checkFiles(['pack.tar.zst'], 'content.zst')).slice(1)
    expect(found.map(({ target, state }) => [target, state])).toEqual([
      ['pack.tar.zst', 'pass'],
      ['content.zst', 'pass'],
    ])
    expect(found[0]?.measured).toBe('8 bytes, begins with 28b52ffd')
  })

  it.each([
    ['another format', Buffer.from('PK\u0003\u0004'), '504b0304'],
    ['fewer bytes than the magic number', zstdMagic.subarray(0, 3), '28b52f'],
    ['nothing', Buffer.alloc(0), '0 bytes'],
  ])('fail when they hold %s', async (_what, bytes, measured) => {
    await writeFile(join(folder, 'pack.zst'), bytes)
    const result = await stateOf('pack.zst')
    expect(result?.state).toBe('fail')
    expect(result?.measured).toContain(measured)
  })

  it('fail when they are missing, or a folder', async () => {
    expect((await stateOf('missing.zst'))?.measured).toContain('ENOENT')
    expect((await stateOf('missing.zst'))?.state).toBe('fail')
    await mkdir(join(folder, 'folder.zst'))
    expect((await stateOf('folder.zst'))?.state).toBe('fail')
  })
})

describe('the ISO file', () => {
  const checkIso = async (sha256: string | null): Promise<CheckResult | undefined> => {
    await writeFile(join(folder, 'palette.iso'), 'not really an image')
    const plan: Plan = planWith(1)
    const found = await results(
      { ...plan, appliance: { ...plan.appliance, iso: 'palette.iso', sha256 } },
      { stateFolder: folder, fileOfPlan: (path) => join(folder, path), readsMedia: true },
    )
    return found.find((result) => result.id === 'media.sha256')
  }

  it('passes only when its digest is the published one', async () => {
    const digest = createHash('sha256').update('not really an image').digest('hex')
    expect(await checkIso(digest)).toMatchObject({ state: 'pass', severity: 'block' })
    expect(await checkIso('0'.repeat(64))).toMatchObject({ state: 'fail', severity: 'block' })
  })

  it('without a published digest is no pass and asks for one', async () => {
    const result = await checkIso(null)
    expect(result).toMatchObject({ state: 'could-not-run', severity: 'warn' })
    expect(result?.remedy).toContain('appliance.sha256')
  })
})

describe('files that the plan names', () => {
  it('that are missing or empty are found before anything begins, each with its place in the plan', async () => {
    await writeFile(join(folder, 'empty.pem'), '')
    await writeFile(join(folder, 'good.pem'), 'PEM')
    const plan: Plan = planWith(1)
    const found = await results(
      {
        ...plan,
        access: { ...plan.access, sshKey: 'missing-key' },
        cluster: {
          ...plan.cluster,
          registry: { ...plan.cluster.registry, cert: 'empty.pem', caCert: 'good.pem' },
        },
      },
      { stateFolder: folder, fileOfPlan: (path) => join(folder, path) },
    )
    const states = found
      .filter((result) => result.id === 'ws.file-readable')
      .map((result) => [/\((.*)\)/.exec(result.title)?.[1], result.state])
    expect(states).toEqual([
      ['access.sshKey', 'fail'],
      ['cluster.registry.caCert', 'pass'],
      ['cluster.registry.cert', 'fail'],
    ])
  })
})
