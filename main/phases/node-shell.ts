import { dirname } from 'node:path/posix'
import { AppError } from '../../shared/errors/index.ts'
import type { ProgramResult, ProgramRunner } from '../network/programs/program-runner.ts'
import { createSshRunner } from '../network/programs/ssh-runner.ts'
import type { SiteNodeContext } from './site.ts'

const deadlineSeconds = 60

/** Programs and files on one node over SSH, as root where needed. A connection that was lost is opened again. */
export class NodeShell {
  readonly #context: SiteNodeContext
  readonly runner: ProgramRunner

  private constructor(context: SiteNodeContext, runner: ProgramRunner) {
    this.#context = context
    this.runner = runner
  }

  /** `undefined` where SSH is closed. */
  static async openIfPossible(context: SiteNodeContext): Promise<NodeShell | { readonly reason: string }> {
    const { node, services } = context
    const access = await services.nodes.ssh(context, node)
    if (access.kind === 'closed') return { reason: access.reason }
    const runner = createSshRunner({
      place: node.name,
      connection: {
        // Some nodes hang up after every command: each one takes the connection that there is, or a new one.
        exec: async (command, options) => {
          const current = await services.nodes.ssh(context, node)
          if (current.kind === 'open') return current.connection.exec(command, options)
          throw sshNeeded(context, 'going on', current.reason)
        },
      },
      password: async () => (await services.nodes.acceptedCredential(context, node)).password,
    })
    return new NodeShell(context, runner)
  }

  /** Throws `SSH_NEEDED` where SSH is closed; `purpose`: what is to be set, for the message. */
  static async open(context: SiteNodeContext, purpose: string): Promise<NodeShell> {
    const shell = await NodeShell.openIfPossible(context)
    if (shell instanceof NodeShell) return shell
    throw sshNeeded(context, purpose, shell.reason)
  }

  /** Text of a file, `undefined` when there is none. Throws when it cannot be read for another reason. */
  async read(path: string): Promise<string | undefined> {
    const options = { signal: this.#context.signal, deadlineSeconds }
    const result = await this.runner.run('cat', [path], options)
    if (result.kind === 'ended' && result.exitCode === 0) return result.stdout
    if (result.kind === 'ended' && /No such file|Not a directory/i.test(result.stderr)) return undefined
    const asRoot = await this.runner.run('cat', [path], { ...options, asRoot: true })
    if (asRoot.kind === 'ended' && asRoot.exitCode === 0) return asRoot.stdout
    if (asRoot.kind === 'ended' && /No such file|Not a directory/i.test(asRoot.stderr)) return undefined
    throw this.#failed(`cat ${path}`, asRoot)
  }

  /** Puts a file of root's in place, with its folder: the old one, or the whole new one, is there at any moment. */
  async install(path: string, content: string, mode: '0600' | '0644', signal: AbortSignal): Promise<void> {
    // Kairos reads *.yaml, systemd *.conf: neither takes this one for a part of its configuration.
    const staged = `${path}.landfall-new`
    await this.root(signal, 'mkdir', ['-p', dirname(path)])
    try {
      await this.root(signal, 'tee', [staged], content)
      await this.root(signal, 'chmod', [mode, staged])
      await this.root(signal, 'mv', ['-f', staged, path])
    } catch (error) {
      // What is left of it on a full disk is in the way of everybody.
      if (error instanceof AppError && !error.isTransient && !signal.aborted)
        await this.runner.run('rm', ['-f', staged], { signal, deadlineSeconds, asRoot: true })
      throw error
    }
  }

  /** The same for a file of the account's own, in a folder that only it may read. */
  async installOwn(path: string, content: string, signal: AbortSignal): Promise<void> {
    const staged = `${path}.landfall-new`
    await this.#run(signal, 'mkdir', ['-p', '-m', '700', dirname(path)])
    await this.#run(signal, 'tee', [staged], content)
    await this.#run(signal, 'chmod', ['600', staged])
    await this.#run(signal, 'mv', ['-f', staged, path])
  }

  /** Runs a program as root: without password where the node allows it, else with the one that was accepted. */
  async root(signal: AbortSignal, program: string, args: readonly string[], input?: string): Promise<void> {
    await this.#run(signal, program, args, input, true)
  }

  async #run(
    signal: AbortSignal,
    program: string,
    args: readonly string[],
    input?: string,
    asRoot = false,
  ): Promise<void> {
    const result = await this.runner.run(program, args, {
      signal,
      deadlineSeconds,
      asRoot,
      ...(input === undefined ? {} : { input }),
    })
    if (result.kind === 'ended' && result.exitCode === 0) return
    throw this.#failed([program, ...args].join(' '), result)
  }

  #failed(command: string, result: ProgramResult): AppError {
    const { node } = this.#context
    const said = saidOf(result)
    return new AppError({
      code: 'COMMAND_FAILED',
      title: `A command failed on ${node.name}.`,
      detail: `${command}: ${said}`,
      remedies: /no space left/i.test(said)
        ? [`Free some space on the disk of ${node.name}, then go on with --resume.`]
        : /read-only file system/i.test(said)
          ? [
              `The file system is mounted read-only: look at the disk of ${node.name} (dmesg), or restart it, then go on with --resume.`,
            ]
          : [`Log in to ${node.name} by SSH and run the command by hand to see what is wrong.`],
      node: node.name,
      isTransient: result.kind === 'killed',
    })
  }
}

function saidOf(result: ProgramResult): string {
  switch (result.kind) {
    case 'ended':
      return `exit code ${String(result.exitCode ?? 'none')}: ${result.stderr.trim().slice(-300)}`
    case 'missing':
      return 'there is no such program'
    case 'not-permitted':
      return `root is needed: ${result.reason}`
    case 'killed':
      return 'it did not end in time'
  }
}

function sshNeeded({ node }: SiteNodeContext, purpose: string, reason: string): AppError {
  return new AppError({
    code: 'SSH_NEEDED',
    title: `On ${node.name} this cannot be set without SSH: ${purpose}.`,
    detail: reason,
    remedies: [
      'Give a key in access.sshKey, or switch on the password login of SSH.',
      'Or set it in the text interface of the node (command palette-tui), then go on with --resume.',
    ],
    node: node.name,
  })
}
