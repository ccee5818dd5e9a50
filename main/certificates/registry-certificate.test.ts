import { createPrivateKey, X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { makeRegistryCertificate } from './registry-certificate.ts'

test('the registry certificate is signed by its authority, fits its key and names every way to the registry', async () => {
  const now = Date.UTC(2026, 10, 22)
  const made = await makeRegistryCertificate(['10.10.200.100', 'registry.example.com'], now)
  const authority = new X509Certificate(made.caPem)
  const certificate = new X509Certificate(made.certificatePem)
  expect(authority.ca).toBe(true)
  expect(certificate.ca).toBe(false)
  expect(certificate.checkIssued(authority)).toBe(true)
  expect(certificate.verify(authority.publicKey)).toBe(true)
  expect(certificate.checkPrivateKey(createPrivateKey(made.keyPem))).toBe(true)
  expect(certificate.checkIP('10.10.200.100')).toBe('10.10.200.100')
  expect(certificate.checkHost('registry.example.com')).toBe('registry.example.com')
  expect(certificate.validFromDate.getTime()).toBeLessThan(now)
  expect(new Date(made.validTo).getTime()).toBeGreaterThan(now + 3600 * 86_400_000)
})
