import { createCipheriv, createHash, createHmac, generateKeyPairSync } from 'node:crypto'
import ssh2 from 'ssh2'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import { readPrivateKey } from './private-key.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed25519 = generateKeyPairSync('ed25519')
const passphrase = 'correct horse'

const openSsh = ssh2.utils.generateKeyPairSync('ed25519')
const openSshEncrypted = ssh2.utils.generateKeyPairSync('ed25519', {
  passphrase,
  cipher: 'aes256-ctr',
  rounds: 4,
})

const plain: [string, string][] = [
  ['OpenSSH', openSsh.private],
  ['OpenSSH with Windows line ends', openSsh.private.replaceAll('\n', '\r\n')],
  ['PKCS#1 (RSA)', rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()],
  ['SEC 1 (EC)', ec.privateKey.export({ type: 'sec1', format: 'pem' }).toString()],
  ['PKCS#8 (RSA)', rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
  ['PKCS#8 (EC)', ec.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
  ['PKCS#8 (Ed25519)', ed25519.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
  ['PuTTY version 2 (RSA)', puttyKey()],
]

const encryption = { cipher: 'aes-256-cbc', passphrase } as const
const encrypted: [string, string][] = [
  ['OpenSSH', openSshEncrypted.private],
  ['PKCS#1 (RSA)', rsa.privateKey.export({ type: 'pkcs1', format: 'pem', ...encryption }).toString()],
  ['PKCS#8 (RSA)', rsa.privateKey.export({ type: 'pkcs8', format: 'pem', ...encryption }).toString()],
  ['PKCS#8 (Ed25519)', ed25519.privateKey.export({ type: 'pkcs8', format: 'pem', ...encryption }).toString()],
  ['PuTTY version 2 (RSA)', puttyKey(passphrase)],
]

function codeOf(read: () => unknown): unknown {
  try {
    read()
  } catch (error) {
    return error instanceof AppError ? error.code : error
  }
  return 'did not throw'
}

/** A key is right when what it signs verifies with its own public half. */
function expectToSign(text: string, given?: string): void {
  const key = readPrivateKey(text, given)
  const data = Buffer.from('challenge')
  const signature: unknown = key.sign(data)
  expect(signature).toBeInstanceOf(Buffer)
  expect(key.verify(data, signature as Buffer)).toBe(true)
}

describe('a private key', () => {
  it.each(plain)('in the form %s is read, whether a passphrase was given or not', (_form, text) => {
    expectToSign(text)
    expectToSign(text, 'not needed')
  })

  it.each(encrypted)('in the form %s with a passphrase is opened by that one only', (_form, text) => {
    expectToSign(text, passphrase)
    expect(codeOf(() => readPrivateKey(text))).toBe('SSH_KEY_PASSPHRASE_MISSING')
    expect(codeOf(() => readPrivateKey(text, ''))).toBe('SSH_KEY_PASSPHRASE_MISSING')
    expect(codeOf(() => readPrivateKey(text, 'wrong'))).toBe('SSH_KEY_PASSPHRASE_WRONG')
  })

  it('converted from PKCS#8 has the public key that OpenSSH would show', () => {
    const { x = '' } = ed25519.publicKey.export({ format: 'jwk' })
    const text = ed25519.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const blob = readPrivateKey(text).getPublicSSH()
    expect(blob.subarray(-32).toString('base64url')).toBe(x)
  })

  it.each([
    ['nothing', ''],
    ['something else', 'hello'],
    ['a public key', openSsh.public],
    ['a damaged key', openSsh.private.replace(/[A-Za-z]{10}/u, '')],
    ['PuTTY version 3', 'PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\n'],
    ['PuTTY version 2, Ed25519', 'PuTTY-User-Key-File-2: ssh-ed25519\nEncryption: none\n'],
    [
      'an unsupported type',
      generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    ],
  ])('that is %s is refused with advice', (_what, text) => {
    expect(codeOf(() => readPrivateKey(text))).toBe('SSH_KEY_UNREADABLE')
  })
})

/** PPK version 2 of the RSA key, as PuTTY documents it (appendix C). */
function puttyKey(secret?: string): string {
  const type = 'ssh-rsa'
  const { n = '', e = '', d = '', p = '', q = '', qi = '' } = rsa.privateKey.export({ format: 'jwk' })
  const publicBlob = Buffer.concat([field(type), mpint(e), mpint(n)])
  let privateBlob = Buffer.concat([d, p, q, qi].map(mpint))
  const encryptionName = secret === undefined ? 'none' : 'aes256-cbc'
  if (secret !== undefined) {
    const padding = createHash('sha1')
      .update(privateBlob)
      .digest()
      .subarray(0, (16 - (privateBlob.length % 16)) % 16)
    privateBlob = Buffer.concat([privateBlob, padding])
  }
  const macKey = createHash('sha1')
    .update(`putty-private-key-file-mac-key${secret ?? ''}`)
    .digest()
  const mac = createHmac('sha1', macKey)
    .update(
      Buffer.concat([
        field(type),
        field(encryptionName),
        field('test'),
        field(publicBlob),
        field(privateBlob),
      ]),
    )
    .digest('hex')
  let stored = privateBlob
  if (secret !== undefined) {
    const part = (index: number) =>
      createHash('sha1')
        .update(Buffer.from([0, 0, 0, index]))
        .update(secret)
        .digest()
    const key = Buffer.concat([part(0), part(1)]).subarray(0, 32)
    const cipher = createCipheriv('aes-256-cbc', key, Buffer.alloc(16)).setAutoPadding(false)
    stored = Buffer.concat([cipher.update(privateBlob), cipher.final()])
  }
  const lines = (bytes: Buffer) => bytes.toString('base64').match(/.{1,64}/gu) ?? []
  return [
    `PuTTY-User-Key-File-2: ${type}`,
    `Encryption: ${encryptionName}`,
    'Comment: test',
    `Public-Lines: ${String(lines(publicBlob).length)}`,
    ...lines(publicBlob),
    `Private-Lines: ${String(lines(stored).length)}`,
    ...lines(stored),
    `Private-MAC: ${mac}`,
  ].join('\n')
}

function field(bytes: Buffer | string): Buffer {
  const content = Buffer.from(bytes)
  const size = Buffer.alloc(4)
  size.writeUInt32BE(content.length)
  return Buffer.concat([size, content])
}

/** A positive number of the SSH protocol (RFC 4251 §5) from its base64url form in a JWK. */
function mpint(base64url: string): Buffer {
  const bytes = Buffer.from(base64url, 'base64url')
  return field((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes)
}
