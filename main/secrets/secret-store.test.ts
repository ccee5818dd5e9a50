import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import { planTemplate, readPlan, type Plan } from '../../shared/plan/index.ts'
import { silentPrompter, type Prompter } from './prompter.ts'
import { openSecretStore, type SecretStoreOptions } from './secret-store.ts'
import { openVault } from './vault.ts'

const PASSPHRASE = 'five random words in a row'
const STRONG = 'Correct-Horse-7-Battery'
const SCRYPT = 4

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-secrets-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})

function plan(...edits: [string, string][]): Plan {
  const text = edits.reduce((edited, [find, replacement]) => {
    expect(edited).toContain(find)
    return edited.replace(find, replacement)
  }, planTemplate())
  const result = readPlan(text, 'site.yaml')
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.plan
}

const vaultFile = () => join(folder, 'site.vault.age')
const openTestVault = () => openVault({ file: vaultFile(), passphrase: PASSPHRASE, scryptWorkFactor: SCRYPT })

function open(options: Partial<SecretStoreOptions> & { plan: Plan }) {
  return openSecretStore({
    planFile: join(folder, 'site.yaml'),
    env: { LANDFALL_VAULT_PASSPHRASE: PASSPHRASE },
    prompter: silentPrompter,
    scryptWorkFactor: SCRYPT,
    ...options,
  })
}

/** Answers questions from a list, in order, and remembers them. */
function scripted(...answers: string[]): Prompter & { questions: string[] } {
  const questions: string[] = []
  return {
    isInteractive: true,
    questions,
    askHidden: (question) => {
      questions.push(question)
      const answer = answers.shift()
      return answer === undefined
        ? Promise.reject(new Error(`no answer for ${question}`))
        : Promise.resolve(answer)
    },
  }
}

async function failureOf(promise: Promise<unknown>): Promise<AppError> {
  const failure: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(failure instanceof AppError)) throw new Error(`no AppError but ${String(failure)}`)
  return failure
}

describe('generated secrets', () => {
  it('are in the vault before they are handed out, and the same for ever', async () => {
    const store = await open({ plan: plan() })
    expect(await readdir(folder)).toEqual([])
    const password = await store.resolve({ generate: 'node' }, 'access.newPassword')
    expect(await (await openTestVault()).get('node')).toBe(password)
    const again = await open({ plan: plan() })
    expect(await again.resolve({ generate: 'node' }, 'access.newPassword')).toBe(password)
  })

  it('are one each, also when several ask at once', async () => {
    const store = await open({ plan: plan() })
    const asked = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        store.resolve({ generate: index % 2 === 0 ? 'node' : 'extra' }, 'x'),
      ),
    )
    expect(new Set(asked).size).toBe(2)
    const vault = await openTestVault()
    expect(await vault.names()).toEqual(['console', 'extra', 'node', 'registry'])
    expect([await vault.get('node'), await vault.get('extra')]).toEqual([asked[0], asked[1]])
  })

  it('are one each, also when two runs make them at once', async () => {
    const [one, two] = [await open({ plan: plan() }), await open({ plan: plan() })]
    const [a, b] = await Promise.all([one.resolveAll(plan()), two.resolveAll(plan())])
    expect(Object.fromEntries(a)).toEqual(Object.fromEntries(b))
  })

  it('can be referred to as secrets of the vault', async () => {
    const wanted = plan(
      ['initialPassword: product-default', 'initialPassword: { vault: node-before }'],
      ['{ generate: console }', '{ vault: registry }'],
    )
    await (await openTestVault()).update((secrets) => secrets.set('node-before', 'from the cupboard'))
    const all = await (await open({ plan: wanted })).resolveAll(wanted)
    expect(all.get('console.newPassword')).toBe(all.get('cluster.registry.password'))
    expect(all.get('access.initialPassword')).toBe('from the cupboard')
  })
})

describe('secrets from elsewhere', () => {
  it('come from the environment', async () => {
    const wanted = plan(['{ generate: console }', '{ env: CONSOLE }'])
    const store = await open({
      plan: wanted,
      env: { LANDFALL_VAULT_PASSPHRASE: PASSPHRASE, CONSOLE: STRONG },
    })
    expect(await store.resolve({ env: 'CONSOLE' }, 'console.newPassword')).toBe(STRONG)
  })

  it('take the passphrase from a file', async () => {
    const file = join(folder, 'passphrase')
    await writeFile(file, `${PASSPHRASE}\n`)
    const store = await open({ plan: plan(), env: { LANDFALL_VAULT_PASSPHRASE_FILE: file } })
    const password = await store.resolve({ generate: 'node' }, 'x')
    expect(await (await openTestVault()).get('node')).toBe(password)
  })

  it('are asked for all up front, and each once', async () => {
    const wanted = plan(
      ['initialPassword: product-default', 'initialPassword: { prompt: First password }'],
      ['{ generate: registry }', '{ prompt: First password }'],
      ['{ generate: console }', '{ vault: console }'],
    )
    const prompter = scripted(PASSPHRASE, PASSPHRASE, 'the first password', STRONG)
    const store = await open({ plan: wanted, env: {}, prompter })
    expect(prompter.questions).toEqual([
      'Passphrase for the new vault site.vault.age (at least 10 characters)',
      'The same passphrase again',
      'First password',
      'Secret "console" (console.newPassword), to be kept in the vault',
    ])
    await store.resolveAll(wanted)
    expect(prompter.questions).toHaveLength(4)
    expect(await (await openTestVault()).get('console')).toBe(STRONG)
  })

  it('get three attempts at the passphrase', async () => {
    await (await openTestVault()).update((secrets) => secrets.set('node', 'kept in the vault'))
    const prompter = scripted('wrong wrong', 'wrong again', PASSPHRASE)
    const store = await open({ plan: plan(), env: {}, prompter })
    expect(await store.resolve({ generate: 'node' }, 'x')).toBe('kept in the vault')
    const hopeless = scripted('wrong 1 1 1', 'wrong 2 2 2', 'wrong 3 3 3')
    expect(await failureOf(open({ plan: plan(), env: {}, prompter: hopeless }))).toMatchObject({
      code: 'VAULT_PASSPHRASE_WRONG',
    })
  })
})

