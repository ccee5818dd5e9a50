import { z } from 'zod'
import { parseAddress } from '../../../../shared/plan/ipv4.ts'
import {
  normaliseMac,
  type NeighbourEntry,
  type NeighbourState,
  type ParsedNeighbours,
} from './neighbour-table.ts'

/**
 * Output of Windows `arp -a`: for each interface a line `…: ADDRESS --- 0xINDEX`, a heading, and lines of address, MAC
 * address and type. The words are in the language of Windows, so only their places count; "dynamic" is recognised by its
 * beginning in the languages that share it, and everything else is taken for known from before. Interfaces are not named.
 */
export function parseArpWindows(text: string): ParsedNeighbours {
  const entries: NeighbourEntry[] = []
  let unknownLines = 0
  let isHeading = false
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '') continue
    if (/: \d+\.\d+\.\d+\.\d+ --- 0x[0-9a-f]+\s*$/i.test(line)) {
      isHeading = true
      continue
    }
    const wasHeading = isHeading
    isHeading = false
    const [, address = '', lladdr = '', type = ''] =
      /^\s+(\d+\.\d+\.\d+\.\d+)\s+([0-9a-f]{2}(?:-[0-9a-f]{2}){5})\s+(\S.*)$/i.exec(line.trimEnd()) ?? []
    if (parseAddress(address) === undefined || /^00(-00){5}$/.test(lladdr)) {
      if (!wasHeading) unknownLines += 1
      continue
    }
    entries.push({
      address,
      interface: undefined,
      mac: normaliseMac(lladdr),
      state: /^d[iy]n/i.test(type) ? 'reachable' : 'remembered',
      shown: type,
    })
  }
  return { entries, unknownLines }
}

/** `State` of MSFT_NetNeighbor, in the order of its numbers. */
const netNeighborStates = [
  ['Unreachable', 'failed'],
  ['Incomplete', 'asking'],
  ['Probe', 'remembered'],
  ['Delay', 'remembered'],
  ['Stale', 'remembered'],
  ['Reachable', 'reachable'],
  ['Permanent', 'remembered'],
] as const satisfies readonly (readonly [string, NeighbourState])[]

const netNeighborSchema = z.object({
  IPAddress: z.string(),
  LinkLayerAddress: z.string().nullish(),
  InterfaceAlias: z.string().nullish(),
  State: z.union([z.int(), z.string()]),
})

/**
 * `Get-NetNeighbor -AddressFamily IPv4 | ConvertTo-Json`, with or without `Select-Object`. Windows PowerShell 5 writes
 * states as numbers, PowerShell 7 also as words; one entry stands there without a list. `undefined`: that is neither.
 */
export function parseGetNetNeighbor(text: string): ParsedNeighbours | undefined {
  const value = parseJson(text.replace(/^\uFEFF/, ''))
  if (typeof value !== 'object' || value === null) return undefined
  const list: unknown[] = Array.isArray(value) ? value : 'IPAddress' in value ? [value] : listIn(value)
  if (!Array.isArray(value) && list.length === 0) return undefined
  const entries: NeighbourEntry[] = []
  for (const item of list) {
    const parsed = netNeighborSchema.safeParse(item)
    if (!parsed.success) continue
    const { IPAddress, LinkLayerAddress, InterfaceAlias, State } = parsed.data
    const known =
      typeof State === 'number'
        ? netNeighborStates[State]
        : netNeighborStates.find(([word]) => word.toLowerCase() === State.toLowerCase())
    if (known === undefined || parseAddress(IPAddress) === undefined) continue
    const [shown, state] = known
    entries.push({
      address: IPAddress,
      interface: InterfaceAlias ?? undefined,
      mac: normaliseMac(LinkLayerAddress ?? ''),
      state,
      shown,
    })
  }
  return { entries, unknownLines: list.length - entries.length }
}

/** Windows PowerShell 5 wraps some lists: `{ "value": […], "Count": 2 }`. */
function listIn(value: object): unknown[] {
  return 'value' in value && Array.isArray(value.value) ? value.value : []
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
