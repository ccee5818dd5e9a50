import type { CheckId } from '../../../shared/checks/index.ts'
import type { Fact } from '../../appliance/facts/fact.ts'

/** Everything that was measured on and between the nodes. Plain JSON; what was not measured says why. */
export interface Measurements {
  /** The checks that were asked for. */
  readonly asked: readonly CheckId[]
  readonly isDiskSpeedAsked: boolean
  /** `false`: too many nodes for each to ask each; see `pairs.ts`. */
  readonly isFullMesh: boolean
  readonly nodes: readonly NodeMeasurement[]
  /** Who answers for the address of a node, asked from another one. */
  readonly owners: readonly AddressQuestion[]
  /** Who answers for the address that a node shall get. */
  readonly plannedAddresses: readonly AddressQuestion[]
}

export interface NodeMeasurement {
  readonly name: string
  readonly address: string
  readonly isControlPlane: boolean
  readonly clock: Fact<ClockReading>
  readonly own: Fact<OwnNetwork>
  readonly peers: readonly PeerMeasurement[]
  /** Absent: not asked for, or the site has none. */
  readonly gateway?: Fact<GatewayReading>
  readonly dns: readonly DnsMeasurement[]
  /** Address of the external registry, as the node finds it without name servers of the plan. */
  readonly registryAddresses?: Fact<readonly string[]>
  readonly ntp: readonly NtpMeasurement[]
  readonly proxies: readonly ProxyMeasurement[]
  readonly registry?: RegistryMeasurement
  readonly disk?: Fact<DiskReading>
  /** Absent: this node was not the one to ask. */
  readonly dhcpServers?: Fact<readonly string[]>
}

/** All in seconds. */
export interface ClockReading {
  /** What the node's clock is ahead of this workstation's. */
  readonly offset: number
  /** Half of the shortest round trip, and half of the step of the node's answer. */
  readonly uncertainty: number
  /**
   * What of the uncertainty comes from a clock of ours that runs faster than real time (a rehearsal). 0 on a real site.
   */
  readonly rehearsal: number
  readonly roundTrip: number
  readonly roundTrips: number
}

export interface OwnNetwork {
  readonly interfaces: readonly { readonly name: string; readonly mac: string; readonly mtu: number }[]
  /** Time to live of the packets that it sends. */
  readonly timeToLive: number | undefined
}

export interface PeerMeasurement {
  readonly name: string
  readonly address: string
  readonly ping: Fact<PingReading>
  readonly path: Fact<PathReading>
  readonly link: Fact<LinkReading>
  readonly ports: Fact<readonly PortReading[]>
}

export interface PingReading {
  readonly sent: number
  readonly received: number
  /** Milliseconds; absent when nothing came back. */
  readonly roundTrip?: { readonly minimum: number; readonly average: number; readonly maximum: number }
  /** Time to live of the answers when they arrived. */
  readonly timeToLive?: number
}

export interface PathReading {
  /** Whole packets with IP header in bytes, in the order they were tried. */
  readonly sizes: readonly { readonly bytes: number; readonly passes: boolean }[]
  /** The largest of all sizes that were tried that passes. */
  readonly largest: number | undefined
}

export interface LinkReading {
  /** MAC address to which frames for the peer go; absent: there is no entry in the neighbour table. */
  readonly mac?: string
  readonly interface?: string
  /** Router on the way, by the routing table. */
  readonly via?: string
}

/** `refused` was answered and hence reached; `silent`: somebody throws the packets away. */
export type PortState = 'open' | 'refused' | 'silent' | 'unreachable' | 'unknown'

export interface PortReading {
  readonly port: number
  readonly state: PortState
  /** What the node said, when it is not clear. */
  readonly detail?: string
}

export interface GatewayReading {
  readonly address: string
  readonly mac?: string
  readonly ping: Fact<PingReading>
}

/** Answer of a name server. `code`: as RFC 1035 and its successors call them. */
export interface DnsAnswer {
  readonly code: string
  readonly addresses: readonly string[]
  readonly names: readonly string[]
}

export interface DnsMeasurement {
  readonly server: string
  readonly questions: readonly {
    readonly purpose: DnsPurpose
    readonly name: string
    readonly answer: Fact<DnsAnswer>
  }[]
}
export type DnsPurpose = 'alive' | 'wildcard' | 'registry' | 'reverse' | 'forward'

export interface NtpMeasurement {
  readonly server: string
  readonly answer: Fact<{ readonly stratum: number; readonly isSynchronized: boolean }>
}

export interface ProxyMeasurement {
  readonly url: string
  readonly port: Fact<PortReading>
}

export interface RegistryMeasurement {
  readonly url: string
  readonly port: Fact<PortReading>
  readonly answer: Fact<WebAnswer>
}

/** `untrusted`: it answers by TLS, with a certificate that the node does not trust (yet). */
export type WebAnswer =
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'untrusted' }
  | { readonly kind: 'failed'; readonly reason: string }

export interface DiskReading {
  readonly tool: 'fio' | 'dd'
  readonly folder: string
  /** How many writes were made safe on the disk. */
  readonly writes: number
  /** Milliseconds that a write took; 99 % took no longer. */
  readonly percentile99: number
}

export interface AddressQuestion {
  /** Node whose address it is or shall be. */
  readonly node: string
  readonly address: string
  /** Node that asked. */
  readonly from: string
  readonly macs: Fact<readonly string[]>
}
