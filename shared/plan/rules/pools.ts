import { distance } from 'fastest-levenshtein'
import type { PlanPath } from '../problem.ts'
import { VARIANT_FACTS } from '../variants.ts'
import { error, repeated, warning, type Finding, type RuleContext } from './rule.ts'

interface Member {
  node: string
  path: PlanPath
  pool: 'controlPlane' | 'worker'
}

interface Membership {
  members: Member[]
  /** Names in the control plane pool, given or by default. */
  controlPlane: string[]
  worker: string[]
  nodeNames: string[]
}

const CONTROL_PLANE = ['cluster', 'pools', 'controlPlane'] as const
const WORKER = ['cluster', 'pools', 'worker'] as const

/** Who is in which pool; `undefined` when nodes or pools did not parse well enough to say. */
function membership({ plan, isGiven }: RuleContext): Membership | undefined {
  const nodeNames = (plan.nodes ?? []).flatMap((node) => (node?.name === undefined ? [] : [node.name]))
  const pools = plan.cluster?.pools
  if (nodeNames.length !== plan.nodes?.length || pools?.controlPlane === undefined) return undefined
  if (pools.worker === undefined) return undefined
  const listed = (
    pool: 'controlPlane' | 'worker',
    hosts: ({ node?: string | undefined } | undefined)[],
  ): Member[] =>
    hosts.flatMap((host, index) =>
      host?.node === undefined
        ? []
        : [{ node: host.node, pool, path: ['cluster', 'pools', pool, 'hosts', index, 'node'] }],
    )
  const workers = listed('worker', pools.worker?.hosts ?? [])
  const isExplicit = isGiven([...CONTROL_PLANE, 'hosts'])
  const explicit = listed('controlPlane', pools.controlPlane.hosts ?? [])
  const workerNames = new Set(workers.map(({ node }) => node))
  return {
    members: [...explicit, ...workers],
    controlPlane: isExplicit
      ? [...new Set(explicit.map(({ node }) => node))].filter((name) => nodeNames.includes(name))
      : nodeNames.filter((name) => !workerNames.has(name)),
    worker: [...workerNames].filter((name) => nodeNames.includes(name)),
    nodeNames,
  }
}

export function checkPoolMembers(context: RuleContext): Finding[] {
  const known = membership(context)
  if (known === undefined) return []
  const { members, controlPlane, nodeNames } = known
  const findings: Finding[] = []
  for (const { node, path } of members) {
    if (nodeNames.includes(node)) continue
    const nearest = nodeNames.toSorted((a, b) => distance(a, node) - distance(b, node))[0]
    findings.push(
      error(
        'pool.known-node',
        path,
        `No node of the plan is called "${node}".`,
        `Write one of ${nodeNames.join(', ')}${nearest === undefined ? '' : ` ("${nearest}" is the nearest)`}.`,
      ),
    )
  }
  for (const { item, first } of repeated(members, ({ node }) => node)) {
    findings.push(
      error(
        'pool.min-one',
        item.path,
        `Node ${item.node} is in ${item.pool === first.pool ? 'this pool twice' : 'both pools'}.`,
        'A node belongs to exactly one pool: remove one of the two entries.',
      ),
    )
  }
  const placed = new Set([...members.map(({ node }) => node), ...controlPlane])
  nodeNames.forEach((name, index) => {
    if (placed.has(name)) return
    findings.push(
      error(
        'pool.min-one',
        ['nodes', index, 'name'],
        `Node ${name} is in no pool.`,
        'Add it to the hosts of a pool, or remove it from the plan.',
      ),
    )
  })
  if (controlPlane.length === 0 && nodeNames.length > 0 && findings.length === 0) {
    findings.push(
      error(
        'pool.min-one',
        ['cluster', 'pools'],
        'The control plane pool has no node: all nodes are workers.',
        'Leave one or three nodes out of the worker pool.',
      ),
    )
  }
  const leaders = (context.plan.nodes ?? []).flatMap((node, index) =>
    node?.leader === true && node.name !== undefined ? [{ name: node.name, index }] : [],
  )
  for (const { name, index } of leaders) {
    if (controlPlane.includes(name) || !placed.has(name)) continue
    findings.push(
      error(
        'pool.leader-in-control-plane',
        ['nodes', index, 'leader'],
        `The leader ${name} is not in the control plane pool.`,
        'Make a node of the control plane the leader: the appliance fixes the leader there.',
      ),
    )
  }
  const pools = context.plan.cluster?.pools
  if (pools?.worker?.name !== undefined && pools.worker.name === pools.controlPlane?.name) {
    findings.push(
      error(
        'pool.name-unique',
        [...WORKER, 'name'],
        `Both pools are called "${pools.worker.name}".`,
        'Give each pool its own name, for example control-plane-pool and worker-pool.',
      ),
    )
  }
  return findings
}

