import {
  containsAddress,
  formatAddress,
  formatNetwork,
  isHostAddress,
  networkSize,
  overlaps,
  parseAddress,
  parseNetwork,
  prefixOfMask,
  type Ipv4Network,
} from '../ipv4.ts'
import type { PlanPath } from '../problem.ts'
import { error, repeated, warning, type Finding, type RuleContext } from './rule.ts'

/** Networks in which no host of a site can live (RFC 6890). */
const UNUSABLE = [
  ['0.0.0.0/8', '"this network"'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
] as const

/** An address that the plan gives to something. */
interface AddressUse {
  path: PlanPath
  address: number
  /** For messages: "the VIP", "the address of node n1". */
  owner: string
  /** Uses of the same kind by the same owner may be equal. */
  group: string
}

/** `site.network` as it is meant, host bits removed; `undefined` when it did not parse. */
export function siteNetwork({ plan }: RuleContext): Ipv4Network | undefined {
  return plan.site?.network === undefined ? undefined : parseNetwork(plan.site.network)
}

export function checkSiteNetwork(context: RuleContext): Finding[] {
  const network = siteNetwork(context)
  if (network === undefined) return []
  const path = ['site', 'network']
  const findings: Finding[] = []
  if (network.hasHostBits) {
    findings.push(
      error(
        'net.network-address',
        path,
        `site.network is ${context.plan.site?.network ?? ''}, which is an address inside a network, not the network.`,
        `Write ${formatNetwork(network)}.`,
      ),
    )
  }
  const unusable = UNUSABLE.find(([range]) => {
    const parsed = parseNetwork(range)
    return parsed !== undefined && overlaps(parsed, network)
  })
  if (unusable !== undefined) {
    findings.push(
      error(
        'net.ip-usable',
        path,
        `site.network lies in ${unusable[0]}, the ${unusable[1]} range, where no host can live.`,
        'Write the network that the nodes are really in, as "ip address" on a node shows it.',
      ),
    )
  }
  const needed = (context.plan.nodes?.length ?? 0) + 1
  const usable = Math.max(0, networkSize(network) - 2)
  if (usable < needed) {
    findings.push(
      error(
        'vip.subnet-room',
        path,
        `site.network ${formatNetwork(network)} has room for ${usable} hosts; ${needed} are needed: every node and the VIP.`,
        'Write the real, larger network of the nodes.',
      ),
    )
  } else if (network.prefix < 16) {
    findings.push(
      warning(
        'net.same-subnet',
        path,
        `site.network ${formatNetwork(network)} has ${networkSize(network)} addresses; that is hardly one layer 2 network.`,
        'Check the prefix length: nodes and VIP must be in one layer 2 network, because the VIP is announced by ARP.',
      ),
    )
  }
  return findings
}

/** Addresses must lie in the node network and be usable there. */
export function checkAddressesInNetwork(context: RuleContext): Finding[] {
  const network = siteNetwork(context)
  if (network === undefined) return []
  const { plan } = context
  const findings: Finding[] = []
  const check = (
    code: string,
    path: PlanPath,
    text: string | null | undefined,
    what: string,
    isSoft = false,
  ): void => {
    const address = text == null ? undefined : parseAddress(text)
    if (address === undefined || isHostAddress(network, address)) return
    const range = formatNetwork(network)
    if (!containsAddress(network, address)) {
      findings.push(
        (isSoft ? warning : error)(
          code,
          path,
          `${what} ${formatAddress(address)} is outside of the node network ${range}.`,
          isSoft
            ? 'Check that the node is in the same layer 2 network nevertheless; Landfall moves it to its static address.'
            : `Write an address from ${formatAddress(network.first + 1)} to ${formatAddress(network.last - 1)}, or correct site.network.`,
        ),
      )
      return
    }
    const special = address === network.first ? 'network' : 'broadcast'
    findings.push(
      error(
        code.startsWith('vip.') ? 'vip.not-special' : 'net.ip-usable',
        path,
        `${what} ${formatAddress(address)} is the ${special} address of ${range}; no host can have it.`,
        `Write an address from ${formatAddress(network.first + 1)} to ${formatAddress(network.last - 1)}.`,
      ),
    )
  }
  check('vip.in-subnet', ['site', 'vip'], plan.site?.vip, 'The VIP')
  check('net.ip-in-subnet', ['site', 'gateway'], plan.site?.gateway, 'The gateway')
  plan.nodes?.forEach((node, index) => {
    if (node === undefined) return
    const name = node.name ?? `number ${index + 1}`
    check(
      'net.same-subnet',
      ['nodes', index, 'address'],
      node.address,
      `The address of node ${name},`,
      node.nic?.mode === 'static',
    )
    check(
      'net.ip-in-subnet',
      ['nodes', index, 'nic', 'address'],
      node.nic?.address,
      `The planned address of node ${name},`,
    )
    check(
      'net.ip-in-subnet',
      ['nodes', index, 'nic', 'gateway'],
      node.nic?.gateway,
      `The gateway of node ${name},`,
    )
  })
  return findings
}

/** No two things may have one address; a name server may be the gateway. */
export function checkAddressesDistinct({ plan }: RuleContext): Finding[] {
  const uses: AddressUse[] = []
  const add = (path: PlanPath, text: string | null | undefined, owner: string, group: string): void => {
    const address = text == null ? undefined : parseAddress(text)
    if (address !== undefined) uses.push({ path, address, owner, group })
  }
  plan.nodes?.forEach((node, index) => {
    if (node === undefined) return
    const name = node.name ?? `number ${index + 1}`
    add(['nodes', index, 'address'], node.address, `the address of node ${name}`, `node ${index}`)
    add(
      ['nodes', index, 'nic', 'address'],
      node.nic?.address,
      `the planned address of node ${name}`,
      `node ${index}`,
    )
  })
  add(['site', 'vip'], plan.site?.vip, 'the VIP', 'vip')
  const infrastructure: AddressUse[] = []
  const addInfrastructure = (path: PlanPath, text: string | null | undefined, owner: string): void => {
    const address = text == null ? undefined : parseAddress(text)
    if (address !== undefined) infrastructure.push({ path, address, owner, group: 'infrastructure' })
  }
  addInfrastructure(['site', 'gateway'], plan.site?.gateway, 'the gateway')
  addInfrastructure(['site', 'dns', 'primary'], plan.site?.dns?.primary, 'the primary name server')
  addInfrastructure(['site', 'dns', 'alternate'], plan.site?.dns?.alternate, 'the alternate name server')
  plan.site?.ntp?.forEach((server, index) => {
    addInfrastructure(['site', 'ntp', index], server, 'a time server')
  })
  plan.nodes?.forEach((node, index) => {
    const name = node?.name ?? `number ${index + 1}`
    addInfrastructure(['nodes', index, 'nic', 'gateway'], node?.nic?.gateway, `the gateway of node ${name}`)
    addInfrastructure(['nodes', index, 'dns', 'primary'], node?.dns?.primary, `a name server of node ${name}`)
    addInfrastructure(
      ['nodes', index, 'dns', 'alternate'],
      node?.dns?.alternate,
      `a name server of node ${name}`,
    )
  })

  const clash = (use: AddressUse, other: AddressUse): Finding => {
    const isVip = use.group === 'vip' || other.group === 'vip'
    return error(
      isVip ? 'vip.not-special' : 'net.ip-unique',
      use.path,
      `${capital(use.owner)} ${formatAddress(use.address)} is also ${other.owner}.`,
      isVip
        ? 'Give the VIP an address of the node network that nothing else has.'
        : 'Give each of them its own address.',
    )
  }
  const own = uses.flatMap((use, index) => {
    const other = uses
      .slice(0, index)
      .find((earlier) => earlier.address === use.address && earlier.group !== use.group)
    return other === undefined ? [] : [clash(use, other)]
  })
  const withInfrastructure = uses.flatMap((use) => {
    const other = infrastructure.find((candidate) => candidate.address === use.address)
    return other === undefined ? [] : [clash(use, other)]
  })
  return [...own, ...withInfrastructure]
}

/** An address can be looked for in what one look covers only. */
export function checkVip(context: RuleContext): Finding[] {
  const network = siteNetwork(context)
  if (context.plan.site?.vip !== 'auto' || network === undefined || network.prefix >= 16) return []
  return [
    error(
      'vip.auto-range',
      ['site', 'vip'],
      `vip: auto looks through networks of /16 and smaller; site.network ${formatNetwork(network)} is larger.`,
      'Write the real network of the nodes, or a free address as vip.',
    ),
  ]
}

/** What a node's interface needs, by its mode. */
export function checkInterfaces(context: RuleContext): Finding[] {
  const { plan } = context
  const network = siteNetwork(context)
  return (plan.nodes ?? []).flatMap((node, index) => {
    const nic = node?.nic
    if (node === undefined || nic?.mode === undefined) return []
    const path = ['nodes', index, 'nic'] as const
    const name = node.name ?? `number ${index + 1}`
    const findings: Finding[] = []
    const unused = (keys: readonly (keyof typeof nic)[], instead: string): void => {
      for (const key of keys) {
        if (nic[key] == null || !context.isGiven([...path, key])) continue
        findings.push(
          error(
            'net.nic-mode',
            [...path, key],
            `nic.${key} of node ${name} would have no effect, because nic.mode is ${nic.mode ?? 'keep'}.`,
            `Write mode: ${instead}, or remove "${key}".`,
          ),
        )
      }
    }
    if (nic.mode === 'keep')
      unused(['address', 'mask', 'gateway', 'mtu', 'vlan'], 'static (or dhcp for mtu and vlan)')
    if (nic.mode === 'dhcp') unused(['address', 'mask', 'gateway'], 'static')
    if (nic.mode === 'static') {
      if (nic.address === null) {
        findings.push(
          error(
            'net.static-complete',
            [...path, 'address'],
            `Node ${name} has nic.mode static but no nic.address.`,
            `Write nic.address${node.address === undefined ? '' : `, for example ${node.address}`}, or mode: keep.`,
          ),
        )
      }
      if (nic.gateway === null && plan.site?.gateway === null && !context.isGiven(['site', 'gateway'])) {
        findings.push(
          error(
            'net.static-complete',
            [...path, 'gateway'],
            `Node ${name} has nic.mode static but there is no gateway, neither its own nor the site's.`,
            'Write site.gateway (for all nodes) or nic.gateway.',
          ),
        )
      }
      if (node.dns === null && plan.site?.dns?.primary === null && !context.isGiven(['site', 'dns'])) {
        findings.push(
          warning(
            'net.static-complete',
            [...path, 'mode'],
            `Node ${name} gets a static address and no name server; names will not resolve on it.`,
            'Write site.dns.primary, or go on when the site has no DNS.',
          ),
        )
      }
      if (plan.cluster?.overlay != null) {
        findings.push(
          warning(
            'net.overlay-static',
            [...path, 'mode'],
            `Node ${name} gets a static address although the cluster uses an overlay network; the vendor advises against it.`,
            'Write mode: keep or dhcp, or remove cluster.overlay.',
          ),
        )
      }
    }
    const prefix = typeof nic.mask === 'string' ? prefixOfMask(nic.mask) : nic.mask
    if (typeof nic.mask === 'string' && prefix === undefined) {
      findings.push(
        error(
          'net.mask',
          [...path, 'mask'],
          `nic.mask of node ${name} is not a mask: its ones are not contiguous.`,
          'Write a mask such as 255.255.255.0, or the prefix length, such as 24.',
        ),
      )
    } else if (prefix != null && network !== undefined && prefix !== network.prefix) {
      findings.push(
        error(
          'net.mask',
          [...path, 'mask'],
          `nic.mask of node ${name} is /${prefix}, but site.network is ${formatNetwork(network)}.`,
          `Write ${network.prefix}, or remove "mask": the default is that of site.network.`,
        ),
      )
    }
    return findings
  })
}

export function checkMtu({ plan }: RuleContext): Finding[] {
  const given = (plan.nodes ?? []).flatMap((node, index) =>
    node === undefined ? [] : [{ index, name: node.name, mtu: node.nic?.mtu }],
  )
  const first = given.find((entry) => entry.mtu != null)
  if (first === undefined) return []
  return given
    .filter((entry) => entry.mtu !== undefined && entry.mtu !== first.mtu)
    .map((entry) =>
      warning(
        'net.mtu-range',
        ['nodes', entry.index, 'nic', 'mtu'],
        `Node ${entry.name ?? `number ${entry.index + 1}`} has ${entry.mtu == null ? 'no MTU' : `MTU ${entry.mtu}`} in the plan, node ${first.name ?? `number ${first.index + 1}`} has ${first.mtu ?? 'none'}; large packets will be lost between them when they really differ.`,
        'Give all nodes the same MTU.',
      ),
    )
}

export function checkNameServers(context: RuleContext): Finding[] {
  const places: {
    path: PlanPath
    dns: { primary?: string | null | undefined; alternate?: string | null | undefined }
  }[] = []
  if (context.plan.site?.dns !== undefined) places.push({ path: ['site', 'dns'], dns: context.plan.site.dns })
  context.plan.nodes?.forEach((node, index) => {
    if (node?.dns != null) places.push({ path: ['nodes', index, 'dns'], dns: node.dns })
  })
  return places.flatMap(({ path, dns }) => {
    if (dns.alternate == null || dns.primary === undefined) return []
    if (dns.primary === null) {
      return [
        error(
          'dns.primary-first',
          [...path, 'alternate'],
          'There is an alternate name server but no primary one.',
          'Write it as "primary".',
        ),
      ]
    }
    return dns.primary === dns.alternate
      ? [
          warning(
            'dns.primary-first',
            [...path, 'alternate'],
            'Primary and alternate name server are the same.',
            'Write another server, or remove "alternate".',
          ),
        ]
      : []
  })
}

export function checkTimeServers({ plan, isGiven }: RuleContext): Finding[] {
  const servers = [plan.site?.ntp, plan.cluster?.ntp].flatMap((list) => list ?? [])
  const findings = repeated(
    (plan.site?.ntp ?? []).map((server, index) => ({ server, index })),
    (entry) => entry.server,
  ).map(({ item }) =>
    warning(
      'ntp.servers',
      ['site', 'ntp', item.index],
      `Time server ${item.server ?? ''} stands twice.`,
      'Remove one.',
    ),
  )
  const isNoneGiven =
    servers.length === 0 && (plan.nodes ?? []).every((node) => (node?.ntp ?? []).length === 0)
  if (isNoneGiven && plan.site?.ntp !== undefined) {
    findings.push(
      warning(
        'ntp.servers',
        isGiven(['site', 'ntp']) ? ['site', 'ntp'] : ['site'],
        'No time server is given; etcd and certificates need clocks that agree.',
        'Write site.ntp, or make sure that all nodes have the same time and keep it.',
      ),
    )
  }
  return findings
}

export function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`
}
