import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CheckId, Finding } from '../../shared/checks/index.ts'
import type { Plan } from '../../shared/plan/index.ts'
import { collectNodeFacts } from '../../main/appliance/facts/index.ts'
import {
  checkMeasurements,
  drawMatrix,
  matrixOf,
  measureNodes,
  type MeasuredNode,
  type MeasureOptions,
} from '../../main/checks/measure/index.ts'
import { systemClock } from '../../main/engine/clock.ts'
import { examplePlan } from '../../main/lab/testing/lab-client.ts'
import { systemDialler } from '../../main/network/dialler.ts'
import { createSshRunner } from '../../main/network/programs/ssh-runner.ts'
import { connectSsh, type SshConnection } from '../../main/ssh/index.ts'
import { createNamespaceLab, whyNoNamespaces, type NamespaceLab } from './namespace-lab.ts'
import { startSshd, whyNoSshd, type TestSshd } from './sshd.ts'

const whyNoPrograms = ['/usr/sbin/nft', '/usr/sbin/dnsmasq', '/bin/busybox'].every((path) => existsSync(path))
  ? undefined
  : 'nft, dnsmasq or BusyBox is not installed'
const reason = whyNoNamespaces() ?? whyNoSshd() ?? whyNoPrograms

/** Of the segment; each node has besides it an interface for SSH from this process. */
const network = '10.197.77'
const names = ['n1', 'n2', 'n3', 'n4'] as const
type Name = (typeof names)[number]
const addressOf = (name: Name) => `${network}.${10 + Number(name.slice(1))}`
const servers = {
  gateway: `${network}.1`,
  dns: `${network}.1`,
  deadDns: `${network}.3`,
  deadNtp: `${network}.3`,
}

/**
 * - n1: as it should be; its sshd allows one session at a time
 * - n2: the port of the bridge that it is plugged into passes 1400 bytes; sshd has a banner, and its account's `date` is
 *   another program that comes earlier in PATH and is 3 s ahead. The kernel's clock is one for all namespaces.
 * - n3: packets to its TCP port 6443 are dropped; the shell is BusyBox ash with BusyBox's ping, timeout, dd, od and date
 * - n4: each third ping that arrives is dropped; its account's shell is dash
 */
