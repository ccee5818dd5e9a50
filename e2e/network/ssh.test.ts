import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { systemDialler } from '../../main/network/dialler.ts'
import { connectSsh, readHostKey, type ConnectSshOptions, type SshConnection } from '../../main/ssh/index.ts'
import type { AppError } from '../../shared/errors/index.ts'
import { rejectionOf } from './https-server.ts'
import { createNamespaceLab, whyNoNamespaces, type NamespaceLab } from './namespace-lab.ts'
import { sha256, startSshd, whyNoSshd, type TestSshd } from './sshd.ts'

const reason = whyNoNamespaces() ?? whyNoSshd()

describe.skipIf(reason !== undefined)(
  `SSH against a real OpenSSH server${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    let lab: NamespaceLab
    let sshd: TestSshd
    let keyOnly: TestSshd
    let promptOnly: TestSshd
    const open: SshConnection[] = []

    beforeAll(async () => {
      lab = await createNamespaceLab()
      sshd = await startSshd(lab, { port: 22 })
      keyOnly = await startSshd(lab, { port: 23, config: ['PasswordAuthentication no'] })
      promptOnly = await startSshd(lab, {
        port: 24,
        usePam: true,
        config: ['PasswordAuthentication no', 'KbdInteractiveAuthentication yes'],
      })
    })
    afterAll(async () => {
      await lab.remove()
      for (const server of [sshd, keyOnly, promptOnly]) server.remove()
    })
    afterEach(async () => {
      for (const connection of open.splice(0)) await connection.close()
    })

    function optionsFor(server: TestSshd, changes: Partial<ConnectSshOptions> = {}): ConnectSshOptions {
      return {
        endpoint: server.endpoint,
        username: server.username,
        auth: { password: server.password },
        dialler: systemDialler,
        hostKey: { pinned: { algorithm: 'ssh-ed25519', fingerprint: server.fingerprints.ed25519 } },
        node: 'n1',
        ...changes,
      }
    }

    async function connect(server: TestSshd, changes?: Partial<ConnectSshOptions>): Promise<SshConnection> {
      const connection = await connectSsh(optionsFor(server, changes))
      open.push(connection)
      return connection
    }

    describe('the host key', () => {
      it('has the fingerprint that ssh-keygen prints, and reading it sends no user name', async () => {
        const before = keyOnly.log()
        const seen = await readHostKey(keyOnly.endpoint, { dialler: systemDialler })
        expect(seen).toMatchObject({ algorithm: 'ssh-ed25519', fingerprint: keyOnly.fingerprints.ed25519 })
        const added = keyOnly.log().slice(before.length)
        expect(added).not.toMatch(/user/iu)
      })

      it('of each type of one host matches its pin', async () => {
        const rsa = await readHostKey(sshd.endpoint, { dialler: systemDialler, algorithm: 'ssh-rsa' })
        expect(rsa).toMatchObject({ algorithm: 'ssh-rsa', fingerprint: sshd.fingerprints.rsa })
        const connection = await connect(sshd, { hostKey: { pinned: rsa } })
        expect(connection.hostKey.fingerprint).toBe(sshd.fingerprints.rsa)
        expect((await connect(sshd)).hostKey.fingerprint).toBe(sshd.fingerprints.ed25519)
      })

      it('that changed is refused with both fingerprints before any credential goes out', async () => {
        const before = sshd.log()
        const known = { algorithm: 'ssh-ed25519', fingerprint: keyOnly.fingerprints.ed25519 }
        const error = (await rejectionOf(
          connectSsh(optionsFor(sshd, { hostKey: { pinned: known } })),
        )) as AppError
        expect(error).toMatchObject({ code: 'SSH_IDENTITY_CHANGED', isTransient: false, node: 'n1' })
        expect(error.detail).toContain(known.fingerprint)
        expect(error.detail).toContain(sshd.fingerprints.ed25519)
        expect(sshd.log().slice(before.length)).not.toMatch(/password|publickey|Failed/u)
      })

      it('at first sight is shown to whoever decides', async () => {
        const shown: string[] = []
        const verify = (verdict: 'accept' | 'reject') => ({
          verify: (seen: { fingerprint: string }) => {
            shown.push(seen.fingerprint)
            return verdict
          },
        })
        await connect(sshd, { hostKey: verify('accept') })
        expect(await rejectionOf(connectSsh(optionsFor(sshd, { hostKey: verify('reject') })))).toMatchObject({
          code: 'SSH_IDENTITY_REJECTED',
        })
        expect(shown).toEqual([sshd.fingerprints.ed25519, sshd.fingerprints.ed25519])
      })
    })

    describe('the login', () => {
      it('with a password that is wrong is exactly one attempt', async () => {
        const before = sshd.failures().length
        const error = (await rejectionOf(
          connectSsh(optionsFor(sshd, { auth: { password: 'wrong-password' } })),
        )) as AppError
        expect(error).toMatchObject({ code: 'SSH_LOGIN_REFUSED', isTransient: false })
        expect(sshd.failures().slice(before)).toEqual([
          expect.stringMatching(/^Failed password for operator /u),
        ])
        expect(JSON.stringify(error.toData())).not.toContain('wrong-password')
      })

      it('by key works, also with a passphrase', async () => {
        await connect(sshd, { auth: { privateKey: sshd.userKey } })
        await connect(sshd, { auth: { privateKey: sshd.encryptedUserKey, passphrase: sshd.passphrase } })
      })

      it('by the keys of an agent works, and goes on with the password when there is no agent', async () => {
        const socket = join(sshd.home, 'agent.sock')
        const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
        try {
          await until(() => statSync(socket, { throwIfNoEntry: false }) !== undefined, 'start of the agent')
          execFileSync('ssh-add', ['-q', sshd.userKeyFile], {
            env: { ...process.env, SSH_AUTH_SOCK: socket },
          })
          await connect(keyOnly, { auth: { agent: socket } }).then(
            () => expect.unreachable('the key belongs to the other server'),
            (error: unknown) => {
              expect(error).toMatchObject({ code: 'SSH_LOGIN_REFUSED' })
            },
          )
          await connect(sshd, { auth: { agent: socket } })
          const none = '/no/such/agent.sock'
          await connect(sshd, { auth: { agent: none, password: sshd.password } })
          const error = (await rejectionOf(
            connectSsh(optionsFor(sshd, { auth: { agent: none } })),
          )) as AppError
          expect(error).toMatchObject({ code: 'SSH_LOGIN_REFUSED' })
          expect(error.detail).toContain('SSH agent of this computer does not answer')
        } finally {
          agent.kill()
        }
      })

      it('with a wrong or missing passphrase is refused before anybody is called', async () => {
        const dialler = { dial: () => Promise.reject(new Error('must not dial')) }
        const refused = async (passphrase: string | undefined) =>
          await rejectionOf(
            connectSsh(
              optionsFor(sshd, { dialler, auth: { privateKey: sshd.encryptedUserKey, passphrase } }),
            ),
          )
        expect(await refused('wrong')).toMatchObject({ code: 'SSH_KEY_PASSPHRASE_WRONG' })
        expect(await refused(undefined)).toMatchObject({ code: 'SSH_KEY_PASSPHRASE_MISSING' })
      })

      it('by password, where the image has that switched off, asks for a key and does not send the password', async () => {
        const before = keyOnly.failures().length
        const error = (await rejectionOf(connectSsh(optionsFor(keyOnly)))) as AppError
        expect(error).toMatchObject({ code: 'SSH_LOGIN_REFUSED' })
        expect(error.detail).toContain('The server offers: key')
        expect(error.remedies[0]).toContain('Password login is switched off')
        expect(keyOnly.failures().length).toBe(before)
      })

      it('answers a prompt with the password where the server offers only that', async () => {
        const connection = await connect(promptOnly)
        expect((await connection.exec('id -un')).stdout).toBe('operator\n')
        const before = promptOnly.failures().length
        const error = await rejectionOf(
          connectSsh(optionsFor(promptOnly, { auth: { password: 'wrong-password' } })),
        )
        expect(error).toMatchObject({ code: 'SSH_LOGIN_REFUSED' })
        expect(promptOnly.failures().slice(before)).toHaveLength(1)
      })
    })

    describe('a command', () => {
      it('gives exit code, output and error output, and reads its input', async () => {
        const connection = await connect(sshd)
        expect(await connection.exec('echo out; echo err >&2; exit 3')).toEqual({
          exitCode: 3,
          signal: undefined,
          stdout: 'out\n',
          stderr: 'err\n',
        })
        const input = randomBytes(300_000)
        const hashed = await connection.exec('sha256sum', { stdin: input })
        expect(hashed.stdout).toContain(sha256(input))
        expect((await connection.exec('cat')).stdout).toBe('')
        expect(await connection.exec('kill -TERM $$')).toMatchObject({ exitCode: undefined, signal: 'TERM' })
        expect((await connection.exec('true', { stdin: input })).exitCode).toBe(0)
        expect((await connection.exec('tty; echo e >&2', { pty: true })).stdout).toMatch(
          /^\/dev\/pts\/\d+\r\ne\r\n$/u,
        )
      })

      it('with more output than allowed is stopped, and the connection stays usable', async () => {
        const connection = await connect(sshd)
        const error = await rejectionOf(
          connection.exec('echo $$ > big.pid; exec yes', { maxOutputBytes: 100_000 }),
        )
        expect(error).toMatchObject({ code: 'SSH_OUTPUT_TOO_LARGE' })
        await untilGone(Number(readFileSync(join(sshd.home, 'big.pid'), 'utf8')))
        expect((await connection.exec('echo on')).stdout).toBe('on\n')
      })

      it('that takes too long is killed on the node', async () => {
        const connection = await connect(sshd)
        const error = await rejectionOf(
          connection.exec('echo $$ > slow.pid; exec sleep 600', { timeoutMilliseconds: 500 }),
        )
        expect(error).toMatchObject({ code: 'SSH_TIMEOUT', isTransient: true, node: 'n1' })
        await untilGone(Number(readFileSync(join(sshd.home, 'slow.pid'), 'utf8')))
      })

      it('that is stopped by the operator is killed on the node', async () => {
        const connection = await connect(sshd)
        const stop = new AbortController()
        const because = new Error('stopped by the operator')
        const running = rejectionOf(
          connection.exec('echo $$ > stop.pid; exec sleep 600', { signal: stop.signal }),
        )
        await untilThere(join(sshd.home, 'stop.pid'))
        stop.abort(because)
        expect(await running).toBe(because)
        await untilGone(Number(readFileSync(join(sshd.home, 'stop.pid'), 'utf8')))
      })
    })

    describe('files', () => {
      it('of some megabytes arrive whole in both directions, with their mode and without leftovers', async () => {
        const connection = await connect(sshd)
        const bytes = randomBytes(7 * 1024 * 1024 + 13)
        const path = `${sshd.home}/transfer.bin`
        await connection.sftp.writeFile(path, Buffer.from('old'))
        await connection.sftp.writeFile(path, bytes, { mode: 0o640 })
        expect((await connection.exec(`sha256sum ${path}`)).stdout).toContain(sha256(bytes))
        expect(sha256(await connection.sftp.readFile(path))).toBe(sha256(bytes))
        expect(await connection.sftp.stat(path)).toMatchObject({
          kind: 'file',
          size: bytes.length,
          mode: 0o640,
        })
        expect((await connection.exec('ls')).stdout).not.toContain('.tmp')
      })

      it('that are missing, forbidden or too large are told apart', async () => {
        const { sftp } = await connect(sshd)
        expect(await sftp.stat('/no/such/file')).toBeUndefined()
        expect(await rejectionOf(sftp.readFile('/no/such/file'))).toMatchObject({ code: 'SFTP_NOT_FOUND' })
        expect(await rejectionOf(sftp.readFile('/etc/shadow'))).toMatchObject({
          code: 'SFTP_PERMISSION_DENIED',
        })
        expect(await rejectionOf(sftp.writeFile('/etc/landfall-test', 'x'))).toMatchObject({
          code: 'SFTP_PERMISSION_DENIED',
        })
        expect(await rejectionOf(sftp.readFile('/etc/passwd', { maxBytes: 10 }))).toMatchObject({
          code: 'SFTP_FILE_TOO_LARGE',
        })
      })
    })

    describe('a network that fails', () => {
      it('is told apart: nothing listens, nobody answers', async () => {
        expect(
          await rejectionOf(
            connectSsh(optionsFor(sshd, { endpoint: { host: lab.insideAddress, port: 29 } })),
          ),
        ).toMatchObject({ code: 'SSH_UNREACHABLE', isTransient: true })
        await lab.dropAnswers()
        try {
          const error = (await rejectionOf(
            connectSsh(optionsFor(sshd, { timeoutMilliseconds: 500 })),
          )) as AppError
          expect(error).toMatchObject({ code: 'SSH_UNREACHABLE', isTransient: true })
          expect(error.title).toContain('does not answer')
        } finally {
          await lab.passAnswers()
        }
      })

      it('during a command ends the command with a clear error', async () => {
        const connection = await connect(sshd, { keepalive: { intervalMilliseconds: 200, maxMissed: 2 } })
        const running = rejectionOf(connection.exec('echo ready > lost.flag; sleep 600'))
        await untilThere(join(sshd.home, 'lost.flag'))
        await lab.dropAnswers()
        try {
          expect(await running).toMatchObject({ code: 'SSH_CONNECTION_LOST', isTransient: true })
          expect(connection.isConnected()).toBe(false)
          expect(await rejectionOf(connection.exec('true'))).toMatchObject({ code: 'SSH_CONNECTION_LOST' })
          expect(await rejectionOf(connection.sftp.stat('/'))).toMatchObject({ code: 'SSH_CONNECTION_LOST' })
        } finally {
          await lab.passAnswers()
        }
      })

      it('or a server that ends during a command is a lost connection, not an exit code', async () => {
        const connection = await connect(sshd)
        const running = rejectionOf(connection.exec('kill -KILL $PPID; sleep 600'))
        expect(await running).toMatchObject({ code: 'SSH_CONNECTION_LOST', isTransient: true })
      })
    })
  },
)

/** Waits for a condition that the other side brings about. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`did not happen: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function untilThere(file: string): Promise<void> {
  await until(() => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0, file)
}

async function untilGone(pid: number): Promise<void> {
  expect(pid).toBeGreaterThan(1)
  await until(
    () => statSync(`/proc/${String(pid)}`, { throwIfNoEntry: false }) === undefined,
    `end of ${String(pid)}`,
  )
}
