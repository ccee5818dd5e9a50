import { writeReport, type ReportPart, type WrittenSection } from '../../../appliance/facts/report.ts'
import { serviceUnits, type SectionName } from '../../../appliance/facts/sections.ts'
import { gibibyte, stableHash, type Disk } from '../../hardware.ts'
import { inputOf } from '../input.ts'
import type { CommandCall } from '../shell.ts'

/**
 * What a node of the lab prints to the product's script for facts. Whatever the lab has a command for is told by that command,
 * so that nobody can be told two things; the rest is told from the same state of the node.
 */
export async function factsReport(call: CommandCall, mark: string): Promise<string> {
  const command = (...words: string[]) => answerOf(call, words)
  const { node, user } = call
  const isRoot = user === 'root'
  const sections: Record<SectionName, WrittenSection> = {
    time: { text: dateText(node.clockNow()) },
    uptime: files([
      ['/proc/uptime', uptimeText(call)],
      ['/proc/sys/kernel/random/boot_id', uuidOf('boot', node.name, String(node.boots))],
    ]),
    'command-line': nodeFiles(call, ['/proc/cmdline']),
    'boot-marks': bootMarks(call),
    'os-release': nodeFiles(call, ['/etc/os-release', '/etc/kairos-release']),
    kernel: await command('uname', '-srm'),
    'host-name': files([
      ['/proc/sys/kernel/hostname', node.hostName],
      ['/etc/hostname', node.files.text('/etc/hostname')],
    ]),
    identity: identity(call),
    processors: await command('nproc'),
    'processor-model': { text: node.files.text('/proc/cpuinfo')?.split('\n\n')[0] ?? '' },
    memory: nodeFiles(call, ['/proc/meminfo']),
    'block-devices': await command('lsblk', '-b', '-J', '-o', blockDeviceColumns),
    'disk-links': diskLinks(node.hardware.disks),
    multipath: { parts: node.hardware.disks.flatMap(multipathOf) },
    links: await links(call),
    interfaces: interfaces(call),
    addresses: await command('ip', '-j', 'addr'),
    routes: await command('ip', '-j', '-4', 'route', 'show', 'table', 'all'),
    resolver: nodeFiles(call, ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']),
    'resolver-links': {
      parts: [
        { kind: 'list', name: 'dns', text: (await command('resolvectl', 'dns')).text },
        { kind: 'list', name: 'domain', text: (await command('resolvectl', 'domain')).text },
      ],
    },
    leases: leases(call),
    'clock-hardware': {
      parts: [
        {
          kind: 'folder',
          name: 'rtc0',
          text: `since_epoch=${Math.floor(node.clockNow() / 1000)}\n`,
        },
        file('/proc/uptime', uptimeText(call)),
        file('/etc/adjtime', null),
      ],
    },
    timedatectl: await command('timedatectl', 'show'),
    timesync: await command('timedatectl', 'show-timesync'),
    chrony: { missing: 'chronyc' },
    virtualization: {
      text: `${node.machine.hypervisor}\n`,
      exitCode: node.machine.hypervisor === 'none' ? 1 : 0,
    },
    services: await command(
      'systemctl',
      'show',
      '-p',
      'Id,LoadState,ActiveState,SubState,UnitFileState',
      ...serviceUnits,
    ),
    sockets: { text: sockets(call) },
    'socket-tables': {},
    space: space(call),
    'secure-boot-variable': secureBootVariable(call),
    mokutil: await command('mokutil', '--sb-state'),
    'kairos-agent': await command('kairos-agent', 'state', 'get', 'boot'),
    'memory-modules': isRoot
      ? { text: memoryModules(node.hardware.memoryBytes) }
      : { said: '/dev/mem: Permission denied\n', exitCode: 1 },
    signatures: {
      parts: (
        await Promise.all(
          node.hardware.disks.map(async (disk) => {
            const { text, said, exitCode } = await command('wipefs', '-n', '-J', disk.path)
            return [
              { kind: 'disk', name: nameOf(disk), text: `${said}${text}` },
              { kind: 'status', name: String(exitCode), text: '' },
            ]
          }),
        )
      ).flat(),
    },
    health: { parts: node.hardware.disks.map((disk) => healthOf(disk, isRoot)) },
  }
  return writeReport(mark, sections)
}

const blockDeviceColumns =
  'NAME,KNAME,PATH,PKNAME,SIZE,TYPE,FSTYPE,LABEL,UUID,PTTYPE,MODEL,SERIAL,WWN,VENDOR,TRAN,HCTL,ROTA,RO,RM,MOUNTPOINTS'

type Answer = Required<Pick<WrittenSection, 'text' | 'said' | 'exitCode'>>

async function answerOf(call: CommandCall, words: string[]): Promise<Answer> {
  let text = ''
  let said = ''
  const exitCode = await call.run(words, call.user, {
    stdin: inputOf(Buffer.alloc(0)),
    out: (data) => void (text += data.toString()),
    err: (data) => void (said += data.toString()),
  })
  return { text, said, exitCode }
}

function file(name: string, text: string | null): ReportPart {
  return text === null
    ? { kind: 'absent', name, text: '' }
    : { kind: 'file', name, text: `${text.trimEnd()}\n` }
}

function files(list: readonly (readonly [name: string, text: string | null])[]): WrittenSection {
  return { parts: list.map(([name, text]) => file(name, text)) }
}

function nodeFiles({ node }: CommandCall, names: readonly string[]): WrittenSection {
  return files(names.map((name) => [name, node.files.text(name)] as const))
}

function dateText(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000)
  const fraction = String(Math.round((milliseconds - seconds * 1000) * 1e6)).padStart(9, '0')
  return `epoch=${seconds}.${fraction}\nzone=UTC\noffset=+0000\n`
}

