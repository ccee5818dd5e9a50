import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import { z } from 'zod'
import { Account } from '../account.ts'
import { createServerIdentity } from '../certificate.ts'
import type { Cluster } from '../cluster.ts'
import type { LabContext } from '../context.ts'
import { ApiServer, errorAnswer, type Answer, type Route } from '../http/api-server.ts'
import { stableHash } from '../hardware.ts'
import { SessionTokens } from '../session-tokens.ts'
import { TokenBucket } from './token-bucket.ts'

const loginSchema = z.object({ username: z.string().min(1), password: z.string() })
const resetSchema = z.strictObject({
  email: z.email().optional(),
  oldPassword: z.string(),
  newPassword: z.string(),
})
const emailSchema = z.strictObject({
  email: z.email(),
  password: z.string().optional(),
  insecureVerify: z.boolean().optional(),
})

const requestsPerSecond = 10
const burst = 5
const shortestPassword = 14
const administrator = 'admin'

export interface ConsoleSnapshot {
  /** `closed`: port 443 of the VIP; `page`: only the web page answers; `api`: everything. */
  state: 'closed' | 'page' | 'api'
  email: string | null
  isPasswordChanged: boolean
  isLocked: boolean
  registrySyncs: number
  /** PEM. */
  certificate: string
}

/** Palette's system console on `https://VIP` (palette.md §7.5). */
export class ConsoleService {
  readonly #context: LabContext
  readonly #cluster: Cluster
  readonly #account: Account
  readonly #tokens = new SessionTokens()
  readonly #server: ApiServer
  readonly #certificate: string
  readonly #bucket: TokenBucket
  readonly #registryUid: string
  #email: string | null = null
  #lastLogin = 0
  #lastPasswordChange = 0
  #syncs = 0
  #syncingUntil = 0
  #isApiAnnounced = false

  static async create(
    context: LabContext,
    cluster: Cluster,
    initialPassword: string,
  ): Promise<ConsoleService> {
    const { vip } = context.plan.site
    const identity = await createServerIdentity(
      'palette',
      vip === 'auto' ? [] : [vip],
      context.scheduler.now(),
    )
    return new ConsoleService(context, cluster, initialPassword, identity)
  }

