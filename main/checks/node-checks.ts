import type { CheckId, Finding } from '../../shared/checks/index.ts'
import { VARIANT_FACTS, type Plan } from '../../shared/plan/index.ts'
import type { BlockDevice, NodeFacts } from '../phases/node-facts.ts'

const gigabyte = 1_000_000_000

/** Least size of a node in the generation of the procedure that the plan names; `auto` is judged by the mildest one. */
function minimumOf(plan: Plan) {
  const { variant } = plan.appliance
  const facts = VARIANT_FACTS[variant === 'auto' ? 'A' : variant]
  return {
    cpus: facts.cpuCores,
    memoryMegabytes: facts.memoryGb * 1024,
    firstDiskGigabytes: facts.systemDiskGb,
    storageDiskGigabytes: facts.storageDiskGb,
  }
}
/** A tenth of the memory belongs to firmware and kernel and is not shown (checks.md, node.memory). */
const visibleMemoryShare = 0.9

type Verdict = Pick<Finding, 'state' | 'measured'>

/** The checks of single nodes and of all nodes together that need nothing but their facts. */
export function checkNodes(plan: Plan, facts: readonly NodeFacts[]): Finding[] {
  return [...facts.flatMap((node) => checkNode(plan, node)), ...checkFleet(plan, facts)]
}

function checkNode(plan: Plan, facts: NodeFacts): Finding[] {
  const { node, edgeHost } = facts
  const minimum = minimumOf(plan)
  const check = (result: Omit<Finding, 'target' | 'state' | 'measured'>, verdict: Verdict): Finding => ({
    ...result,
    target: node.name,
    ...verdict,
  })
  const hardware = edgeHost.spec?.hardwareSpec
  const fromApi = 'GET /v1/edge-mgmt/edgehosts/current'
  return [
    check(
      {
        id: 'node.mode',
        severity: 'block',
        title: 'Node is managed locally',
        threshold: 'managementMode local, installationMode airgap',
        evidence: 'GET /v1/edge-mgmt/settings',
        remedy: 'Boot the node from the management appliance ISO; another image cannot form this cluster.',
      },
      managementMode(facts),
    ),
    check(
      {
        id: 'node.identity',
        severity: 'block',
        title: 'Node is the machine that the plan means',
        threshold: expectedIdentity(node),
        evidence: fromApi,
        remedy: `Correct nodes "${node.name}": address or expect in the plan, or cable and address of the machine.`,
      },
      identity(facts),
    ),
    check(
      {
        id: 'node.no-cluster',
        severity: 'block',
        title: 'Node belongs to no other cluster',
        threshold: `no cluster, or "${plan.cluster.name}"`,
        evidence: 'GET /v1/edge-mgmt/cluster',
        remedy:
          'Use another node, or reset this one to factory default by hand if its cluster is not needed any more.',
      },
      {
        state: facts.clusterName === undefined || facts.clusterName === plan.cluster.name ? 'pass' : 'fail',
        measured: facts.clusterName === undefined ? 'none' : `cluster "${facts.clusterName}"`,
      },
    ),
    check(
      {
        id: 'node.cpu',
        severity: 'block',
        title: 'Enough processors',
        threshold: `at least ${minimum.cpus}`,
        evidence: fromApi,
        remedy: 'Give the node more processors.',
      },
      atLeast(hardware?.cpu?.cores, minimum.cpus, ''),
    ),
    check(
      {
        id: 'node.memory',
        severity: 'block',
        title: 'Enough memory',
        threshold: `at least ${minimum.memoryMegabytes} MiB, less 10 % that the system keeps`,
        evidence: fromApi,
        remedy: 'Give the node more memory.',
      },
      atLeast(hardware?.memory?.sizeInMB, minimum.memoryMegabytes * visibleMemoryShare, ' MiB'),
    ),
    check(
      {
        id: 'node.arch',
        severity: 'block',
        title: 'Processor architecture fits the pool',
        threshold: architectureOf(plan, node),
        evidence: fromApi,
        remedy: 'Correct the architecture of the pool, or use another node.',
      },
      equal(hardware?.archType, architectureOf(plan, node)),
    ),
    check(
      {
        id: 'node.install-complete',
        severity: 'block',
        title: 'Node runs from its disk',
        threshold: 'active_boot',
        evidence: 'kairos-agent state get boot',
        remedy: 'Eject the ISO, restart the node from its disk and wait until its Local UI answers.',
      },
      bootState(facts),
    ),
    check(
      {
        id: 'node.disk1',
        severity: 'block',
        title: 'First disk is large enough',
        threshold: `at least ${minimum.firstDiskGigabytes} GB`,
        evidence: 'lsblk',
        remedy: 'Give the node a larger first disk and install it again.',
      },
      firstDisk(plan, facts),
    ),
    check(
      {
        id: 'node.disk2-path',
        severity: 'block',
        title: 'Storage pool drive is there and is not in use',
        threshold: `${plan.cluster.storagePoolDrive}, at least ${minimum.storageDiskGigabytes} GB, nothing mounted`,
        evidence: 'lsblk',
        remedy:
          'Set cluster.storagePoolDrive to the path that the second disk has on every node, or add the disk. ' +
          'Its content is destroyed by the installation.',
      },
      storageDisk(plan, facts),
    ),
    check(
      {
        id: 'node.disk2-data',
        severity: 'block',
        title: 'Storage pool drive is empty, or its data may be destroyed',
        threshold: `no partitions and no file system on ${plan.cluster.storagePoolDrive}, or consent in the plan`,
        evidence: 'lsblk',
        remedy:
          `The installation destroys what is on this drive. Save it, or write "confirmErase: ${node.name}" at ` +
          `nodes "${node.name}" of the plan if it is not needed.`,
      },
      storageData(plan, facts),
    ),
  ]
}

