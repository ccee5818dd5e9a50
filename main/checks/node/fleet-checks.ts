import type { Plan } from '../../../shared/plan/index.ts'
import { valueOf, type Merged } from '../../appliance/facts/index.ts'
import { gigabytesOf } from './disks.ts'
import { listed, unknown, valuesOf, verdict, type Question, type Verdict } from './question.ts'
import { interfaceOf, type Subject } from './subject.ts'

/** All nodes of the plan, of which some may not have been read. */
export interface Fleet {
  readonly plan: Plan
  readonly subjects: readonly Subject[]
}

const fromApi = 'GET /v1/edge-mgmt/edgehosts/current'
const fromBoth = `${fromApi}; SSH`

/** What must differ, or be the same, between nodes. None passes before every node of the plan told what is compared. */
export const fleetChecks: readonly Question<Fleet>[] = [
  {
    id: 'node.uid-unique',
    threshold: () => 'all different',
    remedy: () => 'Cloned machines share an id: give each its own product UUID and install it again.',
    ask: (fleet) =>
      unique(
        fleet,
        ({ facts, host }) => {
          const uuid = valueOf(host.identity.productUuid)
          return [facts.uid, ...(uuid === undefined ? [] : [`the product UUID ${uuid}`])]
        },
        `${fromApi}; /sys/class/dmi/id/product_uuid`,
      ),
  },
  {
    id: 'node.mac-unique',
    threshold: () => 'all different',
    remedy: () => 'Give each machine its own MAC addresses.',
    ask: (fleet) => unique(fleet, ({ macs }) => macs, `${fromApi}; /sys/class/net`),
  },
  {
    id: 'host.name-unique',
    threshold: () => 'all different',
    remedy: () =>
      'Reset one of these nodes, or set its name by hand: the name of a node in a cluster cannot be changed.',
    ask: hostNames,
  },
  {
    id: 'node.agent-version',
    threshold: () => 'one version',
    remedy: () => 'Install all nodes from the same ISO.',
    ask: (fleet) => same(fleet, ({ facts }) => toldValue(facts.merged.agentVersion), fromApi),
  },
  {
    id: 'node.secure-boot',
    threshold: () => 'the same on all nodes',
    remedy: () => 'Switch secure boot on or off in the firmware, so that it is the same on all nodes.',
    ask: (fleet) =>
      same(
        fleet,
        ({ facts }) => {
          const isOn = toldValue(facts.merged.isSecureBootOn)
          return isOn === undefined ? undefined : isOn ? 'on' : 'off'
        },
        fromBoth,
      ),
  },
  {
    id: 'node.homogeneous',
    threshold: () => 'the same model, processors, memory and disks',
    remedy: () => 'Nothing has to be done, if the difference is meant.',
    ask: (fleet) => same(fleet, modelOf, fromBoth),
  },
  {
    id: 'net.mtu-equal',
    threshold: () => 'the same on all nodes, as the plan sets it or as it is',
    remedy: () =>
      'Set nic.mtu to the same value on all nodes of the plan, one that every switch between them passes.',
    ask: (fleet) => same(fleet, mtuOf, '/sys/class/net/*/mtu'),
  },
]

/** Neither of two that contradict each other: that is no answer. */
function toldValue<Value>(merged: Merged<Value>): Value | undefined {
  return merged.kind === 'agreed' || merged.kind === 'told' ? merged.value : undefined
}

/** Names of the nodes of the plan of which this is not known. */
function untoldOf({ plan, subjects }: Fleet, isTold: (subject: Subject) => boolean): string[] {
  const told = new Set(subjects.filter(isTold).map(({ node }) => node.name))
  return plan.nodes.map(({ name }) => name).filter((name) => !told.has(name))
}

