/**
 * Makes a bare clone runnable: dependencies from the lock file, and on request the system programs that
 * tests need. Plain JavaScript for Node 20, because nothing is installed yet when it runs.
 * Does nothing the second time.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const projectRoot = fileURLToPath(new URL('..', import.meta.url))
const stampFile = join(projectRoot, 'node_modules', '.landfall-setup')

/** The Node that the project brings itself (the major that Electron embeds). */
export const ownNode = join(
  projectRoot,
  'node_modules',
  'node',
  'bin',
  process.platform === 'win32' ? 'node.exe' : 'node',
)

/** System programs that `npm test` uses, and the Debian package of each. */
const systemPrograms = [
  { program: 'sshd', debianPackage: 'openssh-server' },
  { program: 'ssh-keygen', debianPackage: 'openssh-client' },
  { program: 'ip', debianPackage: 'iproute2' },
  { program: 'openssl', debianPackage: 'openssl' },
  { program: 'script', debianPackage: 'bsdutils' },
]
const systemFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

function wantedStamp() {
  const lock = readFileSync(join(projectRoot, 'package-lock.json'))
  return `${createHash('sha256').update(lock).digest('hex')} ${process.platform} ${process.arch}`
}

function isInstalled() {
  return existsSync(ownNode) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wantedStamp()
}

/** Installs the dependencies when the lock file changed since the last time. */
export function setupDependencies() {
  if (isInstalled()) return
  console.error('Installing the dependencies named in package-lock.json (only the first time) …')
  // npm is a script on every platform; through a shell it is found on Windows too.
  const result = spawnSync('npm ci --no-fund --no-audit --loglevel=error', {
    cwd: projectRoot,
    stdio: ['ignore', 2, 2],
    shell: true,
  })
  if (result.status !== 0) {
    console.error('Could not install the dependencies: `npm ci` failed, see above.')
    process.exit(1)
  }
  if (!existsSync(ownNode)) {
    console.error(
      'npm installed the package `node` without its binary: its install script was not allowed to run.\n' +
        'Run `npm rebuild node` and start again.',
    )
    process.exit(1)
  }
  writeFileSync(stampFile, wantedStamp())
}

function missingPrograms() {
  return systemPrograms.filter(
    ({ program }) => !systemFolders.some((folder) => existsSync(join(folder, program))),
  )
}

/** Installs (Debian, root) or asks for (elsewhere) the system programs that the tests use. */
export function setupSystem() {
  if (process.platform !== 'linux') return
  const missing = missingPrograms()
  if (missing.length === 0) return
  const packages = missing.map((entry) => entry.debianPackage)
  const isDebianRoot = existsSync('/usr/bin/apt-get') && process.getuid?.() === 0
  if (!isDebianRoot) {
    console.error(
      `Missing for the network tests, which are skipped: ${missing.map((entry) => entry.program).join(', ')}.\n` +
        `On Debian or Ubuntu: sudo apt-get install ${packages.join(' ')}`,
    )
    return
  }
  console.error(`Installing Debian packages for the tests: ${packages.join(' ')} …`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const run = (args) => spawnSync('apt-get', args, { stdio: ['ignore', 2, 2], env }).status === 0
  const install = ['install', '-y', '-qq', '--no-install-recommends', ...packages]
  if (!run(install) && !(run(['update', '-qq']) && run(install))) {
    console.error(`apt-get could not install ${packages.join(' ')}, see above.`)
    process.exit(1)
  }
}
