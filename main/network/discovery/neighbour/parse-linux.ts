import { isIPv4 } from 'node:net'
import {
  normaliseMac,
  type NeighbourEntry,
  type NeighbourState,
  type ParsedNeighbours,
} from './neighbour-table.ts'

/** NUD states of the kernel (`include/uapi/linux/neighbour.h`), as iproute2 names them. */
const nudStates: ReadonlyMap<string, NeighbourState> = new Map([
  ['REACHABLE', 'reachable'],
  ['STALE', 'remembered'],
  ['DELAY', 'remembered'],
  ['PROBE', 'remembered'],
  ['PERMANENT', 'remembered'],
  ['NOARP', 'remembered'],
  ['INCOMPLETE', 'asking'],
  ['FAILED', 'failed'],
])

/**
 * Output of `ip -j neigh show` (iproute2), also with `-s` and `dev X`; with `dev X` the entries do not name the
 * interface. `undefined`: that is no JSON list.
 */
export function parseIpNeigh(text: string): ParsedNeighbours | undefined {
  const list = parseJson(text)
  if (!Array.isArray(list)) return undefined
  const entries: NeighbourEntry[] = []
  for (const item of list) {
    const entry = entryOf(item)
    if (entry !== undefined) entries.push(entry)
  }
  return { entries, unknownLines: list.length - entries.length }
}

/** By hand and not by a schema: a sweep reads a thousand of these ten times a second. */
function entryOf(item: unknown): NeighbourEntry | undefined {
  if (typeof item !== 'object' || item === null || !('dst' in item) || !('state' in item)) return undefined
  const { dst, state: states } = item
  if (typeof dst !== 'string' || !isIPv4(dst) || !Array.isArray(states) || states.length !== 1)
    return undefined
  const shown: unknown = states[0]
  const state = typeof shown === 'string' ? nudStates.get(shown) : undefined
  if (typeof shown !== 'string' || state === undefined) return undefined
  const device = 'dev' in item ? item.dev : undefined
  const lladdr = 'lladdr' in item ? item.lladdr : undefined
  const probes = 'probes' in item ? item.probes : undefined
  return {
    address: dst,
    interface: typeof device === 'string' ? device : undefined,
    mac: typeof lladdr === 'string' ? normaliseMac(lladdr) : undefined,
    state,
    shown,
    requestCount: typeof probes === 'number' && Number.isInteger(probes) ? probes : undefined,
  }
}

/** Flags of `/proc/net/arp` (`include/uapi/linux/if_arp.h`). */
const ATF_COM = 0x02
const ATF_PERM = 0x04

/**
 * The file `/proc/net/arp`. Its flags do not tell STALE from REACHABLE, nor FAILED from INCOMPLETE. `undefined`: the
 * heading is not there, so it is something else.
 */
export function parseProcNetArp(text: string): ParsedNeighbours | undefined {
  const [heading = '', ...lines] = text.split('\n')
  if (!/^IP address\s+HW type\s+Flags\s+HW address\s+Mask\s+Device\s*$/.test(heading)) return undefined
  const entries: NeighbourEntry[] = []
  let unknownLines = 0
  for (const line of lines) {
    if (line.trim() === '') continue
    const [, address = '', flagsText = '', lladdr = '', device = ''] =
      /^(\S+)\s+0x[0-9a-f]+\s+0x([0-9a-f]{1,8})\s+(\S+)\s+\S+\s+(\S+)\s*$/i.exec(line) ?? []
    if (!isIPv4(address)) {
      unknownLines += 1
      continue
    }
    const flags = Number.parseInt(flagsText, 16)
    const isComplete = (flags & ATF_COM) !== 0
    entries.push({
      address,
      interface: device,
      // The kernel also shows the last MAC address of an entry that is no longer valid.
      mac: isComplete ? normaliseMac(lladdr) : undefined,
      state: !isComplete ? 'asking' : (flags & ATF_PERM) !== 0 ? 'remembered' : 'reachable',
      shown: `0x${flagsText}`,
    })
  }
  return { entries, unknownLines }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