describe.skipIf(reason !== undefined)(
  `measurements over real OpenSSH servers${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  { timeout: 90_000 },
  () => {
    const labs = new Map<Name, NamespaceLab>()
    const sshds = new Map<Name, TestSshd>()
    const connections: SshConnection[] = []
    let services: NamespaceLab
    /** Comes first in the PATH of n2's account. */
    let early = ''
    const plan: Plan = examplePlan((one) => {
      Object.assign(one['site'] as object, {
        ...{
          network: `${network}.0/24`,
          vip: `${network}.50`,
          gateway: servers.gateway,
          ntp: [servers.deadNtp],
        },
        dns: { primary: servers.dns, alternate: servers.deadDns, searchDomain: 'wild.example' },
      })
      one['nodes'] = names.map((name) => ({
        ...{ name, address: addressOf(name), leader: name === 'n1' },
        // Nobody has .71; the service machine has .1, which somebody wrote by mistake.
        ...(name === 'n1' ? { nic: { mode: 'static', address: `${network}.71` } } : {}),
        ...(name === 'n2' ? { nic: { mode: 'static', address: `${network}.4` } } : {}),
      }))
    }, 4)

    const lab = (name: Name) => {
      const found = labs.get(name)
      if (found === undefined) throw new Error(`no machine ${name}`)
      return found
    }

    beforeAll(async () => {
      services = await createNamespaceLab()
      const inServices = (...words: string[]) => services.exec('ip', ...words)
      await inServices('link', 'add', 'name', 'br0', 'type', 'bridge')
      for (const last of [1, 4]) await inServices('address', 'add', `${network}.${last}/24`, 'dev', 'br0')
      await inServices('link', 'set', 'br0', 'up')
      services.start('dnsmasq', [
        ...['--no-daemon', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file='],
        ...[`--listen-address=${servers.dns}`, '--bind-interfaces', '--user=root', '--local=/example/'],
        ...['--address=/wild.example/203.0.113.7', `--ptr-record=50.77.197.10.in-addr.arpa,palette.example`],
      ])
      for (const [index, name] of names.entries()) {
        const one = await createNamespaceLab()
        labs.set(name, one)
        const port = `port${index}`
        await inServices(
          'link',
          'add',
          'name',
          port,
          'type',
          'veth',
          'peer',
          'name',
          'seg0',
          'netns',
          one.name,
        )
        await inServices('link', 'set', port, 'master', 'br0', 'up')
        await one.exec('ip', 'address', 'add', `${addressOf(name)}/24`, 'dev', 'seg0')
        await one.exec('ip', 'link', 'set', 'seg0', 'up')
        await one.exec('ip', 'route', 'add', 'default', 'via', servers.gateway)
        // A node answers for its own interface only, and lets its accounts use ping, as Ubuntu does.
        await one.exec(
          'sysctl',
          '-qw',
          'net.ipv4.conf.all.arp_ignore=1',
          'net.ipv4.ping_group_range=0 2147483647',
        )
      }
      await inServices('link', 'set', 'port1', 'mtu', '1400')
      await nft(lab('n3'), 'tcp dport 6443 drop')
      await nft(lab('n4'), 'icmp type echo-request numgen inc mod 3 == 0 drop')

      early = mkdtempSync(join(tmpdir(), 'landfall-early-'))
      chmodSync(early, 0o755)
      writeFileSync(join(early, 'date'), '#!/bin/sh\nexec /usr/bin/date -d "+3 seconds" "$@"\n', {
        mode: 0o755,
      })
      chmodSync(join(early, 'date'), 0o755)
      for (const [name, config] of Object.entries({
        n1: ['MaxSessions 1'],
        n2: ['Banner /etc/os-release'],
        n3: [
          'ForceCommand echo Welcome to node-7; echo Authorised use only >&2; PATH=$HOME/bin:$PATH exec /bin/busybox ash -c "$SSH_ORIGINAL_COMMAND"',
        ],
        n4: [],
      })) {
        const sshd = await startSshd(lab(name as Name), {
          port: 22,
          config: [...config, ...(name === 'n2' ? [`SetEnv PATH=${early}:/usr/bin:/bin`] : [])],
        })
        sshds.set(name as Name, sshd)
      }
      const busybox = join(sshds.get('n3')?.home ?? '', 'bin')
      mkdirSync(busybox)
      for (const applet of ['ping', 'timeout', 'dd', 'od', 'date', 'cat', 'df', 'head'])
        symlinkSync('/bin/busybox', join(busybox, applet))
    }, 60_000)
    afterAll(async () => {
      for (const connection of connections) await connection.close()
      for (const one of labs.values()) await one.remove()
      await services.remove()
      for (const sshd of sshds.values()) sshd.remove()
      rmSync(early, { recursive: true, force: true })
    })

    async function nft(one: NamespaceLab, rule: string): Promise<void> {
      await one.exec('nft', 'add table ip faults')
      await one.exec('nft', 'add chain ip faults in { type filter hook input priority 0; }')
      await one.exec('nft', `add rule ip faults in iifname seg0 ${rule}`)
    }

    const connectionOf = new Map<MeasuredNode, SshConnection>()
    async function connect(name: Name): Promise<MeasuredNode> {
      const sshd = sshds.get(name)
      if (sshd === undefined) throw new Error(`no sshd on ${name}`)
      const connection = await connectSsh({
        ...{ endpoint: sshd.endpoint, username: sshd.username, auth: { privateKey: sshd.userKey } },
        ...{ dialler: systemDialler, node: name },
        hostKey: { pinned: { algorithm: 'ssh-ed25519', fingerprint: sshd.fingerprints.ed25519 } },
      })
      connections.push(connection)
      const node = {
        ...{ name, address: addressOf(name), runner: createSshRunner({ place: name, connection }) },
        ...{ interface: 'seg0', mtu: undefined, isControlPlane: name !== 'n4' },
      }
      connectionOf.set(node, connection)
      return node
    }
    const options = (nodes: readonly MeasuredNode[]): MeasureOptions => ({
      ...{ plan, nodes, clock: systemClock, signal: new AbortController().signal, isDiskSpeedAsked: false },
    })

    /** `id target`: state and severity, `measured`. */
    const tableOf = (findings: readonly Finding[]): Map<string, string> =>
      new Map(
        findings.map(({ id, target, state, severity, measured }) => [
          `${id} ${target}`,
          [state, ...(severity === undefined ? [] : [severity]), measured].join(' | '),
        ]),
      )

    it('and the facts of three nodes take less than 20 s', async () => {
      const nodes = await Promise.all((['n1', 'n2', 'n3'] as const).map(connect))
      const startedAt = performance.now()
      const signal = new AbortController().signal
      await Promise.all(
        nodes.map(({ runner }) =>
          collectNodeFacts(runner, { signal, deadlineSeconds: 30, asRoot: false, clock: systemClock }),
        ),
      )
      const facts = (performance.now() - startedAt) / 1000
      await measureNodes(options(nodes))
      const seconds = (performance.now() - startedAt) / 1000
      process.stdout.write(
        `facts and measurements of 3 nodes: ${seconds.toFixed(1)} s, facts ${facts.toFixed(1)} s of it\n`,
      )
      expect(seconds).toBeLessThan(20)
    })

    it('find what is wrong, and nothing else', async () => {
      const nodes = await Promise.all(names.map(connect))
      const measurements = await measureNodes(options(nodes))
      const drawn = drawMatrix(matrixOf(measurements), 100)
      process.stdout.write(`${drawn}\n`)

      const found = tableOf(checkMeasurements(plan, measurements))
      const noPing = /^could-not-run \| (block \| )?ping says: ping: permission denied/u
      const lost = /^fail \| \d\d % lost \(\d+ of 20\)$/u
      const narrow = /^fail \| 1500 bytes do not pass, 1400 pass$/u
      const expected: [key: string, value: RegExp][] = [
        ['clock.skew n1', /^pass \| 0\.\d{3} s (behind|ahead of) the median, measured to ± 0\.\d{3} s$/u],
        ['clock.skew n2', /^fail \| block \| (2\.[5-9]|3\.)\d* s ahead of the median/u],
        // BusyBox tells whole seconds: that it is right cannot be said exactly enough.
        [
          'clock.skew n3',
          /^could-not-run \| warn \| \d\.\d{3} s (behind|ahead of) the median, measured to ± 0\.\d{3} s$/u,
        ],
        ['clock.skew n4', /^pass \| /u],
        ['ws.clock workstation', /^pass \| /u],
        ['net.majority-group all nodes', /^pass \| all 12 ways between 4 nodes are open$/u],
        ['net.duplicate-dhcp all nodes', /^(could-not-run|skipped) \| /u],
        [
          'net.ip-free n1',
          new RegExp(`^pass \\| nobody answers for ${network}\\.71 \\(asked from n4\\)$`, 'u'),
        ],
        ['net.ip-free n2', new RegExp(`^fail \\| [0-9a-f:]{17} answers for ${network}\\.4$`, 'u')],
        ['net.ip-free n3', /^skipped \| /u],
        ['net.ip-free n4', /^skipped \| /u],
        ...names.flatMap((name): [string, RegExp][] => [
          [`net.ip-collision ${name}`, /^pass \| [0-9a-f:]{17}, its own$/u],
          [`net.gateway-answers ${name}`, /^pass \| \S+ answers ARP \([0-9a-f:]{17}\)/u],
          [`dns.servers-answer ${name}`, /^fail \| \S+\.1 answers \(NOERROR\); \S+\.3: no answer$/u],
          [
            `dns.wildcard ${name}`,
            /^fail \| \S+ says that landfall-[0-9a-f]{12}\.wild\.example is 203\.0\.113\.7$/u,
          ],
          [`dns.registry ${name}`, /^skipped \| /u],
          [`dns.forward-reverse ${name}`, /^pass \| \S+\.50 is palette\.example$/u],
          [`ntp.servers-answer ${name}`, /^fail \| \S+\.3: no answer$/u],
          [`proxy.reach ${name}`, /^skipped \| /u],
          [`reg.reach ${name}`, /^skipped \| /u],
          [`node.disk-speed ${name}`, /^skipped \| /u],
          ...names
            .filter((other) => other !== name)
            .flatMap((other): [string, RegExp][] => {
              const pair = `${name} → ${other}`
              const cannotPing = name === 'n3'
              const isNarrow = name === 'n2' || other === 'n2'
              return [
                [`net.latency ${pair}`, cannotPing ? noPing : /^pass \| \d+\.\d\d ms on average/u],
                [
                  `net.loss ${pair}`,
                  cannotPing ? noPing : other === 'n4' ? lost : /^pass \| 0 % lost \(0 of 5\)$/u,
                ],
                [
                  `net.mtu-path ${pair}`,
                  cannotPing ? /^could-not-run \| / : isNarrow ? narrow : /^pass \| 1500 bytes pass$/u,
                ],
                [`net.same-l2 ${pair}`, /^pass \| [0-9a-f:]{17}, its own$/u],
                [
                  `net.ports-node ${pair}`,
                  other === 'n3'
                    ? /^fail \| block \| no answer from 6443 \(Kubernetes API\)$/u
                    : /^pass \| all 11 answer; none open$/u,
                ],
              ]
            }),
        ]),
      ]
      const wrong = expected.flatMap(([key, value]) =>
        value.test(found.get(key) ?? 'nothing') ? [] : [`${key}: ${found.get(key) ?? 'nothing'}`],
      )
      expect(wrong).toEqual([])
      const unexpected = [...found.keys()].filter((key) => !expected.some(([known]) => known === key))
      expect(unexpected).toEqual([])
      for (const odd of [
        'n2: packets of more than 1400 bytes',
        'n3: TCP ports',
        'n4: packets to or from it are lost',
      ])
        expect(drawn.replaceAll('\n', ' ')).toContain(`The odd one out is ${odd}`)
    })

    it('of disks leave nothing behind, also when they are given up', async () => {
      const only = new Set<CheckId>(['node.disk-speed'])
      const [node] = await Promise.all([connect('n4')])
      const asked = { ...options([node]), only, isDiskSpeedAsked: true }
      const findings = checkMeasurements(plan, await measureNodes(asked))
      const disk = findings.find(({ target }) => target === 'n4')
      expect(disk?.measured).toMatch(
        /^\d+\.\d ms \(99 % of \d+ writes by (dd|fio) in \/(usr\/local|var\/tmp)\)$/u,
      )

      const stop = new AbortController()
      const begun: MeasuredNode = {
        ...node,
        runner: {
          ...node.runner,
          run: async (program, args, run) => {
            const running = node.runner.run(program, args, run)
            if (run.input === undefined || run.asRoot === true) return await running
            // Once the node is at it.
            const watching = lab('n4')
              .exec(
                'sh',
                '-c',
                'until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q landfall-disk; do sleep 0.02; done',
              )
              .then(() => {
                stop.abort(new Error('given up'))
              })
            // Should it be over before anybody has looked, the test fails instead of waiting.
            return await Promise.race([running, watching.then(() => running)])
          },
        },
      }
      await expect(measureNodes({ ...asked, nodes: [begun], signal: stop.signal })).rejects.toThrow(
        'given up',
      )
      for (const folder of ['/usr/local', '/var/tmp'])
        expect(readdirSync(folder).filter((name) => name.startsWith('.landfall-disk'))).toEqual([])
    })

    it('of a node that is gone in the middle could not run, and the others are measured', async () => {
      const nodes = await Promise.all((['n1', 'n2'] as const).map(connect))
      const [first, second] = nodes
      if (first === undefined || second === undefined) throw new Error('no nodes')
      let hasBegun = false
      const dying: MeasuredNode = {
        ...second,
        runner: {
          ...second.runner,
          run: async (program, args, run) => {
            const running = second.runner.run(program, args, run)
            if (program !== 'date' && !hasBegun) {
              hasBegun = true
              await lab('n2').exec('sh', '-c', 'until ps ax | grep -q "[p]ing -n -c 5"; do sleep 0.02; done')
              await connectionOf.get(second)?.close()
            }
            return await running
          },
        },
      }
      const findings = checkMeasurements(plan, await measureNodes(options([first, dying])))
      const found = tableOf(findings)
      expect(hasBegun).toBe(true)
      expect(found.get('net.loss n1 → n2')).toMatch(/^pass/u)
      expect(found.get('net.loss n2 → n1')).toMatch(/^could-not-run \| /u)
      expect(found.get('net.majority-group all nodes')).toMatch(
        /^could-not-run \| n2 could not be asked; n3, n4: not measured$/u,
      )
    })
  },
)
