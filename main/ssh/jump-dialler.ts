import { AppError } from '../../shared/errors/index.ts'
import { orAborted } from '../engine/cancellation.ts'
import type { Dialler } from '../network/dialler.ts'
import type { SshConnection } from './connection.ts'

/** Dials from where a machine in between (a jump host) is. */
export interface JumpDialler extends Dialler {
  /** The connection to that machine, opened when it is needed and again when it was lost. */
  connection(signal?: AbortSignal): Promise<SshConnection>
  close(): Promise<void>
}

/**
 * A dialler whose connections all begin at the jump host: SSH and HTTPS to the nodes need not know that it is there. One
 * connection to it serves all; its channels do not count as sessions (`MaxSessions`).
 *
 * `open` makes exactly one attempt to log in; a refusal stays the answer. Everybody who dials at the same time waits for the
 * same attempt, which nobody's abort ends.
 */
export function createJumpDialler(open: () => Promise<SshConnection>): JumpDialler {
  let current: SshConnection | undefined
  let opening: Promise<SshConnection> | undefined
  let finalError: AppError | undefined

  const connection = async (signal?: AbortSignal): Promise<SshConnection> => {
    signal?.throwIfAborted()
    if (current?.isConnected() === true) return current
    if (finalError !== undefined) throw finalError
    opening ??= open()
      .then((opened) => (current = opened))
      .catch((error: unknown) => {
        if (error instanceof AppError && !error.isTransient) finalError = error
        throw error
      })
      .finally(() => {
        opening = undefined
      })
    return signal === undefined ? await opening : await orAborted(signal, opening)
  }

  return {
    connection,
    dial: async (endpoint, options = {}) => {
      const jump = await connection(options.signal)
      return await jump.tunnel(endpoint, options)
    },
    close: async () => {
      const opened = await opening?.catch(() => undefined)
      await (opened ?? current)?.close()
    },
  }
}
