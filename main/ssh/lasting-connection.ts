import { AppError } from '../../shared/errors/index.ts'
import type { SshConnection } from './connection.ts'
import { wasNeverStarted } from './exec.ts'

/** A connection that comes back by itself. */
export interface LastingConnection extends SshConnection {
  /** Opens it now if it was lost, and throws what stands against it. */
  ensureOpen(): Promise<void>
}

/**
 * A connection that is opened anew for the next command when it was lost. What was under way when it was lost is not repeated:
 * nobody knows how far it came, and the caller is told (`SSH_CONNECTION_LOST`).
 *
 * `reopen` makes exactly one attempt. When the server refuses the login then, or shows another key, that stays the answer:
 * a password is not sent again. The new connection may be to a machine that was started again meanwhile.
 */
export function lastingConnection(
  first: SshConnection,
  reopen: () => Promise<SshConnection>,
): LastingConnection {
  let current = first
  let opening: Promise<SshConnection> | undefined
  let finalError: AppError | undefined
  let isClosed = false

  const open = async (): Promise<SshConnection> => {
    if (current.isConnected() || isClosed) return current
    if (finalError !== undefined) throw finalError
    opening ??= reopen()
      .then(async (connection) => {
        current = connection
        if (isClosed) await connection.close()
        return connection
      })
      .catch((error: unknown) => {
        if (error instanceof AppError && !error.isTransient) finalError = error
        throw error
      })
      .finally(() => {
        opening = undefined
      })
    return await opening
  }
  /** Once more when it turns out that the connection was gone before anything was sent. */
  const use = async <T>(act: (connection: SshConnection) => Promise<T>): Promise<T> => {
    const connection = await open()
    try {
      return await act(connection)
    } catch (error) {
      if (!wasNeverStarted(error) || isClosed) throw error
      return await act(await open())
    }
  }

  return {
    get endpoint() {
      return current.endpoint
    },
    get hostKey() {
      return current.hostKey
    },
    get loginMethod() {
      return current.loginMethod
    },
    sftp: {
      readFile: (path, options) => use((connection) => connection.sftp.readFile(path, options)),
      writeFile: (path, data, options) => use((connection) => connection.sftp.writeFile(path, data, options)),
      stat: (path, options) => use((connection) => connection.sftp.stat(path, options)),
    },
    exec: (command, options) => use((connection) => connection.exec(command, options)),
    tunnel: (to, options) => use((connection) => connection.tunnel(to, options)),
    openSftp: () => use((connection) => connection.openSftp()),
    isConnected: () => current.isConnected(),
    ensureOpen: async () => {
      await open()
    },
    close: async () => {
      isClosed = true
      await opening?.catch(() => undefined)
      await current.close()
    },
  }
}
