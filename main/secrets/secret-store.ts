import { AppError, assertNever } from '../../shared/errors/index.ts'
import {
  PRODUCT_DEFAULT_REGISTRY_PASSWORD,
  productDefaultPasswords,
  secretReferencesOf,
  type Plan,
  type PlannedSecret,
  type SecretReference,
} from '../../shared/plan/index.ts'
import { generatePassword } from './generate-password.ts'
import { PASSPHRASE_REMEDY, unlockVault, type Environment } from './passphrase.ts'
import type { Prompter } from './prompter.ts'
import { createRedactor, MINIMUM_SECRET_LENGTH, type Redactor } from './redactor.ts'
import { vaultExists, vaultFileOf, type Vault } from './vault.ts'

/** The secrets of one plan. */
export interface SecretStore {
  /**
   * The secret. `field` is the place in the plan that needs it, for messages. A secret to be generated is made on
   * first use and is in the vault before this resolves.
   */
  resolve(ref: SecretReference, field: string): Promise<string>
  /** All secrets of the plan by field (`cluster.registry.password`). Generates those that are to be generated. */
  resolveAll(plan: Plan): Promise<ReadonlyMap<string, string>>
  /** Knows every secret that this store has given out or holds for the plan. */
  readonly redactor: Redactor
}

export interface SecretStoreOptions {
  plan: Plan
  /** The vault is found relative to it. */
  planFile: string
  env: Environment
  prompter: Prompter
  /**
   * Practice lab only: stands in for every secret that the environment does not give. Nobody is asked, and no vault is
   * read or written, because rehearsing must not touch what the real site needs.
   */
  fallback?: (name: string) => string
  /** log2 of scrypt's N for a vault that is written; only tests want less than the default. */
  scryptWorkFactor?: number
}

/** How a secret is got, in one text: equal texts are the same secret. */
function keyOf(ref: SecretReference): string {
  if ('env' in ref) return `env:${ref.env}`
  if ('prompt' in ref) return `prompt:${ref.prompt}`
  if ('vault' in ref) return `vault:${ref.vault}`
  if ('generate' in ref) return `vault:${ref.generate}`
  return assertNever(ref)
}

function nameOf(ref: SecretReference): string {
  if ('env' in ref) return ref.env
  if ('prompt' in ref) return ref.prompt
  if ('vault' in ref) return ref.vault
  if ('generate' in ref) return ref.generate
  return assertNever(ref)
}

/**
 * Gets everything that a person must give now, once: the passphrase of the vault and the answers to prompts. When
 * nobody can be asked, throws one `SECRETS_MISSING` that names every missing secret and the field that needs it.
 * Throws `SECRET_TOO_SHORT`, `SECRET_WEAK` and the errors of the vault.
 */
