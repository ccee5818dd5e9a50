import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../main/engine/clock.ts'
import { readCertificate } from '../../main/network/certificate.ts'
import { systemDialler } from '../../main/network/dialler.ts'
import { createSshRunner } from '../../main/network/programs/ssh-runner.ts'
import { proveCertificate } from '../../main/phases/prove-certificate.ts'
import {
  connectPatiently,
  connectSsh,
  createJumpDialler,
  lastingConnection,
  printedBefore,
  readHostKey,
  type ConnectSshOptions,
  type SshConnection,
} from '../../main/ssh/index.ts'
import { planTemplate, readPlan, type PlanNode } from '../../shared/plan/index.ts'
import { rejectionOf } from './https-server.ts'
import { createNamespaceLab, whyNoNamespaces, type NamespaceLab } from './namespace-lab.ts'
import { startSshd, whyNoSshd, type TestSshd, type TestSshdOptions } from './sshd.ts'
import { createTestCertificate, type TestCertificate } from './test-certificate.ts'

const reason = whyNoNamespaces() ?? whyNoSshd()
/** Reachable from the first namespace only: no route leads there from outside. */
const hiddenAddress = '10.198.77.7'
const noise = 'echo "Welcome to n1"; echo "  landfall" ; echo warning >&2\n'

