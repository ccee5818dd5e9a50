import {
  containsAddress,
  formatNetwork,
  networkSize,
  overlaps,
  parseAddress,
  parseNetwork,
  type Ipv4Network,
} from '../ipv4.ts'
import type { PlanPath } from '../problem.ts'
import { VARIANT_FACTS } from '../variants.ts'
import { capital, siteNetwork } from './addresses.ts'
import { error, warning, type Finding, type RuleContext } from './rule.ts'

/** RFC 1918 and RFC 6598. */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10']
/** Ranges that container engines and link-local addressing use on the nodes themselves. */
const LOCAL = [
  ['172.17.0.0/16', "the container engine's bridge"],
  ['169.254.0.0/16', 'link-local addresses'],
] as const

type NetworkKey = 'podCidr' | 'serviceCidr'
const NETWORKS: readonly { key: NetworkKey; name: string }[] = [
  { key: 'podCidr', name: 'the pod network' },
  { key: 'serviceCidr', name: 'the service network' },
]

/** A network that the cluster will have, or may have. */
interface Candidate {
  path: PlanPath
  name: string
  network: Ipv4Network
  /** Generation whose documented default it is; `undefined` for what the plan gives. */
  generation: 'A' | 'D' | undefined
  /** False when it depends on a variant that is not known yet. */
  isCertain: boolean
}

/** Networks that the plan gives, or that the appliance will put in their place. */
function candidates({ plan, isGiven }: RuleContext): Candidate[] {
  const variant = plan.appliance?.variant
  return NETWORKS.flatMap(({ key, name }): Candidate[] => {
    const path = ['cluster', key]
    if (isGiven(path)) {
      const network = plan.cluster?.[key] === undefined ? undefined : parseNetwork(plan.cluster[key])
      return network === undefined ? [] : [{ path, name, network, generation: undefined, isCertain: true }]
    }
    if (variant === undefined) return []
    const generations = variant === 'A' || variant === 'D' ? [variant] : (['A', 'D'] as const)
    return generations.flatMap((generation) => {
      const network = parseNetwork(VARIANT_FACTS[generation][key] ?? '')
      if (network === undefined) return []
      return [{ path, name, network, generation, isCertain: generations.length === 1 }]
    })
  })
}

export function checkClusterNetworkShape(context: RuleContext): Finding[] {
  const { plan } = context
  const nodes = plan.nodes?.length ?? 0
  const given = [
    ...NETWORKS.map(({ key, name }) => ({
      path: ['cluster', key],
      key: key,
      name,
      text: plan.cluster?.[key],
    })),
    {
      path: ['cluster', 'overlay', 'cidr'],
      key: 'overlay',
      name: 'the overlay network',
      text: plan.cluster?.overlay?.cidr,
    },
  ]
  return given.flatMap(({ path, key, name, text }) => {
    const network = text === undefined ? undefined : parseNetwork(text)
    if (network === undefined) return []
    const findings: Finding[] = []
    if (network.hasHostBits) {
      findings.push(
        error(
          `cidr.${key === 'podCidr' ? 'pod' : key === 'serviceCidr' ? 'service' : 'overlay'}`,
          path,
          `${capital(name)} ${text ?? ''} has bits set behind its prefix length.`,
          `Write ${formatNetwork(network)}.`,
        ),
      )
    }
    if (key === 'podCidr' && network.prefix > 25) {
      findings.push(
        error(
          'cidr.pod',
          path,
          `The pod network ${formatNetwork(network)} has ${networkSize(network)} addresses; at least 128 are needed.`,
          'Write a prefix length of 25 or smaller, for example 100.64.0.0/18.',
        ),
      )
    } else if (key === 'podCidr' && networkSize(network) < nodes * 256) {
      findings.push(
        warning(
          'cidr.pod',
          path,
          `The pod network ${formatNetwork(network)} has fewer than 256 addresses for each of the ${nodes} nodes.`,
          `Write a network with a prefix length of ${prefixFor(nodes * 256)} or smaller; it cannot be changed later.`,
        ),
      )
    }
    if (key === 'serviceCidr' && (network.prefix > 24 || network.prefix < 12)) {
      findings.push(
        error(
          'cidr.service',
          path,
          `The service network ${formatNetwork(network)} has ${networkSize(network)} addresses; Kubernetes takes 256 to 1048576.`,
          'Write a prefix length from 12 to 24, for example 100.64.64.0/18.',
        ),
      )
    }
    if (key === 'overlay' && networkSize(network) < nodes + 3) {
      findings.push(
        error(
          'cidr.overlay',
          path,
          `The overlay network ${formatNetwork(network)} is too small for ${nodes} nodes and the VIP.`,
          `Write a network with a prefix length of ${prefixFor(nodes + 3)} or smaller.`,
        ),
      )
    }
    return findings
  })
}

