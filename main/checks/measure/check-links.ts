import type { CheckId, Finding } from '../../../shared/checks/index.ts'
import type { Plan } from '../../../shared/plan/index.ts'
import type { Measurements, NodeMeasurement, PeerMeasurement, PortReading } from './measurements.ts'
import { portsOf } from './plan-jobs.ts'

/** Milliseconds (checks.md, net.latency). */
const latency = { warn: 10, controlPlane: 100, worker: 1000 }
/** Percent (checks.md, net.loss). */
const loss = { controlPlane: 0, worker: 10 }

/** What came of one way from a node to a peer. The better states come first. */
interface Judgement {
  readonly state: 'pass' | 'could-not-run' | 'fail'
  readonly measured: string
  readonly severity?: 'block' | 'warn'
}

/** The findings from a node to one peer (a full mesh), or to all that it asked. */
export function linkFindings(
  plan: Plan,
  measurements: Measurements,
  from: NodeMeasurement,
  peers: readonly PeerMeasurement[],
): Finding[] {
  if (peers.length === 0) return []
  const [only] = peers
  const target = measurements.isFullMesh && only !== undefined ? `${from.name} → ${only.name}` : from.name
  const build = (
    id: CheckId,
    texts: Pick<Finding, 'threshold' | 'evidence' | 'remedy'>,
    judge: (peer: PeerMeasurement) => Judgement,
  ): Finding => ({ id, target, ...texts, ...together(peers, judge) })
  const to = peers.length === 1 && only !== undefined ? only.address : 'PEER'
  const bothControl = (peer: PeerMeasurement) =>
    from.isControlPlane && nodeOf(measurements, peer.name)?.isControlPlane === true
  const among = measurements.isFullMesh
    ? ''
    : `; ${peers.length} of ${measurements.nodes.length - 1} nodes were asked: in a fleet of this size the leader, the control plane and four neighbours`
  return [
    build(
      'net.latency',
      {
        threshold: `at most ${latency.warn} ms; more than ${latency.controlPlane} ms within the control plane, or ${latency.worker} ms elsewhere, blocks`,
        evidence: `ping -c 5 -i 0.2 ${to} on ${from.name}${among}`,
        remedy:
          'Look for a busy or slow link, a tunnel, or nodes at different sites; the nodes belong on one switch.',
      },
      (peer) => judgeLatency(peer, bothControl(peer)),
    ),
    build(
      'net.loss',
      {
        threshold: `no packet lost within the control plane, at most ${loss.worker} % elsewhere`,
        evidence: `ping -c 5 -i 0.2 ${to} on ${from.name}, 15 more when one was lost${among}`,
        remedy: `Look at cables, switch ports, duplex and load between ${from.name} and ${namesOf(peers)}; two machines with one address lose packets too.`,
      },
      (peer) => judgeLoss(peer, bothControl(peer)),
    ),
    build(
      'net.mtu-path',
      {
        threshold:
          'packets as large as the MTU of the interface pass, and those of 1500 bytes where the MTU is larger',
        evidence: `ping -M do -s MTU-28 ${to} on ${from.name}${among}`,
        remedy:
          'Set the MTU of the nodes (nic.mtu in the plan) to a size that passes, or raise it on the switches and virtual networks between them.',
      },
      judgePath,
    ),
    build(
      'net.same-l2',
      {
        threshold: 'answers ARP with its own MAC address, and no router is on the way',
        evidence: `/proc/net/arp, ip route get ${to} and the TTL of ping on ${from.name}${among}`,
        remedy:
          'Put all nodes into one VLAN or port group; the virtual IP address moves between them by ARP, which no router passes on.',
      },
      (peer) => judgeLink(measurements, peer),
    ),
    build(
      'net.ports-node',
      {
        threshold: 'every port answers, by accepting or by refusing; none is silent',
        evidence: `TCP connections from ${from.name} to ${to}${among}`,
        remedy:
          'Open these ports between the nodes in every firewall and security group, in both directions.',
      },
      (peer) => judgePorts(plan, peer),
    ),
  ]
}

/** One peer: its own words. Several: the bad ones with their names, or how many are good. */
function together(peers: readonly PeerMeasurement[], judge: (peer: PeerMeasurement) => Judgement): Judgement {
  const judged = peers.map((peer) => ({ name: peer.name, ...judge(peer) }))
  const [first] = judged
  if (judged.length === 1 && first !== undefined) {
    const { state, measured, severity } = first
    return { state, measured, ...(severity === undefined ? {} : { severity }) }
  }
  const failed = judged.filter(({ state }) => state === 'fail')
  const unknown = judged.filter(({ state }) => state === 'could-not-run')
  const list = (some: typeof judged) => {
    const shown = some.slice(0, 8).map(({ name, measured }) => `${name}: ${measured}`)
    return [...shown, ...(some.length > 8 ? [`and ${some.length - 8} more`] : [])].join('; ')
  }
  // A check blocks when one of its pairs does.
  const severityOf = (some: typeof judged) => {
    const own = some.map(({ severity }) => severity)
    if (own.includes('block')) return { severity: 'block' as const }
    return own.length > 0 && own.every((severity) => severity === 'warn') ? { severity: 'warn' as const } : {}
  }
  if (failed.length > 0)
    return { state: 'fail', measured: list([...failed, ...unknown]), ...severityOf(failed) }
  if (unknown.length > 0) return { state: 'could-not-run', measured: list(unknown), ...severityOf(unknown) }
  return { state: 'pass', measured: `good to all ${judged.length} that were asked` }
}

