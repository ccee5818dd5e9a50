import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { memoryLoginAttempts, openLoginAttempts } from './login-attempts.ts'

const folder = mkdtempSync(join(tmpdir(), 'landfall-attempts-'))
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})
const n1 = { node: 'n1', account: 'kairos' }
const n2 = { node: 'n2', account: 'kairos' }

describe.each([
  ['in a file', () => openLoginAttempts(join(folder, `${String(Math.random())}`, 'attempts.json'))],
  ['in memory', memoryLoginAttempts],
])('the count of refused logins %s', (_where, open) => {
  it('is per account of a node, and ends with an accepted login', async () => {
    const attempts = open()
    expect(await attempts.refusals(n1)).toEqual([])
    await Promise.all([attempts.noteRefused(n1, 1), attempts.noteRefused(n2, 5)])
    await attempts.noteRefused(n1, 2)
    expect(await attempts.refusals(n1)).toEqual([1, 2])
    await attempts.noteAccepted(n1)
    await attempts.noteAccepted(n1)
    expect(await attempts.refusals(n1)).toEqual([])
    expect(await attempts.refusals(n2)).toEqual([5])
  })
})

describe('the file', () => {
  it('is there for the next process, and holds names and times only', async () => {
    const file = join(folder, 'next', 'attempts.json')
    await openLoginAttempts(file).noteRefused(n1, 1_700_000_000_000)
    expect(await openLoginAttempts(file).refusals(n1)).toEqual([1_700_000_000_000])
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      version: 1,
      accounts: [{ node: 'n1', account: 'kairos', refusedAt: [1_700_000_000_000] }],
    })
  })

  it('that cannot be read is an error, never an empty count', async () => {
    const file = join(folder, 'broken.json')
    writeFileSync(file, '{"version":1')
    await expect(openLoginAttempts(file).refusals(n1)).rejects.toMatchObject({
      code: 'LOGIN_ATTEMPTS_UNREADABLE',
    })
    await expect(openLoginAttempts(file).noteRefused(n1, 1)).rejects.toMatchObject({
      code: 'LOGIN_ATTEMPTS_UNREADABLE',
    })
  })

  it('that cannot be written is an error', async () => {
    writeFileSync(join(folder, 'plain'), '')
    await expect(openLoginAttempts(join(folder, 'plain', 'x.json')).noteRefused(n1, 1)).rejects.toMatchObject(
      {
        code: expect.stringMatching(/^LOGIN_ATTEMPTS_/u) as string,
      },
    )
  })
})
