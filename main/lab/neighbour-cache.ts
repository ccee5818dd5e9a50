import type { Scheduler } from './scheduler.ts'

/** Requests for an address that nobody answers (`mcast_solicit`, arp(7)). */
const requests = 3

/** In simulated milliseconds. */
export interface NeighbourDurations {
  /** From one ARP request to the next. */
  requestInterval: number
  /** How long a neighbour that answered is known. */
  reachable: number
}

/**
 * As Linux delivers it: a second, and 30 s. Whoever looks at the table does so over a real connection, which takes real
 * milliseconds: on a fast clock nobody would ever see that an address is being asked for, or that it has answered. So both
 * take at least some real time; the requests are at most 6 s apart.
 */
export function neighbourDurations(timeScale: number): NeighbourDurations {
  return {
    requestInterval: Math.min(6000, Math.max(1000, 50 * timeScale)),
    reachable: Math.max(30_000, 600 * timeScale),
  }
}

/** Requests to a known neighbour count first (`ucast_solicit`); iproute2 shows the sum. */
const countedBefore = 3

export interface CachedNeighbour {
  address: string
  mac: string | null
  state: 'REACHABLE' | 'STALE' | 'INCOMPLETE' | 'FAILED'
  /** As `ip -s neigh` prints it. */
  probes: number
  /** Seconds. */
  usedBefore: number
  confirmedBefore: number
}

interface Entry {
  mac: string | null
  /** `asking` until somebody answered or nobody did. */
  phase: 'asking' | 'known' | 'failed'
  asked: number
  /** Somebody read the table since the system began to ask. */
  isShown: boolean
  /** Nobody answered the last request in time; failed as soon as it was shown. */
  isOverdue: boolean
  usedAt: number
  confirmedAt: number
}

/**
 * The neighbour table of one node, by the rules of Linux: the first packet for an address makes three ARP requests, one
 * each second; then it is known, or has failed. A known one is asked for again after 30 s; until then packets go to
 * the machine that had it, unless the new owner announces itself. Its durations: see `neighbourDurations`.
 *
 * Simplified: a stale entry asks at once when it is used, without the delay in which Linux still trusts it, and nothing
 * is thrown away unless somebody asks for it. And nothing fails before it was shown once while it was being asked for: a
 * workstation that is busy reads the table late, and on a fast clock would find that nobody had ever asked.
 */
export class NeighbourCache {
  readonly #scheduler: Scheduler
  readonly #durations: NeighbourDurations
  readonly #ask: (address: string) => string | null
  readonly #entries = new Map<string, Entry>()

  /** `ask`: the MAC of whoever answers a request at this moment. */
  constructor(scheduler: Scheduler, durations: NeighbourDurations, ask: (address: string) => string | null) {
    this.#scheduler = scheduler
    this.#durations = durations
    this.#ask = ask
  }

  /** A packet for the address. Returns the MAC that it is sent to; `null` when it has to wait for an answer. */
  use(address: string): string | null {
    const now = this.#scheduler.now()
    const known = this.#entries.get(address)
    if (known !== undefined) known.usedAt = now
    if (known?.phase === 'asking' && !known.isOverdue) return null
    if (known?.phase === 'known' && this.#isFresh(known)) return known.mac
    const entry: Entry = {
      mac: null,
      phase: 'asking',
      asked: 0,
      isShown: false,
      isOverdue: false,
      usedAt: now,
      confirmedAt: now,
    }
    this.#entries.set(address, entry)
    this.#request(address, entry)
    return entry.mac
  }

  /** An announcement: changes what is known, and does not make known what nobody asked for. */
  learn(address: string, mac: string): void {
    const entry = this.#entries.get(address)
    if (entry === undefined) return
    entry.mac = mac
    entry.phase = 'known'
    // Not confirmed: the next packet asks.
    entry.confirmedAt = this.#scheduler.now() - this.#durations.reachable
  }

  /** `ip neigh flush`. */
  forget(address: string): void {
    this.#entries.delete(address)
  }

  /** What stands in the table, or in it about one address. */
  list(only?: string): CachedNeighbour[] {
    const now = this.#scheduler.now()
    return [...this.#entries]
      .filter(([address]) => only === undefined || address === only)
      .map(([address, entry]) => {
        const shown = {
          address,
          mac: entry.mac,
          state: this.#stateOf(entry),
          probes: countedBefore + entry.asked,
          usedBefore: Math.floor((now - entry.usedAt) / 1000),
          confirmedBefore: Math.floor((now - entry.confirmedAt) / 1000),
        }
        entry.isShown = true
        if (entry.phase === 'asking' && entry.isOverdue) entry.phase = 'failed'
        return shown
      })
  }

  #stateOf(entry: Entry): CachedNeighbour['state'] {
    switch (entry.phase) {
      case 'asking':
        return 'INCOMPLETE'
      case 'failed':
        return 'FAILED'
      case 'known':
        return this.#isFresh(entry) ? 'REACHABLE' : 'STALE'
    }
  }

  #isFresh(entry: Entry): boolean {
    return this.#scheduler.now() - entry.confirmedAt < this.#durations.reachable
  }

  #request(address: string, entry: Entry): void {
    entry.asked += 1
    const mac = this.#ask(address)
    if (mac !== null) {
      entry.mac = mac
      entry.phase = 'known'
      entry.confirmedAt = this.#scheduler.now()
      return
    }
    this.#scheduler.after(this.#durations.requestInterval, () => {
      if (entry.phase !== 'asking') return
      if (entry.asked < requests) this.#request(address, entry)
      else if (entry.isShown) entry.phase = 'failed'
      else entry.isOverdue = true
    })
  }
}
