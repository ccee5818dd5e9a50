import { AppError } from '../../shared/errors/index.ts'
import type { Clock } from '../engine/clock.ts'
import { createRefusalMemory, type Credentials, type LoginOutcome } from './session.ts'

/** What proves the session to the server. Secrets. */
export interface SessionToken {
  authorization: string
  refreshToken?: string | undefined
}

export interface SessionKeeperOptions<Accepted extends object> {
  /** `host:port`, for messages. */
  where: string
  node?: string | undefined
  clock: Clock
  /** Age, in the clock's milliseconds, at which a token is renewed before it is used again. */
  renewAfterMilliseconds: number
  /** One attempt on the wire. */
  attemptLogin(
    credentials: Credentials,
    signal: AbortSignal | undefined,
  ): Promise<{ outcome: LoginOutcome<Accepted>; token?: SessionToken }>
  /** Resolves with `undefined` when the server does not renew this token. Absent: the server knows no renewal. */
  attemptRenewal?(token: SessionToken, signal: AbortSignal | undefined): Promise<SessionToken | undefined>
}

export interface SessionKeeper<Accepted extends object> {
  /** Exactly one attempt. Throws `LOGIN_ALREADY_REFUSED` for a password that was refused before. */
  login(credentials: Credentials, signal?: AbortSignal): Promise<LoginOutcome<Accepted>>
  /**
   * Runs `send` with a valid token. When the server no longer accepts the token (`UNAUTHORIZED`), it logs in again,
   * once, and only with the password that the same server accepted before; then `send` runs a second time if
   * `isRepeatable`, else the error becomes a transient `SESSION_ENDED`.
   */
  withToken<Result>(
    send: (authorization: string) => Promise<Result>,
    options: { signal?: AbortSignal | undefined; isRepeatable?: boolean; maxAgeMilliseconds?: number },
  ): Promise<Result>
  /** Forgets token and password. */
  forget(): void
  hasSession(): boolean
  /** The token as it is, for the logout. */
  currentToken(): string | undefined
}

/**
 * Keeps one session alive without ever risking the lock-out: a password goes out only when the operator gave it, or
 * again after this very server accepted it. The first refusal ends that.
 */
export function createSessionKeeper<Accepted extends object>(
  options: SessionKeeperOptions<Accepted>,
): SessionKeeper<Accepted> {
  const { where, node, clock } = options
  const refusals = createRefusalMemory(() => ({ where, node }))
  let token: SessionToken | undefined
  let tokenSince = 0
  let accepted: Credentials | undefined
  let pendingRefresh: Promise<void> | undefined

  const setToken = (fresh: SessionToken) => {
    token = fresh
    tokenSince = clock.now()
  }

  async function login(credentials: Credentials, signal?: AbortSignal): Promise<LoginOutcome<Accepted>> {
    refusals.throwIfRefused(credentials)
    const { outcome, token: fresh } = await options.attemptLogin(credentials, signal)
    switch (outcome.kind) {
      case 'accepted':
        if (fresh !== undefined) setToken(fresh)
        accepted = { ...credentials }
        break
      case 'refused':
        refusals.add(credentials)
        token = undefined
        accepted = undefined
        break
      case 'locked':
        token = undefined
        break
    }
    return outcome
  }

  async function loginAgain(signal: AbortSignal | undefined): Promise<void> {
    if (accepted === undefined) throw notLoggedIn()
    const outcome = await login(accepted, signal)
    switch (outcome.kind) {
      case 'accepted':
        return
      case 'refused':
        throw new AppError({
          code: 'LOGIN_REFUSED',
          title: `${where} no longer accepts the password that it accepted before.`,
          detail: outcome.message,
          remedies: ['Somebody may have changed the password: give the new one, then start again.'],
          node,
        })
      case 'locked':
        throw new AppError({
          code: 'LOGIN_LOCKED',
          title: `${where} has locked the login.`,
          detail: outcome.message,
          remedies: ['Wait until the lock ends (usually 15 minutes), and do not try to log in meanwhile.'],
          node,
        })
    }
  }

  /** Several requests may notice at once that the token is old; one of them gets the new one for all. */
  function refreshOnce(refresh: () => Promise<void>): Promise<void> {
    pendingRefresh ??= refresh().finally(() => {
      pendingRefresh = undefined
    })
    return pendingRefresh
  }

  async function ensureToken(maxAgeMilliseconds: number, signal: AbortSignal | undefined): Promise<string> {
    if (pendingRefresh !== undefined) await pendingRefresh
    if (token === undefined) {
      await refreshOnce(() => loginAgain(signal))
    } else if (clock.now() - tokenSince >= maxAgeMilliseconds) {
      const old = token
      await refreshOnce(async () => {
        const renewed = await options.attemptRenewal?.(old, signal)
        if (renewed === undefined) await loginAgain(signal)
        else setToken(renewed)
      })
    }
    if (token === undefined) throw notLoggedIn()
    return token.authorization
  }

  function notLoggedIn(): AppError {
    return new AppError({
      code: 'NOT_LOGGED_IN',
      title: `There is no session on ${where}.`,
      detail: 'A login is needed before this request.',
      remedies: ['Give user name and password, then start again.'],
      node,
    })
  }

  return {
    login,
    async withToken(send, { signal, isRepeatable = true, maxAgeMilliseconds }) {
      const used = await ensureToken(maxAgeMilliseconds ?? options.renewAfterMilliseconds, signal)
      try {
        return await send(used)
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'UNAUTHORIZED') throw error
        if (pendingRefresh !== undefined) await pendingRefresh
        // Another request may have got a new token while this one was on its way.
        if (token?.authorization === used) token = undefined
        if (!isRepeatable) {
          throw new AppError({
            code: 'SESSION_ENDED',
            title: `The session on ${where} ended during the request.`,
            detail: error.detail,
            remedies: ['Try again: the next request logs in once more.'],
            isTransient: true,
            node,
            cause: error,
          })
        }
        if (token === undefined && accepted === undefined) throw error
        return await send(await ensureToken(Number.POSITIVE_INFINITY, signal))
      }
    },
    forget() {
      token = undefined
      accepted = undefined
    },
    hasSession: () => token !== undefined,
    currentToken: () => token?.authorization,
  }
}
