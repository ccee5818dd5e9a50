import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
  /** IPv4 addresses of all its interfaces, with prefix, `lo` aside. */
  addresses(): Promise<string[]>
  /** As a restart does: all that was in /run and every address is gone, networkd begins anew. */
  restart(): Promise<void>
  /** From now on, at this address another sshd answers, with a host key of its own. */
  answerAs(address: string): Promise<void>
  remove(): Promise<void>
}

export async function createNetworkdNode(): Promise<NetworkdNode> {
  const lab = await createNamespaceLab()
  const folder = mkdtempSync(join(tmpdir(), 'landfall-networkd-'))
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
  const isConfigured = async () =>
    /\sconfigured\s*$/m.test(
      await sh(lab.insideAddress, `networkctl --no-legend list ${lab.insideInterface}`),
    )
  await eventually(isConfigured, () =>
    ['start.log', 'networkd.log', 'log'].map((name) => readFileSync(file(name), 'utf8')).join('\n'),
  ).catch(async (error: unknown) => {
    await lab.remove()
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
    addresses,
    restart: async () => {
      const [now = ''] = (await addresses()).map((one) => one.split('/')[0] ?? '')
      await sh(now, `setsid sh ${file('restart')} >/dev/null 2>&1 </dev/null &`)
      await new Promise((resolve) => setTimeout(resolve, 3000))
    },
    answerAs: async (address) => {
      await lab.exec('nft', 'add table ip other')
      await lab.exec('nft', 'add chain ip other in { type nat hook prerouting priority -100; }')
      await lab.exec('nft', `add rule ip other in ip daddr ${address} tcp dport 22 redirect to :2222`)
    },
    remove: async () => {
      // A connection to an address that is gone never answers its end.
      const closed = Promise.allSettled(connections.map((connection) => connection.close()))
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 1000))])
      await lab.remove()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Looks again and again, for eight seconds.. */
export async function eventually(look: () => Promise<boolean>, said: () => string = () => ''): Promise<void> {
  const deadline = Date.now() + 8000
  let failure: unknown
  while (Date.now() < deadline) {
    try {
      if (await look()) return
    } catch (error) {
      failure = error
    }
    await once(spawn('sleep', ['0.1']), 'exit')
  }
  throw new Error(`It did not happen: ${said()}`, { cause: failure })
}
