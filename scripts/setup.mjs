/**
 * Makes a bare clone runnable: dependencies from the lock file, and on request the system programs that
 * tests need. Plain JavaScript for Node 20, because nothing is installed yet when it runs.
 * Does nothing the second time.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
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
  { program: 'nft', debianPackage: 'nftables' },
  { program: 'dnsmasq', debianPackage: 'dnsmasq-base' },
  { program: 'nmap', debianPackage: 'nmap' },
  { program: 'arping', debianPackage: 'iputils-arping' },
  { program: 'ping', debianPackage: 'iputils-ping' },
  { program: 'busybox', debianPackage: 'busybox' },
  // Login shells that are no POSIX shells: accounts of nodes may have one.
  { program: 'tcsh', debianPackage: 'tcsh' },
  { program: 'fish', debianPackage: 'fish' },
]
/**
 * The arping of Thomas Habets, which tests compare with that of iputils. Debian's packages of the two exclude each other,
 * so this one is unpacked here and not installed (e2e/network/oracles.ts looks for it).
 */
const toolsFolder = join(projectRoot, 'node_modules', '.cache', 'landfall-tools')
const habetsFolder = join(toolsFolder, 'arping')
const habetsProgram = join(habetsFolder, 'usr', 'sbin', 'arping')
const habetsPackages = { itself: 'arping', libnet: 'libnet1' }
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
  const isDebianRoot = existsSync('/usr/bin/apt-get') && process.getuid?.() === 0
  const missing = missingPrograms()
  if (missing.length > 0) {
    const packages = missing.map((entry) => entry.debianPackage)
    if (isDebianRoot) installPackages(packages)
    else
      console.error(
        `Missing for the network tests, which are skipped: ${missing.map((entry) => entry.program).join(', ')}.\n` +
          `On Debian or Ubuntu: sudo apt-get install ${packages.join(' ')}`,
      )
  }
  if (isHabetsThere()) return
  if (isDebianRoot) fetchHabetsArping()
  else
    console.error(
      'The arping of Thomas Habets is missing; tests that compare the two arpings are skipped.\n' +
        'On Debian or Ubuntu, `npm test` as root fetches it without installing it.',
    )
}

function aptGet(args, cwd = projectRoot) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  return spawnSync('apt-get', args, { cwd, stdio: ['ignore', 2, 2], env }).status === 0
}

/** Fetches the list of packages only when a package is not in the one that is there. */
function aptGetFresh(args, cwd) {
  return aptGet(args, cwd) || (aptGet(['update', '-qq']) && aptGet(args, cwd))
}

const installation = (packages) => ['install', '-y', '-qq', '--no-install-recommends', ...packages]

function installPackages(packages) {
  console.error(`Installing Debian packages for the tests: ${packages.join(' ')} …`)
  if (aptGetFresh(installation(packages))) return
  console.error(`apt-get could not install ${packages.join(' ')}, see above.`)
  process.exit(1)
}

/** It runs: without its library it would not. */
function isHabetsThere() {
  return spawnSync(habetsProgram, ['-h'], { encoding: 'utf8' }).stdout?.includes('Thomas Habets') ?? false
}

function fetchHabetsArping() {
  console.error('Fetching the arping of Thomas Habets for the tests …')
  mkdirSync(toolsFolder, { recursive: true })
  const folder = mkdtempSync(join(toolsFolder, 'unpacking-'))
  if (unpackHabetsArping(folder)) {
    // Only what is complete gets the name by which it is looked for.
    rmSync(habetsFolder, { recursive: true, force: true })
    renameSync(join(folder, 'content'), habetsFolder)
  }
  rmSync(folder, { recursive: true, force: true })
  if (existsSync(habetsProgram) && !isHabetsThere()) aptGetFresh(installation([habetsPackages.libnet]))
  if (!isHabetsThere())
    console.error(
      'The arping of Thomas Habets could not be fetched, see above; tests that compare the two arpings are skipped.',
    )
}

function unpackHabetsArping(folder) {
  // apt downloads as a user of its own, who has no place here.
  if (!aptGetFresh(['-qq', '-o', 'APT::Sandbox::User=root', 'download', habetsPackages.itself], folder))
    return false
  const file = readdirSync(folder).find((name) => name.endsWith('.deb'))
  if (file === undefined) return false
  const args = ['--extract', join(folder, file), join(folder, 'content')]
  return spawnSync('dpkg-deb', args, { stdio: ['ignore', 2, 2] }).status === 0
}
