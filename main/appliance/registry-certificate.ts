// @peculiar/x509 resolves its parts through decorators and needs this first.
import 'reflect-metadata'
import { webcrypto, X509Certificate } from 'node:crypto'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { isIP } from 'node:net'

const day = 24 * 60 * 60 * 1000
const keyAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

export interface RegistryCertificate {
  /** PEM of the authority that signed it, for browsers and hosts. Not a secret. */
  readonly caPem: string
  readonly certificatePem: string
  /** PKCS #8 PEM. A secret. */
  readonly keyPem: string
}

/**
 * Makes a private authority and a server certificate for the internal registry (variant A of the procedure wants them,
 * palette.md §9 no. 9). `names`: addresses and DNS names under which clients reach it. `now`: milliseconds since the
 * epoch; the validity begins a day earlier, because the nodes' clocks may be behind, and ends after ten years.
 */
export async function makeRegistryCertificate(
  names: readonly string[],
  now: number,
): Promise<RegistryCertificate> {
  const notBefore = new Date(now - day)
  const notAfter = new Date(now + 3650 * day)
  const authorityKeys = await makeKeys()
  const serverKeys = await makeKeys()
  const authorityName = 'CN=Landfall registry authority'
  const authority = await X509CertificateGenerator.createSelfSigned({
    name: authorityName,
    notBefore,
    notAfter,
    signingAlgorithm: keyAlgorithm,
    keys: authorityKeys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  })
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${names[0] ?? 'registry'}`,
    issuer: authorityName,
    notBefore,
    notAfter,
    signingAlgorithm: keyAlgorithm,
    publicKey: serverKeys.publicKey,
    signingKey: authorityKeys.privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        names.map((name) => ({ type: isIP(name) === 0 ? 'dns' : 'ip', value: name })),
      ),
    ],
  })
  const key = await webcrypto.subtle.exportKey('pkcs8', serverKeys.privateKey)
  return {
    caPem: authority.toString('pem'),
    certificatePem: certificate.toString('pem'),
    keyPem: pem('PRIVATE KEY', Buffer.from(key)),
  }
}

/** When the certificate ends, ISO 8601. */
export function endOfCertificate(certificatePem: string): string {
  return new Date(new X509Certificate(certificatePem).validTo).toISOString()
}

function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(keyAlgorithm, true, ['sign', 'verify'])
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}
