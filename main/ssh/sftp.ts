import { randomBytes } from 'node:crypto'
import type { Client, SFTPWrapper, Stats } from 'ssh2'
import { AppError } from '../../shared/errors/index.ts'
import { connectionLost, timedOut, type SshPlace } from './ssh-errors.ts'

export interface SftpOptions {
  signal?: AbortSignal | undefined
  /** Real time for the whole operation. Default 60 000. */
  timeoutMilliseconds?: number
}

export interface SftpFileStatus {
  kind: 'file' | 'folder' | 'link' | 'other'
  /** Bytes. */
  size: number
  /** Permission bits, e.g. 0o600. */
  mode: number
  uid: number
  gid: number
  /** ISO 8601, UTC. */
  modified: string
}

export interface SftpOperations {
  /** Throws `SFTP_NOT_FOUND`, `SFTP_PERMISSION_DENIED`, `SFTP_FILE_TOO_LARGE` (default limit 64 MiB). */
  readFile(path: string, options?: SftpOptions & { maxBytes?: number }): Promise<Buffer>
  /**
   * Writes beside the target and renames, so that nobody ever sees half a file; `mode` is set before anything is
   * written. Default mode 0o600.
   */
  writeFile(path: string, data: string | Uint8Array, options?: SftpOptions & { mode?: number }): Promise<void>
  /** Follows links. `undefined`: nothing there. */
  stat(path: string, options?: SftpOptions): Promise<SftpFileStatus | undefined>
}

/** Status codes of the SFTP protocol, version 3 (draft-ietf-secsh-filexfer-02 §7). */
const noSuchFile = 2
const permissionDenied = 3

type Callback<Value> = (error: Error | null | undefined, value: Value) => void

export function createSftpOperations(
  client: Client,
  place: SshPlace,
  isConnected: () => boolean,
  openSftp: (signal: AbortSignal) => Promise<SFTPWrapper>,
): SftpOperations {
  /** Opens one SFTP channel for one operation, under its deadline, and closes it again. */
  async function withSftp<Result>(
    what: string,
    { signal, timeoutMilliseconds = 60_000 }: SftpOptions,
    use: (
      sftp: SFTPWrapper,
      step: <Value>(start: (done: Callback<Value>) => void) => Promise<Value>,
    ) => Promise<Result>,
  ): Promise<Result> {
    signal?.throwIfAborted()
    if (!isConnected()) throw connectionLost(place, `Before: ${what}`)
    const ended = Promise.withResolvers<never>()
    // Each step races against it; nobody else waits for it.
    ended.promise.catch(() => undefined)
    const handleClose = () => {
      ended.reject(connectionLost(place, `During: ${what}`))
    }
    const handleAbort = () => {
      ended.reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
    }
    const timer = setTimeout(() => {
      ended.reject(timedOut(place, what, timeoutMilliseconds))
    }, timeoutMilliseconds)
    client.once('close', handleClose)
    signal?.addEventListener('abort', handleAbort, { once: true })
    const step = <Value>(start: (done: Callback<Value>) => void): Promise<Value> =>
      Promise.race([
        ended.promise,
        new Promise<Value>((resolve, reject) => {
          try {
            start((error, value) => {
              if (error == null) resolve(value)
              else reject(error)
            })
          } catch (error) {
            reject(connectionLost(place, `During: ${what}`, error))
          }
        }),
      ])
    const over = new AbortController()
    let sftp: SFTPWrapper | undefined
    try {
      const opening = openSftp(over.signal)
      // One that comes after everybody has gone is closed again.
      opening.then(
        (late) => {
          if (over.signal.aborted) late.end()
        },
        () => undefined,
      )
      sftp = await Promise.race([ended.promise, opening])
      // Errors arrive at the callbacks; an unheard event would end the process.
      sftp.on('error', () => undefined)
      return await use(sftp, step)
    } catch (error) {
      signal?.throwIfAborted()
      throw sftpError(error, what)
    } finally {
      clearTimeout(timer)
      over.abort()
      client.off('close', handleClose)
      signal?.removeEventListener('abort', handleAbort)
      sftp?.end()
    }
  }

  function sftpError(error: unknown, what: string): unknown {
    if (error instanceof AppError || !(error instanceof Error)) return error
    const status = statusCodeOf(error)
    const isMissing = status === noSuchFile
    const isDenied = status === permissionDenied
    return new AppError({
      code: isMissing ? 'SFTP_NOT_FOUND' : isDenied ? 'SFTP_PERMISSION_DENIED' : 'SFTP_FAILED',
      title: isMissing
        ? 'The file is not on the node.'
        : isDenied
          ? 'The account may not do this on the node.'
          : 'A file operation on the node failed.',
      detail: `${what}: ${error.message}`,
      remedies: isMissing
        ? ['Check the path.']
        : isDenied
          ? ['Use an account with the right to do it.']
          : ['Check the free disk space of the node and whether its file system is writable.'],
      node: place.node,
      cause: error,
    })
  }

  return {
    readFile: (path, options = {}) =>
      withSftp(`read ${path}`, options, async (sftp, step) => {
        const limit = options.maxBytes ?? 64 * 1024 * 1024
        const { size } = await step<Stats>((done) => {
          sftp.stat(path, done)
        })
        if (size > limit) {
          throw new AppError({
            code: 'SFTP_FILE_TOO_LARGE',
            title: 'A file on the node is larger than expected.',
            detail: `${path}: ${String(size)} bytes, at most ${String(limit)} were expected.`,
            remedies: ['Report it together with the log file.'],
            node: place.node,
          })
        }
        return await step<Buffer>((done) => {
          sftp.readFile(path, done)
        })
      }),
    writeFile: (path, data, options = {}) =>
      withSftp(`write ${path}`, options, async (sftp, step) => {
        const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
        const mode = options.mode ?? 0o600
        const bytes = Buffer.from(data)
        try {
          const handle = await step<Buffer>((done) => {
            sftp.open(temporary, 'wx', { mode }, done)
          })
          // The server's umask may have taken bits away.
          await step<undefined>((done) => {
            sftp.fchmod(handle, mode, (error) => {
              done(error, undefined)
            })
          })
          if (bytes.length > 0) await writeAll(sftp, step, handle, bytes)
          await syncIfPossible(sftp, step, handle)
          await step<undefined>((done) => {
            sftp.close(handle, (error) => {
              done(error, undefined)
            })
          })
          await renameOver(sftp, step, temporary, path)
        } catch (error) {
          if (isConnected()) sftp.unlink(temporary, () => undefined)
          throw error
        }
      }),
    stat: (path, options = {}) =>
      withSftp(`look at ${path}`, options, async (sftp, step) => {
        try {
          return describe(
            await step<Stats>((done) => {
              sftp.stat(path, done)
            }),
          )
        } catch (error) {
          if (statusCodeOf(error) === noSuchFile) return undefined
          throw error
        }
      }),
  }
}

