import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Why there can be no namespace laboratory on this machine; `undefined`: there can. */
export function whyNoNamespaces(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces exist on Linux only'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  if (spawnSync('ip', ['-V']).error !== undefined) return 'ip (iproute2) is not installed'
  const probe = `lf${process.pid.toString(36)}probe`
  if (spawnSync('ip', ['netns', 'add', probe]).status !== 0)
    return 'this machine does not allow network namespaces'
  spawnSync('ip', ['netns', 'delete', probe])
  return undefined
}

/** One network namespace with one host in it, reachable from this process over a veth pair. */
export interface NamespaceLab {
  name: string
  /** Address of the host inside. */
  insideAddress: string
  /** Address of this process on the same network. */
  outsideAddress: string
  /** Name of the interface inside. */
  insideInterface: string
  outsideInterface: string
  /** Runs a program inside and waits for its end. */
  exec(program: string, ...parameters: string[]): Promise<string>
  /** Starts a program inside; it ends with the laboratory at the latest. */
  start(program: string, parameters: readonly string[]): ChildProcess
  /** From now on answers of the host inside are lost without a word. */
  dropAnswers(): Promise<void>
  /** Undoes `dropAnswers`. */
  passAnswers(): Promise<void>
  /** Ends what was started inside and removes everything. Twice is no error. */
  remove(): Promise<void>
}

let count = 0

/** Everything of it has names and addresses of its own, so that laboratories may run side by side. */
export async function createNamespaceLab(): Promise<NamespaceLab> {
  const id = `${process.pid.toString(36)}${(count++).toString(36)}`
  const name = `landfall-${id}`
  // At most 15 characters.
  const outsideInterface = `lfo${id}`
  const insideInterface = `lfi${id}`
  const network = freeNetwork()
  const outsideAddress = `${network}.1`
  const insideAddress = `${network}.2`
  let isRemoved = false

  const remove = async () => {
    if (isRemoved) return
    isRemoved = true
    process.off('exit', removeNow)
    await endProcesses(name)
    removeNow()
  }
  /** Also when the process ends without having come to `remove`. */
  function removeNow() {
    for (const pid of processesOf(name)) kill(pid, 'SIGKILL')
    spawnSync('ip', ['link', 'delete', outsideInterface])
    spawnSync('ip', ['netns', 'delete', name])
  }
  process.once('exit', removeNow)

  try {
    await run('ip', ['netns', 'add', name])
    await run('ip', [
      ...['link', 'add', outsideInterface, 'type', 'veth'],
      ...['peer', 'name', insideInterface, 'netns', name],
    ])
    await run('ip', ['address', 'add', `${outsideAddress}/24`, 'dev', outsideInterface])
    await run('ip', ['link', 'set', outsideInterface, 'up'])
    await run('ip', ['-n', name, 'address', 'add', `${insideAddress}/24`, 'dev', insideInterface])
    await run('ip', ['-n', name, 'link', 'set', insideInterface, 'up'])
    await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
  } catch (error) {
    await remove()
    throw error
  }

  return {
    name,
    insideAddress,
    outsideAddress,
    insideInterface,
    outsideInterface,
    exec: async (program, ...parameters) =>
      (await run('ip', ['netns', 'exec', name, program, ...parameters])).stdout,
    start: (program, parameters) =>
      // `ip netns exec` becomes the program: the child's process id is the program's.
      spawn('ip', ['netns', 'exec', name, program, ...parameters], { stdio: 'ignore' }),
    dropAnswers: async () => {
      await run('ip', ['-n', name, 'route', 'add', 'blackhole', `${outsideAddress}/32`])
    },
    passAnswers: async () => {
      await run('ip', ['-n', name, 'route', 'delete', 'blackhole', `${outsideAddress}/32`])
    },
    remove,
  }
}

/** First three numbers of a /24 in 10.199.0.0/16 that this machine does not use. */
function freeNetwork(): string {
  const used = new Set(
    Object.values(networkInterfaces())
      .flat()
      .map((address) => address?.address.split('.').slice(0, 3).join('.')),
  )
  for (let offset = 0; offset < 256; offset++) {
    const network = `10.199.${String((process.pid + count + offset) % 256)}`
    if (!used.has(network)) return network
  }
  throw new Error('no free network in 10.199.0.0/16')
}

function processesOf(name: string): number[] {
  return spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line !== '')
    .map(Number)
}

async function endProcesses(name: string): Promise<void> {
  for (const pid of processesOf(name)) kill(pid, 'SIGKILL')
  // A namespace goes only when its last process is gone.
  for (let attempt = 0; attempt < 50 && processesOf(name).length > 0; attempt++) {
    await once(spawn('sleep', ['0.02']), 'exit')
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended by itself in the meantime.
  }
}
