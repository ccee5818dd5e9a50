/**
 * What a node is asked to measure. Each is one job of the script, and runs beside the others.
 *
 * - `own`: its interfaces and the time to live of its packets,
 * - `peer`: ping, way, neighbour entry and path MTU to another node; `mtu` where the node does not know it by itself,
 * - `ports`: TCP connections,
 * - `gateway`: ping and neighbour entry of the default route's gateway, or of the given one when there is no such route,
 * - `datagram`: sends one by UDP and prints what comes back,
 * - `lookup`: an IPv4 address by the node's own resolver,
 * - `web`: a GET request,
 * - `disk`: how long small writes take until they are safe,
 * - `dhcp`: which DHCP servers answer.
 */
export type Job =
  | { readonly kind: 'own' }
  | { readonly kind: 'peer'; readonly address: string; readonly mtu: number }
  | { readonly kind: 'ports'; readonly address: string; readonly ports: readonly number[] }
  | { readonly kind: 'gateway'; readonly address: string }
  | {
      readonly kind: 'datagram'
      readonly host: string
      readonly port: number
      readonly payload: Uint8Array
    }
  | { readonly kind: 'lookup'; readonly name: string }
  | { readonly kind: 'web'; readonly url: string }
  | { readonly kind: 'disk' }
  | { readonly kind: 'dhcp'; readonly interface: string }

/** Sizes of whole packets that tell where a path narrows: tunnels, VLANs, PPPoE, other clouds' networks. Descending. */
export const tellingSizes = [
  8950, 8900, 8000, 4000, 2000, 1500, 1492, 1480, 1460, 1450, 1442, 1430, 1420, 1410, 1400, 1380, 1350, 1300,
  1280, 1200, 1000, 800, 576,
] as const

/** So many jobs run at the same time on a node. */
const jobsAtOnce = 48

/**
 * The script that measures on one node. POSIX shell (dash, BusyBox ash, bash), every program with a time limit of its own,
 * jobs beside each other. Nothing is left on the node. The whole is one compound command: the shell has read all of it
 * before the first program runs.
 *
 * Every line that counts is written at once and begins with `mark`, the number of the job and a word: `|` (output follows),
 * `part NAME ARGUMENTS`, `status EXIT-CODE`, `missing PROGRAM`, `port NUMBER EXIT-CODE TEXT`, `passes SIZE`, `end`; instead of a
 * number `start` and `complete`. `skipped`: the time was up before.
 *
 * @param mark letters, digits and `-` only
 * @param budgetSeconds real time; jobs that would begin later are skipped
 */
export function measureScript(mark: string, budgetSeconds: number, jobs: readonly Job[]): string {
  if (!/^[A-Za-z0-9-]{8,64}$/u.test(mark))
    throw new TypeError('The mark must be a word of letters and digits.')
  const calls = jobs.map((job, index) => `job ${index} ${words(job).map(quote).join(' ')}`)
  return [
    `{ # landfall-measure\nmark=${mark}\nbudget=${Math.max(1, Math.floor(budgetSeconds))}`,
    prelude,
    ...calls,
    'wait\nprintf \'%s complete\\n\' "$mark"\nexit 0\n}\n',
  ].join('\n')
}