function uptimeText({ node, services }: CommandCall): string {
  const seconds = Math.max(1, (services.now() - node.startedAt) / 1000)
  return `${seconds.toFixed(2)} ${seconds.toFixed(2)}`
}

function uuidOf(...words: string[]): string {
  const hash = stableHash(...words)
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    hash.slice(12, 16),
    hash.slice(16, 20),
    hash.slice(20, 32),
  ].join('-')
}

/** Folders that each start of the system leaves behind (palette.md §6.3). */
function bootMarks({ node: { machine } }: CommandCall): WrittenSection {
  const marks: Readonly<Record<typeof machine.bootState, string>> = {
    active_boot: 'active_mode',
    passive_boot: 'passive_mode',
    recovery_boot: 'recovery_mode',
    livecd_boot: 'live_mode',
  }
  const isInstalled = machine.bootState !== 'livecd_boot'
  return {
    parts: [
      ...(machine.firmware === 'uefi' ? [{ kind: 'firmware', name: 'efi', text: '' }] : []),
      { kind: 'folder', name: '/run/cos', text: `${marks[machine.bootState]}\n` },
      ...(isInstalled ? [{ kind: 'folder', name: 'images', text: 'active.img\npassive.img\n' }] : []),
    ],
  }
}

function identity({ node, user }: CommandCall): WrittenSection {
  const folder = '/sys/class/dmi/id'
  const secret = (name: string, text: string): ReportPart =>
    user === 'root'
      ? file(`${folder}/${name}`, text)
      : { kind: 'denied', name: `${folder}/${name}`, text: '' }
  return {
    parts: [
      secret('product_uuid', node.machine.productUuid ?? uuidOf('product', node.edgeHostId)),
      secret('product_serial', `VMware-${stableHash('serial', node.edgeHostId).slice(0, 16)}`),
      file(`${folder}/sys_vendor`, 'VMware, Inc.'),
      file(`${folder}/product_name`, 'VMware7,1'),
      file(`${folder}/bios_version`, 'VMW71.00V'),
      file('/etc/machine-id', node.files.text('/etc/machine-id')),
    ],
  }
}

const nameOf = (disk: Disk) => disk.path.replace('/dev/', '')

function diskLinks(disks: readonly Disk[]): WrittenSection {
  const folder = (name: string): ReportPart => ({
    kind: 'folder',
    name,
    text: disks
      .flatMap((disk) =>
        disk.links
          .filter((link) => link.startsWith(`/dev/disk/${name}/`))
          .map(
            (link) =>
              `lrwxrwxrwx 1 root root 9 Jan  1 00:00 ${link.slice(`/dev/disk/${name}/`.length)} -> ../../${nameOf(disk)}\n`,
          ),
      )
      .join(''),
  })
  return { parts: [folder('by-id'), folder('by-path')] }
}

function multipathOf(disk: Disk): ReportPart[] {
  if (disk.multipath === null) return []
  const text = `name=${disk.multipath}\nuuid=mpath-${disk.serial}\nslave=${nameOf(disk)}\n`
  return [{ kind: 'map', name: 'dm-0', text }]
}

/** `ip -j -s -d link`: with the counters that the lab's `ip` leaves out. */
async function links(call: CommandCall): Promise<WrittenSection> {
  const { text, ...rest } = await answerOf(call, ['ip', '-j', 'link'])
  const { name } = call.node.nic
  const shown = JSON.parse(text) as { ifname: string }[]
  const counted = shown.map((link) => ({
    ...link,
    stats64: {
      rx: { errors: link.ifname === name ? call.node.machine.nic.receiveErrors : 0, dropped: 0 },
      tx: { errors: 0, dropped: 0 },
    },
  }))
  return { ...rest, text: `${JSON.stringify(counted)}\n` }
}

