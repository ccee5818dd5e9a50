import process from 'node:process'
import { Command, Option } from 'commander'
import { AppError } from '../../shared/errors/index.ts'
import {
  createTerminalPrompter,
  MINIMUM_SECRET_LENGTH,
  PASSPHRASE_REMEDY,
  unlockVault,
  vaultExists,
  vaultFileOf,
  type Prompter,
  type Vault,
} from '../secrets/index.ts'
import { exitCodes } from './exit-codes.ts'
import { loadPlan } from './plan-file.ts'

interface WhichVault {
  plan?: string
  vault?: string
}

/** Characters; a registry's pull secret is the longest of what a plan needs. */
const MAX_SECRET_LENGTH = 64 * 1024

/** `landfall vault …`: the secrets that a plan keeps. */
export function vaultCommand(): Command {
  const vault = new Command('vault')
    .description('the encrypted file with the secrets of a plan')
    .exitOverride()

  const add = (name: string, description: string): Command =>
    vault
      .command(name)
      .description(description)
      .addOption(new Option('--plan <file>', 'the vault of this plan').conflicts('vault'))
      .option('--vault <file>', 'this vault file')

  add('list', 'list the names of the secrets, never the secrets')
    .option('--json', 'one JSON document on standard output', false)
    .action(async ({ json, ...which }: WhichVault & { json: boolean }) => {
      const names = await (await openExisting(which)).names()
      process.stdout.write(
        json ? `${JSON.stringify({ names }, null, 2)}\n` : names.map((name) => `${name}\n`).join(''),
      )
    })

  add('set', 'store a secret that is read from standard input, or asked for on a terminal')
    .argument('<name>', 'name of the secret, as in { vault: NAME }')
    .action(async (name: string, which: WhichVault) => {
      checkName(name)
      const prompter = terminalPrompter()
      const file = await vaultFile(which)
      const opened = await unlock(file, prompter)
      const secret = prompter.isInteractive
        ? await prompter.askHidden(`Secret "${name}"`)
        : await readSecret(process.stdin)
      if ([...secret].length < MINIMUM_SECRET_LENGTH) {
        throw badArgument(
          `The secret has fewer than ${MINIMUM_SECRET_LENGTH} characters; nothing was stored.`,
          'Type it, or give it on standard input: printf %s "$SECRET" | landfall vault set NAME --plan FILE',
        )
      }
      await opened.update((secrets) => secrets.set(name, secret))
      process.stderr.write(`"${name}" is stored in ${file}.\n`)
    })

  add('show', 'show one secret on a terminal')
    .argument('<name>', 'name of the secret')
    .option('--reveal', 'show it although standard output is no terminal', false)
    .action(async (name: string, { reveal, ...which }: WhichVault & { reveal: boolean }) => {
      if (!reveal && !process.stdout.isTTY) {
        throw badArgument(
          'Standard output is no terminal, so the secret would go into a file or another program.',
          'Add --reveal if that is what you want.',
        )
      }
      const secret = await (await openExisting(which)).get(name)
      if (secret === undefined) throw unknownSecret(name)
      process.stdout.write(`${secret}\n`)
    })

  add('remove', 'remove a secret')
    .argument('<name>', 'name of the secret')
    .action(async (name: string, which: WhichVault) => {
      const opened = await openExisting(which)
      if ((await opened.get(name)) === undefined) throw unknownSecret(name)
      await opened.update((secrets) => {
        secrets.delete(name)
      })
      process.stderr.write(`"${name}" is removed from ${opened.file}.\n`)
    })

  vault.hook('postAction', () => {
    process.exitCode = exitCodes.done
  })
  return vault
}

/** Questions go to standard error, so that `show` leaves nothing but the secret on standard output. */
function terminalPrompter(): Prompter {
  return createTerminalPrompter(process.stdin, process.stderr)
}

async function vaultFile({ plan, vault }: WhichVault): Promise<string> {
  if (vault !== undefined) return vault
  if (plan === undefined) throw badArgument('It is not said which vault.', 'Add --plan FILE or --vault FILE.')
  const loaded = await loadPlan(plan)
  return vaultFileOf(loaded.file, loaded.plan.vault)
}

async function openExisting(which: WhichVault): Promise<Vault> {
  const file = await vaultFile(which)
  if (!(await vaultExists(file))) {
    throw badArgument(
      `There is no vault ${file} yet.`,
      'A run makes it, or: landfall vault set NAME --plan FILE.',
    )
  }
  return unlock(file, terminalPrompter())
}

async function unlock(file: string, prompter: Prompter): Promise<Vault> {
  const opened = await unlockVault({ file, env: process.env, prompter })
  if (opened !== undefined) return opened
  throw badArgument(
    'The passphrase of the vault is not given, and there is no terminal to ask on.',
    PASSPHRASE_REMEDY,
  )
}

function checkName(name: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) return
  throw badArgument(
    'This is not a name for a secret.',
    'Use at most 64 letters, digits, "-", "_" and "."; the secret itself goes to standard input.',
  )
}

async function readSecret(input: AsyncIterable<Buffer | string>): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of input) {
    const bytes = Buffer.from(chunk)
    length += bytes.length
    if (length > MAX_SECRET_LENGTH)
      throw badArgument('The secret is longer than 64 KiB.', 'Give the secret alone.')
    chunks.push(bytes)
  }
  // echo and editors end a line; a secret does not.
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '')
}

function unknownSecret(name: string): AppError {
  return badArgument(`The vault has no secret "${name}".`, 'See which it has: landfall vault list.')
}

function badArgument(title: string, remedy: string): AppError {
  return new AppError({ code: 'BAD_ARGUMENT', title, remedies: [remedy] })
}
