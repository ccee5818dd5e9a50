import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemDialler, type Endpoint } from '../../main/network/dialler.ts'
import type { NamespaceLab } from './namespace-lab.ts'

/** Why there can be no sshd on this machine; `undefined`: there can. */
export function whyNoSshd(): string | undefined {
  return spawnSync('/usr/sbin/sshd', ['-V']).error === undefined
    ? undefined
    : 'openssh-server is not installed'
}

export interface TestSshd {
  endpoint: Endpoint
  username: string
  password: string
  /** The folder that is the user's home. */
  home: string
  /** What `ssh-keygen -lf` says of the host keys: `SHA256:…`. */
  fingerprints: { ed25519: string; rsa: string }
  /** A key that the user may log in with; the same in another form with a passphrase. */
  userKey: string
  userKeyFile: string
  encryptedUserKey: string
  ecdsaUserKey: string
  passphrase: string
  /** sshd's log so far. */
  log(): string
  /** Attempts to log in that sshd counted as failed. */
  failures(): string[]
  /** Removes the folder; the process ends with the laboratory. */
  remove(): void
}

export interface TestSshdOptions {
  port: number
  /** Lines of sshd_config that come before the usual ones, and hence win. */
  config?: readonly string[]
  usePam?: boolean
  /** Login shell of the account. Default /bin/sh. */
  shell?: string
  /** Files of the home folder: name and content. */
  files?: Record<string, string>
  /** False: not from this process; then its log tells when it listens. Default true. */
  isReachable?: boolean
}

const uid = 64_242

/**
 * A real sshd inside the laboratory, with a user that exists for it alone: in a mount namespace of its own,
 * /etc/passwd, /etc/shadow and /run are other files. Nothing of the machine changes.
 */
export async function startSshd(
  lab: Pick<NamespaceLab, 'insideAddress' | 'start'>,
  options: TestSshdOptions,
): Promise<TestSshd> {
  const folder = mkdtempSync(join(tmpdir(), 'landfall-sshd-'))
  chmodSync(folder, 0o755)
  const file = (name: string) => join(folder, name)
  const username = 'operator'
  const password = `pw-${randomBytes(8).toString('hex')}`
  const passphrase = 'correct horse'
  const home = file('home')
  mkdirSync(home)
  chownSync(home, uid, uid)
  for (const [name, content] of Object.entries(options.files ?? {})) writeFileSync(join(home, name), content)

  for (const type of ['ed25519', 'rsa']) keygen(file(`host_${type}`), type, '')
  keygen(file('user'), 'ed25519', '')
  keygen(file('encrypted'), 'rsa', passphrase)
  keygen(file('ecdsa'), 'ecdsa', '')
  writeFileSync(
    file('authorized_keys'),
    ['user.pub', 'encrypted.pub', 'ecdsa.pub'].map((name) => readFileSync(file(name), 'utf8')).join(''),
  )

  const hash = execFileSync('openssl', ['passwd', '-6', '-stdin'], {
    input: `${password}\n`,
    encoding: 'utf8',
  }).trim()
  const passwd = readFileSync('/etc/passwd', 'utf8')
  writeFileSync(
    file('passwd'),
    `${passwd}${username}:x:${String(uid)}:${String(uid)}::${home}:${options.shell ?? '/bin/sh'}\n`,
  )
  writeFileSync(
    file('shadow'),
    `root:*:19000::::::\nsshd:!:19000::::::\n${username}:${hash}:19000:0:99999:7:::\n`,
    { mode: 0o600 },
  )
  writeFileSync(
    file('pam'),
    'auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n',
  )
  writeFileSync(file('log'), '')
  writeFileSync(
    file('sshd_config'),
    [
      ...(options.config ?? []),
      `ListenAddress ${lab.insideAddress}:${String(options.port)}`,
      `HostKey ${file('host_ed25519')}`,
      `HostKey ${file('host_rsa')}`,
      `AuthorizedKeysFile ${file('authorized_keys')}`,
      'StrictModes no',
      `UsePAM ${options.usePam === true ? 'yes' : 'no'}`,
      'PasswordAuthentication yes',
      'KbdInteractiveAuthentication no',
      'PidFile none',
      'UseDNS no',
      'PrintMotd no',
      'LogLevel VERBOSE',
      'Subsystem sftp internal-sftp',
    ].join('\n'),
  )
  writeFileSync(
    file('start'),
    [
      'set -e',
      `mount --bind ${file('passwd')} /etc/passwd`,
      `mount --bind ${file('shadow')} /etc/shadow`,
      `mount --bind ${file('pam')} /etc/pam.d/sshd`,
      // What this machine's root starts with is no part of a test, and may wait for something.
      'for file in ~root/.bashrc ~root/.profile ~root/.bash_profile; do test ! -e "$file" || mount --bind /dev/null "$file"; done',
      'mount -t tmpfs tmpfs /run',
      'mkdir -m 755 /run/sshd',
      `exec /usr/sbin/sshd -D -f ${file('sshd_config')} -E ${file('log')}`,
    ].join('\n'),
  )
  lab.start('unshare', ['--mount', '--propagation', 'private', 'sh', file('start')])
  const endpoint = { host: lab.insideAddress, port: options.port }
  if (options.isReachable === false) await untilListening(() => readFileSync(file('log'), 'utf8'))
  else await waitUntilListening(endpoint, () => readFileSync(file('log'), 'utf8'))

  const log = () => readFileSync(file('log'), 'utf8')
  return {
    endpoint,
    username,
    password,
    home,
    fingerprints: { ed25519: fingerprint(file('host_ed25519.pub')), rsa: fingerprint(file('host_rsa.pub')) },
    userKey: readFileSync(file('user'), 'utf8'),
    userKeyFile: file('user'),
    encryptedUserKey: readFileSync(file('encrypted'), 'utf8'),
    ecdsaUserKey: readFileSync(file('ecdsa'), 'utf8'),
    passphrase,
    log,
    failures: () =>
      log()
        .split('\n')
        .filter((line) => /^Failed (?!none)/u.test(line)),
    remove: () => {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function untilListening(log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 200 && !log().includes('Server listening'); attempt += 1) {
    await once(spawn('sleep', ['0.05']), 'exit')
  }
  if (!log().includes('Server listening')) throw new Error(`sshd does not listen: ${log()}`)
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function keygen(file: string, type: string, passphrase: string): void {
  execFileSync('ssh-keygen', [
    '-q',
    '-t',
    type,
    ...(type === 'rsa' ? ['-b', '2048'] : []),
    '-N',
    passphrase,
    '-f',
    file,
  ])
}

/** By OpenSSH itself, as the oracle. */
function fingerprint(file: string): string {
  const [, found = ''] = execFileSync('ssh-keygen', ['-lf', file], { encoding: 'utf8' }).split(' ')
  return found
}

async function waitUntilListening(endpoint: Endpoint, log: () => string): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    try {
      const socket = await systemDialler.dial(endpoint, { timeoutMilliseconds: 500 })
      socket.destroy()
      return
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`sshd did not start: ${log()}`, { cause: error })
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
