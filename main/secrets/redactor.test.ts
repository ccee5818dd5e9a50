import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor } from './redactor.ts'

const secret = fc
  .string({ unit: 'grapheme', minLength: 8, maxLength: 24 })
  // Where lone surrogates stand, no encoding exists.
  .filter((text) => text.isWellFormed() && [...text].length >= 4)

describe('the redactor', () => {
  it('leaves ordinary text alone', () => {
    expect(createRedactor(['correct-horse']).redact('node n1: 12 % of the copy')).toBe(
      'node n1: 12 % of the copy',
    )
    expect(createRedactor().redact('anything')).toBe('anything')
  })

  it('replaces every occurrence', () => {
    expect(createRedactor(['s3cret!']).redact('a s3cret! b s3cret!s3cret!')).toBe(
      'a [redacted] b [redacted][redacted]',
    )
  })

  it('treats characters that mean something to patterns as themselves', () => {
    const { redact } = createRedactor(['a.*b$^[x]{2}|\\'])
    expect(redact('a.*b$^[x]{2}|\\ axxb')).toBe('[redacted] axxb')
  })

  it('replaces the longer of two secrets of which one is part of the other', () => {
    expect(createRedactor(['pass', 'password-1']).redact('password-1')).toBe('[redacted]')
  })

  it('knows what is added later', () => {
    const redactor = createRedactor()
    redactor.add('later-secret')
    expect(redactor.redact('later-secret')).toBe('[redacted]')
  })

  it.each<[string, (text: string) => string]>([
    ['itself', (text) => text],
    ['JSON', (text) => JSON.stringify(text)],
    ['JSON in JSON', (text) => JSON.stringify({ body: JSON.stringify({ password: text }) })],
    ['a URL', (text) => `https://x/?p=${encodeURIComponent(text)}`],
    ['a form', (text) => new URLSearchParams({ p: text }).toString()],
    [
      'lower-case percent escapes',
      (text) => encodeURIComponent(text).replace(/%../g, (hex) => hex.toLowerCase()),
    ],
    ['Base64', (text) => Buffer.from(text).toString('base64')],
    ['base64url', (text) => Buffer.from(text).toString('base64url')],
    ['shell quotes', (text) => `'${text.replaceAll("'", `'\\''`)}'`],
  ])('hides any secret in the form of %s', (_form, encode) => {
    fc.assert(
      fc.property(secret, (text) => {
        const redacted = createRedactor([text]).redact(`before ${encode(text)} after`)
        expect(redacted).toContain('[redacted]')
        expect(redacted).not.toContain(text)
        expect(redacted).not.toContain(Buffer.from(text).toString('base64'))
      }),
    )
  })

  it('hides a secret inside of the Base64 of something longer', () => {
    for (const user of ['a', 'ad', 'adm', 'admin']) {
      const header = `Basic ${Buffer.from(`${user}:correct-horse-battery`).toString('base64')}`
      const redacted = createRedactor(['correct-horse-battery']).redact(header)
      expect(redacted).toContain('[redacted]')
      const left = redacted.replace('[redacted]', '')
      expect(Buffer.from(left.slice(6), 'base64').toString()).not.toContain('correct')
      expect(left.length).toBeLessThan('Basic '.length + user.length * 2 + 8)
    }
  })

  it('refuses what is too short to be protected', () => {
    expect(() => createRedactor(['abc'])).toThrow(
      expect.objectContaining({ code: 'SECRET_TOO_SHORT' }) as Error,
    )
  })
})
