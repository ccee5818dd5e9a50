import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { createLocalRunner } from '../../main/network/programs/local-runner.ts'
import type { ProgramRunner } from '../../main/network/programs/program-runner.ts'
import type { ProofNode } from '../../main/network/proof-of-life/index.ts'
import { guard, newLabId } from './segment-guardian.ts'

const run = promisify(execFile)

/** Machines on one bridge, each in a network namespace of its own with the interface `eth0`. */
export interface ProofLab {
  /** As a proof sees them, in the order of the names. */
  readonly nodes: readonly ProofNode[]
  node(name: string): ProofNode
  /** Name of the network namespace of a machine. */
  namespaceOf(name: string): string
  /** Runs a program on a machine and gives its standard output; rejects when it fails. */
  exec(name: string, program: string, ...parameters: string[]): Promise<string>
  /** Seconds that the kernel of a machine still keeps an address; `undefined`: it does not have it. */
  lifetimeOf(name: string, address: string): Promise<number | undefined>
  /** Process ids. */
  processesOn(name: string): Promise<string[]>
  remove(): Promise<void>
}

/** Which programs the machines have. */
export type Toolbox = 'iproute2-and-iputils' | 'busybox'

export const interfaceName = 'eth0'

/** The machines get the addresses 10.10.200.11, .12 and so on. Removed also when this process is killed. */
export async function createProofLab(
  names: readonly string[],
  toolbox: Toolbox = 'iproute2-and-iputils',
): Promise<ProofLab> {
  const id = newLabId()
  const bridge = `${id}-bridge`
  const namespaceOf = (name: string) => `${id}-${name}`
  const guardian = await guard(id, [bridge, ...names.map(namespaceOf)])
  const exec = async (name: string, program: string, ...parameters: string[]) =>
    (await run('ip', ['netns', 'exec', namespaceOf(name), program, ...parameters])).stdout
  try {
    const inBridge = (...parameters: string[]) => run('ip', ['-n', bridge, ...parameters])
    await inBridge('link', 'add', 'br0', 'type', 'bridge')
    await inBridge('link', 'set', 'br0', 'up')
    const nodes: ProofNode[] = []
    for (const [index, name] of names.entries()) {
      const address = `10.10.200.${index + 11}`
      const namespace = namespaceOf(name)
      const peer = ['peer', 'name', interfaceName, 'netns', namespace]
      await inBridge('link', 'add', `p${index}`, 'type', 'veth', ...peer)
      await inBridge('link', 'set', `p${index}`, 'master', 'br0', 'up')
      await run('ip', ['-n', namespace, 'address', 'add', `${address}/24`, 'dev', interfaceName])
      await run('ip', ['-n', namespace, 'link', 'set', 'lo', 'up'])
      await run('ip', ['-n', namespace, 'link', 'set', interfaceName, 'up'])
      const mac = (await exec(name, 'cat', `/sys/class/net/${interfaceName}/address`)).trim()
      const runner = namespaceRunner(name, namespace, toolbox)
      nodes.push({ name, runner, interface: interfaceName, mac, address })
    }
    return {
      nodes,
      node: (name) => {
        const node = nodes.find((candidate) => candidate.name === name)
        if (node === undefined) throw new Error(`no machine ${name}`)
        return node
      },
      namespaceOf,
      exec,
      lifetimeOf: async (name, address) => {
        const shown = await exec(name, 'ip', '-o', '-4', 'address', 'show', 'to', `${address}/32`)
        if (shown.trim() === '') return undefined
        const [, seconds] = /valid_lft (\d+)sec/.exec(shown) ?? []
        return seconds === undefined ? Infinity : Number(seconds)
      },
      processesOn: async (name) => {
        const { stdout } = await run('ip', ['netns', 'pids', namespaceOf(name)])
        return stdout.split('\n').filter((line) => line !== '')
      },
      remove: () => guardian.remove(),
    }
  } catch (error) {
    await guardian.remove()
    throw error
  }
}

/** The product's own runner, with every program in the namespace of one machine. */
export function namespaceRunner(place: string, namespace: string, toolbox: Toolbox): ProgramRunner {
  const local = createLocalRunner()
  return {
    place,
    platform: 'linux',
    run: async (program, args, options) => {
      const command = inToolbox(toolbox, program, args)
      if (command === undefined) return { kind: 'missing' }
      const result = await local.run('ip', ['netns', 'exec', namespace, ...command], options)
      const isMissing =
        result.kind === 'ended' &&
        result.exitCode === 255 &&
        /^exec of .* failed: No such file or directory$/mu.test(result.stderr)
      return isMissing ? { kind: 'missing' } : result
    },
  }
}

function inToolbox(toolbox: Toolbox, program: string, args: readonly string[]): string[] | undefined {
  if (toolbox === 'iproute2-and-iputils') return [program, ...args]
  if (program.endsWith('arping')) return undefined
  return ['ip', 'ping'].includes(program) ? ['busybox', program, ...args] : [program, ...args]
}
