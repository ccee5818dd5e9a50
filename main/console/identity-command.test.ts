import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RunEvent } from '../../shared/events/index.ts'
import { planTemplate } from '../../shared/plan/index.ts'
import { createJournal } from '../engine/journal.ts'
import { openIdentityStore } from '../storage/index.ts'
import { SiteFolder } from '../storage/site-folder.ts'
import { forgetIdentities } from './identity-command.ts'

let folder: string
let site: SiteFolder
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-identity-'))
  vi.stubEnv('LANDFALL_STATE_DIR', folder)
  vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  site = new SiteFolder(join(folder, 'sites', 'site-1'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

const planFile = async (vip: string) => {
  const file = join(folder, 'plan.yaml')
  await writeFile(file, planTemplate({ vip }))
  return file
}

/** A run that told these addresses. */
async function run(at: Date, ...addresses: string[]): Promise<void> {
  const { journalFile } = await site.createRun(at, '{}')
  const journal = await createJournal(journalFile)
  const time = at.toISOString()
  const shape = { runId: 'r', site: 'site-1', planDigest: 'a'.repeat(64), mode: 'apply' as const }
  const events: RunEvent[] = [
    { type: 'run-started', seq: 1, time, ...shape, phases: [], nodes: [] },
    ...addresses.map((address, index): RunEvent => ({
      type: 'vip-chosen',
      seq: index + 2,
      time,
      phase: 'find-vip',
      address,
    })),
  ]
  for (const event of events) await journal.append(event)
  await journal.close()
}

const consoles = ['10.10.200.100', '10.10.200.163', '10.10.200.171'].map((host) => ({ host, port: 443 }))

async function pinAll(): Promise<void> {
  const store = await openIdentityStore(site.identitiesFile)
  const identity = { algorithm: 'x509', fingerprint: 'f', firstSeen: '2026-01-01T00:00:00.000Z' }
  for (const endpoint of consoles) await store.pin('tls', endpoint, identity)
}

async function known(): Promise<string[]> {
  const store = await openIdentityStore(site.identitiesFile)
  return consoles.flatMap((endpoint) => (store.get('tls', endpoint) === undefined ? [] : [endpoint.host]))
}

describe('forgetting the identity of the console', () => {
  it('means the address of the plan', async () => {
    await pinAll()
    await run(new Date('2026-01-01'), '10.10.200.163')
    expect(await forgetIdentities(await planFile('10.10.200.100'), 'console', false)).toBe(0)
    expect(await known()).toEqual(['10.10.200.163', '10.10.200.171'])
  })

  it('means the address that the last run chose last, with vip: auto', async () => {
    await pinAll()
    await run(new Date('2026-01-01'), '10.10.200.100')
    await run(new Date('2026-01-02'), '10.10.200.171', '10.10.200.163')
    expect(await forgetIdentities(await planFile('auto'), 'console', false)).toBe(0)
    expect(await known()).toEqual(['10.10.200.100', '10.10.200.171'])
  })

  it.each([
    ['no run was begun', []],
    ['the run chose none', [undefined]],
  ])('says so when the address is not known, because %s', async (_name, runs) => {
    await pinAll()
    for (const _run of runs) await run(new Date('2026-01-01'))
    await expect(forgetIdentities(await planFile('auto'), 'console', false)).rejects.toMatchObject({
      code: 'BAD_ARGUMENT',
      title: 'It is not known at which address the system console is.',
    })
    expect(await known()).toHaveLength(3)
  })
})
