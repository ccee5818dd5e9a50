import type { Observation } from '../../../shared/addresses/index.ts'
import type { RouteVerdict } from './vantage-output.ts'

/** An interface of a vantage. */
export interface VantageInterface {
  readonly name: string
  readonly isUp: boolean
  /** Lower case with colons; `undefined` where it has none. */
  readonly mac: string | undefined
  /** IPv4 addresses, dotted decimal. */
  readonly addresses: readonly { readonly address: string; readonly prefix: number }[]
}

/** What a vantage knows about itself. */
export interface VantageFacts {
  readonly interfaces: readonly VantageInterface[]
  /** IPv4 gateways of its routes. */
  readonly gateways: readonly string[]
  /** IPv4 name servers that it uses. */
  readonly nameServers: readonly string[]
}

export interface AskOptions {
  /** Name of the interface that is attached to the network of the addresses. */
  readonly interface: string
  readonly signal: AbortSignal
  /** Each observation as soon as it is certain; the returned list holds all of them. */
  readonly onObservation?: (observation: Observation) => void
  /** Sweep: every address has been asked three times; the answers so far are known. */
  readonly onSwept?: () => void
}

/** Observations, and what the operator should know about how they were made. */
export interface Answers {
  readonly observations: readonly Observation[]
  /** Whole sentences: a program was missing, hung, or wrote rubbish. */
  readonly warnings: readonly string[]
}

/**
 * A place to look at the network from. ARP reaches no further than the network that an interface is attached to, so
 * what a vantage hears about other networks means nothing: `find-free-addresses` asks a vantage only about its own.
 */
export interface Vantage {
  /** `workstation`, the name of a node, or `user@host`. */
  readonly name: string
  readonly kind: 'workstation' | 'node'
  facts(signal: AbortSignal): Promise<VantageFacts>
  /** By which way the vantage would send to an address. Absent where that cannot be asked. */
  routeTo?(address: string, signal: AbortSignal): Promise<RouteVerdict>
  /** All addresses, through the operating system's neighbour table. Needs no privilege. */
  sweep(addresses: readonly string[], options: AskOptions): Promise<Answers>
  /** All addresses, by nmap. `undefined`: there is no nmap. */
  scan(addresses: readonly string[], options: AskOptions): Promise<Answers | undefined>
  /** A few addresses, by arping: RFC 5227 probes and collected answers. `undefined`: there is no usable arping. */
  probe(addresses: readonly string[], options: AskOptions & ProbeOptions): Promise<Answers | undefined>
  /** Asks for DHCP offers. `undefined`: this vantage cannot ask. */
  askDhcp?(
    options: AskOptions & { readonly onOffer?: (offer: DhcpOffer) => void },
  ): Promise<DhcpAnswers | undefined>
}

export interface ProbeOptions {
  /**
   * `arp-probe`: duplicate address detection with the counts of RFC 5227 (at least 3 probes, 1–2 s apart, then 2 s of
   * waiting) · `arping`: ordinary requests, all answers collected for about `count` seconds.
   */
  readonly kind: 'arp-probe' | 'arping'
  /** How many requests; default 3. */
  readonly count?: number
}

/** An address that a DHCP server would give away. */
export interface DhcpOffer {
  readonly address: string
  readonly server: string
  readonly gateways: readonly string[]
  readonly nameServers: readonly string[]
}

export interface DhcpAnswers {
  readonly offers: readonly DhcpOffer[]
  readonly warnings: readonly string[]
}
