import { makeCertificate } from '../certificates/make-certificate.ts'

export interface ServerIdentity {
  /** PEM. */
  certificate: string
  /** PEM, PKCS #8. */
  key: string
}

const day = 86_400_000

/**
 * A self-signed certificate like the one an appliance makes for itself. Valid around the real and the simulated time,
 * because TLS libraries look at the real one and the product's checks at the simulated one.
 */
export async function createServerIdentity(
  commonName: string,
  addresses: readonly string[],
  simulatedNow: number,
): Promise<ServerIdentity> {
  const realNow = Date.now()
  const { certificatePem, keyPem } = await makeCertificate({
    commonName,
    names: [commonName, ...addresses],
    notBefore: new Date(Math.min(realNow, simulatedNow) - 30 * day),
    notAfter: new Date(Math.max(realNow, simulatedNow) + 3650 * day),
    // A certificate that signs itself is only trusted as its own authority when it says that it is one.
    isAuthority: true,
  })
  return { certificate: certificatePem, key: keyPem }
}
