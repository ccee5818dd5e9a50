import type { Finding } from '../../shared/checks/index.ts'
import { assertNever } from '../../shared/errors/index.ts'
import { describeHostKey, type HostKeyJudgement } from '../ssh/index.ts'

/** The host key that a node showed; `undefined`: there was no connection. */
export interface HostKeyView {
  readonly node: string
  readonly judgement: HostKeyJudgement | undefined
}

/** `ssh.host-key`, for each node: whether it is the machine that it was before. */
export function checkHostKeys(views: readonly HostKeyView[]): Finding[] {
  return views.map(({ node, judgement }): Finding => {
    const fixed = {
      id: 'ssh.host-key',
      target: node,
      threshold: 'the host key that is known, or one seen for the first time',
      evidence: 'key exchange of SSH',
    } as const
    if (judgement === undefined) {
      return {
        ...fixed,
        state: 'could-not-run',
        severity: 'warn',
        measured: 'no connection by SSH',
        remedy: `Open SSH to ${node}, or give a key in access.sshKey.`,
      }
    }
    const measured = describeHostKey(judgement)
    switch (judgement.status) {
      case 'match':
        return { ...fixed, state: 'pass', measured, remedy: '' }
      case 'new':
        return {
          ...fixed,
          state: 'pass',
          measured,
          remedy: `Compare the fingerprint with the one on the console of ${node}.`,
        }
      case 'changed':
        return {
          ...fixed,
          state: 'fail',
          measured,
          remedy: `If ${node} was installed again, forget its identity: landfall identity forget PLAN ${node}. Otherwise another machine has its address.`,
        }
      default:
        return assertNever(judgement)
    }
  })
}

/** Refused logins of an account, oldest first, in milliseconds since the Unix epoch. */
export interface RefusedLogins {
  readonly node: string
  readonly account: string
  readonly refusedAt: readonly number[]
}

/** After so many the next one may lock the account (checks.md, cred.lockout). */
const mostRefusals = 2
/** As long as the product locks an account (palette.md §2.8). */
const lockMilliseconds = 15 * 60_000

/** `cred.lockout`, for each account: whether a further wrong password would lock it. Tries nothing. */
export function checkLockout(accounts: readonly RefusedLogins[], now: number): Finding[] {
  return accounts.map(({ node, account, refusedAt }): Finding => {
    const recent = refusedAt.filter((at) => now - at < lockMilliseconds)
    const last = recent.at(-1)
    return {
      id: 'cred.lockout',
      target: node,
      state: recent.length < mostRefusals ? 'pass' : 'fail',
      measured: `${recent.length} refused logins of ${account} in the last 15 minutes`,
      threshold: `fewer than ${mostRefusals}`,
      evidence: "record of this site's logins (login-attempts.json)",
      remedy:
        last === undefined
          ? ''
          : `Correct the password that the plan refers to, and wait until ${new Date(last + lockMilliseconds).toISOString()}.`,
    }
  })
}
