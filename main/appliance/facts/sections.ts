/**
 * What is asked of a node, one section for each command or group of files. The bodies are POSIX shell, run by the
 * functions of `collect-script.ts`:
 *
 * - `within COMMAND…` runs a program with the time limit of the section,
 * - `refused CODE` is true when a program ended badly, but not because of its time: then another form may be tried,
 * - `file PATH…` prints files, and says which of them are not there or may not be read,
 * - `part KIND NAME` begins a part of the section,
 * - `values FOLDER NAME…` prints the one-line files of a folder as `name=value`.
 *
 * Everything only reads. The order is the order of importance: when the time is up, the rest is left out.
 */
export interface SectionDefinition {
  /** For evidence: the command or the files, as an operator would try them by hand. */
  readonly source: string
  /** Without it the section is reported as missing. */
  readonly program?: string
  /** Real time on the node, for each program of the section and for the section as a whole. */
  readonly seconds: number
  /** Of output. */
  readonly bytes: number
  readonly body: string
}

const kilobyte = 1024
const small = { seconds: 5, bytes: 32 * kilobyte }

/** PATH is what the plan names; the others tell whether it is the right disk, and whether something is on it. */
const blockDeviceColumns =
  'NAME,KNAME,PATH,PKNAME,SIZE,TYPE,FSTYPE,LABEL,UUID,PTTYPE,MODEL,SERIAL,WWN,VENDOR,TRAN,HCTL,ROTA,RO,RM'

/** Asked for by their names; also by those that only one distribution uses. */
export const serviceUnits = [
  'stylus-agent.service',
  'stylus-operator.service',
  'palette-tui.service',
  'containerd.service',
  'kubelet.service',
  'systemd-networkd.service',
  'systemd-resolved.service',
  'NetworkManager.service',
  'ssh.service',
  'sshd.service',
  'systemd-timesyncd.service',
  'chrony.service',
  'chronyd.service',
] as const

/** File systems that the appliance writes to (palette.md §6.2). */
const spacePaths = '/ /usr/local /oem'

/**
 * Names of disks in /sys/block: no loop devices, memory, drives without a medium, and nothing that is made of disks.
 * The kernel writes `!` for a slash.
 */
const eachDisk = `for entry in /sys/block/*; do
  disk=\${entry##*/}
  case $disk in loop*|ram*|zram*|fd*|sr*|dm-*|md*|nbd*|drbd*|'*') continue ;; esac
  case $disk in *!*) disk=\${disk%%!*}/\${disk#*!} ;; esac
  size=0
  read -r size <"$entry/size"
  test "$size" != 0 && test -b "/dev/$disk" || continue
`

