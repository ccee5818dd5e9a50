import type { Finding } from '../../shared/checks/index.ts'
import type { AppError } from '../../shared/errors/index.ts'
import type { PlanNode } from '../../shared/plan/index.ts'

/** Whether a node could be asked at all, and if not, why. `edgeHostId`: what it answered; `undefined`: it did not. */
export function checkReach(
  node: PlanNode,
  edgeHostId: string | undefined,
  errors: readonly AppError[],
): Finding {
  const error = errors.find((candidate) => candidate.node === node.name)
  return {
    id: 'node.connected',
    target: node.name,
    state: edgeHostId === undefined ? 'fail' : 'pass',
    measured:
      edgeHostId === undefined
        ? error === undefined
          ? 'not reached'
          : `${error.title} ${error.detail}`.trim()
        : `edge host ${edgeHostId}`,
    threshold: `Local UI on ${node.address}:${node.localUi.port}, login accepted`,
    evidence: 'GET /v1/edge-mgmt/edgehosts/current',
    remedy: error?.remedies[0] ?? 'Switch the node on and check its address and cabling.',
  }
}