function unique(fleet: Fleet, values: (subject: Subject) => readonly string[], evidence: string): Verdict {
  const owners = ownersOf(fleet.subjects, (subject) => new Set(values(subject)))
  const shared = [...owners].filter(([, names]) => names.length > 1)
  if (shared.length > 0) {
    const words = shared.map(([value, names]) => `${listed(names, ' and ')} have ${value}`)
    return verdict(false, listed(words, '; '), evidence)
  }
  const untold = untoldOf(fleet, (subject) => values(subject).length > 0)
  return untold.length > 0
    ? unknown(`not known of ${listed(untold, ', ')}`, evidence)
    : verdict(true, 'all different', evidence)
}

function ownersOf(
  subjects: readonly Subject[],
  values: (subject: Subject) => Iterable<string>,
): Map<string, string[]> {
  const owners = new Map<string, string[]>()
  for (const subject of subjects) {
    for (const value of values(subject)) {
      const names = owners.get(value)
      if (names === undefined) owners.set(value, [subject.node.name])
      else names.push(subject.node.name)
    }
  }
  return owners
}

/** One value everywhere. The odd ones out are named first, one by one. */
function same(fleet: Fleet, value: (subject: Subject) => string | undefined, evidence: string): Verdict {
  const owners = ownersOf(fleet.subjects, (subject) => {
    const own = value(subject)
    return own === undefined ? [] : [own]
  })
  const untold = untoldOf(fleet, (subject) => value(subject) !== undefined)
  const groups = [...owners]
    .toSorted(([, a], [, b]) => a.length - b.length)
    .map(([own, names]) => `${listed(names, ', ')}: ${own}`)
  const measured = listed(
    [...groups, ...(untold.length === 0 ? [] : [`${listed(untold, ', ')}: unknown`])],
    '; ',
  )
  if (owners.size > 1) return verdict(false, measured, evidence)
  return untold.length > 0 ? unknown(measured, evidence) : verdict(true, measured, evidence)
}

/** The run gives every node its own name, which the plan's rules compare; one in a cluster keeps what it has. */
function hostNames(fleet: Fleet): Verdict {
  const namesOf = ({ facts }: Subject) => valuesOf(facts.merged.hostName).map((name) => name.toLowerCase())
  const found = unique(fleet, namesOf, `${fromApi}; /proc/sys/kernel/hostname`)
  if (found.state !== 'fail') return found
  const owners = ownersOf(fleet.subjects, (subject) => new Set(namesOf(subject)))
  const sharing = new Set([...owners.values()].filter((names) => names.length > 1).flat())
  const cannotBeNamed = fleet.subjects.some(
    ({ node, facts }) => sharing.has(node.name) && facts.clusterName !== undefined,
  )
  return cannotBeNamed
    ? found
    : {
        ...found,
        measured: `${found.measured}; this run gives each node the name that the plan has for it`,
        remedy: 'Nothing has to be done before the installation.',
        severity: 'info',
      }
}

function modelOf({ facts, host, drive }: Subject): string | undefined {
  const cpus = toldValue(facts.merged.cpuCount)
  const memory = toldValue(facts.merged.memory)
  if (cpus === undefined || memory === undefined || drive.kind === 'unknown') return undefined
  const { vendor, product } = host.identity
  const model = [valueOf(vendor), valueOf(product)].filter((word) => word !== undefined).join(' ')
  const sizes = drive.disks
    .filter(({ isRemovable }) => isRemovable !== true)
    .map((disk) => `${gigabytesOf(disk)} GB`)
  return [
    model || 'unknown model',
    `${cpus} × ${valueOf(host.cpu.model) ?? 'unknown processor'}`,
    `${Math.round(memory / 1024 ** 3)} GiB`,
    listed(sizes, ' + '),
  ].join(', ')
}

/** What the node will have: that of the plan, else the one that it has. */
function mtuOf(subject: Subject): string | undefined {
  const nic = interfaceOf(subject)
  if (typeof nic === 'string') return undefined
  const planned = subject.node.nic.mtu
  return String(planned ?? nic.mtu)
}
