import type { CheckId, Finding } from '../../shared/checks/index.ts'
import type { Plan, PlanNode } from '../../shared/plan/index.ts'

/**
 * Whether the plan sets, on the given nodes, what a check looks at. Names of hosts are always set: the plan has one for
 * every node.
 */
const isSetBy: Partial<Record<CheckId, (plan: Plan, nodes: readonly PlanNode[]) => boolean>> = {
  'host.name-unique': () => true,
  'net.same-subnet': (_plan, nodes) => nodes.every(({ nic }) => nic.mode === 'static'),
  'net.default-route': (_plan, nodes) => nodes.every(({ nic }) => nic.mode !== 'keep'),
  'net.mtu-equal': (_plan, nodes) => nodes.every(({ nic }) => nic.mtu !== null),
  'net.mtu-path': (_plan, nodes) => nodes.every(({ nic }) => nic.mtu !== null),
  'ntp.synced': (plan, nodes) => nodes.every((node) => (node.ntp ?? plan.site.ntp).length > 0),
  'clock.skew': (plan, nodes) => nodes.every((node) => (node.ntp ?? plan.site.ntp).length > 0),
}

/**
 * Findings as they weigh before the nodes are configured: what the plan is going to set cannot block beforehand. It is
 * looked at again before the cluster is asked for, and blocks then.
 */
export function beforeConfiguration(plan: Plan, findings: readonly Finding[]): Finding[] {
  return findings.map((finding) => {
    const { id, target, state, remedy } = finding
    if (state === 'pass' || isSetBy[id]?.(plan, nodesOf(plan, target)) !== true) return finding
    return {
      ...finding,
      severity: 'warn',
      remedy:
        `Landfall sets this as the plan says, and looks again before the cluster is asked for. ${remedy}`.trim(),
    }
  })
}

/** `n1`, `n1 → n2`; everything else is about all of them. */
function nodesOf(plan: Plan, target: string): readonly PlanNode[] {
  const named = target.split(' → ')
  const found = plan.nodes.filter(({ name }) => named.includes(name))
  return found.length > 0 ? found : plan.nodes
}