function judgeLatency({ ping }: PeerMeasurement, isControlPlane: boolean): Judgement {
  if (ping.kind === 'unread') return { state: 'could-not-run', measured: ping.reason, severity: 'block' }
  const trip = ping.value.roundTrip
  if (trip === undefined) {
    return {
      state: 'could-not-run',
      measured: ping.value.received === 0 ? 'nothing answers ping' : 'ping told no times',
      severity: 'block',
    }
  }
  const { minimum, average, maximum } = trip
  const measured = `${milliseconds(average)} on average (${milliseconds(minimum)} to ${milliseconds(maximum)})`
  if (average > (isControlPlane ? latency.controlPlane : latency.worker)) {
    return { state: 'fail', measured, severity: 'block' }
  }
  if (average > latency.warn) return { state: 'fail', measured, severity: 'warn' }
  return { state: 'pass', measured }
}

function judgeLoss({ ping }: PeerMeasurement, isControlPlane: boolean): Judgement {
  if (ping.kind === 'unread') return { state: 'could-not-run', measured: ping.reason }
  const { sent, received } = ping.value
  const percent = ((sent - received) / sent) * 100
  return {
    state: percent > (isControlPlane ? loss.controlPlane : loss.worker) ? 'fail' : 'pass',
    measured: `${Math.round(percent)} % lost (${sent - received} of ${sent})`,
  }
}

function judgePath({ path }: PeerMeasurement): Judgement {
  if (path.kind === 'unread') return { state: 'could-not-run', measured: path.reason }
  const { sizes, largest } = path.value
  const stopped = sizes.filter(({ passes }) => !passes).map(({ bytes }) => bytes)
  if (stopped.length === 0) {
    return { state: 'pass', measured: `${sizes.map(({ bytes }) => bytes).join(' and ')} bytes pass` }
  }
  const passing = largest === undefined ? 'none of the sizes that were tried passes' : `${largest} pass`
  return { state: 'fail', measured: `${stopped.join(' and ')} bytes do not pass, ${passing}` }
}

function judgeLink(measurements: Measurements, { name, link, ping }: PeerMeasurement): Judgement {
  if (link.kind === 'unread') return { state: 'could-not-run', measured: link.reason }
  const { via, mac } = link.value
  if (via !== undefined) return { state: 'fail', measured: `its packets go through the router ${via}` }
  if (mac === undefined) {
    const isReached = ping.kind === 'read' && ping.value.received > 0
    return isReached
      ? {
          state: 'fail',
          measured: 'it answers ping, and has no entry in the neighbour table: a router is between',
        }
      : { state: 'could-not-run', measured: 'it answered neither ARP nor ping' }
  }
  const own = nodeOf(measurements, name)?.own
  if (own === undefined || own.kind === 'unread') {
    return { state: 'could-not-run', measured: `${mac} answers; ${name} did not tell its own MAC addresses` }
  }
  if (!own.value.interfaces.some((one) => one.mac === mac)) {
    return { state: 'fail', measured: `${mac} answers, which is no interface of ${name}` }
  }
  const sentWith = own.value.timeToLive
  const arrived = ping.kind === 'read' ? ping.value.timeToLive : undefined
  if (sentWith !== undefined && arrived !== undefined && arrived < sentWith) {
    return {
      state: 'fail',
      measured: `${mac} answers, but ${sentWith - arrived} routers are on the way (TTL ${arrived})`,
    }
  }
  return { state: 'pass', measured: `${mac}, its own` }
}

function judgePorts(plan: Plan, { name, ports }: PeerMeasurement): Judgement {
  if (ports.kind === 'unread') return { state: 'could-not-run', measured: ports.reason }
  const known = portsOf(plan, name)
  const word = ({ port }: PortReading) => {
    const service = known.find((one) => one.port === port)?.service
    return service === undefined ? String(port) : `${port} (${service})`
  }
  const isDocumented = ({ port }: PortReading) => known.find((one) => one.port === port)?.isDocumented ?? true
  const closed = ports.value.filter(({ state }) => state === 'silent' || state === 'unreachable')
  const unknown = ports.value.filter(({ state }) => state === 'unknown')
  if (closed.length > 0) {
    return {
      state: 'fail',
      measured: `no answer from ${closed.map(word).join(', ')}`,
      severity: closed.some(isDocumented) ? 'block' : 'warn',
    }
  }
  if (unknown.length > 0 || ports.value.length === 0) {
    const [first] = unknown
    return {
      state: 'could-not-run',
      measured: `not known of ${unknown.map(word).join(', ')}${first?.detail === undefined ? '' : `: ${first.detail}`}`,
      severity: unknown.some(isDocumented) ? 'block' : 'warn',
    }
  }
  const open = ports.value.filter(({ state }) => state === 'open')
  return {
    state: 'pass',
    measured: `all ${ports.value.length} answer; ${open.length === 0 ? 'none' : open.map(({ port }) => port).join(', ')} open`,
  }
}

export function nodeOf({ nodes }: Measurements, name: string): NodeMeasurement | undefined {
  return nodes.find((node) => node.name === name)
}

function namesOf(peers: readonly PeerMeasurement[]): string {
  return peers.length > 3 ? 'its peers' : peers.map(({ name }) => name).join(', ')
}

function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`
}