function interfaces({ node: { nic, machine } }: CommandCall): WrittenSection {
  const { speedMegabits, hasCarrier } = machine.nic
  const state = hasCarrier ? 'up' : 'down'
  return {
    parts: [
      {
        kind: 'interface',
        name: 'lo',
        text: 'ifindex=1\naddress=00:00:00:00:00:00\ntype=772\nmtu=65536\noperstate=unknown\ncarrier=1\nvirtual=yes\n',
      },
      {
        kind: 'interface',
        name: nic.name,
        text:
          `ifindex=2\naddress=${nic.mac}\ntype=1\nmtu=${nic.mtu}\noperstate=${state}\ncarrier=${hasCarrier ? 1 : 0}\n` +
          `speed=${speedMegabits ?? -1}\nduplex=full\ndriver=${speedMegabits === null ? 'virtio_net' : 'vmxnet3'}\n`,
      },
    ],
  }
}

function leases({ node: { nic, machine } }: CommandCall): WrittenSection {
  const folder = '/run/systemd/netif/leases'
  const lease =
    `ADDRESS=${nic.address}\nROUTER=${nic.gateway}\nSERVER_ADDRESS=${nic.gateway}\nDNS=${nic.nameservers.join(' ')}\n` +
    `LIFETIME=${machine.nic.leaseSeconds}\n`
  return {
    parts: [
      { kind: 'folder', name: 'leases', text: '' },
      ...(nic.mode === 'dhcp' ? [file(`${folder}/2`, lease)] : []),
    ],
  }
}

function sockets({ node, services }: CommandCall): string {
  const listening: [address: string, port: number, process: string][] = [
    ['127.0.0.53%lo', 53, 'systemd-resolve'],
    ['0.0.0.0', node.plan.ssh.port, 'sshd'],
  ]
  if (services.isOpen(node.nic.address, node.plan.localUi.port))
    listening.push(['0.0.0.0', node.plan.localUi.port, 'stylus-agent'])
  return listening
    .map(
      ([address, port, process]) =>
        `LISTEN 0 4096 ${address}:${port} 0.0.0.0:* users:(("${process}",pid=${700 + port},fd=3))\n`,
    ) // prettier-ignore
    .join('')
}

function space({ node }: CommandCall): WrittenSection {
  const [system] = node.hardware.disks
  const line = (path: string, device: string, size: number, used: number): ReportPart => ({
    kind: 'path',
    name: path,
    text:
      'Filesystem 1024-blocks Used Available Capacity Mounted on\n' +
      `${device} ${Math.floor(size / 1024)} ${Math.ceil(used / 1024)} ${Math.floor(Math.max(0, size - used) / 1024)} ` +
      `${Math.round((used / Math.max(1, size)) * 100)}% ${path}\n`,
  })
  const uploaded = node.uploads.reduce((total, upload) => total + upload.size, 0)
  return {
    parts: [
      line('/', 'overlay', 8 * gibibyte, gibibyte),
      ...['/usr/local', '/oem'].map((path) => {
        const partition = system?.partitions.find(({ mountPoint }) => mountPoint === path)
        return partition === undefined
          ? { kind: 'absent', name: path, text: '' }
          : line(path, partition.path, partition.size, path === '/usr/local' ? uploaded : 0)
      }),
    ],
  }
}

/** Four bytes of attributes, then the value, as `od` prints them. */
function secureBootVariable({ node: { machine } }: CommandCall): WrittenSection {
  if (machine.firmware === 'bios') return { parts: [{ kind: 'absent', name: 'efi', text: '' }] }
  const variable = (name: string, isSet: boolean): ReportPart => ({
    kind: 'variable',
    name,
    text: `   6   0   0   0   ${isSet ? 1 : 0}\n`,
  })
  return { parts: [variable('SecureBoot', machine.secureBoot), variable('SetupMode', false)] }
}

function memoryModules(bytes: number): string {
  const megabytes = Math.round(bytes / 1024 ** 2)
  return `Handle 0x0020, DMI type 17, 84 bytes\nMemory Device\n\tSize: ${megabytes} MB\n\tLocator: RAM slot #0\n`
}

function healthOf(disk: Disk, isRoot: boolean): ReportPart {
  const answer = !isRoot
    ? { smartctl: { messages: [{ string: `Smartctl open device: ${disk.path} failed: Permission denied` }] } }
    : disk.health === 'none'
      ? { smartctl: { messages: [{ string: 'Device does not support SMART' }] } }
      : { smart_status: { passed: disk.health === 'passed' } }
  return { kind: 'disk', name: nameOf(disk), text: `${JSON.stringify(answer)}\n` }
}
