/**
 * What the operating system's neighbour table says about an address.
 *
 * `reachable`: confirmed just now · `remembered`: known from before, not confirmed now · `asking`: ARP requests go out,
 * no answer yet · `failed`: nobody answered.
 */
export type NeighbourState = 'reachable' | 'remembered' | 'asking' | 'failed'

export interface NeighbourEntry {
  /** IPv4, dotted decimal. */
  readonly address: string
  /** `undefined` where the output does not say it. */
  readonly interface: string | undefined
  /** Lower case with colons; `undefined` when there is none, or none of a single machine. */
  readonly mac: string | undefined
  readonly state: NeighbourState
  /** The state in the words of the operating system: `REACHABLE`, `0x2`, `dynamic`. */
  readonly shown: string
  /**
   * Linux counts the requests for an entry (`probes` of `ip -s neigh`), from a start that is a setting of the
   * interface: only differences mean something. `undefined` where nobody counts.
   */
  readonly requestCount?: number | undefined
}

/** Which output a table was read from; they differ in what can be concluded from it. */
export type NeighbourSource = 'ip-neigh' | 'proc-net-arp' | 'arp-macos' | 'arp-windows' | 'get-netneighbor'

export type NeighbourTable =
  | {
      readonly kind: 'read'
      readonly source: NeighbourSource
      readonly entries: readonly NeighbourEntry[]
      /** Lines or entries that could not be understood, and were left out. */
      readonly unknownLines: number
    }
  /** Nothing is known, which is not the same as an empty table. `reason` is a whole sentence. */
  | { readonly kind: 'unreadable'; readonly reason: string }

/** What an output says, before anybody knows whether it was the right output. */
export interface ParsedNeighbours {
  readonly entries: readonly NeighbourEntry[]
  readonly unknownLines: number
}

/** What can be concluded from the tables of a source. */
export interface SourceTraits {
  /**
   * Tells a neighbour that answered just now from one that is remembered, and one that did not answer from one that
   * is being asked. Without that, only an entry that became complete under our eyes is an answer.
   */
  readonly hasStates: boolean
  /** Lists addresses that nobody has answered for; where it does not, a missing entry says nothing. */
  readonly listsUnanswered: boolean
  /**
   * `system`: one datagram makes the system ask three times, a second apart (Linux `mcast_solicit`, Windows ARP
   * retries) · `datagram`: every datagram makes it ask once, at most once a second and five times
   * (macOS `net.link.ether.inet.maxtries`).
   */
  readonly repeatedBy: 'system' | 'datagram'
}

export const sourceTraits: Readonly<Record<NeighbourSource, SourceTraits>> = {
  'ip-neigh': { hasStates: true, listsUnanswered: true, repeatedBy: 'system' },
  'proc-net-arp': { hasStates: false, listsUnanswered: true, repeatedBy: 'system' },
  'get-netneighbor': { hasStates: true, listsUnanswered: true, repeatedBy: 'system' },
  'arp-windows': { hasStates: false, listsUnanswered: false, repeatedBy: 'system' },
  'arp-macos': { hasStates: false, listsUnanswered: true, repeatedBy: 'datagram' },
}

/**
 * A MAC address in lower case with colons and two digits each, whatever the system's way of writing it (`0:1c:42:0:0:8`,
 * `00-1C-42-00-00-08`). `undefined` for what is not one, and for all zeros, broadcast and multicast: these belong to no
 * machine.
 */
export function normaliseMac(text: string): string | undefined {
  const parts = text.split(/[:-]/)
  if (parts.length !== 6 || !parts.every((part) => /^[0-9a-f]{1,2}$/i.test(part))) return undefined
  const numbers = parts.map((part) => Number.parseInt(part, 16))
  const isGroup = ((numbers[0] ?? 0) & 1) === 1
  if (isGroup || numbers.every((number) => number === 0)) return undefined
  return numbers.map((number) => number.toString(16).padStart(2, '0')).join(':')
}
