import { z } from 'zod'
import { parseAddress } from '../../../../shared/plan/ipv4.ts'
import {
  normaliseMac,
  type NeighbourEntry,
  type NeighbourState,
  type ParsedNeighbours,
} from './neighbour-table.ts'

const ipNeighEntrySchema = z.object({
  dst: z.string(),
  dev: z.string().optional(),
  lladdr: z.string().optional(),
  /** With `-s` only. */
  probes: z.int().min(0).optional(),
  state: z.tuple([z.string()]),
})

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
    const parsed = ipNeighEntrySchema.safeParse(item)
    if (!parsed.success) continue
    const { dst, dev, lladdr, probes } = parsed.data
    const [shown] = parsed.data.state
    const state = nudStates.get(shown)
    if (state === undefined || parseAddress(dst) === undefined) continue
    entries.push({
      address: dst,
      interface: dev,
      mac: lladdr === undefined ? undefined : normaliseMac(lladdr),
      state,
      shown,
      ...(probes === undefined ? {} : { requestCount: probes }),
    })
  }
  return { entries, unknownLines: list.length - entries.length }
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
    if (parseAddress(address) === undefined) {
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
