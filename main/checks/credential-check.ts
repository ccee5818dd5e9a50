import type { Finding } from '../../shared/checks/index.ts'
import type { CredentialName } from '../engine/history.ts'

/** What is known of a node's password without trying one. */
export interface CredentialView {
  /** Name of the node as in the plan. */
  readonly node: string
  readonly account: string
  /** Which password of the plan the node accepted last, in this run or an earlier one. */
  readonly accepted: CredentialName | undefined
  /** Whether the password under that name is the one of the documentation. */
  readonly isProductDefault: boolean
  /** The plan has a new password, which the installation sets. */
  readonly isToBeChanged: boolean
}

/** `cred.default-changed`, for each node. Nothing is tried for it: a failed login would count against the account. */
export function checkCredentials(views: readonly CredentialView[]): Finding[] {
  return views.map(({ node, account, accepted, isProductDefault, isToBeChanged }): Finding => {
    const fixed = {
      id: 'cred.default-changed',
      target: node,
      threshold: 'not the password of the documentation',
    } as const
    const remedy = `Set access.newPassword in the plan; the phase change-passwords sets it on ${node}.`
    if (accepted === undefined) {
      return {
        ...fixed,
        state: 'could-not-run',
        measured: `no login of ${account} was accepted yet`,
        evidence: 'record of the logins to this node',
        remedy: `Make ${node} reachable and give its password, then check again.`,
      }
    }
    const evidence = `last accepted login of ${account}: the ${accepted} password of the plan`
    if (isProductDefault && isToBeChanged) {
      return {
        ...fixed,
        state: 'skipped',
        measured: 'not changed yet: the installation does it (phase change-passwords)',
        evidence,
        remedy: '',
      }
    }
    return isProductDefault
      ? { ...fixed, state: 'fail', measured: 'the password of the documentation', evidence, remedy }
      : { ...fixed, state: 'pass', measured: 'another password', evidence, remedy: '' }
  })
}