export async function openSecretStore(options: SecretStoreOptions): Promise<SecretStore> {
  const { plan, env, prompter, fallback } = options
  const planned = secretReferencesOf(plan)
  const redactor = createRedactor()
  const known = new Map<string, string>()
  const missing: string[] = []

  const keep = (ref: SecretReference, field: string, value: string): string => {
    protect(redactor, field, value)
    known.set(keyOf(ref), value)
    return value
  }

  for (const { ref, path } of planned) {
    if (!('env' in ref)) continue
    const value = env[ref.env]
    if (value !== undefined && value !== '') keep(ref, path, value)
    else if (fallback === undefined) missing.push(`${path}: the environment variable ${ref.env} is not set`)
  }

  let vault: Vault | undefined
  if (fallback === undefined) {
    vault = await openVaultOf(options, planned, missing)
    for (const { ref, path } of planned) {
      if (vault === undefined || !('vault' in ref || 'generate' in ref) || known.has(keyOf(ref))) continue
      const value = await vault.get(nameOf(ref))
      if (value !== undefined) keep(ref, path, value)
    }
    await askOnce(planned, vault)
  }
  if (missing.length > 0) throw secretsMissing(missing)
  checkStrength(planned, (ref) => known.get(keyOf(ref)), plan)

  async function askOnce(secrets: readonly PlannedSecret[], store: Vault | undefined): Promise<void> {
    // Whoever is missing something else would type the answers for nothing.
    const canAsk = prompter.isInteractive && missing.length === 0
    const answers = new Map<string, string>()
    for (const { ref, path } of secrets) {
      if (known.has(keyOf(ref)) || 'env' in ref || 'generate' in ref) continue
      const isVault = 'vault' in ref
      if (isVault && isToBeGenerated(secrets, ref)) continue
      // Without a vault that could be opened this is reported already.
      if (isVault && store === undefined) continue
      if (!canAsk) {
        missing.push(
          isVault
            ? `${path}: the vault has no secret "${ref.vault}"`
            : `${path}: "${ref.prompt}" must be answered on a terminal`,
        )
        continue
      }
      const question = isVault ? `Secret "${ref.vault}" (${path}), to be kept in the vault` : ref.prompt
      const answer = await prompter.askHidden(question)
      keep(ref, path, answer)
      if (isVault) answers.set(ref.vault, answer)
    }
    if (answers.size === 0) return
    await store?.update((content) => {
      for (const [name, answer] of answers) content.set(name, answer)
    })
  }

  /** One vault is written once for all that is to be generated: every writing derives a key, which is slow on purpose. */
  async function generateMissing(store: Vault, extra: PlannedSecret): Promise<void> {
    const userNames = [plan.access.user, plan.cluster.registry.username, plan.console.username]
    const wanted = [...planned, extra].filter(({ ref }) => 'generate' in ref && !known.has(keyOf(ref)))
    const content = await store.update((secrets) => {
      for (const { ref } of wanted) {
        // Another run may have made it meanwhile.
        if (!secrets.has(nameOf(ref))) secrets.set(nameOf(ref), generatePassword({ userNames }))
      }
    })
    for (const { ref, path } of wanted) {
      const value = content.get(nameOf(ref))
      if (value !== undefined) keep(ref, path, value)
    }
  }

  /** One after the other: two at once would each write a vault for the same names. */
  let queue: Promise<void> = Promise.resolve()

  async function resolve(ref: SecretReference, field: string): Promise<string> {
    const key = keyOf(ref)
    const value = known.get(key)
    if (value !== undefined) return value
    if (fallback !== undefined) return keep(ref, field, fallback(nameOf(ref)))
    if (vault !== undefined && ('generate' in ref || ('vault' in ref && isToBeGenerated(planned, ref)))) {
      const extra: PlannedSecret = { path: field, ref: { generate: nameOf(ref) } }
      const store = vault
      const turn = queue.then(() => (known.has(key) ? undefined : generateMissing(store, extra)))
      // The next in the queue starts whatever became of this one; its own caller sees the failure.
      queue = turn.catch(() => undefined)
      await turn
      const generated = known.get(key)
      if (generated !== undefined) return generated
    }
    throw secretsMissing([`${field}: ${describe(ref)} was not given when Landfall started`])
  }

  return {
    redactor,
    resolve,
    async resolveAll(wanted) {
      const resolved = new Map<string, string>()
      for (const { path, ref } of secretReferencesOf(wanted)) resolved.set(path, await resolve(ref, path))
      return resolved
    },
  }
}

function isToBeGenerated(planned: readonly PlannedSecret[], ref: { vault: string }): boolean {
  return planned.some((other) => 'generate' in other.ref && other.ref.generate === ref.vault)
}

function describe(ref: SecretReference): string {
  if ('env' in ref) return `the environment variable ${ref.env}`
  if ('prompt' in ref) return `the answer to "${ref.prompt}"`
  if ('vault' in ref) return `the secret "${ref.vault}" of the vault`
  if ('generate' in ref) return `the generated secret "${ref.generate}"`
  return assertNever(ref)
}

