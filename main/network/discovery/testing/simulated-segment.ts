import type { Observation } from '../../../../shared/addresses/index.ts'
import type { Clock } from '../../../engine/clock.ts'
import type { Answers, AskOptions, DhcpOffer, ProbeOptions, Vantage, VantageFacts } from '../vantage.ts'

/** A machine on a simulated network segment. */
export interface SimulatedHost {
  readonly mac: string
  /** Answers every n-th question only. Default 1. */
  readonly answersEvery?: number
  /** Milliseconds of the clock from which on it answers. Default: always. */
  readonly awakeFrom?: number
  /** Also answers by IP, so that nmap without privileges sees it. Default false: it drops everything but ARP. */
  readonly isTalkative?: boolean
}

export interface SimulatedSegment {
  /** By address; more than one: a collision. */
  readonly hosts: ReadonlyMap<string, readonly SimulatedHost[]>
  /** Answers ordinary requests for every address, and probes as well if it says so. */
  readonly proxy?: { readonly mac: string; readonly answersProbes: boolean }
  readonly offers?: readonly DhcpOffer[]
}

/** A vantage on a simulated segment: the same questions as in reality, with the same counts and durations. */
export function simulatedVantage(
  segment: SimulatedSegment,
  options: {
    readonly name: string
    readonly kind: Vantage['kind']
    readonly facts: VantageFacts
    readonly clock: Clock
    readonly hasArping?: boolean
    /** What its neighbour table holds already, as confirmed: MAC address by address. */
    readonly remembers?: ReadonlyMap<string, string>
    readonly onAsk?: (method: string, addresses: readonly string[]) => void
  },
): Vantage {
  const { name, clock } = options
  const asked = new Map<SimulatedHost, number>()

  const answersTo = (address: string, isProbe: boolean): string[] => {
    const owners = (segment.hosts.get(address) ?? []).filter((host) => {
      if (clock.now() < (host.awakeFrom ?? 0)) return false
      const count = (asked.get(host) ?? 0) + 1
      asked.set(host, count)
      return count % (host.answersEvery ?? 1) === 0
    })
    const macs = owners.map(({ mac }) => mac)
    const { proxy } = segment
    if (proxy !== undefined && (!isProbe || proxy.answersProbes)) macs.push(proxy.mac)
    return macs
  }

  const ask = async (
    addresses: readonly string[],
    ask: AskOptions,
    question: {
      method: Observation['method']
      requests: number
      pauseMilliseconds: number
      isFirstOnly: boolean
    },
  ): Promise<Answers> => {
    options.onAsk?.(question.method, addresses)
    const heard = new Map<string, Set<string>>(addresses.map((address) => [address, new Set()]))
    for (let request = 0; request < question.requests; request += 1) {
      for (const [address, macs] of heard) {
        if (question.isFirstOnly && macs.size > 0) continue
        for (const mac of answersTo(address, question.method === 'arp-probe')) {
          if (!question.isFirstOnly || macs.size === 0) macs.add(mac)
        }
      }
      if (request === 2) ask.onSwept?.()
      await clock.sleep(question.pauseMilliseconds, ask.signal)
    }
    const observations = [...heard].map(([address, macs]): Observation => {
      const remembered = question.method === 'neighbour-table' ? options.remembers?.get(address) : undefined
      if (remembered !== undefined) return memoryOf(address, remembered)
      return {
        address,
        vantage: name,
        method: question.method,
        at: new Date(clock.now()).toISOString(),
        answer: macs.size > 0 ? 'answered' : 'silent',
        layer: 'link',
        probes: question.requests,
        macs: [...macs],
        detail: macs.size > 0 ? 'REACHABLE' : 'FAILED',
      }
    })
    for (const observation of observations) ask.onObservation?.(observation)
    return { observations, warnings: [] }
  }

  const memoryOf = (address: string, mac: string): Observation => ({
    address,
    vantage: name,
    method: 'neighbour-table',
    at: new Date(clock.now()).toISOString(),
    answer: 'answered',
    layer: 'link',
    probes: 0,
    macs: [mac],
    detail: 'REACHABLE already before it was asked',
  })

  return {
    name,
    kind: options.kind,
    facts: () => Promise.resolve(options.facts),
    sweep: (addresses, options) =>
      ask(addresses, options, {
        method: 'neighbour-table',
        requests: 5,
        pauseMilliseconds: 900,
        isFirstOnly: true,
      }),
    scan: () => Promise.resolve(undefined),
    probe: async (addresses, probe: AskOptions & ProbeOptions) =>
      options.hasArping === false
        ? undefined
        : await ask(addresses, probe, {
            method: probe.kind,
            requests: probe.count ?? 3,
            pauseMilliseconds: 1000,
            isFirstOnly: false,
          }),
    ...(segment.offers === undefined
      ? {}
      : { askDhcp: () => Promise.resolve({ offers: segment.offers ?? [], warnings: [] }) }),
  }
}

export function factsAt(address: string, prefix: number, mac = '02:00:00:00:00:fe'): VantageFacts {
  return {
    interfaces: [{ name: 'eth0', isUp: true, mac, addresses: [{ address, prefix }] }],
    gateways: [],
    nameServers: [],
  }
}
