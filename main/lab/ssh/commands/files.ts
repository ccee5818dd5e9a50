import type { Command, CommandCall } from '../shell.ts'
import { contentOf, split, usage } from './arguments.ts'

export const mkdir: Command = (call) => {
  const { options, operands } = split(call.args, ['-m', '--mode'])
  for (const path of operands) {
    if (options.has('-p') || options.has('--parents'))
      call.node.files.makeFolders(call.resolve(path), call.user)
    else call.node.files.makeFolder(call.resolve(path), call.user)
  }
  return 0
}

export const mv: Command = (call) => {
  const { operands } = split(call.args)
  const [from = '', to = ''] = operands
  const isFolder = call.node.files.stat(call.resolve(to))?.kind === 'folder'
  const target = isFolder ? `${call.resolve(to)}/${from.split('/').at(-1) ?? ''}` : call.resolve(to)
  call.node.files.rename(call.resolve(from), target, call.user, true)
  return 0
}

function copy(call: CommandCall, from: string, to: string, mode: number | null): void {
  const source = call.node.files.read(call.resolve(from), call.user)
  const isFolder = call.node.files.stat(call.resolve(to))?.kind === 'folder'
  const path = isFolder ? `${call.resolve(to)}/${from.split('/').at(-1) ?? ''}` : call.resolve(to)
  const target = call.node.files.open(path, call.user, { truncate: true })
  for (const chunk of contentOf(source)) target.content.write(target.content.size, chunk)
  target.mode = mode ?? source.mode
  target.owner = call.user
}

export const cp: Command = (call) => {
  const [from = '', to = ''] = split(call.args).operands
  copy(call, from, to, null)
  return 0
}

export const install: Command = (call) => {
  const { options, operands } = split(call.args, ['-m', '--mode', '-o', '--owner', '-g', '--group'])
  if (options.has('-d')) {
    for (const path of operands) call.node.files.makeFolders(call.resolve(path), call.user)
    return 0
  }
  const [from = '', to = ''] = operands
  const target = call.resolve(to)
  if (options.has('-D'))
    call.node.files.makeFolders(target.slice(0, target.lastIndexOf('/')) || '/', call.user)
  copy(call, from, to, parseInt(options.get('-m') ?? options.get('--mode') ?? '755', 8))
  return 0
}

export const rm: Command = (call) => {
  const { options, operands } = split(call.args)
  const isForced = options.has('-f') || options.has('--force')
  for (const path of operands) {
    if (isForced && call.node.files.stat(call.resolve(path)) === null) continue
    call.node.files.remove(call.resolve(path), call.user, options.has('-r') || options.has('-R'))
  }
  return 0
}

export const chmod: Command = async (call) => {
  const [mode = '', ...paths] = call.args
  for (const path of paths) {
    const entry = call.node.files.stat(call.resolve(path))
    if (entry === null)
      return await usage(call, `chmod: cannot access '${path}': No such file or directory`, 1)
    if (/^[0-7]+$/.test(mode)) entry.mode = parseInt(mode, 8)
  }
  return 0
}

export const ls: Command = async (call) => {
  const { operands } = split(call.args)
  for (const path of operands.length === 0 ? ['.'] : operands) {
    const entry = call.node.files.stat(call.resolve(path))
    if (entry === null) return await usage(call, `ls: cannot access '${path}': No such file or directory`)
    const names = entry.kind === 'folder' ? call.node.files.list(call.resolve(path)) : [path]
    await call.out(names.map((name) => `${name}\n`).join(''))
  }
  return 0
}

export const stat: Command = async (call) => {
  const { options, operands } = split(call.args, ['-c', '--format'])
  const format = options.get('-c') ?? options.get('--format') ?? '%n %s'
  for (const path of operands) {
    const entry = call.node.files.stat(call.resolve(path))
    if (entry === null) return await usage(call, `stat: cannot statx '${path}': No such file or directory`, 1)
    const values: Record<string, string> = {
      s: String(entry.kind === 'file' ? entry.content.size : 4096),
      n: path,
      a: entry.mode.toString(8),
      U: entry.owner,
      Y: String(Math.floor(entry.modifiedAt / 1000)),
      F: entry.kind === 'file' ? 'regular file' : 'directory',
    }
    await call.out(`${format.replace(/%([snaUYF])/g, (whole, key: string) => values[key] ?? whole)}\n`)
  }
  return 0
}

export const test: Command = (call) => {
  const args = call.args.at(-1) === ']' ? call.args.slice(0, -1) : call.args
  const isNegated = args[0] === '!'
  const [first = '', second, third] = isNegated ? args.slice(1) : args
  const entry = second === undefined ? null : call.node.files.stat(call.resolve(second))
  const isTrue =
    third !== undefined
      ? second === '='
        ? first === third
        : second === '!='
          ? first !== third
          : false
      : first === '-e'
        ? entry !== null || isDevice(call, second)
        : first === '-d'
          ? entry?.kind === 'folder'
          : first === '-f'
            ? entry?.kind === 'file'
            : first === '-b'
              ? isDevice(call, second)
              : first === '-s'
                ? entry?.kind === 'file' && entry.content.size > 0
                : first === '-r'
                  ? entry !== null
                  : first === '-n'
                    ? second !== undefined && second !== ''
                    : first === '-z'
                      ? second === undefined || second === ''
                      : first !== ''
  return isTrue !== isNegated ? 0 : 1
}

function isDevice(call: CommandCall, path: string | undefined): boolean {
  return call.node.hardware.disks.some(
    (disk) => disk.path === path || disk.partitions.some((one) => one.path === path),
  )
}
