import { getServers } from 'node:dns'
import { networkInterfaces } from 'node:os'
import { AppError } from '../../../shared/errors/index.ts'
import { parseAddress, parseNetwork } from '../../../shared/plan/ipv4.ts'
import { printableStart } from '../printable.ts'
import type { ProgramRunner } from '../programs/program-runner.ts'
import {
  gatewaysOfIpRoute,
  gatewaysOfNetstat,
  gatewaysOfProcRoute,
  gatewaysOfRoutePrint,
  interfacesOfIpAddr,
  interfacesOfNode,
  isLoopback,
  nameServersOfResolvConf,
  nameServersOfResolvectl,
  routeOfIpRouteGet,
  type RouteVerdict,
} from './vantage-output.ts'
import type { VantageFacts, VantageInterface } from './vantage.ts'

/** Real time for one look at a table of the operating system. */
const deadlineSeconds = 15

/**
 * Interfaces, gateways and name servers of a Linux place, by `ip -j` (iproute2 4.13 or later) and the resolver's
 * configuration.
 *
 * @throws AppError `VANTAGE_UNREADABLE` when `ip` is not there or does not answer in JSON; errors of the runner.
 */
export async function readVantageFacts(runner: ProgramRunner, signal: AbortSignal): Promise<VantageFacts> {
  const [interfaces, routes, nameServers] = await Promise.all([
    readInterfaces(runner, signal),
    read(runner, 'ip', ['-j', 'route'], signal),
    linuxNameServers(runner, signal),
  ])
  const gateways = routes.isRead ? gatewaysOfIpRoute(routes.text) : undefined
  if (gateways === undefined) throw unreadable(runner, 'ip -j route', routes)
  return { interfaces, gateways, nameServers }
}

async function readInterfaces(runner: ProgramRunner, signal: AbortSignal): Promise<VantageInterface[]> {
  const addresses = await read(runner, 'ip', ['-j', 'addr'], signal)
  const interfaces = addresses.isRead ? interfacesOfIpAddr(addresses.text) : undefined
  if (interfaces === undefined) throw unreadable(runner, 'ip -j addr', addresses)
  return interfaces
}

/**
 * All IPv4 addresses of a Linux place, with one command.
 *
 * @throws AppError `VANTAGE_UNREADABLE` as `readVantageFacts`; errors of the runner.
 */
export async function readOwnAddresses(runner: ProgramRunner, signal: AbortSignal): Promise<string[]> {
  const interfaces = await readInterfaces(runner, signal)
  return interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address))
}

/** What Node knows of this workstation without asking a program. */
interface WorkstationSystem {
  readonly networkInterfaces: typeof networkInterfaces
  readonly nameServers: () => string[]
}

const nodeSystem: WorkstationSystem = { networkInterfaces, nameServers: getServers }

/**
 * The same of this workstation, on any platform. `os.networkInterfaces()` lists no interface that is down; only on
 * Linux with `ip` can one that is down be told from one that is not there.
 *
 * @throws AppError `VANTAGE_UNREADABLE` when the table of routes cannot be read.
 */
export async function workstationFacts(
  runner: ProgramRunner,
  signal: AbortSignal,
  system: WorkstationSystem = nodeSystem,
): Promise<VantageFacts> {
  if (runner.platform === 'linux') {
    try {
      return await readVantageFacts(runner, signal)
    } catch (error) {
      // A small system without iproute2 still has the tables of Node and of the kernel.
      if (!(error instanceof AppError) || error.code !== 'VANTAGE_UNREADABLE') throw error
    }
  }
  const { program, args, gatewaysOf } = routeTable(runner.platform)
  const routes = await read(runner, program, args, signal)
  const gateways = routes.isRead ? gatewaysOf(routes.text) : undefined
  if (gateways === undefined) throw unreadable(runner, [program, ...args].join(' '), routes)
  return {
    interfaces: interfacesOfNode(system.networkInterfaces()),
    gateways,
    nameServers: unique(
      system
        .nameServers()
        .map((server) => server.replace(/:\d+$/u, ''))
        .filter((server) => parseAddress(server) !== undefined && !isLoopback(server)),
    ),
  }
}

function routeTable(platform: NodeJS.Platform): {
  program: string
  args: string[]
  gatewaysOf: (text: string) => string[] | undefined
} {
  if (platform === 'win32')
    return { program: 'route', args: ['print', '-4'], gatewaysOf: gatewaysOfRoutePrint }
  if (platform === 'linux') {
    return { program: 'cat', args: ['/proc/net/route'], gatewaysOf: gatewaysOfProcRoute }
  }
  return { program: 'netstat', args: ['-rn', '-f', 'inet'], gatewaysOf: gatewaysOfNetstat }
}

/**
 * By which way a Linux place would send to an address (`ip -j route get`). An interface may cover an address while a
 * more specific route leads through a gateway: the operating system then asks for the gateway's MAC, and what its
 * neighbour table says about the address means nothing.
 */
