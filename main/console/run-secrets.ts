import { createHash } from 'node:crypto'
import process from 'node:process'
import { AppError } from '../../shared/errors/index.ts'
import type { Plan } from '../../shared/plan/index.ts'
import {
  createTerminalPrompter,
  openSecretStore,
  silentPrompter,
  vaultExists,
  vaultFileOf,
  type SecretStore,
} from '../secrets/index.ts'

/** The secrets of a run, and whether all of them could be had. */
export interface RunSecrets {
  readonly store: SecretStore
  /** False only in a dry run: the site is then read as far as that goes without them. */
  readonly isComplete: boolean
}

/**
 * Opens the secrets of a plan. On the practice lab everything that the environment does not give is made up, the same
 * in every process, so that a rehearsal needs neither questions nor a vault and can be resumed.
 */
export async function openRunSecrets(options: {
  readonly plan: Plan
  readonly planFile: string
  readonly mode: 'apply' | 'dry-run' | 'practice'
}): Promise<RunSecrets> {
  const { plan, planFile, mode } = options
  const base = { plan, planFile, env: process.env }
  if (mode === 'practice') {
    return {
      store: await openSecretStore({ ...base, prompter: silentPrompter, fallback: practiceSecret }),
      isComplete: true,
    }
  }
  const prompter = createTerminalPrompter(process.stdin, process.stderr)
  if (mode === 'apply') return { store: await openSecretStore({ ...base, prompter }), isComplete: true }
  try {
    // A dry run asks for the passphrase of a vault that is there, but makes no new one.
    const hasVault = await vaultExists(vaultFileOf(planFile, plan.vault))
    return {
      store: await openSecretStore({ ...base, prompter: hasVault ? prompter : silentPrompter }),
      isComplete: true,
    }
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'SECRETS_MISSING') throw error
    const store = await openSecretStore({ ...base, prompter: silentPrompter, fallback: practiceSecret })
    return { store, isComplete: false }
  }
}

/** Meets the password rules of the product; known to everybody, hence good for the practice lab only. */
function practiceSecret(name: string): string {
  return `Lab-7${createHash('sha256').update(`practice lab ${name}`).digest('hex').slice(0, 16)}`
}
