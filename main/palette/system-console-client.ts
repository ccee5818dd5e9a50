import type { z } from 'zod'
import { AppError } from '../../shared/errors/index.ts'
import type { Clock } from '../engine/clock.ts'
import type { CertificatePin } from '../network/certificate.ts'
import type { Dialler, Endpoint } from '../network/dialler.ts'
import {
  createHttpClient,
  messageOfAnswer,
  redact,
  type HttpAnswer,
  type HttpClientOptions,
  type HttpRequest,
} from '../network/http-client.ts'
import { endpointText } from '../network/network-error.ts'
import { createPace } from '../network/pace.ts'
import { createSessionKeeper, type SessionToken } from '../network/session-keeper.ts'
import {
  readLoginRefusal,
  type ChangeOutcome,
  type Credentials,
  type LoginOutcome,
} from '../network/session.ts'
import {
  installedVersionSchema,
  ociRegistriesSchema,
  registrySyncSchema,
  systemLoginSchema,
  systemUserSchema,
  type OciRegistry,
  type RegistrySync,
  type SystemUser,
} from './system-console-schemas.ts'

export interface SystemConsoleClientOptions extends Pick<
  HttpClientOptions,
  'maxAnswerBytes' | 'connectMilliseconds' | 'headersMilliseconds'
> {
  /** The virtual IP address, port 443. */
  endpoint: Endpoint
  pin: CertificatePin
  dialler: Dialler
  /** Keeps the requests apart and measures the age of the session. */
  clock: Clock
  /** For messages. Default `system console`. */
  node?: string
}

interface CallOptions {
  signal?: AbortSignal | undefined
}

/** What the login says about the account; a flag is absent where the console does not give it. */
export interface SystemLoginFlags {
  /** False: the first password is still in use and has to be replaced. */
  isPasswordReset?: boolean | undefined
  isEmailSet?: boolean | undefined
}

/**
 * The system console's API on the virtual IP (palette.md §7.5). At most 2 requests a second (of the clock's time);
 * the console itself allows 10 (palette.md §4.2). Errors as `LocalApiClient`.
 */
export interface SystemConsoleClient {
  readonly endpoint: Endpoint
  /**
   * Whether the API answers, and not merely the page, which is there about 30 min earlier (palette.md §1.9):
   * `POST /v1/auth/syslogin` with `{}`; 400, 401, 403 or 429 mean alive. Whatever can heal by waiting is `false`;
   * the rest, e.g. `TLS_IDENTITY_CHANGED`, is thrown.
   */
  isApiAlive(options?: CallOptions): Promise<boolean>
  /**
   * `POST /v1/auth/syslogin`. Exactly one attempt; a password that this client saw refused is not tried again
   * (`LOGIN_ALREADY_REFUSED`). Throws `SYSTEM_LOGIN_NOT_SUPPORTED` where the console has no such login.
   * A session that ended is opened once more with the password that the console accepted before, as in
   * `LocalApiClient.login`.
   */
  login(credentials: Credentials, options?: CallOptions): Promise<LoginOutcome<SystemLoginFlags>>
  /**
   * `PATCH /v1/system/admin/password/reset`. After `changed` the client has forgotten session and password: log in
   * with the new one.
   */
  setFirstPassword(
    request: { email?: string | undefined; oldPassword: string; newPassword: string },
    options?: CallOptions,
  ): Promise<ChangeOutcome>
  /** `PATCH /v1/system/admin/email`; `password` is the account's. */
  setEmail(request: { email: string; password: string }, options?: CallOptions): Promise<ChangeOutcome>
  /** `GET /v1/system/users/me` */
  me(options?: CallOptions): Promise<SystemUser>
  /** `GET /v1/system/version/installed`; `undefined`: the console names none. */
  installedVersion(options?: CallOptions): Promise<string | undefined>
  /** `GET /v1/health/ready`, with the session if there is one. Whatever can heal by waiting is `false`. */
  isHealthy(options?: CallOptions): Promise<boolean>
  /** The HTTP status of a page, e.g. `/system`, without a session. */
  page(path: string, options?: CallOptions): Promise<number>
  /** `GET /v1/registries/oci/summary` */
  ociRegistries(options?: CallOptions): Promise<OciRegistry[]>
  /** `POST /v1/registries/oci/{uid}/basic/sync?forceSync=true` */
  syncRegistry(uid: string, options?: CallOptions): Promise<void>
  /** `GET /v1/registries/oci/{uid}/basic/sync/status` */
  registrySync(uid: string, options?: CallOptions): Promise<RegistrySync>
  close: () => Promise<void>
}