/** Longest prefix whose network has at least so many addresses. */
function prefixFor(addresses: number): number {
  return 32 - Math.ceil(Math.log2(addresses))
}

/** Node, pod, service and overlay network must not share an address. */
export function checkClusterNetworkOverlap(context: RuleContext): Finding[] {
  const { plan } = context
  const cluster = candidates(context)
  const fixed: { path: PlanPath; name: string; network: Ipv4Network }[] = []
  const site = siteNetwork(context)
  if (site !== undefined) fixed.push({ path: ['site', 'network'], name: 'the node network', network: site })
  const overlay = plan.cluster?.overlay == null ? undefined : parseNetwork(plan.cluster.overlay.cidr ?? '')
  if (overlay !== undefined) {
    fixed.push({ path: ['cluster', 'overlay', 'cidr'], name: 'the overlay network', network: overlay })
  }
  const findings: Finding[] = []
  if (site !== undefined && overlay !== undefined && overlaps(site, overlay)) {
    findings.push(
      error(
        'cidr.no-overlap',
        ['cluster', 'overlay', 'cidr'],
        `The overlay network ${formatNetwork(overlay)} overlaps the node network ${formatNetwork(site)}.`,
        'Write an overlay network that no host of the site uses.',
      ),
    )
  }
  for (const candidate of cluster) {
    const other = fixed.find(({ network }) => overlaps(network, candidate.network))
    if (other !== undefined) findings.push(overlapFinding(candidate, other))
  }
  for (const [index, candidate] of cluster.entries()) {
    const other = cluster.slice(0, index).find(
      (earlier) =>
        earlier.name !== candidate.name &&
        overlaps(earlier.network, candidate.network) &&
        // Defaults of two generations never meet on one appliance.
        (earlier.generation === undefined ||
          candidate.generation === undefined ||
          earlier.generation === candidate.generation),
    )
    if (other !== undefined) {
      findings.push(
        candidate.isCertain
          ? overlapFinding(
              {
                ...candidate,
                isCertain: other.isCertain,
                generation: candidate.generation ?? other.generation,
              },
              other,
            )
          : overlapFinding(candidate, other),
      )
    }
  }
  return findings
}

function overlapFinding(candidate: Candidate, other: { name: string; network: Ipv4Network }): Finding {
  const key = String(candidate.path.at(-1))
  const both = `${formatNetwork(candidate.network)} overlaps ${other.name} ${formatNetwork(other.network)}`
  if (candidate.isCertain) {
    return error(
      'cidr.no-overlap',
      candidate.path,
      candidate.generation === undefined
        ? `${capital(candidate.name)} ${both}.`
        : `${capital(candidate.name)} is not given, and the default of variant ${candidate.generation}, ${both}.`,
      `Write cluster.${key} with a network that nothing else at the site uses, for example ${freeExample(key, other.network)}.`,
    )
  }
  return warning(
    'cidr.no-overlap',
    candidate.path,
    `${capital(candidate.name)} depends on the appliance; the documented default of generation ${candidate.generation ?? ''}, ${both}.`,
    `Write cluster.${key} with a network that nothing else at the site uses, for example ${freeExample(key, other.network)}.`,
  )
}

/** An example that does not overlap `taken`. */
function freeExample(key: string, taken: Ipv4Network): string {
  const examples =
    key === 'podCidr'
      ? ['100.64.0.0/18', '172.20.0.0/16', '10.244.0.0/16']
      : ['100.64.64.0/18', '172.21.0.0/16', '10.245.0.0/16']
  return (
    examples.find((example) => {
      const network = parseNetwork(example)
      return network !== undefined && !overlaps(network, taken)
    }) ?? '100.64.0.0/18'
  )
}