/** What must differ, or be the same, between nodes. Passes only when every node of the plan told what is compared. */
function checkFleet(plan: Plan, facts: readonly NodeFacts[]): Finding[] {
  const untold = (values: (facts: NodeFacts) => readonly string[]): string[] => {
    const told = new Set(facts.filter((node) => values(node).length > 0).map(({ node }) => node.name))
    return plan.nodes.map((node) => node.name).filter((name) => !told.has(name))
  }
  const unique = (
    id: CheckId,
    title: string,
    values: (facts: NodeFacts) => readonly string[],
    remedy: string,
  ): Finding => {
    const owners = new Map<string, string[]>()
    for (const node of facts) {
      // Once a node: the interfaces of a bond, and its VLANs, share an address rightly.
      for (const value of new Set(values(node)))
        owners.set(value, [...(owners.get(value) ?? []), node.node.name])
    }
    const shared = [...owners].filter(([, nodes]) => nodes.length > 1)
    const unknown = untold(values)
    return {
      id,
      target: 'all nodes',
      severity: 'block',
      title,
      ...(shared.length > 0
        ? {
            state: 'fail',
            measured: shared.map(([value, nodes]) => `${nodes.join(' and ')} have ${value}`).join('; '),
          }
        : unknown.length > 0
          ? { state: 'could-not-run', measured: `not known of ${unknown.join(', ')}` }
          : { state: 'pass', measured: 'all different' }),
      threshold: 'all different',
      evidence: 'GET /v1/edge-mgmt/edgehosts/current',
      remedy,
    }
  }
  const versions = new Set(facts.flatMap(agentVersion))
  const measuredVersions = [
    ...facts.flatMap((node) => agentVersion(node).map((version) => `${node.node.name}: ${version}`)),
    ...untold(agentVersion).map((name) => `${name}: unknown`),
  ]
  return [
    unique(
      'node.uid-unique',
      'Every node has an id of its own',
      (node) => [node.uid],
      'Cloned machines share an id: give each its own product UUID and install it again.',
    ),
    unique(
      'node.mac-unique',
      'Every network interface has a MAC address of its own',
      macAddresses,
      'Give each machine its own MAC addresses.',
    ),
    {
      id: 'node.agent-version',
      target: 'all nodes',
      severity: 'block',
      title: 'All nodes run the same version of the agent',
      state: versions.size > 1 ? 'fail' : untold(agentVersion).length > 0 ? 'could-not-run' : 'pass',
      measured: measuredVersions.join(', '),
      threshold: 'one version',
      evidence: 'GET /v1/edge-mgmt/edgehosts/current',
      remedy: 'Install all nodes from the same ISO.',
    },
  ]
}

