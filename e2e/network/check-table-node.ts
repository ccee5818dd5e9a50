/** What is special about one node of the table; everything else is as it should be. */
export interface NodeSpec {
  readonly hostName: string
  /** `free`: sudo asks nothing. `asks`: for the password of the account. `never`: the account is not in sudoers. */
  readonly sudo: 'root' | 'free' | 'asks' | 'never'
  readonly processors?: number
  readonly memoryGibibytes?: number
  readonly flags?: string
  readonly firmware?: 'uefi' | 'secure' | 'bios'
  readonly bootState?: string
  readonly systemGigabytes?: number
  readonly drive?: { readonly name?: string; readonly gigabytes?: number; readonly signature?: string }
  readonly isDriveMultipath?: boolean
  readonly health?: 'passed' | 'failing'
  /** Megabits per second; `virtual`: the interfaces are no cards. */
  readonly card?: number | 'virtual'
  /** DMI. */
  readonly uuid: string
  readonly virtualization?: string
  readonly isSynchronized?: boolean
  readonly timeZone?: string
  /** Seconds: systemd-networkd got the address by DHCP for that long. */
  readonly lease?: { readonly address: string; readonly seconds: number }
  /** The counters of `ip -s` are not zero. */
  readonly hasErrors?: boolean
}

/** First in the PATH of the account; in a tmpfs that nobody but this sshd's sessions can see. */
const early = '/run/early'
export const accountPath = `${early}:/usr/sbin:/usr/bin:/sbin:/bin`
const realPath = '/usr/sbin:/usr/bin:/sbin:/bin'

/** Lines of shell that put a program before all others of its name. */
export function program(name: string, body: string): string {
  return `cat >${early}/${name} <<'END-OF-PROGRAM'\n#!/bin/sh\n${body}\nEND-OF-PROGRAM\nchmod 755 ${early}/${name}\n`
}

/** The real one, with what it says changed by sed; its exit code stays. */
export function filtered(name: string, sed: string): string {
  return program(
    name,
    `said=$(PATH=${realPath} ${name} "$@" 2>&1)\ncode=$?\nprintf '%s\\n' "$said" | sed '${sed}'\nexit $code`,
  )
}

const file = (path: string, text: string) => `cat >${path} <<'END-OF-FILE'\n${text}\nEND-OF-FILE\n`

const gigabyte = 1_000_000_000

/**
 * Shell for the mount and UTS namespaces of one sshd: after it, its sessions see another machine. Kernel files are bound or
 * mounted over, what the kernel of the machine cannot show at all are programs early in PATH. All of it is on tmpfs and
 * goes with the namespace.
 */
export function machineScript(spec: NodeSpec, password: string, resolver: string): string {
  const { drive = {}, card = 10_000, firmware = 'uefi' } = spec
  const driveName = drive.name ?? 'sdb'
  return [
    'set -e',
    `hostname ${spec.hostName}`,
    `mkdir -m 755 ${early} /run/real /run/cos /run/files /run/dev`,
    ': >/run/cos/active_mode',
    // What the account of this machine runs at its login is not the node's.
    spec.sudo === 'root' ? 'mount -t tmpfs -o mode=700 tmpfs ~root' : '',
    sudoScript(spec.sudo, password),
    file('/run/files/resolv.conf', `nameserver ${resolver}`),
    'mount --bind /run/files/resolv.conf /etc/resolv.conf',
    processorsAndMemory(spec),
    // Block devices: nodes that `test -b` finds, of a number that no driver has.
    `mount -t tmpfs -o mode=755 tmpfs /run/dev
for name in null zero full random urandom tty; do cp -a /dev/$name /run/dev/; done
mkdir -p /run/dev/pts /run/dev/shm /run/dev/disk/by-id
for name in fd stdin stdout stderr; do cp -a /dev/$name /run/dev/; done
for name in sda ${driveName}; do mknod /run/dev/$name b 240 0; ln -s ../../$name /run/dev/disk/by-id/virtio-$name; done
mount --move /run/dev /dev
mount -t tmpfs -o mode=755 tmpfs /sys/block
for name in sda ${driveName}; do mkdir /sys/block/$name; echo 1000 >/sys/block/$name/size; done`,
    spec.isDriveMultipath === true
      ? `mkdir -p /sys/block/dm-0/dm /sys/block/dm-0/slaves/${driveName}
echo mpatha >/sys/block/dm-0/dm/name; echo mpath-3600140512345 >/sys/block/dm-0/dm/uuid`
      : '',
    disks(spec, driveName),
    networkFiles(card),
    firmwareFiles(spec, firmware),
    spec.lease === undefined
      ? 'mkdir -p /run/systemd/netif/leases'
      : `mkdir -p /run/systemd/netif/leases
printf 'ADDRESS=${spec.lease.address}\\nLIFETIME=${spec.lease.seconds}\\n' >/run/systemd/netif/leases/$(cat /run/real/seg0/ifindex)`,
    program('kairos-agent', `printf ${spec.bootState ?? 'active_boot'}`),
    program(
      'timedatectl',
      `test "$1" = show || exit 1
printf 'Timezone=${spec.timeZone ?? 'Etc/UTC'}\\nLocalRTC=no\\nNTP=yes\\nNTPSynchronized=${spec.isSynchronized === false ? 'no' : 'yes'}\\n'`,
    ),
    program(
      'systemd-detect-virt',
      `echo ${spec.virtualization ?? 'none'}\n${spec.virtualization === undefined ? 'exit 1' : ''}`,
    ),
    // Some systems let everybody use arping; a copy has no capabilities.
    spec.sudo === 'never'
      ? 'cp /usr/bin/arping /run/files/arping; mount --bind /run/files/arping /usr/bin/arping'
      : '',
    spec.hasErrors === true ? filtered('ip', 's/"errors":0/"errors":7/g') : '',
  ].join('\n')
}

