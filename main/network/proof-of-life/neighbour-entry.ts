import type { ProgramRunner } from '../programs/program-runner.ts'
import { explainResult, lookSeconds } from './node-state.ts'
import type { ProofNode } from './proof.ts'

/**
 * What the kernel of a node has in its neighbour table for an address. `asking`: it has asked and heard nothing yet ·
 * `failed`: it has asked and given up · `absent`: it has not asked (or its table is full).
 */
export type NeighbourEntry =
  | { readonly kind: 'resolved'; readonly mac: string; readonly isFresh: boolean; readonly detail: string }
  | { readonly kind: 'asking' | 'failed' | 'absent'; readonly detail: string }
  | { readonly kind: 'unreadable'; readonly detail: string }

/**
 * Reads the entry in the form that iproute2 and BusyBox share: `10.9.0.9 dev eth0 lladdr 02:… REACHABLE`. Rejects like
 * the runner.
 */
export async function readNeighbourEntry(
  node: ProofNode,
  address: string,
  signal: AbortSignal,
): Promise<NeighbourEntry> {
  const result = await node.runner.run('ip', ['neigh', 'show', 'to', address, 'dev', node.interface], {
    signal,
    deadlineSeconds: lookSeconds,
  })
  if (result.kind !== 'ended' || result.exitCode !== 0)
    return { kind: 'unreadable', detail: explainResult('ip', result) }
  const line = result.stdout.split('\n').find((candidate) => candidate.startsWith(`${address} `))
  if (line === undefined) return { kind: 'absent', detail: 'no neighbour entry' }
  const state = /\b(PERMANENT|NOARP|REACHABLE|STALE|DELAY|PROBE|INCOMPLETE|FAILED|NONE)\s*$/.exec(line)?.[1]
  const mac = /\blladdr ((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\b/i.exec(line)?.[1]?.toLowerCase()
  const detail = `neighbour entry ${mac === undefined ? '' : `${mac} `}${state ?? 'of unknown state'}`
  switch (state) {
    case 'FAILED':
      return { kind: 'failed', detail }
    case 'INCOMPLETE':
      return { kind: 'asking', detail }
    case undefined:
    case 'NONE':
      return { kind: 'absent', detail }
    default:
      return mac === undefined
        ? { kind: 'absent', detail }
        : { kind: 'resolved', mac, isFresh: state === 'REACHABLE', detail }
  }
}

/**
 * Lets the kernel of a node forget who had the address, so that it asks anew: it trusts what it knows for up to 45 s
 * (`base_reachable_time`), and a look at its table in that time would find an owner that has gone. Iproute2 and BusyBox
 * share the form.
 *
 * Nothing depends on it: without root the entry stays, and whoever judges the address knows that a table may remember.
 * Rejects like the runner.
 */
export async function forgetNeighbour(
  { run }: Pick<ProgramRunner, 'run'>,
  address: string,
  interfaceName: string,
  signal: AbortSignal,
): Promise<void> {
  await run('ip', ['neigh', 'flush', 'to', address, 'dev', interfaceName], {
    signal,
    deadlineSeconds: lookSeconds,
    asRoot: true,
  })
}

/** Names of the interfaces through which the kernel knows a MAC address for the address. Rejects like the runner. */
export async function interfacesThatKnow(
  { run }: Pick<ProgramRunner, 'run'>,
  address: string,
  signal: AbortSignal,
): Promise<string[]> {
  const result = await run('ip', ['neigh', 'show', 'to', address], { signal, deadlineSeconds: lookSeconds })
  if (result.kind !== 'ended') return []
  return result.stdout.split('\n').flatMap((line) => {
    const [, found, name] = /^(\S+) dev (\S+) lladdr /.exec(line) ?? []
    return found === address && name !== undefined ? [name] : []
  })
}
