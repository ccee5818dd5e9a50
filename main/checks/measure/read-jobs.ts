import { read, unread, type Fact } from '../../appliance/facts/fact.ts'
import { printableStart } from '../../network/printable.ts'
import { isTimeoutCode, partsOf, type JobOutput, type JobPart } from './job-output.ts'
import type {
  DiskReading,
  GatewayReading,
  LinkReading,
  OwnNetwork,
  PathReading,
  PeerMeasurement,
  PortReading,
  PortState,
  WebAnswer,
} from './measurements.ts'
import { bytesOfHex } from './messages.ts'
import { readPings } from './read-ping.ts'
import { noAnswer, unresolved } from './reasons.ts'

/** What a job printed, or why it printed nothing. */
export type Answer = { readonly output: JobOutput } | { readonly trouble: string }

function partsWith(answer: Answer, source: string): Fact<readonly JobPart[]> {
  if ('trouble' in answer) return unread(answer.trouble, source)
  if (answer.output.end === 'skipped') return unread('the time was up before it was measured', source)
  return read(partsOf(answer.output), source)
}

function missingOf(parts: readonly JobPart[], source: string): Fact<never> | undefined {
  const missing = parts.find((part) => part.missing !== undefined)?.missing
  return missing === undefined ? undefined : unread(`there is no program ${missing} on the node`, source)
}

const cut = 'the node did not say the whole of it'
const isCut = (answer: Answer) => 'output' in answer && answer.output.end === 'cut'

export function readOwn(answer: Answer): Fact<OwnNetwork> {
  const source = '/sys/class/net, /proc/sys/net/ipv4/ip_default_ttl'
  const parts = partsWith(answer, source)
  if (parts.kind === 'unread') return parts
  const words = parts.value.flatMap((part) => part.words)
  const interfaces = words.flatMap(({ word, rest: [name = '', mac = '', mtu = ''] }) =>
    word === 'interface' && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/u.test(mac) && /^\d{1,6}$/u.test(mtu)
      ? [{ name, mac, mtu: Number(mtu) }]
      : [],
  )
  if (interfaces.length === 0 || isCut(answer)) return unread('it does not tell its interfaces', source)
  const ttl = words.find(({ word }) => word === 'ttl')?.rest[0] ?? ''
  return read({ interfaces, timeToLive: /^\d{1,3}$/u.test(ttl) ? Number(ttl) : undefined }, source)
}

/** Ping, path MTU and neighbour entry. */
export function readPeer(answer: Answer, address: string): Pick<PeerMeasurement, 'ping' | 'path' | 'link'> {
  const pingSource = `ping -c 5 -i 0.2 ${address}`
  const pathSource = `ping -M do -s … ${address}`
  const linkSource = `/proc/net/arp, ip route get ${address}`
  const parts = partsWith(answer, pingSource)
  if (parts.kind === 'unread') {
    return {
      ping: parts,
      path: unread(parts.reason, pathSource),
      link: unread(parts.reason, linkSource),
    }
  }
  const missing = missingOf(parts.value, pingSource)
  const ping =
    missing ??
    readPings(
      parts.value.filter(({ name }) => name === 'ping' || name === 'more'),
      pingSource,
    )
  return {
    ping: ping.kind === 'unread' && isCut(answer) && missing === undefined ? unread(cut, pingSource) : ping,
    path: readPath(parts.value, ping.kind === 'read' ? ping.value.received > 0 : undefined, pathSource),
    link: readLink(parts.value, linkSource),
  }
}

function readPath(
  parts: readonly JobPart[],
  isReached: boolean | undefined,
  source: string,
): Fact<PathReading> {
  if (isReached === undefined) return unread('ping does not work on the node', source)
  if (!isReached) return unread('nothing answers a small ping', source)
  const tried = parts.filter(({ name }) => name === 'path')
  if (tried.length === 0) return unread(cut, source)
  const sizes: { bytes: number; passes: boolean }[] = []
  for (const { rest, text, status } of tried) {
    const bytes = Number(rest[0])
    if (/(nvalid|nrecognized) option/u.test(text)) {
      return unread('the ping of the node cannot forbid that packets are cut', source)
    }
    if (status === undefined || !Number.isInteger(bytes)) return unread(cut, source)
    sizes.push({ bytes, passes: status === 0 && /\b[1-9]\d* (packets )?received/u.test(text) })
  }
  const passing = parts
    .flatMap((part) => part.words)
    .flatMap(({ word, rest }) => (word === 'passes' ? rest.slice(0, 1).map(Number) : []))
    .filter(Number.isInteger)
  const all = [...sizes.filter(({ passes }) => passes).map(({ bytes }) => bytes), ...passing]
  return read({ sizes, largest: all.length === 0 ? undefined : Math.max(...all) }, source)
}

