import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, hostname } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { collectNodeFacts, mergeFacts, type CollectedFacts } from '../../main/appliance/facts/index.ts'
import { edgeHostSchema } from '../../main/appliance/local-api-schemas.ts'
import { checkNodes } from '../../main/checks/index.ts'
import { systemClock } from '../../main/engine/clock.ts'
import { systemDialler } from '../../main/network/dialler.ts'
import { createSshRunner } from '../../main/network/programs/ssh-runner.ts'
import type { NodeFacts } from '../../main/phases/node-facts.ts'
import { connectSsh, type SshConnection } from '../../main/ssh/index.ts'
import type { CheckId } from '../../shared/checks/index.ts'
import { planSchema } from '../../shared/plan/index.ts'
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

const systemDisk = `{"name":"sda","path":"/dev/sda","size":300000000000,"type":"disk","ro":false,"rm":false,
  "children":[{"name":"sda1","path":"/dev/sda1","size":300000000000,"type":"part","label":"COS_STATE","mountpoints":["/oem"]}]}`
const drive = (name: string, more = '') =>
  `{"name":"${name}","path":"/dev/${name}","size":500000000000,"type":"disk","ro":false,"rm":false${more}}`
const lsblk = (...disks: string[]) => `cat <<'END'\n{"blockdevices":[${disks.join(',')}]}\nEND`

/** Programs that this machine does not have, or that would tell of this machine: what a node of the appliance answers. */
const nodes: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  healthy: {
    'kairos-agent': 'printf active_boot',
    nproc: 'echo 8',
    lsblk: lsblk(systemDisk, drive('sdb')),
    timedatectl: 'printf "Timezone=Etc/UTC\\nLocalRTC=no\\nNTPSynchronized=yes\\n"',
  },
  'in a bad state': {
    'kairos-agent': 'printf livecd_boot',
    nproc: 'echo 4',
    lsblk: lsblk(systemDisk, drive('nvme0n1')),
    timedatectl: 'printf "Timezone=Europe/Berlin\\nLocalRTC=no\\nNTPSynchronized=no\\n"',
    date: 'printf "epoch=1000000000.5\\nzone=CET\\noffset=+0100\\n"',
  },
  'in use': {
    'kairos-agent': 'printf active_boot',
    nproc: 'echo 8',
    lsblk: lsblk(systemDisk, drive('sdb', ',"fstype":"xfs","mountpoints":["/srv"]')),
    timedatectl: 'printf "Timezone=UTC\\nLocalRTC=yes\\nNTPSynchronized=yes\\n"',
  },
  'of few words': {
    'kairos-agent': 'echo "agent: Zustand unbekannt" >&2; exit 3',
    nproc: 'exit 1',
    lsblk: 'echo "lsblk: Zugriff verweigert" >&2; exit 1',
    timedatectl: 'echo "Zeitdienst antwortet nicht" >&2; exit 1',
  },
}

/** Check × node, in the order of `nodes`: passed, failed, nobody knows. */
const expected: Partial<Record<CheckId, string>> = {
  // One end of a veth is no network card.
  'node.inventory': 'f f f ?',
  'node.identity': 'p p p p',
  'node.cpu': 'p ? p p',
  'node.install-complete': 'p f p ?',
  'node.disk1': 'p p p ?',
  'node.disk2': 'p p p ?',
  'node.disk2-path': 'p f f ?',
  // Without root nobody can see that it is empty.
  'node.disk2-data': '? ? f ?',
  'node.nic-link': 'p p p p',
  'node.nic-errors': 'p p p p',
  'net.same-subnet': 'p p p p',
  'net.non-overlapping': 'p p p p',
  'net.dhcp-lease': 'p p p p',
  'net.default-route': 'f f f f',
  'ntp.synced': 'p f p ?',
  'clock.tz': 'p f f ?',
}

describe.skipIf(reason !== undefined)(
  `checks of nodes over real OpenSSH servers${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    let lab: NamespaceLab
    const servers: TestSshd[] = []

    beforeAll(async () => {
      lab = await createNamespaceLab()
      for (const [index, programs] of Object.values(nodes).entries()) {
        const server = await startSshd(lab, {
          port: 32 + index,
          config: ['ForceCommand PATH=$HOME/bin:$PATH exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'],
        })
        const bin = join(server.home, 'bin')
        mkdirSync(bin)
        for (const [name, script] of Object.entries(programs)) {
          writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
          chmodSync(join(bin, name), 0o755)
        }
        servers.push(server)
      }
    })
    afterAll(async () => {
      await lab.remove()
      for (const server of servers) server.remove()
    })

    it('find what is wrong with which node, and do not guess', async () => {
      const address = lab.insideAddress
      const plan = planSchema.parse({
        version: 1,
        site: {
          name: 'rig-7',
          network: `${address.replace(/\d+$/, '0')}/24`,
          vip: address.replace(/\d+$/, '9'),
        },
        access: { newPassword: { generate: 'node' } },
        nodes: Object.keys(nodes).map((_, index) => ({
          name: `n${index + 1}`,
          address,
          leader: index === 0,
        })),
        cluster: { name: 'palette', registry: { password: { generate: 'registry' } } },
        console: { email: 'ops@example.com', newPassword: { env: 'CONSOLE_PASSWORD' } },
      })
      const startedAt = performance.now()
      const facts = await Promise.all(
        plan.nodes.map(async (node, index): Promise<NodeFacts> => {
          const server = servers[index]
          if (server === undefined) throw new TypeError('a node without a server')
          const { collected } = await collectFrom(server)
          const edgeHost = edgeHostSchema.parse({
            metadata: { id: `edge-${node.name}` },
            spec: { hardwareSpec: { cpu: { cores: 8 } } },
          })
          const settings = { managementMode: 'local', installationMode: 'airgap', featureFlags: undefined }
          return {
            node,
            uid: `edge-${node.name}`,
            edgeHost,
            settings,
            clusterName: undefined,
            host: { kind: 'read', collected },
            merged: mergeFacts({ edgeHost, settings, host: collected.facts }),
          }
        }),
      )
      const findings = checkNodes(plan, facts)
      expect(performance.now() - startedAt).toBeLessThan(20_000)
      const short = { pass: 'p', fail: 'f', 'could-not-run': '?', skipped: '-' }
      const found = Object.keys(expected).map((id) => [
        id,
        plan.nodes
          .map((node) => findings.find((one) => one.id === id && one.target === node.name))
          .map((one) => (one === undefined ? 'missing' : short[one.state]))
          .join(' '),
      ])
      expect(Object.fromEntries(found)).toEqual(expected)
      const measured = (id: CheckId, target: string) =>
        findings.find((one) => one.id === id && one.target === target)?.measured
      expect(measured('node.cpu', 'n2')).toBe('the Local UI says 8, the operating system says 4')
      expect(measured('node.disk2-path', 'n2')).toContain('the second disk seems to be /dev/nvme0n1')
      expect(measured('node.disk1', 'n4')).toContain('Zugriff verweigert')
      expect(measured('ntp.synced', 'n2')).toMatch(/its clock is [\d.]+ hours behind/)
      // They all are this one machine, with one network card and one name.
      expect(findings.find(({ id }) => id === 'host.name-unique')?.state).toBe('fail')
      expect(measured('net.mtu-equal', 'all nodes')).toBe('n1, n2, n3, n4: 1500')
    })
  },
)
