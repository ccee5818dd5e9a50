import { randomUUID } from 'node:crypto'
import { link, open, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, extname, join, resolve } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { armor, Decrypter, Encrypter } from 'age-encryption'
import { parse } from 'yaml'
import { z } from 'zod'
import { AppError } from '../../shared/errors/index.ts'
import { writeFileAtomically } from '../storage/atomic-file.ts'

/**
 * The vault: one age file (https://age-encryption.org/v1, scrypt recipient, armored) with a JSON map from name to
 * secret. `age --decrypt` opens it too; a vault made by hand may hold YAML.
 */
export interface Vault {
  readonly file: string
  /** Names in alphabetical order. */
  names(): Promise<string[]>
  get(name: string): Promise<string | undefined>
  /**
   * Changes the vault and returns what it holds then. The new content is on the disk when this resolves: a run that is
   * killed later does not lose it. Safe against other processes that change the same vault.
   */
  update(change: (secrets: Map<string, string>) => void): Promise<ReadonlyMap<string, string>>
}

export interface VaultOptions {
  file: string
  passphrase: string
  /** log2 of scrypt's N; default 18, which takes about a second on purpose. Only tests want less. */
  scryptWorkFactor?: number
}

export const MINIMUM_PASSPHRASE_LENGTH = 10

/** A lock that nobody touched for so long, in milliseconds, was left behind by a process that is gone. */
const LOCK_STALE_AFTER = 60_000
const LOCK_WAIT = 15_000
const LOCK_POLL = 50

const contentSchema = z.record(z.string().min(1), z.string())

/** Where the vault of a plan is: as the plan says, relative to it, or beside it as `NAME.vault.age`. */
export function vaultFileOf(planFile: string, vault: string | null): string {
  const folder = dirname(resolve(planFile))
  const extension = extname(planFile)
  const name = basename(planFile, /^\.ya?ml$/i.test(extension) ? extension : '')
  return vault === null ? join(folder, `${name}.vault.age`) : resolve(folder, vault)
}

export async function vaultExists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile()
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false
    throw unreadable(file, error)
  }
}

/**
 * Opens a vault, which need not exist yet. Throws `VAULT_PASSPHRASE_WRONG`, `VAULT_DAMAGED` or `VAULT_UNREADABLE`;
 * a passphrase for a new vault must have ten characters (`VAULT_PASSPHRASE_WEAK`).
 */
export async function openVault(options: VaultOptions): Promise<Vault> {
  const { file, passphrase, scryptWorkFactor = 18 } = options
  /** What was decrypted last, with the bytes it came from: scrypt is slow on purpose. */
  let cache: { bytes: Buffer | undefined; secrets: Map<string, string> } | undefined

  const read = async (): Promise<Map<string, string>> => {
    const bytes = await readIfThere(file)
    const isSame = bytes === undefined ? cache?.bytes === undefined : cache?.bytes?.equals(bytes) === true
    if (cache !== undefined && isSame) return cache.secrets
    const secrets = bytes === undefined ? new Map<string, string>() : await decrypt(file, bytes, passphrase)
    cache = { bytes, secrets }
    return secrets
  }

  await read()
  if (cache?.bytes === undefined && passphrase.length < MINIMUM_PASSPHRASE_LENGTH) {
    throw new AppError({
      code: 'VAULT_PASSPHRASE_WEAK',
      title: 'The passphrase for the new vault is too short.',
      detail: `Whoever gets the file ${basename(file)} can try passphrases on it without limit.`,
      remedies: [
        `Choose at least ${MINIMUM_PASSPHRASE_LENGTH} characters, better five random words, and keep it apart from the file.`,
      ],
    })
  }

  return {
    file,
    names: async () => [...(await read()).keys()].toSorted(),
    get: async (name) => (await read()).get(name),
    update: (change) =>
      withLock(file, async () => {
        const secrets = new Map(await read())
        change(secrets)
        const bytes = await encrypt(secrets, passphrase, scryptWorkFactor)
        await writeAtomically(file, bytes)
        cache = { bytes, secrets }
        return new Map(secrets)
      }),
  }
}

async function encrypt(
  secrets: ReadonlyMap<string, string>,
  passphrase: string,
  workFactor: number,
): Promise<Buffer> {
  const encrypter = new Encrypter()
  encrypter.setPassphrase(passphrase)
  encrypter.setScryptWorkFactor(workFactor)
  const sorted = [...secrets].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const encrypted = await encrypter.encrypt(JSON.stringify(Object.fromEntries(sorted), null, 2))
  return Buffer.from(armor.encode(encrypted), 'utf8')
}

