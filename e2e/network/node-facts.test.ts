import { existsSync, writeFileSync } from 'node:fs'
import { availableParallelism, hostname } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { collectNodeFacts, type CollectedFacts } from '../../main/appliance/facts/index.ts'
import { systemClock } from '../../main/engine/clock.ts'
import { systemDialler } from '../../main/network/dialler.ts'
import { createSshRunner } from '../../main/network/programs/ssh-runner.ts'
import { connectSsh, type SshConnection } from '../../main/ssh/index.ts'
import { createNamespaceLab, whyNoNamespaces, type NamespaceLab } from './namespace-lab.ts'
import { startSshd, whyNoSshd, type TestSshd } from './sshd.ts'

const reason = whyNoNamespaces() ?? whyNoSshd()

/** What sshd runs for every command: the shell that the account would have, after what its login scripts print. */
const accounts = [
  // bash runs ~/.bashrc of a session over SSH by itself.
  { shell: 'bash', command: 'exec /bin/bash -c "$SSH_ORIGINAL_COMMAND"', isThere: existsSync('/bin/bash') },
  {
    shell: 'BusyBox ash',
    command:
      'echo Welcome to node-7; echo Authorised use only >&2; exec /bin/busybox ash -c "$SSH_ORIGINAL_COMMAND"',
    isThere: existsSync('/bin/busybox'),
  },
].filter(({ isThere }) => isThere)

describe.skipIf(reason !== undefined)(
  `the facts of a node over a real OpenSSH server${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    let lab: NamespaceLab
    const servers: TestSshd[] = []

    beforeAll(async () => {
      lab = await createNamespaceLab()
      for (const [index, { command }] of accounts.entries()) {
        const server = await startSshd(lab, {
          port: 22 + index,
          config: [`ForceCommand ${command}`, 'MaxSessions 1'],
        })
        writeFileSync(join(server.home, '.bashrc'), 'echo "  *** node-7 ***"; echo careful >&2\n')
        servers.push(server)
      }
    })
    afterAll(async () => {
      await lab.remove()
      for (const server of servers) server.remove()
    })

    async function collectFrom(server: TestSshd): Promise<{ collected: CollectedFacts; commands: number }> {
      const connection = await connectSsh({
        endpoint: server.endpoint,
        username: server.username,
        auth: { password: server.password },
        dialler: systemDialler,
        hostKey: { pinned: { algorithm: 'ssh-ed25519', fingerprint: server.fingerprints.ed25519 } },
        node: 'n1',
      })
      try {
        let commands = 0
        const exec: SshConnection['exec'] = async (command, options) => {
          commands += 1
          return await connection.exec(command, options)
        }
        const collected = await collectNodeFacts(createSshRunner({ place: 'n1', connection: { exec } }), {
          signal: new AbortController().signal,
          deadlineSeconds: 30,
          asRoot: false,
          clock: systemClock,
        })
        return { collected, commands }
      } finally {
        await connection.close()
      }
    }

    it('are the same for every shell, with one command, and true', async () => {
      for (const server of servers) {
        const { collected, commands } = await collectFrom(server)
        expect(commands).toBe(1)
        expect(collected.completeness).toEqual({ kind: 'complete' })
        expect(collected.durationMs).toBeLessThan(8000)
        const { facts } = collected
        expect(facts.hostName.current).toEqual({
          kind: 'read',
          value: hostname(),
          source: '/proc/sys/kernel/hostname',
        })
        expect(facts.cpu.count).toEqual({ kind: 'read', value: availableParallelism(), source: 'nproc' })
        const { interfaces } = facts.network
        const nics = interfaces.kind === 'read' ? interfaces.value : []
        const nic = nics.find(({ name }) => name === lab.insideInterface)
        expect(nic).toMatchObject({
          mtu: 1500,
          isPhysical: false,
          hasCarrier: { kind: 'read', value: true },
          link: { kind: 'read', value: { kind: 'veth', isUp: true } },
        })
        expect(nic?.addresses).toMatchObject({
          kind: 'read',
          value: expect.arrayContaining([
            expect.objectContaining({ address: lab.insideAddress, prefix: 24 }),
          ]) as unknown,
        })
        expect(facts.listening).toMatchObject({
          kind: 'read',
          value: expect.arrayContaining([
            expect.objectContaining({ address: lab.insideAddress, port: server.endpoint.port }),
          ]) as unknown,
        })
        const { epochMs } = facts.clock
        const told = epochMs.kind === 'read' ? epochMs.value : NaN
        // One machine, one clock: it was read while the call was made.
        expect(told).toBeGreaterThanOrEqual(collected.startedAt - 1000)
        expect(told).toBeLessThanOrEqual(collected.endedAt + 1)
        expect(facts.memory.installed.kind).toBe('unread')
      }
    })

    it('of a node that is asked three times at once are told three times', async () => {
      const [server] = servers
      if (server === undefined) return
      const all = await Promise.all([collectFrom(server), collectFrom(server), collectFrom(server)])
      for (const { collected } of all) expect(collected.completeness).toEqual({ kind: 'complete' })
    })
  },
)
