import { AppError } from '../../shared/errors/index.ts'
import { productDefaultPasswords, type Plan } from '../../shared/plan/index.ts'
import type { Clock } from '../engine/clock.ts'
import type { PhaseContext } from '../engine/phase.ts'
import { identityOfCertificate, readCertificate } from '../network/certificate.ts'
import type { Dialler, Endpoint } from '../network/dialler.ts'
import { createSystemConsoleClient, type SystemConsoleClient } from '../palette/index.ts'
import type { SecretStore } from '../secrets/index.ts'
import type { Identity, IdentityStore } from '../storage/identity-store.ts'
import { pinIdentity } from './pin-identity.ts'
import { logIn, plannedCredentials, type Credential } from './credentials.ts'

export const consolePort = 443

/** Id of the phase and key of the change that replaces the console's initial password. */
export const consolePasswordChange = { phase: 'first-login', key: 'first-password' }

interface ConsoleAccessOptions {
  readonly plan: Plan
  /** The virtual IP address; `undefined` as long as it is not known. */
  readonly vip: () => string | undefined
  readonly secrets: SecretStore
  /** False: only the product's own initial password may be tried (a dry run without the secrets). */
  readonly areSecretsComplete: boolean
  readonly identities: IdentityStore
  readonly dialler: Dialler
  readonly clock: Clock
}

interface Session {
  readonly client: SystemConsoleClient
  readonly credential: Credential
}

/** The way to the system console: one pinned connection and one session, opened when first needed. */
export class ConsoleAccess {
  readonly #options: ConsoleAccessOptions
  #client: SystemConsoleClient | undefined
  #session: Promise<Session> | undefined

  constructor(options: ConsoleAccessOptions) {
    this.#options = options
  }

  get endpoint(): Endpoint {
    const host = this.#options.vip()
    if (host === undefined) throw vipUnknown()
    return { host, port: consolePort }
  }

  /**
   * Whether the console's API answers. Its certificate is pinned, and reported, at the moment when it does: before, the
   * ingress may still present a provisional one.
   */
  async isApiAlive(context: PhaseContext<unknown>): Promise<boolean> {
    const { identities } = this.#options
    const options = { signal: context.signal }
    if (this.#client !== undefined || identities.get('tls', this.endpoint) !== undefined) {
      return (await this.client(context)).isApiAlive(options)
    }
    const identity = await this.#seenIdentity(context)
    const client = this.#createClient(identity)
    if (!(await client.isApiAlive(options).catch(falseIfReplaced))) {
      await client.close()
      return false
    }
    await this.#pin(context, identity)
    this.#client = client
    return true
  }

  /** A client that is not logged in. The certificate is pinned on first sight and reported. */
  async client(context: PhaseContext<unknown>): Promise<SystemConsoleClient> {
    if (this.#client !== undefined) return this.#client
    let identity = this.#options.identities.get('tls', this.endpoint)
    if (identity === undefined) {
      identity = await this.#seenIdentity(context)
      await this.#pin(context, identity)
    }
    this.#client = this.#createClient(identity)
    return this.#client
  }

  /** A client that is logged in, and the password that the console accepted. */
  async session(context: PhaseContext<unknown>): Promise<Session> {
    this.#session ??= this.#openSession(context)
    try {
      return await this.#session
    } catch (error) {
      this.#session = undefined
      throw error
    }
  }

  /**
   * Closes everything; what comes next connects and logs in anew. Also for a password that may be another one now: with
   * the client goes its memory of refused passwords.
   */
  async close(): Promise<void> {
    this.#session = undefined
    await this.#client?.close()
    this.#client = undefined
  }

  /** The passwords that the plan names, in the order of the procedure. */
  async credentials(): Promise<Credential[]> {
    const { plan, secrets, areSecretsComplete } = this.#options
    const { initialPassword, newPassword } = plan.console
    return plannedCredentials({
      initial:
        initialPassword === 'product-default'
          ? () => Promise.resolve(productDefaultPasswords.console)
          : areSecretsComplete && (() => secrets.resolve(initialPassword, 'console.initialPassword')),
      wanted: areSecretsComplete && (() => secrets.resolve(newPassword, 'console.newPassword')),
    })
  }

  async #seenIdentity(context: PhaseContext<unknown>): Promise<Identity> {
    const { dialler } = this.#options
    const certificate = await readCertificate(this.endpoint, { dialler, signal: context.signal })
    return identityOfCertificate(certificate, new Date().toISOString())
  }

  #pin(context: PhaseContext<unknown>, identity: Identity): Promise<void> {
    return pinIdentity(context, this.#options.identities, 'tls', this.endpoint, identity)
  }

  #createClient(identity: Identity): SystemConsoleClient {
    const { dialler, clock } = this.#options
    const pin = { fingerprint: identity.fingerprint, certificatePem: identity.certificatePem ?? '' }
    return createSystemConsoleClient({ endpoint: this.endpoint, pin, dialler, clock })
  }

  async #openSession(context: PhaseContext<unknown>): Promise<Session> {
    const client = await this.client(context)
    const { username } = this.#options.plan.console
    const credential = await logIn({
      context,
      node: undefined,
      account: username,
      place: 'the system console',
      credentials: await this.credentials(),
      passwordChange: context.history.change(
        consolePasswordChange.phase,
        undefined,
        consolePasswordChange.key,
      ),
      login: (password) => client.login({ username, password }, { signal: context.signal }),
    })
    return { client, credential }
  }
}

/** Between the two looks the ingress took its final certificate: not yet, rather than an attack. Nothing is pinned. */
function falseIfReplaced(error: unknown): false {
  if (error instanceof AppError && error.code === 'TLS_IDENTITY_CHANGED') return false
  throw error
}

/** Only a dry run gets this far without having found an address. Transient: what cannot be read is assumed to be fresh. */
function vipUnknown(): AppError {
  return new AppError({
    code: 'VIP_UNKNOWN',
    title: 'The virtual IP address is not known yet.',
    detail: 'site.vip is auto, and no address was found so far.',
    remedies: ['Switch the nodes on and start again, or write a free address as site.vip.'],
    isTransient: true,
  })
}

/** The console did not do what it confirmed. */
export function consoleMismatch(title: string, detail: string): AppError {
  return new AppError({
    code: 'CONSOLE_MISMATCH',
    title,
    detail,
    remedies: [
      'Log in to the system console by hand and look at the account page, then go on with --resume.',
    ],
  })
}
