import type { NetworkInterfaceInfo } from 'node:os'
import { z } from 'zod'
import { formatAddress, parseAddress, parseNetwork } from '../../../shared/plan/ipv4.ts'
import { printableStart } from '../printable.ts'
import type { VantageInterface } from './vantage.ts'

/**
 * What the operating systems print about interfaces, routes and name servers, read without asking anybody. `undefined`
 * where the text is not what the program documents; everything that is not IPv4 is left out.
 */

const ipAddrSchema = z.array(
  z.looseObject({
    // Absent in the empty objects that iproute2 prints for what a filter left out.
    ifname: z.string().optional(),
    flags: z.array(z.string()).default([]),
    operstate: z.string().default('UNKNOWN'),
    link_type: z.string().default(''),
    address: z.string().optional(),
    addr_info: z
      .array(
        z.looseObject({
          family: z.string().optional(),
          local: z.string().optional(),
          prefixlen: z.number().optional(),
        }),
      )
      .default([]),
  }),
)

/** `ip -j addr`. Up means: switched on, and with a link (`LOWER_UP`). */
export function interfacesOfIpAddr(text: string): VantageInterface[] | undefined {
  const parsed = ipAddrSchema.safeParse(jsonOf(text))
  if (!parsed.success) return undefined
  return parsed.data.flatMap((one) => {
    if (one.ifname === undefined) return []
    const isUp =
      one.flags.includes('UP') && one.flags.includes('LOWER_UP') && one.operstate.toUpperCase() !== 'DOWN'
    return [
      {
        name: one.ifname,
        isUp,
        // A dummy interface has a MAC and yet never asks or answers by ARP.
        mac: one.link_type === 'ether' && !one.flags.includes('NOARP') ? macOf(one.address) : undefined,
        addresses: one.addr_info.flatMap(({ family, local = '', prefixlen: prefix = 32 }) =>
          family === 'inet' && parseNetwork(`${local}/${prefix}`) !== undefined
            ? [{ address: local, prefix }]
            : [],
        ),
      },
    ]
  })
}

/** `os.networkInterfaces()`: only interfaces that are up and have an address. */
export function interfacesOfNode(
  listed: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
): VantageInterface[] {
  return Object.entries(listed).map(([name, addresses = []]) => ({
    name,
    isUp: true,
    mac: addresses.map(({ mac }) => macOf(mac)).find((mac) => mac !== undefined),
    addresses: addresses.flatMap(({ family, address, cidr }) => {
      const prefix = Number(cidr?.split('/')[1] ?? 32)
      return family === 'IPv4' && parseNetwork(`${address}/${prefix}`) !== undefined
        ? [{ address, prefix }]
        : []
    }),
  }))
}

const routeSchema = z.looseObject({
  type: z.string().optional(),
  dst: z.string().optional(),
  gateway: z.string().optional(),
  dev: z.string().optional(),
  nexthops: z.array(z.looseObject({ gateway: z.string().optional() })).optional(),
})

/** `ip -j route`, multipath routes included. */
export function gatewaysOfIpRoute(text: string): string[] | undefined {
  // Without any route it prints nothing at all in some versions.
  const parsed = z.array(routeSchema).safeParse(text.trim() === '' ? [] : jsonOf(text))
  if (!parsed.success) return undefined
  return addressesOf(
    parsed.data.flatMap(({ gateway, nexthops = [] }) => [gateway, ...nexthops.map((hop) => hop.gateway)]),
  )
}

export type RouteVerdict =
  /** Asked for by ARP on this interface. */
  | { readonly kind: 'direct'; readonly interface: string }
  | { readonly kind: 'gateway'; readonly gateway: string; readonly interface: string }
  /** An address of the vantage itself. */
  | { readonly kind: 'own' }
  /** Unreachable, blackhole, prohibited, or broadcast. */
  | { readonly kind: 'none'; readonly reason: string }
  | { readonly kind: 'unknown'; readonly reason: string }

