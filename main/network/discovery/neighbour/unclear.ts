import type { NeighbourEntry } from './neighbour-table.ts'

/** Why a sweep cannot say anything about an address. */
export type UnclearReason =
  /** No entry appeared. `error`: code of the datagram that could not be sent. */
  | { readonly kind: 'not-asked'; readonly error: string | undefined }
  /** The entry was thrown out again and again, or the system does not repeat its questions. */
  | { readonly kind: 'asked-too-little'; readonly requests: number }
  | { readonly kind: 'remembered'; readonly entry: NeighbourEntry }
  | { readonly kind: 'unseen' }
  | { readonly kind: 'no-link' }
  | { readonly kind: 'link-unknown' }
  | { readonly kind: 'unreadable'; readonly reason: string }

/** Collects the reasons of one sweep: a few words for each address, and one warning for all that share a reason. */
export class UnclearAddresses {
  readonly #place: string
  readonly #interface: string
  readonly #counts = new Map<string, { readonly reason: UnclearReason; count: number }>()

  constructor(place: string, interfaceName: string) {
    this.#place = place
    this.#interface = interfaceName
  }

  /** Counts the reason and gives its words for the observation. */
  add(reason: UnclearReason): string {
    const key = reason.kind === 'not-asked' ? `${reason.kind} ${reason.error ?? ''}` : reason.kind
    const counted = this.#counts.get(key)
    if (counted === undefined) this.#counts.set(key, { reason, count: 1 })
    else counted.count += 1
    return detailOf(reason)
  }

  /** Whole sentences: what happened to how many addresses, and what to do. */
  warnings(unknownLines: number): string[] {
    const warnings = [...this.#counts.values()].flatMap(({ reason, count }) =>
      this.#warningOf(reason, count === 1 ? '1 address' : `${count} addresses`),
    )
    if (unknownLines > 0)
      warnings.push(
        `${unknownLines === 1 ? 'An entry' : `${unknownLines} entries`} of the neighbour table of ${this.#place} could not be understood and ${unknownLines === 1 ? 'was' : 'were'} left out.`,
      )
    return warnings
  }

  #warningOf(reason: UnclearReason, addresses: string): string[] {
    const place = this.#place
    const name = this.#interface
    switch (reason.kind) {
      case 'not-asked':
        return [
          `${place} did not ask for ${addresses} on ${name}: ${notAskedAdvice(reason.error, place, name)}`,
        ]
      case 'asked-too-little':
        return [
          `${place} stopped asking for ${addresses} on ${name} before they could be called silent: other programs may be clearing its neighbour table. Search again, or search a smaller range.`,
        ]
      case 'unseen':
        return [
          `The arp program of ${place} does not show which addresses were asked in vain, so nothing can be said about ${addresses}. Allow Windows PowerShell (Get-NetNeighbor), or search from a node with --via.`,
        ]
      case 'no-link':
        return [
          `${name} of ${place} had no link, so nobody could hear all the questions for ${addresses}. Check the cable and the switch port, then search again.`,
        ]
      case 'link-unknown':
        return [
          `It cannot be told whether ${name} of ${place} has a link, so the silence of ${addresses} says nothing. Check that /sys/class/net/${name}/carrier can be read there, or search from another machine with --via.`,
        ]
      case 'unreadable':
        return [
          `${reason.reason} So nothing can be said about ${addresses}. Search from another machine with --via.`,
        ]
      case 'remembered':
        // The observation says it; nothing is wrong.
        return []
    }
  }
}

function detailOf(reason: UnclearReason): string {
  switch (reason.kind) {
    case 'not-asked':
      return reason.error === undefined
        ? 'no entry appeared in the neighbour table, so nobody was asked'
        : `no datagram could be sent (${reason.error}), so nobody was asked`
    case 'asked-too-little':
      return `certainly asked ${reason.requests === 1 ? 'once' : `${reason.requests} times`} only`
    case 'remembered':
      return `${reason.entry.shown}: the table remembers ${reason.entry.mac ?? 'this neighbour'} from before, not confirmed now`
    case 'unseen':
      return 'no entry, and the table does not list who did not answer'
    case 'no-link':
      return 'the interface had no link'
    case 'link-unknown':
      return 'it cannot be told whether the interface has a link'
    case 'unreadable':
      return 'the neighbour table cannot be read'
  }
}

function notAskedAdvice(error: string | undefined, place: string, name: string): string {
  switch (error) {
    case undefined:
    case 'ENOBUFS':
      return `its neighbour table is full, or these addresses are not reached through ${name}. On Linux let an administrator raise the limit (sysctl -w net.ipv4.neigh.default.gc_thresh3=4096), or search a smaller range.`
    case 'EPERM':
      return `a firewall on ${place} does not let the datagrams out (EPERM). Allow outgoing UDP to port 9, or search from a node with --via.`
    case 'EACCES':
      return `the operating system refuses to send there (EACCES): broadcast addresses are not asked, and a route or a firewall may prohibit the others.`
    case 'EADDRNOTAVAIL':
      return `it has lost its own address on ${name} (EADDRNOTAVAIL). Check the interface, then search again.`
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
    case 'ENETDOWN':
      return `it has no way there (${error}). Check that ${name} is up and has an address of that network.`
    default:
      return `the datagrams could not be sent (${error}).`
  }
}
