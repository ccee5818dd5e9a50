import type { Duplex } from 'node:stream'
import ssh2, { type SFTPWrapper } from 'ssh2'
import { AppError } from '../../shared/errors/index.ts'
import type { Dialler, Endpoint } from '../network/dialler.ts'
import type { Identity } from '../storage/identity-store.ts'
import { createAuthentication, type SshAuthentication } from './authentication.ts'
import { execOn, type ExecOptions, type ExecResult } from './exec.ts'
import { hostKeyAlgorithms, readHostKeyBlob, type HostKeyIdentity } from './host-key.ts'
import { isSessionRefusal, SessionSlots } from './session-slots.ts'
import { createSftpOperations, type SftpOperations } from './sftp.ts'
import { openTunnel, type TunnelOptions } from './tunnel.ts'
import {
  connectionLost,
  droppedEarly,
  handshakeFailed,
  identityChanged,
  identityRejected,
  loginRefused,
  timedOut,
  unreachable,
  type SshPlace,
} from './ssh-errors.ts'

/** Who the server must be: the identity that is known already, or somebody who decides at first sight. */
export type HostKeyPolicy =
  | { pinned: Pick<Identity, 'algorithm' | 'fingerprint'> }
  | { verify: (seen: HostKeyIdentity) => 'accept' | 'reject' | Promise<'accept' | 'reject'> }

export interface ConnectSshOptions {
  endpoint: Endpoint
  username: string
  auth: SshAuthentication
  dialler: Dialler
  hostKey: HostKeyPolicy
  signal?: AbortSignal | undefined
  /** Real time for connection, handshake and login together. Default 20 000. */
  timeoutMilliseconds?: number
  /** Defaults: every 10 000 ms, given up after 3 unanswered ones. */
  keepalive?: { intervalMilliseconds: number; maxMissed: number }
  /** Name of the node as in the plan, for messages. */
  node?: string | undefined
}

export interface SshConnection {
  readonly endpoint: Endpoint
  /** The key that the server proved to have. */
  readonly hostKey: HostKeyIdentity
  /** With what the server let us in. */
  readonly loginMethod: LoginMethod
  readonly sftp: SftpOperations
  /**
   * Runs a command by the account's shell and waits for its end. Any exit code is a result, not an error.
   *
   * Throws `SSH_TIMEOUT` (transient), `SSH_OUTPUT_TOO_LARGE`, `SSH_EXEC_REFUSED` and `SSH_CONNECTION_LOST`
   * (transient), or the signal's reason; the command is then killed as far as the server allows it. The connection
   * stays usable.
   */
  exec(command: string, options?: ExecOptions): Promise<ExecResult>
  /**
   * A TCP connection that the server makes from where it is (RFC 4254 §7.2, `direct-tcpip`).
   *
   * Rejects as a dialler does (`ECONNREFUSED`, `ETIMEDOUT`, … as `code`), with `SSH_FORWARD_REFUSED` where the server does
   * not allow it, `SSH_CONNECTION_LOST`, or the signal's reason.
   */
  tunnel(to: Endpoint, options?: TunnelOptions): Promise<Duplex>
  /** A raw SFTP channel for transfers; the caller ends it. */
  openSftp(): Promise<SFTPWrapper>
  /** False as soon as the connection is cut or closed. */
  isConnected(): boolean
  /** Resolves when the connection has ended. Closing twice is no error. */
  close: () => Promise<void>
}

/** `none`: the server asks for nothing. */
export type LoginMethod = 'none' | 'publickey' | 'agent' | 'password' | 'keyboard-interactive'

/**
 * Connects and logs in. Exactly one attempt for each thing given: key, agent, password.
 *
 * Throws AppErrors: `SSH_UNREACHABLE` and `SSH_TIMEOUT` (transient); `SSH_LOGIN_REFUSED`, `SSH_IDENTITY_CHANGED`,
 * `SSH_IDENTITY_REJECTED`, `SSH_HANDSHAKE_FAILED`, `SSH_KEY_…` (permanent); or the signal's reason.
 */
