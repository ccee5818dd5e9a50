import type { CheckResult } from '../../shared/checks/index.ts'
import type { AppError } from '../../shared/errors/index.ts'
import type { PlanNode } from '../../shared/plan/index.ts'
import type { NodeFacts } from '../phases/node-facts.ts'

/** Whether a node could be asked at all, and if not, why. */
export function reachResult(
  node: PlanNode,
  facts: NodeFacts | undefined,
  errors: readonly AppError[],
): CheckResult {
  const error = errors.find((candidate) => candidate.node === node.name)
  return {
    id: 'node.connected',
    target: node.name,
    severity: 'block',
    title: 'Node answers and lets us in',
    state: facts === undefined ? 'fail' : 'pass',
    measured:
      facts === undefined
        ? error === undefined
          ? 'not reached'
          : `${error.title} ${error.detail}`.trim()
        : `edge host ${facts.uid}`,
    threshold: `Local UI on ${node.address}:${node.localUi.port}, login accepted`,
    evidence: 'GET /v1/edge-mgmt/edgehosts/current',
    remedy: error?.remedies[0] ?? 'Switch the node on and check its address and cabling.',
  }
}