export async function routeCheck(
  runner: ProgramRunner,
  address: string,
  signal: AbortSignal,
): Promise<RouteVerdict> {
  const result = await runner.run('ip', ['-j', 'route', 'get', address], { signal, deadlineSeconds })
  switch (result.kind) {
    case 'ended':
      return routeOfIpRouteGet(result)
    case 'missing':
      return { kind: 'unknown', reason: 'there is no program ip' }
    case 'not-permitted':
      return { kind: 'unknown', reason: result.reason }
    case 'killed':
      return { kind: 'unknown', reason: 'ip did not end in time' }
  }
}

/** How an interface stands to a range of addresses. */
export type Attachment =
  /** Its network holds the whole range. `address` and `prefix` are its own. */
  | {
      readonly kind: 'attached' | 'partly'
      readonly interface: string
      readonly address: string
      readonly prefix: number
    }
  | { readonly kind: 'not-attached' }
  /** Only for an interface that was asked for. `known`: all names that there are. */
  | {
      readonly kind: 'interface-down' | 'no-such-interface'
      readonly name: string
      readonly known: readonly string[]
    }

/**
 * Which interface of a vantage is on the network of a range (`first` and `last` as unsigned numbers, both included):
 * the one with the narrowest network that holds all of it, else the one that holds most (`partly`). Interfaces without a MAC
 * address (tunnels, loopback) hear no ARP and do not count; neither does an address of its own without a network (/32).
 */
export function attachmentOf(
  facts: VantageFacts,
  range: { readonly first: number; readonly last: number },
  interfaceName?: string,
): Attachment {
  const known = facts.interfaces.map(({ name }) => name)
  const named = facts.interfaces.find(({ name }) => name === interfaceName)
  if (interfaceName !== undefined) {
    if (named === undefined) return { kind: 'no-such-interface', name: interfaceName, known }
    if (!named.isUp) return { kind: 'interface-down', name: interfaceName, known }
  }
  const candidates = (named === undefined ? facts.interfaces : [named])
    .flatMap((nic) => networksOf(nic))
    .map((one) => ({
      ...one,
      covered: Math.min(one.last, range.last) - Math.max(one.first, range.first) + 1,
    }))
    .filter(({ covered }) => covered > 0)
    // Stable: of equals, the first in the system's order.
    .sort((a, b) => b.covered - a.covered || b.prefix - a.prefix)
  const [best] = candidates
  if (best === undefined) return { kind: 'not-attached' }
  return {
    kind: best.covered === range.last - range.first + 1 ? 'attached' : 'partly',
    interface: best.name,
    address: best.address,
    prefix: best.prefix,
  }
}

function networksOf(nic: VantageInterface) {
  if (!nic.isUp || nic.mac === undefined) return []
  return nic.addresses.flatMap(({ address, prefix }) => {
    const network = parseNetwork(`${address}/${prefix}`)
    if (network === undefined || prefix === 32 || isLoopback(address)) return []
    return [{ name: nic.name, address, prefix, first: network.first, last: network.last }]
  })
}

/** systemd-resolved puts its own address into resolv.conf; behind it stand the servers of the interfaces. */
async function linuxNameServers(runner: ProgramRunner, signal: AbortSignal): Promise<string[]> {
  const configuration = await read(runner, 'cat', ['/etc/resolv.conf'], signal)
  // Without the file there is no name server: the resolver's default is the host itself (resolv.conf(5)).
  const servers = configuration.isRead ? nameServersOfResolvConf(configuration.text) : []
  const real = servers.filter((server) => !isLoopback(server))
  if (real.length > 0 || servers.length === 0) return unique(real)
  const resolved = await read(runner, 'resolvectl', ['dns'], signal)
  if (resolved.isRead) return unique(nameServersOfResolvectl(resolved.text))
  const upstream = await read(runner, 'cat', ['/run/systemd/resolve/resolv.conf'], signal)
  return upstream.isRead
    ? unique(nameServersOfResolvConf(upstream.text).filter((server) => !isLoopback(server)))
    : []
}

type Reading =
  { readonly isRead: true; readonly text: string } | { readonly isRead: false; readonly reason: string }

async function read(
  runner: ProgramRunner,
  program: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<Reading> {
  const result = await runner.run(program, args, { signal, deadlineSeconds })
  switch (result.kind) {
    case 'ended':
      return result.exitCode === 0
        ? { isRead: true, text: result.stdout }
        : { isRead: false, reason: printableStart(result.stderr, 300) }
    case 'missing':
      return { isRead: false, reason: `There is no program ${program}.` }
    case 'not-permitted':
      return { isRead: false, reason: result.reason }
    case 'killed':
      return { isRead: false, reason: 'It did not end in time, or wrote too much.' }
  }
}

function unreadable(runner: ProgramRunner, command: string, reading: Reading): AppError {
  return new AppError({
    code: 'VANTAGE_UNREADABLE',
    title: `The network interfaces of ${runner.place} cannot be read.`,
    detail: `${command}: ${reading.isRead ? `an answer that cannot be understood: ${printableStart(reading.text)}` : reading.reason}`,
    remedies: [
      runner.platform === 'linux'
        ? `Run ${command} by hand on ${runner.place}; install iproute2 4.13 or later if it is missing.`
        : `Run ${command} by hand on ${runner.place} to see what is wrong.`,
      'Or look from another machine on that network: --via user@host.',
    ],
  })
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}
