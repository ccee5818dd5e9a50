import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509'
import { beforeAll, describe, expect, it } from 'vitest'
import { checkResultSchema, resultOf } from '../../shared/checks/index.ts'
import { makeCertificate, type MadeCertificate } from '../certificates/make-certificate.ts'
import { checkRegistryCertificate, type RegistryFiles } from './registry-certificate-checks.ts'

const now = Date.parse('2026-06-01T00:00:00Z')
const span = { notBefore: new Date('2026-01-01T00:00:00Z'), notAfter: new Date('2027-01-01T00:00:00Z') }
const endpoint = '10.10.200.100'

let authority: MadeCertificate
let stranger: MadeCertificate
let good: MadeCertificate
beforeAll(async () => {
  authority = await makeCertificate({ commonName: 'CA', isAuthority: true, ...span })
  stranger = await makeCertificate({ commonName: 'Another CA', isAuthority: true, ...span })
  good = await makeCertificate({
    commonName: 'registry',
    names: [endpoint, 'registry.example.com'],
    issuer: authority,
    ...span,
  })
})

function states(files: Partial<RegistryFiles> = {}, at = now): Record<string, string> {
  const findings = checkRegistryCertificate(
    {
      name: 'registry.pem',
      certificate: Buffer.from(good.certificatePem),
      key: Buffer.from(good.keyPem),
      authority: Buffer.from(authority.certificatePem),
      endpoint,
      ...files,
    },
    at,
  )
  const results = findings.map((finding) => checkResultSchema.parse(resultOf(finding, at)))
  return Object.fromEntries(results.map(({ id, state }) => [id.replace('reg.cert-', ''), state]))
}

const allPass = { 'key-match': 'pass', san: 'pass', dates: 'pass', chain: 'pass' }

describe('certificate, key and CA of the registry', () => {
  it('pass when they belong together', () => {
    expect(states()).toEqual(allPass)
    expect(states({ endpoint: 'registry.example.com' })).toEqual(allPass)
  })

  it('fail when the key is that of another certificate, or none that can be read', () => {
    expect(states({ key: Buffer.from(stranger.keyPem) })).toEqual({ ...allPass, 'key-match': 'fail' })
    expect(states({ key: Buffer.from('rubbish') })).toEqual({ ...allPass, 'key-match': 'fail' })
  })

  it('fail for an address that the certificate does not name; unasked while it is not known', () => {
    expect(states({ endpoint: '10.10.200.101' })).toEqual({ ...allPass, san: 'fail' })
    expect(states({ endpoint: 'other.example.com' })).toEqual({ ...allPass, san: 'fail' })
    expect(states({ endpoint: undefined })).toEqual({ ...allPass, san: 'skipped' })
  })

  it.each([
    ['before it begins', '2025-12-31T00:00:00Z', 'fail'],
    ['after it ended', '2027-01-01T00:00:00Z', 'fail'],
    ['29 days before it ends', '2026-12-03T00:00:00Z', 'warn'],
    ['30 days before it ends', '2026-12-02T00:00:00Z', 'pass'],
  ])('%s: %s is %s', (_when, at, state) => {
    expect(states({}, Date.parse(at))).toEqual({ ...allPass, dates: state })
  })

  it('fail when another CA is named, something that is no CA, or no certificate', () => {
    expect(states({ authority: Buffer.from(stranger.certificatePem) })).toEqual({ ...allPass, chain: 'fail' })
    expect(states({ authority: Buffer.from(good.certificatePem) })).toEqual({ ...allPass, chain: 'fail' })
    expect(states({ authority: Buffer.from('rubbish') })).toEqual({ ...allPass, chain: 'fail' })
    expect(states({ authority: undefined })).toEqual({ ...allPass, chain: 'fail' })
  })

  it('pass when it signs itself and no CA is named', () => {
    const self = {
      certificate: Buffer.from(authority.certificatePem),
      key: Buffer.from(authority.keyPem),
      authority: undefined,
    }
    expect(states({ ...self, endpoint: undefined })).toEqual({ ...allPass, san: 'skipped' })
  })

  it('fail as a whole when the file is no PEM', () => {
    expect(states({ certificate: Buffer.from('0\u0082DER') })).toEqual({ chain: 'fail' })
  })
})

it('fail with an RSA key of 1024 bits', async () => {
  const algorithm = {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 1024,
  }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const weak = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=weak',
    ...span,
    signingAlgorithm: algorithm,
    keys,
    extensions: [new SubjectAlternativeNameExtension([{ type: 'ip', value: endpoint }])],
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  const found = states({
    certificate: Buffer.from(weak.toString('pem')),
    key: Buffer.from(`-----BEGIN PRIVATE KEY-----\n${key.toString('base64')}\n-----END PRIVATE KEY-----\n`),
    authority: undefined,
  })
  expect(found).toEqual({ ...allPass, chain: 'fail' })
})
