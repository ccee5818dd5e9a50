import { parseAddress } from '../../../../shared/plan/ipv4.ts'
import { normaliseMac, type NeighbourEntry, type ParsedNeighbours } from './neighbour-table.ts'

/**
 * Output of macOS `arp -an`: `? (ADDRESS) at MAC|(incomplete) on INTERFACE [ifscope] [permanent] [published …] [ethernet]`.
 * It shows neither whether an entry was confirmed lately nor that asking was given up.
 */
export function parseArpMacos(text: string): ParsedNeighbours {
  const entries: NeighbourEntry[] = []
  let unknownLines = 0
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const [, address = '', lladdr = '', device = '', rest = ''] =
      /^\S+ \(([\d.]+)\) at (\S+) on (\S+)(.*)$/.exec(line.trimEnd()) ?? []
    const isIncomplete = lladdr === '(incomplete)'
    if (parseAddress(address) === undefined || (!isIncomplete && !looksLikeMac(lladdr))) {
      unknownLines += 1
      continue
    }
    const isPermanent = /(^| )permanent( |$)/.test(rest)
    entries.push({
      address,
      interface: device,
      mac: normaliseMac(lladdr),
      state: isIncomplete ? 'asking' : isPermanent ? 'remembered' : 'reachable',
      shown: isIncomplete ? 'incomplete' : isPermanent ? 'permanent' : 'complete',
    })
  }
  return { entries, unknownLines }
}

function looksLikeMac(text: string): boolean {
  return /^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)
}
