import { anyShellPrelude } from '../../../network/programs/remote-launcher.ts'
import type { Command } from '../shell.ts'
import { usage } from './arguments.ts'

/** What `printf %b` makes of the product's pieces, run as a command line: see `anyShellLine`. */
export const anyShell: Command = async (call) => {
  const script = Buffer.from(
    call.args
      .join('')
      .replaceAll(/\\0([0-7]{3})/g, (_escape, digits: string) =>
        String.fromCharCode(Number.parseInt(digits, 8)),
      ),
    'latin1',
  ).toString()
  if (!script.startsWith(anyShellPrelude)) {
    return await usage(call, "bash: -c: the practice lab's shell knows eval of the product's own lines only")
  }
  return await call.runLine(script.slice(anyShellPrelude.length), call.user)
}
