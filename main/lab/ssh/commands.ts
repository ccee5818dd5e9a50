import { createHash } from 'node:crypto'
import { FileSystemError, type FileEntry } from '../file-system.ts'
import { gibibyte, isIpv4, type Disk, type Partition } from '../hardware.ts'
import type { Command, CommandCall } from './shell.ts'

/** Options (`-x`, `--long`, `--long=value`) and operands of a command line. */
function split(
  args: readonly string[],
  withValue: readonly string[] = [],
): { options: Map<string, string>; operands: string[] } {
  const options = new Map<string, string>()
  const operands: string[] = []
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? ''
    if (arg === '--') {
      operands.push(...args.slice(index + 1))
      break
    }
    if (arg.startsWith('--')) {
      const [name = '', ...value] = arg.split('=')
      if (value.length === 0 && withValue.includes(name)) options.set(name, args[++index] ?? '')
      else options.set(name, value.join('='))
    } else if (arg.startsWith('-') && arg !== '-') {
      for (let place = 1; place < arg.length; place += 1) {
        const name = `-${arg.charAt(place)}`
        if (withValue.includes(name)) {
          const attached = arg.slice(place + 1)
          options.set(name, attached === '' ? (args[++index] ?? '') : attached)
          break
        }
        options.set(name, '')
      }
    } else operands.push(arg)
  }
  return { options, operands }
}

const step = 256 * 1024

function* contentOf(entry: FileEntry): Generator<Buffer> {
  for (let offset = 0; offset < entry.content.size; offset += step) yield entry.content.read(offset, step)
}

async function* inputs(call: CommandCall, operands: readonly string[]): AsyncGenerator<Buffer> {
  if (operands.length === 0) yield* call.stdin.chunks()
  for (const path of operands) {
    if (path === '-') yield* call.stdin.chunks()
    else yield* contentOf(call.node.files.read(call.resolve(path), call.user))
  }
}

