import { createHash } from 'node:crypto'
import { FileSystemError } from '../../file-system.ts'
import type { Command } from '../shell.ts'
import { collect, inputs, split } from './arguments.ts'

export const cat: Command = async (call) => {
  const { operands } = split(call.args)
  let code = 0
  for (const path of operands.length === 0 ? ['-'] : operands) {
    try {
      for await (const chunk of inputs(call, [path])) await call.out(chunk)
    } catch (error) {
      if (!(error instanceof FileSystemError)) throw error
      await call.err(`cat: ${error.message}\n`)
      code = 1
    }
  }
  return code
}

export const tee: Command = async (call) => {
  const { options, operands } = split(call.args)
  const entries = operands.map((path) =>
    call.node.files.open(call.resolve(path), call.user, { truncate: !options.has('-a') }),
  )
  for await (const chunk of call.stdin.chunks()) {
    for (const { content } of entries) content.write(content.size, chunk)
    await call.out(chunk)
  }
  return 0
}

export const sha256sum: Command = async (call) => {
  const { operands } = split(call.args)
  for (const path of operands.length === 0 ? ['-'] : operands) {
    if (path !== '-') {
      await call.out(`${call.node.files.read(call.resolve(path), call.user).content.sha256()}  ${path}\n`)
      continue
    }
    const hash = createHash('sha256')
    for await (const chunk of call.stdin.chunks()) hash.update(chunk)
    await call.out(`${hash.digest('hex')}  -\n`)
  }
  return 0
}

export const head: Command = async (call) => {
  const { options, operands } = split(call.args, ['-c', '-n'])
  const content = await collect(inputs(call, operands))
  const bytes = options.get('-c')
  if (bytes !== undefined) await call.out(content.subarray(0, Number(bytes)))
  else
    await call.out(
      content
        .toString()
        .split('\n')
        .slice(0, Number(options.get('-n') ?? 10))
        .join('\n') + '\n',
    )
  return 0
}

export const tail: Command = async (call) => {
  const { options, operands } = split(call.args, ['-c', '-n'])
  const content = await collect(inputs(call, operands))
  const bytes = options.get('-c')
  if (bytes !== undefined) await call.out(content.subarray(Math.max(0, content.length - Number(bytes))))
  else
    await call.out(
      content
        .toString()
        .replace(/\n$/, '')
        .split('\n')
        .slice(-Number(options.get('-n') ?? 10))
        .join('\n') + '\n',
    )
  return 0
}

export const wc: Command = async (call) => {
  const { options, operands } = split(call.args)
  const content = await collect(inputs(call, operands))
  const value = options.has('-c') ? content.length : content.toString().split('\n').length - 1
  await call.out(`${value}${operands[0] === undefined ? '' : ` ${operands[0]}`}\n`)
  return 0
}

export const grep: Command = async (call) => {
  const { options, operands } = split(call.args, ['-e', '-m'])
  const [first, ...rest] = operands
  const pattern = options.get('-e') ?? first ?? ''
  const paths = options.has('-e') ? operands : rest
  const expression = new RegExp(
    options.has('-F') ? pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') : pattern,
    options.has('-i') ? 'i' : '',
  )
  const lines = (await collect(inputs(call, paths))).toString().split('\n')
  const found = lines.filter((line) => line !== '' && expression.test(line) !== options.has('-v'))
  if (options.has('-c')) await call.out(`${found.length}\n`)
  else if (!options.has('-q')) await call.out(found.map((line) => `${line}\n`).join(''))
  return found.length > 0 ? 0 : 1
}

export const base64: Command = async (call) => {
  const { options, operands } = split(call.args, ['-w', '--wrap'])
  const content = await collect(inputs(call, operands))
  if (options.has('-d') || options.has('--decode')) await call.out(Buffer.from(content.toString(), 'base64'))
  else await call.out(`${content.toString('base64')}\n`)
  return 0
}
