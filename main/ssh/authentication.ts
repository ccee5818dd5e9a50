import type { AnyAuthMethod, AuthenticationType, AuthHandlerMiddleware, ParsedKey } from 'ssh2'
import type { LoginMethod } from './connection.ts'
import { readPrivateKey } from './private-key.ts'
import type { LoginAttempt } from './ssh-errors.ts'

export interface SshAuthentication {
  /** OpenSSH, PEM or PPK. */
  privateKey?: string | Buffer | undefined
  passphrase?: string | undefined
  password?: string | undefined
  /** Socket of an SSH agent (`SSH_AUTH_SOCK`), or `pageant` on Windows. */
  agent?: string | undefined
}

/**
 * Decides which method is tried next, and keeps count for the error message.
 *
 * Every secret goes out at most once: the password either as `password` or, only if the server does not offer that,
 * as the answer to one keyboard-interactive prompt. Never both: each would count as a failure on its own.
 * Throws an AppError when the key cannot be read.
 */
export function createAuthentication(
  username: string,
  given: SshAuthentication,
): {
  handler: AuthHandlerMiddleware
  attempt: () => LoginAttempt
  /** The method of the last attempt: once the server has let us in, the one that it accepted. */
  accepted: () => LoginMethod
  remark: (text: string) => void
} {
  const key: ParsedKey | undefined =
    given.privateKey === undefined ? undefined : readPrivateKey(given.privateKey, given.passphrase)
  const tried: AuthenticationType[] = []
  let offered: readonly AuthenticationType[] = []
  let remark: string | undefined
  let hasAskedForMethods = false

  const next = (): AnyAuthMethod | undefined => {
    if (key !== undefined && offered.includes('publickey') && !tried.includes('publickey')) {
      return { type: 'publickey', username, key }
    }
    if (given.agent !== undefined && offered.includes('publickey') && !tried.includes('agent')) {
      return { type: 'agent', username, agent: given.agent }
    }
    const { password } = given
    if (password === undefined || tried.includes('password') || tried.includes('keyboard-interactive')) {
      return undefined
    }
    if (offered.includes('password')) return { type: 'password', username, password }
    if (offered.includes('keyboard-interactive')) {
      return { type: 'keyboard-interactive', username, prompt: answerOnce(password) }
    }
    return undefined
  }

  const answerOnce = (password: string) => {
    let hasAnswered = false
    return (
      _name: string,
      instructions: string,
      _language: string,
      prompts: { prompt: string; echo?: boolean }[],
      finish: (answers: string[]) => void,
    ) => {
      const [prompt] = prompts
      if (prompt === undefined) {
        finish([])
      } else if (!hasAnswered && prompts.length === 1 && prompt.echo !== true) {
        hasAnswered = true
        finish([password])
      } else {
        // Something other than the password is asked for: a one-time code, or a new password for an expired one.
        remark = `The server asks: ${[instructions, ...prompts.map((one) => one.prompt)].join(' ').trim()}`
        finish(prompts.map(() => ''))
      }
    }
  }

  return {
    handler: (methodsLeft, _isPartialSuccess, decide) => {
      // Typed as always there; before the first answer of the server it is null.
      const left = methodsLeft as AuthenticationType[] | null
      if (!hasAskedForMethods) {
        // "none" costs nothing (OpenSSH does not count it) and makes the server name its methods (RFC 4252 §5.2).
        hasAskedForMethods = true
        decide({ type: 'none', username })
        return
      }
      offered = left ?? []
      const method = next()
      if (method === undefined) {
        // ssh2 ends with "All configured authentication methods failed" on false, which its types lack.
        decide(false as unknown as AuthenticationType)
        return
      }
      tried.push(method.type)
      decide(method)
    },
    attempt: () => ({
      username,
      offered,
      tried,
      given: {
        key: key !== undefined,
        agent: given.agent !== undefined,
        password: given.password !== undefined,
      },
      remark,
    }),
    accepted: () => {
      const last = tried.at(-1)
      return last === undefined || last === 'hostbased' ? 'none' : last
    },
    remark: (text) => {
      remark ??= text
    },
  }
}