/** What `measureScript` was given; `undefined` for any other text. For a node that has no shell. */
export function readMeasureScript(script: string): { mark: string; jobs: Job[] } | undefined {
  const mark = /^\{ # landfall-measure\nmark=([A-Za-z0-9-]{8,64})\n/u.exec(script)?.[1]
  if (mark === undefined) return undefined
  const jobs = [...script.matchAll(/^job \d+ (.*)$/gmu)].map(([, line = '']) =>
    jobOf([...line.matchAll(/'([^']*)'/gu)].map(([, word = '']) => word)),
  )
  return { mark, jobs }
}

function words(job: Job): string[] {
  switch (job.kind) {
    case 'own':
    case 'disk':
      return [job.kind]
    case 'peer':
      return [job.kind, job.address, String(job.mtu)]
    case 'ports':
      return [job.kind, job.address, ...job.ports.map(String)]
    case 'gateway':
      return [job.kind, job.address]
    case 'datagram':
      return [job.kind, job.host, String(job.port), octal(job.payload)]
    case 'lookup':
      return [job.kind, job.name]
    case 'web':
      return [job.kind, job.url]
    case 'dhcp':
      return [job.kind, job.interface]
  }
}

function jobOf([kind = '', first = '', second = '', third = '', ...rest]: string[]): Job {
  switch (kind) {
    case 'own':
    case 'disk':
      return { kind }
    case 'peer':
      return { kind, address: first, mtu: Number(second) }
    case 'ports':
      return {
        kind,
        address: first,
        ports: [second, third, ...rest].filter((port) => port !== '').map(Number),
      }
    case 'gateway':
      return { kind, address: first }
    case 'datagram':
      return {
        kind,
        host: first,
        port: Number(second),
        payload: Uint8Array.from(third.split('\\').slice(1), (digits) => parseInt(digits, 8)),
      }
    case 'lookup':
      return { kind, name: first }
    case 'web':
      return { kind, url: first }
    case 'dhcp':
      return { kind, interface: first }
    default:
      throw new TypeError(`There is no job ${kind}.`)
  }
}

/** Every byte, also the printable ones: the shell's printf must not find a conversion in it. */
function octal(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')
}

function quote(word: string): string {
  if (/['\n\0]/u.test(word)) throw new TypeError(`A job cannot have the argument ${JSON.stringify(word)}.`)
  return `'${word}'`
}

/** Connects by TCP, tells how it ended by its exit code and what it says, and lets go again. Parameters: host, port. */
const pythonConnect = 'import socket,sys;socket.create_connection((sys.argv[1],int(sys.argv[2])),3)'

/** Prints the answer to a datagram in hexadecimal digits. Parameters: host, port, octal escapes. */
const pythonDatagram =
  'import socket,sys;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.settimeout(2);' +
  's.connect((sys.argv[1],int(sys.argv[2])));s.send(bytes(int(b,8)for b in sys.argv[3].split(chr(92))[1:]));' +
  'print(s.recv(2048).hex())'

/**
 * bash writes line by line, and a byte of the datagram may be a line feed: dd puts it together again. The limit stands at
 * the program that waits, so that nothing is left behind with a `timeout` that ends one process only.
 *
 * Always with --norc: over SSH bash runs the account's .bashrc also for a single command (bash(1), "remote shell daemon"),
 * which may take longer than the connection, or print something.
 */
const bashDatagram =
  'exec 3<>"/dev/udp/$0/$1" && printf "$2" | dd obs=2048 2>/dev/null >&3 && timeout 2 dd bs=2048 count=1 2>/dev/null <&3 | od -A n -v -t x1'

const prelude = `LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
unset IFS
umask 077
set +e +u -f
exec 2>/dev/null

has() { command -v "$1" >/dev/null 2>&1; }
if timeout -k 1 9 true </dev/null; then limits='timeout -k 1'
elif timeout 9 true </dev/null; then limits=timeout
else limits=
fi
limited() { $limits "$@"; }
for connector in bash python3 nc none; do has $connector && break; done
uptime() {
  now=0
  read -r now _ </proc/uptime
}
frame() { printf '%s %s %.600s\\n' "$mark" "$id" "$*"; }
lines() {
  while IFS= read -r line || test -n "$line"; do printf '%s %s | %.400s\\n' "$mark" "$id" "$line"; done
}
grab() {
  text=$(limited "$@" 2>&1 </dev/null)
  code=$?
  test -z "$text" || printf '%s\\n' "$text" | lines
  frame status $code
}
needs() {
  for program in timeout "$@"; do
    has "$program" || { frame missing "$program"; return 1; }
  done
}

own() {
  set +f
  for entry in /sys/class/net/*; do
    mac= mtu=
    read -r mac <"$entry/address" && read -r mtu <"$entry/mtu" && frame interface "\${entry##*/}" "$mac" "$mtu"
  done
  set -f
  # Not by read: some shells read byte by byte, which this file does not allow.
  frame ttl $(limited 2 cat /proc/sys/net/ipv4/ip_default_ttl </dev/null)
}

neighbour() {
  while read -r address _ flags mac _ device; do
    test "$address" = "$1" && frame neighbour "$mac" "$device" "$flags"
  done </proc/net/arp
}

peer() {
  way=
  has ip && way=$(limited 3 ip -o -4 route get "$1" </dev/null)
  frame way $way
  needs ping || return
  frame part ping
  grab 7 ping -n -c 5 -i 0.2 -W 2 "$1"
  frame part neighbours
  neighbour "$1"
  frame end-of neighbours
  tries=3
  case $text in
    *' 0% packet loss'*) ;;
    *' 100% packet loss'*) return ;;
    *'% packet loss'*)
      frame part more
      grab 6 ping -n -c 15 -i 0.2 -W 1 "$1"
      tries=6
      ;;
    *) return ;;
  esac
  mtu=$2
  case $way in *' dev '*)
    device=\${way#* dev }
    read -r mtu <"/sys/class/net/\${device%% *}/mtu" || mtu=$2
    ;;
  esac
  test "\${mtu:-0}" -gt 0 || mtu=1500
  least=$mtu sizes=$mtu
  test "$mtu" -le 1500 || sizes="$mtu 1500"
  for bytes in $sizes; do
    frame part path "$bytes"
    grab 6 ping -n -M do -c $tries -i 0.2 -W 1 -s $((bytes - 28)) "$1"
    case $text in *'nvalid option'*|*'nrecognized option'*) return ;; esac
    test $code -ne 0 && least=$((bytes - 1)) && failed=yes
  done
  test -n "$failed" || return
  for bytes in ${tellingSizes.join(' ')}; do
    test $bytes -lt $least || continue
    limited 5 ping -n -M do -c $tries -i 0.2 -W 1 -s $((bytes - 28)) "$1" </dev/null >/dev/null && frame passes $bytes &
  done
  wait
  frame part searched
}

connects() {
  case $connector in
    bash) text=$(limited 3 bash --norc -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>&1 </dev/null) ;;
    python3) text=$(limited 4 python3 -c '${pythonConnect}' "$1" "$2" 2>&1 </dev/null) ;;
    nc)
      text=$(limited 4 nc -z -w 3 "$1" "$2" 2>&1 </dev/null)
      code=$?
      case $text in *'nvalid option'*|*'nrecognized option'*) ;; *) frame port "$2" "$code" $text; return ;; esac
      text=$(limited 4 nc -w 3 -e true "$1" "$2" 2>&1 </dev/null)
      ;;
  esac
  code=$?
  frame port "$2" "$code" $text
}
ports() {
  needs || return
  test $connector != none || { frame missing 'bash, python3 or nc'; return; }
  host=$1
  shift
  for port in "$@"; do connects "$host" "$port" & done
  wait
}

gateway() {
  address=$1
  while read -r _ destination hex _ _ _ _ mask _; do
    case $destination/$mask/$hex in
      */*/00000000) ;;
      00000000/00000000/*)
        first=\${hex#??????} second=\${hex#????} third=\${hex#??}
        address=$((0x$first)).$((0x\${second%??})).$((0x\${third%????})).$((0x\${hex%??????}))
        break
        ;;
    esac
  done </proc/net/route
  frame part gateway "$address"
  test -n "$address" || return
  if needs ping; then grab 6 ping -n -c 2 -i 0.2 -W 1 "$address"; fi
  frame part neighbours
  neighbour "$address"
  frame end-of neighbours
}

datagram() {
  needs || return
  for try in 1 2; do
    case $connector in
      bash)
        needs dd od || return
        text=$(limited 5 bash --norc -c '${bashDatagram}' "$1" "$2" "$3" 2>&1 </dev/null)
        ;;
      python3) text=$(limited 5 python3 -c '${pythonDatagram}' "$1" "$2" "$3" 2>&1 </dev/null) ;;
      nc)
        needs dd od || return
        text=$(printf "$3" | dd obs=2048 | limited 3 nc -u -w 2 "$1" "$2" 2>&1 | od -A n -v -t x1)
        ;;
      none)
        frame missing 'bash, python3 or nc'
        return
        ;;
    esac
    test -z "$text" || break
  done
  printf '%s\\n' "$text" | lines
  frame status 0
}

lookup() { needs getent && grab 6 getent ahostsv4 "$1"; }

web() {
  needs || return
  if has curl; then
    frame part curl
    grab 9 curl --noproxy '*' -s -S -o /dev/null -m 7 -w 'http=%{http_code}\\n' "$1"
  elif has wget; then
    frame part wget
    grab 9 wget -S -O /dev/null -T 5 "$1"
  else
    frame missing 'curl or wget'
  fi
}

disk() {
  needs df dd || return
  for folder in /usr/local /var/tmp none; do
    test "$folder" != none || { frame part noroom; return; }
    test -d "$folder" && test -w "$folder" || continue
    room=$(limited 4 df -P -k "$folder" </dev/null | while read -r _ _ _ free _; do :; test "$free" -gt 102400 && echo yes; done)
    case $room in *yes*) break ;; esac
  done
  scratch=$folder/.landfall-disk-$mark
  trap 'rm -f "$scratch" "$scratch".*' EXIT
  trap 'exit 1' HUP INT TERM
  if has fio; then
    frame part fio "$folder"
    for round in 1 2; do
      grab 30 fio --name=landfall --filename="$scratch" --unlink=1 --rw=write --ioengine=sync --fdatasync=1 --bs=2300 --size=22m --runtime=20 --output-format=json
      frame part fio "$folder"
    done
  else
    frame part dd "$folder"
    round=0
    # The file has no name any more while it is written to: whatever happens, nothing is left.
    exec 7<>"$scratch" || return
    rm -f "$scratch"
    uptime
    until=$((\${now%%.*} + 20))
    while test $round -lt 150; do
      text=$(limited 5 dd if=/dev/zero of=/proc/self/fd/7 bs=2300 count=1 seek=$round conv=notrunc oflag=dsync 2>&1 </dev/null)
      frame write $? \${text##*records out}
      round=$((round + 1))
      uptime
      test "\${now%%.*}" -lt $until || break
    done
    frame written $round
  fi
}

dhcp() {
  needs nmap || return
  grab 14 nmap -n --script broadcast-dhcp-discover --script-args broadcast-dhcp-discover.timeout=6 -e "$1"
}

job() {
  id=$1
  shift
  uptime
  if test $((budget + started - \${now%%.*})) -lt 1; then
    frame skipped
    return
  fi
  {
    failed=
    "$@"
    frame end
  } </dev/null &
  count=$((count + 1))
  test $((count % ${jobsAtOnce})) -ne 0 || wait
}
count=0
uptime
started=\${now%%.*}
printf '\\n%s start\\n' "$mark"
`
