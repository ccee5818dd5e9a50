import type { Observation } from '../../../../shared/addresses/index.ts'
import { orAborted } from '../../../engine/cancellation.ts'
import type { Clock } from '../../../engine/clock.ts'
import type { Answers } from '../vantage.ts'
import { AskedAddress, type Next, type Patience } from './asked-address.ts'
import type { DatagramSender } from './datagrams.ts'
import { sourceTraits, type NeighbourEntry, type NeighbourTable } from './neighbour-table.ts'
import { createStopwatch } from './stopwatch.ts'
import { SweepWindow } from './sweep-window.ts'
import { UnclearAddresses, type UnclearReason } from './unclear.ts'

export interface SweepOptions {
  /** Name of the vantage, for the observations. */
  readonly vantage: string
  /** IPv4; twice the same is asked once. The vantage's own addresses do not belong here: nobody asks for them. */
  readonly addresses: readonly string[]
  /** Name of the interface that the addresses are behind, for messages. */
  readonly interface: string
  readonly sender: DatagramSender
  /** The table of that interface, read anew. */
  readonly readTable: (signal: AbortSignal) => Promise<NeighbourTable>
  /**
   * Whether the interface has a link (carrier), asked with every reading of the table. Without one Linux still counts
   * its questions, though nobody can hear them: then nothing that is not decided yet is believed. While it is `unknown`
   * nobody is called silent. Default: it has one.
   */
  readonly linkState?: (signal: AbortSignal) => Promise<LinkState>
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Each observation as soon as it is certain. An address whose MAC address changes is reported again, with both. */
  readonly onObservation?: (observation: Observation) => void
  /** Once: every address that can be asked has been asked three times, and had time to answer. */
  readonly onSwept?: () => void
  readonly onProgress?: (done: number, of: number) => void
  /** How many unanswered questions the neighbour table may hold at a time, at least 8. Default 512, half of Linux's room. */
  readonly window?: number
  /**
   * How often a silent address was asked at least. 5, over 4.5 s: also finds a host that answers one request in five.
   * 3, and 2 s of listening (the counts of RFC 5227): needs half as much room in the table, for large ranges. Default 5.
   */
  readonly requests?: 3 | 5
}

/** `unknown`: it could not be told, which is neither. */
export type LinkState = 'up' | 'down' | 'unknown'

const patienceOf: Readonly<Record<3 | 5, Patience>> = {
  3: { requests: 3, span: 4000, listen: 2000 },
  5: { requests: 5, span: 4500, listen: 400 },
}

const defaultWindow = 512
/** Of the window, whatever others ask. */
const ownShare = 0.25
/** From one reading of the table to the next, milliseconds. */
const pause = { atLeast: 50, atMost: 250 }
/** How much longer the pause is at least than the reading: else a large table would keep a processor busy. */
const pauseShare = 5
/** How long after the third request `onSwept` waits for answers. */
const sweptListen = 150
/** DELAY takes 5 s, then PROBE asks three times, a second apart: later nothing is confirmed any more. */
const rememberedPatience = 8500
/** When a neighbour that is remembered need not be waited for any longer than for the others. */
const rememberedMinimum = 4500
/** Misses after which an address is given up: alone, and while the table is full. */
const mostMisses = { alone: 3, whileFull: 8 }
const longestRetry = 1600
/** A sender that takes longer gets fewer addresses at a time: the system has given up before the table is read. */
const longestSend = 1500
const smallestBatch = 8
/** How long the system may be asking without repeating its question. */
const longestRound = 20_000
/** Readings in a row after which a table that takes nothing at all is called full. */
const mostFutile = 5
/** Failed readings in a row after which the table is called unreadable, and the link one that cannot be told. */
const mostUnreadable = 3

/**
 * Finds out who is there by the operating system's own questions: a small datagram to every address makes it ask by
 * ARP, which even a host that drops every packet answers, and its neighbour table tells who did. Needs no privilege and
 * no particular program. Proves nothing beyond a router: only for addresses of the interface's own network.
 *
 * Rejects with the signal's reason when aborted, and as `sender` and `readTable` do; everything else is an observation
 * or a warning.
 */
export async function sweepNeighbours(options: SweepOptions): Promise<Answers> {
  return await new Sweep(options).run()
}

interface Answered {
  readonly macs: Set<string>
  readonly requests: number
}

interface Miss {
  readonly asked: AskedAddress
  readonly hasEntry: boolean
}

