import { z } from 'zod'
import { AppError } from '../../../shared/errors/index.ts'
import type { ProgramResult, ProgramRunner } from '../../network/programs/program-runner.ts'
import type { NetworkInterface } from '../local-api-schemas.ts'

const linksSchema = z.array(
  z.object({
    ifname: z.string(),
    /** Of a VLAN interface: the one that carries it. */
    link: z.string().optional(),
    link_type: z.string().optional(),
    address: z.string().optional(),
    mtu: z.int().optional(),
    operstate: z.string().optional(),
    master: z.string().optional(),
    linkinfo: z
      .object({
        info_kind: z.string().optional(),
        info_data: z.object({ id: z.int().optional() }).optional(),
      })
      .optional(),
    addr_info: z
      .array(
        z.object({
          family: z.string(),
          local: z.string(),
          prefixlen: z.int(),
          scope: z.string().optional(),
          dynamic: z.boolean().optional(),
          label: z.string().optional(),
        }),
      )
      .default([]),
  }),
)
const routesSchema = z.array(z.object({ gateway: z.string().optional(), dev: z.string().optional() }))

/** An interface as the operating system has it. A VLAN is told with the interface that carries it. */
export interface SystemInterface extends NetworkInterface {
  readonly name: string
  readonly searchDomains: readonly string[]
  /** Column SETUP of `networkctl list`: `configured`, `unmanaged` and others; `undefined`: there is no networkctl. */
  readonly setup: string | undefined
  /** Belongs to a bond or a bridge, or is one. */
  readonly kind: 'plain' | 'member' | 'compound'
}

/**
 * Reads the interfaces of a node by `ip`, `resolvectl` and `networkctl`, in the words of the Local API.
 *
 * @throws AppError `NETWORK_UNREADABLE`; those of the runner.
 */
export async function readInterfaces(
  runner: ProgramRunner,
  signal: AbortSignal,
): Promise<readonly SystemInterface[]> {
  const run = (program: string, ...words: string[]) =>
    runner.run(program, words, { signal, deadlineSeconds: 20 })
  const [shown, routes, dns, domains, setups] = await Promise.all([
    run('ip', '-j', '-d', 'address', 'show'),
    run('ip', '-j', 'route', 'show', 'default'),
    run('resolvectl', 'dns'),
    run('resolvectl', 'domain'),
    run('networkctl', '--no-legend', 'list'),
  ])
  const links = parsed(linksSchema, shown, runner.place, 'ip -j -d address show')
  const gateways = parsed(routesSchema, routes, runner.place, 'ip -j route show default')
  const nameservers = perLink(dns)
  const searchDomains = perLink(domains)
  const setupOf = (name: string) =>
    setups.kind === 'ended'
      ? setups.stdout
          .split('\n')
          .map((line) => line.trim().split(/\s+/))
          .find((words) => words[1] === name)?.[4]
      : undefined
  const vlanOn = (name: string) =>
    links.find((link) => link.linkinfo?.info_kind === 'vlan' && link.link === name && hasAddress(link))
  return links
    .filter((link) => link.link_type !== 'loopback' && link.linkinfo?.info_kind !== 'vlan')
    .map((link) => {
      const tagged = hasAddress(link) ? undefined : vlanOn(link.ifname)
      const carrier = tagged ?? link
      // Addresses of a proof or of a cluster have a label of their own, or the length of a single host.
      const address = carrier.addr_info.find(
        ({ family, scope, label, prefixlen }) =>
          family === 'inet' &&
          scope === 'global' &&
          prefixlen < 32 &&
          (label ?? carrier.ifname) === carrier.ifname,
      )
      const name = carrier.ifname
      const vlan = tagged?.linkinfo?.info_data?.id
      return {
        name: link.ifname,
        mac: link.address,
        type: address === undefined ? undefined : address.dynamic === true ? 'dhcp' : 'static',
        ip: address === undefined ? undefined : `${address.local}/${String(address.prefixlen)}`,
        subnet: undefined,
        gateway: gateways.find(({ dev }) => dev === name)?.gateway,
        nameservers: [...(nameservers.get(name) ?? [])],
        searchDomains: (searchDomains.get(name) ?? []).filter((one) => one !== '~.'),
        mtu: carrier.mtu,
        vlanID: vlan === undefined ? undefined : String(vlan),
        status: link.operstate?.toLowerCase(),
        configStatus: undefined,
        bondName: undefined,
        bridgeName: undefined,
        isClusterNIC: undefined,
        setup: setupOf(name),
        kind:
          link.master !== undefined
            ? ('member' as const)
            : /^(bond|bridge|team)$/.test(link.linkinfo?.info_kind ?? '')
              ? ('compound' as const)
              : ('plain' as const),
      }
    })
}

function hasAddress(link: z.output<typeof linksSchema>[number]): boolean {
  return link.addr_info.some(({ family, scope }) => family === 'inet' && scope === 'global')
}

/** `Link 2 (ens160): 10.0.0.1 10.0.0.2`; empty where resolvectl is not there or does not answer. */
function perLink(result: ProgramResult): ReadonlyMap<string, readonly string[]> {
  if (result.kind !== 'ended' || result.exitCode !== 0) return new Map()
  return new Map(
    [...result.stdout.matchAll(/^Link \d+ \(([^)]+)\):(.*)$/gm)].map(([, name = '', values = '']) => [
      name,
      values.split(/\s+/).filter((value) => value !== ''),
    ]),
  )
}

function parsed<Schema extends z.ZodType>(
  schema: Schema,
  result: ProgramResult,
  node: string,
  command: string,
): z.output<Schema> {
  const text = result.kind === 'ended' && result.exitCode === 0 ? result.stdout.trim() : undefined
  const found = text === undefined ? undefined : schema.safeParse(jsonOf(text === '' ? '[]' : text))
  if (found?.success === true) return found.data
  const said = result.kind === 'ended' ? (result.stderr || result.stdout).trim().slice(0, 200) : result.kind
  throw new AppError({
    code: 'NETWORK_UNREADABLE',
    title: `The network interfaces of ${node} could not be read.`,
    detail: `${command}: ${said}`,
    remedies: [`Run "${command}" on ${node} by hand: it must print JSON.`],
    node,
  })
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
