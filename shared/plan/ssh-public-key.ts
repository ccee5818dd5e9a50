/** What a line of `cluster.sshKeys` or `access.authorizedKeys` is. */
export type SshPublicKey =
  | { kind: 'key'; type: string; /** Base64. */ blob: string }
  | { kind: 'private' }
  | { kind: 'invalid'; reason: string }

const KEY_TYPES = new Set([
  'ssh-ed25519',
  'ssh-rsa',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
])

/** RFC 4253 §6.6 allows any size; check `sshkey.valid` asks for this many bits. */
const MINIMUM_RSA_BITS = 2048

/**
 * Reads the OpenSSH one-line form `type base64 [comment]` (RFC 4253 §6.6, sshd(8) "AUTHORIZED_KEYS FILE FORMAT"
 * without options) and looks into the blob, so that a cut or wrapped line is noticed.
 */
export function parseSshPublicKey(text: string): SshPublicKey {
  if (/PRIVATE KEY|PuTTY-User-Key-File/.test(text)) return { kind: 'private' }
  const line = text.trim()
  if (/[\r\n]/.test(line)) return invalid('it has more than one line')
  const [type = '', blob = ''] = line.split(/[ \t]+/)
  if (!KEY_TYPES.has(type)) {
    return invalid(
      type === 'ssh-dss' ? 'DSA keys are no longer accepted' : 'it does not start with a known key type',
    )
  }
  const bytes = decodeBase64(blob)
  if (bytes === undefined) return invalid('its second part is not complete Base64')
  const fields = readFields(bytes)
  if (fields === undefined) return invalid('it is cut off or damaged')
  if (asText(fields[0]) !== type) return invalid('its content is of another type than it says')
  switch (type) {
    case 'ssh-ed25519':
      if (fields.length !== 2 || fields[1]?.length !== 32) return invalid('it is cut off or damaged')
      break
    case 'ssh-rsa': {
      if (fields.length !== 3) return invalid('it is cut off or damaged')
      const bits = bitLength(fields[2])
      if (bits < MINIMUM_RSA_BITS)
        return invalid(`it has ${bits} bits, at least ${MINIMUM_RSA_BITS} are needed`)
      break
    }
    default:
      if (fields.length < 3) return invalid('it is cut off or damaged')
  }
  return { kind: 'key', type, blob }
}

function invalid(reason: string): SshPublicKey {
  return { kind: 'invalid', reason }
}

/** RFC 4648 §4, padding required. `shared/` has neither Buffer nor atob. */
function decodeBase64(text: string): number[] | undefined {
  if (text === '' || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const bytes: number[] = []
  let bits = 0
  let count = 0
  for (const character of text.replace(/=+$/, '')) {
    bits = (bits << 6) | alphabet.indexOf(character)
    count += 6
    if (count >= 8) {
      count -= 8
      bytes.push((bits >> count) & 0xff)
      bits &= (1 << count) - 1
    }
  }
  return bytes
}

/** The length-prefixed fields of RFC 4251 §5 `string`; `undefined` unless they fill the blob exactly. */
function readFields(bytes: readonly number[]): number[][] | undefined {
  const fields: number[][] = []
  let offset = 0
  while (offset < bytes.length) {
    const length = bytes.slice(offset, offset + 4).reduce((sum, byte) => sum * 256 + byte, 0)
    if (offset + 4 + length > bytes.length) return undefined
    fields.push(bytes.slice(offset + 4, offset + 4 + length))
    offset += 4 + length
  }
  return fields
}

function asText(bytes: readonly number[] | undefined): string {
  return String.fromCharCode(...(bytes ?? []).slice(0, 64))
}

function bitLength(integer: readonly number[] | undefined): number {
  const significant = (integer ?? []).slice((integer ?? []).findIndex((byte) => byte !== 0))
  const first = significant[0]
  return first === undefined ? 0 : (significant.length - 1) * 8 + (32 - Math.clz32(first))
}
