import type { Command, CommandCall } from '../shell.ts'
import { split, usage } from './arguments.ts'

export const kairosAgent: Command = async (call) => {
  const line = call.args.join(' ')
  const { bootState } = call.node.machine
  if (line === 'state get boot') await call.out(bootState)
  else if (line === 'state')
    await call.out(`kairos:\n  flavor: ubuntu\n  version: v3.4.2\nboot: ${bootState}\n`)
  else return await usage(call, `kairos-agent: unknown command "${line}"`, 1)
  return 0
}

export const mokutil: Command = async ({ node: { machine }, err, out }) => {
  if (machine.firmware === 'bios') await err('EFI variables are not supported on this system\n')
  else await out(`SecureBoot ${machine.secureBoot ? 'enabled' : 'disabled'}\n`)
  return machine.firmware === 'bios' ? 1 : 0
}

export const hostnameCommand: Command = async (call) => {
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

export const hostnamectl: Command = async (call) => {
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

export const sudo: Command = async (call) => {
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

export const date: Command = async (call) => {
  const { options, operands } = split(call.args, ['-s', '--set'])
  const wanted = options.get('-s') ?? options.get('--set')
  if (wanted !== undefined) {
    const milliseconds = /^@\d+(\.\d+)?$/.test(wanted) ? Number(wanted.slice(1)) * 1000 : Date.parse(wanted)
    if (Number.isNaN(milliseconds)) return await usage(call, `date: invalid date '${wanted}'`, 1)
    if (call.user !== 'root') return await usage(call, 'date: cannot set date: Operation not permitted', 1)
    call.node.setClock(milliseconds)
  }
  const format = operands.find((arg) => arg.startsWith('+'))
  const now = call.node.clockNow()
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

export const free: Command = async (call) => {
  const total = call.node.hardware.memoryBytes
  const available = Math.round(total * 0.9)
  await call.out(
    `               total        used        free      shared  buff/cache   available\nMem:    ${total} ${total - available} ${available} 0 0 ${available}\nSwap:              0           0           0\n`,
  )
  return 0
}

export const timedatectl: Command = async (call) => {
  const { node } = call
  const { timeZone, isSynchronized } = node.machine.clock
  const told = new Date(node.clockNow()).toUTCString()
  const [verb = 'status'] = split(call.args).operands
  const yesOrNo = isSynchronized ? 'yes' : 'no'
  if (verb === 'show') {
    await call.out(
      `Timezone=${timeZone}\nLocalRTC=no\nCanNTP=yes\nNTP=yes\nNTPSynchronized=${yesOrNo}\nTimeUSec=${told}\nRTCTimeUSec=${told}\n`,
    )
  } else if (verb === 'show-timesync') {
    // Without servers of its own it asks the one that DHCP names.
    const servers = node.ntpServers.length > 0 ? node.ntpServers : [node.nic.gateway]
    const list = node.ntpServers.length > 0 ? 'SystemNTPServers' : 'LinkNTPServers'
    const [server = ''] = servers
    await call.out(
      `${list}=${servers.join(' ')}\nFallbackNTPServers=ntp.ubuntu.com\nServerName=${server}\nServerAddress=${server}\n` +
        (isSynchronized ? 'NTPMessage={ Leap=0, Version=4, Mode=4, Stratum=2, Precision=-24 }\n' : '') +
        'Frequency=0\n',
    )
  } else await call.out(`System clock synchronized: ${yesOrNo}\n              NTP service: active\n`)
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

export const systemctl: Command = async (call) => {
  const { operands } = split(call.args, ['-p', '--property'])
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
  if (verb === 'show') {
    const blocks = names.map((name) => {
      const isActive = known(name)?.(call)
      const states =
        isActive === undefined
          ? ['not-found', 'inactive', 'dead', '']
          : ['loaded', ...(isActive ? ['active', 'running'] : ['inactive', 'dead']), 'enabled']
      const fields = ['LoadState', 'ActiveState', 'SubState', 'UnitFileState']
      return `Id=${name}\n${fields.map((field, index) => `${field}=${states[index] ?? ''}\n`).join('')}`
    })
    await call.out(blocks.join('\n'))
    return 0
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

export function applyNetwork(call: CommandCall): void {
  if (call.node.applyNetworkUnits()) {
    // The answer of this very command still leaves over the old address; then the address is gone.
    setImmediate(() => {
      call.node.cutConnections()
    })
  }
}

export const reboot: Command = async (call) => {
  if (call.user !== 'root')
    return await usage(call, 'Failed to set wall message, ignoring: Interactive authentication required.', 1)
  call.services.emitReboot(call.node)
  return 0
}

export function formatted(args: readonly string[]): string {
  const [format = '', ...values] = args
  let index = 0
  return format
    .replace(/%[sd]/g, () => values[index++] ?? '')
    .replaceAll('\\n', '\n')
    .replaceAll('\\t', '\t')
}

export function idText(call: CommandCall): string {
  const number = call.user === 'root' ? 0 : 1000
  if (call.args.includes('-u')) return `${number}\n`
  if (call.args.includes('-un')) return `${call.user}\n`
  return `uid=${number}(${call.user}) gid=${number}(${call.user}) groups=${number}(${call.user})${number === 0 ? '' : ',116(admin)'}\n`
}

export function unameText({ args, node }: CommandCall): string {
  const machine = node.machine.architecture === 'arm64' ? 'aarch64' : 'x86_64'
  if (args.includes('-srm')) return `Linux 5.15.0-139-generic ${machine}\n`
  if (args.includes('-r')) return '5.15.0-139-generic\n'
  if (args.includes('-m')) return `${machine}\n`
  return 'Linux\n'
}
