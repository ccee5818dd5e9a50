import { AppError } from '../../shared/errors/index.ts'
import { productDefaultPasswords, type Plan, type PlanNode } from '../../shared/plan/index.ts'
import { createLocalApiClient, type LocalApiClient } from '../appliance/index.ts'
import type { Clock } from '../engine/clock.ts'
import type { PhaseContext } from '../engine/phase.ts'
import { identityOfCertificate, readCertificate, type CertificatePin } from '../network/certificate.ts'
import type { Dialler, Endpoint } from '../network/dialler.ts'
import type { SecretStore } from '../secrets/index.ts'
import { connectSsh, readHostKey, type SshConnection } from '../ssh/index.ts'
import type { Identity, IdentityStore } from '../storage/identity-store.ts'
import { pinIdentity } from './pin-identity.ts'
import { logIn, plannedCredentials, type Credential } from './credentials.ts'

/** Id of the phase and key of the change that replaces a node's initial password. */
export const nodePasswordChange = { phase: 'change-passwords', key: 'change-password' }

interface NodeAccessOptions {
  readonly plan: Plan
  readonly secrets: SecretStore
  /** False: only the product's own initial password may be tried (a dry run without the secrets). */
  readonly areSecretsComplete: boolean
  readonly identities: IdentityStore
  readonly dialler: Dialler
  readonly clock: Clock
  readonly readFile: (path: string) => Promise<Buffer>
  /** Real time for one connection. */
  readonly connectTimeoutMilliseconds?: number
}

interface Session {
  readonly client: LocalApiClient
  readonly credential: Credential
}

/** Whether SSH can be used on a node; if not, why. */
export type SshAccess =
  | { readonly kind: 'open'; readonly connection: SshConnection }
  | { readonly kind: 'closed'; readonly reason: string }

interface NodeState {
  /** Where the node was found to answer. */
  address: string | undefined
  client: LocalApiClient | undefined
  session: Promise<Session> | undefined
  ssh: Promise<SshAccess> | undefined
}

type Context = PhaseContext<unknown>

/**
 * The ways to the nodes: pinned connections, one session and one SSH connection each, opened when first needed.
 *
 * A node is looked for at the address that it shall have in the end, then at the one it had when the plan was written,
 * so that a resumed run finds it whichever of them it has.
 */
export class NodeAccess {
  readonly #options: NodeAccessOptions
  readonly #states = new Map<string, NodeState>()

  constructor(options: NodeAccessOptions) {
    this.#options = options
  }

  /** A client that is not logged in, for `ping`. The certificate is pinned on first sight and reported. */
  async client(context: Context, node: PlanNode): Promise<LocalApiClient> {
    const state = this.#stateOf(node)
    if (state.client !== undefined) return state.client
    const { endpoint, pin } = await this.#reach(context, node)
    state.address = endpoint.host
    state.client = this.#createClient(node, endpoint, pin)
    return state.client
  }