class Sweep {
  readonly #options: SweepOptions
  readonly #patience: Patience
  readonly #watch
  readonly #window: SweepWindow
  /** Not asked yet; the next one is at `#next`. */
  readonly #fresh: readonly string[]
  #next = 0
  readonly #open = new Map<string, AskedAddress>()
  /** Those of `#open` that need another datagram, and from when on. */
  readonly #due = new Map<AskedAddress, number>()
  /** Addresses that are decided, while the system still asks for them, and until when. */
  readonly #tails = new Map<string, number>()
  readonly #answered = new Map<string, Answered>()
  readonly #observations: Observation[] = []
  readonly #unclear: UnclearAddresses
  readonly #knownMacs = new Map<string, string>()
  /** MAC addresses of entries that were confirmed at the last reading. */
  #reachableMacs: ReadonlyMap<string, string> = new Map()
  #readEndedAt = 0
  #readingTook = 0
  #largestBatch = Infinity
  #foreignQuestions = 0
  #futile = 0
  #unreadable = 0
  #linkUnknown = 0
  #unknownLines = 0
  #isSwept = false
  #isFull = false

  constructor(options: SweepOptions) {
    this.#options = options
    this.#patience = patienceOf[options.requests ?? 5]
    this.#watch = createStopwatch(options.clock)
    this.#window = new SweepWindow(options.window ?? defaultWindow)
    this.#fresh = [...new Set(options.addresses)]
    this.#unclear = new UnclearAddresses(options.vantage, options.interface)
  }

  async run(): Promise<Answers> {
    this.#options.signal.throwIfAborted()
    if (this.#fresh.length > 0 && (await this.#readBefore())) {
      while (this.#isOpen) {
        await this.#send()
        await this.#sleep()
        await this.#look()
      }
    }
    return {
      observations: this.#observations,
      warnings: this.#unclear.warnings(this.#unknownLines),
    }
  }

