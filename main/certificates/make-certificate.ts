// @peculiar/x509 resolves its parts through decorators and needs this first.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

const keyAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** A certificate with its key. */
export interface MadeCertificate {
  readonly certificatePem: string
  /** PKCS #8 PEM. A secret. */
  readonly keyPem: string
  /** What a certificate that this one signs names as its issuer. */
  readonly subject: string
  readonly keys: webcrypto.CryptoKeyPair
}

export interface CertificateRequest {
  readonly commonName: string
  /** Addresses and DNS names, for the subject alternative names. */
  readonly names?: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
  /** May sign others. Default false. */
  readonly isAuthority?: boolean
  /** Absent: signs itself. */
  readonly issuer?: MadeCertificate
}

/** Makes an X.509 certificate (RFC 5280) with a new P-256 key. */
export async function makeCertificate(request: CertificateRequest): Promise<MadeCertificate> {
  const { names = [], notBefore, notAfter, isAuthority = false, issuer } = request
  const keys = await webcrypto.subtle.generateKey(keyAlgorithm, true, ['sign', 'verify'])
  const subject = `CN=${request.commonName}`
  const usage = isAuthority ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign : 0
  const certificate = await X509CertificateGenerator.create({
    subject,
    issuer: issuer?.subject ?? subject,
    notBefore,
    notAfter,
    signingAlgorithm: keyAlgorithm,
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
    extensions: [
      new BasicConstraintsExtension(isAuthority, undefined, true),
      new KeyUsagesExtension(usage | KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      ...(names.length === 0
        ? []
        : [
            new SubjectAlternativeNameExtension(
              names.map((name) => ({ type: isIP(name) === 0 ? 'dns' : 'ip', value: name })),
            ),
          ]),
    ],
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  return { certificatePem: certificate.toString('pem'), keyPem: pemOf(key), subject, keys }
}

function pemOf(key: Buffer): string {
  const lines = key.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n')
}
