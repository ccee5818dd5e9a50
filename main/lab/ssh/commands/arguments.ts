import type { FileEntry } from '../../file-system.ts'
import type { Command, CommandCall } from '../shell.ts'
import { neighbourFile } from './neighbour-file.ts'

/** Options (`-x`, `--long`, `--long=value`) and operands of a command line. */
export function split(
  args: readonly string[],
  withValue: readonly string[] = [],
): { options: Map<string, string>; operands: string[] } {
  const options = new Map<string, string>()
  const operands: string[] = []
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? ''
    if (arg === '--') {
      operands.push(...args.slice(index + 1))
      break
    }
    if (arg.startsWith('--')) {
      const [name = '', ...value] = arg.split('=')
      if (value.length === 0 && withValue.includes(name)) options.set(name, args[++index] ?? '')
      else options.set(name, value.join('='))
    } else if (arg.startsWith('-') && arg !== '-') {
      for (let place = 1; place < arg.length; place += 1) {
        const name = `-${arg.charAt(place)}`
        if (withValue.includes(name)) {
          const attached = arg.slice(place + 1)
          options.set(name, attached === '' ? (args[++index] ?? '') : attached)
          break
        }
        options.set(name, '')
      }
    } else operands.push(arg)
  }
  return { options, operands }
}

const step = 256 * 1024

export function* contentOf(entry: FileEntry): Generator<Buffer> {
  for (let offset = 0; offset < entry.content.size; offset += step) yield entry.content.read(offset, step)
}

export async function* inputs(call: CommandCall, operands: readonly string[]): AsyncGenerator<Buffer> {
  if (operands.length === 0) yield* call.stdin.chunks()
  for (const path of operands) {
    if (path === '-') yield* call.stdin.chunks()
    else if (call.resolve(path) === '/proc/net/arp') yield Buffer.from(neighbourFile(call))
    else yield* contentOf(call.node.files.read(call.resolve(path), call.user))
  }
}

export async function collect(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export const success: Command = () => 0

export function print(text: (call: CommandCall) => string): Command {
  return async (call) => {
    await call.out(text(call))
    return 0
  }
}

export async function usage(call: CommandCall, text: string, code = 2): Promise<number> {
  await call.err(`${text}\n`)
  return code
}
