import { AppError } from '../../shared/errors/index.ts'
import type { CredentialName } from '../engine/history.ts'
import type { PhaseContext } from '../engine/phase.ts'
import type { LoginOutcome } from '../network/session.ts'
import type { LoginAttempts as LoginCount } from '../storage/login-attempts.ts'

export interface Credential {
  readonly name: CredentialName
  readonly password: string
}

/** The passwords that a plan names and that can be had now; `false`: not this one. */
export async function plannedCredentials(sources: {
  readonly initial: (() => Promise<string>) | false
  readonly wanted: (() => Promise<string>) | false
}): Promise<Credential[]> {
  const credentials: Credential[] = []
  if (sources.initial !== false) credentials.push({ name: 'initial', password: await sources.initial() })
  if (sources.wanted !== false) credentials.push({ name: 'new', password: await sources.wanted() })
  return credentials
}

interface LoginAttempts<S> {
  readonly context: PhaseContext<S>
  readonly node: string | undefined
  /** Account name, for the journal and for messages. */
  readonly account: string
  /** Where to log in, for messages: "n1", "the system console". */
  readonly place: string
  /** In the plan's order: the one that the product starts with, then the one that it shall have. */
  readonly credentials: readonly Credential[]
  /** What the journal knows of the act that replaces the initial password by the new one. */
  readonly passwordChange: 'never' | 'unknown' | 'done' | 'failed'
  readonly login: (password: string) => Promise<LoginOutcome>
  /** Refusals of this account in all runs; absent: they are not counted. */
  readonly count?: LoginCount
}

/**
 * The product slows an account down from the third refused login on and locks it after five (palette.md §4.2): Landfall
 * causes two at most, and then none for as long as a lock lasts.
 */
const mostRefusals = 2
const lockMilliseconds = 15 * 60_000

/**
 * Logs in with the password that is most likely the right one, and with the other one if that is refused: each at most
 * once, because the product locks an account after five failures. Every attempt is durable before it is made.
 * Returns the credential that was accepted. Throws `LOGIN_LOCKED` or `LOGIN_REFUSED`.
 */
export async function logIn<S>(attempts: LoginAttempts<S>): Promise<Credential> {
  const { context, account, place } = attempts
  const refusals: string[] = []
  if (attempts.credentials.length === 0) {
    throw new AppError({
      code: 'NO_CREDENTIALS',
      title: `No password for ${account} of ${place} is at hand in this dry run.`,
      remedies: ['Give the secrets (environment, vault passphrase) to read the site as it is.'],
      node: attempts.node,
      isTransient: true,
    })
  }
  for (const credential of inLikelyOrder(attempts)) {
    await ensureNotHeldBack(attempts)
    const report = (outcome: 'trying' | 'accepted' | 'refused' | 'locked') =>
      context.report({ type: 'credential-tried', account, credential: credential.name, outcome })
    await report('trying')
    const outcome = await attempts.login(credential.password)
    await noteInCount(attempts, outcome.kind)
    await report(outcome.kind)
    if (outcome.kind === 'accepted') return credential
    if (outcome.kind === 'locked') {
      throw new AppError({
        code: 'LOGIN_LOCKED',
        title: `The account ${account} of ${place} is locked after too many wrong passwords.`,
        detail: outcome.message,
        remedies: [
          'Wait 15 minutes without any attempt, by nobody; every further attempt may prolong the lock.',
          'Make sure that the passwords which the plan names are the right ones, then go on with --resume.',
        ],
        node: attempts.node,
      })
    }
    refusals.push(`the ${credential.name} password: ${outcome.message}`)
  }
  throw new AppError({
    code: 'LOGIN_REFUSED',
    title: `${place} refused the login of ${account}.`,
    detail: `Tried once each: ${refusals.join('; ')}`,
    remedies: [
      `Log in by hand once to find out the password of ${account}, and correct what the plan refers to.`,
      'Do not guess: after five failures the account is locked for 15 minutes.',
    ],
    node: attempts.node,
    // A dry run may lack the password that is in use; it then assumes, and says so.
    isTransient: context.mode === 'dry-run',
  })
}

async function noteInCount<S>(
  { count, node, account, context }: LoginAttempts<S>,
  outcome: LoginOutcome['kind'],
): Promise<void> {
  if (count === undefined || node === undefined) return
  if (outcome === 'accepted') {
    await count.noteAccepted({ node, account })
    return
  }
  // A locked account needs the whole pause, however often we asked ourselves.
  const refusals = outcome === 'locked' ? mostRefusals : 1
  for (let note = 0; note < refusals; note += 1)
    await count.noteRefused({ node, account }, context.clock.now())
}

async function ensureNotHeldBack<S>({
  count,
  node,
  account,
  context,
  place,
}: LoginAttempts<S>): Promise<void> {
  if (count === undefined || node === undefined) return
  const now = context.clock.now()
  // A clock that was set back since then makes the wait not longer than a lock lasts.
  const recent = (await count.refusals({ node, account }))
    .map((at) => Math.min(at, now))
    .filter((at) => now - at < lockMilliseconds)
  const last = recent.at(-1)
  if (recent.length < mostRefusals || last === undefined) return
  const safeAt = last + lockMilliseconds
  throw new AppError({
    code: 'LOGIN_HELD_BACK',
    title: `${place} has refused ${account} ${recent.length} times already; no further password is tried now.`,
    detail: `A further attempt could lock the account. It is safe again at ${new Date(safeAt).toISOString()}, in ${Math.ceil((safeAt - now) / 60_000)} min, if nobody else tries until then.`,
    remedies: [
      `Log in by hand once to find out the password of ${account}, and correct what the plan refers to.`,
      'Go on with --resume after that time.',
    ],
    node,
    // A dry run says what it can without this node.
    isTransient: context.mode === 'dry-run',
  })
}

/**
 * What was accepted last (in an earlier run of this site, too), or what must be true if the change of the password took
 * effect, comes first; what the journal saw refused, or tried without an answer, comes last.
 */
function inLikelyOrder<S>(attempts: LoginAttempts<S>): Credential[] {
  const { context, node, account, passwordChange } = attempts
  const rank = (credential: Credential): number => {
    const last = context.history.credential(node, account, credential.name)
    if (passwordChange === 'done') return credential.name === 'new' ? 0 : 3
    if (last === 'refused') return 2
    if (passwordChange === 'unknown') {
      if (last === 'trying') return 2
      return credential.name === 'new' ? 0 : 1
    }
    if (context.history.lastAccepted(node, account) === credential.name) return 0
    return last === 'trying' ? 2 : 1
  }
  // One password under both names is one attempt; what is in use then is the one that shall be.
  const wanted = attempts.credentials.find((credential) => credential.name === 'new')?.password
  return attempts.credentials
    .filter((credential) => credential.name === 'new' || credential.password !== wanted)
    .toSorted((left, right) => rank(left) - rank(right))
}