  get #isOpen(): boolean {
    return this.#open.size > 0 || this.#next < this.#fresh.length
  }

  /** What was in the table before the first datagram. False: it cannot be read, everything is decided. */
  async #readBefore(): Promise<boolean> {
    while (this.#isOpen) {
      const table = await this.#read()
      if (table !== undefined) {
        for (const { address, mac } of table.entries) if (mac !== undefined) this.#knownMacs.set(address, mac)
        return true
      }
      if (this.#isOpen) await this.#watch.sleep(pause.atMost, this.#options.signal)
    }
    return false
  }

  async #read() {
    const { signal, readTable } = this.#options
    const table = await orAborted(signal, readTable(signal))
    if (table.kind === 'unreadable') {
      this.#unreadable += 1
      if (this.#unreadable >= mostUnreadable) this.#giveUp({ kind: 'unreadable', reason: table.reason })
      return undefined
    }
    this.#unreadable = 0
    this.#unknownLines = Math.max(this.#unknownLines, table.unknownLines)
    const traits = sourceTraits[table.source]
    this.#reachableMacs = new Map(
      table.entries.flatMap(({ address, state, mac }) =>
        state === 'reachable' && mac !== undefined ? [[address, mac]] : [],
      ),
    )
    if (traits.hasStates)
      this.#foreignQuestions = table.entries.filter(
        ({ address, state }) => state === 'asking' && !this.#open.has(address) && !this.#tails.has(address),
      ).length
    return { entries: table.entries, traits }
  }

  async #readLink(): Promise<LinkState> {
    const { signal, linkState } = this.#options
    const state = linkState === undefined ? 'up' : await orAborted(signal, linkState(signal))
    this.#linkUnknown = state === 'unknown' ? this.#linkUnknown + 1 : 0
    if (state === 'down') this.#giveUp({ kind: 'no-link' })
    else if (this.#linkUnknown >= mostUnreadable) this.#giveUp({ kind: 'link-unknown' })
    return state
  }

  async #send(): Promise<void> {
    const now = this.#watch.elapsed()
    if (this.#window.isPaused(now)) return
    const room = Math.min(this.#room(now), this.#largestBatch)
    const batch = this.#takeDue(now, room)
    while (batch.length < room && this.#next < this.#fresh.length) {
      const address = this.#fresh[this.#next++]
      if (address === undefined) break
      const asked = new AskedAddress(address, this.#knownMacs.get(address), this.#reachableMacs.get(address))
      this.#open.set(address, asked)
      batch.push(asked)
    }
    if (batch.length === 0) return
    const { sender, signal, clock } = this.#options
    const addresses = batch.map(({ address }) => address)
    const started = clock.now()
    const outcome = await orAborted(signal, sender.send(addresses, signal))
    this.#adaptBatch(batch.length, clock.now() - started)
    const sentAt = this.#watch.elapsed()
    for (const asked of batch) {
      const result = outcome.get(asked.address)
      asked.handleSent(
        sentAt,
        result === undefined ? 'UNKNOWN' : result.kind === 'failed' ? result.code : undefined,
      )
    }
  }

  #adaptBatch(length: number, took: number): void {
    if (took > longestSend)
      this.#largestBatch = Math.max(smallestBatch, Math.floor((length * longestSend) / took))
    else if (took < longestSend / 2) this.#largestBatch *= 2
  }

  /** Those that wait for another datagram, as far as there is room: first those that were asked already. */
  #takeDue(now: number, room: number): AskedAddress[] {
    const ready = [...this.#due].flatMap(([asked, from]) => (from <= now ? [asked] : []))
    const begun = ready.filter(({ requests }) => requests > 0)
    // A table that is nearly full takes the first ones of a batch.
    const missed = ready.filter(({ requests }) => requests === 0).sort((a, b) => b.misses - a.misses)
    const taken = [...begun, ...missed].slice(0, Math.max(0, room))
    for (const asked of taken) this.#due.delete(asked)
    return taken
  }

  /** How many questions may be added. What others ask leaves us a share: they may never end. */
  #room(now: number): number {
    const held = this.#questionsHeld(now)
    const { size } = this.#window
    return Math.max(size - held - this.#foreignQuestions, Math.floor(size * ownShare) - held)
  }

  /** Our unanswered questions that are in the table now. */
  #questionsHeld(now: number): number {
    let held = 0
    for (const { busyUntil } of this.#open.values()) if (busyUntil > now) held += 1
    for (const [address, until] of this.#tails) {
      if (until > now) held += 1
      else this.#tails.delete(address)
    }
    return held
  }

  /** Until the table is worth reading again. */
  async #sleep(): Promise<void> {
    const now = this.#watch.elapsed()
    const shortest = Math.max(pause.atLeast, Math.min(pause.atMost, this.#readingTook * pauseShare))
    let wanted = now + pause.atMost
    for (const asked of this.#open.values()) {
      wanted = Math.min(wanted, asked.nextLookAt(now, this.#patience) ?? wanted)
      if (!this.#isSwept && asked.thirdRequestAt !== undefined && asked.thirdRequestAt + sweptListen > now)
        wanted = Math.min(wanted, asked.thirdRequestAt + sweptListen)
    }
    for (const from of this.#due.values()) wanted = Math.min(wanted, from)
    await this.#watch.sleep(
      Math.max(1, Math.max(this.#readEndedAt + shortest, wanted) - now),
      this.#options.signal,
    )
  }

  async #look(): Promise<void> {
    const readAt = this.#watch.elapsed()
    const [table, link] = await Promise.all([this.#read(), this.#readLink()])
    this.#readEndedAt = this.#watch.elapsed()
    this.#readingTook = this.#readEndedAt - readAt
    if (table === undefined) return
    const entries = new Map(table.entries.map((entry) => [entry.address, entry]))
    if (table.traits.hasStates)
      for (const address of this.#tails.keys())
        if (entries.get(address)?.state !== 'asking') this.#tails.delete(address)
    const silent: [AskedAddress, string][] = []
    const misses: Miss[] = []
    let asked = 0
    for (const open of [...this.#open.values()]) {
      const wasAsked = open.requests > 0
      const next = open.handleTable(entries.get(open.address), readAt, table.traits, this.#patience)
      if (next.kind === 'not-asked') misses.push({ asked: open, hasEntry: next.hasEntry })
      else if (next.kind === 'silent') silent.push([open, next.shown])
      else this.#handle(open, next, readAt)
      if (!wasAsked && (open.requests > 0 || next.kind === 'answered' || next.kind === 'remembered'))
        asked += 1
    }
    // Nobody heard whether the questions got out: the next look tells.
    if (link === 'up') for (const [asked, shown] of silent) this.#close(asked, 'silent', [], shown)
    this.#handleMisses(misses, asked, readAt)
    this.#letRememberedGo(entries, readAt)
    this.#reportChangedMacs(entries)
    this.#reportSwept(readAt)
    this.#options.onProgress?.(this.#next - this.#open.size, this.#fresh.length)
  }

  #handle(asked: AskedAddress, next: Exclude<Next, { kind: 'not-asked' | 'silent' }>, readAt: number): void {
    switch (next.kind) {
      case 'wait':
        if (readAt - (asked.lastSentAt ?? readAt) >= longestRound && !this.#due.has(asked))
          this.#leaveUnclear(asked, { kind: 'asked-too-little', requests: asked.requests })
        return
      case 'remembered':
        return
      case 'ask':
        this.#due.set(asked, readAt)
        return
      case 'unseen':
        this.#leaveUnclear(asked, { kind: 'unseen' })
        return
      case 'answered': {
        const { mac, shown } = next.entry
        const macs = new Set(mac === undefined ? [] : [mac])
        const requests = next.isOld ? 0 : Math.max(1, asked.requests)
        const detail = next.isOld ? `${shown} already before it was asked` : shown
        this.#close(asked, 'answered', [...macs], detail, requests)
        this.#answered.set(asked.address, { macs, requests })
      }
    }
  }

  /** Datagrams that made nobody ask: the table is full, or there is something wrong with these addresses. */
  #handleMisses(misses: readonly Miss[], asked: number, now: number): void {
    const swallowed = misses.filter(
      ({ hasEntry, asked: { sendError } }) =>
        !hasEntry && (sendError === undefined || sendError === 'ENOBUFS'),
    )
    if (swallowed.length > 1 && swallowed.length > asked * 0.05) {
      this.#isFull = true
      this.#window.shrink(this.#questionsHeld(now), now)
    } else {
      if (asked > 0) this.#isFull = false
      this.#window.grow(now)
    }
    for (const miss of misses) {
      const isFull = this.#isFull && swallowed.includes(miss)
      const { asked: missed } = miss
      if (missed.misses >= (isFull ? mostMisses.whileFull : mostMisses.alone))
        this.#leaveUnclear(
          missed,
          missed.wasThrownOut
            ? { kind: 'asked-too-little', requests: missed.requests }
            : { kind: 'not-asked', error: missed.sendError },
        )
      else this.#due.set(missed, now + Math.min(longestRetry, 200 * 2 ** missed.misses))
    }
    const isEmptyOfOurs = this.#questionsHeld(now) === 0
    if (asked > 0) this.#futile = 0
    else if (misses.length > 0 && isEmptyOfOurs) this.#futile += 1
    if (this.#futile >= mostFutile) {
      const error = misses.find(({ asked: { sendError } }) => sendError !== undefined)?.asked.sendError
      this.#giveUp({ kind: 'not-asked', error })
    }
  }

  /** Who is only remembered gets the time that the others take, or what the system needs at most to ask again. */
  #letRememberedGo(entries: ReadonlyMap<string, NeighbourEntry>, now: number): void {
    const open = [...this.#open.values()]
    const remembered = open.filter(({ isRemembered }) => isRemembered)
    const isLast = this.#next >= this.#fresh.length && remembered.length === open.length
    for (const asked of remembered) {
      const watched = now - (asked.firstSentAt ?? now)
      const entry = entries.get(asked.address)
      if (entry !== undefined && watched >= (isLast ? rememberedMinimum : rememberedPatience))
        this.#leaveUnclear(asked, { kind: 'remembered', entry })
    }
  }

  #reportChangedMacs(entries: ReadonlyMap<string, NeighbourEntry>): void {
    for (const [address, { state, mac, shown }] of entries) {
      const answered = this.#answered.get(address)
      if (answered === undefined || mac === undefined || state !== 'reachable' || answered.macs.has(mac))
        continue
      answered.macs.add(mac)
      this.#report(
        address,
        'answered',
        Math.max(1, answered.requests),
        [...answered.macs],
        `${shown}, by another MAC address than before`,
      )
    }
  }

  #reportSwept(now: number): void {
    if (this.#isSwept || this.#next < this.#fresh.length) return
    for (const { thirdRequestAt, isRemembered } of this.#open.values())
      if (!isRemembered && (thirdRequestAt === undefined || now - thirdRequestAt < sweptListen)) return
    this.#isSwept = true
    this.#options.onSwept?.()
  }

  #leaveUnclear(asked: AskedAddress, reason: UnclearReason): void {
    const macs = reason.kind === 'remembered' && reason.entry.mac !== undefined ? [reason.entry.mac] : []
    this.#close(asked, 'unclear', macs, this.#unclear.add(reason))
  }

  /** Everything that is not decided stays unclear, for one reason. */
  #giveUp(reason: UnclearReason): void {
    this.#isSwept = true
    for (const asked of [...this.#open.values()]) this.#leaveUnclear(asked, reason)
    for (; this.#next < this.#fresh.length; this.#next += 1) {
      const address = this.#fresh[this.#next]
      if (address !== undefined) this.#report(address, 'unclear', 0, [], this.#unclear.add(reason))
    }
  }

  #close(
    asked: AskedAddress,
    answer: Observation['answer'],
    macs: readonly string[],
    detail: string,
    requests = asked.requests,
  ): void {
    // Decided already, in the same turn.
    if (!this.#open.delete(asked.address)) return
    this.#due.delete(asked)
    if (answer !== 'answered') this.#tails.set(asked.address, asked.busyUntil)
    this.#report(asked.address, answer, requests, macs, detail)
  }

  #report(
    address: string,
    answer: Observation['answer'],
    probes: number,
    macs: readonly string[],
    detail: string,
  ): void {
    const observation: Observation = {
      address,
      vantage: this.#options.vantage,
      method: 'neighbour-table',
      at: new Date(this.#options.clock.now()).toISOString(),
      answer,
      layer: 'link',
      probes,
      macs: [...macs],
      detail,
    }
    this.#observations.push(observation)
    this.#options.onObservation?.(observation)
  }
}
