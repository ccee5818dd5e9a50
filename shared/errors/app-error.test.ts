import { describe, expect, it } from 'vitest'
import { AppError, appErrorDataSchema, assertNever, toAppError } from './index.ts'

const refused = () =>
  new AppError({
    code: 'LOGIN_REFUSED',
    title: 'The login was refused.',
    detail: '10.10.200.11 answered 401.',
    remedies: ['Check the password.'],
  })

describe('an error of the product', () => {
  it('says title and detail in its message', () => {
    expect(refused().message).toBe('The login was refused. 10.10.200.11 answered 401.')
    expect(new AppError({ code: 'X', title: 'No answer.' }).message).toBe('No answer.')
  })

  it('is permanent and without remedies unless it says otherwise', () => {
    expect(new AppError({ code: 'X', title: 'No answer.' })).toMatchObject({
      isTransient: false,
      remedies: [],
      detail: '',
    })
  })

  it('gets node and phase where they are unknown, and keeps those that it has', () => {
    const error = refused().at({ node: 'n1' })
    expect(error).toMatchObject({
      node: 'n1',
      phase: undefined,
      code: 'LOGIN_REFUSED',
      remedies: ['Check the password.'],
    })
    expect(error.at({ node: 'n2', phase: 'link' })).toMatchObject({ node: 'n1', phase: 'link' })
  })

  it('stays the same object when nothing is to be filled in', () => {
    const error = refused().at({ node: 'n1', phase: 'link' })
    expect(error.at({ node: 'n2', phase: 'other' })).toBe(error)
    expect(error.at({})).toBe(error)
  })

  it('keeps its cause, or is the cause itself, when it gets its place', () => {
    const cause = new Error('ECONNREFUSED')
    expect(new AppError({ code: 'X', title: 'T', cause }).at({ node: 'n1' }).cause).toBe(cause)
    const error = refused()
    expect(error.at({ node: 'n1' }).cause).toBe(error)
  })

  it('crosses borders as data that the schema accepts, without cause and stack', () => {
    for (const error of [
      refused(),
      refused().at({ node: 'n1', phase: 'p' }),
      toAppError(new TypeError('x')),
    ]) {
      const data = error.toData()
      expect(appErrorDataSchema.parse(JSON.parse(JSON.stringify(data)))).toEqual(data)
      expect(data).not.toHaveProperty('cause')
      expect(data).not.toHaveProperty('stack')
    }
    expect(refused().toData()).not.toHaveProperty('node')
  })
})

describe('wrapping', () => {
  it('happens exactly once', () => {
    const error = refused()
    expect(toAppError(error)).toBe(error)
    const wrapped = toAppError(new TypeError('x is undefined'))
    expect(toAppError(wrapped)).toBe(wrapped)
  })

  it('calls everything else a bug, with the original as cause and a way out', () => {
    const bug = new TypeError('x is undefined')
    const error = toAppError(bug)
    expect(error).toMatchObject({ code: 'INTERNAL', detail: 'TypeError: x is undefined', isTransient: false })
    expect(error.cause).toBe(bug)
    expect(error.remedies.length).toBeGreaterThan(0)
    expect(toAppError('thrown text').detail).toBe('Error: thrown text')
    expect(toAppError(undefined).detail).toBe('Error: undefined')
  })
})

describe('a case that cannot be', () => {
  it('is told with its value when it happens after all', () => {
    const impossible = { kind: 'new' } as never
    expect(() => assertNever(impossible)).toThrow('Unexpected value: {"kind":"new"}')
  })
})