  /** A client that is logged in. Throws `LOGIN_REFUSED`, `LOGIN_LOCKED`, `TLS_IDENTITY_CHANGED`, transient ones. */
  async localApi(context: Context, node: PlanNode): Promise<LocalApiClient> {
    return (await this.#session(context, node)).client
  }

  /** Which password the node accepted. */
  async acceptedCredential(context: Context, node: PlanNode): Promise<Credential> {
    return (await this.#session(context, node)).credential
  }

  /** The SSH connection, opened on first use with the plan's key or with the password that the Local UI accepted. */
  async ssh(context: Context, node: PlanNode): Promise<SshAccess> {
    const state = this.#stateOf(node)
    if (state.ssh !== undefined) {
      const access = await state.ssh
      if (access.kind === 'closed' || access.connection.isConnected()) return access
    }
    state.ssh = this.#openSsh(context, node)
    return this.#keptOnlyIfGood(state, 'ssh', state.ssh)
  }

  /** Address at which the node answers now. */
  addressOf(node: PlanNode): string {
    return this.#stateOf(node).address ?? node.address
  }

  /**
   * Forgets connections and session: the node restarts, has another address, or its password may be another one. With
   * the client goes its memory of refused passwords: the new password is refused until it is set, and right from then on.
   */
  async forget(node: PlanNode): Promise<void> {
    const state = this.#states.get(node.name)
    this.#states.delete(node.name)
    if (state === undefined) return
    await state.client?.close()
    const access = await state.ssh?.catch(() => undefined)
    if (access?.kind === 'open') await access.connection.close()
  }

  /** Logs out and closes everything. */
  async close(): Promise<void> {
    await Promise.all(this.#options.plan.nodes.map((node) => this.forget(node)))
  }

  async #session(context: Context, node: PlanNode): Promise<Session> {
    const state = this.#stateOf(node)
    state.session ??= this.#openSession(context, node)
    return this.#keptOnlyIfGood(state, 'session', state.session)
  }

  /** A failed attempt must not be remembered as the state of things. */
  async #keptOnlyIfGood<K extends 'ssh' | 'session', T>(
    state: NodeState,
    key: K,
    promise: Promise<T>,
  ): Promise<T> {
    try {
      return await promise
    } catch (error) {
      state[key] = undefined
      throw error
    }
  }

  async #openSession(context: Context, node: PlanNode): Promise<Session> {
    const client = await this.client(context, node)
    const { plan } = this.#options
    const credential = await logIn({
      context,
      node: node.name,
      account: plan.access.user,
      place: node.name,
      credentials: await this.credentials(),
      passwordChange: context.history.change(nodePasswordChange.phase, node.name, nodePasswordChange.key),
      login: (password) => client.login({ username: plan.access.user, password }, { signal: context.signal }),
    })
    return { client, credential }
  }

  /** The passwords that the plan names, in the order of the procedure. */
  async credentials(): Promise<Credential[]> {
    const { plan, secrets, areSecretsComplete } = this.#options
    const { initialPassword, newPassword } = plan.access
    return plannedCredentials({
      initial:
        initialPassword === 'product-default'
          ? () => Promise.resolve(productDefaultPasswords.node)
          : areSecretsComplete && (() => secrets.resolve(initialPassword, 'access.initialPassword')),
      wanted:
        newPassword !== null &&
        areSecretsComplete &&
        (() => secrets.resolve(newPassword, 'access.newPassword')),
    })
  }

