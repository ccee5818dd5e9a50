import { generateKeyPair, randomBytes, sign } from 'node:crypto'
import { promisify } from 'node:util'

export interface ServerIdentity {
  /** PEM. */
  certificate: string
  /** PEM, PKCS #8. */
  key: string
}

const day = 86_400_000
const makeKeys = promisify(generateKeyPair)

/**
 * A self-signed certificate (RFC 5280, EC P-256) like the one an appliance makes for itself. Valid around the real and
 * the simulated time, because TLS libraries look at the real one and the product's checks at the simulated one.
 */
export async function createServerIdentity(
  commonName: string,
  addresses: readonly string[],
  simulatedNow: number,
): Promise<ServerIdentity> {
  const { publicKey, privateKey } = await makeKeys('ec', { namedCurve: 'P-256' })
  const realNow = Date.now()
  const name = sequence(set(sequence(objectId('2.5.4.3'), element(0x0c, Buffer.from(commonName)))))
  const algorithm = sequence(objectId('1.2.840.10045.4.3.2')) // ecdsa-with-SHA256
  const alternativeNames = sequence(
    element(0x82, Buffer.from(commonName)),
    ...addresses.map((address) => element(0x87, Buffer.from(address.split('.').map(Number)))),
  )
  const serial = randomBytes(16)
  serial[0] = (serial[0] ?? 0) & 0x7f || 1 // positive, without a leading zero
  const content = sequence(
    element(0xa0, integer(Buffer.from([2]))), // version 3
    integer(serial),
    algorithm,
    name,
    sequence(
      time(Math.min(realNow, simulatedNow) - 30 * day),
      time(Math.max(realNow, simulatedNow) + 3650 * day),
    ),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    element(
      0xa3,
      sequence(
        extension('2.5.29.17', alternativeNames),
        // A certificate that signs itself is only trusted as its own authority when it says that it is one.
        extension('2.5.29.19', sequence(element(0x01, Buffer.from([0xff])))),
      ),
    ),
  )
  const signature = sign('sha256', content, privateKey)
  return {
    certificate: pem(sequence(content, algorithm, bitString(signature))),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

// Distinguished Encoding Rules (ITU-T X.690), as far as a certificate needs them.

function element(tag: number, content: Buffer): Buffer {
  const { length } = content
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}

function sequence(...parts: Buffer[]): Buffer {
  return element(0x30, Buffer.concat(parts))
}

function set(...parts: Buffer[]): Buffer {
  return element(0x31, Buffer.concat(parts))
}

function integer(content: Buffer): Buffer {
  return element(0x02, content)
}

function bitString(content: Buffer): Buffer {
  return element(0x03, Buffer.concat([Buffer.from([0]), content]))
}

function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc & 0x7f]
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      groups.unshift((left & 0x7f) | 0x80)
    }
    bytes.push(...groups)
  }
  return element(0x06, Buffer.from(bytes))
}

/** UTCTime up to 2049, GeneralizedTime after it (RFC 5280, 4.1.2.5). */
function time(milliseconds: number): Buffer {
  const digits = `${new Date(milliseconds).toISOString().replace(/\D/g, '').slice(0, 14)}Z`
  const isShort = Number(digits.slice(0, 4)) < 2050
  return element(isShort ? 0x17 : 0x18, Buffer.from(isShort ? digits.slice(2) : digits))
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(objectId(id), element(0x04, value))
}

function pem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
