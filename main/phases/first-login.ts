import { AppError } from '../../shared/errors/index.ts'
import type { SystemUser } from '../palette/index.ts'
import { sitePhase } from '../engine/phase.ts'
import { consoleMismatch, consolePasswordChange } from './console-access.ts'
import type { CredentialName } from '../engine/history.ts'
import { vipOf, type Site, type SiteContext } from './site.ts'

const minute = 60

interface Facts {
  readonly accepted: CredentialName
  readonly user: SystemUser
}

/**
 * Waits for the console's API (its page answers long before, palette.md §1.9), logs in for the first time, and gives
 * the account its e-mail address and its new password.
 */
export const firstLogin = sitePhase<Site, Facts>({
  id: consolePasswordChange.phase,
  title: 'Log in to the system console for the first time',
  expectedSeconds: 12 * minute,
  deadlineSeconds: 130 * minute,
  work: 'wait',
  gather: async (context) => {
    await waitForApi(context)
    const { client, credential } = await context.services.console.session(context)
    return { accepted: credential.name, user: await client.me({ signal: context.signal }) }
  },
  assumeFresh: () => ({ accepted: 'initial', user: { spec: undefined, status: undefined } }),
  select: (context, facts) =>
    facts.accepted === 'new' && hasEmail(context, facts.user)
      ? { kind: 'already-done', statement: 'The first login is done', seen: describe(context, facts.user) }
      : { kind: 'needed' },
  apply: async (context, facts) => {
    const { console: access, plan } = context.services
    const { email, username } = plan.console
    if (facts.accepted === 'initial') {
      try {
        await context.change(
          consolePasswordChange.key,
          `set e-mail ${email} and the new password of ${username}`,
          async (signal) => {
            const [initial, wanted] = await access.credentials()
            if (initial === undefined || wanted === undefined)
              throw new TypeError('No passwords for the console.')
            const { client } = await access.session(context)
            const outcome = await client.setFirstPassword(
              { email, oldPassword: initial.password, newPassword: wanted.password },
              { signal },
            )
            if (outcome.kind === 'refused') throw passwordRefused(outcome.message)
          },
        )
      } finally {
        // After a lost answer as well: only a new login tells which password is in use now.
        if (context.mode === 'apply') await access.close()
      }
    }
    if (context.mode === 'dry-run') return
    const { client, credential } = await access.session(context)
    if (hasEmail(context, await client.me({ signal: context.signal }))) return
    await context.change('email', `set the e-mail address of ${username} to ${email}`, async (signal) => {
      const outcome = await client.setEmail({ email, password: credential.password }, { signal })
      if (outcome.kind === 'refused') {
        throw new AppError({
          code: 'EMAIL_REFUSED',
          title: 'The system console does not accept the e-mail address.',
          detail: outcome.message,
          remedies: ['Correct console.email in the plan, then go on with --resume.'],
        })
      }
    })
  },
  verify: async (context) => {
    const { client, credential } = await context.services.console.session(context)
    const user = await client.me({ signal: context.signal })
    if (credential.name !== 'new') {
      throw consoleMismatch(
        'The system console still accepts the old password only.',
        'It had confirmed the change.',
      )
    }
    if (!hasEmail(context, user)) {
      throw consoleMismatch('The system console does not show the e-mail address.', describe(context, user))
    }
    context.evidence('The first login is done', describe(context, user))
  },
})

async function waitForApi(context: SiteContext): Promise<void> {
  const { services } = context
  if (context.mode === 'dry-run') {
    await services.console.client(context)
    return
  }
  const started = context.clock.now()
  await context.waitFor(
    {
      until: 'the API of the system console answers',
      everySeconds: 10,
      softSeconds: 40 * minute,
      deadlineSeconds: 120 * minute,
      remedies: [
        `Open https://${vipOf(context)}/system: the page alone proves nothing, its API starts up to 30 minutes later.`,
        'Look at "Cluster" in the Local UI of the leader: do all applications run?',
      ],
    },
    async () => {
      if (await services.console.isApiAlive(context)) return { kind: 'ready', value: undefined }
      const elapsed = (context.clock.now() - started) / 1000
      return {
        kind: 'waiting',
        detail: 'The console answers, its API does not yet',
        fraction: Math.min(0.9, elapsed / (12 * minute)),
      }
    },
  )
}

function hasEmail({ services }: SiteContext, user: SystemUser): boolean {
  const shown = user.spec?.emailId
  if (shown !== undefined && shown !== '')
    return shown.toLowerCase() === services.plan.console.email.toLowerCase()
  return user.status?.isEmailSet === true
}

function describe({ services }: SiteContext, user: SystemUser): string {
  return (
    `${services.plan.console.username} logged in; e-mail ${user.spec?.emailId ?? '(not shown)'}` +
    `, e-mail set: ${user.status?.isEmailSet ?? 'not told'}, password replaced: ${user.status?.isPasswordReset ?? 'not told'}`
  )
}

function passwordRefused(message: string): AppError {
  return new AppError({
    code: 'PASSWORD_REFUSED',
    title: 'The system console does not accept the new password.',
    detail: message,
    remedies: [
      'Choose another one: 14 characters or more, lower and upper case, digit and special character.',
      'Or let Landfall make one: console.newPassword: { generate: console-password }.',
    ],
  })
}
