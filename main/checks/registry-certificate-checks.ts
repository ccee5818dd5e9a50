import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import type { Finding } from '../../shared/checks/index.ts'

const day = 86_400_000
/** A certificate that ends sooner is told: nobody wants to replace it in the week after the installation. */
const leastDaysLeft = 30
const leastRsaBits = 2048

export interface RegistryFiles {
  /** Of the file that has the certificate, for the target. */
  readonly name: string
  /** PEM, the certificate of the registry first. */
  readonly certificate: Buffer
  /** PEM; `undefined`: the plan names none. */
  readonly key: Buffer | undefined
  readonly authority: Buffer | undefined
  /** Address or name by which the registry is asked; `undefined`: not known yet. */
  readonly endpoint: string | undefined
}

/**
 * Whether certificate, key and authority of the registry belong together (checks.md §3.5, reg.cert-*): what does not, ends
 * in images that cannot be pulled, an hour after the cluster was asked for.
 */
export function checkRegistryCertificate(files: RegistryFiles, now: number): Finding[] {
  const base = { target: files.name, evidence: `read ${files.name}` }
  const certificate = readCertificate(files.certificate)
  if (certificate === undefined) {
    return [
      {
        ...base,
        id: 'reg.cert-chain',
        state: 'fail',
        measured: 'no certificate in PEM form',
        threshold: 'begins with -----BEGIN CERTIFICATE-----',
        remedy: 'Convert the file, for example: openssl x509 -inform der -in FILE -out registry.pem',
      },
    ]
  }
  return [
    ...(files.key === undefined ? [] : [keyMatch(base, certificate, files.key)]),
    names(base, certificate, files.endpoint),
    dates(base, certificate, now),
    chain(base, certificate, files.authority),
  ]
}

type Base = Pick<Finding, 'target' | 'evidence'>

function keyMatch(base: Base, certificate: X509Certificate, key: Buffer): Finding {
  const check = {
    ...base,
    id: 'reg.cert-key-match' as const,
    title: 'Key belongs to the certificate of the registry',
    threshold: 'the same public key in both',
    remedy: 'Name the key that the certificate was made for as cluster.registry.key.',
  }
  const privateKey = readKey(key)
  if (privateKey === undefined)
    return {
      ...check,
      state: 'fail',
      measured: 'the key cannot be read: no PEM, or protected by a passphrase',
    }
  const isMatch = certificate.checkPrivateKey(privateKey)
  return {
    ...check,
    state: isMatch ? 'pass' : 'fail',
    measured: isMatch ? 'they belong together' : 'the key belongs to another certificate',
  }
}

function names(base: Base, certificate: X509Certificate, endpoint: string | undefined): Finding {
  const check = {
    ...base,
    id: 'reg.cert-san' as const,
    threshold: `valid for ${endpoint ?? 'the virtual IP address'}`,
    remedy: 'Make a certificate whose subject alternative names have this address, or write generate: true.',
  }
  const measured = certificate.subjectAltName ?? 'no subject alternative names'
  if (endpoint === undefined)
    return { ...check, state: 'skipped', measured: `the virtual IP address is not known yet; ${measured}` }
  const match = isIP(endpoint) === 0 ? certificate.checkHost(endpoint) : certificate.checkIP(endpoint)
  return { ...check, state: match === undefined ? 'fail' : 'pass', measured }
}

function dates(base: Base, certificate: X509Certificate, now: number): Finding {
  const from = Date.parse(certificate.validFrom)
  const until = Date.parse(certificate.validTo)
  const daysLeft = Math.floor((until - now) / day)
  const isValid = from <= now && now < until
  return {
    ...base,
    id: 'reg.cert-dates',
    state: isValid && daysLeft >= leastDaysLeft ? 'pass' : 'fail',
    severity: isValid ? 'warn' : 'block',
    measured:
      from > now
        ? `valid only from ${new Date(from).toISOString()}`
        : until <= now
          ? `ended on ${new Date(until).toISOString()}`
          : `valid for ${daysLeft} more days`,
    threshold: `valid now, and for ${leastDaysLeft} more days`,
    remedy: 'Renew the certificate, or correct the clock of this workstation.',
  }
}

function chain(base: Base, certificate: X509Certificate, authority: Buffer | undefined): Finding {
  const check = {
    ...base,
    id: 'reg.cert-chain' as const,
    threshold: `signed by cluster.registry.caCert, a CA; RSA of ${leastRsaBits} bits or more, no SHA-1`,
    remedy: 'Name the certificate of the CA that signed it as cluster.registry.caCert.',
  }
  const signer = authority === undefined ? certificate : readCertificate(authority)
  if (signer === undefined)
    return { ...check, state: 'fail', measured: 'the CA has no certificate in PEM form' }
  const problems = [
    ...(authority !== undefined && !signer.ca ? ['the file of the CA is no CA (CA:FALSE)'] : []),
    ...(certificate.checkIssued(signer) && certificate.verify(signer.publicKey)
      ? []
      : [authority === undefined ? 'it is not self-signed, and no CA is named' : 'this CA did not sign it']),
    ...[certificate, signer].flatMap(weaknesses),
  ]
  return {
    ...check,
    state: problems.length === 0 ? 'pass' : 'fail',
    measured:
      problems.length === 0 ? `signed by ${signer.subject.replaceAll('\n', ', ')}` : problems.join('; '),
  }
}

function weaknesses(certificate: X509Certificate): string[] {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey
  const bits = details?.modulusLength
  const signature = certificate.signatureAlgorithm ?? ''
  return [
    ...(type === 'rsa' && bits !== undefined && bits < leastRsaBits ? [`an RSA key of ${bits} bits`] : []),
    ...(/sha1/i.test(signature) ? [`signed with ${signature}`] : []),
  ]
}

function readCertificate(pem: Buffer): X509Certificate | undefined {
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) return undefined
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}

function readKey(pem: Buffer): KeyObject | undefined {
  try {
    return createPrivateKey(pem)
  } catch {
    return undefined
  }
}
