import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import type { buildConnector } from 'undici'
import { AppError } from '../../shared/errors/index.ts'
import type { Identity } from '../storage/identity-store.ts'
import type { Dialler, Endpoint } from './dialler.ts'
import { endpointText, networkError, systemCodeOf } from './network-error.ts'

/** A server's own certificate as it was presented in the handshake. */
export interface PeerCertificate {
  /** PEM, the leaf only. */
  pem: string
  /** SHA-256 of the DER form, upper-case hex with colons. */
  fingerprint: string
  /** Type of the public key: `rsa`, `ec`, `ed25519`. */
  algorithm: string
  subject: string
  issuer: string
  /** As OpenSSL prints it (`IP Address:192.0.2.1, DNS:…`); empty when there are none. */
  subjectAltName: string
  /** ISO 8601, UTC. */
  validFrom: string
  /** ISO 8601, UTC. */
  validTo: string
}

/** The one certificate that a server must present. */
export interface CertificatePin {
  fingerprint: string
  certificatePem: string
}

export interface ReadCertificateOptions {
  dialler: Dialler
  signal?: AbortSignal | undefined
  /** Real time, for connection and handshake together. Default 10 000. */
  timeoutMilliseconds?: number
  node?: string | undefined
}

/**
 * Looks at a server's certificate for the first time, to show it to the operator.
 *
 * Nothing is trusted (the list of authorities is empty), hence the handshake always fails its verification and the
 * connection is thrown away; the certificate is taken out just before. Not one byte of application data is sent.
 * Throws an AppError: network errors (transient), `TLS_FAILED`, or the signal's reason.
 */
export async function readCertificate(
  endpoint: Endpoint,
  options: ReadCertificateOptions,
): Promise<PeerCertificate> {
  const { dialler, signal, timeoutMilliseconds = 10_000, node } = options
  const deadline = AbortSignal.timeout(timeoutMilliseconds)
  const ended = signal === undefined ? deadline : AbortSignal.any([signal, deadline])
  try {
    const socket = await dialler.dial(endpoint, { signal: ended, timeoutMilliseconds })
    return await new Promise<PeerCertificate>((resolve, reject) => {
      const tls = connectTls({ socket, secureContext: trustNobody(), ...serverNameOf(endpoint) })
      const finish = (settle: () => void) => {
        ended.removeEventListener('abort', handleAbort)
        tls.destroy()
        socket.destroy()
        settle()
      }
      const handleAbort = () => {
        finish(() => {
          reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
        })
      }
      if (ended.aborted) {
        handleAbort()
        return
      }
      ended.addEventListener('abort', handleAbort, { once: true })
      let seen: PeerCertificate | undefined
      // Before Node's own listener, which verifies and, on failure, forgets the certificate. It only looks: to close
      // the socket here would pull it away from under that listener.
      tls.prependListener('secure', () => {
        seen = peerCertificateOf(tls)
      })
      const handleEnd = (error: Error) => {
        const certificate = seen
        finish(() => {
          if (certificate === undefined) reject(error)
          else resolve(certificate)
        })
      }
      tls.on('error', handleEnd)
      // Cannot happen without authorities; if it did, the connection would go all the same.
      tls.once('secureConnect', () => {
        handleEnd(new Error('The server presented no certificate.'))
      })
      tls.once('close', () => {
        finish(() => {
          reject(Object.assign(new Error('closed during the TLS handshake'), { code: 'ECONNRESET' }))
        })
      })
    })
  } catch (error) {
    signal?.throwIfAborted()
    const thrown = deadline.aborted
      ? Object.assign(new Error(`no certificate within ${String(timeoutMilliseconds)} ms`), {
          code: 'ETIMEDOUT',
        })
      : error
    throw tlsError(thrown, endpoint, node)
  }
}

let nobody: SecureContext | undefined

/** A context without authorities; made once, because contexts are large. */
function trustNobody(): SecureContext {
  nobody ??= createSecureContext({ ca: [] })
  return nobody
}

