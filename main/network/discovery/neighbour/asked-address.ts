import type { NeighbourEntry, SourceTraits } from './neighbour-table.ts'

/** When silence is silence. Times in milliseconds. */
export interface Patience {
  /** Requests that must have gone out. */
  readonly requests: number
  /** From the first request on. */
  readonly span: number
  /** After the last request. */
  readonly listen: number
}

/** What to do with an address after a reading of the table. */
export type Next =
  | { readonly kind: 'wait' }
  /** The system has stopped asking: another datagram. */
  | { readonly kind: 'ask' }
  /** Nobody saw the system ask. `hasEntry`: the table has room for the address, though. */
  | { readonly kind: 'not-asked'; readonly hasEntry: boolean }
  /** `isOld`: the table said the same before the datagram, so that the system may have asked nobody because of it. */
  | { readonly kind: 'answered'; readonly entry: NeighbourEntry; readonly isOld: boolean }
  /** Known from before; it may still be confirmed. */
  | { readonly kind: 'remembered'; readonly entry: NeighbourEntry }
  | { readonly kind: 'silent'; readonly shown: string }
  /** The source of the table cannot show that it was asked. */
  | { readonly kind: 'unseen' }

/** Linux and Windows repeat a request after a second; their timers are late by up to some hundredths. */
const repeatAfter = 1070
/** After so many requests Linux (`mcast_solicit`) and Windows give up, unless they were told otherwise. */
const systemRequests = 3
/** By then the system has given up on every request, also where the table does not show it (measured: 3.05–3.3 s). */
const givenUpAfter = 3500
/** So long an entry must be there after a request for an answer to find it; a host that is there answers within 0.1 s. */
const hearingTime = 400
/** The system answers a second time within a second only by what it knows already (BSD: one request a second). */
const betweenDatagrams = 1050

/**
 * After a datagram, in milliseconds: each request and the answers to it (measured: a timer of one second is late by up
 * to 65 ms), then the moment the system gives up, which is when the next datagram is due.
 */
const interestingMoments = [50, 250, 1065, 1250, 2065, 2250, 3065, 3110, 3160, 3230, 3310, 3400, 3500]

/** From one datagram to the moment the system stops asking because of it. */
interface Round {
  /** When the datagram had been handed over. */
  readonly at: number
  /** Error code of the datagram. */
  readonly error: string | undefined
  /** Requests that certainly went out. */
  requests: number
  /** The system's count when the entry was first seen in this round. */
  countAtFirst: number | undefined
  /** When the system was last seen asking. */
  seenAt: number
  /** The system was seen to have stopped asking. */
  isOver: boolean
}

/**
 * What is known about one address: how often it was certainly asked, and what came of it. Certain is only what the
 * table shows; a datagram that was sent proves nothing, because a full table swallows it without an error.
 */
export class AskedAddress {
  readonly address: string
  /** Complete before the first datagram: on a table without states that is no answer to us. */
  readonly #knownMac: string | undefined
  /** Confirmed before the first datagram, and not seen otherwise since. */
  #reachableMac: string | undefined
  #round: Round | undefined
  #earlierRequests = 0
  #firstSentAt: number | undefined
  #firstRequestAt = 0
  #lastRequestAt = 0
  #thirdRequestAt: number | undefined
  #rounds = 0
  #misses = 0
  #isRemembered = false
  #isDue = true
  #wasThrownOut = false
  /** An entry that has failed is thrown out whenever the system needs the room. */
  #lastShown = ''

  /**
   * What the table held before the first datagram: `knownMac`: in a complete entry · `reachableMac`: in one that the system
   * took for confirmed.
   */
  constructor(address: string, knownMac: string | undefined, reachableMac?: string) {
    this.address = address
    this.#knownMac = knownMac
    this.#reachableMac = reachableMac
  }

  /** Requests that certainly went out. */
  get requests(): number {
    return this.#earlierRequests + (this.#round?.requests ?? 0)
  }

  /** Datagrams in a row that came to nothing. */
  get misses(): number {
    return this.#misses
  }

  /** When the last datagram had been handed over. */
  get lastSentAt(): number | undefined {
    return this.#round?.at
  }

  /** When the first datagram had been handed over. */
  get firstSentAt(): number | undefined {
    return this.#firstSentAt
  }

  /** When it was certain that three requests had gone out. */
  get thirdRequestAt(): number | undefined {
    return this.#thirdRequestAt
  }

  get isRemembered(): boolean {
    return this.#isRemembered
  }

  /** Its entry was in the table, but not long enough. */
  get wasThrownOut(): boolean {
    return this.#wasThrownOut
  }

  /** Error code of the last datagram. */
  get sendError(): string | undefined {
    return this.#round?.error
  }

  /** Until when its unanswered question takes a place in the table. */
  get busyUntil(): number {
    const round = this.#round
    return round === undefined || round.isOver || this.#isRemembered ? 0 : round.at + givenUpAfter
  }

