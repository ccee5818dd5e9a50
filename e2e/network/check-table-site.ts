import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { makeCertificate } from '../../main/certificates/make-certificate.ts'
import type { MeasuredNode } from '../../main/checks/measure/index.ts'
import { systemDialler } from '../../main/network/dialler.ts'
import type { ProgramRunner } from '../../main/network/programs/program-runner.ts'
import { createSshRunner } from '../../main/network/programs/ssh-runner.ts'
import { connectSsh, type SshAuthentication, type SshConnection } from '../../main/ssh/index.ts'
import { accountPath, machineScript, trustScript, type NodeSpec } from './check-table-node.ts'
import { createNamespaceLab, type NamespaceLab } from './namespace-lab.ts'
import { exec } from './namespace-programs.ts'
import { startSshd, type TestSshd } from './sshd.ts'

export const network = '10.10.200'
export const names = ['n1', 'n2', 'n3', 'n4', 'n5'] as const
export type Name = (typeof names)[number]
export const addressOf = (name: Name) => `${network}.${10 + Number(name.slice(1))}`

/** Why a program of the table is not on this machine; `undefined`: all are. */
export function whyNoTable(): string | undefined {
  const needed = ['/usr/sbin/nft', '/usr/sbin/dnsmasq', '/bin/busybox', '/bin/dash', '/usr/bin/nsenter']
  const more = ['/usr/bin/setarch', '/usr/bin/setpriv', '/usr/bin/arping', '/usr/bin/nmap', '/usr/bin/curl']
  const missing = [...needed, ...more].filter((path) => !existsSync(path))
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`
}

const uuid = (last: number) => `4c4c4544-0042-3010-8052-00000000000${last}`

/** n1 and n2 are as they should be; the faults of the others stand here, those of the network come later. */
const specs: Readonly<Record<Name, NodeSpec>> = {
  n1: { hostName: 'palette-n1', sudo: 'root', uuid: uuid(1) },
  n2: { hostName: 'palette-n2', sudo: 'free', uuid: uuid(2) },
  n3: {
    ...{ hostName: 'palette-n3', sudo: 'asks', uuid: uuid(5), firmware: 'secure', card: 100 },
    ...{ drive: { signature: 'LVM2_member' }, isDriveMultipath: true, hasErrors: true },
    lease: { address: addressOf('n3'), seconds: 3600 },
  },
  n4: {
    ...{ hostName: 'palette-n4', sudo: 'never', uuid: uuid(4), firmware: 'bios', flags: 'fpu sse2' },
    ...{ processors: 4, memoryGibibytes: 8, systemGigabytes: 100, drive: { gigabytes: 50 } },
    isSynchronized: false,
  },
  n5: {
    ...{ hostName: 'palette-n4', sudo: 'free', uuid: uuid(5), card: 'virtual', bootState: 'livecd_boot' },
    ...{ drive: { name: 'nvme0n1' }, health: 'failing', timeZone: 'Europe/Berlin' },
  },
}

/** How Landfall logs in, and what the account's login shell is. */
const accounts: Readonly<
  Record<
    Name,
    { shell: string; config?: string; username?: string; auth: (sshd: TestSshd) => SshAuthentication }
  >
> = {
  n1: { shell: 'that of root', username: 'root', auth: ({ userKey }) => ({ privateKey: userKey }) },
  n2: {
    shell: '/bin/dash',
    auth: ({ encryptedUserKey, passphrase }) => ({ privateKey: encryptedUserKey, passphrase }),
  },
  n3: { shell: 'ash', auth: ({ ecdsaUserKey }) => ({ privateKey: ecdsaUserKey }) },
  n4: {
    shell: existsSync('/bin/tcsh') ? '/bin/tcsh' : '/bin/sh',
    config: 'PubkeyAuthentication no',
    auth: ({ password }) => ({ password }),
  },
  n5: { shell: '/bin/bash', auth: ({ userKey }) => ({ privateKey: userKey }) },
}

/** Five nodes, each with a real sshd, and what else there is on their network. */
export interface TableSite {
  readonly lab: (name: Name) => NamespaceLab
  /** Name servers, time server, proxy, registry, router. Its addresses end with 1, 4 and 5. */
  readonly services: () => NamespaceLab
  /** Somebody whom nobody invited; on the network with its address that ends with 6. */
  readonly stranger: () => NamespaceLab
  readonly runner: (name: Name) => ProgramRunner
  /** The key that the sshd of the node proved to have. */
  readonly hostKey: (name: Name) => SshConnection['hostKey']
  readonly measured: (chosen: readonly Name[]) => MeasuredNode[]
  /** Shell in the mount namespace of a node's sshd, as root. */
  readonly change: (name: Name, script: string) => Promise<void>
  /** Port of the bridge that the node is plugged into. */
  readonly portOf: (name: Name) => string
  /** Builds it; what was built until an error is removed by `remove`. */
  readonly build: () => Promise<void>
  readonly remove: () => Promise<void>
}

export function createTableSite(): TableSite {
  const labs = new Map<string, NamespaceLab>()
  const sshds = new Map<Name, { sshd: TestSshd; pid: number }>()
  const connections = new Map<Name, { connection: SshConnection; runner: ProgramRunner }>()
  let folder = ''
  let certificatePem = ''

  const get = <Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): Value => {
    const found = map.get(key)
    if (found === undefined) throw new Error(`there is no ${String(key)}`)
    return found
  }
  const lab = (name: string) => get(labs, name)
  const portOf = (name: string) => `port-${name}`

  async function plugIn(name: string, address: string): Promise<NamespaceLab> {
    const one = await createNamespaceLab()
    labs.set(name, one)
    const inServices = (...words: string[]) => lab('services').exec('ip', ...words)
    const peer = ['peer', 'name', 'seg0', 'netns', one.name]
    await inServices('link', 'add', 'name', portOf(name), 'type', 'veth', ...peer)
    await inServices('link', 'set', portOf(name), 'master', 'br0', 'up')
    await one.exec('ip', 'address', 'add', address, 'dev', 'seg0')
    await one.exec('ip', 'link', 'set', 'seg0', 'up')
    // A node answers for its own interface only, and lets its accounts use ping, as Ubuntu does.
    const settings = ['net.ipv4.conf.all.arp_ignore=1', 'net.ipv4.ping_group_range=0 2147483647']
    await one.exec('sysctl', '-qw', ...settings)
    return one
  }

  async function buildServices(): Promise<void> {
    const services = await createNamespaceLab()
    labs.set('services', services)
    await services.exec('ip', 'link', 'add', 'name', 'br0', 'type', 'bridge')
    for (const last of [1, 4, 5])
      await services.exec('ip', 'address', 'add', `${network}.${last}/24`, 'dev', 'br0')
    await services.exec('ip', 'link', 'set', 'br0', 'up')
    await services.exec(
      'sysctl',
      ...['-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.send_redirects=0'],
      'net.ipv4.conf.br0.send_redirects=0',
    )
    const nameServer = (last: number, registry: string, palette: string) =>
      services.start('dnsmasq', [
        ...['--no-daemon', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file='],
        ...[`--listen-address=${network}.${last}`, '--bind-interfaces', '--user=root'],
        ...['--local=/example/', '--local=/in-addr.arpa/', '--address=/wild.example/203.0.113.7'],
        ...[`--address=/reg.rig.example/${registry}`, `--address=/palette.rig.example/${palette}`],
      ])
    nameServer(1, `${network}.1`, `${network}.50`)
    nameServer(5, `${network}.99`, `${network}.51`)
    dhcpServer(services, 'br0', 210)
    const day = 86_400_000
    const made = await makeCertificate({
      ...{ commonName: 'registry', names: ['reg.rig.example'], isAuthority: false },
      ...{ notBefore: new Date(Date.now() - day), notAfter: new Date(Date.now() + day) },
    })
    certificatePem = made.certificatePem
    const [certificate, key] = [join(folder, 'registry.pem'), join(folder, 'registry-key.pem')]
    writeFileSync(certificate, certificatePem)
    writeFileSync(key, made.keyPem, { mode: 0o600 })
    const script = fileURLToPath(new URL('check-table-services.ts', import.meta.url))
    const others = spawn(
      'ip',
      ['netns', 'exec', services.name, process.execPath, script, `${network}.1`, certificate, key],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    await Promise.race([
      once(others.stdout, 'data'),
      once(others, 'exit').then(() => {
        throw new Error('time server, proxy and registry did not start')
      }),
    ])
  }

  async function buildNode(name: Name): Promise<void> {
    const spec = specs[name]
    const one = await plugIn(name, `${addressOf(name)}/${name === 'n4' ? 16 : 24}`)
    if (name !== 'n4') await one.exec('ip', 'route', 'add', 'default', 'via', `${network}.1`)
    await interfaceFaults(name, one)
    const { shell, config } = accounts[name]
    let child: ChildProcess | undefined
    const sshd = await startSshd(
      {
        insideAddress: one.insideAddress,
        start: (program, parameters) => {
          // `unshare` and `setarch` become the program: the child's process id is sshd's.
          const words = [program, '--uts', ...parameters]
          child =
            name === 'n5' ? one.start('setarch', ['i686', ...words]) : one.start('unshare', words.slice(1))
          return child
        },
      },
      {
        port: 22,
        // bash runs it for every command that comes by SSH, and every connection of a measurement is one.
        ...(name === 'n2' ? { files: { '.bashrc': 'echo careful\nsleep 4\n' } } : {}),
        ...(shell.startsWith('/') ? { shell } : name === 'n3' ? { shell: join(folder, 'ash') } : {}),
        config: [
          `SetEnv PATH=${accountPath}`,
          ...(config === undefined ? [] : [config]),
          // Stands for the Local UI; on n5 nothing does.
          ...(name === 'n5' ? [] : [`ListenAddress ${one.insideAddress}:5080`]),
        ],
      },
    )
    const pid = child?.pid
    if (pid === undefined) throw new Error(`sshd of ${name} did not start`)
    sshds.set(name, { sshd, pid })
    await change(name, machineScript(spec, sshd.password, `${network}.1`))
    if (name !== 'n5') await change(name, trustScript(certificatePem))
    const account = accounts[name]
    const connection = await connectSsh({
      ...{ endpoint: sshd.endpoint, username: account.username ?? sshd.username, auth: account.auth(sshd) },
      ...{ dialler: systemDialler, node: name },
      hostKey: { pinned: { algorithm: 'ssh-ed25519', fingerprint: sshd.fingerprints.ed25519 } },
    })
    const password = () => Promise.resolve(sshd.password)
    connections.set(name, { connection, runner: createSshRunner({ place: name, connection, password }) })
  }

  const change: TableSite['change'] = async (name, script) => {
    const { pid } = get(sshds, name)
    await exec('nsenter', ['--target', String(pid), '--mount', '--uts', 'sh', '-e'], undefined, {
      input: `${script}\n`,
    })
  }

  return {
    lab,
    services: () => lab('services'),
    stranger: () => lab('stranger'),
    runner: (name) => get(connections, name).runner,
    hostKey: (name) => get(connections, name).connection.hostKey,
    measured: (chosen) =>
      chosen.map((name) => ({
        ...{ name, address: addressOf(name), runner: get(connections, name).runner },
        ...{ interface: 'seg0', mtu: undefined, isControlPlane: true },
      })),
    change,
    portOf,
    build: async () => {
      folder = mkdtempSync(join(tmpdir(), 'landfall-table-'))
      // The folder is root's; the login shell must be there for everybody.
      await exec('chmod', ['755', folder], undefined)
      symlinkSync('/bin/busybox', join(folder, 'ash'))
      await buildServices()
      for (const name of names) await buildNode(name)
      await plugIn('stranger', `${network}.6/24`)
    },
    remove: async () => {
      for (const { connection } of connections.values()) await connection.close()
      for (const one of [...labs.values()].toReversed()) await one.remove()
      for (const { sshd } of sshds.values()) sshd.remove()
      if (folder !== '') rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** It gives an address to nobody who does not ask, and keeps no list of those who do. */
export function dhcpServer(one: NamespaceLab, interfaceName: string, first: number): void {
  one.start('dnsmasq', [
    ...['--no-daemon', '--conf-file=/dev/null', '--no-hosts', '--no-resolv', '--pid-file=', '--port=0'],
    ...['--user=root', `--interface=${interfaceName}`, '--except-interface=lo', '--bind-interfaces'],
    ...['--no-ping', '--leasefile-ro', `--dhcp-range=${network}.${first},${network}.${first + 9},1h`],
  ])
}

/** Faults of routes and further interfaces that do not touch the traffic between the nodes. */
async function interfaceFaults(name: Name, one: NamespaceLab): Promise<void> {
  const more = async (mac: string) => {
    const pair = ['data0', 'address', mac, 'type', 'veth', 'peer', 'name', 'data1']
    await one.exec('ip', 'link', 'add', 'name', ...pair)
    for (const end of ['data0', 'data1']) await one.exec('ip', 'link', 'set', end, 'up')
  }
  if (name === 'n3') {
    await one.exec('ip', 'route', 'add', 'default', 'via', `${network}.4`, 'metric', '200')
    await more('52:54:00:00:00:77')
  }
  if (name === 'n4') await more('52:54:00:00:00:77')
  if (name === 'n5') {
    await more('52:54:00:00:00:78')
    await one.exec('ip', 'address', 'add', `${network}.193/26`, 'dev', 'data0')
  }
}
