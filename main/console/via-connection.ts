import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { AppError } from '../../shared/errors/index.ts'
import { systemDialler } from '../network/dialler.ts'
import { createTerminalPrompter } from '../secrets/index.ts'
import { findAgent, connectSsh, type ConnectSshOptions, type SshConnection } from '../ssh/index.ts'
import { openIdentityStore } from '../storage/index.ts'
import { stateFolder } from '../storage/site-folder.ts'
import { exitCodes } from './exit-codes.ts'

/** A machine to look from, connected. */
export interface ViaConnection {
  /** `user@host`. */
  readonly name: string
  readonly connection: SshConnection
  /** The password that it accepted, for sudo. */
  readonly password?: () => Promise<string>
}

/** Environment variable with the password for `--via`, where nobody can be asked. */
const passwordVariable = 'LANDFALL_VIA_PASSWORD'

/**
 * Connects to `user@host[:port]`: with the key or the agent if there is one, else, or when they are refused, with the
 * password, once. The host key is pinned on first sight with its fingerprint shown.
 *
 * @throws AppError `BAD_ARGUMENT`, and those of `connectSsh`.
 */
export async function connectVia(
  target: string,
  options: { readonly identityFile?: string | undefined; readonly signal: AbortSignal },
): Promise<ViaConnection> {
  const { user, host, port } = parseTarget(target)
  const name = `${user}@${host}`
  const endpoint = { host, port }
  const identities = await openIdentityStore(viaIdentitiesFile())
  const known = identities.get('ssh', endpoint)
  const connect = async (auth: ConnectSshOptions['auth']): Promise<SshConnection> => {
    const connection = await connectSsh({
      endpoint,
      username: user,
      auth,
      dialler: systemDialler,
      hostKey: known === undefined ? { verify: () => 'accept' } : { pinned: known },
      node: name,
      signal: options.signal,
    }).catch((error: unknown) => {
      throw explainedFor(host, error)
    })
    if (known === undefined) {
      const { algorithm, fingerprint } = connection.hostKey
      process.stderr.write(`${host}:${String(port)} is known from now on as ${algorithm} ${fingerprint}\n`)
      await identities.pin('ssh', endpoint, { ...connection.hostKey, firstSeen: new Date().toISOString() })
    }
    return connection
  }

  const key = options.identityFile === undefined ? undefined : await readKey(options.identityFile)
  const agent = findAgent()
  if (key !== undefined || agent !== undefined) {
    try {
      const connection = await connect({
        ...(key === undefined ? {} : { privateKey: key }),
        ...(agent === undefined ? {} : { agent }),
      })
      return { name, connection }
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'SSH_LOGIN_REFUSED' || !canAskForPassword())
        throw error
    }
  }
  const password = await askPassword(name)
  return { name, connection: await connect({ password }), password: () => Promise.resolve(password) }
}

/** Forgets the pinned host key of a machine that was looked from. */
export async function forgetHost(target: string): Promise<number> {
  const { host, port } = parseTarget(target.includes('@') ? target : `somebody@${target}`)
  const store = await openIdentityStore(viaIdentitiesFile())
  const isKnown = store.get('ssh', { host, port }) !== undefined
  if (isKnown) await store.forget('ssh', { host, port })
  process.stdout.write(
    isKnown
      ? `The key of ${host}:${String(port)} is forgotten; it is shown and pinned anew when it is used the next time.\n`
      : `No key of ${host}:${String(port)} is known; there was nothing to forget.\n`,
  )
  return exitCodes.done
}

/** Where the host keys of machines that were looked from are kept; they belong to no site. */
function viaIdentitiesFile(): string {
  return join(stateFolder(process.env), 'hosts', 'identities.json')
}

function parseTarget(target: string): { user: string; host: string; port: number } {
  const match = /^(?<user>[A-Za-z0-9._-]+)@(?<host>[A-Za-z0-9._-]+)(?::(?<port>\d{1,5}))?$/.exec(target)
  const { user, host, port = '22' } = match?.groups ?? {}
  const number = Number(port)
  if (user === undefined || host === undefined || host.startsWith('-') || number < 1 || number > 65_535) {
    throw new AppError({
      code: 'BAD_ARGUMENT',
      title: `--via is "${target}", which is not user@host or user@host:port.`,
      detail: 'Nothing was asked.',
      remedies: ['Write for example --via kairos@10.10.200.11'],
    })
  }
  return { user, host, port: number }
}

async function readKey(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new AppError({
      code: 'BAD_ARGUMENT',
      title: 'The private key of --identity cannot be read.',
      detail: error instanceof Error ? error.message : String(error),
      remedies: ['Correct the path, or leave --identity out to be asked for the password.'],
      cause: error,
    })
  }
}

function canAskForPassword(): boolean {
  return (
    process.env[passwordVariable] !== undefined ||
    createTerminalPrompter(process.stdin, process.stderr).isInteractive
  )
}

async function askPassword(name: string): Promise<string> {
  const given = process.env[passwordVariable]
  if (given !== undefined) return given
  const prompter = createTerminalPrompter(process.stdin, process.stderr)
  if (!prompter.isInteractive) {
    throw new AppError({
      code: 'BAD_ARGUMENT',
      title: `There is no way to log in as ${name}.`,
      detail: 'No key, no SSH agent, no password, and nobody can be asked for one here.',
      remedies: [`Give --identity FILE, or the password in the environment variable ${passwordVariable}.`],
    })
  }
  return await prompter.askHidden(`Password of ${name}: `)
}

function explainedFor(host: string, error: unknown): unknown {
  if (!(error instanceof AppError) || error.code !== 'SSH_IDENTITY_CHANGED') return error
  return new AppError({
    ...error.toData(),
    remedies: [
      `If ${host} was installed again, forget its key: landfall identity forget-host ${host}`,
      'Otherwise another machine has this address: find out which, before a password is sent to it.',
    ],
    cause: error,
  })
}
