import { readFile } from 'node:fs/promises'
import { printableStart } from '../../printable.ts'
import type { ProgramRunner } from '../../programs/program-runner.ts'
import type { NeighbourSource, NeighbourTable, ParsedNeighbours } from './neighbour-table.ts'
import { parseIpNeigh, parseProcNetArp } from './parse-linux.ts'
import { parseArpMacos } from './parse-macos.ts'
import { parseArpWindows, parseGetNetNeighbor } from './parse-windows.ts'

interface ReadOptions {
  /**
   * Reads a text file of the runner's place, or rejects. Where it is left out, the runner's `cat` does it. For the
   * workstation: `readLocalFile`.
   */
  readonly readFile?: (path: string, signal: AbortSignal) => Promise<string>
}

/** Files of the machine that Landfall itself runs on. */
export const readLocalFile = (path: string, signal: AbortSignal): Promise<string> =>
  readFile(path, { encoding: 'utf8', signal })

/** One way to the table. `undefined` from `parse`: that was another output than expected. */
interface Way {
  readonly source: NeighbourSource
  /** For messages: the command line, or the file. */
  readonly what: string
  read(signal: AbortSignal): Promise<TextResult>
  parse(text: string): ParsedNeighbours | undefined
}

type TextResult = { readonly text: string } | { readonly problem: string }

/** Real time. PowerShell takes seconds to start. */
const deadlineSeconds = { ip: 10, arp: 10, powershell: 30 }

const netNeighborScript = [
  '[Console]::OutputEncoding = [Text.Encoding]::UTF8',
  'ConvertTo-Json -Compress -InputObject @(Get-NetNeighbor -AddressFamily IPv4 | Select-Object IPAddress, LinkLayerAddress, InterfaceAlias, State)',
].join('; ')

/**
 * Reads the neighbour table of the runner's place again and again: the first way that works is the way from then on, so
 * that all its tables can be compared. Entries of other interfaces are left out. Rejects only as the runner does.
 */
export function createNeighbourReader(
  runner: ProgramRunner,
  interfaceName: string,
  options: ReadOptions = {},
): (signal: AbortSignal) => Promise<NeighbourTable> {
  const ways = waysOf(runner, interfaceName, options)
  let chosen: Way | undefined
  return async (signal) => {
    const problems: string[] = []
    for (const way of chosen === undefined ? ways : [chosen]) {
      const result = await way.read(signal)
      const parsed = 'text' in result ? way.parse(result.text) : undefined
      if (parsed !== undefined && (parsed.entries.length > 0 || parsed.unknownLines === 0)) {
        chosen = way
        const isOurs = (entry: { interface: string | undefined }) =>
          entry.interface === undefined || entry.interface === interfaceName
        return { kind: 'read', source: way.source, ...parsed, entries: parsed.entries.filter(isOurs) }
      }
      problems.push(`${way.what}: ${problemOf(result)}`)
    }
    return {
      kind: 'unreadable',
      reason:
        ways.length === 0
          ? `Landfall cannot read the neighbour table of ${runner.place}: its operating system (${runner.platform}) is not supported.`
          : `The neighbour table of ${runner.place} cannot be read (${problems.join('; ')}).`,
    }
  }
}

function waysOf(runner: ProgramRunner, interfaceName: string, options: ReadOptions): readonly Way[] {
  switch (runner.platform) {
    case 'linux':
      return [
        byProgram(
          runner,
          'ip-neigh',
          'ip',
          ['-4', '-s', '-j', 'neigh', 'show', 'dev', interfaceName],
          deadlineSeconds.ip,
          parseIpNeigh,
        ),
        byFile(runner, 'proc-net-arp', '/proc/net/arp', options, parseProcNetArp),
      ]
    case 'darwin':
      return [byProgram(runner, 'arp-macos', 'arp', ['-an'], deadlineSeconds.arp, parseArpMacos)]
    case 'win32':
      return [
        byProgram(
          runner,
          'get-netneighbor',
          'powershell.exe',
          ['-NoLogo', '-NoProfile', '-NonInteractive', '-Command', netNeighborScript],
          deadlineSeconds.powershell,
          parseGetNetNeighbor,
        ),
        byProgram(runner, 'arp-windows', 'arp', ['-a'], deadlineSeconds.arp, parseArpWindows),
      ]
    default:
      return []
  }
}

function byProgram(
  runner: ProgramRunner,
  source: NeighbourSource,
  program: string,
  args: readonly string[],
  deadline: number,
  parse: Way['parse'],
): Way {
  return {
    source,
    what: program,
    read: (signal) => runProgram(runner, program, args, deadline, signal),
    parse,
  }
}

function byFile(
  runner: ProgramRunner,
  source: NeighbourSource,
  path: string,
  options: ReadOptions,
  parse: Way['parse'],
): Way {
  const read = async (signal: AbortSignal): Promise<TextResult> => {
    if (options.readFile === undefined)
      return await runProgram(runner, 'cat', [path], deadlineSeconds.ip, signal)
    try {
      return { text: await options.readFile(path, signal) }
    } catch (error) {
      signal.throwIfAborted()
      return { problem: error instanceof Error ? error.message : String(error) }
    }
  }
  return { source, what: path, read, parse }
}

async function runProgram(
  runner: ProgramRunner,
  program: string,
  args: readonly string[],
  deadline: number,
  signal: AbortSignal,
): Promise<TextResult> {
  const result = await runner.run(program, args, { signal, deadlineSeconds: deadline })
  switch (result.kind) {
    case 'ended':
      if (result.exitCode === 0) return { text: result.stdout }
      return {
        problem: `it ended with ${result.exitCode === null ? 'a signal' : `code ${result.exitCode}`}${said(result.stderr)}`,
      }
    case 'missing':
      return { problem: 'there is no such program' }
    case 'not-permitted':
      return { problem: result.reason }
    case 'killed':
      return {
        problem: result.reason === 'deadline' ? `it did not end within ${deadline} s` : 'it wrote too much',
      }
  }
}

function problemOf(result: TextResult): string {
  if ('problem' in result) return result.problem
  if (result.text.trim() === '') return 'it wrote nothing'
  return `it wrote something else: ${printableStart(result.text)}`
}

function said(text: string): string {
  return text.trim() === '' ? '' : ` and said: ${printableStart(text)}`
}