  async #openSsh(context: Context, node: PlanNode): Promise<SshAccess> {
    const { plan, dialler, readFile, secrets } = this.#options
    const session = await this.#session(context, node)
    const endpoint: Endpoint = { host: this.addressOf(node), port: node.ssh.port }
    const hostKey = await this.#pinnedHostKey(context, node, endpoint)
    const { sshKey, sshKeyPassphrase, useSshAgent } = plan.access
    const agent = useSshAgent ? process.env['SSH_AUTH_SOCK'] : undefined
    try {
      const connection = await connectSsh({
        endpoint,
        username: plan.access.user,
        auth: {
          password: session.credential.password,
          ...(sshKey === null ? {} : { privateKey: await readFile(sshKey) }),
          ...(sshKeyPassphrase === null
            ? {}
            : { passphrase: await secrets.resolve(sshKeyPassphrase, 'access.sshKeyPassphrase') }),
          ...(agent === undefined ? {} : { agent }),
        },
        hostKey: { pinned: hostKey },
        dialler,
        node: node.name,
        signal: context.signal,
      })
      return { kind: 'open', connection }
    } catch (error) {
      // Some images allow keys only (palette.md §6.1); the Local UI still does most of the work.
      if (error instanceof AppError && error.code === 'SSH_LOGIN_REFUSED') {
        return { kind: 'closed', reason: error.detail === '' ? error.title : error.detail }
      }
      if (error instanceof AppError && error.code === 'SSH_IDENTITY_CHANGED') {
        throw new AppError({
          ...error.toData(),
          remedies: identityRemedies(node),
          cause: error,
        })
      }
      throw error
    }
  }

  async #pinnedHostKey(context: Context, node: PlanNode, endpoint: Endpoint): Promise<Identity> {
    const { identities, dialler } = this.#options
    for (const candidate of this.#candidateEndpoints(node, node.ssh.port)) {
      const known = identities.get('ssh', candidate)
      if (known === undefined) continue
      if (candidate.host !== endpoint.host) await identities.pin('ssh', endpoint, known)
      return known
    }
    const seen = await readHostKey(endpoint, { dialler, signal: context.signal, node: node.name })
    const identity: Identity = { ...seen, firstSeen: new Date().toISOString() }
    await pinIdentity(context, identities, 'ssh', endpoint, identity)
    return identity
  }

  /** Finds the address at which the node answers, with the certificate that it must present there. */
  async #reach(context: Context, node: PlanNode): Promise<{ endpoint: Endpoint; pin: CertificatePin }> {
    const { identities } = this.#options
    const candidates = this.#candidateEndpoints(node, node.localUi.port)
    const known = candidates
      .map((endpoint) => identities.get('tls', endpoint))
      .find((identity) => identity !== undefined)
    let failure: unknown
    for (const endpoint of candidates) {
      try {
        const seen = await this.#readCertificate(context, node, endpoint)
        if (known !== undefined && known.fingerprint !== seen.fingerprint) {
          throw this.#identityChanged(node, endpoint, known, seen)
        }
        if (identities.get('tls', endpoint) === undefined) {
          await pinIdentity(context, identities, 'tls', endpoint, seen)
        }
        return { endpoint, pin: pinOf(seen) }
      } catch (error) {
        context.signal.throwIfAborted()
        if (!(error instanceof AppError) || !error.isTransient) throw error
        failure ??= error
      }
    }
    throw failure
  }

  async #readCertificate(context: Context, node: PlanNode, endpoint: Endpoint): Promise<Identity> {
    const { dialler, connectTimeoutMilliseconds } = this.#options
    const certificate = await readCertificate(endpoint, {
      dialler,
      signal: context.signal,
      node: node.name,
      ...(connectTimeoutMilliseconds === undefined
        ? {}
        : { timeoutMilliseconds: connectTimeoutMilliseconds }),
    })
    return identityOfCertificate(certificate, new Date().toISOString())
  }

  #identityChanged(node: PlanNode, endpoint: Endpoint, known: Identity, seen: Identity): AppError {
    return new AppError({
      code: 'TLS_IDENTITY_CHANGED',
      title: `${textOf(endpoint)} presents another certificate than before.`,
      detail: `Pinned on ${known.firstSeen}: ${known.fingerprint}. Now: ${seen.fingerprint}. Nothing was sent.`,
      remedies: identityRemedies(node),
      node: node.name,
    })
  }

  #candidateEndpoints(node: PlanNode, port: number): Endpoint[] {
    const planned = node.nic.mode === 'static' ? node.nic.address : null
    const hosts = planned === null || planned === node.address ? [node.address] : [planned, node.address]
    return hosts.map((host) => ({ host, port }))
  }

  #createClient(node: PlanNode, endpoint: Endpoint, pin: CertificatePin): LocalApiClient {
    const { dialler, clock } = this.#options
    return createLocalApiClient({ endpoint, pin, dialler, clock, node: node.name })
  }

  #stateOf(node: PlanNode): NodeState {
    let state = this.#states.get(node.name)
    if (state === undefined) {
      state = { address: undefined, client: undefined, session: undefined, ssh: undefined }
      this.#states.set(node.name, state)
    }
    return state
  }
}

function pinOf(identity: Identity): CertificatePin {
  return { fingerprint: identity.fingerprint, certificatePem: identity.certificatePem ?? '' }
}

function identityRemedies(node: PlanNode): string[] {
  return [
    `If ${node.name} was installed again, forget its identity: landfall identity forget PLAN ${node.name}.`,
    'Otherwise another machine has this address: find out which, before anything is sent to it.',
  ]
}

function textOf(endpoint: Endpoint): string {
  return `${endpoint.host}:${String(endpoint.port)}`
}