describe.skipIf(reason !== undefined)(
  `A fleet of real OpenSSH servers${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    const labs: NamespaceLab[] = []
    const servers: TestSshd[] = []
    const open: { close: () => Promise<void> }[] = []
    const folder = mkdtempSync(join(tmpdir(), 'landfall-fleet-'))
    let port = 30

    beforeAll(async () => {
      for (let count = 0; count < 4; count += 1) labs.push(await createNamespaceLab())
    })
    afterAll(async () => {
      for (const one of open.splice(0)) await one.close()
      for (const lab of labs) await lab.remove()
      for (const server of servers) server.remove()
      rmSync(folder, { recursive: true, force: true })
    })

    function labAt(index: number): NamespaceLab {
      const lab = labs[index]
      if (lab === undefined) throw new Error('no such laboratory')
      return lab
    }

    async function start(index: number, options: Partial<TestSshdOptions> = {}): Promise<TestSshd> {
      const server = await startSshd(labAt(index), { port: port++, ...options })
      servers.push(server)
      return server
    }

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

    async function connect(
      server: TestSshd,
      changes: Partial<ConnectSshOptions> = {},
    ): Promise<SshConnection> {
      const connection = await connectSsh(optionsFor(server, changes))
      open.push(connection)
      return connection
    }

    const runOn = (connection: Pick<SshConnection, 'exec'>, program: string, ...args: string[]) =>
      createSshRunner({ place: 'n1', connection }).run(program, args, {
        signal: new AbortController().signal,
        deadlineSeconds: 10,
      })

    it('lets in by every kind of key, and says by what it was', async () => {
      const server = await start(1)
      for (const auth of [
        { privateKey: server.userKey },
        { privateKey: server.ecdsaUserKey },
        { privateKey: server.encryptedUserKey, passphrase: server.passphrase },
      ]) {
        expect((await connect(server, { auth })).loginMethod).toBe('publickey')
      }
      expect((await connect(server)).loginMethod).toBe('password')
    })

    it.each([
      ['/bin/bash', { '.bashrc': noise }],
      ['/bin/tcsh', { '.cshrc': noise.split(';').slice(0, 1).join('') + '\n' }],
      ['/usr/bin/fish', {}],
      ['/bin/dash', {}],
    ])('runs programs for an account with %s, a banner and a noisy start', async (shell, files) => {
      if (spawnSync(shell, ['-c', 'true']).error !== undefined) throw new Error(`${shell} is not installed`)
      writeFileSync(join(folder, 'banner'), 'AUTHORISED USE ONLY\nlandfall:begin\n')
      const server = await start(0, { shell, files, config: [`Banner ${join(folder, 'banner')}`] })
      const connection = await connect(server)
      const difficult = ["it's", '$(id)', '!!', '\\', 'a\nb', '', '*', 'ä']
      expect(await runOn(connection, 'printf', '%s|', ...difficult)).toEqual({
        kind: 'ended',
        exitCode: 0,
        stdout: `${difficult.join('|')}|`,
        stderr: '',
      })
    })

    it('says what is wrong with an account that may not run anything', async () => {
      const nologin = await start(1, { shell: '/usr/sbin/nologin' })
      expect(await rejectionOf(runOn(await connect(nologin), 'true'))).toMatchObject({
        code: 'REMOTE_SHELL_UNUSABLE',
        detail: expect.stringContaining('not available') as string,
      })
      const forced = await start(1, { config: ['ForceCommand echo only this'] })
      expect(await rejectionOf(runOn(await connect(forced), 'true'))).toMatchObject({
        code: 'REMOTE_SHELL_UNUSABLE',
        remedies: [expect.stringContaining('ForceCommand') as string],
      })
    })

    it.each([1, 2])('waits for a session where only %d at a time are allowed', async (sessions) => {
      const server = await start(2, { config: [`MaxSessions ${String(sessions)}`] })
      const connection = await connect(server)
      const numbers = Array.from({ length: 12 }, (_, index) => String(index))
      const commands = numbers.map((number) => connection.exec(`sleep 0.05; echo ${number}`))
      const transfers = ['a', 'b'].map(async (name) => {
        await connection.sftp.writeFile(`${server.home}/${name}`, name)
        return (await connection.sftp.readFile(`${server.home}/${name}`)).toString()
      })
      expect((await Promise.all(commands)).map(({ stdout }) => stdout.trim())).toEqual(numbers)
      expect(await Promise.all(transfers)).toEqual(['a', 'b'])
      // One that is given up while it waits leaves no hole.
      const stop = new AbortController()
      const blockers = Array.from({ length: sessions }, () => connection.exec('sleep 0.5'))
      const waiting = rejectionOf(connection.exec('echo never', { signal: stop.signal }))
      const because = new Error('stopped')
      stop.abort(because)
      expect(await waiting).toBe(because)
      await Promise.all(blockers)
      expect((await connection.exec('echo on')).stdout).toBe('on\n')
    })

    it('gets through to a server that drops most logins that come at once, without one failed login', async () => {
      const server = await start(3, { config: ['MaxStartups 1:100:2'] })
      const logins = Array.from({ length: 10 }, () =>
        connectPatiently(() => connect(server), { clock: systemClock, signal: undefined }),
      )
      const connections = await Promise.all(logins)
      expect(connections.every((connection) => connection.isConnected())).toBe(true)
      expect(server.log()).toMatch(/drop connection|MaxStartups/iu)
      expect(server.failures()).toEqual([])
    }, 60_000)

    it('comes back after a connection that drops with every command, and says what had been printed', async () => {
      const server = await start(3)
      let opened = 0
      const reopen = () => {
        opened += 1
        return connectSsh(optionsFor(server))
      }
      const connection = lastingConnection(await reopen(), reopen)
      open.push(connection)
      for (let round = 0; round < 3; round += 1) {
        const error = await rejectionOf(
          connection.exec(`echo half ${String(round)}; sleep 0.3; kill -KILL $PPID; sleep 60`),
        )
        expect(error).toMatchObject({
          code: 'SSH_CONNECTION_LOST',
          detail: expect.stringContaining(`It had printed: half ${String(round)}`) as string,
        })
        expect(printedBefore(error)).toEqual({ stdout: `half ${String(round)}\n`, stderr: '' })
      }
      expect((await connection.exec('echo on')).stdout).toBe('on\n')
      expect(opened).toBe(4)
      expect(server.failures()).toEqual([])
    })

    it('reaches nodes that only a jump host reaches, by SSH and by HTTPS', async () => {
      const lab = labAt(0)
      await lab.exec('ip', 'address', 'add', `${hiddenAddress}/32`, 'dev', 'lo')
      const hidden = await startSshd(
        { insideAddress: hiddenAddress, start: (program, parameters) => lab.start(program, parameters) },
        { port: 22, isReachable: false },
      )
      servers.push(hidden)
      const certificate = await serveTls(lab, `${hiddenAddress}:5080`)
      const direct = { dialler: systemDialler, timeoutMilliseconds: 1000 }
      expect(await rejectionOf(connectSsh(optionsFor(hidden, direct)))).toMatchObject({
        code: 'SSH_UNREACHABLE',
      })

      const jumpHost = await start(0)
      let logins = 0
      const dialler = createJumpDialler(() => {
        logins += 1
        return connectSsh(optionsFor(jumpHost, { auth: { privateKey: jumpHost.userKey } }))
      })
      open.push(dialler)
      const [connection, seen] = await Promise.all([
        connect(hidden, { dialler }),
        readCertificate({ host: hiddenAddress, port: 5080 }, { dialler }),
      ])
      expect((await connection.exec('echo "$SSH_CONNECTION"')).stdout).toContain(`${hiddenAddress} 22`)
      expect(seen.fingerprint).toBe(certificate.fingerprint)
      expect((await readHostKey(hidden.endpoint, { dialler })).fingerprint).toBe(hidden.fingerprints.ed25519)
      expect(await rejectionOf(dialler.dial({ host: hiddenAddress, port: 9 }))).toMatchObject({
        code: 'ECONNREFUSED',
      })
      expect(logins).toBe(1)
      // The jump host is lost: the next connection opens it again.
      const jump = await dialler.connection()
      await rejectionOf(jump.exec('kill -KILL $PPID; sleep 60'))
      expect((await readCertificate({ host: hiddenAddress, port: 5080 }, { dialler })).fingerprint).toBe(
        certificate.fingerprint,
      )
      expect(logins).toBe(2)
    })

    it('says that a jump host does not pass connections on', async () => {
      const closed = await start(0, { config: ['AllowTcpForwarding no'] })
      const dialler = createJumpDialler(() => connectSsh(optionsFor(closed)))
      open.push(dialler)
      expect(
        await rejectionOf(readCertificate({ host: hiddenAddress, port: 5080 }, { dialler })),
      ).toMatchObject({
        code: 'SSH_FORWARD_REFUSED',
        isTransient: false,
      })
    })

    it.each([
      ['through the connection', [], 'TLS handshake'],
      [
        'by openssl on the node, where forwarding is forbidden',
        ['AllowTcpForwarding no'],
        'openssl s_client',
      ],
    ])(
      'tells a certificate of the node from one that somebody in between shows, %s',
      async (_how, config, how) => {
        const lab = labAt(2)
        const server = await start(2, { config })
        const node = nodeWith(port++)
        const own = await serveTls(lab, `127.0.0.1:${String(node.localUi.port)}`)
        // Who answers on the way to the node.
        const between = await serveTls(lab, `${lab.insideAddress}:${String(node.localUi.port)}`)
        const connection = await connect(server)
        const seenFromHere = await readCertificate(
          { host: lab.insideAddress, port: node.localUi.port },
          { dialler: systemDialler },
        )
        expect(seenFromHere.fingerprint).toBe(between.fingerprint)
        const { signal } = new AbortController()
        const ask = (fingerprint: string) =>
          proveCertificate({
            connection,
            node,
            address: lab.insideAddress,
            seenFromHere: fingerprint,
            signal,
          })
        expect(await ask(between.fingerprint)).toEqual({
          kind: 'intercepted',
          seenFromHere: between.fingerprint,
          seenOnNode: own.fingerprint,
          how: expect.stringContaining(how) as string,
        })
        expect(await ask(own.fingerprint)).toMatchObject({ kind: 'proven', fingerprint: own.fingerprint })
      },
    )

    it('does not claim a proof where the node has no Local UI to compare with', async () => {
      const server = await start(2, { config: ['AllowTcpForwarding no'] })
      const proof = await proveCertificate({
        connection: await connect(server),
        node: nodeWith(port++),
        address: labAt(2).insideAddress,
        seenFromHere: 'AA:BB',
        signal: new AbortController().signal,
      })
      expect(proof).toMatchObject({ kind: 'unproven', fingerprint: 'AA:BB' })
    })

    async function serveTls(lab: NamespaceLab, at: string): Promise<TestCertificate> {
      const certificate = await createTestCertificate()
      const name = join(folder, at.replaceAll(':', '-'))
      writeFileSync(`${name}.pem`, certificate.certificatePem)
      writeFileSync(`${name}.key`, certificate.keyPem)
      lab.start('openssl', [
        ...['s_server', '-accept', at, '-quiet'],
        ...['-cert', `${name}.pem`, '-key', `${name}.key`],
      ])
      const deadline = Date.now() + 5000
      while (!(await lab.exec('ss', '-ltnH')).includes(` ${at} `)) {
        if (Date.now() > deadline) throw new Error(`nobody listens on ${at}`)
      }
      return certificate
    }
  },
)

function nodeWith(localUiPort: number): PlanNode {
  const result = readPlan(planTemplate(), 'plan.yaml')
  const node = result.ok ? result.plan.nodes[0] : undefined
  if (node === undefined) throw new Error('the template is not in order')
  return { ...node, localUi: { port: localUiPort } }
}