type Step = <Value>(start: (done: Callback<Value>) => void) => Promise<Value>

/** Pieces that every server takes (OpenSSH: at most 256 KiB a packet, older ones 32 KiB), several on their way. */
const pieceBytes = 32 * 1024
const piecesOnTheWay = 32

async function writeAll(sftp: SFTPWrapper, step: Step, handle: Buffer, bytes: Buffer): Promise<void> {
  const pieces: number[] = []
  for (let offset = 0; offset < bytes.length; offset += pieceBytes) pieces.push(offset)
  let position = 0
  const worker = async () => {
    for (let offset = pieces[position++]; offset !== undefined; offset = pieces[position++]) {
      const start = offset
      await step<undefined>((done) => {
        const length = Math.min(pieceBytes, bytes.length - start)
        sftp.write(handle, bytes, start, length, start, (error) => {
          done(error, undefined)
        })
      })
    }
  }
  await Promise.all(Array.from({ length: piecesOnTheWay }, worker))
}

/** fsync@openssh.com; servers without it keep their own pace. */
async function syncIfPossible(sftp: SFTPWrapper, step: Step, handle: Buffer): Promise<void> {
  try {
    await step<undefined>((done) => {
      sftp.ext_openssh_fsync(handle, (error) => {
        done(error, undefined)
      })
    })
  } catch (error) {
    if (!isUnsupported(error)) throw error
  }
}

/** posix-rename@openssh.com replaces a file at once; plain SFTP can only rename to a free name. */
async function renameOver(sftp: SFTPWrapper, step: Step, from: string, to: string): Promise<void> {
  try {
    await step<undefined>((done) => {
      sftp.ext_openssh_rename(from, to, (error) => {
        done(error, undefined)
      })
    })
    return
  } catch (error) {
    if (!isUnsupported(error)) throw error
  }
  await step<undefined>((done) => {
    sftp.unlink(to, (error) => {
      done(statusCodeOf(error) === noSuchFile ? undefined : error, undefined)
    })
  })
  await step<undefined>((done) => {
    sftp.rename(from, to, (error) => {
      done(error, undefined)
    })
  })
}

/** SSH_FX_OP_UNSUPPORTED, or ssh2's refusal to send an extension that the server did not announce. */
function isUnsupported(error: unknown): boolean {
  if (statusCodeOf(error) === 8) return true
  const cause = error instanceof AppError ? error.cause : error
  return cause instanceof Error && /does not support this extended request/iu.test(cause.message)
}

function statusCodeOf(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined
}

function describe(stats: Stats): SftpFileStatus {
  return {
    kind: stats.isFile()
      ? 'file'
      : stats.isDirectory()
        ? 'folder'
        : stats.isSymbolicLink()
          ? 'link'
          : 'other',
    size: stats.size,
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    modified: new Date(stats.mtime * 1000).toISOString(),
  }
}