/** A console session lasts 4 h (palette.md §4.2); there is no renewal, hence a new login before that. */
const renewAfterMilliseconds = 3.5 * 60 * 60_000
const paceMilliseconds = 500

const loginPath = '/v1/auth/syslogin'

export function createSystemConsoleClient(options: SystemConsoleClientOptions): SystemConsoleClient {
  const { clock, endpoint, node = 'system console' } = options
  const http = createHttpClient({ ...options, node })
  const pace = createPace(clock, paceMilliseconds)
  const session = createSessionKeeper<SystemLoginFlags>({
    where: endpointText(endpoint),
    node,
    clock,
    renewAfterMilliseconds,
    attemptLogin,
  })

  async function request(what: HttpRequest): Promise<HttpAnswer> {
    await pace(what.signal)
    return await http.request(what)
  }

  async function attemptLogin(
    credentials: Credentials,
    signal: AbortSignal | undefined,
  ): Promise<{ outcome: LoginOutcome<SystemLoginFlags>; token?: SessionToken }> {
    const login: HttpRequest = {
      method: 'POST',
      path: loginPath,
      body: { username: credentials.username, password: credentials.password },
      returnStatuses: 'all',
      redact: [credentials.password],
      isAnswerSecret: true,
      signal,
    }
    const answer = await request(login)
    if (answer.status >= 200 && answer.status < 300) {
      const body = parse(systemLoginSchema, login, answer)
      const authorization = body.authorization ?? answer.headers['authorization'] ?? cookieToken(answer)
      if (body.isMfa === true) {
        throw loginByHand('The account asks for a second factor.')
      }
      if (authorization === undefined) throw http.badAnswer(login, 'It holds no token.', answer)
      return {
        outcome: { kind: 'accepted', isPasswordReset: body.isPasswordReset, isEmailSet: body.isEmailSet },
        token: { authorization },
      }
    }
    if (answer.status === 404) throw loginByHand('The console does not know this login.')
    const refusal = readLoginRefusal(answer, credentials, clock)
    if (refusal !== undefined) return { outcome: refusal }
    throw answer.status === 405 ? onlyThePage(answer) : http.statusError(login, answer)
  }

  function loginByHand(detail: string): AppError {
    return new AppError({
      code: 'SYSTEM_LOGIN_NOT_SUPPORTED',
      title: 'Landfall cannot log in to the system console by itself.',
      detail: `POST ${loginPath}: ${detail}`,
      remedies: [
        `Log in with a browser on https://${endpointText(endpoint)}/system and finish the set-up there.`,
      ],
      node,
    })
  }

  /** 405: a static file server answers instead of the API (palette.md §7.5). */
  function onlyThePage(answer: HttpAnswer): AppError {
    return new AppError({
      code: 'CONSOLE_NOT_READY',
      title: 'The system console shows its page, but its API is not up yet.',
      detail: `POST ${loginPath}: HTTP ${String(answer.status)}.`,
      remedies: ['Wait: the API usually follows the page within 30 minutes.'],
      isTransient: true,
      node,
    })
  }

  function parse<Schema extends z.ZodType>(
    schema: Schema,
    what: HttpRequest,
    answer: HttpAnswer,
  ): z.output<Schema> {
    const result = schema.safeParse(answer.json)
    if (result.success) return result.data
    const places = result.error.issues.map(
      (issue) => `${issue.path.join('.') || 'the whole'}: ${issue.message}`,
    )
    throw http.badAnswer(what, `Not what the API describes (${places.slice(0, 3).join('; ')}).`, answer)
  }

  function send(what: HttpRequest): Promise<HttpAnswer> {
    return session.withToken(
      (authorization) =>
        request({
          ...what,
          headers: { ...what.headers, authorization },
          redact: [...(what.redact ?? []), authorization],
        }),
      { signal: what.signal },
    )
  }

  async function call<Schema extends z.ZodType>(
    schema: Schema,
    what: HttpRequest,
  ): Promise<z.output<Schema>> {
    return parse(schema, what, await send(what))
  }

  /** A change that the console checks: 4xx is its verdict, with the reason in its own words. */
  async function change(what: HttpRequest, secrets: readonly string[]): Promise<ChangeOutcome> {
    // Makes sure that the session is alive: below, 401 is the verdict on the password and no second login.
    await call(systemUserSchema, { method: 'GET', path: '/v1/system/users/me', signal: what.signal })
    const answer = await send({
      ...what,
      redact: secrets,
      expect: 'nothing',
      returnStatuses: [400, 401, 403, 409, 422],
    })
    if (answer.status < 400) return { kind: 'changed' }
    const message = messageOfAnswer(answer) ?? `HTTP ${String(answer.status)}`
    return { kind: 'refused', message: redact(message, secrets) }
  }

  return {
    endpoint,
    async isApiAlive({ signal } = {}) {
      return await falseWhileTransient(async () => {
        const answer = await request({
          method: 'POST',
          path: loginPath,
          body: {},
          returnStatuses: 'all',
          signal,
        })
        return [400, 401, 403, 429].includes(answer.status)
      })
    },
    login: (credentials, { signal } = {}) => session.login(credentials, signal),
    async setFirstPassword({ email, oldPassword, newPassword }, { signal } = {}) {
      const outcome = await change(
        {
          method: 'PATCH',
          path: '/v1/system/admin/password/reset',
          body: { email, oldPassword, newPassword },
          signal,
        },
        [oldPassword, newPassword],
      )
      if (outcome.kind === 'changed') session.forget()
      return outcome
    },
    setEmail: ({ email, password }, { signal } = {}) =>
      change(
        {
          method: 'PATCH',
          path: '/v1/system/admin/email',
          body: { email, password },
          signal,
        },
        [password],
      ),
    me: ({ signal } = {}) => call(systemUserSchema, { method: 'GET', path: '/v1/system/users/me', signal }),
    async installedVersion({ signal } = {}) {
      const body = await call(installedVersionSchema, {
        method: 'GET',
        path: '/v1/system/version/installed',
        signal,
      })
      return body.version === '' ? undefined : body.version
    },
    async isHealthy({ signal } = {}) {
      return await falseWhileTransient(async () => {
        const what: HttpRequest = {
          method: 'GET',
          path: '/v1/health/ready',
          expect: 'nothing',
          returnStatuses: [404, 405],
          signal,
        }
        const answer = session.hasSession() ? await send(what) : await request(what)
        return answer.status < 300
      })
    },
    async page(path, { signal } = {}) {
      const answer = await request({
        method: 'GET',
        path,
        headers: { accept: 'text/html' },
        returnStatuses: 'all',
        signal,
      })
      return answer.status
    },
    async ociRegistries({ signal } = {}) {
      const body = await call(ociRegistriesSchema, {
        method: 'GET',
        path: '/v1/registries/oci/summary',
        signal,
      })
      return body.items
    },
    async syncRegistry(uid, { signal } = {}) {
      await send({
        method: 'POST',
        path: `/v1/registries/oci/${encodeURIComponent(uid)}/basic/sync`,
        query: { forceSync: true },
        expect: 'nothing',
        signal,
      })
    },
    registrySync: (uid, { signal } = {}) =>
      call(registrySyncSchema, {
        method: 'GET',
        path: `/v1/registries/oci/${encodeURIComponent(uid)}/basic/sync/status`,
        signal,
      }),
    async close() {
      await http.close()
    },
  }
}

async function falseWhileTransient(question: () => Promise<boolean>): Promise<boolean> {
  try {
    return await question()
  } catch (error) {
    if (error instanceof AppError && error.isTransient) return false
    throw error
  }
}

function cookieToken(answer: HttpAnswer): string | undefined {
  return /(?:^|[\s,;])Authorization=([^;,\s]+)/u.exec(answer.headers['set-cookie'] ?? '')?.[1]
}
