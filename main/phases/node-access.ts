import { AppError, assertNever } from '../../shared/errors/index.ts'
import { productDefaultPasswords, type Plan, type PlanNode } from '../../shared/plan/index.ts'
import { createLocalApiClient, type LocalApiClient } from '../appliance/index.ts'
import type { Clock } from '../engine/clock.ts'
import type { PhaseContext } from '../engine/phase.ts'
import { Semaphore } from '../engine/semaphore.ts'
import { identityOfCertificate, readCertificate, type CertificatePin } from '../network/certificate.ts'
import type { Dialler, Endpoint } from '../network/dialler.ts'
import type { LoginOutcome } from '../network/session.ts'
import type { SecretStore } from '../secrets/index.ts'
import {
  findAgent,
  connectPatiently,
  connectSsh,
  judgeHostKey,
  lastingConnection,
  readHostKey,
  wasPasswordRefused,
  type HostKeyJudgement,
  type LastingConnection,
  type SshAuthentication,
  type SshConnection,
} from '../ssh/index.ts'
import type { Identity, IdentityStore } from '../storage/identity-store.ts'
import { memoryLoginAttempts, type LoginAttempts } from '../storage/login-attempts.ts'
import { JumpHost } from './jump-host.ts'
import { pinIdentity } from './pin-identity.ts'
import { logIn, plannedCredentials, type Credential } from './credentials.ts'
import { interceptedError, proveCertificate, type CertificateProof } from './prove-certificate.ts'

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
  /** Refused logins of all runs of the site; default: those of this process. */
  readonly loginAttempts?: LoginAttempts
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

type OwnSshAccess = SshAccess & { readonly connection?: LastingConnection }

interface NodeState {
  /** Where the node was found to answer. */
  address: string | undefined
  client: LocalApiClient | undefined
  session: Promise<Session> | undefined
  ssh: Promise<OwnSshAccess> | undefined
  /** A connection from before the login to the Local UI, until somebody asks for it. */
  early: LastingConnection | undefined
  proof: CertificateProof | undefined
  hostKey: HostKeyJudgement | undefined
}

/** Handshakes of SSH that are under way at the same time; each is work for this computer. */
const handshakesAtOnce = 16

type Context = PhaseContext<unknown>

/**
 * The ways to the nodes: pinned connections, one session and one SSH connection each, opened when first needed.
 *
 * A node is looked for at the address that it shall have in the end, then at the one it had when the plan was written,
 * so that a resumed run finds it whichever of them it has.
 */
export class NodeAccess {
  /** Dials the nodes, and whatever else is where they are: through the jump host where the plan has one. */
  readonly dialler: Dialler
  readonly #options: NodeAccessOptions
  readonly #states = new Map<string, NodeState>()
  readonly #handshakes = new Semaphore(handshakesAtOnce)
  readonly #attempts: LoginAttempts
  readonly #jumpHost: JumpHost | undefined

  constructor(options: NodeAccessOptions) {
    this.#options = options
    this.#attempts = options.loginAttempts ?? memoryLoginAttempts()
    const { jumpHost } = options.plan.access
    this.#jumpHost = jumpHost === null ? undefined : new JumpHost({ ...options, jumpHost })
    this.dialler = this.#jumpHost?.dialler ?? options.dialler
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

  /**
   * The SSH connection, opened on first use with the plan's key or with the password that the Local UI accepted. It is opened
   * anew by itself for the next command when it was lost.
   */
  async ssh(context: Context, node: PlanNode): Promise<SshAccess> {
    const state = this.#stateOf(node)
    if (state.ssh !== undefined) {
      const access = await state.ssh
      if (access.kind === 'open') await access.connection.ensureOpen()
      return access
    }
    state.ssh = this.#openSsh(context, node)
    return this.#keptOnlyIfGood(state, 'ssh', state.ssh)
  }

  /** What is known of the certificate of the Local UI; `undefined` before the first login. */
  certificateProof(node: PlanNode): CertificateProof | undefined {
    return this.#states.get(node.name)?.proof
  }

  /** The host key that the node showed, and whether it is the known one; `undefined` before the first connection. */
  hostKey(node: PlanNode): HostKeyJudgement | undefined {
    return this.#states.get(node.name)?.hostKey
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
    await state.early?.close()
    const access = await state.ssh?.catch(() => undefined)
    if (access?.kind === 'open') await access.connection.close()
  }

  /** Logs out and closes everything. */
  async close(): Promise<void> {
    await Promise.all(this.#options.plan.nodes.map((node) => this.forget(node)))
    await this.#jumpHost?.close()
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

  /**
   * Logs in to the Local UI. Where its certificate was seen from here only, SSH comes first: by key without any password, else
   * with the very password that is to be tried, which then counts as its one attempt (docs/adr/0016).
   */
  async #openSession(context: Context, node: PlanNode): Promise<Session> {
    const client = await this.client(context, node)
    const { user } = this.#options.plan.access
    await this.#proveByKey(context, node)
    const credential = await logIn({
      context,
      node: node.name,
      account: user,
      place: node.name,
      credentials: await this.credentials(),
      passwordChange: context.history.change(nodePasswordChange.phase, node.name, nodePasswordChange.key),
      count: this.#attempts,
      login: async (password) => {
        const refusal = await this.#proveByPassword(context, node, password)
        return refusal ?? (await client.login({ username: user, password }, { signal: context.signal }))
      },
    })
    return { client, credential }
  }

  async #proveByKey(context: Context, node: PlanNode): Promise<void> {
    if (this.#isProven(node)) return
    const keys = await this.#keys()
    if (keys.privateKey === undefined && keys.agent === undefined) return
    const opened = await this.#openEarly(context, node, keys)
    if (opened instanceof AppError) this.#noteUnproven(node, opened)
    else await this.#prove(context, node, opened)
  }

  /** `undefined`: nothing speaks against sending the password to the Local UI now. */
  async #proveByPassword(
    context: Context,
    node: PlanNode,
    password: string,
  ): Promise<LoginOutcome | undefined> {
    const state = this.#stateOf(node)
    // One look is enough: what it did not tell, another password will not tell either.
    if (this.#isProven(node) || state.proof !== undefined) return undefined
    const opened = await this.#openEarly(context, node, { password })
    if (!(opened instanceof AppError)) {
      await this.#prove(context, node, opened)
      return undefined
    }
    this.#noteUnproven(node, opened)
    return wasPasswordRefused(opened)
      ? { kind: 'refused', message: 'SSH does not accept it, or the account is locked' }
      : undefined
  }

  #isProven(node: PlanNode): boolean {
    const { identities } = this.#options
    const endpoint = { host: this.addressOf(node), port: node.localUi.port }
    const identity = identities.get('tls', endpoint)
    if (identity?.provenBy !== 'ssh') return false
    this.#stateOf(node).proof ??= {
      kind: 'proven',
      fingerprint: identity.fingerprint,
      how: `compared over SSH, first seen ${identity.firstSeen}`,
    }
    return true
  }

