import { execFile, spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { formatAddress, parseNetwork } from '../../shared/plan/ipv4.ts'
import { inParallel } from './in-parallel.ts'
import { whyNoNamespaces } from './namespace-lab.ts'
import { guard, newLabId, unref, type Guardian } from './segment-guardian.ts'
import {
  addressesOf,
  legsOf,
  mistakeIn,
  type HostKind,
  type HostSpec,
  type LegSetup,
  type SegmentSurroundings,
} from './segment-hosts.ts'

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
  /** Default gateway of the hosts; default none. */
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

/** A network namespace with one interface, plugged into the segment. */
export interface Leg {
  readonly namespace: string
  readonly interface: string
  /** Where it is plugged in: an interface in the bridge's namespace. */
  readonly port: string
  readonly mac: string
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

export interface RunOptions {
  /** Written to standard input, which then ends. */
  readonly input?: string
  /** Real time until the program is killed. Default 60 s. */
  readonly timeoutMilliseconds?: number
  readonly signal?: AbortSignal
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
}

export interface Ended {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
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

interface HasLegs {
  readonly legs: readonly Leg[]
}

/** At most so many `ip` and `nft` processes at a time: they are short, and more would only wait for the kernel's lock. */
const parallelSetups = 4

/** Of the bridge: the ports at which frames are lost. */
const faultRules = `
table bridge landfall {
  set withoutArp { type ifname; }
  set withoutFrames { type ifname; }
  chain forward {
    type filter hook forward priority 0
    iifname @withoutFrames drop
    oifname @withoutFrames drop
    ether type arp iifname @withoutArp drop
    ether type arp oifname @withoutArp drop
  }
}
`

interface PlannedLeg extends Leg {
  readonly setup: LegSetup
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
    await inParallel(legs, parallelSetups, (leg) =>
      setUp(leg, leg === seekerLeg ? options.seeker?.gateway : options.gateway),
    )
    await inParallel(planned, parallelSetups, async ({ spec, namespace }) => {
      if (spec.kind === 'dhcp') await startDhcpServer(spec, namespace, network, guardian)
    })
    await untilForwarding(
      bridgeNamespace,
      legs.filter(({ setup }) => setup.isUp).map(({ port }) => port),
    )
  } catch (error) {
    await guardian.remove()
    throw error
  }

  const alarm = lateHosts(bridgeNamespace, planned, options.gateway)
  const changeFaults = async (lines: string) => {
    await exec('nft', ['-f', '-'], bridgeNamespace, { input: lines })
  }
  const change = (verb: 'add' | 'delete', set: string, place: HasLegs) =>
    place.legs.map(({ port }) => `${verb} element bridge landfall ${set} { ${port} }\n`).join('')
  /** Adding what is there is no error, removing what is not there is one: so it is always there. */
  const clear = (set: string, place: HasLegs) => change('add', set, place) + change('delete', set, place)

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
    wake: async (host) => await alarm.wake(host),
    whenAwake: async (host) => await alarm.whenAwake(host),
    dropArpOn: async (place) => await changeFaults(change('add', 'withoutArp', place)),
    dropFramesOn: async (place) => await changeFaults(change('add', 'withoutFrames', place)),
    passOn: async (place) => {
      await changeFaults(clear('withoutArp', place) + clear('withoutFrames', place))
    },
    remove: async () => {
      await alarm.stop()
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

/** The bridge, and a cable from it into each namespace. */
async function plugIn(bridgeNamespace: string, legs: readonly Leg[]): Promise<void> {
  const lines = [
    // A segment that knows nothing of groups: frames to them go everywhere.
    'link add br0 up type bridge stp_state 0 mcast_snooping 0',
    ...legs.map(
      ({ port, namespace, mac, interface: name }) =>
        `link add ${port} up master br0 type veth peer name ${name} address ${mac} netns ${namespace}`,
    ),
  ]
  await ipBatch(bridgeNamespace, lines)
  await exec('nft', ['-f', '-'], bridgeNamespace, { input: faultRules })
}

/** Rules come first, then addresses, then the link: nothing is answered in a way that will not last. */
async function setUp({ namespace, setup }: PlannedLeg, gateway: string | undefined): Promise<void> {
  const settings = Object.entries(setup.kernelSettings)
  if (settings.length > 0 || setup.rules !== '') {
    const writes = settings.map(([file, value]) => `echo ${value} > /proc/sys/net/ipv4/${file} || exit 1\n`)
    await exec('sh', ['-c', `${writes.join('')}exec nft -f -`], namespace, { input: setup.rules })
  }
  await ipBatch(namespace, [
    'link set lo up',
    // No IPv6 address, hence no chatter about it.
    'link set eth0 addrgenmode none',
    ...setup.addresses.map((address) => `address add ${address} dev eth0`),
    ...(setup.isUp ? goUp(setup.routes, gateway) : []),
  ])
}

/** Routes need a link that is up. */
function goUp(routes: readonly string[], gateway: string | undefined): string[] {
  // `onlink`: also a gateway outside of the networks of the host.
  const all = [...routes, ...(gateway === undefined ? [] : [`default via ${gateway} dev eth0 onlink`])]
  return ['link set eth0 up', ...all.map((route) => `route add ${route}`)]
}

async function startDhcpServer(
  { pool, pingsBeforeOffer }: Extract<HostSpec, { kind: 'dhcp' }>,
  namespace: string,
  network: string,
  { folder }: Guardian,
): Promise<void> {
  const server = startIn(
    namespace,
    'dnsmasq',
    [
      ...['--keep-in-foreground', '--log-facility=-', '--pid-file=', '--user=root'],
      ...['--conf-file=/dev/null', '--no-hosts', '--no-resolv', '--port=0'],
      ...['--interface=eth0', '--except-interface=lo', '--bind-interfaces'],
      `--dhcp-range=${pool.first},${pool.last},${maskOf(network)},1h`,
      `--dhcp-leasefile=${join(folder, `leases-${namespace}`)}`,
      ...(pingsBeforeOffer === true ? [] : ['--no-ping']),
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  if (server.stderr === null) throw new Error('dnsmasq was started without its messages')
  const said: string[] = []
  for await (const line of createInterface({ input: server.stderr })) {
    said.push(line)
    if (line.includes('DHCP, sockets bound')) {
      // Nobody needs the rest, but a pipe that nobody empties would stop it.
      server.stderr.resume()
      // Neither may keep this process alive that forgot to remove the laboratory.
      server.unref()
      unref(server.stderr)
      return
    }
  }
  throw new Error(`dnsmasq did not start: ${said.join('\n')}`)
}

function maskOf(network: string): string {
  const parsed = parseNetwork(network)
  return parsed === undefined ? '' : formatAddress(2 ** 32 - 2 ** (32 - parsed.prefix))
}

/** Waits until the bridge has seen the links come up, which the kernel does in its own time. */
async function untilForwarding(bridgeNamespace: string, ports: readonly string[]): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const links = JSON.parse(await exec('bridge', ['-j', 'link', 'show'], bridgeNamespace)) as {
      ifname: string
      state: string
    }[]
    const forwarding = new Set(
      links.filter(({ state }) => state === 'forwarding').map(({ ifname }) => ifname),
    )
    const waiting = ports.filter((port) => !forwarding.has(port))
    if (waiting.length === 0) return
    if (Date.now() > deadline) throw new Error(`ports of the bridge do not come up: ${waiting.join(', ')}`)
  }
}

/** Wakes the late hosts, each at its time. */
function lateHosts(bridgeNamespace: string, hosts: readonly SegmentHost[], gateway: string | undefined) {
  let isStopped = false
  const waking = new Map<SegmentHost, Promise<void>>()
  const waiting = new Map<SegmentHost, PromiseWithResolvers<void>>()
  const timers: NodeJS.Timeout[] = []

  const wake = (host: SegmentHost): Promise<void> => {
    const waiter = waiting.get(host)
    if (waiter === undefined) throw new Error(`${host.address} is not a host that wakes late`)
    if (!waking.has(host) && !isStopped) {
      const work = Promise.all(
        host.legs.map(async ({ namespace, port }) => {
          await ipBatch(namespace, goUp([], gateway))
          await untilForwarding(bridgeNamespace, [port])
        }),
      )
      waking.set(
        host,
        work.then(() => {
          waiter.resolve()
        }, waiter.reject),
      )
    }
    return waiter.promise
  }
  for (const host of hosts) {
    if (host.spec.kind !== 'late') continue
    const waiter = Promise.withResolvers<void>()
    // Who waits for it hears of a failure; if nobody does, it must not end the process.
    waiter.promise.catch(() => undefined)
    waiting.set(host, waiter)
    const { wakesAfterMilliseconds } = host.spec
    if (wakesAfterMilliseconds === undefined) continue
    timers.push(setTimeout(() => void wake(host), wakesAfterMilliseconds))
  }
  return {
    wake,
    whenAwake: (host: SegmentHost): Promise<void> => {
      const waiter = waiting.get(host)
      if (waiter === undefined) throw new Error(`${host.address} is not a host that wakes late`)
      return waiter.promise
    },
    stop: async () => {
      isStopped = true
      for (const timer of timers) clearTimeout(timer)
      await Promise.allSettled(waking.values())
      for (const waiter of waiting.values()) waiter.reject(new Error('the laboratory was removed'))
    },
  }
}

async function ipBatch(namespace: string, lines: readonly string[]): Promise<void> {
  await exec('ip', ['-n', namespace, '-batch', '-'], undefined, { input: lines.join('\n') + '\n' })
}

async function exec(
  program: string,
  parameters: readonly string[],
  namespace: string | undefined,
  options?: RunOptions,
): Promise<string> {
  const { exitCode, stdout, stderr } = await run(program, parameters, namespace, options)
  if (exitCode === 0) return stdout
  const command = [program, ...parameters].join(' ')
  throw new Error(
    `${command} in ${namespace ?? 'the machine'} ended with ${String(exitCode)}: ${stderr}${stdout}${options?.input ?? ''}`,
  )
}

function run(
  program: string,
  parameters: readonly string[],
  namespace: string | undefined,
  { input = '', timeoutMilliseconds = 60_000, signal, env = {} }: RunOptions = {},
): Promise<Ended> {
  const [file = '', ...args] = [...enter(namespace), program, ...parameters]
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      {
        ...{ encoding: 'utf8', timeout: timeoutMilliseconds, killSignal: 'SIGKILL', maxBuffer: 2 ** 26 },
        ...{ env: { ...process.env, ...env }, ...(signal === undefined ? {} : { signal }) },
      },
      (error, stdout, stderr) => {
        const isAnswer = error === null || typeof error.code === 'number'
        if (isAnswer) resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr })
        else reject(new Error(`${program} was killed or did not start`, { cause: error }))
      },
    )
    // A program may end without having read it.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
}

/** `ip netns exec` becomes the program: the child's process id is the program's. */
function startIn(
  namespace: string,
  program: string,
  parameters: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  const [file = '', ...args] = [...enter(namespace), program, ...parameters]
  return spawn(file, args, { stdio: 'ignore', ...options })
}

const enter = (namespace: string | undefined) =>
  namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace]
