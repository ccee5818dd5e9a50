import { AppError } from '../../shared/errors/index.ts'
import { nodePhase } from '../engine/phase.ts'
import type { CredentialName } from '../engine/history.ts'
import { nodePasswordChange } from './node-access.ts'
import type { Site } from './site.ts'

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
  },
  verify: async (context) => {
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
    const ssh = access.kind === 'open' ? 'SSH as well' : `SSH was not tried (${access.reason})`
    context.evidence(
      'The new password is in use',
      `${services.plan.access.user} logged in to the Local UI with it, ${ssh}`,
    )
  },
})

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
