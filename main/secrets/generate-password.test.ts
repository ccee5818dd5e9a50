import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { generatePassword } from './generate-password.ts'

describe('a generated password', () => {
  it('meets every rule of the accounts it is for', () => {
    fc.assert(
      fc.property(fc.integer({ min: 20, max: 32 }), (length) => {
        const password = generatePassword({ length })
        expect(password).toHaveLength(length)
        expect(password).toMatch(/^[A-Za-z][A-Za-z0-9_.!@#%-]*$/)
        for (const group of [/[a-z]/, /[A-Z]/, /[0-9]/, /[-_.!@#%]/]) expect(password).toMatch(group)
      }),
      { numRuns: 500 },
    )
  })

  it('is another one every time', () => {
    const made = Array.from({ length: 200 }, () => generatePassword())
    expect(new Set(made).size).toBe(200)
  })

  it('holds no user name, whatever its case', () => {
    for (let round = 0; round < 300; round += 1) {
      const password = generatePassword({ userNames: ['a', 'B', ''] })
      expect(password.toLowerCase()).not.toMatch(/[ab]/)
    }
  })

  it('draws every character equally often', () => {
    const counts = new Map<string, number>()
    for (let round = 0; round < 4000; round += 1) {
      // The first is always a letter; the others show the draw.
      for (const character of generatePassword({ length: 32 }).slice(1)) {
        counts.set(character, (counts.get(character) ?? 0) + 1)
      }
    }
    expect(counts.size).toBe(69)
    // One of each class is demanded, which favours the rare classes a little; a biased draw would show as a half more.
    const letters = [...counts].filter(([character]) => /[a-z]/i.test(character)).map(([, count]) => count)
    expect(Math.max(...letters) / Math.min(...letters)).toBeLessThan(1.25)
  })

  it('throws away random bytes that would favour some characters', () => {
    let served = 0
    const bytes = (size: number): Uint8Array => {
      served += 1
      // The first helping is nothing but bytes over the limit.
      return served === 1
        ? new Uint8Array(size).fill(255)
        : Uint8Array.from({ length: size }, (_, index) => (index * 7) % 200)
    }
    expect(generatePassword({ randomBytes: bytes })).toHaveLength(24)
    expect(served).toBeGreaterThan(1)
  })

  it.each([19, 33, 24.5])('is not made with a length of %d', (length) => {
    expect(() => generatePassword({ length })).toThrow(RangeError)
  })
})
