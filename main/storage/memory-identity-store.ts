import type { Endpoint } from '../network/dialler.ts'
import type { Identity, IdentityKind, IdentityStore } from './identity-store.ts'

/** What is known already, and on top of it pins that are gone with the process; for a dry run. */
export function memoryIdentityStore(known: IdentityStore): IdentityStore {
  const pinned = new Map<string, Identity>()
  const keyOf = (kind: IdentityKind, endpoint: Endpoint) =>
    `${kind} ${endpoint.host} ${String(endpoint.port)}`
  const get = (kind: IdentityKind, endpoint: Endpoint) =>
    pinned.get(keyOf(kind, endpoint)) ?? known.get(kind, endpoint)
  return {
    get,
    check: (kind, endpoint, seen) => {
      const stored = get(kind, endpoint)
      if (stored === undefined) return { status: 'new' }
      return stored.fingerprint === seen.fingerprint
        ? { status: 'match', stored }
        : { status: 'changed', stored }
    },
    pin: (kind, endpoint, identity) => {
      pinned.set(keyOf(kind, endpoint), identity)
      return Promise.resolve()
    },
    forget: (kind, endpoint) => {
      pinned.delete(keyOf(kind, endpoint))
      return Promise.resolve()
    },
  }
}
