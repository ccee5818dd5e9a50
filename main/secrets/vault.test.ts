import { execFile, spawn } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { armor, Decrypter, Encrypter } from 'age-encryption'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openVault, vaultExists, vaultFileOf } from './vault.ts'

const PASSPHRASE = 'five random words in a row'
const SCRYPT = 4

let folder = ''
let file = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-vault-'))
  file = join(folder, 'site.vault.age')
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})

const open = (passphrase = PASSPHRASE) => openVault({ file, passphrase, scryptWorkFactor: SCRYPT })

async function encryptText(content: string): Promise<Uint8Array> {
  const encrypter = new Encrypter()
  encrypter.setPassphrase(PASSPHRASE)
  encrypter.setScryptWorkFactor(SCRYPT)
  return encrypter.encrypt(content)
}

describe('the vault', () => {
  it('keeps secrets for the next who opens it', async () => {
    const vault = await open()
    expect(await vault.names()).toEqual([])
    await vault.update((secrets) => secrets.set('node', 'pässword "1"').set('a', 'bcde'))
    const again = await open()
    expect(await again.names()).toEqual(['a', 'node'])
    expect(await again.get('node')).toBe('pässword "1"')
    expect(await again.get('other')).toBeUndefined()
  })

  it('is made only when there is something to keep', async () => {
    await open()
    expect(await vaultExists(file)).toBe(false)
  })

  it('holds nothing readable, is for its owner only, and leaves no other file behind', async () => {
    await (await open()).update((secrets) => secrets.set('node', 'hunter2-hunter2'))
    const text = await readFile(file, 'utf8')
    expect(text).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----/)
    expect(text).not.toContain('hunter2')
    if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['site.vault.age'])
  })

  it('is an age file that other age programs read', async () => {
    await (await open()).update((secrets) => secrets.set('node', 'hunter2-hunter2'))
    const decrypter = new Decrypter()
    decrypter.addPassphrase(PASSPHRASE)
    const content = await decrypter.decrypt(armor.decode(await readFile(file, 'utf8')), 'text')
    expect(JSON.parse(content)).toEqual({ node: 'hunter2-hunter2' })
  })

  it('reads a vault made by hand: binary age, YAML inside', async () => {
    await writeFile(file, await encryptText('# mine\nnode: hand-made\n'))
    expect(await (await open()).get('node')).toBe('hand-made')
  })

  it('says that the passphrase is wrong when it is', async () => {
    await (await open()).update((secrets) => secrets.set('node', 'hunter2-hunter2'))
    await expect(open('another passphrase')).rejects.toMatchObject({ code: 'VAULT_PASSPHRASE_WRONG' })
  })

  it('says that the file is damaged when it is, and never quotes what it holds', async () => {
    await (await open()).update((secrets) => secrets.set('node', 'hunter2-hunter2'))
    const text = await readFile(file, 'utf8')
    const binary = Buffer.from(armor.decode(text))
    binary[binary.length - 1] = (binary.at(-1) ?? 0) ^ 1
    const broken = [
      text.slice(0, -60),
      'no age file',
      binary,
      await encryptText('hunter2: [hunter2'),
      await encryptText('- hunter2'),
    ]
    for (const content of broken) {
      await writeFile(file, content)
      const failure: unknown = await open().catch((error: unknown) => error)
      expect(failure).toMatchObject({ code: 'VAULT_DAMAGED' })
      expect(JSON.stringify(failure) + String(failure)).not.toContain('hunter2')
    }
  })

  it('wants a passphrase for a new vault that is worth something', async () => {
    await expect(open('short')).rejects.toMatchObject({ code: 'VAULT_PASSPHRASE_WEAK' })
  })

  it('loses nothing when several change it at once', async () => {
    const vaults = await Promise.all(Array.from({ length: 8 }, () => open()))
    await Promise.all(
      vaults.map((vault, index) => vault.update((secrets) => secrets.set(`s${index}`, `secret ${index}`))),
    )
    expect(await (await open()).names()).toEqual(['s0', 's1', 's2', 's3', 's4', 's5', 's6', 's7'])
    expect(await readdir(folder)).toEqual(['site.vault.age'])
  })

  it('sees what another process has written since', async () => {
    const [mine, theirs] = [await open(), await open()]
    await theirs.update((secrets) => secrets.set('node', 'from the other'))
    expect(await mine.get('node')).toBe('from the other')
  })

  it('takes over the lock of a process that was killed', async () => {
    const child = spawn(process.execPath, ['-e', ''])
    const { pid } = child
    await new Promise((resolve) => child.once('exit', resolve))
    await writeFile(`${file}.lock`, JSON.stringify({ pid, host: hostname(), id: 'x' }))
    await (await open()).update((secrets) => secrets.set('node', 'after the crash'))
    expect(await readdir(folder)).toEqual(['site.vault.age'])
  })

  it('takes over a lock that nobody touched for a long time', async () => {
    await writeFile(`${file}.lock`, JSON.stringify({ pid: process.pid, host: 'another-machine', id: 'x' }))
    const past = new Date(Date.now() - 120_000)
    await utimes(`${file}.lock`, past, past)
    await (await open()).update((secrets) => secrets.set('node', 'after a long time'))
    expect(await readdir(folder)).toEqual(['site.vault.age'])
  })

  it('keeps the old content when the new one cannot be written', async () => {
    const vault = await open()
    await vault.update((secrets) => secrets.set('node', 'the old one'))
    const before = await readFile(file)
    await expect(
      vault.update(() => {
        throw new Error('killed in the middle')
      }),
    ).rejects.toThrow('killed in the middle')
    expect(await readFile(file)).toEqual(before)
    expect(await readdir(folder)).toEqual(['site.vault.age'])
  })

  it.skipIf(process.platform === 'win32' || process.getuid?.() === 0)(
    'says so when it may not write there',
    async () => {
      await chmod(folder, 0o500)
      await expect((await open()).update((secrets) => secrets.set('a', 'bcde'))).rejects.toMatchObject({
        code: 'VAULT_UNREADABLE',
      })
      await chmod(folder, 0o700)
    },
  )

  it('holds every secret that was handed out before the process was killed', async () => {
    const script = `
      import { openVault } from ${JSON.stringify(join(import.meta.dirname, 'vault.ts'))}
      const vault = await openVault({ file: ${JSON.stringify(file)}, passphrase: ${JSON.stringify(PASSPHRASE)}, scryptWorkFactor: ${SCRYPT} })
      for (let index = 0; index < 5; index += 1) {
        const name = 's' + index
        await vault.update((secrets) => secrets.set(name, 'secret-' + index))
        process.stdout.write(name + '\\n')
      }
      process.kill(process.pid, 'SIGKILL')
    `
    const run = promisify(execFile)
    const failure: unknown = await run(process.execPath, [
      '--input-type=module-typescript',
      '-e',
      script,
    ]).catch((error: unknown) => error)
    expect(failure).toMatchObject({ signal: 'SIGKILL', stdout: 's0\ns1\ns2\ns3\ns4\n' })
    expect(await (await open()).names()).toEqual(['s0', 's1', 's2', 's3', 's4'])
  })
})

describe('the place of the vault', () => {
  it.each([
    ['/plans/site.yaml', null, '/plans/site.vault.age'],
    ['/plans/site.yml', null, '/plans/site.vault.age'],
    ['/plans/site', null, '/plans/site.vault.age'],
    ['/plans/site.yaml', './secrets/x.age', '/plans/secrets/x.age'],
    ['/plans/site.yaml', '/vaults/x.age', '/vaults/x.age'],
  ])('of %s with %s is %s', (plan, vault, expected) => {
    expect(vaultFileOf(plan, vault)).toBe(expected)
  })
})
