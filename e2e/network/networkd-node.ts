import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { systemDialler } from '../../main/network/dialler.ts'
import type { ProgramRunner } from '../../main/network/programs/program-runner.ts'
import { createSshRunner } from '../../main/network/programs/ssh-runner.ts'
import { connectSsh, type SshConnection } from '../../main/ssh/index.ts'
import { createNamespaceLab, whyNoNamespaces, type NamespaceLab } from './namespace-lab.ts'

const networkd = '/lib/systemd/systemd-networkd'

/** Why there can be no such node on this machine; `undefined`: there can. */
export function whyNoNetworkd(): string | undefined {
  return (
    whyNoNamespaces() ??
    [
      networkd,
      '/usr/bin/networkctl',
      '/usr/bin/dbus-daemon',
      '/usr/sbin/sshd',
      '/usr/sbin/nft',
      '/usr/bin/setsid',
    ]
      .filter((program) => spawnSync(program, ['--version']).error !== undefined)
      .map((program) => `${program} is not installed`)[0]
  )
}

/** A machine in a namespace whose only interface is managed by a real systemd-networkd, with a real sshd. */
export interface NetworkdNode {
  readonly lab: NamespaceLab
  /** The first three numbers of its network. */
  readonly prefix: string
  readonly address: string
  readonly nic: string
  /** Fingerprint of its host key. */
  readonly fingerprint: string
  readonly userKeyFile: string
  /** Where the lasting files go; both are empty folders of this machine alone. */
  readonly places: { readonly cloudConfigs: string; readonly networkUnits: string }
  /** Opens it as root, with its pinned key. */
  open(
    address: string,
    options?: { timeoutMilliseconds?: number; signal?: AbortSignal },
  ): Promise<ProgramRunner>
  /** Runs a shell line on it, at an address. */
  sh(address: string, line: string): Promise<string>
  /** Whether systemd-networkd has done all that its files say. */
  isConfigured(): Promise<boolean>
  /** IPv4 addresses of all its interfaces, with prefix, `lo` aside. */
  addresses(): Promise<string[]>
  /** As a restart does: all that was in /run and every address is gone, networkd begins anew. */
  restart(): Promise<void>
  /** From now on, at this address another sshd answers, with a host key of its own. */
  answerAs(address: string): Promise<void>
  /** What its programs have said, for a test that fails. */
  logs(): string
  remove(): Promise<void>
  /** What is still there of it, `[]` after `remove`: processes, interfaces, namespaces, files. */
  leftovers(): string[]
}

/** A second laboratory takes a network only when the first one has taken its own. */
let turn: Promise<unknown> = Promise.resolve()

