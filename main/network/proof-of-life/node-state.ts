import { z } from 'zod'
import { printableStart } from '../printable.ts'
import type { ProgramResult } from '../programs/program-runner.ts'
import type { ProofNode } from './proof.ts'

/** One IPv4 address of a node, as its kernel has it now. */
export interface HeldAddress {
  readonly address: string
  readonly prefix: number
  /** Without the `@parent` that `ip` writes for VLANs and veth pairs. */
  readonly interface: string
  readonly label: string
  /** Seconds until the kernel removes it; `unknown` where this `ip` does not tell. */
  readonly validSeconds: number | 'forever' | 'unknown'
}

/** What a node says of itself. */
export type NodeState =
  | {
      readonly kind: 'read'
      readonly addresses: readonly HeldAddress[]
      /** MAC address of each interface that has one, by name of the interface. */
      readonly macs: ReadonlyMap<string, string>
    }
  | { readonly kind: 'unreadable'; readonly why: string }

export function findAddress(
  state: Extract<NodeState, { kind: 'read' }>,
  address: string,
): HeldAddress | undefined {
  return state.addresses.find((held) => held.address === address)
}

/** Enough for one look at the kernel over a slow connection. */
export const lookSeconds = 5

/**
 * Reads all IPv4 addresses of a node. Tries `ip -j` first; the `ip` of BusyBox and old ones know no JSON, but their
 * one-line form is the same.
 */
export async function readNodeState(node: ProofNode, signal: AbortSignal): Promise<NodeState> {
  const asJson = await runIp(node, ['-j', 'address', 'show'], signal)
  if (asJson.kind === 'ended' && asJson.exitCode === 0) {
    const state = readJson(asJson.stdout)
    return state ?? { kind: 'unreadable', why: `ip -j wrote “${printableStart(asJson.stdout)}”` }
  }
  if (asJson.kind !== 'ended') return { kind: 'unreadable', why: explainResult('ip', asJson) }
  const asText = await runIp(node, ['-o', '-4', 'address', 'show'], signal)
  if (asText.kind !== 'ended' || asText.exitCode !== 0)
    return { kind: 'unreadable', why: explainResult('ip', asText) }
  const addresses = readLines(asText.stdout)
  return addresses === undefined
    ? { kind: 'unreadable', why: `ip wrote “${printableStart(asText.stdout)}”` }
    : { kind: 'read', addresses, macs: new Map([[node.interface, node.mac]]) }
}

function runIp(node: ProofNode, args: readonly string[], signal: AbortSignal): Promise<ProgramResult> {
  return node.runner.run('ip', args, { signal, deadlineSeconds: lookSeconds })
}

/** Why a program gave no usable result, as the end of a sentence. */
export function explainResult(program: string, result: ProgramResult): string {
  switch (result.kind) {
    case 'missing':
      return `there is no program ${program}`
    case 'not-permitted':
      return `${program} needs root: ${printableStart(result.reason)}`
    case 'killed':
      return result.reason === 'deadline' ? `${program} did not end in time` : `${program} wrote too much`
    case 'ended': {
      const said = printableStart(result.stderr.trim() === '' ? result.stdout : result.stderr)
      return `${program} ended with exit code ${result.exitCode ?? 'none'}${said === '' ? '' : `: ${said}`}`
    }
  }
}

/** INFINITY_LIFE_TIME of the kernel (include/uapi/linux/if_addr.h users; `ip -j` prints it as a number). */
const infiniteLifetime = 0xffff_ffff

const jsonSchema = z.array(
  z.object({
    ifname: z.string().optional(),
    link_type: z.string().optional(),
    address: z.string().optional(),
    addr_info: z
      .array(
        z.object({
          family: z.string().optional(),
          local: z.string().optional(),
          prefixlen: z.int().optional(),
          label: z.string().optional(),
          valid_life_time: z.int().min(0).optional(),
        }),
      )
      .optional(),
  }),
)

function readJson(text: string): NodeState | undefined {
  const parsed = jsonSchema.safeParse(parseJson(text))
  // A kernel has at least its loopback interface: nothing at all is no answer.
  if (!parsed.success || parsed.data.length === 0) return undefined
  const macs = new Map<string, string>()
  const addresses: HeldAddress[] = []
  for (const link of parsed.data) {
    if (link.ifname === undefined) continue
    if (link.link_type === 'ether' && link.address !== undefined)
      macs.set(link.ifname, link.address.toLowerCase())
    for (const entry of link.addr_info ?? []) {
      if (entry.family !== 'inet' || entry.local === undefined || entry.prefixlen === undefined) continue
      const valid = entry.valid_life_time
      addresses.push({
        address: entry.local,
        prefix: entry.prefixlen,
        interface: link.ifname,
        label: entry.label ?? '',
        validSeconds: valid === undefined ? 'unknown' : valid === infiniteLifetime ? 'forever' : valid,
      })
    }
  }
  return { kind: 'read', addresses, macs }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * `2: eth0    inet 10.9.0.9/32 scope global deprecated dynamic eth0:lf\       valid_lft 30sec preferred_lft 0sec`; the
 * label is the last word before the backslash.
 */
const linePattern =
  /^\d+:\s+([^\s@]+)(?:@\S+)?\s+inet\s+(\d+(?:\.\d+){3})(?:\s+peer\s+[\d.]+)?(?:\/(\d+))?\s([^\\]*)(?:\\(.*))?$/

function readLines(text: string): HeldAddress[] | undefined {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const addresses = lines.flatMap((line) => {
    const [, name, address, prefix, words = '', lifetimes = ''] = linePattern.exec(line) ?? []
    if (name === undefined || address === undefined) return []
    return [
      {
        address,
        prefix: prefix === undefined ? 32 : Number(prefix),
        interface: name,
        label: words.trim().split(/\s+/).at(-1) ?? '',
        validSeconds: readLifetime(lifetimes),
      },
    ]
  })
  return lines.length === 0 || addresses.length < lines.length ? undefined : addresses
}

function readLifetime(words: string): HeldAddress['validSeconds'] {
  const [, value] = /\bvalid_lft\s+(forever|\d+)/.exec(words) ?? []
  if (value === undefined) return 'unknown'
  return value === 'forever' ? 'forever' : Number(value)
}