async function collect(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const success: Command = () => 0

function print(text: (call: CommandCall) => string): Command {
  return async (call) => {
    await call.out(text(call))
    return 0
  }
}

async function usage(call: CommandCall, text: string, code = 2): Promise<number> {
  await call.err(`${text}\n`)
  return code
}

// --- system ---

const kairosAgent: Command = async (call) => {
  const line = call.args.join(' ')
  if (line === 'state get boot') await call.out('active_boot')
  else if (line === 'state')
    await call.out('kairos:\n  flavor: ubuntu\n  version: v3.4.2\nboot: active_boot\n')
  else return await usage(call, `kairos-agent: unknown command "${line}"`, 1)
  return 0
}

const hostnameCommand: Command = async (call) => {
  const { operands, options } = split(call.args)
  const [name] = operands
  if (name !== undefined) {
    if (call.user !== 'root')
      return await usage(call, 'hostname: you must be root to change the host name', 1)
    call.node.setHostName(name)
    return 0
  }
  const isAddress = options.has('-I') || options.has('-i')
  await call.out(`${isAddress ? call.node.nic.address : call.node.hostName}\n`)
  return 0
}

const hostnamectl: Command = async (call) => {
  const { operands } = split(call.args)
  const [verb, name] = operands
  if (verb === undefined || verb === 'status') {
    await call.out(`   Static hostname: ${call.node.hostName}\n  Operating System: Ubuntu 22.04.5 LTS\n`)
    return 0
  }
  if (verb !== 'hostname' && verb !== 'set-hostname')
    return await usage(call, `Unknown command verb '${verb}'.`, 1)
  if (name === undefined) {
    await call.out(`${call.node.hostName}\n`)
    return 0
  }
  if (call.user !== 'root')
    return await usage(call, 'Could not set static hostname: Interactive authentication required.', 1)
  if (!/^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/.test(name)) {
    return await usage(call, `Could not set static hostname: Invalid static hostname '${name}'`, 1)
  }
  call.node.setHostName(name)
  return 0
}

const sudo: Command = async (call) => {
  let index = 0
  let isSilent = false
  let readsPassword = false
  let user = 'root'
  for (; index < call.args.length; index += 1) {
    const arg = call.args[index] ?? ''
    if (!arg.startsWith('-')) break
    if (arg === '-n' || arg === '--non-interactive') isSilent = true
    else if (arg === '-S' || arg === '--stdin') readsPassword = true
    else if (arg === '-p' || arg === '--prompt') index += 1
    else if (arg === '-u' || arg === '--user') user = call.args[++index] ?? 'root'
    else if (arg === '--') {
      index += 1
      break
    } else if (arg !== '-k' && arg !== '-E' && arg !== '-H' && arg !== '-v') {
      return await usage(call, `sudo: invalid option -- '${arg.replace(/^-+/, '')}'`, 1)
    }
  }
  if (call.user !== 'root' && call.services.sudoNeedsPassword) {
    if (isSilent || !readsPassword) {
      return await usage(
        call,
        isSilent
          ? 'sudo: a password is required'
          : 'sudo: a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper',
        1,
      )
    }
    const password = await call.stdin.readLine()
    if (call.node.account(call.user)?.isPassword(password) !== true) {
      return await usage(
        call,
        'Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt',
        1,
      )
    }
  } else if (readsPassword && !isSilent) {
    // Nobody is asked for a password that is not needed: a line that was sent ahead stays for the command, as with
    // the real sudo. Clients that always send one run commands that do not read standard input.
  }
  return await call.run(call.args.slice(index), user)
}

const shell: Command = async (call) => {
  const { options, operands } = split(call.args)
  if (!options.has('-c')) {
    return await call.runLine((await collect(call.stdin.chunks())).toString(), call.user)
  }
  return await call.runLine(operands[0] ?? '', call.user)
}

const date: Command = async (call) => {
  const format = call.args.find((arg) => arg.startsWith('+'))
  const now = call.services.now()
  const seconds = String(Math.floor(now / 1000))
  const iso = new Date(now).toISOString()
  if (format === undefined) {
    await call.out(`${new Date(now).toUTCString()}\n`)
    return 0
  }
  const nanoseconds = String(Math.floor((now % 1000) * 1e6)).padStart(9, '0')
  const text = format
    .slice(1)
    .replaceAll('%s', seconds)
    .replaceAll('%N', nanoseconds)
    .replaceAll('%3N', nanoseconds.slice(0, 3))
    .replaceAll('%F', iso.slice(0, 10))
    .replaceAll('%T', iso.slice(11, 19))
  await call.out(`${text}\n`)
  return 0
}

const free: Command = async (call) => {
  const total = call.node.hardware.memoryBytes
  const available = Math.round(total * 0.9)
  await call.out(
    `               total        used        free      shared  buff/cache   available\nMem:    ${total} ${total - available} ${available} 0 0 ${available}\nSwap:              0           0           0\n`,
  )
  return 0
}

type Cell = string | number | boolean | null | (string | null)[]

const blockColumns: Record<string, (item: Disk | Partition) => Cell> = {
  NAME: (item) => item.path.replace('/dev/', ''),
  KNAME: (item) => item.path.replace('/dev/', ''),
  PATH: (item) => item.path,
  SIZE: (item) => item.size,
  TYPE: (item) => ('partitions' in item ? 'disk' : 'part'),
  FSTYPE: (item) => ('fsType' in item ? item.fsType : null),
  LABEL: (item) => ('label' in item ? item.label : null),
  MOUNTPOINT: (item) => ('mountPoint' in item ? item.mountPoint : null),
  MOUNTPOINTS: (item) => ['mountPoint' in item ? item.mountPoint : null],
  MODEL: (item) => ('model' in item ? item.model : null),
  SERIAL: (item) => ('serial' in item ? item.serial : null),
  ROTA: () => false,
  RO: () => false,
  RM: () => false,
  TRAN: (item) => ('partitions' in item ? 'sas' : null),
  PKNAME: (item) => ('partitions' in item ? null : item.path.replace('/dev/', '').replace(/p?\d+$/, '')),
  UUID: () => null,
  PTTYPE: (item) => ('partitions' in item && item.partitions.length === 0 ? null : 'gpt'),
}

const lsblk: Command = async (call) => {
  const { options, operands } = split(call.args, ['-o', '--output', '-e', '-I'])
  const requested = (options.get('-o') ?? options.get('--output') ?? 'NAME,SIZE,RO,TYPE,MOUNTPOINTS')
    .toUpperCase()
    .split(',')
  const unknown = requested.find((column) => !(column in blockColumns))
  if (unknown !== undefined) return await usage(call, `lsblk: unknown column: ${unknown.toLowerCase()}`, 1)
  const wanted = call.node.hardware.disks.filter(
    (disk) => operands.length === 0 || operands.includes(disk.path),
  )
  const missing = operands.find((path) => !call.node.hardware.disks.some((disk) => disk.path === path))
  if (missing !== undefined) await call.err(`lsblk: ${missing}: not a block device\n`)
  const isInBytes = options.has('-b') || options.has('--bytes')
  const row = (item: Disk | Partition): Record<string, Cell> =>
    Object.fromEntries(
      requested.map((column) => {
        const value = blockColumns[column]?.(item) ?? null
        return [
          column.toLowerCase(),
          column === 'SIZE' && !isInBytes ? `${(item.size / gibibyte).toFixed(1)}G` : value,
        ]
      }),
    )
  const isFlat = options.has('-d') || options.has('--nodeps')
  if (options.has('-J') || options.has('--json')) {
    const blockdevices = wanted.map((disk) => ({
      ...row(disk),
      ...(disk.partitions.length > 0 && !isFlat ? { children: disk.partitions.map(row) } : {}),
    }))
    await call.out(`${JSON.stringify({ blockdevices }, null, 3)}\n`)
  } else {
    const items = wanted.flatMap((disk) => (isFlat ? [disk] : [disk, ...disk.partitions]))
    if (!options.has('-n') && !options.has('--noheadings')) await call.out(`${requested.join(' ')}\n`)
    for (const item of items) {
      await call.out(
        `${Object.values(row(item))
          .map((value) => (value === null ? '' : value.toString()))
          .join(' ')}\n`,
      )
    }
  }
  return missing === undefined ? 0 : 32
}

const wipefs: Command = async (call) => {
  const { operands } = split(call.args)
  if (call.user !== 'root')
    return await usage(call, 'wipefs: error: probing initialization failed: Permission denied', 1)
  for (const path of operands) {
    const disk = call.node.hardware.disks.find((one) => one.path === path)
    if (disk === undefined)
      return await usage(
        call,
        `wipefs: error: ${path}: probing initialization failed: No such file or directory`,
        1,
      )
    if (disk.partitions.some((partition) => partition.mountPoint !== null)) {
      return await usage(
        call,
        `wipefs: error: ${path}: probing initialization failed: Device or resource busy`,
        1,
      )
    }
    disk.partitions = []
  }
  return 0
}

const df: Command = async (call) => {
  const { operands } = split(call.args, ['--output'])
  const [system] = call.node.hardware.disks
  const persistent = system?.partitions.find((partition) => partition.mountPoint === '/usr/local')
  const size = persistent?.size ?? 0
  const used = call.node.uploads.reduce((total, upload) => total + upload.size, 0)
  await call.out('Filesystem 1B-blocks Used Available Use% Mounted on\n')
  for (const path of operands.length === 0 ? ['/', '/usr/local'] : operands) {
    const isRoot = path === '/'
    const line = isRoot
      ? `overlay ${8 * gibibyte} ${gibibyte} ${7 * gibibyte} 13% /`
      : `${persistent?.path ?? '/dev/sda5'} ${size} ${used} ${Math.max(0, size - used)} ${Math.round((used / Math.max(1, size)) * 100)}% /usr/local`
    await call.out(`${line}\n`)
  }
  return 0
}

const ip: Command = async (call) => {
  const { options, operands } = split(call.args, [])
  const isJson = options.has('-j') || options.has('--json') || call.args.includes('-json')
  const [object = 'addr'] = operands
  const { nic } = call.node
  const linkState = {
    ifindex: 2,
    ifname: nic.name,
    flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
    mtu: nic.mtu,
    operstate: 'UP',
    link_type: 'ether',
    address: nic.mac,
    broadcast: 'ff:ff:ff:ff:ff:ff',
  }
  const loopback = {
    ifindex: 1,
    ifname: 'lo',
    flags: ['LOOPBACK', 'UP', 'LOWER_UP'],
    mtu: 65536,
    operstate: 'UNKNOWN',
    link_type: 'loopback',
    address: '00:00:00:00:00:00',
    broadcast: '00:00:00:00:00:00',
  }
  const address = {
    family: 'inet',
    local: nic.address,
    prefixlen: nic.prefix,
    scope: 'global',
    dynamic: nic.mode === 'dhcp',
    label: nic.name,
  }
  const routes = [
    {
      dst: 'default',
      gateway: nic.gateway,
      dev: nic.name,
      protocol: nic.mode === 'dhcp' ? 'dhcp' : 'static',
      flags: [],
    },
    {
      dst: `${networkOf(nic.address, nic.prefix)}/${nic.prefix}`,
      dev: nic.name,
      protocol: 'kernel',
      scope: 'link',
      prefsrc: nic.address,
      flags: [],
    },
  ]
  if (!isJson) {
    if (object.startsWith('r')) await call.out(`default via ${nic.gateway} dev ${nic.name}\n`)
    else
      await call.out(
        `2: ${nic.name}: mtu ${nic.mtu}\n    link/ether ${nic.mac}\n    inet ${nic.address}/${nic.prefix} scope global ${nic.name}\n`,
      )
    return 0
  }
  const isOne = (name: string) => operands.length < 2 || operands.includes(name) || operands.includes('show')
  if (object.startsWith('a')) {
    const all = [
      {
        ...loopback,
        addr_info: [{ family: 'inet', local: '127.0.0.1', prefixlen: 8, scope: 'host', label: 'lo' }],
      },
      { ...linkState, addr_info: [address] },
    ]
    const named = operands.at(-1)
    await call.out(
      `${JSON.stringify(all.filter((one) => named === undefined || !all.some((other) => other.ifname === named) || one.ifname === named))}\n`,
    )
  } else if (object.startsWith('l'))
    await call.out(`${JSON.stringify([loopback, linkState].filter((one) => isOne(one.ifname)))}\n`)
  else if (object.startsWith('r'))
    await call.out(`${JSON.stringify(operands.includes('default') ? routes.slice(0, 1) : routes)}\n`)
  else if (object.startsWith('n')) await call.out('[]\n')
  else return await usage(call, `Object "${object}" is unknown, try "ip help".`, 1)
  return 0
}

function networkOf(address: string, prefix: number): string {
  const size = 2 ** (32 - prefix)
  const number = address.split('.').reduce((total, octet) => total * 256 + Number(octet), 0)
  const base = Math.floor(number / size) * size
  return [24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256).join('.')
}

const timedatectl: Command = async (call) => {
  const now = call.services.now()
  const [verb = 'status'] = split(call.args).operands
  if (verb === 'show') {
    await call.out(
      `Timezone=UTC\nLocalRTC=no\nCanNTP=yes\nNTP=yes\nNTPSynchronized=yes\nTimeUSec=${new Date(now).toUTCString()}\nRTCTimeUSec=${new Date(now).toUTCString()}\n`,
    )
  } else if (verb === 'show-timesync') await call.out(`ServerName=${call.node.ntpServers[0] ?? ''}\n`)
  else await call.out(`System clock synchronized: yes\n              NTP service: active\n`)
  return 0
}

const units: Record<string, (call: CommandCall) => boolean> = {
  'stylus-agent': (call) => call.node.stage === 'ready',
  'stylus-operator': (call) => call.node.stage === 'ready',
  'palette-tui': (call) => call.node.stage === 'ready',
  'systemd-networkd': () => true,
  'systemd-resolved': () => true,
  'systemd-timesyncd': () => true,
  ssh: () => true,
  sshd: () => true,
  'cos-setup-boot': () => true,
  containerd: (call) => call.node.isInCluster,
  kubelet: (call) => call.node.isInCluster,
}

const systemctl: Command = async (call) => {
  const { operands } = split(call.args)
  const [verb = '', ...names] = operands
  const known = (name: string) => units[name.replace(/\.service$/, '')]
  if (verb === 'is-active' || verb === 'is-enabled') {
    let code = 0
    for (const name of names) {
      const isActive = known(name)?.(call) ?? false
      await call.out(`${verb === 'is-active' ? (isActive ? 'active' : 'inactive') : 'enabled'}\n`)
      if (!isActive && verb === 'is-active') code = 3
    }
    return code
  }
  if (call.user !== 'root')
    return await usage(call, `Failed to ${verb} ${names.join(' ')}: Interactive authentication required.`, 1)
  if (verb === 'daemon-reload') return 0
  if (verb === 'reboot') return await reboot(call)
  if (!['restart', 'reload', 'start', 'stop', 'enable', 'try-restart', 'reload-or-restart'].includes(verb)) {
    return await usage(call, `Unknown command verb ${verb}.`, 1)
  }
  for (const name of names) {
    if (known(name) === undefined)
      return await usage(call, `Failed to ${verb} ${name}: Unit ${name} not found.`, 5)
    if (name.startsWith('systemd-networkd')) applyNetwork(call)
    if (name.startsWith('systemd-timesyncd')) readTimeServers(call)
  }
  return 0
}

function readTimeServers(call: CommandCall): void {
  const { files } = call.node
  const folder = '/etc/systemd/timesyncd.conf.d'
  const paths = [
    '/etc/systemd/timesyncd.conf',
    ...(files.stat(folder) === null ? [] : files.list(folder).map((name) => `${folder}/${name}`)),
  ]
  for (const path of paths) {
    const servers = /^NTP=(.*)$/m.exec(files.text(path) ?? '')?.[1]
    if (servers !== undefined) call.node.ntpServers = servers.split(/\s+/).filter((one) => one !== '')
  }
}

function applyNetwork(call: CommandCall): void {
  if (call.node.applyNetworkUnits()) {
    // The answer of this very command still leaves over the old address; then the address is gone.
    setImmediate(() => {
      call.node.cutConnections()
    })
  }
}

const networkctl: Command = async (call) => {
  const [verb = 'list'] = split(call.args).operands
  if (verb === 'reload' || verb === 'reconfigure') {
    if (call.user !== 'root')
      return await usage(call, 'Failed to reload network settings: Interactive authentication required.', 1)
    applyNetwork(call)
  } else if (verb === 'list')
    await call.out(`IDX LINK TYPE OPERATIONAL SETUP\n  2 ${call.node.nic.name} ether routable configured\n`)
  else if (verb === 'status')
    await call.out(
      `● 2: ${call.node.nic.name}\n  State: routable (configured)\n  Address: ${call.node.nic.address}\n`,
    )
  else return await usage(call, `Unknown command verb '${verb}'.`, 1)
  return 0
}

const resolvectl: Command = async (call) => {
  await call.out(`Link 2 (${call.node.nic.name})\n  DNS Servers: ${call.node.nic.nameservers.join(' ')}\n`)
  return 0
}

const reboot: Command = async (call) => {
  if (call.user !== 'root')
    return await usage(call, 'Failed to set wall message, ignoring: Interactive authentication required.', 1)
  call.services.emitReboot(call.node)
  return 0
}

// --- network probes ---

const arping: Command = async (call) => {
  const { operands, options } = split(call.args, ['-c', '-I', '-i', '-w', '-W', '-s', '-S'])
  const target = operands.at(-1) ?? ''
  if (!isIpv4(target)) return await usage(call, `arping: ${target}: Name or service not known`)
  if (call.user !== 'root') return await usage(call, 'arping: socket: Operation not permitted')
  const found = target === call.node.nic.address && options.has('-D') ? null : call.services.hostAt(target)
  const count = Number(options.get('-c') ?? 1)
  const name = options.get('-I') ?? options.get('-i') ?? call.node.nic.name
  await call.out(`ARPING ${target} from ${options.has('-D') ? '0.0.0.0' : call.node.nic.address} ${name}\n`)
  if (found !== null) await call.out(`Unicast reply from ${target} [${found.mac.toUpperCase()}]  0.712ms\n`)
  await call.out(
    `Sent ${found === null ? count : 1} probes (${found === null ? count : 1} broadcast(s))\nReceived ${found === null ? 0 : 1} response(s)\n`,
  )
  // -D: 0 means free, 1 means somebody answered.
  return options.has('-D') ? (found === null ? 0 : 1) : found === null ? 1 : 0
}

const ping: Command = async (call) => {
  const { operands, options } = split(call.args, ['-c', '-W', '-w', '-s', '-M', '-I', '-i'])
  const target = operands[0] ?? ''
  const count = Number(options.get('-c') ?? 1)
  const size = Number(options.get('-s') ?? 56)
  const isAlive = call.services.hostAt(target) !== null || target === call.node.nic.gateway
  const isTooLong = options.get('-M') === 'do' && size + 28 > call.node.nic.mtu
  await call.out(`PING ${target} (${target}) ${size}(${size + 28}) bytes of data.\n`)
  if (isTooLong) await call.err(`ping: local error: message too long, mtu=${call.node.nic.mtu}\n`)
  const received = isAlive && !isTooLong ? count : 0
  for (let index = 1; index <= received; index += 1) {
    await call.out(`${size + 8} bytes from ${target}: icmp_seq=${index} ttl=64 time=0.412 ms\n`)
  }
  await call.out(
    `\n--- ${target} ping statistics ---\n${count} packets transmitted, ${received} received, ${received === 0 ? 100 : 0}% packet loss, time 0ms\n`,
  )
  return received > 0 ? 0 : 1
}

const nc: Command = async (call) => {
  const { operands } = split(call.args, ['-w'])
  const [host = '', port = ''] = operands
  if (call.services.isOpen(host, Number(port))) {
    await call.err(`Connection to ${host} ${port} port [tcp/*] succeeded!\n`)
    return 0
  }
  return await usage(call, `nc: connect to ${host} port ${port} (tcp) failed: Connection refused`, 1)
}

// --- files ---

const cat: Command = async (call) => {
  const { operands } = split(call.args)
  let code = 0
  for (const path of operands.length === 0 ? ['-'] : operands) {
    try {
      for await (const chunk of inputs(call, [path])) await call.out(chunk)
    } catch (error) {
      if (!(error instanceof FileSystemError)) throw error
      await call.err(`cat: ${error.message}\n`)
      code = 1
    }
  }
  return code
}

const tee: Command = async (call) => {
  const { options, operands } = split(call.args)
  const entries = operands.map((path) =>
    call.node.files.open(call.resolve(path), call.user, { truncate: !options.has('-a') }),
  )
  for await (const chunk of call.stdin.chunks()) {
    for (const { content } of entries) content.write(content.size, chunk)
    await call.out(chunk)
  }
  return 0
}

const mkdir: Command = (call) => {
  const { options, operands } = split(call.args, ['-m', '--mode'])
  for (const path of operands) {
    if (options.has('-p') || options.has('--parents'))
      call.node.files.makeFolders(call.resolve(path), call.user)
    else call.node.files.makeFolder(call.resolve(path), call.user)
  }
  return 0
}

const mv: Command = (call) => {
  const { operands } = split(call.args)
  const [from = '', to = ''] = operands
  const isFolder = call.node.files.stat(call.resolve(to))?.kind === 'folder'
  const target = isFolder ? `${call.resolve(to)}/${from.split('/').at(-1) ?? ''}` : call.resolve(to)
  call.node.files.rename(call.resolve(from), target, call.user, true)
  return 0
}

function copy(call: CommandCall, from: string, to: string, mode: number | null): void {
  const source = call.node.files.read(call.resolve(from), call.user)
  const isFolder = call.node.files.stat(call.resolve(to))?.kind === 'folder'
  const path = isFolder ? `${call.resolve(to)}/${from.split('/').at(-1) ?? ''}` : call.resolve(to)
  const target = call.node.files.open(path, call.user, { truncate: true })
  for (const chunk of contentOf(source)) target.content.write(target.content.size, chunk)
  target.mode = mode ?? source.mode
  target.owner = call.user
}

const cp: Command = (call) => {
  const [from = '', to = ''] = split(call.args).operands
  copy(call, from, to, null)
  return 0
}

const install: Command = (call) => {
  const { options, operands } = split(call.args, ['-m', '--mode', '-o', '--owner', '-g', '--group'])
  if (options.has('-d')) {
    for (const path of operands) call.node.files.makeFolders(call.resolve(path), call.user)
    return 0
  }
  const [from = '', to = ''] = operands
  const target = call.resolve(to)
  if (options.has('-D'))
    call.node.files.makeFolders(target.slice(0, target.lastIndexOf('/')) || '/', call.user)
  copy(call, from, to, parseInt(options.get('-m') ?? options.get('--mode') ?? '755', 8))
  return 0
}

const rm: Command = (call) => {
  const { options, operands } = split(call.args)
  const isForced = options.has('-f') || options.has('--force')
  for (const path of operands) {
    if (isForced && call.node.files.stat(call.resolve(path)) === null) continue
    call.node.files.remove(call.resolve(path), call.user, options.has('-r') || options.has('-R'))
  }
  return 0
}

const chmod: Command = async (call) => {
  const [mode = '', ...paths] = call.args
  for (const path of paths) {
    const entry = call.node.files.stat(call.resolve(path))
    if (entry === null)
      return await usage(call, `chmod: cannot access '${path}': No such file or directory`, 1)
    if (/^[0-7]+$/.test(mode)) entry.mode = parseInt(mode, 8)
  }
  return 0
}

const ls: Command = async (call) => {
  const { operands } = split(call.args)
  for (const path of operands.length === 0 ? ['.'] : operands) {
    const entry = call.node.files.stat(call.resolve(path))
    if (entry === null) return await usage(call, `ls: cannot access '${path}': No such file or directory`)
    const names = entry.kind === 'folder' ? call.node.files.list(call.resolve(path)) : [path]
    await call.out(names.map((name) => `${name}\n`).join(''))
  }
  return 0
}

const stat: Command = async (call) => {
  const { options, operands } = split(call.args, ['-c', '--format'])
  const format = options.get('-c') ?? options.get('--format') ?? '%n %s'
  for (const path of operands) {
    const entry = call.node.files.stat(call.resolve(path))
    if (entry === null) return await usage(call, `stat: cannot statx '${path}': No such file or directory`, 1)
    const values: Record<string, string> = {
      s: String(entry.kind === 'file' ? entry.content.size : 4096),
      n: path,
      a: entry.mode.toString(8),
      U: entry.owner,
      Y: String(Math.floor(entry.modifiedAt / 1000)),
      F: entry.kind === 'file' ? 'regular file' : 'directory',
    }
    await call.out(`${format.replace(/%([snaUYF])/g, (whole, key: string) => values[key] ?? whole)}\n`)
  }
  return 0
}

const sha256sum: Command = async (call) => {
  const { operands } = split(call.args)
  for (const path of operands.length === 0 ? ['-'] : operands) {
    if (path !== '-') {
      await call.out(`${call.node.files.read(call.resolve(path), call.user).content.sha256()}  ${path}\n`)
      continue
    }
    const hash = createHash('sha256')
    for await (const chunk of call.stdin.chunks()) hash.update(chunk)
    await call.out(`${hash.digest('hex')}  -\n`)
  }
  return 0
}

const test: Command = (call) => {
  const args = call.args.at(-1) === ']' ? call.args.slice(0, -1) : call.args
  const isNegated = args[0] === '!'
  const [first = '', second, third] = isNegated ? args.slice(1) : args
  const entry = second === undefined ? null : call.node.files.stat(call.resolve(second))
  const isTrue =
    third !== undefined
      ? second === '='
        ? first === third
        : second === '!='
          ? first !== third
          : false
      : first === '-e'
        ? entry !== null || isDevice(call, second)
        : first === '-d'
          ? entry?.kind === 'folder'
          : first === '-f'
            ? entry?.kind === 'file'
            : first === '-b'
              ? isDevice(call, second)
              : first === '-s'
                ? entry?.kind === 'file' && entry.content.size > 0
                : first === '-r'
                  ? entry !== null
                  : first === '-n'
                    ? second !== undefined && second !== ''
                    : first === '-z'
                      ? second === undefined || second === ''
                      : first !== ''
  return isTrue !== isNegated ? 0 : 1
}

function isDevice(call: CommandCall, path: string | undefined): boolean {
  return call.node.hardware.disks.some(
    (disk) => disk.path === path || disk.partitions.some((one) => one.path === path),
  )
}

const head: Command = async (call) => {
  const { options, operands } = split(call.args, ['-c', '-n'])
  const content = await collect(inputs(call, operands))
  const bytes = options.get('-c')
  if (bytes !== undefined) await call.out(content.subarray(0, Number(bytes)))
  else
    await call.out(
      content
        .toString()
        .split('\n')
        .slice(0, Number(options.get('-n') ?? 10))
        .join('\n') + '\n',
    )
  return 0
}

const tail: Command = async (call) => {
  const { options, operands } = split(call.args, ['-c', '-n'])
  const content = await collect(inputs(call, operands))
  const bytes = options.get('-c')
  if (bytes !== undefined) await call.out(content.subarray(Math.max(0, content.length - Number(bytes))))
  else
    await call.out(
      content
        .toString()
        .replace(/\n$/, '')
        .split('\n')
        .slice(-Number(options.get('-n') ?? 10))
        .join('\n') + '\n',
    )
  return 0
}

const wc: Command = async (call) => {
  const { options, operands } = split(call.args)
  const content = await collect(inputs(call, operands))
  const value = options.has('-c') ? content.length : content.toString().split('\n').length - 1
  await call.out(`${value}${operands[0] === undefined ? '' : ` ${operands[0]}`}\n`)
  return 0
}

const grep: Command = async (call) => {
  const { options, operands } = split(call.args, ['-e', '-m'])
  const [first, ...rest] = operands
  const pattern = options.get('-e') ?? first ?? ''
  const paths = options.has('-e') ? operands : rest
  const expression = new RegExp(
    options.has('-F') ? pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') : pattern,
    options.has('-i') ? 'i' : '',
  )
  const lines = (await collect(inputs(call, paths))).toString().split('\n')
  const found = lines.filter((line) => line !== '' && expression.test(line) !== options.has('-v'))
  if (options.has('-c')) await call.out(`${found.length}\n`)
  else if (!options.has('-q')) await call.out(found.map((line) => `${line}\n`).join(''))
  return found.length > 0 ? 0 : 1
}

const base64: Command = async (call) => {
  const { options, operands } = split(call.args, ['-w', '--wrap'])
  const content = await collect(inputs(call, operands))
  if (options.has('-d') || options.has('--decode')) await call.out(Buffer.from(content.toString(), 'base64'))
  else await call.out(`${content.toString('base64')}\n`)
  return 0
}

const commandBuiltin: Command = async (call) => {
  const [option, name = ''] = call.args
  if (option !== '-v') return await call.run(call.args, call.user)
  if (!commands.has(name)) return 1
  await call.out(`/usr/bin/${name}\n`)
  return 0
}

/** Everything that a simulated node can do over SSH; grows with what the product asks for. */
export const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['kairos-agent', kairosAgent],
  ['hostname', hostnameCommand],
  ['hostnamectl', hostnamectl],
  ['sudo', sudo],
  ['sh', shell],
  ['bash', shell],
  ['date', date],
  ['free', free],
  ['nproc', print((call) => `${call.node.hardware.cpus}\n`)],
  ['lsblk', lsblk],
  ['wipefs', wipefs],
  ['df', df],
  ['ip', ip],
  ['timedatectl', timedatectl],
  ['systemctl', systemctl],
  ['networkctl', networkctl],
  ['resolvectl', resolvectl],
  ['reboot', reboot],
  ['arping', arping],
  ['ping', ping],
  ['nc', nc],
  ['mokutil', print(() => 'SecureBoot disabled\n')],
  ['cat', cat],
  ['tee', tee],
  ['mkdir', mkdir],
  ['mv', mv],
  ['cp', cp],
  ['install', install],
  ['rm', rm],
  ['chmod', chmod],
  ['chown', success],
  ['ls', ls],
  ['stat', stat],
  ['sha256sum', sha256sum],
  ['test', test],
  ['[', test],
  ['head', head],
  ['tail', tail],
  ['wc', wc],
  ['grep', grep],
  ['base64', base64],
  ['sync', success],
  ['udevadm', success],
  ['true', success],
  [':', success],
  ['false', () => 1],
  ['echo', print((call) => `${call.args.join(' ')}\n`)],
  ['printf', print((call) => formatted(call.args))],
  ['whoami', print((call) => `${call.user}\n`)],
  ['id', print((call) => idText(call))],
  ['uname', print((call) => unameText(call.args))],
  ['uptime', print(() => ' up 5 min,  0 users,  load average: 0.10, 0.08, 0.05\n')],
  ['command', commandBuiltin],
  [
    'timeout',
    (call) => call.run(call.args.slice(call.args.findIndex((arg) => /^\d/.test(arg)) + 1), call.user),
  ],
])

function formatted(args: readonly string[]): string {
  const [format = '', ...values] = args
  let index = 0
  return format
    .replace(/%[sd]/g, () => values[index++] ?? '')
    .replaceAll('\\n', '\n')
    .replaceAll('\\t', '\t')
}

function idText(call: CommandCall): string {
  const number = call.user === 'root' ? 0 : 1000
  if (call.args.includes('-u')) return `${number}\n`
  if (call.args.includes('-un')) return `${call.user}\n`
  return `uid=${number}(${call.user}) gid=${number}(${call.user}) groups=${number}(${call.user})${number === 0 ? '' : ',116(admin)'}\n`
}

function unameText(args: readonly string[]): string {
  if (args.includes('-r')) return '5.15.0-139-generic\n'
  if (args.includes('-m')) return 'x86_64\n'
  return 'Linux\n'
}
