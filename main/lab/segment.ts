import type { Cluster } from './cluster.ts'
import type { LabContext } from './context.ts'
import { firstHostOf, isInNetwork, stableHash } from './hardware.ts'
import { NeighbourCache, neighbourDurations, type NeighbourDurations } from './neighbour-cache.ts'
import type { LabNode } from './node.ts'

/** Somebody who answers ARP requests for an address. */
export interface Station {
  /** Lower case, with colons. */
  mac: string
  /** `null`: gateway, or a host that only the scenario knows. */
  node: LabNode | null
  /** `false`: drops every IP packet, and is seen by ARP only. */
  answersIp: boolean
}

/** The network that the nodes are on: who has which address at this moment, and what each node knows of the others. */
export class Segment {
  readonly #context: LabContext
  readonly #nodes: readonly LabNode[]
  readonly #cluster: Cluster
  readonly #durations: NeighbourDurations
  readonly #timeScale: number
  readonly #caches = new Map<LabNode, { boots: number; cache: NeighbourCache }>()

  /** `timeScale`: how many times as fast as real the lab lives. */
  constructor(context: LabContext, nodes: readonly LabNode[], cluster: Cluster, timeScale: number) {
    this.#context = context
    this.#durations = neighbourDurations(timeScale)
    this.#timeScale = timeScale
    this.#nodes = nodes
    this.#cluster = cluster
  }

  /** Who answers an ARP request for the address; more than one: two machines claim it. The asker does not hear itself. */
  ownersOf(address: string, asker: LabNode | null = null): Station[] {
    const owners: Station[] = []
    for (const node of this.#nodes) {
      if (node !== asker && this.#isOnline(node) && this.hasAddress(node, address)) {
        owners.push({ mac: node.nic.mac, node, answersIp: true })
      }
    }
    const gateway = this.gateway
    if (address === gateway) owners.push({ mac: gatewayMac(gateway), node: null, answersIp: true })
    for (const host of this.#context.scenario.extraHosts) {
      if (host.address === address) {
        owners.push({ mac: host.mac, node: null, answersIp: host.kind === 'answers' })
      }
    }
    return owners
  }

  /** The node's own address, one that was raised on it, or the VIP while the node carries it. */
  hasAddress(node: LabNode, address: string): boolean {
    return (
      node.nic.address === address ||
      node.raised.has(address) ||
      (address === this.#cluster.vip && node === this.#vipCarrier)
    )
  }

  /** Is there a way for an IP packet of the node to this address, and does somebody answer? Asks by ARP as needed. */
  isReachable(from: LabNode, address: string): boolean {
    if (this.hasAddress(from, address)) return true
    if (!this.isOnLink(from, address)) {
      // The lab has one segment; its gateway knows all that is on it.
      return this.ownersOf(from.nic.gateway, from).length > 0 && this.#answersIp(address, from)
    }
    const mac = this.neighboursOf(from).use(address)
    return this.ownersOf(address, from).some((owner) => owner.mac === mac && owner.answersIp)
  }

  /** On the network of the node's interface: asked for by ARP, not sent to the gateway. */
  isOnLink(node: LabNode, address: string): boolean {
    return isInNetwork(address, `${node.nic.address}/${node.nic.prefix}`)
  }

  /**
   * Real milliseconds as simulated ones. For what must outlast work over real connections, however fast the lab lives: an
   * address with a lifetime is renewed by somebody whose commands take real time.
   */
  simulated(realMilliseconds: number): number {
    return realMilliseconds * this.#timeScale
  }

  /** Everybody who knows the address learns that it belongs to `mac` now. */
  announce(from: LabNode, address: string): void {
    for (const node of this.#nodes) {
      if (node !== from && this.#isOnline(node)) this.neighboursOf(node).learn(address, from.nic.mac)
    }
  }

  /** The neighbour table of a node; a restart empties it. */
  neighboursOf(node: LabNode): NeighbourCache {
    const known = this.#caches.get(node)
    if (known?.boots === node.boots) return known.cache
    const cache = new NeighbourCache(
      this.#context.scheduler,
      this.#durations,
      (address) => this.ownersOf(address, node)[0]?.mac ?? null,
    )
    this.#caches.set(node, { boots: node.boots, cache })
    return cache
  }

  get gateway(): string {
    const { site } = this.#context.plan
    return site.gateway ?? firstHostOf(site.network)
  }

  get #vipCarrier(): LabNode | undefined {
    const { leader, members } = this.#cluster
    return [...(leader === null ? [] : [leader]), ...members].find((node) => this.#isOnline(node))
  }

  #answersIp(address: string, from: LabNode): boolean {
    return this.ownersOf(address, from).some((owner) => owner.answersIp)
  }

  #isOnline(node: LabNode): boolean {
    return node.isNetworkUp && this.#context.faults.active('unreachable', node.name) === null
  }
}

function gatewayMac(address: string): string {
  return `02:00:5e:${(stableHash(address).match(/../g) ?? []).slice(0, 3).join(':')}`
}