/** The vault, if the plan needs one. What cannot be had for want of a passphrase goes to `missing`. */
async function openVaultOf(
  options: SecretStoreOptions,
  planned: readonly PlannedSecret[],
  missing: string[],
): Promise<Vault | undefined> {
  const needing = planned.filter(({ ref }) => 'vault' in ref || 'generate' in ref)
  if (needing.length === 0) return undefined
  const file = vaultFileOf(options.planFile, options.plan.vault)
  const vault = await unlockVault({
    file,
    env: options.env,
    prompter: options.prompter,
    scryptWorkFactor: options.scryptWorkFactor,
  })
  if (vault === undefined) {
    const state = (await vaultExists(file)) ? 'is locked' : 'does not exist yet'
    for (const { path, ref } of needing) {
      missing.push(
        `${path}: ${describe(ref)} needs the vault ${file}, which ${state}, and its passphrase is not given`,
      )
    }
  }
  return vault
}

function secretsMissing(missing: readonly string[]): AppError {
  return new AppError({
    code: 'SECRETS_MISSING',
    title:
      missing.length === 1
        ? 'A secret of the plan is missing.'
        : `${missing.length} secrets of the plan are missing.`,
    detail: missing.join('\n'),
    remedies: [
      'Set the environment variables that are named above.',
      PASSPHRASE_REMEDY,
      'Put secrets into the vault with "landfall vault set NAME --plan FILE".',
      'Start Landfall on a terminal, where it asks for what is missing.',
    ],
  })
}

function protect(redactor: Redactor, field: string, value: string): void {
  const unusable = (code: string, title: string, remedy: string): AppError =>
    new AppError({ code, title, detail: `It is needed for ${field}.`, remedies: [remedy] })
  if ([...value].length < MINIMUM_SECRET_LENGTH) {
    throw unusable(
      'SECRET_TOO_SHORT',
      'A secret is too short to be protected.',
      `Choose one of at least ${MINIMUM_SECRET_LENGTH} characters: Landfall removes secrets from everything it writes, and cannot with a shorter one.`,
    )
  }
  if (field.toLowerCase().endsWith('password') && /\p{Cc}/u.test(value)) {
    throw unusable(
      'SECRET_UNUSABLE',
      'A password has a line break or another control character in it.',
      'Give it without the line break, for example with "printf %s" instead of "echo".',
    )
  }
  redactor.add(value)
}

/** Rules that the vendor publishes for the passwords that are set (palette.md §2.8); check `cred.strength`. */
function checkStrength(
  planned: readonly PlannedSecret[],
  valueOf: (ref: SecretReference) => string | undefined,
  plan: Plan,
): void {
  const faults = planned.flatMap(({ path, ref }) => {
    const value = valueOf(ref)
    return value === undefined ? [] : passwordFaults(path, value, plan).map((fault) => `${path} ${fault}`)
  })
  if (faults.length === 0) return
  throw new AppError({
    code: 'SECRET_WEAK',
    title: 'A password of the plan would be refused, or is publicly known.',
    detail: faults.join('\n'),
    remedies: ['Choose another password.', 'Let Landfall make it: write { generate: NAME } in the plan.'],
  })
}

function passwordFaults(path: string, password: string, plan: Plan): string[] {
  switch (path) {
    case 'access.newPassword':
      return password.toLowerCase() === productDefaultPasswords.node || password === plan.access.user
        ? ['is the documented default or the name of the account']
        : []
    case 'cluster.registry.password':
      return password === PRODUCT_DEFAULT_REGISTRY_PASSWORD
        ? ['is the documented default of the registry']
        : []
    case 'console.newPassword': {
      const groups: [RegExp, string][] = [
        [/^.{14,}$/su, 'has fewer than 14 characters'],
        [/\p{Lu}/u, 'has no upper-case letter'],
        [/\p{Ll}/u, 'has no lower-case letter'],
        [/\d/, 'has no digit'],
        [/[^\p{L}\d\s]/u, 'has no special character'],
      ]
      return groups.filter(([rule]) => !rule.test(password)).map(([, fault]) => fault)
    }
    default:
      return []
  }
}