  #noteUnproven(node: PlanNode, error: AppError): void {
    const endpoint = { host: this.addressOf(node), port: node.localUi.port }
    const fingerprint = this.#options.identities.get('tls', endpoint)?.fingerprint ?? ''
    this.#stateOf(node).proof = { kind: 'unproven', fingerprint, reason: error.message }
  }

  /** The error where SSH cannot be used now; what must stop everything (another host key, an abort) is thrown. */
  async #openEarly(
    context: Context,
    node: PlanNode,
    auth: SshAuthentication,
  ): Promise<LastingConnection | AppError> {
    const state = this.#stateOf(node)
    try {
      const first = await this.#connect(context, node, auth)
      const connection = lastingConnection(first, () => this.#connect(context, node, auth))
      state.early = connection
      return connection
    } catch (error) {
      context.signal.throwIfAborted()
      if (!(error instanceof AppError)) throw error
      if (error.code === 'SSH_LOGIN_REFUSED' || error.isTransient || error.code === 'SSH_HANDSHAKE_FAILED')
        return error
      throw error
    }
  }

  async #prove(context: Context, node: PlanNode, connection: SshConnection): Promise<void> {
    const { identities } = this.#options
    const state = this.#stateOf(node)
    const endpoint = { host: this.addressOf(node), port: node.localUi.port }
    const identity = identities.get('tls', endpoint)
    if (identity === undefined) return
    const proof = await proveCertificate({
      connection,
      node,
      address: endpoint.host,
      seenFromHere: identity.fingerprint,
      signal: context.signal,
    })
    state.proof = proof
    switch (proof.kind) {
      case 'proven':
        await identities.pin('tls', endpoint, { ...identity, provenBy: 'ssh' })
        context.evidence(
          "The certificate of the Local UI is the node's own",
          `${proof.fingerprint}: ${proof.how}`,
        )
        break
      case 'intercepted':
        // It belongs to somebody else, and must not stand in the way when that one has gone.
        for (const one of this.#candidateEndpoints(node, node.localUi.port))
          await identities.forget('tls', one)
        throw interceptedError(node, endpoint.host, proof)
      case 'unproven':
        break
      default:
        assertNever(proof)
    }
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

  async #openSsh(context: Context, node: PlanNode): Promise<OwnSshAccess> {
    const session = await this.#session(context, node)
    const state = this.#stateOf(node)
    const { early } = state
    state.early = undefined
    if (early !== undefined) {
      await early.ensureOpen()
      return { kind: 'open', connection: early }
    }
    const open = async () =>
      await this.#connect(context, node, {
        ...(await this.#keys()),
        password: session.credential.password,
      })
    try {
      return { kind: 'open', connection: lastingConnection(await open(), open) }
    } catch (error) {
      // Some images allow keys only (palette.md §6.1); the Local UI still does most of the work.
      if (error instanceof AppError && error.code === 'SSH_LOGIN_REFUSED') {
        return { kind: 'closed', reason: error.detail === '' ? error.title : error.detail }
      }
      throw error
    }
  }

  /** The keys that the plan names: read for each login, never kept. */
  async #keys(): Promise<Pick<SshAuthentication, 'privateKey' | 'passphrase' | 'agent'>> {
    const { plan, readFile, secrets, areSecretsComplete } = this.#options
    const { sshKey, sshKeyPassphrase, useSshAgent } = plan.access
    const agent = useSshAgent ? findAgent() : undefined
    const needsPassphrase = sshKey !== null && sshKeyPassphrase !== null
    // A dry run without the secrets does without the key.
    const isKeyUsable = sshKey !== null && (!needsPassphrase || areSecretsComplete)
    return {
      ...(isKeyUsable ? { privateKey: await readFile(sshKey) } : {}),
      ...(isKeyUsable && needsPassphrase
        ? { passphrase: await secrets.resolve(sshKeyPassphrase, 'access.sshKeyPassphrase') }
        : {}),
      ...(agent === undefined ? {} : { agent }),
    }
  }

  /** One login, with exactly what is given. A server that drops it before anything was sent is asked again. */
  async #connect(context: Context, node: PlanNode, auth: SshAuthentication): Promise<SshConnection> {
    const { plan, clock } = this.#options
    const { signal } = context
    const endpoint: Endpoint = { host: this.addressOf(node), port: node.ssh.port }
    await this.#jumpHost?.prepare(context)
    const hostKey = await this.#pinnedHostKey(context, node, endpoint)
    try {
      const connection = await connectPatiently(
        () =>
          this.#handshakes.run(signal, () =>
            connectSsh({
              endpoint,
              username: plan.access.user,
              auth,
              hostKey: { pinned: hostKey },
              dialler: this.dialler,
              node: node.name,
              signal,
            }),
          ),
        { clock, signal },
      )
      this.#stateOf(node).hostKey ??= judgeHostKey(this.#options.identities, endpoint, connection.hostKey)
      return connection
    } catch (error) {
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
    const { identities, clock } = this.#options
    for (const candidate of this.#candidateEndpoints(node, node.ssh.port)) {
      const known = identities.get('ssh', candidate)
      if (known === undefined) continue
      if (candidate.host !== endpoint.host) await identities.pin('ssh', endpoint, known)
      return known
    }
    const { signal } = context
    const seen = await connectPatiently(
      () =>
        this.#handshakes.run(signal, () =>
          readHostKey(endpoint, { dialler: this.dialler, signal, node: node.name }),
        ),
      { clock, signal },
    )
    this.#stateOf(node).hostKey = judgeHostKey(identities, endpoint, seen)
    const identity: Identity = { ...seen, firstSeen: new Date().toISOString() }
    await pinIdentity(context, identities, 'ssh', endpoint, identity)
    return identity
  }

  /**
   * Finds the address at which the node answers, with the certificate that it must present there.
   *
   * A stranger at one of its addresses, who is only looked at, does not hide the node that shows the pinned certificate at
   * the other one. When nobody shows it, the stranger stops everything.
   */
  async #reach(context: Context, node: PlanNode): Promise<{ endpoint: Endpoint; pin: CertificatePin }> {
    const { identities } = this.#options
    await this.#jumpHost?.prepare(context)
    const candidates = this.#candidateEndpoints(node, node.localUi.port)
    const known = candidates
      .map((endpoint) => identities.get('tls', endpoint))
      .find((identity) => identity !== undefined)
    // Whoever answers at the planned address while nothing is pinned is not the node, if the node is where the plan says.
    const order = known === undefined ? candidates.toReversed() : candidates
    let stranger: AppError | undefined
    let failure: AppError | undefined
    for (const endpoint of order) {
      try {
        const seen = await this.#readCertificate(context, node, endpoint)
        if (known !== undefined && known.fingerprint !== seen.fingerprint) {
          stranger ??= this.#identityChanged(node, endpoint, known, seen)
          continue
        }
        if (identities.get('tls', endpoint) === undefined) {
          // Where it is pinned already, what is known of it (proven over SSH) is known of it here as well.
          await pinIdentity(context, identities, 'tls', endpoint, known ?? seen)
        }
        return { endpoint, pin: pinOf(seen) }
      } catch (error) {
        context.signal.throwIfAborted()
        if (!(error instanceof AppError)) throw error
        // Without a pinned identity the next address would be trusted for no better reason than this failure.
        if (!error.isTransient && known === undefined) throw error
        if (failure === undefined || failure.isTransient) failure = error
      }
    }
    throw stranger ?? failure ?? new TypeError('A node without an address.')
  }

  async #readCertificate(context: Context, node: PlanNode, endpoint: Endpoint): Promise<Identity> {
    const { connectTimeoutMilliseconds } = this.#options
    const certificate = await readCertificate(endpoint, {
      dialler: this.dialler,
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
    const { clock } = this.#options
    return createLocalApiClient({ endpoint, pin, dialler: this.dialler, clock, node: node.name })
  }

  #stateOf(node: PlanNode): NodeState {
    let state = this.#states.get(node.name)
    if (state === undefined) {
      state = {
        address: undefined,
        client: undefined,
        session: undefined,
        ssh: undefined,
        early: undefined,
        proof: undefined,
        hostKey: undefined,
      }
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
