import type { Finding } from '../../shared/checks/index.ts'
import type { PlanNode } from '../../shared/plan/index.ts'

/** Whether a connection from this workstation came about; `error`: what the system said. */
export interface PortAnswer {
  readonly port: number
  readonly what: 'Local UI' | 'SSH'
  readonly error: string | undefined
}

/** Whether this workstation reaches what it works with on a node (checks.md, net.ports-operator). */
export function checkOperatorPorts(node: PlanNode, address: string, answers: readonly PortAnswer[]): Finding {
  const closed = answers.filter(({ error }) => error !== undefined)
  return {
    id: 'net.ports-operator',
    target: node.name,
    state: closed.length === 0 ? 'pass' : 'fail',
    measured: answers.map(({ port, what, error }) => `${what} (${port}): ${error ?? 'open'}`).join(', '),
    threshold: answers.map(({ port, what }) => `${what} on TCP ${port}`).join(', '),
    evidence: `TCP connections from this workstation to ${address}`,
    remedy: `Switch ${node.name} on, and open ${closed.map(({ port }) => `TCP ${port}`).join(' and ')} between this workstation and ${address}.`,
  }
}