describe('missing secrets', () => {
  it('are all named at once, with the field that needs each, when nobody can be asked', async () => {
    const wanted = plan(
      ['initialPassword: product-default', 'initialPassword: { prompt: First password }'],
      ['{ generate: registry }', '{ env: REGISTRY_PASSWORD }'],
      ['{ generate: console }', '{ vault: console }'],
    )
    const failure = await failureOf(open({ plan: wanted, env: { REGISTRY_PASSWORD: '' } }))
    expect(failure.code).toBe('SECRETS_MISSING')
    expect(failure.title).toContain('4 secrets')
    for (const field of [
      'access.initialPassword',
      'access.newPassword',
      'cluster.registry.password',
      'console.newPassword',
    ]) {
      expect(failure.detail).toContain(field)
    }
    expect(failure.detail).toContain('REGISTRY_PASSWORD')
    expect(failure.remedies.join(' ')).toContain('LANDFALL_VAULT_PASSPHRASE_FILE')
  })

  it('are not asked for when an environment variable is missing anyway', async () => {
    const wanted = plan(
      ['initialPassword: product-default', 'initialPassword: { prompt: First password }'],
      ['{ generate: registry }', '{ env: REGISTRY_PASSWORD }'],
    )
    const prompter = scripted(PASSPHRASE, PASSPHRASE)
    expect(await failureOf(open({ plan: wanted, env: {}, prompter }))).toMatchObject({
      code: 'SECRETS_MISSING',
    })
    expect(prompter.questions).not.toContain('First password')
  })
})

describe('secrets that cannot be used', () => {
  it.each([
    ['abc', 'SECRET_TOO_SHORT'],
    ['with\na line break 1A', 'SECRET_UNUSABLE'],
    ['short1!A', 'SECRET_WEAK'],
    ['all-lower-case-letters-7', 'SECRET_WEAK'],
  ])('are refused: %j', async (value, code) => {
    const wanted = plan(['{ generate: console }', '{ env: CONSOLE }'])
    const failure = await failureOf(
      open({ plan: wanted, env: { LANDFALL_VAULT_PASSPHRASE: PASSPHRASE, CONSOLE: value } }),
    )
    expect(failure.code).toBe(code)
    expect(failure.message + failure.remedies.join(' ')).toContain('console.newPassword')
    expect(JSON.stringify(failure.toData())).not.toContain(value)
  })

  it('include the registry password that everybody knows', async () => {
    const wanted = plan(['{ generate: registry }', '{ env: REGISTRY }'])
    const env = { LANDFALL_VAULT_PASSPHRASE: PASSPHRASE, REGISTRY: 'Spectro@123' }
    expect(await failureOf(open({ plan: wanted, env }))).toMatchObject({ code: 'SECRET_WEAK' })
  })
})

describe('on the practice lab', () => {
  it('everything that is missing is stood in for, nobody is asked and nothing is written', async () => {
    const wanted = plan(
      ['initialPassword: product-default', 'initialPassword: { prompt: First password }'],
      ['{ generate: registry }', '{ env: REGISTRY }'],
    )
    const prompter = scripted()
    const store = await open({ plan: wanted, env: {}, prompter, fallback: (name) => `practice ${name}` })
    const all = await store.resolveAll(wanted)
    expect(Object.fromEntries(all)).toEqual({
      'access.initialPassword': 'practice First password',
      'access.newPassword': 'practice node',
      'cluster.registry.password': 'practice REGISTRY',
      'console.newPassword': 'practice console',
    })
    expect(prompter.questions).toEqual([])
    expect(await readdir(folder)).toEqual([])
  })
})

describe('the redactor of the store', () => {
  it('knows every secret that was handed out', async () => {
    const store = await open({ plan: plan() })
    const all = await store.resolveAll(plan())
    const text = [...all.values()].join(' and ')
    expect(store.redactor.redact(text)).toBe('[redacted] and [redacted] and [redacted]')
  })
})