/** `ip -j route get ADDRESS`. */
export function routeOfIpRouteGet(result: {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}): RouteVerdict {
  if (result.exitCode !== 0) {
    const reason = printableStart(result.stderr, 200)
    // The kernel's answer to the question; anything else is trouble of the program.
    return result.stderr.includes('RTNETLINK answers')
      ? { kind: 'none', reason }
      : { kind: 'unknown', reason }
  }
  const parsed = z.array(routeSchema).safeParse(jsonOf(result.stdout))
  const route = parsed.success ? parsed.data.find((one) => one.dst !== undefined) : undefined
  if (route === undefined) return { kind: 'unknown', reason: printableStart(result.stdout) }
  if (route.type === 'local') return { kind: 'own' }
  if (route.type !== undefined && route.type !== 'unicast')
    return { kind: 'none', reason: printableStart(route.type) }
  if (route.dev === undefined) return { kind: 'unknown', reason: printableStart(result.stdout) }
  return route.gateway === undefined
    ? { kind: 'direct', interface: route.dev }
    : { kind: 'gateway', gateway: route.gateway, interface: route.dev }
}

/** `/proc/net/route`: hexadecimal numbers in the byte order of the machine, little-endian on all that Node runs on. */
export function gatewaysOfProcRoute(text: string): string[] | undefined {
  const [head, ...lines] = text.split('\n')
  if (head === undefined || !/^Iface\s+Destination\s+Gateway/u.test(head)) return undefined
  return addressesOf(
    lines.map((line) => {
      const [, , gateway = '', flags = ''] = line.trim().split(/\s+/u)
      // RTF_GATEWAY
      if (!/^[0-9A-F]{8}$/iu.test(gateway) || (parseInt(flags, 16) & 2) === 0) return undefined
      const octets = gateway.match(/../gu) ?? []
      return octets
        .reverse()
        .map((octet) => parseInt(octet, 16))
        .join('.')
    }),
  )
}

/** `netstat -rn -f inet` of macOS and the BSDs: routes with the flag G (netstat(1)). */
export function gatewaysOfNetstat(text: string): string[] | undefined {
  if (!/^Destination\s+Gateway\s+Flags/mu.test(text)) return undefined
  return addressesOf(
    text.split('\n').map((line) => {
      const [, gateway, flags = ''] = line.trim().split(/\s+/u)
      return /^[A-Za-z]*G/u.test(flags) ? gateway : undefined
    }),
  )
}

/**
 * `route print -4` of Windows. Its headings are in the language of the system, its rows are not: destination, mask,
 * gateway (a text when there is none), interface, metric; persistent routes have no interface.
 */
export function gatewaysOfRoutePrint(text: string): string[] | undefined {
  const rows = text.split(/\r?\n/u).map((line) => line.trim().split(/\s+/u))
  const isRow = (row: readonly string[]) =>
    row.slice(0, 2).every((field) => parseAddress(field) !== undefined)
  const routes = rows.filter((row) => row.length >= 4 && isRow(row))
  return routes.length === 0 ? undefined : addressesOf(routes.map(([, , gateway]) => gateway))
}

/** resolv.conf(5); loopback addresses included. */
export function nameServersOfResolvConf(text: string): string[] {
  return addressesOf(text.split('\n').map((line) => /^nameserver\s+(\S+)/u.exec(line)?.[1]))
}

/** `resolvectl dns`: a line for each link, IPv4 and IPv6 mixed, maybe with port and server name (`10.0.0.1:53#name`). */
export function nameServersOfResolvectl(text: string): string[] {
  const words = text.split('\n').flatMap((line) => line.replace(/^.*?:(\s|$)/u, '').split(/\s+/u))
  return addressesOf(words.map((word) => word.replace(/[:#%].*$/u, ''))).filter(
    (address) => !isLoopback(address),
  )
}

export function isLoopback(address: string): boolean {
  return address.startsWith('127.')
}

/** IPv4 addresses of a list, each once; `0.0.0.0` stands for "none". */
function addressesOf(texts: readonly (string | undefined)[]): string[] {
  const numbers = texts.flatMap((text) => {
    const address = text === undefined ? undefined : parseAddress(text)
    return address === undefined || address === 0 ? [] : [address]
  })
  return [...new Set(numbers)].map(formatAddress)
}

function macOf(text: string | undefined): string | undefined {
  const mac = text?.toLowerCase().replaceAll('-', ':')
  return mac !== undefined && /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/u.test(mac) && mac !== '00:00:00:00:00:00'
    ? mac
    : undefined
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
