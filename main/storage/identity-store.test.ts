import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openIdentityStore, type Identity } from './identity-store.ts'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-identities-'))
  file = join(folder, 'deeper', 'identities.json')
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})

const endpoint = { host: '10.10.200.11', port: 22 }
const identity: Identity = {
  algorithm: 'ssh-ed25519',
  fingerprint: 'SHA256:abc',
  firstSeen: '2026-01-01T00:00:00.000Z',
  publicKey: 'ssh-ed25519 AAAA',
}

describe('the store of identities', () => {
  it('knows nobody at first, then the pinned one, and notices a change', async () => {
    const store = await openIdentityStore(file)
    expect(store.check('ssh', endpoint, identity)).toEqual({ status: 'new' })
    await store.pin('ssh', endpoint, identity)
    expect(store.check('ssh', endpoint, identity)).toEqual({ status: 'match', stored: identity })
    expect(store.check('ssh', endpoint, { fingerprint: 'SHA256:other' })).toEqual({
      status: 'changed',
      stored: identity,
    })
    expect(store.check('tls', endpoint, identity)).toEqual({ status: 'new' })
    expect(store.check('ssh', { ...endpoint, port: 2222 }, identity)).toEqual({ status: 'new' })
  })

  it('remembers over restarts, in a file that is for the owner only, and leaves no temporary file', async () => {
    await (await openIdentityStore(file)).pin('ssh', endpoint, identity)
    const store = await openIdentityStore(file)
    expect(store.get('ssh', endpoint)).toEqual(identity)
    if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readdir(join(folder, 'deeper'))).toEqual(['identities.json'])
  })

  it('forgets', async () => {
    const store = await openIdentityStore(file)
    await store.pin('ssh', endpoint, identity)
    await store.forget('ssh', endpoint)
    await store.forget('ssh', endpoint)
    expect((await openIdentityStore(file)).get('ssh', endpoint)).toBeUndefined()
  })

  it('keeps all of many pins at once, and those of another process', async () => {
    const [one, two] = await Promise.all([openIdentityStore(file), openIdentityStore(file)])
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => one.pin('ssh', { ...endpoint, port: index + 1 }, identity)),
    )
    await two.pin('tls', endpoint, identity)
    const store = await openIdentityStore(file)
    expect(store.get('ssh', { ...endpoint, port: 20 })).toEqual(identity)
    expect(store.get('ssh', { ...endpoint, port: 1 })).toEqual(identity)
    expect(store.get('tls', endpoint)).toEqual(identity)
  })

  it.each(['', '{"version":1,"identities":[{"kind":"ssh"', '{"version":2,"identities":[]}', '[]'])(
    'refuses a file that it does not understand (%j) and leaves it as it is',
    async (content) => {
      const damaged = join(folder, 'damaged.json')
      await writeFile(damaged, content)
      await expect(openIdentityStore(damaged)).rejects.toMatchObject({
        code: 'IDENTITY_STORE_UNREADABLE',
        isTransient: false,
      })
      expect(await readFile(damaged, 'utf8')).toBe(content)
    },
  )

  it('refuses to overwrite a file that was damaged in the meantime', async () => {
    const store = await openIdentityStore(file)
    await store.pin('ssh', endpoint, identity)
    await writeFile(file, 'damaged')
    await expect(store.pin('tls', endpoint, identity)).rejects.toMatchObject({
      code: 'IDENTITY_STORE_UNREADABLE',
    })
    expect(await readFile(file, 'utf8')).toBe('damaged')
  })

  it('says so when it cannot write', async () => {
    await writeFile(join(folder, 'deeper'), 'a file where the folder should be')
    const blocked = await openIdentityStore(join(folder, 'missing.json'))
    await rm(folder, { recursive: true })
    await writeFile(folder, 'a file where the folder should be')
    await expect(blocked.pin('ssh', endpoint, identity)).rejects.toMatchObject({
      code: expect.stringMatching(/^IDENTITY_STORE_/u) as string,
    })
  })
})
