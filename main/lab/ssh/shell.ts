import { FileSystemError, normalize } from '../file-system.ts'
import type { Dialler } from '../../network/dialler.ts'
import type { LabNode } from '../node.ts'
import type { Plan } from '../../../shared/plan/index.ts'
import type { Scenario } from '../scenario.ts'
import type { Segment } from '../segment.ts'
import { CommandLineError, parseCommandLine, type ListItem, type SimpleCommand } from './command-line.ts'
import { commands } from './commands/index.ts'
import type { CommandTime } from './command-time.ts'
import { inputOf, type Input } from './input.ts'

export interface CommandCall {
  node: LabNode
  user: string
  args: string[]
  stdin: Input
  out: (data: string | Buffer) => Promise<void> | void
  err: (data: string | Buffer) => Promise<void> | void
  /** Absolute form of a path that may be relative to the home folder. */
  resolve: (path: string) => string
  /** Runs another command, as another user when given, with other streams or another way of waiting. */
  run: (words: string[], user: string, changes?: Partial<Streams>) => Promise<number>
  /** Runs a whole command line (`sh -c`). */
  runLine: (line: string, user: string) => Promise<number>
  /** Is there such a program on this node? By name or path. */
  hasProgram: (name: string) => boolean
  /** How it waits. */
  time: CommandTime
  services: ShellServices
}

/** What commands need of the rest of the lab. */
export interface ShellServices {
  /** Simulated milliseconds. */
  now: () => number
  sudoNeedsPassword: boolean
  segment: Segment
  plan: Plan
  /** What the scenario says of the network. */
  network: Scenario['network']
  /** `false`: the image came without arping. */
  hasArping: boolean
  /** Is a TCP connection accepted there? */
  isOpen: (address: string, port: number) => boolean
  /** A TCP connection from a node, for what its SSH server passes on. */
  dial: Dialler['dial']
  emitReboot: (node: LabNode) => void
}

/** Exit code. Each command is a small function over the node's state. */
export type Command = (call: CommandCall) => number | Promise<number>

export interface Streams {
  time: CommandTime
  stdin: Input
  out: (data: string | Buffer) => Promise<void> | void
  err: (data: string | Buffer) => Promise<void> | void
}

/** Runs one command line on a simulated node and returns its exit code. No process is started. */
export async function runCommandLine(
  node: LabNode,
  user: string,
  line: string,
  streams: Streams,
  services: ShellServices,
): Promise<number> {
  let items: ListItem[]
  try {
    items = parseCommandLine(line, homeOf(user))
  } catch (error) {
    if (!(error instanceof CommandLineError)) throw error
    await streams.err(`bash: -c: line 1: syntax error: ${error.message}\n`)
    return 2
  }
  let code = 0
  for (const { connector, pipeline } of items) {
    if ((connector === '&&' && code !== 0) || (connector === '||' && code === 0)) continue
    code = await runPipeline(node, user, pipeline, streams, services)
  }
  return code
}

function homeOf(user: string): string {
  return user === 'root' ? '/root' : `/home/${user}`
}

async function runPipeline(
  node: LabNode,
  user: string,
  pipeline: readonly SimpleCommand[],
  streams: Streams,
  services: ShellServices,
): Promise<number> {
  let { stdin } = streams
  let code = 0
  for (const [index, command] of pipeline.entries()) {
    const isLast = index === pipeline.length - 1
    // One stage after the other: the first commands of a pipeline have small outputs here.
    const collected: Buffer[] = []
    code = await runSimple(
      node,
      user,
      command,
      { ...streams, stdin, out: isLast ? streams.out : (data) => void collected.push(Buffer.from(data)) },
      services,
    )
    stdin = inputOf(Buffer.concat(collected))
  }
  return code
}

async function runSimple(
  node: LabNode,
  user: string,
  command: SimpleCommand,
  streams: Streams,
  services: ShellServices,
): Promise<number> {
  const resolve = (path: string) => normalize(path.startsWith('/') ? path : `${homeOf(user)}/${path}`)
  let { stdin, out, err } = streams
  try {
    for (const { stream, mode, path } of command.redirections) {
      if (path === '/dev/null') {
        if (stream === 'stdin') stdin = inputOf(Buffer.alloc(0))
        else if (stream === 'stdout') out = () => undefined
        else err = () => undefined
        continue
      }
      if (mode === 'read') {
        const { content } = node.files.read(resolve(path), user)
        stdin = inputOf(Buffer.from(content.read(0, content.size)))
        continue
      }
      const { content } = node.files.open(resolve(path), user, { truncate: mode === 'write' })
      const write = (data: string | Buffer) => {
        content.write(content.size, Buffer.from(data))
      }
      if (stream === 'stdout') out = write
      else err = write
    }
  } catch (error) {
    if (!(error instanceof FileSystemError)) throw error
    await streams.err(`bash: ${error.message}\n`)
    return 1
  }
  if (command.mergesStderr) err = out
  const hasProgram = (name: string) => programNamed(name, services) !== undefined
  const run: CommandCall['run'] = async (words, asUser, changes = {}) => {
    const own = { stdin, out, err, time: streams.time, ...changes }
    // Assignments before a command (LC_ALL=C) change nothing here.
    const start = words.findIndex((word) => !/^[A-Za-z_]\w*=/.test(word))
    const [name, ...args] = start === -1 ? [] : words.slice(start)
    if (name === undefined) return 0
    const implementation = programNamed(name, services)
    if (implementation === undefined) {
      await own.err(
        name.includes('/')
          ? `bash: ${name}: No such file or directory\n`
          : `bash: ${name}: command not found\n`,
      )
      return 127
    }
    try {
      return await implementation({
        node,
        user: asUser,
        args,
        ...own,
        resolve,
        run: (inner, innerUser, innerChanges = {}) => run(inner, innerUser, { ...own, ...innerChanges }),
        runLine: (line, lineUser) => runCommandLine(node, lineUser, line, own, services),
        hasProgram,
        services,
      })
    } catch (error) {
      if (!(error instanceof FileSystemError)) throw error
      await own.err(`${name}: ${error.message}\n`)
      return 1
    }
  }
  return await run(command.words, user)
}

function programNamed(name: string, services: ShellServices): Command | undefined {
  const plain = name.replace(/^(\/usr)?(\/local)?\/s?bin\//, '')
  return plain === 'arping' && !services.hasArping ? undefined : commands.get(plain)
}
