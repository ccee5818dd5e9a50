import { exec, ipBatch } from './namespace-programs.ts'
import type { LegSetup } from './segment-hosts.ts'

/** A network namespace with one interface, plugged into the segment. */
export interface Leg {
  readonly namespace: string
  readonly interface: string
  /** Where it is plugged in: an interface in the bridge's namespace. */
  readonly port: string
  readonly mac: string
}

/** A leg, and what is to become of it. */
export interface PlannedLeg extends Leg {
  readonly setup: LegSetup
}

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

/** Makes the bridge, and a cable from it into each namespace. */
export async function plugIn(bridgeNamespace: string, legs: readonly Leg[]): Promise<void> {
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

/**
 * Makes hosts of namespaces. All of it is two shells at a time, each with one script: starting hundreds of short
 * programs from here would take longer than what they do.
 */
export async function setUp(
  legs: readonly PlannedLeg[],
  gatewayOf: (leg: PlannedLeg) => string | undefined,
): Promise<void> {
  const half = Math.ceil(legs.length / 2)
  const scripts = [legs.slice(0, half), legs.slice(half)].map((part) =>
    part.map((leg) => setUpScript(leg, gatewayOf(leg))).join(''),
  )
  await Promise.all(scripts.map(async (input) => await exec('sh', ['-s'], undefined, { input })))
}

/** Rules come first, then addresses, then the link: nothing is answered in a way that will not last. */
function setUpScript({ namespace, setup }: PlannedLeg, gateway: string | undefined): string {
  const step = (command: string, input: string) =>
    `${command} <<'END' || { echo "in ${namespace}" >&2; exit 1; }\n${input}\nEND\n`
  const settings = Object.entries(setup.kernelSettings)
  const writes = settings.map(([file, value]) => `echo ${value} > /proc/sys/net/ipv4/${file} || exit 1`)
  const lines = [
    'link set lo up',
    // No IPv6 address, hence no chatter about it.
    'link set eth0 addrgenmode none',
    ...setup.addresses.map((address) => `address add ${address} dev eth0`),
    ...(setup.isUp ? goUp(setup, gateway) : []),
  ]
  return [
    ...(writes.length === 0 ? [] : [step(`ip netns exec ${namespace} sh -s`, writes.join('\n'))]),
    ...(setup.rules === '' ? [] : [step(`ip netns exec ${namespace} nft -f -`, setup.rules)]),
    step(`ip -n ${namespace} -batch -`, lines.join('\n')),
  ].join('')
}

/** Plugs it in; resolves once frames pass. */
export async function bringUp(
  bridgeNamespace: string,
  leg: PlannedLeg,
  gateway: string | undefined,
): Promise<void> {
  await ipBatch(leg.namespace, goUp(leg.setup, gateway))
  await untilForwarding(bridgeNamespace, [leg.port])
}

/** Routes need a link that is up. */
function goUp(setup: LegSetup, gateway: string | undefined): string[] {
  const isGateway = setup.addresses.some((address) => address.split('/')[0] === gateway)
  // `onlink`: also a gateway outside of the networks of the host.
  const all = [
    ...setup.routes,
    ...(gateway === undefined || isGateway ? [] : [`default via ${gateway} dev eth0 onlink`]),
  ]
  return ['link set eth0 up', ...all.map((route) => `route add ${route}`)]
}

/** Waits until the bridge has seen the links come up, which the kernel does in its own time. */
export async function untilForwarding(bridgeNamespace: string, ports: readonly string[]): Promise<void> {
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

/** Loses frames at ports of the bridge, and passes them again. */
export async function changeFaults(
  bridgeNamespace: string,
  legs: readonly Leg[],
  fault: 'withoutArp' | 'withoutFrames' | 'none',
): Promise<void> {
  const change = (verb: 'add' | 'delete', set: string) =>
    legs.map(({ port }) => `${verb} element bridge landfall ${set} { ${port} }\n`).join('')
  // Adding what is there is no error, deleting what is not there is one.
  const clear = (set: string) => change('add', set) + change('delete', set)
  const input = fault === 'none' ? clear('withoutArp') + clear('withoutFrames') : change('add', fault)
  await exec('nft', ['-f', '-'], bridgeNamespace, { input })
}
