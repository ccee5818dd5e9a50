import { AppError } from '../../shared/errors/index.ts'
import type { PlanNode } from '../../shared/plan/index.ts'
import { readCertificate } from '../network/certificate.ts'
import { endpointText } from '../network/network-error.ts'
import { anyShellLine, quoteWord } from '../network/programs/remote-launcher.ts'
import type { SshConnection } from '../ssh/index.ts'

/** What is known of the certificate that a Local UI shows to this workstation. Fingerprints: SHA-256, hex with colons. */
export type CertificateProof =
  /** The node itself, over its pinned SSH connection, has the same one. `how`: where it was read. */
  | { readonly kind: 'proven'; readonly fingerprint: string; readonly how: string }
  | {
      readonly kind: 'intercepted'
      readonly seenFromHere: string
      readonly seenOnNode: string
      readonly how: string
    }
  | { readonly kind: 'unproven'; readonly fingerprint: string; readonly reason: string }

interface ProofOptions {
  readonly connection: Pick<SshConnection, 'tunnel' | 'exec'>
  readonly node: PlanNode
  /** Where the node answers. */
  readonly address: string
  /** What the workstation saw there. */
  readonly seenFromHere: string
  readonly signal: AbortSignal
}

/**
 * Reads the certificate of the Local UI on the node itself and compares it with the one that was seen from here. Whoever sits
 * between here and port 5080 cannot answer inside of the SSH connection as well.
 */
export async function proveCertificate(options: ProofOptions): Promise<CertificateProof> {
  const { seenFromHere } = options
  const seen = await readOnNode(options)
  if ('reason' in seen) return { kind: 'unproven', fingerprint: seenFromHere, reason: seen.reason }
  return seen.fingerprint === seenFromHere
    ? { kind: 'proven', fingerprint: seenFromHere, how: seen.how }
    : { kind: 'intercepted', seenFromHere, seenOnNode: seen.fingerprint, how: seen.how }
}

type SeenOnNode = { readonly fingerprint: string; readonly how: string } | { readonly reason: string }

async function readOnNode(options: ProofOptions): Promise<SeenOnNode> {
  const { connection, node, address, signal } = options
  const { port } = node.localUi
  const reasons: string[] = []
  // A Local UI that listens on the address of its interface only does not answer on the loopback.
  for (const host of ['127.0.0.1', address]) {
    try {
      const { fingerprint } = await readCertificate(
        { host, port },
        { dialler: { dial: (to, dial) => connection.tunnel(to, dial) }, signal, node: node.name },
      )
      return { fingerprint, how: `TLS handshake with ${host}:${String(port)} through the SSH connection` }
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof AppError) || error.code === 'SSH_CONNECTION_LOST') throw error
      reasons.push(error.title)
      if (error.code === 'SSH_FORWARD_REFUSED') break
    }
  }
  const printed = await readByOpenssl(options)
  return 'reason' in printed ? { reason: [...reasons, printed.reason].join(' ') } : printed
}

/** `openssl x509 -fingerprint` prints "sha256 Fingerprint=AA:BB:…" (openssl-x509(1)). */
const fingerprintLine = /^sha256 fingerprint=((?:[0-9A-F]{2}:){31}[0-9A-F]{2})\s*$/imu

async function readByOpenssl({ connection, node, signal }: ProofOptions): Promise<SeenOnNode> {
  const place = `127.0.0.1:${String(node.localUi.port)}`
  const script =
    `openssl s_client -connect ${place} </dev/null 2>/dev/null | ` +
    'openssl x509 -noout -fingerprint -sha256'
  const result = await connection.exec(anyShellLine(`sh -c ${quoteWord(script)}`), {
    signal,
    timeoutMilliseconds: 15_000,
    description: 'openssl s_client',
  })
  const fingerprint = fingerprintLine.exec(result.stdout)?.[1]?.toUpperCase()
  return fingerprint === undefined
    ? { reason: `openssl on ${node.name} did not read it either (exit code ${result.exitCode ?? 'none'}).` }
    : { fingerprint, how: `openssl s_client -connect ${place} on the node` }
}

/** The error for a certificate that is another one on the node. */
export function interceptedError(
  node: PlanNode,
  address: string,
  proof: Extract<CertificateProof, { kind: 'intercepted' }>,
): AppError {
  const where = endpointText({ host: address, port: node.localUi.port })
  return new AppError({
    code: 'TLS_INTERCEPTED',
    title: `Somebody between this workstation and ${node.name} answers in its place on ${where}.`,
    detail:
      `Certificate seen from here: ${proof.seenFromHere}. Certificate on the node itself: ${proof.seenOnNode} ` +
      `(${proof.how}). No password was sent to ${where}.`,
    remedies: [
      'Take the TLS inspection (proxy, firewall, antivirus) out of the way between this workstation and the nodes.',
      'Or connect this workstation to the network of the nodes directly, then start again.',
    ],
    node: node.name,
  })
}