export function checkControlPlaneSize(context: RuleContext): Finding[] {
  const known = membership(context)
  if (known === undefined || known.controlPlane.length === 0) return []
  const count = known.controlPlane.length
  const path = context.isGiven([...CONTROL_PLANE, 'hosts']) ? [...CONTROL_PLANE, 'hosts'] : ['nodes']
  const findings: Finding[] = []
  if (count % 2 === 0) {
    findings.push(
      error(
        'pool.cp-odd',
        path,
        `The control plane has ${count} nodes; etcd needs an odd number to hold a majority.`,
        'Use 1, 3 or 5 nodes; the others can be in a worker pool.',
      ),
    )
  } else if (count === 1) {
    findings.push(
      warning(
        'pool.cp-odd',
        path,
        'The control plane has one node: when it fails, the cluster is gone.',
        'Use three nodes for high availability.',
      ),
    )
  }
  const variant = context.plan.appliance?.variant
  if (variant !== undefined && variant !== 'auto') {
    const { minimumNodes } = VARIANT_FACTS[variant]
    if (known.nodeNames.length < minimumNodes) {
      findings.push(
        warning(
          'node.count',
          ['nodes'],
          `The plan has ${known.nodeNames.length} nodes; the procedure of variant ${variant} asks for at least ${minimumNodes}.`,
          `Add nodes, or go on knowing that fewer than ${minimumNodes} are not described for this appliance.`,
        ),
      )
    }
  }
  return findings
}

/** True when taints keep ordinary workloads away. */
function isTainted(taints: readonly ({ effect?: string | undefined } | undefined)[] | undefined): boolean {
  return (taints ?? []).some((taint) => taint?.effect === 'NoSchedule' || taint?.effect === 'NoExecute')
}

export function checkScheduling(context: RuleContext): Finding[] {
  const pools = context.plan.cluster?.pools
  const known = membership(context)
  if (pools?.controlPlane === undefined || known === undefined) return []
  const { controlPlane, worker } = pools
  const findings: Finding[] = []
  if (worker === null && controlPlane.allowWorkerCapability === false) {
    findings.push(
      error(
        'pool.worker-capability',
        [...CONTROL_PLANE, 'allowWorkerCapability'],
        'There is no worker pool, and the control plane may not run workloads: Palette would have nowhere to run.',
        'Write allowWorkerCapability: true, or add cluster.pools.worker.',
      ),
    )
  }
  const canControlPlane = controlPlane.allowWorkerCapability !== false && !isTainted(controlPlane.taints)
  const canWorker = worker != null && !isTainted(worker.taints)
  if (!canControlPlane && !canWorker && findings.length === 0) {
    findings.push(
      error(
        'pool.taint-lockout',
        worker == null ? [...CONTROL_PLANE, 'taints'] : [...WORKER, 'taints'],
        'The taints leave no pool on which Palette can be scheduled.',
        'Remove the NoSchedule and NoExecute taints of at least one pool.',
      ),
    )
  }
  for (const [path, pool] of [
    [CONTROL_PLANE, controlPlane],
    [WORKER, worker],
  ] as const) {
    const taints = (pool?.taints ?? []).map((taint, index) => ({ taint, index }))
    for (const { item } of repeated(taints, ({ taint }) =>
      taint?.key === undefined || taint.effect === undefined ? undefined : `${taint.key}:${taint.effect}`,
    )) {
      findings.push(
        error(
          'pool.labels/taints',
          [...path, 'taints', item.index],
          `The taint ${item.taint?.key ?? ''}:${item.taint?.effect ?? ''} stands twice.`,
          'Remove one of them.',
        ),
      )
    }
  }
  if (worker?.architecture !== undefined && worker.architecture !== controlPlane.architecture) {
    findings.push(
      warning(
        'pool.architecture',
        [...WORKER, 'architecture'],
        'The pools have different architectures; one ISO holds the images of one.',
        'Give both pools the architecture of the ISO.',
      ),
    )
  }
  const schedulable =
    (canControlPlane ? known.controlPlane.length : 0) + (canWorker ? known.worker.length : 0)
  return [...findings, ...checkReplicas(context, schedulable)]
}

function checkReplicas({ plan }: RuleContext, schedulable: number): Finding[] {
  const replicas = plan.cluster?.mongoReplicas
  if (replicas === undefined) return []
  const path = ['cluster', 'mongoReplicas']
  const findings: Finding[] = []
  if (replicas !== 1 && replicas !== 3) {
    findings.push(
      error(
        'mongo.replicas',
        path,
        `mongoReplicas is ${replicas}; the appliance takes 1 or 3.`,
        'Write 1 or 3.',
      ),
    )
  } else if (replicas > schedulable && schedulable > 0) {
    findings.push(
      error(
        'mongo.replicas',
        path,
        `mongoReplicas is ${replicas}, but only ${schedulable} ${schedulable === 1 ? 'node' : 'nodes'} can run workloads.`,
        'Write mongoReplicas: 1, or add nodes that can run workloads.',
      ),
    )
  } else if (replicas === 1 && schedulable >= 3) {
    findings.push(
      warning(
        'mongo.replicas',
        path,
        `mongoReplicas is 1 although ${schedulable} nodes can run workloads: one failing node can take the data with it.`,
        'Write mongoReplicas: 3.',
      ),
    )
  }
  const placement = plan.cluster?.csiPlacementCount
  if (placement !== undefined && placement !== replicas) {
    findings.push(
      error(
        'mongo.replicas',
        ['cluster', 'csiPlacementCount'],
        `csiPlacementCount is ${placement} and mongoReplicas is ${replicas}; they must be equal.`,
        `Write csiPlacementCount: ${replicas}, or remove it: equal is the default.`,
      ),
    )
  }
  const variant = plan.appliance?.variant
  if (placement !== undefined && variant !== undefined && variant !== 'auto') {
    if (VARIANT_FACTS[variant].csiPlacementCount === null) {
      findings.push(
        warning(
          'mongo.replicas',
          ['cluster', 'csiPlacementCount'],
          `The form of variant ${variant} has no CSI placement count; the value will not be used.`,
          'Remove csiPlacementCount.',
        ),
      )
    }
  }
  return findings
}