/** What the identity store keeps of a certificate. */
export function identityOfCertificate(certificate: PeerCertificate, firstSeen: string): Identity {
  return {
    algorithm: certificate.algorithm,
    fingerprint: certificate.fingerprint,
    certificatePem: certificate.pem,
    firstSeen,
  }
}

export interface PinnedConnectorOptions {
  dialler: Dialler
  pin: CertificatePin
  /** Where the server is to be found; what undici passes is the same. */
  endpoint: Endpoint
  /** Real time, for connection and handshake together. Default 10 000. */
  timeoutMilliseconds?: number
  node?: string | undefined
}

/**
 * A connector for undici that accepts exactly one certificate, whoever signed it.
 *
 * Fails with an AppError: `TLS_IDENTITY_CHANGED` (permanent, both fingerprints), `TLS_CERTIFICATE_EXPIRED` and
 * `TLS_CERTIFICATE_NOT_YET_VALID` (with the dates), `TLS_FAILED`, or a network error (transient).
 */
export function createPinnedConnector(options: PinnedConnectorOptions): buildConnector.connector {
  // One for all connections: a context of OpenSSL is large, lives outside of the heap, and goes only with the next full
  // collection. With one per connection a run on a hundred nodes gathers tens of megabytes of dead ones.
  const secureContext = createSecureContext({
    ca: [options.pin.certificatePem],
    // The pinned certificate is the anchor itself, even when an authority (that we do not know) signed it.
    allowPartialTrustChain: true,
  })
  return (_request, callback) => {
    connectPinned(options, secureContext).then(
      (socket) => {
        callback(null, socket)
      },
      (error: unknown) => {
        callback(tlsError(error, options.endpoint, options.node), null)
      },
    )
  }
}

async function connectPinned(
  options: PinnedConnectorOptions,
  secureContext: SecureContext,
): Promise<TLSSocket> {
  const { dialler, pin, endpoint, timeoutMilliseconds = 10_000, node } = options
  const startedAt = Date.now()
  const socket = await dialler.dial(endpoint, { timeoutMilliseconds })
  return await new Promise<TLSSocket>((resolve, reject) => {
    let seen: PeerCertificate | undefined
    const tls = connectTls({
      socket,
      secureContext,
      // Appliances carry their certificates from one address to another; the name says nothing, the pin everything.
      checkServerIdentity: (_host, certificate) =>
        certificate.fingerprint256 === pin.fingerprint
          ? undefined
          : identityChanged(endpoint, pin.fingerprint, certificate.fingerprint256, node),
      ALPNProtocols: ['http/1.1'],
      ...serverNameOf(endpoint),
    })
    const timer = setTimeout(
      () => {
        fail(
          Object.assign(new Error('the TLS handshake did not end in time'), {
            code: 'ETIMEDOUT',
          }),
        )
      },
      Math.max(1, timeoutMilliseconds - (Date.now() - startedAt)),
    )
    const fail = (error: Error) => {
      clearTimeout(timer)
      tls.destroy()
      socket.destroy()
      reject(error)
    }
    // Only looks, as above; Node's own verification comes next and ends in 'error' or 'secureConnect'.
    tls.prependListener('secure', () => {
      seen = peerCertificateOf(tls)
    })
    const handleError = (error: Error) => {
      if (seen === undefined) fail(error)
      else if (seen.fingerprint !== pin.fingerprint) {
        fail(identityChanged(endpoint, pin.fingerprint, seen.fingerprint, node))
      } else fail(validityError(error, seen, endpoint, node) ?? error)
    }
    const handleClose = () => {
      fail(Object.assign(new Error('closed during the TLS handshake'), { code: 'ECONNRESET' }))
    }
    tls.on('error', handleError)
    tls.once('close', handleClose)
    tls.once('secureConnect', () => {
      if (tls.destroyed) return
      clearTimeout(timer)
      tls.off('error', handleError)
      tls.off('close', handleClose)
      resolve(tls)
    })
  })
}

