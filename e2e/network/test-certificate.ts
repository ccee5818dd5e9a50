import { randomBytes, X509Certificate } from 'node:crypto'
import { makeCertificate, type MadeCertificate } from '../../main/certificates/make-certificate.ts'
import type { CertificatePin } from '../../main/network/certificate.ts'

/** A certificate made for one test, with its key. */
export type TestCertificate = CertificatePin & MadeCertificate

export interface TestCertificateOptions {
  validFrom?: Date
  validTo?: Date
  /** Signed by this one instead of by itself. */
  issuer?: TestCertificate
  isAuthority?: boolean
}

const day = 86_400_000

/** A certificate whose name is deliberately not the address that the tests connect to. */
export async function createTestCertificate(options: TestCertificateOptions = {}): Promise<TestCertificate> {
  const made = await makeCertificate({
    commonName: `appliance-${randomBytes(3).toString('hex')}`,
    names: ['192.0.2.77'],
    notBefore: options.validFrom ?? new Date(Date.now() - day),
    notAfter: options.validTo ?? new Date(Date.now() + day),
    isAuthority: options.isAuthority ?? false,
    ...(options.issuer === undefined ? {} : { issuer: options.issuer }),
  })
  return { ...made, fingerprint: new X509Certificate(made.certificatePem).fingerprint256 }
}
