import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openIdentityStore, type Identity } from './identity-store.ts'
import { memoryIdentityStore } from './memory-identity-store.ts'

const endpoint = { host: '10.10.200.1', port: 22 }
const identity = (fingerprint: string): Identity => ({
  algorithm: 'ssh-ed25519',
  fingerprint,
  firstSeen: '2026-01-01T00:00:00.000Z',
})

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-identities-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** A store with one identity on the disk, and the memory on top of it. */
async function openBoth() {
  const file = join(folder, 'identities.json')
  const known = await openIdentityStore(file)
  await known.pin('ssh', endpoint, identity('SHA256:known'))
  return { file, known, memory: memoryIdentityStore(known) }
}

describe('identities of a dry run', () => {
  it('are those that are known already', async () => {
    const { memory } = await openBoth()
    expect(memory.get('ssh', endpoint)?.fingerprint).toBe('SHA256:known')
    expect(memory.check('ssh', endpoint, { fingerprint: 'SHA256:known' }).status).toBe('match')
    expect(memory.check('ssh', endpoint, { fingerprint: 'SHA256:other' }).status).toBe('changed')
    expect(memory.check('tls', endpoint, { fingerprint: 'SHA256:known' }).status).toBe('new')
    expect(memory.check('ssh', { ...endpoint, port: 2222 }, { fingerprint: 'x' }).status).toBe('new')
  })

  it('are remembered as long as it lasts, and nothing of them is written', async () => {
    const { file, known, memory } = await openBoth()
    const before = await readFile(file, 'utf8')
    const other = { host: '10.10.200.2', port: 22 }
    await memory.pin('ssh', other, identity('SHA256:new'))
    expect(memory.check('ssh', other, { fingerprint: 'SHA256:new' }).status).toBe('match')
    expect(memory.check('ssh', other, { fingerprint: 'SHA256:other' }).status).toBe('changed')
    expect(known.get('ssh', other)).toBeUndefined()
    expect(await readFile(file, 'utf8')).toBe(before)
  })

  it('replace a known one for this run only', async () => {
    const { known, memory } = await openBoth()
    await memory.pin('ssh', endpoint, identity('SHA256:replaced'))
    expect(memory.get('ssh', endpoint)?.fingerprint).toBe('SHA256:replaced')
    expect(known.get('ssh', endpoint)?.fingerprint).toBe('SHA256:known')
  })

  it('are forgotten when asked, known ones as well, without touching the file', async () => {
    const { file, memory } = await openBoth()
    const before = await readFile(file, 'utf8')
    await memory.forget('ssh', endpoint)
    expect(memory.check('ssh', endpoint, { fingerprint: 'SHA256:other' }).status).toBe('new')
    expect(await readFile(file, 'utf8')).toBe(before)
    await memory.pin('ssh', endpoint, identity('SHA256:again'))
    expect(memory.get('ssh', endpoint)?.fingerprint).toBe('SHA256:again')
  })

  it('are of a host, in whatever case its name is written', async () => {
    const { memory } = await openBoth()
    await memory.pin('tls', { host: 'Palette.example.com', port: 443 }, identity('AA:BB'))
    expect(memory.get('tls', { host: 'palette.EXAMPLE.com', port: 443 })?.fingerprint).toBe('AA:BB')
  })
})
