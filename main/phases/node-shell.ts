import { dirname } from 'node:path/posix'
import { AppError } from '../../shared/errors/index.ts'
import type { SshConnection } from '../ssh/index.ts'
import type { SiteNodeContext } from './site.ts'

/** Commands on one node over SSH, as root where needed. */
export class NodeShell {
  readonly #context: SiteNodeContext
  readonly #connection: SshConnection

  private constructor(context: SiteNodeContext, connection: SshConnection) {
    this.#context = context
    this.#connection = connection
  }

  /** Throws `SSH_NEEDED` where SSH is closed; `purpose`: what is to be set, for the message. */
  static async open(context: SiteNodeContext, purpose: string): Promise<NodeShell> {
    const { node, services } = context
    const access = await services.nodes.ssh(context, node)
    if (access.kind === 'open') return new NodeShell(context, access.connection)
    throw new AppError({
      code: 'SSH_NEEDED',
      title: `On ${node.name} this cannot be set without SSH: ${purpose}.`,
      detail: access.reason,
      remedies: [
        'Give a key in access.sshKey, or switch on the password login of SSH.',
        'Or set it in the text interface of the node (command palette-tui), then go on with --resume.',
      ],
      node: node.name,
    })
  }

  /** Text of a file, `undefined` when it cannot be read. */
  async read(path: string): Promise<string | undefined> {
    const result = await this.#connection.exec(`cat ${path}`, { signal: this.#context.signal })
    return result.exitCode === 0 ? result.stdout : undefined
  }

  /** Puts a file of root's in place, with its folder. The account itself may write in /tmp only. */
  async install(path: string, content: string, mode: '0600' | '0644', signal: AbortSignal): Promise<void> {
    const uploaded = `/tmp/landfall-${path.replace(/[^a-z0-9.]+/gi, '-')}`
    await this.#connection.sftp.writeFile(uploaded, Buffer.from(content), { mode: 0o600, signal })
    await this.root(`mkdir -p ${dirname(path)}`, signal)
    await this.root(`install -m ${mode} ${uploaded} ${path}`, signal)
    await this.#connection.exec(`rm -f ${uploaded}`, { signal })
  }

  /** Runs a command as root: without password where the node allows it, else with the one that was accepted. */
  async root(command: string, signal: AbortSignal): Promise<void> {
    const { node, services } = this.#context
    let result = await this.#connection.exec(`sudo -n ${command}`, { signal })
    if (result.exitCode !== 0 && /password is required/i.test(result.stderr)) {
      const { password } = await services.nodes.acceptedCredential(this.#context, node)
      result = await this.#connection.exec(`sudo -S -p '' ${command}`, { signal, stdin: `${password}\n` })
    }
    if (result.exitCode === 0) return
    throw new AppError({
      code: 'COMMAND_FAILED',
      title: `A command failed on ${node.name}.`,
      detail: `sudo ${command}: exit code ${result.exitCode ?? 'none'}: ${result.stderr.trim().slice(-300)}`,
      remedies: [`Log in to ${node.name} by SSH and run the command by hand to see what is wrong.`],
      node: node.name,
    })
  }
}
