import { formatNetwork, parseNetwork } from '../../shared/plan/ipv4.ts'
import type { Finding } from '../../shared/checks/index.ts'
import type { Plan } from '../../shared/plan/index.ts'
import type { VantageFacts } from '../network/discovery/vantage.ts'

/** How this workstation stands to the network of the site. */
export interface WorkstationPosition {
  /** Its interfaces; a reason where they cannot be read, or do not matter. */
  readonly facts: VantageFacts | { readonly unread: string; readonly isSkipped: boolean }
  /** Programs that look for addresses, and what they say of themselves; `undefined`: not there. */
  readonly programs: ReadonlyMap<'nmap' | 'arping', string | undefined>
  /** Whether ARP requests may be sent; `undefined`: that cannot be told here. */
  readonly maySendArp: boolean | undefined
  /** Names of the variables that name a proxy (`HTTPS_PROXY`). Not their values: they may have a password in them. */
  readonly proxyVariables: readonly string[]
  /** Who else works on this site; `undefined`: nobody. */
  readonly otherRun: string | undefined
}

const target = 'workstation'

/** Checks of this workstation that need its network and its programs (checks.md §3.1, ws.*). */
export function checkPosition(plan: Plan, position: WorkstationPosition): Finding[] {
  return [
    sameLink(plan, position),
    tools(position),
    rawSocket(position),
    proxyEnvironment(position),
    singleInstance(position),
  ]
}

function sameLink(plan: Plan, { facts }: WorkstationPosition): Finding {
  const network = parseNetwork(plan.site.network)
  const base = {
    id: 'ws.same-l2' as const,
    target,
    threshold: `an address in ${plan.site.network}`,
    evidence: 'interfaces of this workstation',
    remedy:
      'Nothing to do: addresses are looked for from the nodes as well. From here ARP would mean nothing.',
  }
  if ('unread' in facts)
    return { ...base, state: facts.isSkipped ? 'skipped' : 'could-not-run', measured: facts.unread }
  const addresses = facts.interfaces
    .filter(({ isUp }) => isUp)
    .flatMap((one) => one.addresses.map(({ address, prefix }) => ({ name: one.name, address, prefix })))
  const inside = addresses.find(({ address, prefix }) => {
    const own = parseNetwork(`${address}/${prefix}`)
    return network !== undefined && own !== undefined && formatNetwork(own) === formatNetwork(network)
  })
  return {
    ...base,
    state: inside === undefined ? 'fail' : 'pass',
    measured:
      inside === undefined
        ? `none of ${addresses.map(({ name, address }) => `${address} (${name})`).join(', ') || 'no address'}`
        : `${inside.address} (${inside.name})`,
  }
}

function tools({ programs }: WorkstationPosition): Finding {
  const missing = [...programs].flatMap(([name, version]) => (version === undefined ? [name] : []))
  return {
    id: 'ws.tools',
    target,
    state: missing.length === 0 ? 'pass' : 'fail',
    // The sweep of the neighbour table needs none of them, and the nodes have their own.
    severity: 'info',
    measured: [...programs].map(([name, version]) => `${name}: ${version ?? 'not there'}`).join(', '),
    threshold: 'nmap, and arping of iputils or Habets',
    evidence: 'what the programs say of their version',
    remedy: `Install ${missing.join(' and ')} for more certainty about addresses; without, the neighbour table and the nodes are asked.`,
  }
}

function rawSocket({ maySendArp }: WorkstationPosition): Finding {
  return {
    id: 'ws.raw-socket',
    target,
    state: maySendArp === undefined ? 'could-not-run' : maySendArp ? 'pass' : 'fail',
    measured: maySendArp === undefined ? 'not told by this system' : maySendArp ? 'allowed' : 'not allowed',
    threshold: 'root, or CAP_NET_RAW',
    evidence: 'capabilities of this process',
    remedy: 'Nothing to do: the neighbour table is used instead, which needs no privilege.',
  }
}

function proxyEnvironment({ proxyVariables }: WorkstationPosition): Finding {
  return {
    id: 'ws.proxy-env',
    target,
    state: 'pass',
    measured:
      proxyVariables.length === 0
        ? 'no proxy is set'
        : `${proxyVariables.join(', ')} set, and not used: Landfall always connects directly`,
    threshold: 'no proxy between here and the nodes',
    evidence: 'environment of this process',
    remedy: '',
  }
}

function singleInstance({ otherRun }: WorkstationPosition): Finding {
  return {
    id: 'ws.single-instance',
    target,
    state: otherRun === undefined ? 'pass' : 'fail',
    measured: otherRun ?? 'nobody else',
    threshold: 'no other run of this site',
    evidence: 'lease of the site (lease.json in its folder)',
    remedy: 'Let the other run end, or stop it with Ctrl-C where it runs.',
  }
}
