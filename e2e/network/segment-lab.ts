import { spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { formatAddress, parseNetwork } from '../../shared/plan/ipv4.ts'
import { startDhcpServer } from './dhcp-server.ts'
import { whyNoNamespaces } from './namespace-lab.ts'
import { exec, run, startIn, type Ended, type RunOptions } from './namespace-programs.ts'
import { guard, newLabId } from './segment-guardian.ts'
import {
  addressesOf,
  legsOf,
  mistakeIn,
  type HostKind,
  type HostSpec,
  type SegmentSurroundings,
} from './segment-hosts.ts'
import {
  bringUp,
  changeFaults,
  plugIn,
  setUp,
  untilForwarding,
  type Leg,
  type PlannedLeg,
} from './segment-setup.ts'
import { createWaker, type Waker } from './waker.ts'

/** Why there can be no segment laboratory on this machine; `undefined`: there can. */
export function whyNoSegmentLab(): string | undefined {
  const missing = ['nft', 'dnsmasq', 'bridge'].filter(
    (program) => spawnSync(program, [program === 'bridge' ? '-V' : '--version']).error !== undefined,
  )
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`
  return whyNoNamespaces()
}

export interface SegmentLabOptions {
  /** CIDR form; default `10.10.200.0/24`. Laboratories with the same network do not see each other. */
  readonly network?: string
  readonly hosts: readonly HostSpec[]
  readonly seeker?: SeekerSpec
  /** Default gateway of the hosts (but of that host itself); default none. */
  readonly gateway?: string
}

interface SeekerSpec {
  /** Default: the last host address of the network. */
  readonly address?: string
  /** Default: that of the network. */
  readonly prefix?: number
  /** Default: none. */
  readonly gateway?: string
}

export interface SegmentHost {
  readonly kind: HostKind
  readonly spec: HostSpec
  readonly address: string
  /** `address` and any further ones. */
  readonly addresses: readonly string[]
  readonly mac: string
  readonly namespace: string
  /** More than one only where one address is on two computers. */
  readonly legs: readonly Leg[]
}

export interface Seeker {
  readonly namespace: string
  readonly interface: string
  readonly address: string
  readonly prefix: number
  readonly mac: string
  readonly legs: readonly Leg[]
}

/**
 * One layer-2 segment: a bridge, hosts of every kind, and a place to look from. All of it is in network namespaces of
 * its own; the machine's own namespace gets neither interface nor address.
 *
 * **The kernel's neighbour table is one for all namespaces of a machine** (1024 entries by default). One sweep of a /24
 * takes 254, each host that is asked one more. Do not sweep more than some 600 addresses at a time, all tests together.
 */
export interface SegmentLab {
  /** CIDR form. */
  readonly network: string
  /** Where Landfall runs. */
  readonly seeker: Seeker
  readonly seekerNamespace: string
  readonly bridgeNamespace: string
  /** All of them, the two above included. */
  readonly namespaces: readonly string[]
  readonly hosts: readonly SegmentHost[]
  /** A folder for files of programs in the laboratory; goes with it. */
  readonly folder: string
  /** The host that has the address. Throws where nobody has it. */
  hostAt(address: string): SegmentHost
  /** Runs a program to its end and gives its standard output; rejects when it fails. */
  exec(namespace: string, program: string, ...parameters: string[]): Promise<string>
  /** Runs a program to its end; a failure is a result as well. Rejects when the program cannot be started or is killed. */
  run(namespace: string, program: string, parameters: readonly string[], options?: RunOptions): Promise<Ended>
  /** Starts a program; it ends with the laboratory at the latest. Default of `stdio`: `ignore`. */
  start(
    namespace: string,
    program: string,
    parameters: readonly string[],
    options?: SpawnOptions,
  ): ChildProcess
  /** Brings the link of a `late` host up; resolves once frames pass. Also before its time, and twice. */
  wake(host: SegmentHost): Promise<void>
  /** Resolves once the host is up by itself or by `wake`. */
  whenAwake(host: SegmentHost): Promise<void>
  /** From now on no ARP frame goes to or from it; everything else does. */
  dropArpOn(place: HasLegs): Promise<void>
  /** From now on nothing goes to or from it. */
  dropFramesOn(place: HasLegs): Promise<void>
  /** Undoes both. */
  passOn(place: HasLegs): Promise<void>
  /**
   * Ends what runs in it and removes everything. Twice is no error. Happens also when this process ends without it,
   * even when it is killed: see `guard`.
   */
  remove(): Promise<void>
}

export type { Ended } from './namespace-programs.ts'

interface HasLegs {
  readonly legs: readonly Leg[]
}

/** Makes the segment with everything on it; what is awake can be reached when it resolves. */
export async function createSegmentLab(options: SegmentLabOptions): Promise<SegmentLab> {
  const network = options.network ?? '10.10.200.0/24'
  const seekerAddress = options.seeker?.address ?? lastHostOf(network)
  const mistake = mistakeIn(network, seekerAddress, options.hosts)
  if (mistake !== undefined) throw new Error(`segment laboratory: ${mistake}`)

  const id = newLabId()
  const bridgeNamespace = `${id}-bridge`
  const surroundings = {
    network,
    seeker: seekerAddress,
    owned: [seekerAddress, ...options.hosts.flatMap(addressesOf)],
  }
  const seekerPrefix = options.seeker?.prefix ?? Number(network.split('/')[1])
  const addresses = [`${seekerAddress}/${seekerPrefix}`]
  const seekerLeg: PlannedLeg = {
    ...legAt(0, `${id}-seeker`, undefined),
    setup: { addresses, kernelSettings: {}, rules: '', routes: [], isUp: true },
  }
  const planned = planHosts(id, options.hosts, surroundings)
  const legs = [seekerLeg, ...planned.flatMap((host) => host.legs)]
  const namespaces = [bridgeNamespace, ...legs.map(({ namespace }) => namespace)]
  const guardian = await guard(id, namespaces)

  try {
    await plugIn(bridgeNamespace, legs)
    await setUp(legs, (leg) => (leg === seekerLeg ? options.seeker?.gateway : options.gateway))
    for (const { spec, namespace } of planned)
      if (spec.kind === 'dhcp') await startDhcpServer(spec, namespace, network, guardian)
    await untilForwarding(
      bridgeNamespace,
      legs.filter(({ setup }) => setup.isUp).map(({ port }) => port),
    )
  } catch (error) {
    await guardian.remove()
    throw error
  }

  const wakers = new Map(
    planned.flatMap(({ spec, address, legs: own }): [string, Waker][] =>
      spec.kind === 'late'
        ? [[address, createWaker(() => bringUpAll(own), spec.wakesAfterMilliseconds)]]
        : [],
    ),
  )
  async function bringUpAll(own: readonly PlannedLeg[]): Promise<void> {
    for (const leg of own) await bringUp(bridgeNamespace, leg, options.gateway)
  }
  const wakerOf = ({ address }: SegmentHost): Waker => {
    const waker = wakers.get(address)
    if (waker === undefined) throw new Error(`${address} is not a host that wakes late`)
    return waker
  }

  return {
    network,
    seeker: {
      ...{ namespace: seekerLeg.namespace, interface: seekerLeg.interface, mac: seekerLeg.mac },
      ...{ address: seekerAddress, prefix: seekerPrefix, legs: [seekerLeg] },
    },
    seekerNamespace: seekerLeg.namespace,
    bridgeNamespace,
    namespaces,
    hosts: planned,
    folder: guardian.folder,
    hostAt: (address) => {
      const host = planned.find(({ addresses }) => addresses.includes(address))
      if (host === undefined) throw new Error(`nobody in the laboratory has ${address}`)
      return host
    },
    exec: async (namespace, program, ...parameters) => await exec(program, parameters, namespace),
    run: async (namespace, program, parameters, runOptions) =>
      await run(program, parameters, namespace, runOptions),
    start: (namespace, program, parameters, spawnOptions) =>
      startIn(namespace, program, parameters, spawnOptions),
    wake: async (host) => await wakerOf(host).wake(),
    whenAwake: async (host) => await wakerOf(host).whenAwake(),
    dropArpOn: async ({ legs: cut }) => await changeFaults(bridgeNamespace, cut, 'withoutArp'),
    dropFramesOn: async ({ legs: cut }) => await changeFaults(bridgeNamespace, cut, 'withoutFrames'),
    passOn: async ({ legs: mended }) => await changeFaults(bridgeNamespace, mended, 'none'),
    remove: async () => {
      for (const waker of wakers.values()) await waker.stop()
      await guardian.remove()
    },
  }
}

function lastHostOf(network: string): string {
  const parsed = parseNetwork(network)
  return parsed === undefined ? '' : formatAddress(parsed.last - 1)
}

interface PlannedHost extends SegmentHost {
  readonly legs: readonly PlannedLeg[]
}

function planHosts(id: string, specs: readonly HostSpec[], surroundings: SegmentSurroundings): PlannedHost[] {
  let count = 1
  return specs.map((spec) => {
    const legs = legsOf(spec, surroundings).map((setup, index) => ({
      ...legAt(count++, `${id}-${spec.address}${index === 0 ? '' : '-second'}`, setup.mac),
      setup,
    }))
    const [first] = legs
    if (first === undefined) throw new Error(`${spec.address} has no namespace`)
    return {
      ...{ kind: spec.kind, spec, address: spec.address, addresses: addressesOf(spec), legs },
      ...{ mac: first.mac, namespace: first.namespace },
    }
  })
}

/** MACs begin as those of QEMU do; there is nothing to be concluded from them. */
function legAt(index: number, namespace: string, mac: string | undefined): Leg {
  const own = `52:54:00:4c:${hex(index >> 8)}:${hex(index & 255)}`
  return { namespace, interface: 'eth0', port: `p${index}`, mac: mac ?? own }
}

const hex = (byte: number) => byte.toString(16).padStart(2, '0')