function neighbourOf(parts: readonly JobPart[]): { isTold: boolean; mac?: string; interface?: string } {
  const words = parts.flatMap((part) => part.words)
  const isTold = words.some(({ word }) => word === 'end-of')
  for (const { word, rest } of words) {
    const [mac = '', device = '', flags = ''] = rest
    // Flag 2: somebody answered (ATF_COM). Without it the address is being asked for, or nobody answered.
    const isAnswered = (parseInt(flags, 16) & 2) !== 0 && mac !== '00:00:00:00:00:00'
    if (word === 'neighbour' && isAnswered && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/u.test(mac)) {
      return { isTold, mac, interface: device }
    }
  }
  return { isTold }
}

function readLink(parts: readonly JobPart[], source: string): Fact<LinkReading> {
  const { isTold, ...neighbour } = neighbourOf(parts)
  if (!isTold) return unread('the node did not tell its neighbours', source)
  const way = parts.flatMap((part) => part.words).find(({ word }) => word === 'way')?.rest ?? []
  const via = way[way.indexOf('via') + 1]
  return read({ ...neighbour, ...(way.includes('via') && via !== undefined ? { via } : {}) }, source)
}

export function readPorts(
  answer: Answer,
  address: string,
  ports: readonly number[],
): Fact<readonly PortReading[]> {
  const source = `TCP to ${address}`
  const parts = partsWith(answer, source)
  if (parts.kind === 'unread') return parts
  const missing = missingOf(parts.value, source)
  if (missing !== undefined) return missing
  const told = new Map(
    parts.value
      .flatMap((part) => part.words)
      .flatMap(({ word, rest: [port = '', code = '', ...text] }) =>
        word === 'port' ? [[Number(port), { code: Number(code), text: text.join(' ') }] as const] : [],
      ),
  )
  return read(
    ports.map((port) => {
      const one = told.get(port)
      if (one === undefined) return { port, state: 'unknown' as const, detail: cut }
      const state = portState(one.code, one.text)
      return state === 'unknown' ? { port, state, detail: printableStart(one.text, 80) } : { port, state }
    }),
    source,
  )
}

/** How bash, nc or Python ended that connected. */
export function portState(code: number, text: string): PortState {
  if (code === 0) return 'open'
  if (/refused/iu.test(text)) return 'refused'
  if (isTimeoutCode(code) || /timed? ?out/iu.test(text)) return 'silent'
  if (/no route|unreachable|prohibited/iu.test(text)) return 'unreachable'
  return 'unknown'
}

export function readGateway(answer: Answer): Fact<GatewayReading | undefined> {
  const source = 'ping and /proc/net/arp'
  const parts = partsWith(answer, source)
  if (parts.kind === 'unread') return parts
  const own = parts.value.find(({ name }) => name === 'gateway')
  const address = own?.rest[0] ?? ''
  if (own === undefined) return unread(cut, source)
  if (address === '') return read(undefined, source)
  const { isTold, mac } = neighbourOf(parts.value)
  if (!isTold) return unread(cut, source)
  const ping = readPings([own], `ping ${address}`)
  return read({ address, ping, ...(mac === undefined ? {} : { mac }) }, `ping ${address}, /proc/net/arp`)
}

/** The datagram that came back. */
export function readDatagram(answer: Answer, source: string): Fact<Uint8Array> {
  const parts = partsWith(answer, source)
  if (parts.kind === 'unread') return parts
  const missing = missingOf(parts.value, source)
  if (missing !== undefined) return missing
  if (isCut(answer)) return unread(cut, source)
  const text = parts.value.map((part) => part.text).join('\n')
  const bytes = bytesOfHex(text)
  if (bytes !== undefined) return read(bytes, source)
  const said = printableStart(text, 160)
  if (said === '') return unread(noAnswer, source)
  if (/resol|not known|No address|getaddrinfo/iu.test(said)) return unread(unresolved, source)
  if (/refused|unreachable|no route|timed out|timeout/iu.test(said)) return unread(noAnswer, source)
  return unread(`the node says: ${said}`, source)
}
export function readLookup(answer: Answer, name: string): Fact<readonly string[]> {
  const source = `getent ahostsv4 ${name}`
  const parts = partsWith(answer, source)
  if (parts.kind === 'unread') return parts
  const missing = missingOf(parts.value, source)
  if (missing !== undefined) return missing
  const [part] = parts.value
  // 2: not found (getent(1)).
  if (part?.status === 2) return read([], source)
  if (part?.status !== 0) return unread('getent did not end in time, or failed', source)
  const found = [...part.text.matchAll(/^(\d{1,3}(?:\.\d{1,3}){3})\s/gmu)].map(([, address = '']) => address)
  return read([...new Set(found)].sort(), source)
}

