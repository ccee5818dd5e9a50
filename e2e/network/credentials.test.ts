import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../main/engine/clock.ts'
import { RunHistory } from '../../main/engine/history.ts'
import type { PhaseContext } from '../../main/engine/phase.ts'
import { systemDialler, type Dialler } from '../../main/network/dialler.ts'
import { NodeAccess } from '../../main/phases/node-access.ts'
import type { SecretStore } from '../../main/secrets/index.ts'
import { openIdentityStore } from '../../main/storage/index.ts'
import { memoryLoginAttempts, type LoginAttempts } from '../../main/storage/login-attempts.ts'
import { planTemplate, readPlan, type Plan } from '../../shared/plan/index.ts'
import { rejectionOf, sendJson, startTestServer, type TestServer } from './https-server.ts'
import { createNamespaceLab, whyNoNamespaces, type NamespaceLab } from './namespace-lab.ts'
import { startSshd, whyNoSshd, type TestSshd } from './sshd.ts'
import { createTestCertificate, type TestCertificate } from './test-certificate.ts'

const reason = whyNoNamespaces() ?? whyNoSshd()

describe.skipIf(reason !== undefined)(
  `The first login to a node with a real SSH server${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'landfall-credentials-'))
    let lab: NamespaceLab
    let sshd: TestSshd
    let own: TestCertificate
    let localUi: TestServer
    let interceptor: TestServer
    const open: NodeAccess[] = []

    beforeAll(async () => {
      lab = await createNamespaceLab()
      sshd = await startSshd(lab, { port: 22 })
      own = await createTestCertificate()
      writeFileSync(join(folder, 'own.pem'), own.certificatePem)
      writeFileSync(join(folder, 'own.key'), own.keyPem)
      lab.start('openssl', [
        ...['s_server', '-accept', '127.0.0.1:5080', '-quiet'],
        ...['-cert', join(folder, 'own.pem'), '-key', join(folder, 'own.key')],
      ])
      const accept = (_seen: unknown, response: Parameters<typeof sendJson>[0]) => {
        sendJson(response, 200, { Token: { Authorization: 'token' }, IsFirstLogin: false })
      }
      // What the workstation reaches: the node itself, or somebody who stands in between.
      localUi = await startTestServer(own, accept)
      interceptor = await startTestServer(await createTestCertificate(), accept)
    })
    afterAll(async () => {
      for (const access of open) await access.close()
      await Promise.all([localUi.close(), interceptor.close()])
      await lab.remove()
      sshd.remove()
      rmSync(folder, { recursive: true, force: true })
    })

    async function accessBy(
      server: TestServer,
      given: { password?: string; sshKey?: boolean; attempts?: LoginAttempts } = {},
    ) {
      const read = readPlan(planTemplate(), 'plan.yaml')
      if (!read.ok) throw new Error('the template is not in order')
      const [first] = read.plan.nodes
      if (first === undefined) throw new Error('the template has no node')
      const node = { ...first, address: lab.insideAddress }
      const plan: Plan = {
        ...read.plan,
        access: {
          ...read.plan.access,
          user: sshd.username,
          initialPassword: { env: 'PASSWORD' },
          newPassword: null,
          sshKey: given.sshKey === true ? sshd.userKeyFile : null,
        },
        nodes: [node],
      }
      const dialler: Dialler = {
        dial: (endpoint, options) =>
          systemDialler.dial(endpoint.port === 5080 ? server.endpoint : endpoint, options),
      }
      const identities = await openIdentityStore(join(folder, `${String(Math.random())}.json`))
      const access = new NodeAccess({
        plan,
        secrets: {
          resolve: () => Promise.resolve(given.password ?? sshd.password),
        } as unknown as SecretStore,
        areSecretsComplete: true,
        identities,
        dialler,
        clock: systemClock,
        readFile: () => Promise.resolve(Buffer.from(sshd.userKey)),
        loginAttempts: given.attempts ?? memoryLoginAttempts(),
      })
      open.push(access)
      const history = new RunHistory()
      const unused = () => Promise.reject(new Error('not used'))
      const context: PhaseContext<unknown> = {
        services: undefined,
        phase: 'connect-nodes',
        mode: 'apply',
        clock: systemClock,
        signal: new AbortController().signal,
        history,
        change: unused,
        waitFor: unused,
        progress: () => undefined,
        evidence: () => undefined,
        warn: () => undefined,
        report: () => Promise.resolve(),
      }
      return { access, context, node, identities }
    }

    it.each([true, false])(
      'proves the certificate over SSH first, and keeps that connection (by key: %s)',
      async (sshKey) => {
        const { access, context, node, identities } = await accessBy(localUi, { sshKey })
        const before = (sshd.log().match(/^Accepted (publickey|password) for/gmu) ?? []).length
        expect(await access.acceptedCredential(context, node)).toMatchObject({ name: 'initial' })
        expect(access.certificateProof(node)).toMatchObject({ kind: 'proven', fingerprint: own.fingerprint })
        expect(access.hostKey(node)).toMatchObject({
          status: 'new',
          seen: { fingerprint: sshd.fingerprints.ed25519 },
        })
        expect(identities.get('tls', { host: node.address, port: 5080 })).toMatchObject({ provenBy: 'ssh' })
        const ssh = await access.ssh(context, node)
        expect(ssh.kind === 'open' && (await ssh.connection.exec('id -un')).stdout).toBe('operator\n')
        expect((sshd.log().match(/^Accepted (publickey|password) for/gmu) ?? []).length).toBe(before + 1)
        expect(sshd.failures()).toEqual([])
      },
    )

    it.each([true, false])(
      'sends nothing to somebody who shows another certificate than the node (by key: %s)',
      async (sshKey) => {
        const { access, context, node, identities } = await accessBy(interceptor, { sshKey })
        const error = await rejectionOf(access.localApi(context, node))
        expect(error).toMatchObject({ code: 'TLS_INTERCEPTED', isTransient: false })
        expect((error as Error).message).toContain(own.fingerprint)
        expect((error as Error).message).toContain(interceptor.pin.fingerprint)
        expect(interceptor.requests).toEqual([])
        expect(identities.get('tls', { host: node.address, port: 5080 })).toBeUndefined()
        expect(access.certificateProof(node)).toMatchObject({ kind: 'intercepted' })
      },
    )

    it('tries a wrong password once in all, and after two refusals none, over runs', async () => {
      const attempts = memoryLoginAttempts()
      const requests = localUi.requests.length
      const logIn = async (password: string) => {
        const { access, context, node } = await accessBy(localUi, { password, attempts })
        return await rejectionOf(access.localApi(context, node))
      }
      expect(await logIn('Wrong-password-1')).toMatchObject({ code: 'LOGIN_REFUSED' })
      expect(sshd.failures()).toHaveLength(1)
      expect(await logIn('Wrong-password-2')).toMatchObject({ code: 'LOGIN_REFUSED' })
      expect(await logIn('Wrong-password-3')).toMatchObject({
        code: 'LOGIN_HELD_BACK',
        detail: expect.stringMatching(/safe again at \d{4}-/u) as string,
      })
      expect(sshd.failures()).toHaveLength(2)
      // Not one of them went to the Local UI as well.
      expect(localUi.requests.length).toBe(requests)
    })
  },
)
