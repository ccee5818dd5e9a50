import type { Endpoint } from '../network/dialler.ts'
import { keyOf, type Identity, type IdentityKind, type IdentityStore } from './identity-store.ts'

/** What is known already, and on top of it pins that are gone with the process; for a dry run. */
export function memoryIdentityStore(known: IdentityStore): IdentityStore {
  /** `undefined`: forgotten, also when it is known. */
  const pinned = new Map<string, Identity | undefined>()
  const get = (kind: IdentityKind, endpoint: Endpoint) => {
    const key = keyOf(kind, endpoint)
    return pinned.has(key) ? pinned.get(key) : known.get(kind, endpoint)
  }
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
      pinned.set(keyOf(kind, endpoint), undefined)
      return Promise.resolve()
    },
  }
}
