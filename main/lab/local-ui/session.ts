import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import type { LabContext } from '../context.ts'
import { errorAnswer, type Answer, type Route } from '../http/api-server.ts'
import type { LabNode } from '../node.ts'

const loginSchema = z.strictObject({ username: z.string().min(1), password: z.string() })
const resetSchema = z.strictObject({ oldPassword: z.string(), newPassword: z.string() })
const renewalSchema = z.strictObject({ refreshToken: z.string().optional() })
const userSchema = z.strictObject({
  userName: z.string().optional(),
  sshKeys: z.array(z.string()).optional(),
  disablePasswordUpdate: z.boolean().optional(),
})

/** The session of a request: the JWT stands in the `Authorization` header (without scheme) or in the cookie. */
export function authorizeLocalUi(
  context: LabContext,
  node: LabNode,
  headers: IncomingHttpHeaders,
): { user: string; sessionId: string } | Answer {
  const token = headers.authorization ?? cookie(headers, 'Authorization')
  if (token === null || token === '') return unauthorized('no token was given')
  const verdict = node.tokens.check(token, 'access', context.scheduler.now())
  switch (verdict.kind) {
    case 'valid':
      return { user: verdict.user, sessionId: verdict.id }
    case 'expired':
      return unauthorized('the token has expired')
    case 'invalid':
      return unauthorized('the token is not valid')
  }
}

export function sessionRoutes(context: LabContext, node: LabNode): Route[] {
  const { scheduler, durations } = context

  const issue = (user: string, isExtended: boolean) => {
    const life = isExtended ? durations.extendedSession : durations.session
    const now = scheduler.now()
    return {
      Authorization: node.tokens.issue(user, 'access', now + life),
      RefreshToken: node.tokens.issue(user, 'refresh', now + 2 * life),
    }
  }

  return [
    {
      method: 'GET',
      path: '/v1/ping',
      isPublic: true,
      handle: () => ({ status: 200, body: { msg: 'pong' } }),
    },
    {
      method: 'POST',
      path: '/v1/users/default/login',
      isPublic: true,
      handle: async ({ body, query }) => {
        const login = loginSchema.safeParse(body)
        if (!login.success) return errorAnswer(400, 'InvalidInput', 'username and password are required')
        const { username, password } = login.data
        const account = node.account(username)
        if (account === undefined) {
          context.recorder.failedLogin(node.name, username, password)
          return errorAnswer(400, 'InvalidCredentials', 'invalid username or password')
        }
        const outcome = account.login(password)
        if (outcome.kind !== 'accepted') {
          if (outcome.delay > 0) {
            context.recorder.busy(scheduler.now(), scheduler.now() + outcome.delay)
            await scheduler.sleep(outcome.delay)
          }
          return errorAnswer(
            400,
            outcome.kind === 'locked' ? 'UserLocked' : 'InvalidCredentials',
            outcome.message,
          )
        }
        const token = issue(username, query.get('extendedSession') === 'true')
        return {
          status: 200,
          body: { Token: token, IsFirstLogin: !account.isPasswordChanged },
          ...(query.get('setCookie') === 'false'
            ? {}
            : {
                headers: { 'set-cookie': `Authorization=${token.Authorization}; Path=/; Secure; HttpOnly` },
              }),
        }
      },
    },
    {
      method: 'POST',
      path: '/v1/users/default/logout',
      handle: ({ sessionId }) => {
        node.tokens.revoke(sessionId)
        return { status: 200 }
      },
    },
    {
      method: 'POST',
      path: '/v1/users/default/token/renewal',
      isPublic: true,
      handle: ({ body, query, headers }) => {
        const renewal = renewalSchema.safeParse(body ?? {})
        if (!renewal.success) return errorAnswer(400, 'InvalidInput', 'refreshToken must be text')
        const refreshToken = renewal.data.refreshToken ?? cookie(headers, 'RefreshToken')
        const verdict =
          refreshToken === null
            ? node.tokens.check(headers.authorization ?? '', 'access', scheduler.now())
            : node.tokens.check(refreshToken, 'refresh', scheduler.now())
        if (verdict.kind !== 'valid') return unauthorized('the token cannot be renewed')
        return { status: 200, body: issue(verdict.user, query.get('extendedSession') === 'true') }
      },
    },
    {
      method: 'POST',
      path: '/v1/users/default/password/reset',
      handle: ({ body, user }) => {
        const reset = resetSchema.safeParse(body)
        if (!reset.success)
          return errorAnswer(400, 'InvalidInput', 'oldPassword and newPassword are required')
        const { oldPassword, newPassword } = reset.data
        const account = node.account(user)
        if (account?.isPassword(oldPassword) !== true) {
          return errorAnswer(400, 'InvalidPassword', 'the old password is not correct')
        }
        const problem = passwordProblem(newPassword, oldPassword, user)
        if (problem !== null) return errorAnswer(400, 'PasswordPolicy', problem)
        account.changePassword(newPassword)
        node.tokens.revokeAll()
        context.emit('node-password-changed', node.name)
        return { status: 204 }
      },
    },
    {
      method: 'GET',
      path: '/v1/users/current',
      handle: ({ user }) => ({
        status: 200,
        body: { userName: user, sshKeys: node.account(user)?.sshKeys ?? [], disablePasswordUpdate: false },
      }),
    },
    {
      method: 'PATCH',
      path: '/v1/users/current',
      handle: ({ body, user }) => {
        const change = userSchema.safeParse(body)
        const account = node.account(user)
        if (!change.success || account === undefined) {
          return errorAnswer(500, 'InvalidInput', 'the user cannot be changed like this')
        }
        if (change.data.sshKeys !== undefined) account.sshKeys = change.data.sshKeys
        return accepted(202, 'user is updated')
      },
    },
  ]
}

export function accepted(status: number, message: string): Answer {
  return { status, body: { message } }
}

function unauthorized(message: string): Answer {
  return errorAnswer(401, 'Unauthorized', message)
}

function passwordProblem(password: string, old: string, user: string): string | null {
  if (password === old) return 'the new password must differ from the old one'
  if (password.length < 8) return 'the new password must have at least 8 characters'
  if (password.toLowerCase().includes(user.toLowerCase()))
    return 'the new password must not contain the user name'
  if (/[\s"'\\]/.test(password)) return 'the new password must not contain spaces, quotes or backslashes'
  return null
}

function cookie(headers: IncomingHttpHeaders, name: string): string | null {
  for (const part of (headers.cookie ?? '').split(';')) {
    const [key = '', ...value] = part.trim().split('=')
    if (key === name) return value.join('=')
  }
  return null
}