function agentVersion({ edgeHost }: NodeFacts): string[] {
  const version = edgeHost.status?.agentVersion
  return version === undefined || version === '' ? [] : [version]
}

/** Not of a machine: the loopback interface, and what Calico gives to the interfaces of all pods of every node. */
const commonMacAddresses = new Set(['', '00:00:00:00:00:00', 'ee:ee:ee:ee:ee:ee'])

/** Lower case. */
function macAddresses({ edgeHost }: NodeFacts): string[] {
  return (edgeHost.spec?.networkInfo ?? [])
    .map((nic) => nic.macAddr?.toLowerCase() ?? '')
    .filter((mac) => !commonMacAddresses.has(mac))
}

/** Architecture of the pool that the node is in. */
function architectureOf(plan: Plan, node: NodeFacts['node']): string {
  const { controlPlane, worker } = plan.cluster.pools
  const isWorker = worker?.hosts.some((host) => host.node === node.name) ?? false
  return isWorker && worker !== null ? worker.architecture : controlPlane.architecture
}

function managementMode({ settings }: NodeFacts): Verdict {
  const { managementMode: mode, installationMode } = settings
  if (mode === undefined || installationMode === undefined)
    return { state: 'could-not-run', measured: 'not told' }
  const isGood = mode.toLowerCase() === 'local' && installationMode.toLowerCase() === 'airgap'
  return { state: isGood ? 'pass' : 'fail', measured: `${mode}, ${installationMode}` }
}

function expectedIdentity(node: NodeFacts['node']): string {
  const parts = [`has address ${node.address}`]
  if (node.nic.mode === 'static' && node.nic.address !== null) parts.push(`or ${node.nic.address}`)
  if (node.expect.mac !== null) parts.push(`has MAC address ${node.expect.mac}`)
  if (node.expect.edgeHostId !== null) parts.push(`is edge host ${node.expect.edgeHostId}`)
  return parts.join(', ')
}

function identity(facts: NodeFacts): Verdict {
  const { node, uid, edgeHost } = facts
  const addresses = (edgeHost.spec?.networkInfo ?? [])
    .map((nic) => nic.ip?.split('/')[0] ?? '')
    .filter((address) => address !== '')
  const macs = macAddresses(facts)
  const measured = `edge host ${uid}, addresses ${addresses.join(' ') || 'none'}, MAC addresses ${macs.join(' ') || 'none'}`
  if (addresses.length === 0) return { state: 'could-not-run', measured }
  const hasAddress =
    addresses.includes(node.address) || (node.nic.address !== null && addresses.includes(node.nic.address))
  const hasMac = node.expect.mac === null || macs.includes(node.expect.mac)
  const hasUid = node.expect.edgeHostId === null || node.expect.edgeHostId === uid
  return { state: hasAddress && hasMac && hasUid ? 'pass' : 'fail', measured }
}

function bootState({ ssh }: NodeFacts): Verdict {
  if (ssh.kind === 'closed') return { state: 'could-not-run', measured: ssh.reason }
  if (ssh.facts.bootState === undefined)
    return { state: 'could-not-run', measured: 'kairos-agent did not answer' }
  return { state: ssh.facts.bootState === 'active_boot' ? 'pass' : 'fail', measured: ssh.facts.bootState }
}