  private constructor(
    context: LabContext,
    cluster: Cluster,
    initialPassword: string,
    identity: { certificate: string; key: string },
  ) {
    const { scheduler, durations, recorder, faults, onExchange } = context
    this.#context = context
    this.#cluster = cluster
    this.#certificate = identity.certificate
    this.#registryUid = stableHash('registry', context.plan.cluster.name).slice(0, 24)
    this.#bucket = new TokenBucket(requestsPerSecond, burst, () => scheduler.now())
    this.#account = new Account({
      node: 'console',
      name: administrator,
      password: initialPassword,
      scheduler,
      durations,
      recorder,
      hasDelays: false,
    })
    this.#server = new ApiServer({
      service: 'console',
      node: null,
      identity,
      routes: this.#routes(),
      authorize: (headers) => this.#authorize(headers),
      precede: (request) => this.#precede(request),
      notFound: ({ path }) => errorAnswer(404, 'NotFound', `path ${path} was not found`),
      scheduler,
      faults,
      recorder,
      onExchange,
    })
  }

  accept(socket: Socket): void {
    this.#server.accept(socket)
  }

  stop(): void {
    this.#server.stop()
  }

  snapshot(): ConsoleSnapshot {
    return {
      state: this.#cluster.isConsolePageUp ? (this.#isApiUp ? 'api' : 'page') : 'closed',
      email: this.#email,
      isPasswordChanged: this.#account.isPasswordChanged,
      isLocked: this.#account.isLocked,
      registrySyncs: this.#syncs,
      certificate: this.#certificate,
    }
  }

  get #isApiUp(): boolean {
    const { scheduler, durations, faults } = this.#context
    const since = this.#cluster.consolePageSince
    const late = faults.active('console-late', null)?.fault.by ?? 0
    return since !== null && scheduler.now() >= since + durations.consoleApi + late
  }

  /** The web page answers long before the API does; until then only its static server speaks. */
  #precede({ method, path }: { method: string; path: string }): Answer | null {
    const isPage = !path.startsWith('/v1/')
    if (isPage && method === 'GET') {
      return {
        status: 200,
        raw: {
          type: 'text/html; charset=utf-8',
          content:
            '<!doctype html><html><head><title>Palette</title></head><body><div id="root"></div></body></html>',
        },
      }
    }
    if (!this.#isApiUp) {
      const status = method === 'GET' ? 404 : 405
      return {
        status,
        raw: { type: 'text/html', content: `<html><body><h1>${status}</h1><hr>nginx</body></html>` },
      }
    }
    if (!this.#isApiAnnounced) {
      this.#isApiAnnounced = true
      this.#context.emit('console-api', null)
    }
    return this.#bucket.take() ? null : errorAnswer(429, 'TooManyRequests', 'too many requests')
  }

  #authorize(headers: IncomingHttpHeaders): { user: string; sessionId: string } | Answer {
    const verdict = this.#tokens.check(headers.authorization ?? '', 'access', this.#context.scheduler.now())
    if (verdict.kind === 'valid') return { user: verdict.user, sessionId: verdict.id }
    return errorAnswer(
      401,
      'Unauthorized',
      verdict.kind === 'expired' ? 'the token has expired' : 'a valid token is required',
    )
  }

  #login(body: unknown): Answer {
    const login = loginSchema.safeParse(body)
    if (!login.success) return errorAnswer(400, 'InvalidInput', 'username and password are required')
    const { scheduler, durations, recorder } = this.#context
    const { username, password } = login.data
    if (username !== administrator) {
      recorder.failedLogin('console', username, password)
      return errorAnswer(401, 'UserCredentialsInvalid', 'the user name or the password is not correct')
    }
    const outcome = this.#account.login(password)
    if (outcome.kind === 'locked') return errorAnswer(401, 'UserLocked', outcome.message)
    if (outcome.kind === 'refused') return errorAnswer(401, 'UserCredentialsInvalid', outcome.message)
    this.#lastLogin = scheduler.now()
    return {
      status: 200,
      body: {
        Authorization: this.#tokens.issue(username, 'access', scheduler.now() + durations.consoleSession),
        IsEmailSet: this.#email !== null,
        IsEmailVerified: false,
        IsMfa: false,
        IsPasswordReset: this.#account.isPasswordChanged,
      },
    }
  }

  #resetPassword(body: unknown): Answer {
    const reset = resetSchema.safeParse(body)
    if (!reset.success)
      return errorAnswer(400, 'InvalidInput', 'oldPassword, newPassword and a valid email are expected')
    const { email, oldPassword, newPassword } = reset.data
    if (!this.#account.isPassword(oldPassword)) {
      return errorAnswer(400, 'InvalidPassword', 'the current password is not correct')
    }
    const classes = [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z0-9]/]
    if (newPassword.length < shortestPassword || !classes.every((one) => one.test(newPassword))) {
      return errorAnswer(
        400,
        'PasswordPolicy',
        `the password needs ${shortestPassword} characters or more, with upper and lower case, digits and special characters`,
      )
    }
    if (newPassword === oldPassword)
      return errorAnswer(400, 'PasswordPolicy', 'the new password must differ from the old one')
    this.#account.changePassword(newPassword)
    this.#lastPasswordChange = this.#context.scheduler.now()
    if (email !== undefined) this.#email = email
    return { status: 204 }
  }

  #routes(): Route[] {
    const time = (at: number) => new Date(at).toISOString()
    const sync = () => {
      const isRunning = this.#context.scheduler.now() < this.#syncingUntil
      return {
        status: this.#syncs === 0 ? 'Pending' : isRunning ? 'InProgress' : 'Success',
        message: '',
        isSyncSupported: true,
        ...(this.#syncs === 0 ? {} : { lastRunTime: time(this.#syncingUntil) }),
        ...(this.#syncs === 0 || isRunning ? {} : { lastSyncedTime: time(this.#syncingUntil) }),
      }
    }
    const registryRoute = (suffix: string, method: string, handle: () => Answer): Route => ({
      method,
      path: `/v1/registries/oci/{uid}/basic/sync${suffix}`,
      handle: ({ params }) =>
        params['uid'] === this.#registryUid
          ? handle()
          : errorAnswer(404, 'RegistryNotFound', 'there is no such registry'),
    })
    return [
      { method: 'POST', path: '/v1/auth/syslogin', isPublic: true, handle: ({ body }) => this.#login(body) },
      {
        method: 'GET',
        path: '/v1/health/ping',
        isPublic: true,
        handle: () => ({ status: 200, body: { msg: 'pong' } }),
      },
      {
        method: 'GET',
        path: '/v1/health/ready',
        isPublic: true,
        handle: () => ({ status: 200, body: { msg: 'ready' } }),
      },
      {
        method: 'GET',
        path: '/v1/system/users/me',
        handle: ({ user }) => ({
          status: 200,
          body: {
            metadata: { name: user, uid: stableHash('user', user).slice(0, 24) },
            spec: { adminType: 'RootAdmin', emailId: this.#email ?? '' },
            status: {
              isEmailSet: this.#email !== null,
              isEmailVerified: false,
              isMfaEnabled: false,
              isPasswordReset: this.#account.isPasswordChanged,
              lastLoginTime: time(this.#lastLogin),
              ...(this.#account.isPasswordChanged
                ? { lastPasswordUpdateTime: time(this.#lastPasswordChange) }
                : {}),
            },
          },
        }),
      },
      {
        method: 'PATCH',
        path: '/v1/system/admin/password/reset',
        handle: ({ body }) => this.#resetPassword(body),
      },
      {
        method: 'PATCH',
        path: '/v1/system/admin/email',
        handle: ({ body }) => {
          const change = emailSchema.safeParse(body)
          if (!change.success) return errorAnswer(400, 'InvalidInput', 'a valid email is expected')
          if (!this.#account.isPassword(change.data.password ?? '')) {
            return errorAnswer(400, 'InvalidPassword', 'the password is not correct')
          }
          this.#email = change.data.email
          return { status: 204 }
        },
      },
      {
        method: 'GET',
        path: '/v1/system/version/installed',
        handle: () => ({ status: 200, body: { version: this.#version } }),
      },
      {
        method: 'GET',
        path: '/v1/system/version/latest',
        handle: () => ({ status: 200, body: { version: this.#version } }),
      },
      {
        method: 'GET',
        path: '/v1/system/activation',
        handle: () => ({
          status: 200,
          body: {
            metadata: { name: 'activation', uid: this.#registryUid },
            spec: { activationKeyUid: '', planUid: '', systemUid: this.#registryUid },
            status: { state: 'Pending' },
          },
        }),
      },
      {
        method: 'GET',
        path: '/v1/registries/oci/summary',
        handle: () => ({
          status: 200,
          body: {
            items: [
              {
                metadata: { name: 'palette-appliance-registry', uid: this.#registryUid },
                spec: {
                  endpoint: `https://${this.#cluster.vip ?? ''}:30003`,
                  providerType: 'pack',
                  registryType: 'basic',
                  scope: 'system',
                  isPrivate: true,
                  containsSpectroManifest: true,
                  defaultRegion: '',
                },
                status: { sync: sync() },
              },
            ],
          },
        }),
      },
      registryRoute('', 'POST', () => {
        const { scheduler, durations, recorder } = this.#context
        this.#syncs += 1
        this.#syncingUntil = scheduler.now() + durations.registrySync
        recorder.busy(scheduler.now(), this.#syncingUntil)
        return { status: 202 }
      }),
      registryRoute('/status', 'GET', () => ({ status: 200, body: sync() })),
    ]
  }

  get #version(): string {
    return this.#cluster.profiles[0]?.version ?? ''
  }
}
