import { AppError } from '../../shared/errors/index.ts'
import { orAborted } from '../engine/cancellation.ts'
import { nodePhase } from '../engine/phase.ts'
import type { CredentialName } from '../engine/history.ts'
import { describeFleet } from './fleet-passwords.ts'
import { nodePasswordChange } from './node-access.ts'
import type { Site, SiteNodeContext } from './site.ts'

interface Facts {
  /** Which password the node accepts now. */
  readonly accepted: CredentialName
}

/** Replaces the password that the node started with (it is that of the Local UI and of SSH). */
export const changePasswords = nodePhase<Site, Facts>({
  id: nodePasswordChange.phase,
  title: 'Change the passwords of the nodes',
  expectedSeconds: 10,
  work: 'api',
  gather: async (context) => {
    const { name } = await context.services.nodes.acceptedCredential(context, context.node)
    return { accepted: name }
  },
  assumeFresh: () => ({ accepted: 'initial' }),
  select: (context, facts) => {
    const { newPassword, user } = context.services.plan.access
    if (newPassword === null) {
      return {
        kind: 'already-done',
        statement: 'The password stays as it is',
        seen: 'access.newPassword is null',
      }
    }
    return facts.accepted === 'new'
      ? { kind: 'already-done', statement: 'The new password is in use', seen: `${user} logged in with it` }
      : { kind: 'needed' }
  },
  apply: async (context) => {
    const { node, services } = context
    if (context.mode === 'dry-run') {
      await changePassword(context)
      return
    }
    const turn = await turnsOf(services).take(context.signal, () => ensureNobodyWasRefused(context))
    try {
      await changePassword(context)
      await proveNewPassword(context)
      turn.end('proven')
    } catch (error) {
      const isRefusal = error instanceof AppError && !error.isTransient && !context.signal.aborted
      turn.end(isRefusal ? 'refused' : 'open', node.name)
      throw withFleet(context, error)
    }
  },
  verify: async (context) => {
    const { node, services } = context
    const { user } = services.plan.access
    const ssh = await proveNewPassword(context)
    context.evidence('The new password is in use', `${user} logged in to the Local UI with it, ${ssh}`)
    context.progress(`${node.name} has the new password`, 1)
  },
})

async function changePassword(context: SiteNodeContext): Promise<void> {
  const { node, services } = context
  const { user } = services.plan.access
  try {
    await context.change(
      nodePasswordChange.key,
      `change the password of ${user} (Local UI and SSH)`,
      async (signal) => {
        const [initial, wanted] = await services.nodes.credentials()
        if (initial === undefined || wanted === undefined)
          throw new TypeError('No new password to change to.')
        const client = await services.nodes.localApi(context, node)
        const outcome = await client.changePassword(initial.password, wanted.password, { signal })
        if (outcome.kind === 'refused') throw passwordRefused(node.name, user, outcome.message)
      },
    )
  } finally {
    // After a lost answer as well: only a new login tells which password is in use now.
    if (context.mode === 'apply') await services.nodes.forget(node)
  }
}

/** Logs in anew, to the Local UI and by SSH. Returns what SSH proved, in words. */
async function proveNewPassword(context: SiteNodeContext): Promise<string> {
  const { node, services } = context
  const accepted = await services.nodes.acceptedCredential(context, node)
  if (accepted.name !== 'new') {
    throw new AppError({
      code: 'PASSWORD_NOT_CHANGED',
      title: `${node.name} still accepts the old password only.`,
      detail: 'The Local UI confirmed the change, and then refused the new password.',
      remedies: ['Log in to the Local UI by hand and look at its audit log.'],
      node: node.name,
    })
  }
  const access = await services.nodes.ssh(context, node)
  if (access.kind === 'closed') {
    // Where SSH was closed before, the new password cannot have done it.
    if (services.facts.get(node.name)?.host.kind !== 'read') return `SSH was not tried (${access.reason})`
    throw new AppError({
      code: 'PASSWORD_NOT_FOR_SSH',
      title: `${node.name} takes the new password at its Local UI, but not by SSH.`,
      detail: `SSH was open before the change. Now: ${access.reason}`,
      remedies: [
        'Log in by SSH by hand with the new password, and look at the log of the SSH server on the console of the node.',
        'Then go on with --resume.',
      ],
      node: node.name,
    })
  }
  const { loginMethod } = access.connection
  return loginMethod === 'publickey' || loginMethod === 'agent' ? 'by SSH with the key' : 'SSH as well'
}

/**
 * The first node changes alone: a password that the appliance does not want is then refused by one node, and all others still
 * have the old one. The rest follows side by side. The old password stays in the vault or wherever the plan has it from.
 */
class Turns {
  #current: Promise<undefined> | undefined
  #isProven = false
  #refusedBy: string | undefined

  async take(
    signal: AbortSignal,
    ensureNobodyWasRefused: () => void,
  ): Promise<{ end(outcome: 'proven' | 'refused' | 'open', node?: string): void }> {
    while (!this.#isProven) {
      ensureNobodyWasRefused()
      if (this.#current === undefined) {
        const { promise, resolve } = Promise.withResolvers<undefined>()
        this.#current = promise
        return {
          end: (outcome, node) => {
            this.#isProven = outcome === 'proven'
            if (outcome === 'refused') this.#refusedBy = node
            this.#current = undefined
            resolve(undefined)
          },
        }
      }
      await orAborted(signal, this.#current)
    }
    return { end: () => undefined }
  }

  get refusedBy(): string | undefined {
    return this.#refusedBy
  }
}

const turns = new WeakMap<Site, Turns>()

function turnsOf(site: Site): Turns {
  const known = turns.get(site) ?? new Turns()
  turns.set(site, known)
  return known
}

function ensureNobodyWasRefused(context: SiteNodeContext): void {
  const { node, services } = context
  const { refusedBy } = turnsOf(services)
  if (refusedBy === undefined || refusedBy === node.name) return
  throw new AppError({
    code: 'PASSWORD_HELD_BACK',
    title: `${node.name} keeps its old password, because the change failed on ${refusedBy}.`,
    detail: describeFleet(context),
    remedies: [`Solve what is told for ${refusedBy}, then go on with --resume.`],
    node: node.name,
  })
}

/** After a failure it must be clear which password goes where. */
function withFleet(context: SiteNodeContext, error: unknown): unknown {
  if (!(error instanceof AppError) || context.signal.aborted) return error
  return new AppError({
    ...error.toData(),
    detail: `${error.detail} Passwords now: ${describeFleet(context)}`.trim(),
    cause: error,
  })
}

function passwordRefused(node: string, user: string, message: string): AppError {
  return new AppError({
    code: 'PASSWORD_REFUSED',
    title: `${node} does not accept the new password of ${user}.`,
    detail: message,
    remedies: [
      'Choose another new password: 15 characters or more, lower and upper case, digit and special character.',
      'Or let Landfall make one: access.newPassword: { generate: node-password }.',
    ],
    node,
  })
}
