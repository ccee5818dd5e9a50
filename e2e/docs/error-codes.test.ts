import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { codesInSource, productSources } from './error-codes.ts'
import { projectFile } from './project-files.ts'

describe('docs/troubleshooting.md', () => {
  const documented = [
    ...readFileSync(projectFile('docs/troubleshooting.md'), 'utf8').matchAll(/^### (.+)$/gmu),
  ].map((match) => match[1])
  const inSources = new Set(
    productSources().flatMap((file) =>
      codesInSource(projectFile(file), readFileSync(projectFile(file), 'utf8')),
    ),
  )

  it('explains every error code of the product', () => {
    expect([...inSources].filter((code) => !documented.includes(code)).toSorted()).toEqual([])
  })

  it('explains no code that the product does not have', () => {
    expect(documented.filter((code) => code === undefined || !inSources.has(code))).toEqual([])
  })

  it('explains each code once', () => {
    expect(documented).toEqual([...new Set(documented)])
  })
})

describe('the search for error codes', () => {
  const codesIn = (text: string) => codesInSource('example.ts', text)

  it('finds codes at the error, in tables, in conditions and behind helpers', () => {
    expect(
      codesIn(`
        throw new AppError({ code: 'AT_ERROR', title })
        const table = { code: 'IN_TABLE', isTransient: true }
        throw new AppError({ code: a ? 'FIRST' : b ? 'SECOND' : 'THIRD', title })
        const fail = (code: string, title: string) => new AppError({ code, title })
        throw fail('BY_HELPER', 'x')
      `).toSorted(),
    ).toEqual(['AT_ERROR', 'BY_HELPER', 'FIRST', 'IN_TABLE', 'SECOND', 'THIRD'])
  })

  it('takes codes of the operating system and of schemas for what they are', () => {
    expect(
      codesIn(`fail(Object.assign(new Error('x'), { code: 'ETIMEDOUT' })); issue({ code: 'custom' })`),
    ).toEqual([])
  })

  it('refuses a code that it cannot read, so that none stays undocumented', () => {
    expect(() => codesIn('throw new AppError({ code: `A_${b}`, title })')).toThrow(/example.ts:1/u)
    expect(() => codesIn('throw new AppError({ code, title })')).toThrow(/example.ts:1/u)
  })
})
