import { error, repeated, warning, type Finding, type RuleContext } from './rule.ts'

interface NamedNode {
  index: number
  /** As in the plan; its position when the name did not parse. */
  name: string
}

function nodesOf({ plan }: RuleContext) {
  return (plan.nodes ?? []).flatMap((node, index) =>
    node === undefined ? [] : [{ node, index, name: node.name ?? `number ${index + 1}` }],
  )
}

export function checkNodeNames(context: RuleContext): Finding[] {
  return repeated(nodesOf(context), ({ node }) => node.name).map(({ item, first }) =>
    error(
      'node.name-unique',
      ['nodes', item.index, 'name'],
      `Two nodes are called "${item.name}" (nodes[${first.index}] is the other).`,
      'Give each node its own name; screens and messages use it.',
    ),
  )
}

/** A typed name is the consent to destroy data: another name than the node's own is a slip. */
export function checkEraseConfirmations(context: RuleContext): Finding[] {
  return nodesOf(context).flatMap(({ node, index, name }) =>
    node.confirmErase == null || node.confirmErase === node.name
      ? []
      : [
          error(
            'node.confirm-erase',
            ['nodes', index, 'confirmErase'],
            `The confirmation names "${node.confirmErase}", but this is node ${name}.`,
            `Write "confirmErase: ${name}" only if the data on its storage pool drive may be destroyed; else leave it out.`,
          ),
        ],
  )
}

export function checkLeader(context: RuleContext): Finding[] {
  const nodes = nodesOf(context)
  if (nodes.length === 0 || nodes.length !== context.plan.nodes?.length) return []
  const leaders = nodes.filter(({ node }) => node.leader === true)
  if (leaders.length === 0) {
    // A leader that did not parse may be meant.
    if (nodes.some(({ node }) => node.leader === undefined)) return []
    return [
      error(
        'node.one-leader',
        ['nodes'],
        'No node is the leader.',
        `Write "leader: true" at exactly one node of the control plane, for example at ${nodes[0]?.name ?? 'the first'}.`,
      ),
    ]
  }
  return leaders
    .slice(1)
    .map(({ index, name }) =>
      error(
        'node.one-leader',
        ['nodes', index, 'leader'],
        `Node ${name} is a second leader; ${leaders[0]?.name ?? 'another node'} is one already.`,
        'Keep "leader: true" at one node only: it hands out the link tokens.',
      ),
    )
}

/** RFC 1123 names as the nodes and the cluster will see them. */
export function checkHostNames(context: RuleContext): Finding[] {
  const { plan } = context
  const nodes = nodesOf(context).map(({ node, index, name }) => ({
    index,
    name,
    hostName: node.hostName ?? node.name,
    path: node.hostName == null ? ['nodes', index, 'name'] : ['nodes', index, 'hostName'],
  }))
  const findings = repeated(nodes, ({ hostName }) => hostName)
    // The same name twice is a finding of its own.
    .filter(({ item, first }) => item.name !== first.name)
    .map(({ item, first }) =>
      error(
        'host.name-unique',
        item.path,
        `Node ${item.name} would have the host name "${item.hostName ?? ''}", which node ${first.name} has too.`,
        'Give each node its own host name.',
      ),
    )
  const byNode = new Map(nodes.map(({ name, hostName }) => [name, hostName]))
  const pools = [
    { path: ['cluster', 'pools', 'controlPlane', 'hosts'], hosts: plan.cluster?.pools?.controlPlane?.hosts },
    { path: ['cluster', 'pools', 'worker', 'hosts'], hosts: plan.cluster?.pools?.worker?.hosts },
  ].flatMap(({ path, hosts }) =>
    (hosts ?? []).map((host, index) => ({
      path: [...path, index, 'hostName'],
      node: host?.node,
      own: host?.hostName,
      hostName: host?.hostName ?? byNode.get(host?.node ?? ''),
    })),
  )
  findings.push(
    ...repeated(pools, ({ hostName }) => hostName)
      .filter(({ item, first }) => item.node !== first.node && (item.own != null || first.own != null))
      .map(({ item, first }) =>
        error(
          'host.name-unique',
          item.path,
          `Host ${item.node ?? ''} would have the name "${item.hostName ?? ''}" in the cluster, which host ${first.node ?? ''} has too.`,
          'Give each host its own hostName, or remove both.',
        ),
      ),
  )
  for (const { hostName, path } of [...nodes, ...pools]) {
    if (!hostName?.startsWith('localhost')) continue
    findings.push(
      error(
        'host.name-valid',
        path,
        `"${hostName}" is the name that every machine gives itself.`,
        'Choose another host name.',
      ),
    )
  }
  return findings
}

export function checkExpectations(context: RuleContext): Finding[] {
  const nodes = nodesOf(context)
  const twice = (key: 'mac' | 'edgeHostId', code: string, what: string): Finding[] =>
    repeated(nodes, ({ node }) => node.expect?.[key] ?? undefined).map(({ item, first }) =>
      error(
        code,
        ['nodes', item.index, 'expect', key],
        `Nodes ${first.name} and ${item.name} are expected to have the same ${what}.`,
        `Read the ${what} at the machine and correct one of them.`,
      ),
    )
  const unreal = nodes.flatMap(({ node, index, name }) => {
    const mac = node.expect?.mac
    const isGroup = mac != null && (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1
    if (mac == null || (!isGroup && mac !== '00:00:00:00:00:00')) return []
    return [
      error(
        'node.mac-unicast',
        ['nodes', index, 'expect', 'mac'],
        `${mac} of node ${name} is ${isGroup ? 'a group address' : 'the empty address'}; no interface has it.`,
        'Write the MAC address of the interface, as "ip link" on the node shows it.',
      ),
    ]
  })
  return [
    ...twice('mac', 'node.mac-unique', 'MAC address'),
    ...twice('edgeHostId', 'node.edge-host-unique', 'Edge host identifier'),
    ...unreal,
  ]
}

/** Nodes whose ports would make the installer talk to itself. */
export function checkNodePorts(context: RuleContext): Finding[] {
  return nodesOf(context).flatMap(({ node, index, name }: NamedNode & ReturnType<typeof nodesOf>[number]) =>
    node.ssh?.port !== undefined && node.ssh.port === node.localUi?.port
      ? [
          warning(
            'net.ports-node',
            ['nodes', index, 'localUi', 'port'],
            `SSH and Local UI of node ${name} have the same port ${node.ssh.port}.`,
            'Correct one of them; the usual ports are 22 and 5080.',
          ),
        ]
      : [],
  )
}
