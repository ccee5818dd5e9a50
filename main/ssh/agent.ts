import { existsSync } from 'node:fs'

/** Where the agent of Windows' own OpenSSH listens. */
const windowsPipe = String.raw`\\.\pipe\openssh-ssh-agent`

/**
 * The SSH agent of this workstation, as ssh2 wants it: the socket that the session names; on Windows else the agent of
 * OpenSSH where it runs, else Pageant. `undefined`: there is none.
 */
export function findAgent(
  environment: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
  isThere: (path: string) => boolean = existsSync,
): string | undefined {
  const socket = environment['SSH_AUTH_SOCK']
  if (socket !== undefined && socket !== '') return socket
  if (platform !== 'win32') return undefined
  return isThere(windowsPipe) ? windowsPipe : 'pageant'
}