/** Servers that nodes and pods talk to must not be hidden behind a network of the cluster. */
export function checkServersOutsideClusterNetworks(context: RuleContext): Finding[] {
  const { plan } = context
  const servers: { path: PlanPath; name: string; host: string | null | undefined }[] = [
    { path: ['site', 'gateway'], name: 'the gateway', host: plan.site?.gateway },
    { path: ['site', 'dns', 'primary'], name: 'the primary name server', host: plan.site?.dns?.primary },
    {
      path: ['site', 'dns', 'alternate'],
      name: 'the alternate name server',
      host: plan.site?.dns?.alternate,
    },
    { path: ['site', 'proxy', 'http'], name: 'the HTTP proxy', host: hostOfUrl(plan.site?.proxy?.http) },
    { path: ['site', 'proxy', 'https'], name: 'the HTTPS proxy', host: hostOfUrl(plan.site?.proxy?.https) },
    {
      path: ['cluster', 'registry', 'endpoint'],
      name: 'the registry',
      host: plan.cluster?.registry?.endpoint,
    },
    ...(plan.site?.ntp ?? []).map((host, index) => ({
      path: ['site', 'ntp', index],
      name: 'time server',
      host,
    })),
    ...(plan.cluster?.ntp ?? []).map((host, index) => ({
      path: ['cluster', 'ntp', index],
      name: 'time server',
      host,
    })),
  ]
  const site = siteNetwork(context)
  return servers.flatMap(({ path, name, host }) => {
    const address = host == null ? undefined : parseAddress(host)
    // Inside of the node network the overlap of the networks is the finding.
    if (address === undefined || (site !== undefined && containsAddress(site, address))) return []
    const hiding = candidates(context).find(({ network }) => containsAddress(network, address))
    if (hiding === undefined) return []
    const subject = `${capital(name)} ${host ?? ''} lies in ${hiding.name} ${formatNetwork(hiding.network)}`
    return [
      hiding.isCertain
        ? error(
            'cidr.no-overlap',
            path,
            `${subject}; the cluster could not reach it.`,
            `Choose another network for cluster.${String(hiding.path.at(-1))}.`,
          )
        : warning(
            'cidr.no-overlap',
            path,
            `${subject}, the documented default of generation ${hiding.generation ?? ''}; such a cluster could not reach it.`,
            `Write cluster.${String(hiding.path.at(-1))} with a network that nothing else at the site uses.`,
          ),
    ]
  })
}

export function checkClusterNetworkRange(context: RuleContext): Finding[] {
  return candidates(context)
    .filter(({ isCertain }) => isCertain)
    .flatMap(({ path, name, network, generation }) => {
      const subject = `${capital(name)} ${formatNetwork(network)}${generation === undefined ? '' : ` (the default of variant ${generation})`}`
      const isPrivate = PRIVATE.some((range) => {
        const parsed = parseNetwork(range)
        return (
          parsed !== undefined &&
          containsAddress(parsed, network.first) &&
          containsAddress(parsed, network.last)
        )
      })
      const findings: Finding[] = []
      if (!isPrivate) {
        findings.push(
          warning(
            'cidr.private',
            path,
            `${subject} is not a private range (RFC 1918, RFC 6598); these addresses belong to somebody.`,
            `Write cluster.${String(path.at(-1))}, for example ${freeExample(String(path.at(-1)), network)}.`,
          ),
        )
      }
      for (const [range, use] of LOCAL) {
        const parsed = parseNetwork(range)
        if (parsed === undefined || !overlaps(parsed, network)) continue
        findings.push(
          warning(
            'cidr.bridge',
            path,
            `${subject} overlaps ${range}, which hosts use for ${use}.`,
            `Choose another network, for example ${freeExample(String(path.at(-1)), network)}.`,
          ),
        )
      }
      return findings
    })
}

/** Host part of a URL that the schema accepted; `undefined` for anything else. */
export function hostOfUrl(url: string | null | undefined): string | undefined {
  return url == null ? undefined : /^https?:\/\/(?:[^@/]*@)?([^/:?#]+)/i.exec(url)?.[1]
}
