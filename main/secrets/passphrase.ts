import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { AppError } from '../../shared/errors/index.ts'
import type { Prompter } from './prompter.ts'
import { MINIMUM_PASSPHRASE_LENGTH, openVault, vaultExists, type Vault } from './vault.ts'

/** Environment variables; only the ones named here are read. */
export type Environment = Readonly<Record<string, string | undefined>>

const VARIABLE = 'LANDFALL_VAULT_PASSPHRASE'
const FILE_VARIABLE = 'LANDFALL_VAULT_PASSPHRASE_FILE'
const ATTEMPTS = 3

/** What to say to somebody whose vault cannot be opened for want of a passphrase. */
export const PASSPHRASE_REMEDY = `Set ${VARIABLE}, or ${FILE_VARIABLE} to the path of a file that holds the passphrase.`

/** The passphrase that the environment gives, without asking anybody; `undefined` when it gives none. */
export async function passphraseFromEnvironment(env: Environment): Promise<string | undefined> {
  const direct = env[VARIABLE]
  if (direct !== undefined && direct !== '') return direct
  const file = env[FILE_VARIABLE]
  if (file === undefined || file === '') return undefined
  let text
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new AppError({
      code: 'VAULT_PASSPHRASE_FILE',
      title: `The file that ${FILE_VARIABLE} names cannot be read.`,
      detail: error instanceof Error ? error.message : String(error),
      remedies: ['Correct the path, or let this account read the file.'],
      cause: error,
    })
  }
  const passphrase = text.replace(/\r?\n$/, '')
  if (passphrase === '') {
    throw new AppError({
      code: 'VAULT_PASSPHRASE_FILE',
      title: `The file that ${FILE_VARIABLE} names is empty.`,
      detail: file,
      remedies: ['Write the passphrase into it, on one line.'],
    })
  }
  return passphrase
}

/**
 * Opens the vault with the passphrase of the environment, or asks for one: up to three times for an existing vault,
 * twice the same for a new one. `undefined` when the environment gives none and nobody can be asked.
 */
export async function unlockVault(options: {
  file: string
  env: Environment
  prompter: Prompter
  scryptWorkFactor?: number | undefined
}): Promise<Vault | undefined> {
  const { file, env, prompter, scryptWorkFactor } = options
  const open = (passphrase: string): Promise<Vault> =>
    openVault({ file, passphrase, ...(scryptWorkFactor === undefined ? {} : { scryptWorkFactor }) })
  const given = await passphraseFromEnvironment(env)
  if (given !== undefined) return open(given)
  if (!prompter.isInteractive) return undefined

  const name = basename(file)
  const isNew = !(await vaultExists(file))
  for (let attempt = 1; ; attempt += 1) {
    const passphrase = await prompter.askHidden(
      isNew
        ? `Passphrase for the new vault ${name} (at least ${MINIMUM_PASSPHRASE_LENGTH} characters)`
        : `Passphrase of the vault ${name}`,
    )
    try {
      if (isNew && passphrase !== (await prompter.askHidden('The same passphrase again'))) {
        throw new AppError({
          code: 'VAULT_PASSPHRASE_WRONG',
          title: 'The two passphrases for the new vault differ.',
          remedies: ['Start again and type the same passphrase twice.'],
        })
      }
      return await open(passphrase)
    } catch (error) {
      const isSlip =
        error instanceof AppError && ['VAULT_PASSPHRASE_WRONG', 'VAULT_PASSPHRASE_WEAK'].includes(error.code)
      if (!isSlip || attempt === ATTEMPTS) throw error
    }
  }
}
