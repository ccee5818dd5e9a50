import type { Finding } from '../../shared/checks/index.ts'
import { assertNever } from '../../shared/errors/index.ts'
import type { CertificateProof } from '../phases/prove-certificate.ts'

/** What is known of the certificate of a node's Local UI; see `NodeAccess.certificateProof`. */
export interface CertificateView {
  /** Name of the node as in the plan. */
  readonly node: string
  /** `undefined`: nobody has logged in to the node yet. */
  readonly proof: CertificateProof | undefined
}

/**
 * `ws.tls-inspection`, for each node. Somebody who re-signs blocks; that the node could not be asked is a warning, because many
 * sites do not allow what it takes, and the fingerprint is pinned all the same.
 */
export function checkTls(views: readonly CertificateView[]): Finding[] {
  return views.map(({ node, proof }) => ({
    id: 'ws.tls-inspection',
    target: node,
    threshold: 'the certificate seen from here is the one on the node itself',
    ...verdictOf(node, proof),
  }))
}

type Verdict = Pick<Finding, 'state' | 'measured' | 'evidence' | 'remedy' | 'severity'>

function verdictOf(node: string, proof: CertificateProof | undefined): Verdict {
  if (proof === undefined) {
    return {
      state: 'could-not-run',
      severity: 'warn',
      measured: 'not compared: no login to the node yet',
      evidence: 'none',
      remedy: `Make ${node} reachable by SSH and by its Local UI, then check again.`,
    }
  }
  switch (proof.kind) {
    case 'proven':
      return {
        state: 'pass',
        measured: `the same on both sides: ${proof.fingerprint}`,
        evidence: proof.how,
        remedy: '',
      }
    case 'intercepted':
      return {
        state: 'fail',
        severity: 'block',
        measured: `seen from here ${proof.seenFromHere}, on the node ${proof.seenOnNode}`,
        evidence: proof.how,
        remedy:
          'Take the TLS inspection (proxy, firewall, antivirus) out of the way between this workstation and the nodes.',
      }
    case 'unproven':
      return {
        state: 'could-not-run',
        severity: 'warn',
        measured: `seen from here ${proof.fingerprint}; the node could not be asked`,
        evidence: proof.reason,
        remedy: `Compare the fingerprint with the one on the console of ${node}, or allow SSH with TCP forwarding to it.`,
      }
    default:
      return assertNever(proof)
  }
}
