import type { PhaseContext } from '../engine/phase.ts'
import type { Endpoint } from '../network/dialler.ts'
import type { Identity, IdentityKind, IdentityStore } from '../storage/identity-store.ts'

/**
 * Shows an identity that is seen for the first time, and then pins it. In this order: if the process dies in between, it
 * is shown again, but never pinned without having been shown.
 */
export async function pinIdentity<S>(
  context: PhaseContext<S>,
  identities: IdentityStore,
  kind: IdentityKind,
  endpoint: Endpoint,
  identity: Identity,
): Promise<void> {
  await context.report({
    type: 'identity-pinned',
    kind,
    endpoint: `${endpoint.host}:${String(endpoint.port)}`,
    algorithm: identity.algorithm,
    fingerprint: identity.fingerprint,
  })
  await identities.pin(kind, endpoint, identity)
}
