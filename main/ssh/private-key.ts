import { createPrivateKey, randomBytes, type KeyObject } from 'node:crypto'
import ssh2, { type ParsedKey } from 'ssh2'
import { AppError } from '../../shared/errors/index.ts'
import { systemCodeOf } from '../network/network-error.ts'

const { parseKey } = ssh2.utils

/**
 * Reads a private key in one of the forms that operators have: OpenSSH, PEM (PKCS#1, SEC 1, PKCS#8), PuTTY PPK 2 (RSA only).
 * Throws permanent AppErrors: `SSH_KEY_PASSPHRASE_MISSING`, `SSH_KEY_PASSPHRASE_WRONG`, `SSH_KEY_UNREADABLE`.
 */
export function readPrivateKey(key: string | Buffer, passphrase?: string): ParsedKey {
  const text = key.toString().replace(/\r\n?/gu, '\n').trim()
  if (/-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/u.test(text)) return readPkcs8(text, passphrase)
  if (text.startsWith('PuTTY-User-Key-File-') && !/^PuTTY-User-Key-File-2: ssh-(rsa|dss)\n/u.test(text)) {
    throw unreadable('Of the PuTTY keys, only RSA keys of version 2 are supported.', [
      'Export it in PuTTYgen as an OpenSSH key (Conversions menu).',
    ])
  }
  const plain = first(parseKey(text))
  if (!(plain instanceof Error)) return ensurePrivate(plain)
  if (!/no passphrase given/iu.test(plain.message)) throw unreadable(plain.message)
  if (passphrase === undefined || passphrase === '') throw passphraseMissing()
  const decrypted = first(parseKey(text, passphrase))
  if (decrypted instanceof Error) throw passphraseWrong(decrypted)
  return ensurePrivate(decrypted)
}

function first(parsed: ReturnType<typeof parseKey> | ParsedKey[]): ParsedKey | Error {
  if (!Array.isArray(parsed)) return parsed
  return parsed[0] ?? new Error('The file holds no key.')
}

function ensurePrivate(key: ParsedKey): ParsedKey {
  if (key.isPrivateKey()) return key
  throw unreadable('It is a public key.', ['Give the private key: the file of the same name without .pub.'])
}

/** ssh2 does not read PKCS#8; Node does, and writes the older forms that ssh2 reads. */
function readPkcs8(text: string, passphrase: string | undefined): ParsedKey {
  let key: KeyObject
  try {
    key = createPrivateKey({ key: text, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) })
  } catch (error) {
    const isEncrypted = text.includes('BEGIN ENCRYPTED')
    if (isEncrypted && (passphrase === undefined || passphrase === '')) throw passphraseMissing()
    if (isEncrypted && systemCodeOf(error) !== 'ERR_OSSL_UNSUPPORTED') throw passphraseWrong(error)
    throw unreadable(error instanceof Error ? error.message : String(error))
  }
  const converted = first(parseKey(convert(key)))
  if (converted instanceof Error) throw unreadable(converted.message)
  return converted
}

function convert(key: KeyObject): string {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return key.export({ type: 'pkcs1', format: 'pem' }).toString()
    case 'ec':
      return key.export({ type: 'sec1', format: 'pem' }).toString()
    case 'ed25519':
      return ed25519ToOpenSsh(key)
    default:
      throw unreadable(`Keys of the type ${key.asymmetricKeyType ?? 'unknown'} are not supported.`, [
        'Use an Ed25519, ECDSA or RSA key.',
      ])
  }
}

/** openssh-key-v1, unencrypted (PROTOCOL.key of OpenSSH). */
function ed25519ToOpenSsh(key: KeyObject): string {
  const { d = '', x = '' } = key.export({ format: 'jwk' })
  const publicPart = Buffer.from(x, 'base64url')
  const type = field(Buffer.from('ssh-ed25519'))
  const publicBlob = Buffer.concat([type, field(publicPart)])
  const check = randomBytes(4)
  const secret = Buffer.concat([
    check,
    check,
    type,
    field(publicPart),
    field(Buffer.concat([Buffer.from(d, 'base64url'), publicPart])),
    field(Buffer.alloc(0)),
  ])
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1))
  const none = field(Buffer.from('none'))
  const blob = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    none,
    none,
    field(Buffer.alloc(0)),
    Buffer.from([0, 0, 0, 1]),
    field(publicBlob),
    field(Buffer.concat([secret, padding])),
  ])
  const lines = blob.toString('base64').match(/.{1,70}/gu) ?? []
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----`
}

function field(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function passphraseMissing(): AppError {
  return new AppError({
    code: 'SSH_KEY_PASSPHRASE_MISSING',
    title: 'The SSH key is protected by a passphrase.',
    detail: 'No passphrase was given.',
    remedies: ['Give the passphrase of the key.'],
  })
}

function passphraseWrong(cause: unknown): AppError {
  return new AppError({
    code: 'SSH_KEY_PASSPHRASE_WRONG',
    title: 'The passphrase does not open the SSH key.',
    detail: 'The key cannot be decrypted with it.',
    remedies: ['Give the right passphrase, or another key.'],
    cause,
  })
}

function unreadable(detail: string, remedies: readonly string[] = []): AppError {
  return new AppError({
    code: 'SSH_KEY_UNREADABLE',
    title: 'The SSH key cannot be read.',
    detail,
    remedies: [...remedies, 'Give a private key in OpenSSH or PEM form.'],
  })
}
