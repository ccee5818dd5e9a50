import { generateKeyPairSync, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto'
import type { CertificatePin } from '../../main/network/certificate.ts'

/** A certificate made for one test, with its key. */
export interface TestCertificate extends CertificatePin {
  keyPem: string
  subject: Buffer
  privateKey: KeyObject
}

export interface TestCertificateOptions {
  validFrom?: Date
  validTo?: Date
  /** Signed by this one instead of by itself. */
  issuer?: TestCertificate
  isAuthority?: boolean
}

const day = 86_400_000

/**
 * An ECDSA P-256 certificate (RFC 5280), written as DER by hand: that needs nothing but node:crypto and leaves the
 * dates and the issuer to the test. Its name is deliberately not the address that the tests connect to.
 */
export function createTestCertificate(options: TestCertificateOptions = {}): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subject = sequence(
    set(sequence(objectId(0x55, 0x04, 0x03), utf8(`appliance-${randomBytes(3).toString('hex')}`))),
  )
  const signer = options.issuer ?? { subject, privateKey }
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([0x01]), randomBytes(8)])),
    ecdsaWithSha256,
    signer.subject,
    sequence(
      time(options.validFrom ?? new Date(Date.now() - day)),
      time(options.validTo ?? new Date(Date.now() + day)),
    ),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    explicit(
      3,
      sequence(
        extension(
          0x13,
          sequence(...(options.isAuthority === true ? [tagged(0x01, Buffer.from([0xff]))] : [])),
        ),
        extension(0x11, sequence(tagged(0x87, Buffer.from([192, 0, 2, 77])))),
      ),
    ),
  )
  const signature = sign('sha256', body, signer.privateKey)
  const der = sequence(body, ecdsaWithSha256, tagged(0x03, Buffer.concat([Buffer.from([0]), signature])))
  const certificate = new X509Certificate(der)
  return {
    certificatePem: certificate.toString(),
    fingerprint: certificate.fingerprint256,
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    subject,
    privateKey,
  }
}

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content
  const header =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(header), content])
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts))
}

function set(...parts: Buffer[]): Buffer {
  return tagged(0x31, Buffer.concat(parts))
}

function explicit(number: number, content: Buffer): Buffer {
  return tagged(0xa0 + number, content)
}

function integer(bytes: Buffer): Buffer {
  return tagged(0x02, bytes)
}

function objectId(...bytes: number[]): Buffer {
  return tagged(0x06, Buffer.from(bytes))
}

function utf8(text: string): Buffer {
  return tagged(0x0c, Buffer.from(text))
}

/** GeneralizedTime, to the second. */
function time(date: Date): Buffer {
  return tagged(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]|\.\d+Z$/gu, '')}Z`))
}

/** id-ce (2.5.29) number `id`. */
function extension(id: number, value: Buffer): Buffer {
  return sequence(objectId(0x55, 0x1d, id), tagged(0x04, value))
}

/** 1.2.840.10045.4.3.2 */
const ecdsaWithSha256 = sequence(objectId(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))
