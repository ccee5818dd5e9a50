import { timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import ssh2, { type AuthContext, type Connection, type ServerChannel } from 'ssh2'
import type { Account } from '../account.ts'
import type { LabContext } from '../context.ts'
import type { LabNode } from '../node.ts'
import { serveSftp } from './sftp.ts'
import { CommandKilled, CommandTime } from './command-time.ts'
import type { Input } from './input.ts'
import { runCommandLine, type ShellServices } from './shell.ts'

/** The SSH server of one node; like the Local UI it is handed the sockets that reached the node's address. */
export class SshService {
  readonly #context: LabContext
  readonly #node: LabNode
  readonly #services: ShellServices
  #server: ssh2.Server

  constructor(context: LabContext, node: LabNode, services: ShellServices) {
    this.#context = context
    this.#node = node
    this.#services = services
    this.#server = this.#createServer()
    node.onHostKeyChange = () => {
      this.#server = this.#createServer()
    }
  }

  accept(socket: Socket): void {
    this.#server.injectSocket(socket)
  }

  #createServer(): ssh2.Server {
    return new ssh2.Server({ hostKeys: this.#node.hostKeys }, (connection) => {
      // A client that breaks off is not the lab's problem.
      connection.on('error', () => undefined)
      let user = ''
      connection.on('authentication', (attempt) => {
        this.#context.scheduler.catchUp()
        void this.#authenticate(attempt).then((isAccepted) => {
          if (isAccepted) {
            user = attempt.username
            attempt.accept()
          } else attempt.reject(this.#methods())
        })
      })
      connection.on('ready', () => {
        this.#serve(connection, user)
      })
    })
  }

  #methods(): ssh2.AuthenticationType[] {
    return this.#context.scenario.ssh.passwordLogin
      ? ['publickey', 'password', 'keyboard-interactive']
      : ['publickey']
  }

  async #authenticate(attempt: AuthContext): Promise<boolean> {
    const account = this.#node.account(attempt.username)
    switch (attempt.method) {
      case 'password':
        return (
          this.#methods().includes('password') &&
          (await this.#login(account, attempt.username, attempt.password))
        )
      case 'keyboard-interactive': {
        if (!this.#methods().includes('keyboard-interactive')) return false
        const [answer = ''] = await new Promise<string[]>((resolve) => {
          attempt.prompt([{ prompt: 'Password: ', echo: false }], resolve)
        })
        return await this.#login(account, attempt.username, answer)
      }
      case 'publickey': {
        const isKnown = account?.sshKeys.some((line) => isSameKey(line, attempt.key)) ?? false
        if (!isKnown || account?.isLocked === true) return false
        // Without a signature the client only asks whether the key would do.
        if (attempt.signature === undefined || attempt.blob === undefined) return true
        const key = ssh2.utils.parseKey(attempt.key.data)
        if (key instanceof Error) return false
        return key.verify(attempt.blob, attempt.signature, attempt.hashAlgo) === true
      }
      default:
        return false
    }
  }

  async #login(account: Account | undefined, name: string, password: string): Promise<boolean> {
    if (account === undefined) {
      this.#context.recorder.failedLogin(this.#node.name, name, password)
      return false
    }
    const outcome = account.login(password)
    if (outcome.kind === 'accepted') return true
    await this.#context.scheduler.sleep(outcome.delay)
    return false
  }

  #serve(connection: Connection, user: string): void {
    connection.on('session', (acceptSession) => {
      const session = acceptSession()
      session.on('error', () => undefined)
      session.on('env', (acceptEnv) => {
        // Absent when the client wants no reply.
        if (typeof acceptEnv === 'function') acceptEnv()
      })
      session.on('exec', (acceptExec, _reject, info) => {
        const channel = acceptExec()
        void this.#execute(channel, user, info.command)
      })
      session.on('sftp', (acceptSftp) => {
        serveSftp(acceptSftp(), this.#node, user)
      })
    })
    connection.on('tcpip', (accept, reject, { destIP, destPort }) => {
      const host = destIP === '127.0.0.1' ? this.#node.nic.address : destIP
      this.#services.dial({ host, port: destPort }).then(
        (target) => {
          const channel = accept()
          const end = () => {
            target.destroy()
            channel.destroy()
          }
          for (const side of [target, channel]) side.on('error', end).once('close', end)
          target.pipe(channel).pipe(target)
        },
        () => {
          reject()
        },
      )
    })
  }

  async #execute(channel: ServerChannel, user: string, command: string): Promise<void> {
    channel.on('error', () => undefined)
    const { scheduler } = this.#context
    scheduler.catchUp()
    let isGone = false
    const gone = Promise.withResolvers<undefined>()
    channel.once('close', () => {
      isGone = true
      gone.resolve(undefined)
    })
    const code = await runCommandLine(
      this.#node,
      user,
      command,
      {
        time: new CommandTime(async (milliseconds) => {
          await Promise.race([scheduler.sleep(milliseconds), gone.promise])
          if (isGone) throw new CommandKilled()
        }),
        stdin: inputOfStream(channel),
        out: (data) => writeAll(channel, data),
        err: (data) => writeAll(channel.stderr, data),
      },
      this.#services,
    ).catch(async (error: unknown) => {
      // As a signal of the server would end it; there is nobody left to be told.
      if (error instanceof CommandKilled) return 137
      this.#context.recorder.count('labErrors')
      await writeAll(
        channel.stderr,
        `practice lab: ${error instanceof Error ? error.message : String(error)}\n`,
      )
      return 126
    })
    if (channel.destroyed) return
    channel.exit(code)
    channel.end()
  }
}

function writeAll(stream: NodeJS.WritableStream, data: string | Buffer): Promise<void> {
  return new Promise((resolve) => {
    // When the client has gone there is nobody to write to, and nothing to report.
    stream.write(data, () => {
      resolve()
    })
  })
}

/** Standard input of a channel, read only as far as the command wants. */
function inputOfStream(channel: ServerChannel): Input {
  const iterator = (channel as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  let rest: Buffer = Buffer.alloc(0)
  const more = async (): Promise<boolean> => {
    const next = await iterator.next()
    if (next.done === true) return false
    rest = Buffer.concat([rest, next.value])
    return true
  }
  return {
    readLine: async () => {
      while (!rest.includes(0x0a)) if (!(await more())) break
      const end = rest.indexOf(0x0a)
      const line = rest.subarray(0, end === -1 ? rest.length : end).toString()
      rest = rest.subarray(end === -1 ? rest.length : end + 1)
      return line
    },
    chunks: async function* () {
      for (;;) {
        if (rest.length > 0) {
          const chunk = rest
          rest = Buffer.alloc(0)
          yield chunk
        }
        if (!(await more())) return
      }
    },
  }
}

function isSameKey(line: string, key: { data: Buffer }): boolean {
  const encoded = line
    .trim()
    .split(/\s+/)
    .find((word) => word.startsWith('AAAA'))
  if (encoded === undefined) return false
  const known = Buffer.from(encoded, 'base64')
  return known.length === key.data.length && timingSafeEqual(known, key.data)
}
