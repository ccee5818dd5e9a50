import { formatAddress, networkSize, parseNetwork } from './ipv4.ts'

export interface PlanTemplateOptions {
  /** Name of the site; also of the cluster. Default `site-1`. */
  name?: string
  /** CIDR. Default `10.10.200.0/24`. */
  network?: string
  /** An address, or `auto`. Default: the 100th address of the network, or its last. */
  vip?: string
  /** Addresses at which the nodes answer; the first becomes the leader. Default: three of the network. */
  nodes?: readonly string[]
  /** Default gateway; left out when not given. */
  gateway?: string
  /** Default `ops@example.com`. */
  email?: string
}

/**
 * A plan to start from, with a comment at every decision. It is valid when the options are; the caller reads it back
 * with `readPlan` before writing it, because options come from a command line.
 */
export function planTemplate(options: PlanTemplateOptions = {}): string {
  const { name = 'site-1', network = '10.10.200.0/24', email = 'ops@example.com' } = options
  const parsed = parseNetwork(network)
  const nth = (offset: number): string =>
    parsed === undefined
      ? '10.10.200.100'
      : formatAddress(parsed.first + Math.min(offset, networkSize(parsed) - 2))
  const vip = options.vip ?? nth(100)
  const nodes = options.nodes ?? [nth(11), nth(12), nth(13)]
  const replicas = nodes.length >= 3 ? 3 : 1

  return `# Plan of a Palette installation. Everything is decided here once; secrets never stand here.
# "landfall plan lint FILE" checks it, "landfall plan show FILE" shows it with all defaults.
version: 1

site:
  # Label in screens and reports: lower-case letters, digits, "-".
  name: ${scalar(name)}
  # The layer 2 network of the nodes and the VIP.
  network: ${scalar(network)}
${
  options.gateway === undefined
    ? '  # Needed when a node gets a static address (nodes[].nic).\n  # gateway: 10.10.200.1'
    : `  gateway: ${scalar(options.gateway)}`
}
  # A free address of the network, outside of every DHCP range, or auto: Landfall finds one. Palette will answer on it.
  vip: ${scalar(vip)}
  # false: do not let the nodes take the VIP for some seconds beforehand to prove that it works.
  # vipProof: true
  # Name servers and time servers of the nodes.
  # dns: { primary: 10.10.200.2, alternate: null, searchDomain: null }
  ntp: []

appliance:
  # The ISO the nodes are booted from, and the SHA-256 that the vendor publishes for it.
  # iso: ./palette.iso
  # sha256: …
  # Generation of the procedure: auto (ask the nodes), A, B, C or D.
  variant: auto
  # Generation D only: the signed content bundle.
  # content: { bundle: ./palette-appliance.tar.zst, signature: ./palette-appliance.tar.zst.sig.bin }
  # Pack bundles (.zst) to upload at the end.
  packs: []

access:
  # Account of the nodes, for SSH and their Local UI.
  user: kairos
  # product-default: the documented first password. Otherwise { env: … }, { prompt: … } or { vault: … }.
  initialPassword: product-default
  # Made by Landfall on first use and kept in the vault.
  newPassword: { generate: node }

# name: in every screen and message; address: where the node answers now; leader: exactly one.
nodes:
${nodes
  .map(
    (address, index) =>
      `  - name: n${index + 1}\n    address: ${scalar(address)}${index === 0 ? '\n    leader: true' : ''}`,
  )
  .join('\n')}

cluster:
  # Cannot be changed later.
  name: palette
  # Must not overlap each other, the node network or anything else at the site. Cannot be changed later.
  podCidr: 100.64.0.0/18
  serviceCidr: 100.64.64.0/18
  # Second disk, the same path on every node. ITS CONTENT IS DESTROYED.
  storagePoolDrive: /dev/sdb
  # 1, or 3 when at least three nodes run workloads.
  mongoReplicas: ${replicas}
  registry:
    # true: internal registry. false: external, then "endpoint" and "port" too.
    inCluster: true
    password: { generate: registry }
    # Appliances of generation A need a certificate: made by Landfall. Newer ones make their own.
    generate: true

console:
  # Address of the system administrator.
  email: ${scalar(email)}
  initialPassword: product-default
  newPassword: { generate: console }
`
}

/** Plain where that is safe, JSON (which is YAML) otherwise. */
function scalar(text: string): string {
  return /^[A-Za-z0-9][A-Za-z0-9.@/_-]*$/.test(text) &&
    !/^(true|false|null|~|[\d.]+|0[xo].*|\d.*e\d+)$/i.test(text)
    ? text
    : isDottedAddress(text)
      ? text
      : JSON.stringify(text)
}

function isDottedAddress(text: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(text)
}