/** From then on curl of this machine trusts this certificate, and no other. */
export function trustScript(certificatePem: string): string {
  return `${file('/run/files/ca.pem', certificatePem)}
mount --bind /run/files/ca.pem /etc/ssl/certs/ca-certificates.crt`
}

/** There is no setuid sudo that a test could configure for itself: this one becomes root by a setuid copy of setpriv. */
function sudoScript(kind: NodeSpec['sudo'], password: string): string {
  if (kind === 'root') return ''
  const gate = {
    free: '',
    never: "echo 'operator is not in the sudoers file.' >&2; exit 1",
    asks: `test -z "$never" || { echo 'sudo: a password is required' >&2; exit 1; }
IFS= read -r given
test "$given" = '${password}' || { echo 'sudo: 1 incorrect password attempt' >&2; exit 1; }`,
  }[kind]
  return `cp "$(command -v setpriv)" ${early}/become && chmod 4755 ${early}/become
${program(
  'sudo',
  `never=
while :; do
  case $1 in
    -n) never=yes ;;
    -k|-S) ;;
    -p) shift ;;
    *) break ;;
  esac
  shift
done
${gate}
exec ${early}/become --reuid=0 --regid=0 --clear-groups "$@"`,
)}`
}

function processorsAndMemory(spec: NodeSpec): string {
  const kibibytes = (spec.memoryGibibytes ?? 16) * 1024 ** 2
  return [
    program('nproc', `echo ${spec.processors ?? 8}`),
    file(
      '/run/files/cpuinfo',
      `processor\t: 0\nmodel name\t: Xeon\nflags\t\t: ${spec.flags ?? 'fpu avx avx2'}\n`,
    ),
    file(
      '/run/files/meminfo',
      `MemTotal: ${kibibytes} kB\nMemFree: 9000000 kB\nMemAvailable: 9000000 kB\nSwapTotal: 0 kB`,
    ),
    'mount --bind /run/files/cpuinfo /proc/cpuinfo',
    'mount --bind /run/files/meminfo /proc/meminfo',
    // The modules of the machine that the test runs on.
    program('dmidecode', 'echo "/dev/mem: No such file or directory" >&2; exit 1'),
  ].join('\n')
}

function disks(spec: NodeSpec, driveName: string): string {
  const { drive = {}, systemGigabytes = 300, health = 'passed' } = spec
  const device = (name: string, gigabytes: number, more: object) => ({
    ...{
      name,
      kname: name,
      path: `/dev/${name}`,
      size: gigabytes * gigabyte,
      type: 'disk',
      ro: false,
      rm: false,
    },
    ...more,
  })
  const partition = device('sda1', systemGigabytes, {
    type: 'part',
    label: 'COS_STATE',
    mountpoints: ['/oem'],
  })
  const list = [
    device('sda', systemGigabytes, { children: [partition] }),
    device(driveName, drive.gigabytes ?? 500, {}),
  ]
  const found = JSON.stringify({ signatures: [{ type: drive.signature, label: null, uuid: null }] })
  const asRootOnly = (what: string) =>
    `test "$(id -u)" = 0 || { echo "${what}: Permission denied" >&2; exit 1; }`
  return [
    program('lsblk', `cat <<'END'\n${JSON.stringify({ blockdevices: list })}\nEND`),
    program(
      'wipefs',
      `${asRootOnly('wipefs: error: probing initialization failed')}
${drive.signature === undefined ? 'true' : `case "$*" in */dev/${driveName}) echo '${found}' ;; esac`}`,
    ),
    program(
      'smartctl',
      `${asRootOnly('smartctl')}\necho '{"smart_status":{"passed":${health === 'passed'}}}'`,
    ),
  ].join('\n')
}

/** /sys/class/net of a machine with cards. What is in it are links into the kernel's own files, but for the speed. */
function networkFiles(card: number | 'virtual'): string {
  return `mount --bind /sys/devices/virtual/net /run/real
mount -t tmpfs -o mode=755 tmpfs /sys/class
mount -t tmpfs -o mode=755 tmpfs /sys/devices/virtual/net
mkdir -p /sys/class/net
for entry in /run/real/*; do
  name=\${entry##*/}
  mkdir /sys/class/net/$name
  for value in $entry/*; do ln -s $value /sys/class/net/$name/; done
  case ${card}/$name in
    virtual/*|*/lo|*/lfi*) mkdir /sys/devices/virtual/net/$name ;;
    *) rm /sys/class/net/$name/speed; echo ${card} >/sys/class/net/$name/speed ;;
  esac
done`
}

function firmwareFiles({ uuid }: NodeSpec, firmware: 'uefi' | 'secure' | 'bios'): string {
  const variable = '/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c'
  return `mkdir -p /sys/class/dmi/id
echo ${uuid} >/sys/class/dmi/id/product_uuid; chmod 400 /sys/class/dmi/id/product_uuid
echo Rig-7 >/sys/class/dmi/id/product_name; echo Example >/sys/class/dmi/id/sys_vendor
mount -t tmpfs -o mode=755 tmpfs /sys/firmware
${firmware === 'bios' ? '' : `mkdir -p /sys/firmware/efi/efivars; printf '\\006\\000\\000\\000\\00${firmware === 'secure' ? 1 : 0}' >${variable}`}`
}
