import { AppError } from '../../shared/errors/index.ts'
import type { Plan } from '../../shared/plan/index.ts'
import type { Clock } from '../engine/clock.ts'
import type { PhaseContext } from '../engine/phase.ts'
import type { Dialler, Endpoint } from '../network/dialler.ts'
import type { SecretStore } from '../secrets/index.ts'
import {
  findAgent,
  connectPatiently,
  connectSsh,
  createJumpDialler,
  readHostKey,
  type JumpDialler,
  type SshAuthentication,
  type SshConnection,
} from '../ssh/index.ts'
import type { IdentityStore } from '../storage/identity-store.ts'
import { pinIdentity } from './pin-identity.ts'

interface JumpHostOptions {
  readonly jumpHost: NonNullable<Plan['access']['jumpHost']>
  readonly secrets: SecretStore
  readonly areSecretsComplete: boolean
  readonly identities: IdentityStore
  readonly dialler: Dialler
  readonly clock: Clock
  readonly readFile: (path: string) => Promise<Buffer>
}

/** The machine of `access.jumpHost`: one SSH connection to it, through which everything at the site is dialled. */
export class JumpHost {
  readonly dialler: JumpDialler
  readonly #options: JumpHostOptions
  readonly #endpoint: Endpoint
  #preparing: Promise<void> | undefined

  constructor(options: JumpHostOptions) {
    this.#options = options
    this.#endpoint = { host: options.jumpHost.address, port: options.jumpHost.port }
    this.dialler = createJumpDialler(() => this.#open())
  }

  /** Shows and pins its host key when it is seen for the first time. Nothing is dialled before. */
  async prepare<S>(context: PhaseContext<S>): Promise<void> {
    const { identities, dialler, clock } = this.#options
    if (identities.get('ssh', this.#endpoint) !== undefined) return
    this.#preparing ??= (async () => {
      const seen = await connectPatiently(() => readHostKey(this.#endpoint, { dialler }), {
        clock,
        signal: undefined,
      })
      await pinIdentity(context, identities, 'ssh', this.#endpoint, {
        ...seen,
        firstSeen: new Date().toISOString(),
      })
    })().finally(() => {
      this.#preparing = undefined
    })
    try {
      await this.#preparing
    } catch (error) {
      throw explained(error)
    }
  }

  close(): Promise<void> {
    return this.dialler.close()
  }

  async #open(): Promise<SshConnection> {
    const { dialler, clock, identities, jumpHost } = this.#options
    const known = identities.get('ssh', this.#endpoint)
    const auth = await this.#authentication()
    try {
      return await connectPatiently(
        () =>
          connectSsh({
            endpoint: this.#endpoint,
            username: jumpHost.user,
            auth,
            dialler,
            hostKey: known === undefined ? { verify: () => 'reject' } : { pinned: known },
          }),
        { clock, signal: undefined },
      )
    } catch (error) {
      throw explained(error)
    }
  }

  async #authentication(): Promise<SshAuthentication> {
    const { jumpHost, readFile, secrets, areSecretsComplete } = this.#options
    const { sshKey, sshKeyPassphrase, password, useSshAgent } = jumpHost
    const agent = useSshAgent ? findAgent() : undefined
    const secret = async (reference: typeof password, field: string) =>
      reference === null || !areSecretsComplete ? undefined : await secrets.resolve(reference, field)
    return {
      ...(sshKey === null ? {} : { privateKey: await readFile(sshKey) }),
      passphrase: await secret(sshKeyPassphrase, 'access.jumpHost.sshKeyPassphrase'),
      password: await secret(password, 'access.jumpHost.password'),
      ...(agent === undefined ? {} : { agent }),
    }
  }
}

/** What goes wrong at the jump host must not be looked for at a node. */
function explained(error: unknown): unknown {
  if (!(error instanceof AppError)) return error
  return new AppError({
    ...error.toData(),
    title: `Jump host: ${error.title}`,
    remedies: [...error.remedies, 'Check access.jumpHost in the plan.'],
    cause: error,
  })
}
