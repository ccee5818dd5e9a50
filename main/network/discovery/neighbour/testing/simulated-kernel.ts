import type { Clock } from '../../../../engine/clock.ts'
import type { DatagramResult, DatagramSender } from '../datagrams.ts'
import {
  sourceTraits,
  type NeighbourEntry,
  type NeighbourSource,
  type NeighbourTable,
} from '../neighbour-table.ts'

/** A host on the simulated network. */
export interface SimulatedHost {
  readonly mac: string
  /**
   * Milliseconds until its answer to its n-th request (from 1 on), or `undefined`: it does not answer this one. Default:
   * every one, after 1 ms.
   */
  readonly answers?: (request: number) => number | undefined
}

export interface SimulatedKernelOptions {
  readonly clock: Clock
  readonly hosts?: ReadonlyMap<string, SimulatedHost>
  /** Entries that the table takes (`gc_thresh3`). Default 1024. */
  readonly capacity?: number
  /** How the table is read. Default `ip-neigh`. */
  readonly source?: NeighbourSource
  /** `ip` without the count of requests. */
  readonly hidesCounts?: boolean
  /** Requests for a datagram (`mcast_solicit`) and milliseconds between them. Default 3 and 1000, as in Linux. */
  readonly solicit?: number
  readonly retransmit?: number
  /** Milliseconds by which a timer is late. Default 20. */
  readonly late?: () => number
  /** Of datagrams to some addresses, which never get as far as the table. */
  readonly sendErrors?: ReadonlyMap<string, string>
}

type Entry =
  | { state: 'asking'; requests: number; nextAt: number; answer: { at: number; mac: string } | undefined }
  | { state: 'failed'; requests: number; answer: { at: number; mac: string } | undefined }
  | { state: 'reachable'; requests: number; mac: string }
  | { state: 'remembered'; mac: string; shown: string; requests: number; probeAt: number | undefined }

/** The neighbour table of a kernel, as a state machine on the given clock (Linux 6.18 `net/core/neighbour.c`). */
export interface SimulatedKernel {
  readonly sender: DatagramSender
  readTable(signal: AbortSignal): Promise<NeighbourTable>
  /** When requests for the address went out, in the clock's time. */
  requestsFor(address: string): readonly number[]
  /** An entry from before. */
  remember(address: string, mac: string, shown?: string): void
  /** From now on another machine has the address, and has announced it. */
  announce(address: string, mac: string): void
  /** Throws out entries: all, or some. */
  flush(isFlushed?: (address: string) => boolean): void
  /** Entries of others, which stay. */
  occupy(count: number): void
  readonly mostEntries: number
  readonly overflows: number
}

const ucastSolicit = 3