  /**
   * When the table is worth reading again because of this address: when the system sends its next request or gives
   * up, a little after that for an answer, or when silence is certain. `undefined`: at any time.
   */
  nextLookAt(now: number, patience: Patience): number | undefined {
    const round = this.#round
    if (round === undefined || this.#isDue || this.#isRemembered) return undefined
    if (this.requests >= patience.requests)
      return Math.max(this.#lastRequestAt + patience.listen, this.#firstRequestAt + patience.span)
    const since = now - round.at
    const next = interestingMoments.find((moment) => moment > since)
    return next === undefined ? undefined : round.at + next
  }

  /** A datagram has been handed over, or could not be. */
  handleSent(at: number, error: string | undefined): void {
    this.#earlierRequests += this.#round?.requests ?? 0
    this.#round = { at, error, requests: 0, countAtFirst: undefined, seenAt: at, isOver: false }
    this.#firstSentAt ??= at
    this.#rounds += 1
    this.#isDue = false
  }

  /**
   * What the table says; the reading began at `readAt`, after the datagram. After `ask` and `not-asked` nothing but an
   * answer counts until the next datagram.
   *
   * @param entry `undefined`: the table was read and does not hold the address
   */
  handleTable(
    entry: NeighbourEntry | undefined,
    readAt: number,
    traits: SourceTraits,
    patience: Patience,
  ): Next {
    const round = this.#round
    if (round === undefined) return { kind: 'wait' }
    const next = this.#next(round, entry, readAt, traits, patience)
    if (next.kind === 'not-asked') this.#misses += 1
    if (next.kind === 'ask') this.#misses = 0
    if (next.kind === 'ask' || next.kind === 'not-asked') this.#isDue = true
    return next
  }

  #next(
    round: Round,
    entry: NeighbourEntry | undefined,
    readAt: number,
    traits: SourceTraits,
    patience: Patience,
  ): Next {
    this.#lastShown = entry?.shown ?? this.#lastShown
    // Whatever is confirmed from now on was confirmed after the datagram.
    if (entry?.state !== 'reachable') this.#reachableMac = undefined
    const wasRemembered = this.#isRemembered
    const wasKnown = !traits.hasStates && this.#knownMac !== undefined && this.#knownMac === entry?.mac
    this.#isRemembered = entry?.state === 'remembered' || (entry?.state === 'reachable' && wasKnown)
    if (entry !== undefined && this.#isRemembered) return { kind: 'remembered', entry }
    if (entry?.state === 'reachable')
      return { kind: 'answered', entry, isOld: entry.mac !== undefined && entry.mac === this.#reachableMac }
    if (this.#isDue) return { kind: 'wait' }
    if (entry === undefined && traits.listsUnanswered && !round.isOver) this.#discountUnheard(round)
    if (entry?.state === 'asking') round.seenAt = readAt
    if (traits.listsUnanswered) round.isOver = entry?.state !== 'asking'
    // The count of an entry that was not seen asking in this round may be that of another time.
    if (entry?.state === 'asking' || (entry?.state === 'failed' && round.requests > 0))
      this.#countRequests(round, entry, readAt, traits)
    if (this.requests >= patience.requests)
      return readAt - this.#lastRequestAt >= patience.listen && readAt - this.#firstRequestAt >= patience.span
        ? { kind: 'silent', shown: this.#lastShown }
        : { kind: 'wait' }
    if (entry === undefined && !traits.listsUnanswered) return this.#nextUnseen(round, readAt)
    if (entry?.state === 'asking') return nextWhileAsking(round, readAt, traits)
    // The system has given up, or the entry was thrown out: either way nobody asks any more.
    return round.requests > 0 || wasRemembered
      ? { kind: 'ask' }
      : { kind: 'not-asked', hasEntry: entry !== undefined || this.#wasThrownOut }
  }

  /** The entry was thrown out while the system asked: an answer to its last request may have found no entry. */
  #discountUnheard(round: Round): void {
    if (round.requests === 0 || round.seenAt - this.#lastRequestAt >= hearingTime) return
    round.requests -= 1
    this.#wasThrownOut = true
  }

  #nextUnseen(round: Round, readAt: number): Next {
    if (readAt - round.at < givenUpAfter) return { kind: 'wait' }
    return this.#rounds < 2 ? { kind: 'ask' } : { kind: 'unseen' }
  }

  #countRequests(round: Round, entry: NeighbourEntry, readAt: number, traits: SourceTraits): void {
    const before = this.requests
    const { requestCount } = entry
    if (requestCount !== undefined) {
      // Somebody else's packet made the system begin again.
      if (round.countAtFirst !== undefined && requestCount < round.countAtFirst + round.requests - 1) {
        this.#earlierRequests += round.requests
        round.countAtFirst = undefined
      }
      round.countAtFirst ??= requestCount
      round.requests = 1 + requestCount - round.countAtFirst
    } else if (traits.repeatedBy === 'datagram') {
      round.requests = round.error === undefined ? 1 : 0
    } else if (entry.state === 'asking') {
      const byTime = 1 + Math.floor((readAt - round.at) / repeatAfter)
      round.requests = Math.max(round.requests, Math.min(systemRequests, byTime))
    }
    if (this.requests === before) return
    if (before === 0) this.#firstRequestAt = round.at
    this.#lastRequestAt = readAt
    if (this.requests >= 3) this.#thirdRequestAt ??= readAt
  }
}

function nextWhileAsking(round: Round, readAt: number, traits: SourceTraits): Next {
  const since = readAt - round.at
  if (traits.repeatedBy === 'datagram') {
    if (since < betweenDatagrams) return { kind: 'wait' }
    return round.requests > 0 ? { kind: 'ask' } : { kind: 'not-asked', hasEntry: true }
  }
  // Without states an entry that has failed looks the same as one that is being asked.
  return !traits.hasStates && since >= givenUpAfter ? { kind: 'ask' } : { kind: 'wait' }
}
