import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { AppError } from '../../shared/errors/index.ts'
import type { Endpoint } from '../network/dialler.ts'
import { writeFileAtomically } from './atomic-file.ts'

/** How a server proved who it is: by an SSH host key or by a TLS certificate. */
export type IdentityKind = 'ssh' | 'tls'

const identitySchema = z.object({
  /** SSH: key type as in RFC 4253 (`ssh-ed25519`); TLS: type of the certificate's key (`ec`, `rsa`). */
  algorithm: z.string().min(1),
  /** SSH: `SHA256:` and unpadded Base64, as OpenSSH prints it; TLS: SHA-256 of the certificate, hex with colons. */
  fingerprint: z.string().min(1),
  /** ISO 8601, UTC. */
  firstSeen: z.string().min(1),
  /** TLS only: the certificate that the connections are pinned to. */
  certificatePem: z.string().optional(),
  /** SSH only: `<type> <Base64>`, one line as in known_hosts. */
  publicKey: z.string().optional(),
  /** TLS only: how it is known that this is the node's own certificate. Absent: it was seen from here only. */
  provenBy: z.literal('ssh').optional(),
})

const fileSchema = z.object({
  version: z.literal(1),
  identities: z.array(
    z.object({
      kind: z.enum(['ssh', 'tls']),
      host: z.string().min(1),
      port: z.int().min(1).max(65_535),
      identity: identitySchema,
    }),
  ),
})

type IdentityFile = z.infer<typeof fileSchema>

/** What is remembered of a server, so that another one in its place is noticed. */
export interface Identity {
  algorithm: string
  fingerprint: string
  firstSeen: string
  certificatePem?: string | undefined
  publicKey?: string | undefined
  /** TLS only; absent: nobody but the workstation has seen it. */
  provenBy?: 'ssh' | undefined
}

/** The answer to "is this still the server that we know?". What follows from it is the caller's decision. */
export type IdentityVerdict =
  { status: 'match'; stored: Identity } | { status: 'new' } | { status: 'changed'; stored: Identity }

export interface IdentityStore {
  /** Compares by fingerprint. Changes nothing and asks nobody. */
  check(kind: IdentityKind, endpoint: Endpoint, seen: Pick<Identity, 'fingerprint'>): IdentityVerdict
  get(kind: IdentityKind, endpoint: Endpoint): Identity | undefined
  /**
   * Remembers an identity, in place of an earlier one. It is on the disk when this resolves.
   * Throws `IDENTITY_STORE_UNREADABLE` or `IDENTITY_STORE_NOT_WRITTEN`.
   */
  pin(kind: IdentityKind, endpoint: Endpoint, identity: Identity): Promise<void>
  /** Forgets an identity, e.g. because the node was installed again. An unknown one is no error. */
  forget(kind: IdentityKind, endpoint: Endpoint): Promise<void>
}

/**
 * Opens the file of known identities; a missing file is an empty store.
 * A file that cannot be understood is an error and stays as it is: starting afresh silently would trust every
 * server again.
 */
export async function openIdentityStore(file: string): Promise<IdentityStore> {
  let known = await readStore(file)
  let lastWrite: Promise<void> = Promise.resolve()

  /** One write after the other; each starts from the file, because another run may have pinned in the meantime. */
  const update = (change: (identities: Map<string, StoredIdentity>) => void): Promise<void> => {
    const write = lastWrite.then(async () => {
      const fresh = await readStore(file)
      change(fresh)
      await writeStore(file, fresh)
      known = fresh
    })
    lastWrite = write.catch(() => undefined)
    return write
  }

  return {
    check(kind, endpoint, seen) {
      const stored = known.get(keyOf(kind, endpoint))?.identity
      if (stored === undefined) return { status: 'new' }
      return stored.fingerprint === seen.fingerprint
        ? { status: 'match', stored }
        : { status: 'changed', stored }
    },
    get: (kind, endpoint) => known.get(keyOf(kind, endpoint))?.identity,
    pin: (kind, endpoint, identity) =>
      update((identities) => {
        identities.set(keyOf(kind, endpoint), { kind, host: endpoint.host, port: endpoint.port, identity })
      }),
    forget: (kind, endpoint) =>
      update((identities) => {
        identities.delete(keyOf(kind, endpoint))
      }),
  }
}

interface StoredIdentity {
  kind: IdentityKind
  host: string
  port: number
  identity: Identity
}

/** Host names are the same in whatever case they are written. */
export function keyOf(kind: IdentityKind, endpoint: Endpoint): string {
  return `${kind} ${endpoint.host.toLowerCase()} ${String(endpoint.port)}`
}

async function readStore(file: string): Promise<Map<string, StoredIdentity>> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (isMissing(error)) return new Map()
    throw unreadable(file, error)
  }
  let content: IdentityFile
  try {
    content = fileSchema.parse(JSON.parse(text))
  } catch (error) {
    throw unreadable(file, error)
  }
  return new Map(content.identities.map((entry) => [keyOf(entry.kind, entry), entry]))
}

async function writeStore(file: string, identities: Map<string, StoredIdentity>): Promise<void> {
  const content: IdentityFile = { version: 1, identities: [...identities.values()] }
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await writeFileAtomically(file, `${JSON.stringify(content, undefined, 2)}\n`)
  } catch (error) {
    throw new AppError({
      code: 'IDENTITY_STORE_NOT_WRITTEN',
      title: 'The known identities of the servers could not be saved.',
      detail: `${file}: ${messageOf(error)}`,
      remedies: ['Free disk space or correct the permissions of the folder, then start again.'],
      cause: error,
    })
  }
}

function unreadable(file: string, error: unknown): AppError {
  return new AppError({
    code: 'IDENTITY_STORE_UNREADABLE',
    title: 'The file with the known identities of the servers cannot be read.',
    detail:
      error instanceof z.ZodError ? `${file}: ${z.prettifyError(error)}` : `${file}: ${messageOf(error)}`,
    remedies: [
      'Restore the file from a backup.',
      'Or move it away: every server is then shown once more for you to confirm its fingerprint.',
    ],
    cause: error,
  })
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
