import { readMeasureScript, tellingSizes, type Job } from '../../../checks/measure/script.ts'
import { isIpv4 } from '../../hardware.ts'
import { inputOf } from '../input.ts'
import type { CommandCall } from '../shell.ts'
import { neighbourFile } from './neighbour-file.ts'
import { linkTo } from './ping.ts'

/**
 * What a node of the lab prints to the product's script that measures, job by job as the script runs them. Whatever the lab
 * has a command for is told by that command. `undefined`: it is another script.
 */
export async function measureReport(call: CommandCall, script: string): Promise<number | undefined> {
  const read = readMeasureScript(script)
  if (read === undefined) return undefined
  const { mark, jobs } = read
  await call.out(`\n${mark} start\n`)
  const report = async (job: Job, index: number) => {
    const frames = await framesOf(call, job)
    await call.out([...frames, 'end'].map((frame) => `${mark} ${index} ${frame}\n`).join(''))
  }
  const count = 48
  for (let first = 0; first < jobs.length; first += count) {
    await Promise.all(jobs.slice(first, first + count).map((job, index) => report(job, first + index)))
  }
  await call.out(`${mark} complete\n`)
  return 0
}

async function framesOf(call: CommandCall, job: Job): Promise<string[]> {
  switch (job.kind) {
    case 'own': {
      const { nic } = call.node
      return ['interface lo 00:00:00:00:00:00 65536', `interface ${nic.name} ${nic.mac} ${nic.mtu}`, 'ttl 64']
    }
    case 'peer':
      return await peer(call, job.address)
    case 'ports':
      return await Promise.all(job.ports.map((port) => tcp(call, job.address, port)))
    case 'gateway':
      return [
        `part gateway ${call.node.nic.gateway}`,
        ...(await grab(call, 'ping', '-n', '-c', '2', '-i', '0.2', '-W', '1', call.node.nic.gateway)).frames,
        ...neighbours(call, call.node.nic.gateway),
      ]
    case 'datagram':
      return await datagram(call, job)
    case 'lookup':
      return lookup(call, job.name)
    case 'web':
      // The lab plays the registry of the plan; it asks who is there.
      return ['part curl', '| http=401', 'status 0']
    case 'disk':
      return disk(call)
    case 'dhcp':
      return ['missing nmap']
  }
}

interface Grabbed {
  readonly frames: string[]
  readonly text: string
  readonly code: number
}

async function grab(call: CommandCall, ...words: string[]): Promise<Grabbed> {
  let text = ''
  const write = (data: string | Buffer) => void (text += data.toString())
  const code = await call.run(words, call.user, {
    stdin: inputOf(Buffer.alloc(0)),
    time: call.time.copy(),
    out: write,
    err: write,
  })
  const lines = text.replace(/\n+$/, '').split('\n')
  return { frames: [...lines.map((line) => `| ${line}`), `status ${code}`], text, code }
}

async function peer(call: CommandCall, address: string): Promise<string[]> {
  const { nic } = call.node
  const { isRouted, lossPercent } = linkTo(call, address)
  const pings = async (size: number) => {
    const words = ['ping', '-n', '-M', 'do', '-c', lossPercent > 0 ? '6' : '3', '-i', '0.2', '-W', '1']
    return await grab(call, ...words, '-s', String(size - 28), address)
  }
  const isDirect = !isRouted && call.services.segment.isOnLink(call.node, address)
  const frames = [
    `way ${address} ${isDirect ? '' : `via ${nic.gateway} `}dev ${nic.name} src ${nic.address} uid 0`,
  ]
  const first = await grab(call, 'ping', '-n', '-c', '5', '-i', '0.2', '-W', '2', address)
  frames.push(
    'part ping',
    ...first.frames,
    ...(isRouted ? ['part neighbours', 'end-of neighbours'] : neighbours(call, address)),
  )
  if (first.code !== 0) return frames
  if (!first.text.includes(' 0% packet loss')) {
    const more = await grab(call, 'ping', '-n', '-c', '15', '-i', '0.2', '-W', '1', address)
    frames.push('part more', ...more.frames)
  }
  let least = nic.mtu + 1
  for (const bytes of nic.mtu > 1500 ? [nic.mtu, 1500] : [nic.mtu]) {
    const tried = await pings(bytes)
    frames.push(`part path ${bytes}`, ...tried.frames)
    if (tried.code !== 0) least = bytes
  }
  if (least > nic.mtu) return frames
  const found = await Promise.all(
    tellingSizes
      .filter((bytes) => bytes < least)
      .map(async (bytes) => ((await pings(bytes)).code === 0 ? [`passes ${bytes}`] : [])),
  )
  return [...frames, ...found.flat(), 'part searched']
}