export async function connectSsh(options: ConnectSshOptions): Promise<SshConnection> {
  const { endpoint, username, signal, timeoutMilliseconds = 20_000, node } = options
  const place: SshPlace = { endpoint, node }
  const authentication = createAuthentication(username, options.auth)
  const { intervalMilliseconds, maxMissed } = options.keepalive ?? {
    intervalMilliseconds: 10_000,
    maxMissed: 3,
  }
  const { client, hostKey } = await handshake({
    place,
    dialler: options.dialler,
    signal,
    timeoutMilliseconds,
    policy: options.hostKey,
    login: {
      config: {
        username,
        authHandler: authentication.handler,
        keepaliveInterval: intervalMilliseconds,
        keepaliveCountMax: maxMissed,
      },
      refused: (remark) => {
        if (remark !== undefined) authentication.remark(remark)
        return loginRefused(place, authentication.attempt())
      },
      remark: authentication.remark,
    },
  })

  let isOpen = true
  const slots = new SessionSlots()
  const closed = Promise.withResolvers<undefined>()
  client.once('close', () => {
    isOpen = false
    slots.close(connectionLost(place, 'While waiting for a free session.'))
    closed.resolve(undefined)
  })
  const isConnected = () => isOpen
  const openSftp = async (sessionSignal?: AbortSignal): Promise<SFTPWrapper> => {
    for (;;) {
      if (!isOpen) throw connectionLost(place, 'Before the file transfer.')
      const slot = await slots.take(sessionSignal, (milliseconds) =>
        timedOut(place, 'A free session for a file transfer', milliseconds),
      )
      try {
        const sftp = await startSftp(client)
        slot.opened()
        sftp.once('close', () => {
          slot.release()
        })
        return sftp
      } catch (error) {
        if (isSessionRefusal(error) && (await slot.refused())) continue
        slot.release()
        throw connectionLost(place, 'The file transfer could not be started.', error)
      }
    }
  }

  return {
    endpoint,
    hostKey,
    loginMethod: authentication.accepted(),
    sftp: createSftpOperations(client, place, isConnected, openSftp),
    exec: (command, execOptions = {}) => execOn({ client, place, isConnected, slots }, command, execOptions),
    tunnel: (to, tunnelOptions = {}) => openTunnel(client, place, to, tunnelOptions, isConnected),
    openSftp: () => openSftp(),
    isConnected,

    async close() {
      if (!isOpen) return
      client.end()
      // A peer that went silent never answers the end.
      const timer = setTimeout(() => {
        client.destroy()
      }, 2000)
      await closed.promise
      clearTimeout(timer)
    },
  }
}

async function startSftp(client: ssh2.Client): Promise<SFTPWrapper> {
  return await new Promise<SFTPWrapper>((resolve, reject) => {
    const handleClose = () => {
      reject(new Error('The connection was cut.'))
    }
    client.once('close', handleClose)
    const settle = (act: () => void) => {
      client.off('close', handleClose)
      act()
    }
    try {
      client.sftp((error, sftp) => {
        settle(() => {
          if (error === undefined) resolve(sftp)
          else reject(error)
        })
      })
    } catch (error) {
      settle(() => {
        reject(error instanceof Error ? error : new Error(String(error)))
      })
    }
  })
}

export interface ReadHostKeyOptions {
  dialler: Dialler
  signal?: AbortSignal | undefined
  /** Real time. Default 20 000. */
  timeoutMilliseconds?: number
  /** Key type to ask for first, when one is known. */
  algorithm?: string
  node?: string | undefined
}

/**
 * Looks at a server's host key for the first time, to show it to the operator. The connection ends with the key
 * exchange: no user name and no credentials are sent. Errors as `connectSsh`.
 */
export async function readHostKey(endpoint: Endpoint, options: ReadHostKeyOptions): Promise<HostKeyIdentity> {
  let seen: HostKeyIdentity | undefined
  try {
    const { client } = await handshake({
      place: { endpoint, node: options.node },
      dialler: options.dialler,
      signal: options.signal,
      timeoutMilliseconds: options.timeoutMilliseconds ?? 20_000,
      askFirstFor: options.algorithm,
      policy: {
        verify: (identity) => {
          seen = identity
          return 'reject'
        },
      },
    })
    client.destroy()
  } catch (error) {
    if (seen !== undefined && error instanceof AppError && error.code === 'SSH_IDENTITY_REJECTED') return seen
    throw error
  }
  throw handshakeFailed({ endpoint, node: options.node }, 'The server showed no host key.', undefined)
}