export function createSimulatedKernel(options: SimulatedKernelOptions): SimulatedKernel {
  const {
    clock,
    hosts = new Map<string, SimulatedHost>(),
    capacity = 1024,
    source = 'ip-neigh',
    solicit = 3,
  } = options
  const { retransmit = 1000, late = () => 20 } = options
  const traits = sourceTraits[source]
  const entries = new Map<string, Entry>()
  const requests = new Map<string, number[]>()
  let occupied = 0
  let mostEntries = 0
  let overflows = 0

  const ask = (address: string, at: number) => {
    const sofar = requests.get(address) ?? []
    requests.set(address, [...sofar, at])
    const host = hosts.get(address)
    const delay =
      host === undefined ? undefined : host.answers === undefined ? 1 : host.answers(sofar.length + 1)
    return host === undefined || delay === undefined ? undefined : { at: at + delay, mac: host.mac }
  }
  const earlier = <A extends { at: number }>(a: A | undefined, b: A | undefined) =>
    a === undefined || (b !== undefined && b.at < a.at) ? b : a

  /** Everything that has happened to the entry until now. */
  const settle = (address: string, entry: Entry): Entry => {
    const now = clock.now()
    let current = entry
    for (;;) {
      const answer = current.state === 'asking' || current.state === 'failed' ? current.answer : undefined
      if (current.state === 'remembered' && current.probeAt !== undefined && current.probeAt <= now) {
        const host = hosts.get(address)
        current = host
          ? { state: 'reachable', mac: host.mac, requests: current.requests + 1 }
          : { state: 'failed', requests: current.requests, answer: undefined }
      } else if (
        current.state === 'asking' &&
        current.nextAt <= now &&
        (answer?.at ?? Infinity) > current.nextAt
      ) {
        current =
          current.requests >= solicit || traits.repeatedBy === 'datagram'
            ? { state: 'failed', requests: current.requests, answer }
            : {
                state: 'asking',
                requests: current.requests + 1,
                nextAt: current.nextAt + retransmit + late(),
                answer: earlier(answer, ask(address, current.nextAt)),
              }
      } else if (answer !== undefined && answer.at <= now) {
        current = {
          state: 'reachable',
          mac: answer.mac,
          requests: 'requests' in current ? current.requests : 0,
        }
      } else break
    }
    entries.set(address, current)
    return current
  }

  const makeRoom = () => {
    for (const [address, entry] of entries) {
      if (entries.size + occupied < capacity) return true
      if (settle(address, entry).state === 'failed') entries.delete(address)
    }
    return entries.size + occupied < capacity
  }

  const datagram = (address: string): DatagramResult => {
    const error = options.sendErrors?.get(address)
    if (error !== undefined) return { kind: 'failed', code: error }
    const known = entries.get(address)
    const entry = known === undefined ? undefined : settle(address, known)
    if (entry?.state === 'remembered' && entry.shown === 'STALE')
      entries.set(address, { ...entry, shown: 'DELAY', probeAt: clock.now() + 5000 })
    if (entry === undefined && !makeRoom()) {
      // The kernel drops the packet and says nothing (`udp_send_skb` hides ENOBUFS).
      overflows += 1
      return { kind: 'sent' }
    }
    if (entry === undefined || entry.state === 'failed') {
      if (solicit === 0) entries.set(address, { state: 'failed', requests: 0, answer: undefined })
      else {
        const now = clock.now()
        const nextAt = now + retransmit + late()
        entries.set(address, {
          state: 'asking',
          requests: 1,
          nextAt,
          answer: earlier(entry?.answer, ask(address, now)),
        })
      }
      mostEntries = Math.max(mostEntries, entries.size + occupied)
    }
    return { kind: 'sent' }
  }

  const shown = (address: string, entry: Entry): NeighbourEntry | undefined => {
    const base = { address, interface: undefined }
    const mac = 'mac' in entry ? entry.mac : undefined
    if (!traits.hasStates) {
      if (mac === undefined)
        return traits.listsUnanswered ? { ...base, mac, state: 'asking', shown: '0x0' } : undefined
      return { ...base, mac, state: 'reachable', shown: '0x2' }
    }
    const count =
      source === 'ip-neigh' && options.hidesCounts !== true
        ? { requestCount: ucastSolicit + entry.requests }
        : {}
    switch (entry.state) {
      case 'asking':
        return { ...base, mac, state: 'asking', shown: 'INCOMPLETE', ...count }
      case 'failed':
        return { ...base, mac, state: 'failed', shown: 'FAILED', ...count }
      case 'reachable':
        return { ...base, mac, state: 'reachable', shown: 'REACHABLE', ...count }
      case 'remembered':
        return { ...base, mac, state: 'remembered', shown: entry.shown, ...count }
    }
  }

  return {
    sender: {
      send: (addresses) => Promise.resolve(new Map(addresses.map((address) => [address, datagram(address)]))),
    },
    readTable: () =>
      Promise.resolve({
        kind: 'read',
        source,
        entries: [...entries].flatMap(([address, entry]) => shown(address, settle(address, entry)) ?? []),
        unknownLines: 0,
      }),
    requestsFor: (address) => requests.get(address) ?? [],
    remember: (address, mac, shown = 'STALE') =>
      void entries.set(
        address,
        shown === 'REACHABLE'
          ? { state: 'reachable', mac, requests: 0 }
          : { state: 'remembered', mac, shown, requests: 0, probeAt: undefined },
      ),
    announce: (address, mac) => void entries.set(address, { state: 'reachable', mac, requests: 1 }),
    flush: (isFlushed = () => true) => {
      for (const address of [...entries.keys()]) if (isFlushed(address)) entries.delete(address)
    },
    occupy: (count) => {
      occupied = count
    },
    get mostEntries() {
      return mostEntries
    },
    get overflows() {
      return overflows
    },
  }
}