/** SNI is for names only (RFC 6066 §3). */
function serverNameOf(endpoint: Endpoint): { servername?: string } {
  return isIP(endpoint.host) === 0 ? { servername: endpoint.host } : {}
}

/**
 * By `getPeerCertificate`, because on Node 24 `getPeerX509Certificate` at this early moment makes later calls, Node's
 * own among them, come back empty.
 */
function peerCertificateOf(tls: TLSSocket): PeerCertificate | undefined {
  // An object without fields when there is no certificate, which the types do not say.
  const raw = tls.getPeerCertificate().raw as Buffer | undefined
  return raw === undefined ? undefined : describeCertificate(new X509Certificate(raw))
}

function describeCertificate(certificate: X509Certificate): PeerCertificate {
  return {
    pem: certificate.toString(),
    fingerprint: certificate.fingerprint256,
    algorithm: certificate.publicKey.asymmetricKeyType ?? 'unknown',
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    subjectAltName: certificate.subjectAltName ?? '',
    validFrom: certificate.validFromDate.toISOString(),
    validTo: certificate.validToDate.toISOString(),
  }
}

/** Node gives one line per attribute, and nothing at all for an empty name, which its types do not say. */
function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ')
}

function identityChanged(
  endpoint: Endpoint,
  pinned: string,
  seen: string,
  node: string | undefined,
): AppError {
  return new AppError({
    code: 'TLS_IDENTITY_CHANGED',
    title: `${endpointText(endpoint)} presents another certificate than before.`,
    detail: `Known: ${pinned}. Presented now: ${seen}. Nothing was sent.`,
    remedies: [
      'If the machine was installed again or its certificate was replaced on purpose: compare the new fingerprint on its console and trust it again.',
      'Otherwise another machine answers on this address: find out which one before you go on.',
    ],
    node,
  })
}

function validityError(
  error: Error,
  seen: PeerCertificate,
  endpoint: Endpoint,
  node: string | undefined,
): AppError | undefined {
  const systemCode = systemCodeOf(error)
  const isExpired = systemCode === 'CERT_HAS_EXPIRED'
  if (!isExpired && systemCode !== 'CERT_NOT_YET_VALID') return undefined
  return new AppError({
    code: isExpired ? 'TLS_CERTIFICATE_EXPIRED' : 'TLS_CERTIFICATE_NOT_YET_VALID',
    title: `The certificate of ${endpointText(endpoint)} ${isExpired ? 'has expired' : 'is not valid yet'}.`,
    detail:
      `Valid from ${seen.validFrom} to ${seen.validTo}; the clock of this computer says ` +
      `${new Date().toISOString()}. Fingerprint: ${seen.fingerprint}.`,
    remedies: [
      'Compare the clock of this computer and the clock of the machine with the real time, and correct the wrong one.',
      'If both clocks are right, have the machine issue a new certificate and trust it again.',
    ],
    node,
    cause: error,
  })
}

function tlsError(error: unknown, endpoint: Endpoint, node: string | undefined): AppError {
  if (error instanceof AppError) return error
  const translated = networkError(error, endpoint, { node, act: 'TLS connection' })
  if (translated !== undefined) return translated
  const systemCode = systemCodeOf(error)
  return new AppError({
    code: 'TLS_FAILED',
    title: `No secure connection to ${endpointText(endpoint)} could be made.`,
    detail: [error instanceof Error ? error.message.trim() : String(error), systemCode]
      .filter((part) => part !== undefined)
      .join(' '),
    remedies: [
      'Check that address and port belong to the service that you mean: something else may listen there.',
      'A machine that is starting may answer like this for a while: wait.',
    ],
    // While a node starts, something else may hold the port for a moment.
    isTransient: true,
    node,
    cause: error,
  })
}