async function decrypt(file: string, bytes: Buffer, passphrase: string): Promise<Map<string, string>> {
  const damaged = (detail: string): AppError =>
    new AppError({
      code: 'VAULT_DAMAGED',
      title: `The vault ${basename(file)} cannot be read.`,
      detail,
      remedies: ['Restore the file from a backup.', 'Check that the plan names the right vault.'],
    })
  let encrypted: Uint8Array = bytes
  if (bytes.subarray(0, 11).toString('latin1') === '-----BEGIN ') {
    try {
      encrypted = armor.decode(bytes.toString('utf8'))
    } catch {
      throw damaged('It starts like an age file, but its end or a part of it is missing.')
    }
  }
  const decrypter = new Decrypter()
  decrypter.addPassphrase(passphrase)
  let content: string
  try {
    content = await decrypter.decrypt(encrypted, 'text')
  } catch (thrown) {
    // The library's only sign of a wrong passphrase is this text; everything else is a damaged file.
    if (thrown instanceof Error && /no identity matched/i.test(thrown.message)) throw wrongPassphrase(file)
    throw damaged('It is not an age file that is protected by a passphrase, or it was changed or cut off.')
  }
  let parsed
  try {
    parsed = contentSchema.safeParse(parse(content, { logLevel: 'silent', prettyErrors: false }) ?? {})
  } catch {
    // The parser's error would quote the secrets.
    throw damaged('The passphrase is right, but what it holds is neither JSON nor YAML.')
  }
  if (!parsed.success) throw damaged('The passphrase is right, but it does not hold a map of names to texts.')
  return new Map(Object.entries(parsed.data))
}

function wrongPassphrase(file: string): AppError {
  return new AppError({
    code: 'VAULT_PASSPHRASE_WRONG',
    title: `The passphrase does not open the vault ${basename(file)}.`,
    remedies: [
      'Check LANDFALL_VAULT_PASSPHRASE, the file that LANDFALL_VAULT_PASSPHRASE_FILE names, or type it again.',
      'Check that the plan names the right vault.',
    ],
  })
}

function unreadable(file: string, error: unknown): AppError {
  return new AppError({
    code: 'VAULT_UNREADABLE',
    title: `The vault ${file} cannot be read or written.`,
    detail: error instanceof Error ? error.message : String(error),
    remedies: [
      'Check that file and folder exist and that you may read and write them, and that the disk is not full.',
    ],
    cause: error,
  })
}

async function readIfThere(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file)
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw unreadable(file, error)
  }
}

async function writeAtomically(file: string, bytes: Buffer): Promise<void> {
  await writeFileAtomically(file, bytes).catch((error: unknown) => {
    throw unreadable(file, error)
  })
}

async function withLock<Result>(file: string, act: () => Promise<Result>): Promise<Result> {
  const lock = `${file}.lock`
  const handle = await takeLock(file, lock)
  try {
    return await act()
  } finally {
    await handle.close()
    await rm(lock, { force: true })
  }
}

async function takeLock(file: string, lock: string): Promise<FileHandle> {
  const giveUpAt = performance.now() + LOCK_WAIT
  for (;;) {
    try {
      const handle = await open(lock, 'wx', 0o600)
      await handle.writeFile(JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() }))
      return handle
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw unreadable(file, error)
    }
    const leftBehind = await readLeftBehind(lock)
    if (leftBehind !== undefined) {
      await removeLock(lock, leftBehind)
    } else if (performance.now() > giveUpAt) {
      throw new AppError({
        code: 'VAULT_BUSY',
        title: `Another Landfall is changing the vault ${basename(file)}.`,
        detail: `The lock ${basename(lock)} was not released in ${LOCK_WAIT / 1000} seconds.`,
        remedies: ['Wait for the other run.', `When there is none, remove ${lock} and start again.`],
        isTransient: true,
      })
    } else {
      await sleep(LOCK_POLL)
    }
  }
}

const lockSchema = z.object({ pid: z.int(), host: z.string() })

/** Content of the lock when the process that took it is gone; `undefined` when it is not, or there is no lock. */
async function readLeftBehind(lock: string): Promise<string | undefined> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(lock, 'utf8'), stat(lock)])
    if (Date.now() - mtimeMs > LOCK_STALE_AFTER) return text
    const owner = lockSchema.safeParse(text === '' ? undefined : JSON.parse(text))
    if (!owner.success || owner.data.host !== hostname()) return undefined
    return isRunning(owner.data.pid) ? undefined : text
  } catch (error) {
    // Released between two looks, or half written: look again.
    if (isCode(error, 'ENOENT') || error instanceof SyntaxError) return undefined
    throw unreadable(lock, error)
  }
}

/**
 * Removes the lock if it is still the one that was looked at. Two processes may find the same lock left behind; the
 * slower one must not take away what the faster one has locked since. A rename has one winner, and what it moved can
 * be looked at in peace and, if it was the wrong one, be put back.
 */
async function removeLock(lock: string, content: string): Promise<void> {
  const aside = `${lock}.${randomUUID()}`
  try {
    await rename(lock, aside)
    if ((await readFile(aside, 'utf8')) !== content) await link(aside, lock)
    await rm(aside, { force: true })
  } catch (error) {
    if (!isCode(error, 'ENOENT') && !isCode(error, 'EEXIST')) throw unreadable(lock, error)
    await rm(aside, { force: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !isCode(error, 'ESRCH')
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
