import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import process from 'node:process'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { planSchema, type Plan } from '../../shared/plan/index.ts'
import { openVault } from '../secrets/vault.ts'
import { openRunSecrets } from './run-secrets.ts'

let folder: string
let planFile: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-secrets-'))
  planFile = join(folder, 'plan.yaml')
  for (const name of [
    'LANDFALL_VAULT_PASSPHRASE',
    'LANDFALL_VAULT_PASSPHRASE_FILE',
    'TEST_REGISTRY_PASSWORD',
  ])
    vi.stubEnv(name, undefined)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

const plan: Plan = planSchema.parse({
  version: 1,
  site: { name: 'rig-7', network: '10.10.200.0/24', vip: '10.10.200.100' },
  access: { newPassword: { generate: 'node' }, sshKey: './key', sshKeyPassphrase: { prompt: 'Passphrase?' } },
  nodes: [{ name: 'n1', address: '10.10.200.1', leader: true }],
  cluster: { name: 'palette', registry: { password: { env: 'TEST_REGISTRY_PASSWORD' } } },
  console: { email: 'ops@example.com', newPassword: { vault: 'console' } },
})
const onlyEnvironment: Plan = {
  ...plan,
  access: { ...plan.access, newPassword: { env: 'TEST_REGISTRY_PASSWORD' }, sshKeyPassphrase: null },
  console: { ...plan.console, newPassword: { env: 'TEST_REGISTRY_PASSWORD' } },
}

async function practiceSecrets(): Promise<Record<string, string>> {
  const { store, isComplete } = await openRunSecrets({ plan, planFile, mode: 'practice' })
  expect(isComplete).toBe(true)
  return Object.fromEntries(await store.resolveAll(plan))
}

describe('secrets of a rehearsal', () => {
  it('are made up without a question, and meet the rules of every account (palette.md §2.8)', async () => {
    const secrets = await practiceSecrets()
    expect(Object.keys(secrets).toSorted()).toEqual([
      'access.newPassword',
      'access.sshKeyPassphrase',
      'cluster.registry.password',
      'console.newPassword',
    ])
    for (const secret of Object.values(secrets)) {
      expect(secret.length).toBeGreaterThanOrEqual(15)
      expect(secret.length).toBeLessThanOrEqual(64)
      for (const kind of [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z0-9]/]) expect(secret).toMatch(kind)
      expect(secret).not.toMatch(/[\s'"\\]/)
      for (const user of ['kairos', 'admin', 'spectro']) expect(secret.toLowerCase()).not.toContain(user)
    }
    expect(new Set(Object.values(secrets)).size).toBe(4)
  })

  it('are the same in every process, so that a rehearsal can go on', async () => {
    const module = pathToFileURL(join(import.meta.dirname, 'run-secrets.ts')).href
    const script = `
      import { openRunSecrets } from ${JSON.stringify(module)}
      const { plan, planFile } = JSON.parse(process.argv[1])
      const { store } = await openRunSecrets({ plan, planFile, mode: 'practice' })
      console.log(JSON.stringify(Object.fromEntries(await store.resolveAll(plan))))
    `
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', script, JSON.stringify({ plan, planFile })],
      { env: { PATH: process.env['PATH'] } },
    )
    expect(JSON.parse(stdout)).toEqual(await practiceSecrets())
  })

  it('are those of the environment where it gives some', async () => {
    vi.stubEnv('TEST_REGISTRY_PASSWORD', 'From-the-environment-7')
    expect((await practiceSecrets())['cluster.registry.password']).toBe('From-the-environment-7')
  })

  it('leave the vault of the real site alone: none is made, an existing one is not read', async () => {
    await practiceSecrets()
    expect(await readdir(folder)).toEqual([])
    await writeFile(join(folder, 'plan.vault.age'), 'not even a vault')
    await practiceSecrets()
    expect(await readdir(folder)).toEqual(['plan.vault.age'])
  })
})

describe('secrets of a dry run', () => {
  it('that are missing make it incomplete instead of stopping it, and no vault', async () => {
    const { isComplete, store } = await openRunSecrets({ plan, planFile, mode: 'dry-run' })
    expect(isComplete).toBe(false)
    expect(store.redactor.redact('nothing to hide')).toBe('nothing to hide')
    expect(await readdir(folder)).toEqual([])
  })

  it('that the environment gives make it complete', async () => {
    vi.stubEnv('TEST_REGISTRY_PASSWORD', 'From-the-environment-7')
    const { isComplete, store } = await openRunSecrets({ plan: onlyEnvironment, planFile, mode: 'dry-run' })
    expect(isComplete).toBe(true)
    expect(await store.resolve({ env: 'TEST_REGISTRY_PASSWORD' }, 'cluster.registry.password')).toBe(
      'From-the-environment-7',
    )
    expect(await readdir(folder)).toEqual([])
  })

  it('stop it when the vault that is there does not open: a wrong passphrase is no missing one', async () => {
    const vault = await openVault({
      file: join(folder, 'plan.vault.age'),
      passphrase: 'the right passphrase',
      scryptWorkFactor: 2,
    })
    await vault.update((secrets) => secrets.set('console', 'Console-password-12'))
    vi.stubEnv('LANDFALL_VAULT_PASSPHRASE', 'a wrong passphrase')
    await expect(openRunSecrets({ plan, planFile, mode: 'dry-run' })).rejects.toMatchObject({
      code: 'VAULT_PASSPHRASE_WRONG',
    })
  })
})

describe('secrets of a run', () => {
  it('that are missing stop it before anything is begun, all of them named', async () => {
    const error = await openRunSecrets({ plan, planFile, mode: 'apply' }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'SECRETS_MISSING' })
    expect(String(error)).toContain('TEST_REGISTRY_PASSWORD')
    expect(String(error)).toContain('access.sshKeyPassphrase')
    expect(await readdir(folder)).toEqual([])
  })
})