interface Handshake {
  place: SshPlace
  dialler: Dialler
  signal: AbortSignal | undefined
  timeoutMilliseconds: number
  policy: HostKeyPolicy
  askFirstFor?: string | undefined
  /** Absent: the handshake is not meant to get as far as the login. */
  login?: {
    config: ssh2.ConnectConfig
    refused: (remark: string | undefined) => AppError
    remark: (text: string) => void
  }
}

async function handshake(options: Handshake): Promise<{ client: ssh2.Client; hostKey: HostKeyIdentity }> {
  const { place, signal, timeoutMilliseconds, policy } = options
  const startedAt = Date.now()
  signal?.throwIfAborted()
  let socket: Duplex
  try {
    socket = await options.dialler.dial(place.endpoint, { signal, timeoutMilliseconds })
  } catch (error) {
    signal?.throwIfAborted()
    // Of a machine in between: it says itself what is wrong with it.
    if (error instanceof AppError) throw error
    throw unreachable(place, error instanceof Error ? error.message : String(error), error)
  }

  const client = new ssh2.Client()
  let hostKey: HostKeyIdentity | undefined
  let isLoggingIn = false
  return await new Promise((resolve, reject) => {
    let isOver = false
    const finish = (settle: () => void) => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', handleAbort)
      settle()
    }
    const fail = (error: Error) => {
      finish(() => {
        client.destroy()
        socket.destroy()
        reject(error)
      })
    }
    const handleAbort = () => {
      fail(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
    }
    const timer = setTimeout(
      () => {
        fail(timedOut(place, isLoggingIn ? 'Login' : 'Handshake', timeoutMilliseconds))
      },
      Math.max(1, timeoutMilliseconds - (Date.now() - startedAt)),
    )
    signal?.addEventListener('abort', handleAbort, { once: true })

    client.on('error', (error: Error & { level?: string }) => {
      // Stays for the life of the connection: what it means to a running command, its 'close' says.
      if (isOver) return
      if (error.level === 'agent') {
        // Without an agent the other methods still remain; ssh2 goes on by itself.
        options.login?.remark(`The SSH agent of this computer does not answer: ${error.message}`)
        return
      }
      fail(handshakeError(error))
    })
    client.once('close', () => {
      fail(
        isLoggingIn
          ? unreachable(place, 'The server closed the connection during the login.')
          : droppedEarly(place, 'The server closed the connection.'),
      )
    })
    client.once('handshake', () => {
      isLoggingIn = true
    })
    client.on('change password', (message: string, done: (password: string) => void) => {
      options.login?.remark(`The server wants a new password: ${message}`)
      done('')
    })
    client.once('ready', () => {
      finish(() => {
        if (hostKey !== undefined) resolve({ client, hostKey })
      })
    })

    const verify = (blob: Buffer, decide: (isAccepted: boolean) => void) => {
      const seen = readHostKeyBlob(blob)
      if ('pinned' in policy) {
        if (seen.fingerprint === policy.pinned.fingerprint) {
          hostKey = seen
          decide(true)
          return
        }
        fail(identityChanged(place, policy.pinned, seen))
        return
      }
      Promise.resolve()
        .then(() => policy.verify(seen))
        .then(
          (verdict) => {
            if (isOver) return
            if (verdict === 'accept') {
              hostKey = seen
              decide(true)
            } else {
              fail(identityRejected(place, seen))
            }
          },
          (error: unknown) => {
            fail(error instanceof Error ? error : new Error(String(error)))
          },
        )
    }
    client.connect({
      // ssh2 wants a name; it is not sent before the host key was accepted.
      username: 'nobody',
      ...options.login?.config,
      sock: socket,
      algorithms: {
        serverHostKey: hostKeyAlgorithms('pinned' in policy ? policy.pinned.algorithm : options.askFirstFor),
      },
      hostVerifier: verify,
      readyTimeout: 0,
    })
  })

  function handshakeError(error: Error & { level?: string }): AppError {
    if (error.level === 'client-authentication' && options.login !== undefined) {
      return options.login.refused(undefined)
    }
    const isCut =
      error.level === 'client-socket' || /before handshake|connection lost|closed/iu.test(error.message)
    if (isCut && !isLoggingIn) return droppedEarly(place, error.message, error)
    if (isCut) return unreachable(place, error.message, error)
    // e.g. "Too many authentication failures"
    if (isLoggingIn && error.level === 'protocol' && options.login !== undefined) {
      return options.login.refused(`The server says: ${error.message}`)
    }
    return handshakeFailed(place, error.message, error)
  }
}