function neighbours(call: CommandCall, address: string): string[] {
  const row = neighbourFile(call)
    .split('\n')
    .map((line) => line.split(/\s+/))
    .find(([first]) => first === address)
  const [, , flags = '', mac = '', , device = ''] = row ?? []
  return [
    'part neighbours',
    ...(row === undefined ? [] : [`neighbour ${mac} ${device} ${flags}`]),
    'end-of neighbours',
  ]
}

/** In the words of bash. */
async function tcp(call: CommandCall, address: string, port: number): Promise<string> {
  const { segment, isOpen } = call.services
  const isService = isPlannedService(call, address, port)
  const isBlocked = linkTo(call, address).blockedPorts.includes(port)
  if (!isBlocked && (isService || isOpen(address, port))) return `port ${port} 0`
  if (!isBlocked && segment.isReachable(call.node, address)) {
    return `port ${port} 1 ${address}: connect: Connection refused`
  }
  await call.time.copy().sleep(3000)
  return `port ${port} 124`
}

/** Proxy and external registry, which the lab plays for whoever has them in the plan. */
function isPlannedService({ services: { plan } }: CommandCall, address: string, port: number): boolean {
  const { registry } = plan.cluster
  const { proxy } = plan.site
  const isProxy = [proxy?.http, proxy?.https].some((url) => {
    if (url === null || url === undefined) return false
    const { hostname, port: own, protocol } = new URL(url)
    return hostname === address && Number(own === '' ? (protocol === 'https:' ? 443 : 80) : own) === port
  })
  return isProxy || (!registry.inCluster && registry.endpoint === address && registry.port === port)
}

async function datagram(
  call: CommandCall,
  { host, port, payload }: Extract<Job, { kind: 'datagram' }>,
): Promise<string[]> {
  const { network } = call.services
  const answer =
    port === 53 && !network.deadDns.includes(host)
      ? dnsAnswer(call, payload)
      : port === 123 && !network.deadNtp.includes(host)
        ? ntpAnswer()
        : undefined
  if (answer === undefined) await call.time.copy().sleep(4000)
  const text = answer === undefined ? '' : Buffer.from(answer).toString('hex')
  return [`| ${text}`, 'status 0']
}

/** RFC 1035: the question comes back with what is known about it. */
function dnsAnswer(call: CommandCall, question: Uint8Array): number[] {
  const labels: string[] = []
  let place = 12
  for (let length = question[place] ?? 0; length > 0; length = question[place] ?? 0) {
    labels.push(String.fromCharCode(...question.subarray(place + 1, place + 1 + length)))
    place += 1 + length
  }
  const name = labels.join('.')
  const address = addressOf(call, name)
  const { searchDomain } = call.node.plan.dns ?? call.services.plan.site.dns
  const isKnown = address !== undefined || name === searchDomain || name === 'localhost'
  const record =
    address === undefined ? [] : [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split('.').map(Number)]
  const head = [question[0] ?? 0, question[1] ?? 0, 0x85, isKnown ? 0x80 : 0x83]
  return [...head, 0, 1, 0, record.length === 0 ? 0 : 1, 0, 0, 0, 0, ...question.subarray(12), ...record]
}

/** Address of the registry, which is outside of the lab (RFC 5737). */
const registryAddress = '192.0.2.10'

function addressOf({ node, services: { plan, network } }: CommandCall, name: string): string | undefined {
  const { registry } = plan.cluster
  if (name === registry.rootDomain && plan.site.vip !== 'auto') return plan.site.vip
  if (!registry.inCluster && name === registry.endpoint) return registryAddress
  const { searchDomain } = node.plan.dns ?? plan.site.dns
  const isUnder = searchDomain !== null && name.endsWith(`.${searchDomain}`)
  return network.hasWildcardDns && isUnder ? registryAddress : undefined
}

function lookup(call: CommandCall, name: string): string[] {
  const address = isIpv4(name) ? name : addressOf(call, name)
  return address === undefined ? ['status 2'] : [`| ${address}       STREAM ${name}`, 'status 0']
}

/** RFC 4330: version 4, mode server, stratum 2. */
function ntpAnswer(): number[] {
  return [0x24, 2, ...new Array<number>(46).fill(0)]
}

function disk({ services: { network } }: CommandCall): string[] {
  const count = 150
  const writes = Array.from({ length: count }, (_, index) => {
    // The slowest in a hundred decide.
    const milliseconds = index % 50 === 0 ? network.diskMilliseconds : network.diskMilliseconds / 2
    return `write 0 2300 bytes (2.3 kB, 2.2 KiB) copied, ${(milliseconds / 1000).toFixed(6)} s, 1.5 MB/s`
  })
  return ['part dd /usr/local', ...writes, `written ${count}`]
}
