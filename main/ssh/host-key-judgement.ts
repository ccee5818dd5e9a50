import type { Endpoint } from '../network/dialler.ts'
import { endpointText } from '../network/network-error.ts'
import type { Identity, IdentityStore } from '../storage/identity-store.ts'
import type { HostKeyIdentity } from './host-key.ts'

/** Whether the host key that a server shows is the one that is known of it. */
export type HostKeyJudgement = { readonly endpoint: Endpoint; readonly seen: HostKeyIdentity } & (
  | { readonly status: 'new' }
  /** `known.firstSeen`: since when. */
  | { readonly status: 'match' | 'changed'; readonly known: Identity }
)

/**
 * Compares a host key with what is known: of this address first, then of the other ones that the machine has or had. Changes
 * nothing; what follows from it is the caller's decision.
 */
export function judgeHostKey(
  identities: Pick<IdentityStore, 'get'>,
  endpoint: Endpoint,
  seen: HostKeyIdentity,
  formerEndpoints: readonly Endpoint[] = [],
): HostKeyJudgement {
  const known = [endpoint, ...formerEndpoints]
    .map((one) => identities.get('ssh', one))
    .find((identity) => identity !== undefined)
  if (known === undefined) return { status: 'new', endpoint, seen }
  return {
    status: known.fingerprint === seen.fingerprint ? 'match' : 'changed',
    endpoint,
    seen,
    known,
  }
}

/** One sentence with the fingerprints, as OpenSSH prints them. */
export function describeHostKey(judgement: HostKeyJudgement): string {
  const { endpoint, seen } = judgement
  const shown = `${seen.algorithm} ${seen.fingerprint}`
  switch (judgement.status) {
    case 'new':
      return `${endpointText(endpoint)} shows the host key ${shown} for the first time.`
    case 'match':
      return `${endpointText(endpoint)} shows the host key ${shown}, known since ${judgement.known.firstSeen}.`
    case 'changed':
      return (
        `${endpointText(endpoint)} shows the host key ${shown}; known since ${judgement.known.firstSeen} is ` +
        `${judgement.known.algorithm} ${judgement.known.fingerprint}.`
      )
  }
}
