import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { base64OfPem } from './pem.ts'

const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----'

describe('a PEM file for the appliance', () => {
  it('is the Base64 of the whole file, with the end of its last line', () => {
    expect(Buffer.from(base64OfPem(pem), 'base64').toString()).toBe(`${pem}\n`)
    expect(base64OfPem(`${pem}\n`)).toBe(base64OfPem(pem))
  })

  it('is one line without spaces, however long the file is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), (text) => {
        expect(base64OfPem(text)).toMatch(/^[A-Za-z0-9+/]+={0,2}$/)
      }),
    )
    expect(base64OfPem(`${pem}\n`.repeat(100))).not.toMatch(/\s/)
  })
})