export async function createNetworkdNode(): Promise<NetworkdNode> {
  const ready = turn.then(createNamespaceLab)
  turn = ready.catch(() => undefined)
  const lab = await ready
  const folder = mkdtempSync(join(tmpdir(), 'landfall-networkd-'))
  const removeFolder = () => {
    rmSync(folder, { recursive: true, force: true })
  }
  // Also when the process ends without having come to `remove`.
  process.once('exit', removeFolder)
  chmodSync(folder, 0o755)
  const file = (name: string) => join(folder, name)
  for (const name of ['host', 'other', 'user'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file(name)])
  const sshdConfig = (port: number, key: string) =>
    [
      `Port ${String(port)}`,
      'ListenAddress 0.0.0.0',
      `HostKey ${file(key)}`,
      `AuthorizedKeysFile ${file('user.pub')}`,
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
      'PidFile none',
      'UseDNS no',
      'Subsystem sftp internal-sftp',
      '',
    ].join('\n')
  writeFileSync(file('sshd'), sshdConfig(22, 'host'))
  writeFileSync(file('sshd-other'), sshdConfig(2222, 'other'))
  const prefix = lab.insideAddress.split('.').slice(0, 3).join('.')
  writeFileSync(
    file('20-image.network'),
    `[Match]\nName=${lab.insideInterface}\n\n[Network]\nAddress=${lab.insideAddress}/24\nLinkLocalAddressing=no\n`,
  )
  writeFileSync(
    file('start-networkd'),
    [
      'rm -rf /run/systemd /run/landfall',
      'mkdir -p -m 755 /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp',
      'chown -R systemd-network:systemd-network /run/systemd/netif',
      `setsid ${networkd} >>${file('networkd.log')} 2>&1 </dev/null &`,
      'echo $! >/run/networkd.pid',
    ].join('\n'),
  )
  writeFileSync(
    file('restart'),
    [
      'sleep 1.5',
      // The watchers of a change end with the machine.
      'for one in /run/landfall/network/*.pid; do kill -KILL "$(cat "$one")"; done 2>/dev/null',
      'kill -KILL "$(cat /run/networkd.pid)"',
      `ip address flush dev ${lab.insideInterface}`,
      `sh ${file('start-networkd')}`,
    ].join('\n'),
  )
  writeFileSync(
    file('start'),
    [
      'set -e',
      // Without udev networkd does not wait for it only where /sys is read-only.
      'mount -o remount,bind,ro /sys',
      'mount -t tmpfs tmpfs /run',
      // What this machine's root does at login is no part of the test.
      'mount -t tmpfs -o mode=700 tmpfs /root',
      'mount -t tmpfs -o mode=755 tmpfs /etc/systemd/network',
      `cp ${file('20-image.network')} /etc/systemd/network/`,
      'chmod 644 /etc/systemd/network/*',
      'mkdir -m 755 /run/sshd /run/dbus /run/oem',
      'dbus-daemon --system --fork --nopidfile 2>/dev/null',
      // networkd is the one who gives the address.
      `ip address flush dev ${lab.insideInterface}`,
      `sh ${file('start-networkd')}`,
      `/usr/sbin/sshd -f ${file('sshd-other')} -E ${file('log-other')}`,
      `exec /usr/sbin/sshd -D -f ${file('sshd')} -E ${file('log')}`,
    ].join('\n'),
  )
  lab.start('unshare', [
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-c',
    `sh ${file('start')} >${file('start.log')} 2>&1`,
  ])
  const fingerprint =
    execFileSync('ssh-keygen', ['-lf', file('host.pub')], { encoding: 'utf8' }).split(' ')[1] ?? ''
  const connections: SshConnection[] = []
  const open: NetworkdNode['open'] = async (address, { timeoutMilliseconds = 2000, signal } = {}) => {
    const connection = await connectSsh({
      endpoint: { host: address, port: 22 },
      username: 'root',
      auth: { privateKey: readFileSync(file('user')) },
      dialler: systemDialler,
      hostKey: { pinned: { algorithm: 'ssh-ed25519', fingerprint } },
      timeoutMilliseconds,
      signal,
      node: 'n1',
    })
    connections.push(connection)
    return createSshRunner({ place: 'n1', connection })
  }
  const sh: NetworkdNode['sh'] = async (address, line) => {
    const runner = await open(address)
    const result = await runner.run('sh', ['-c', line], {
      signal: AbortSignal.timeout(20_000),
      deadlineSeconds: 15,
    })
    return result.kind === 'ended' ? result.stdout : result.kind
  }
  const logs = () =>
    ['start.log', 'networkd.log', 'log']
      .filter((name) => existsSync(file(name)))
      .map((name) => readFileSync(file(name), 'utf8'))
      .join('\n')
  const remove = async () => {
    // A connection to an address that is gone never answers its end.
    const closed = Promise.allSettled(connections.map((connection) => connection.close()))
    await Promise.race([closed, setTimeout(1000)])
    await lab.remove()
    removeFolder()
    process.off('exit', removeFolder)
  }
  const isConfigured = async () =>
    /\sconfigured\s*$/m.test(
      await sh(lab.insideAddress, `networkctl --no-legend list ${lab.insideInterface}`),
    )
  await eventually(isConfigured, logs).catch(async (error: unknown) => {
    await remove()
    throw error
  })

  const addresses = async () =>
    [...(await lab.exec('ip', '-4', '-o', 'address', 'show', 'scope', 'global')).matchAll(/inet (\S+)/g)].map(
      ([, one = '']) => one,
    )
  return {
    lab,
    prefix,
    address: lab.insideAddress,
    nic: lab.insideInterface,
    fingerprint,
    userKeyFile: file('user'),
    places: { cloudConfigs: '/run/oem', networkUnits: '/etc/systemd/network' },
    open,
    sh,
    isConfigured,
    addresses,
    restart: async () => {
      const [now = ''] = (await addresses()).map((one) => one.split('/')[0] ?? '')
      await sh(now, `setsid sh ${file('restart')} >/dev/null 2>&1 </dev/null &`)
      await setTimeout(3000)
    },
    answerAs: async (address) => {
      await lab.exec('nft', 'add table ip other')
      await lab.exec('nft', 'add chain ip other in { type nat hook prerouting priority -100; }')
      await lab.exec('nft', `add rule ip other in ip daddr ${address} tcp dport 22 redirect to :2222`)
    },
    logs,
    remove,
    leftovers: () => [
      ...seen('ip', ['-o', 'link', 'show', 'dev', lab.outsideInterface]),
      ...seen('ip', ['netns', 'list']).filter((line) => line.startsWith(lab.name)),
      // Every program of the machine is started from its folder, or with a file of it.
      ...seen('pgrep', ['-af', folder]),
      ...(existsSync(folder) ? [folder] : []),
    ],
  }
}

function seen(program: string, parameters: readonly string[]): string[] {
  return spawnSync(program, parameters, { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line !== '')
}

/** Looks again and again, for twenty seconds. */
export async function eventually(look: () => Promise<boolean>, said: () => string = () => ''): Promise<void> {
  const deadline = Date.now() + 20_000
  let failure: unknown
  while (Date.now() < deadline) {
    try {
      if (await look()) return
    } catch (error) {
      failure = error
    }
    await setTimeout(100)
  }
  throw new Error(`It did not happen: ${said()}`, { cause: failure })
}