const definitions = {
  time: {
    source: 'date +%s.%N',
    program: 'date',
    ...small,
    body: "within date '+epoch=%s.%N%nzone=%Z%noffset=%z'",
  },
  uptime: { source: '/proc/uptime', ...small, body: 'file /proc/uptime /proc/sys/kernel/random/boot_id' },
  'command-line': { source: '/proc/cmdline', ...small, body: 'file /proc/cmdline' },
  'boot-marks': {
    source: 'ls /run/cos; ls /sys/firmware/efi',
    ...small,
    body: `test -d /sys/firmware/efi && part firmware efi
test -d /run/cos && part folder /run/cos
for entry in /run/cos/*; do test -e "$entry" && echo "\${entry##*/}"; done
test -d /run/initramfs/cos-state/cOS && part folder images
for entry in /run/initramfs/cos-state/cOS/*.img /run/initramfs/cos-state/cOS/*.squashfs; do
  test -e "$entry" && echo "\${entry##*/}"
done
true`,
  },
  'os-release': {
    source: '/etc/os-release',
    ...small,
    body: `if test -e /etc/os-release; then file /etc/os-release; else file /usr/lib/os-release; fi
file /etc/kairos-release`,
  },
  kernel: { source: 'uname -srm', program: 'uname', ...small, body: 'within uname -srm' },
  'host-name': {
    source: '/proc/sys/kernel/hostname',
    ...small,
    body: 'file /proc/sys/kernel/hostname /etc/hostname',
  },
  identity: {
    source: '/sys/class/dmi/id/product_uuid, /etc/machine-id',
    ...small,
    body: `for entry in product_uuid product_serial sys_vendor product_name bios_version; do
  file "/sys/class/dmi/id/$entry"
done
file /etc/machine-id`,
  },
  processors: { source: 'nproc', program: 'nproc', ...small, body: 'within nproc' },
  'processor-model': {
    source: '/proc/cpuinfo',
    ...small,
    // The processors of a machine are alike: the first is enough, and the file may be long.
    body: `while IFS= read -r line && test -n "$line"; do printf '%s\\n' "$line"; done </proc/cpuinfo`,
  },
  memory: { source: '/proc/meminfo', ...small, body: 'file /proc/meminfo' },
  'block-devices': {
    source: 'lsblk -b -J',
    program: 'lsblk',
    seconds: 10,
    bytes: 1024 * kilobyte,
    // util-linux has MOUNTPOINTS since 2.37.
    body: `within lsblk -b -J -o ${blockDeviceColumns},MOUNTPOINTS
code=$?
refused $code && { within lsblk -b -J -o ${blockDeviceColumns},MOUNTPOINT; code=$?; }
return $code`,
  },
  'disk-links': {
    source: 'ls -l /dev/disk/by-id /dev/disk/by-path',
    program: 'ls',
    seconds: 5,
    bytes: 256 * kilobyte,
    body: `for folder in by-id by-path; do
  if test -d "/dev/disk/$folder"; then
    part folder "$folder"
    within ls -l "/dev/disk/$folder"
  else
    part absent "$folder"
  fi
done`,
  },
  multipath: {
    source: '/sys/block/dm-*/dm/uuid, /sys/block/dm-*/slaves',
    ...small,
    body: `for entry in /sys/block/dm-*; do
  test -e "$entry/dm/uuid" || continue
  part map "\${entry##*/}"
  values "$entry/dm" name uuid
  for slave in "$entry"/slaves/*; do test -e "$slave" && echo "slave=\${slave##*/}"; done
done
true`,
  },
  links: {
    source: 'ip -j -s -d link',
    program: 'ip',
    seconds: 5,
    bytes: 1024 * kilobyte,
    body: 'within ip -j -s -d link',
  },
  interfaces: {
    source: '/sys/class/net',
    seconds: 5,
    bytes: 256 * kilobyte,
    body: `for entry in /sys/class/net/*; do
  test -e "$entry/ifindex" || continue
  part interface "\${entry##*/}"
  values "$entry" ifindex address type mtu operstate carrier speed duplex
  test -e "/sys/devices/virtual/net/\${entry##*/}" && echo virtual=yes
  test -e "$entry/device/uevent" && while read -r line; do
    case $line in DRIVER=*) echo "driver=\${line#DRIVER=}" ;; esac
  done <"$entry/device/uevent"
done
true`,
  },
  addresses: {
    source: 'ip -j addr',
    program: 'ip',
    seconds: 5,
    bytes: 1024 * kilobyte,
    // BusyBox has no -j.
    body: `within ip -j addr
code=$?
refused $code && { within ip -o -4 addr; code=$?; }
return $code`,
  },
  routes: {
    source: 'ip -j route show table all',
    program: 'ip',
    seconds: 5,
    bytes: 512 * kilobyte,
    body: `within ip -j -4 route show table all
code=$?
refused $code && { within ip -4 route; code=$?; }
return $code`,
  },
  resolver: {
    source: '/etc/resolv.conf',
    ...small,
    body: 'file /etc/resolv.conf /run/systemd/resolve/resolv.conf',
  },
  'resolver-links': {
    source: 'resolvectl dns; resolvectl domain',
    program: 'resolvectl',
    ...small,
    body: `part list dns
within resolvectl --no-pager dns || return
part list domain
within resolvectl --no-pager domain`,
  },
  leases: {
    source: '/run/systemd/netif/leases',
    ...small,
    body: `if test -d /run/systemd/netif/leases; then part folder leases; else part absent leases; fi
for entry in /run/systemd/netif/leases/*; do test -e "$entry" && file "$entry"; done
true`,
  },
  'clock-hardware': {
    source: '/sys/class/rtc/rtc0, /etc/adjtime',
    ...small,
    body: `test -d /sys/class/rtc/rtc0 && part folder rtc0 && values /sys/class/rtc/rtc0 since_epoch
file /proc/uptime /etc/adjtime`,
  },
  timedatectl: {
    source: 'timedatectl show',
    program: 'timedatectl',
    ...small,
    body: 'within timedatectl show --no-pager',
  },
  timesync: {
    source: 'timedatectl show-timesync',
    program: 'timedatectl',
    ...small,
    body: 'within timedatectl show-timesync --no-pager',
  },
  chrony: {
    source: 'chronyc -n -c tracking',
    program: 'chronyc',
    ...small,
    body: `part list tracking
within chronyc -n -c tracking || return
part list sources
within chronyc -n -c sources`,
  },
  virtualization: {
    source: 'systemd-detect-virt',
    program: 'systemd-detect-virt',
    ...small,
    body: 'within systemd-detect-virt',
  },
  services: {
    source: 'systemctl show',
    program: 'systemctl',
    ...small,
    body: `within systemctl show --no-pager -p Id,LoadState,ActiveState,SubState,UnitFileState ${serviceUnits.join(' ')}`,
  },
  sockets: {
    source: 'ss -H -l -t -n -p',
    program: 'ss',
    seconds: 5,
    bytes: 256 * kilobyte,
    body: 'within ss -H -l -t -n -p',
  },
  'socket-tables': {
    source: '/proc/net/tcp, /proc/net/tcp6',
    seconds: 5,
    bytes: 256 * kilobyte,
    // Only those that listen: state 0A. A node that serves many connections has long tables.
    body: `for table in /proc/net/tcp /proc/net/tcp6; do
  test -r "$table" || continue
  part table "\${table##*/}"
  within grep -E '^ *[0-9]+: [0-9A-F]+:[0-9A-F]{4} [0-9A-F]+:0000 0A ' "$table"
done
true`,
  },
  space: {
    source: `df -P -k ${spacePaths}`,
    program: 'df',
    seconds: 4,
    bytes: 8 * kilobyte,
    body: `for path in ${spacePaths}; do
  if test -d "$path"; then part path "$path"; within df -P -k "$path"; else part absent "$path"; fi
done
true`,
  },
  'secure-boot-variable': {
    source: '/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c',
    ...small,
    body: `variables=/sys/firmware/efi/efivars
for name in SecureBoot SetupMode; do
  variable=$variables/$name-8be4df61-93ca-11d2-aa0d-00e098032b8c
  if ! test -d /sys/firmware/efi; then part absent efi
  elif ! test -e "$variable"; then part absent "$name"
  elif ! test -r "$variable"; then part denied "$name"
  else
    part variable "$name"
    within od -A n -t u1 "$variable"
  fi
done
true`,
  },
  mokutil: {
    source: 'mokutil --sb-state',
    program: 'mokutil',
    ...small,
    body: 'within mokutil --sb-state',
  },
  // Programs that are slow to start, or that ask the hardware, come last.
  'kairos-agent': {
    source: 'kairos-agent state get boot',
    program: 'kairos-agent',
    seconds: 10,
    bytes: 4 * kilobyte,
    body: 'within kairos-agent state get boot',
  },
  'memory-modules': {
    source: 'dmidecode -t 17 -t 19',
    program: 'dmidecode',
    seconds: 8,
    bytes: 256 * kilobyte,
    body: 'within dmidecode -t 17 -t 19',
  },
  signatures: {
    source: 'wipefs -n -J',
    program: 'wipefs',
    seconds: 15,
    bytes: 256 * kilobyte,
    body: `${eachDisk}  part disk "$disk"
  within 4 wipefs -n -J "/dev/$disk" 2>&1
  part status "$?"
done
true`,
  },
  health: {
    source: 'smartctl -j -H',
    program: 'smartctl',
    seconds: 25,
    bytes: 512 * kilobyte,
    // Eight at a time: each asks its disk. -n standby: a disk that sleeps is not woken. Each answer is
    // written at once, short enough to arrive in one piece.
    body: `count=0
${eachDisk}  {
    answer=$(within 10 smartctl -n standby -j -H "/dev/$disk" 2>&1 | head -c 3500)
    printf '\\n%s part disk %s\\n%s\\n' "$mark" "$disk" "$answer"
  } &
  count=$((count + 1))
  test $((count % 8)) -ne 0 || wait
done
wait`,
  },
} satisfies Record<string, SectionDefinition>

export type SectionName = keyof typeof definitions

export const sections: Readonly<Record<SectionName, SectionDefinition>> = definitions

/** In the order in which they are asked. */
export const sectionNames = Object.keys(definitions) as readonly SectionName[]

export function isSectionName(name: string): name is SectionName {
  return Object.hasOwn(definitions, name)
}
