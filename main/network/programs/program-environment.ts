import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'

/**
 * What system programs need of the environment, on any system. Not more: the environment of Landfall may hold passwords
 * (`LANDFALL_SECRET_…`), and variables such as `NMAP_ARGS` would change what a program does.
 */
const passedOn = [
  ...['HOME', 'USER', 'LOGNAME', 'TMPDIR'],
  ...[
    'SystemRoot',
    'SystemDrive',
    'windir',
    'ComSpec',
    'PATHEXT',
    'TEMP',
    'TMP',
    'USERPROFILE',
    'ProgramData',
  ],
  ...['ProgramFiles', 'ProgramFiles(x86)', 'NUMBER_OF_PROCESSORS', 'PROCESSOR_ARCHITECTURE', 'PSModulePath'],
]

/** The environment for system programs: English messages, and a `PATH` that knows the places of `programFolders`. */
export function programEnvironment(
  environment: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): NodeJS.ProcessEnv {
  const kept = passedOn.flatMap((name) => {
    const value = environment[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    ...Object.fromEntries(kept),
    LC_ALL: 'C',
    PATH: programFolders(environment, platform).join(delimiter),
  }
}

/**
 * Where programs are looked for: absolute folders of `PATH`, then where administration programs are although the `PATH`
 * of an ordinary account, or of an application that was started from the desktop, does not say so.
 */
export function programFolders(
  environment: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string[] {
  const fromPath = (environment['PATH'] ?? '').split(delimiter).filter((folder) => isAbsolute(folder))
  return [...new Set([...fromPath, ...furtherFolders(environment, platform)])]
}

function furtherFolders(environment: NodeJS.ProcessEnv, platform: NodeJS.Platform): string[] {
  const unix = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/sbin', '/sbin']
  switch (platform) {
    case 'win32':
      // nmap's installer puts itself into PATH, which programs see that are started after the next login.
      return ['ProgramFiles(x86)', 'ProgramFiles']
        .map((name) => environment[name])
        .flatMap((folder) => (folder === undefined ? [] : [join(folder, 'Nmap')]))
    case 'darwin':
      return [...unix, '/opt/homebrew/bin', '/opt/homebrew/sbin', '/opt/local/bin', '/opt/local/sbin']
    default:
      return unix
  }
}

/** The file that would be run under this name, or `undefined`. */
export function findProgram(name: string, folders: readonly string[] = programFolders()): string | undefined {
  const fileName = process.platform === 'win32' ? `${name}.exe` : name
  return folders.map((folder) => join(folder, fileName)).find(isRunnable)
}

function isRunnable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}
