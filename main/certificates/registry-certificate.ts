import { X509Certificate } from 'node:crypto'
import { makeCertificate } from './make-certificate.ts'

const day = 24 * 60 * 60 * 1000

export interface RegistryCertificate {
  /** PEM of the authority that signed it, for browsers and hosts. Not a secret. */
  readonly caPem: string
  readonly certificatePem: string
  /** PKCS #8 PEM. A secret. */
  readonly keyPem: string
  /** When it ends, ISO 8601. */
  readonly validTo: string
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
  const validity = { notBefore: new Date(now - day), notAfter: new Date(now + 3650 * day) }
  const authority = await makeCertificate({
    commonName: 'Landfall registry authority',
    isAuthority: true,
    ...validity,
  })
  const { certificatePem, keyPem } = await makeCertificate({
    commonName: names[0] ?? 'registry',
    names,
    issuer: authority,
    ...validity,
  })
  const validTo = new Date(new X509Certificate(certificatePem).validTo).toISOString()
  return { caPem: authority.certificatePem, certificatePem, keyPem, validTo }
}