function firstDisk(plan: Plan, facts: NodeFacts): Verdict {
  const disks = disksOf(facts)
  if (disks === undefined) return { state: 'could-not-run', measured: unreadDisks(facts) }
  const others = disks.filter((disk) => disk.path !== plan.cluster.storagePoolDrive)
  const largest = others.reduce((size, disk) => Math.max(size, disk.size), 0)
  return atLeast(Math.floor(largest / gigabyte), minimumOf(plan).firstDiskGigabytes, ' GB')
}

function storageDisk(plan: Plan, facts: NodeFacts): Verdict {
  const path = plan.cluster.storagePoolDrive
  const disks = disksOf(facts)
  if (disks === undefined) return { state: 'could-not-run', measured: unreadDisks(facts) }
  const disk = disks.find((device) => device.path === path)
  if (disk === undefined) {
    return {
      state: 'fail',
      measured: `not there; disks: ${disks.map((device) => device.path).join(' ') || 'none'}`,
    }
  }
  const mounts = mountsOf(disk)
  // Once this plan's cluster is there, the drive is in use by the cluster itself.
  if (mounts.length > 0 && facts.clusterName !== plan.cluster.name) {
    return { state: 'fail', measured: `in use: ${mounts.join(' ')}` }
  }
  return atLeast(Math.floor(disk.size / gigabyte), minimumOf(plan).storageDiskGigabytes, ' GB')
}

function storageData(plan: Plan, facts: NodeFacts): Verdict {
  const disks = disksOf(facts)
  if (disks === undefined) return { state: 'could-not-run', measured: unreadDisks(facts) }
  const disk = disks.find((device) => device.path === plan.cluster.storagePoolDrive)
  if (disk === undefined) return { state: 'could-not-run', measured: 'there is no such drive' }
  const traces = tracesOf(disk)
  if (traces.length === 0) return { state: 'pass', measured: 'empty' }
  // Once the cluster is there, what the drive holds is the cluster's own.
  if (facts.clusterName === plan.cluster.name) return { state: 'pass', measured: 'used by this cluster' }
  const isConfirmed = facts.node.confirmErase === facts.node.name
  const measured = `holds ${traces.join(', ')}`
  return isConfirmed
    ? { state: 'pass', measured: `${measured}; to be destroyed as the plan says` }
    : { state: 'fail', measured }
}

function tracesOf(device: BlockDevice): string[] {
  const own =
    device.fileSystem === undefined || device.fileSystem === ''
      ? []
      : [`${device.fileSystem} on ${device.path}`]
  return [...own, ...device.children.flatMap((child) => [`${child.type} ${child.path}`, ...tracesOf(child)])]
}

function disksOf({ ssh }: NodeFacts): readonly BlockDevice[] | undefined {
  return ssh.kind === 'read' ? ssh.facts.disks?.filter((device) => device.type === 'disk') : undefined
}

function unreadDisks({ ssh }: NodeFacts): string {
  return `unknown: ${ssh.kind === 'closed' ? ssh.reason : 'lsblk did not answer'}`
}

function mountsOf(device: BlockDevice): string[] {
  const own = device.mountPoint === undefined || device.mountPoint === '' ? [] : [device.mountPoint]
  return [...own, ...device.children.flatMap(mountsOf)]
}

function atLeast(value: number | undefined, least: number, unit: string): Verdict {
  if (value === undefined) return { state: 'could-not-run', measured: 'not told' }
  return { state: value >= least ? 'pass' : 'fail', measured: `${value}${unit}` }
}

function equal(value: string | undefined, wanted: string): Verdict {
  if (value === undefined) return { state: 'could-not-run', measured: 'not told' }
  return { state: value === wanted ? 'pass' : 'fail', measured: value }
}
