import { createHash } from 'node:crypto'
import type { ServerHostKeyAlgorithm } from 'ssh2'

/** A host key as it was shown in the handshake. */
export interface HostKeyIdentity {
  /** Key type, RFC 4253 §6.6, e.g. `ssh-ed25519`. */
  algorithm: string
  /** `SHA256:` and unpadded Base64, as OpenSSH prints it. */
  fingerprint: string
  /** `<type> <Base64>`, one line as in known_hosts. */
  publicKey: string
}

/** Reads the wire form of a public key: its first field is the type (RFC 4253 §6.6). */
export function readHostKeyBlob(blob: Buffer): HostKeyIdentity {
  const length = blob.length >= 4 ? blob.readUInt32BE(0) : 0
  const algorithm = blob.subarray(4, 4 + Math.min(length, 64)).toString('latin1')
  return {
    algorithm,
    fingerprint: `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/u, '')}`,
    publicKey: `${algorithm} ${blob.toString('base64')}`,
  }
}

/** Best first. */
const signatureAlgorithms: readonly ServerHostKeyAlgorithm[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
  'ssh-rsa',
]

/**
 * The order in which we ask for host keys. A host has several; the server shows the one of the first type in our
 * list that it has. Asking for the known type first keeps a host from looking changed (OpenSSH does the same).
 */
export function hostKeyAlgorithms(knownKeyType: string | undefined): ServerHostKeyAlgorithm[] {
  const isKnown = (algorithm: ServerHostKeyAlgorithm) =>
    knownKeyType === 'ssh-rsa' ? /^(rsa-|ssh-rsa)/u.test(algorithm) : algorithm === knownKeyType
  return [
    ...signatureAlgorithms.filter(isKnown),
    ...signatureAlgorithms.filter((algorithm) => !isKnown(algorithm)),
  ]
}