export function readWeb(answer: Answer, url: string): Fact<WebAnswer> {
  const source = `GET ${url}`
  const parts = partsWith(answer, source)
  if (parts.kind === 'unread') return parts
  const missing = missingOf(parts.value, source)
  if (missing !== undefined) return missing
  const part = parts.value.find(({ name }) => name === 'curl' || name === 'wget')
  if (part?.status === undefined) return unread(cut, source)
  const status =
    part.name === 'curl'
      ? /^http=([1-5]\d\d)$/mu.exec(part.text)?.[1]
      : /HTTP\/[\d.]+ ([1-5]\d\d)\b/u.exec(part.text)?.[1]
  if (status !== undefined) return read({ kind: 'status', status: Number(status) }, source)
  // 60: the certificate cannot be verified (curl(1)).
  if (/certificate/iu.test(part.text) || (part.name === 'curl' && part.status === 60)) {
    return read({ kind: 'untrusted' }, source)
  }
  if (isTimeoutCode(part.status)) return read({ kind: 'failed', reason: 'no answer in time' }, source)
  const lastLine =
    part.text.split('\n').findLast((line) => line.trim() !== '' && !line.startsWith('http=')) ?? ''
  return read({ kind: 'failed', reason: printableStart(lastLine, 120) }, source)
}

export function readDisk(answer: Answer): Fact<DiskReading> {
  const source = 'fio --rw=write --ioengine=sync --fdatasync=1 --bs=2300, else dd oflag=dsync bs=2300'
  const parts = partsWith(answer, source)
  if (parts.kind === 'unread') return parts
  const missing = missingOf(parts.value, source)
  if (missing !== undefined) return missing
  if (parts.value.some(({ name }) => name === 'noroom')) {
    return unread(
      'there is no folder that may be written to with 100 MiB of room (/usr/local, /var/tmp)',
      source,
    )
  }
  const fio = parts.value.filter(({ name, text }) => name === 'fio' && text !== '')
  if (fio.length > 0) {
    const folder = fio[0]?.rest[0] ?? ''
    const rounds = fio.map(({ text }) => fioResult(text))
    const good = rounds.filter((round) => round !== undefined)
    if (good.length === 0) return unread('fio ended without a result', source)
    return read(
      {
        tool: 'fio',
        folder,
        writes: good.reduce((total, { writes }) => total + writes, 0),
        percentile99: Math.max(...good.map(({ percentile99 }) => percentile99)),
      },
      `fio --rw=write --ioengine=sync --fdatasync=1 --bs=2300 --size=22m in ${folder}`,
    )
  }
  const dd = parts.value.find(({ name }) => name === 'dd')
  if (dd === undefined) return unread(cut, source)
  const times = dd.words.flatMap(({ word, rest: [code, ...text] }) => {
    const seconds = /copied, ([\d.e+-]+) s/u.exec(text.join(' '))?.[1]
    return word === 'write' && code === '0' && seconds !== undefined ? [Number(seconds) * 1000] : []
  })
  if (times.length < leastWrites) {
    return unread(
      `dd on the node told the time of ${times.length} writes only; ${leastWrites} are needed`,
      source,
    )
  }
  const folder = dd.rest[0] ?? ''
  return read(
    { tool: 'dd', folder, writes: times.length, percentile99: percentile(times, 0.99) },
    `dd oflag=dsync bs=2300, ${times.length} times in ${folder}`,
  )
}

/** Fewer say nothing about the slowest. 20 s of 150 ms each: such a disk is slow beyond doubt. */
const leastWrites = 20

function fioResult(text: string): { writes: number; percentile99: number } | undefined {
  const start = text.indexOf('{')
  if (start === -1) return undefined
  let document: unknown
  try {
    document = JSON.parse(text.slice(start, text.lastIndexOf('}') + 1))
  } catch {
    return undefined
  }
  const jobs = field(document, 'jobs')
  const sync = field(Array.isArray(jobs) ? (jobs[0] as unknown) : undefined, 'sync')
  const latency = field(sync, 'lat_ns')
  const nanoseconds = field(field(latency, 'percentile'), '99.000000')
  const writes = field(latency, 'N') ?? field(sync, 'total_ios')
  if (typeof nanoseconds !== 'number') return undefined
  return { writes: typeof writes === 'number' ? writes : 0, percentile99: nanoseconds / 1e6 }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((first, second) => first - second)
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? NaN
}

export function readDhcp(answer: Answer): Fact<readonly string[]> {
  const source = 'nmap --script broadcast-dhcp-discover'
  const parts = partsWith(answer, source)
  if (parts.kind === 'unread') return parts
  const missing = missingOf(parts.value, source)
  if (missing !== undefined) return missing
  const [part] = parts.value
  if (part?.status !== 0) return unread(`nmap says: ${printableStart(part?.text ?? '', 80)}`, source)
  if (/requires root|not running for|dnet: Failed|ERROR/iu.test(part.text)) {
    return unread('nmap may not ask without root', source)
  }
  const found = [...part.text.matchAll(/Server Identifier: (\d{1,3}(?:\.\d{1,3}){3})/gu)].map(
    ([, one = '']) => one,
  )
  return read([...new Set(found)].sort(), source)
}
