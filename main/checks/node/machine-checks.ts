import { disagreementsOf, valueOf } from '../../appliance/facts/index.ts'
import { listed, onFact, onMerged, unknown, verdict, type Question, type Verdict } from './question.ts'
import { hostPart, type Subject } from './subject.ts'

const mebibyte = 1024 ** 2
/** Firmware keeps this much of the modules that are built in (checks.md, node.memory). */
const keptByFirmware = 100 * mebibyte
/** A tenth of the memory belongs to firmware and kernel and is not shown. */
const visibleMemoryShare = 0.9

/** The machine, its system, and whether it is the right one (checks.md §3.3). */
export const machineChecks: readonly Question<Subject>[] = [
  {
    id: 'node.inventory',
    threshold: () => 'processors, memory, disks and network cards are told',
    remedy: () =>
      'Let Landfall in by SSH with an account that may use sudo, wait until the Local UI has read the hardware, and check again.',
    ask: inventory,
  },
  {
    id: 'node.mode',
    threshold: () => 'managementMode local, installationMode airgap',
    remedy: () => 'Boot the node from the management appliance ISO; another image cannot form this cluster.',
    ask: ({ facts: { settings } }) => {
      const { managementMode: mode, installationMode } = settings
      const evidence = 'GET /v1/edge-mgmt/settings'
      if (mode === undefined || installationMode === undefined) return unknown('not told', evidence)
      const isGood = mode.toLowerCase() === 'local' && installationMode.toLowerCase() === 'airgap'
      return verdict(isGood, `${mode}, ${installationMode}`, evidence)
    },
  },
  {
    id: 'node.identity',
    threshold: expectedIdentity,
    remedy: ({ node }) =>
      `Correct nodes "${node.name}": address or expect in the plan, or cable and address of the machine.`,
    ask: identity,
  },
  {
    id: 'node.facts-agree',
    threshold: () => 'Local UI and operating system tell the same',
    remedy: ({ node }) =>
      `Wait some minutes and check again: the Local UI may be behind. If it stays so, restart ${node.name}, and do not trust either until you know why.`,
    ask: ({ facts, collected }) => {
      const evidence = 'GET /v1/edge-mgmt/edgehosts/current; SSH'
      if (collected === undefined)
        return unknown(facts.host.kind === 'closed' ? `unknown: ${facts.host.reason}` : 'unknown', evidence)
      const found = disagreementsOf(facts.merged)
      const words = found.map(
        ({ fact, api, ssh }) => `${fact}: the Local UI says ${api}, the system says ${ssh}`,
      )
      return verdict(found.length === 0, listed(words, '; ') || 'no contradiction', evidence)
    },
  },
  {
    id: 'node.no-cluster',
    threshold: ({ plan }) => `no cluster, or "${plan.cluster.name}"`,
    remedy: () =>
      'Use another node, or reset this one to factory default by hand if its cluster is not needed any more.',
    ask: ({ plan, facts: { clusterName } }) =>
      verdict(
        clusterName === undefined || clusterName === plan.cluster.name,
        clusterName === undefined ? 'none' : `cluster "${clusterName}"`,
        'GET /v1/edge-mgmt/cluster',
      ),
  },
  {
    id: 'node.cpu',
    threshold: ({ minimum }) => `at least ${minimum.cpus}`,
    remedy: () => 'Give the node more processors.',
    ask: ({ facts, minimum }) => onMerged(facts.merged.cpuCount, (count) => count >= minimum.cpus, String),
  },
  {
    id: 'node.cpu-avx',
    threshold: () => 'AVX; AVX2 is better',
    remedy: () =>
      'Give the virtual machine a processor type that passes AVX through (host, x86-64-v3), or use another machine.',
    ask: ({ host, facts }) => {
      const { architecture } = facts.merged
      if (architecture.kind === 'agreed' || architecture.kind === 'told') {
        // MongoDB wants AVX of x86-64 only.
        if (architecture.value === 'arm64')
          return { state: 'skipped', measured: 'arm64 processors have no AVX', evidence: 'uname -srm' }
      }
      return onFact(host.cpu.flags, (flags, source) => {
        const [hasAvx, hasAvx2] = [flags.includes('avx'), flags.includes('avx2')]
        return verdict(hasAvx, hasAvx ? (hasAvx2 ? 'AVX and AVX2' : 'AVX, no AVX2') : 'no AVX', source)
      })
    },
  },
  {
    id: 'node.memory',
    threshold: ({ minimum }) =>
      `at least ${minimum.memoryMebibytes} MiB, less 100 MiB of the modules, or 10 % of what the system shows`,
    remedy: () => 'Give the node more memory.',
    ask: memory,
  },
  {
    id: 'node.arch',
    threshold: architectureOf,
    remedy: () => 'Correct the architecture of the pool, or use another node.',
    ask: (subject) =>
      onMerged(subject.facts.merged.architecture, (value) => value === architectureOf(subject), String),
  },
  {
    id: 'node.uefi',
    threshold: () => 'UEFI',
    remedy: () => 'Set the firmware of the machine to UEFI (not BIOS or legacy) and install the node again.',
    ask: ({ host }) =>
      onFact(host.boot.isUefi, (isUefi, source) => verdict(isUefi, isUefi ? 'UEFI' : 'BIOS', source)),
  },
  {
    id: 'node.virt',
    threshold: () => 'for information',
    remedy: () => 'Nothing has to be done.',
    ask: ({ host }) =>
      onFact(host.identity.virtualization, (word, source) =>
        verdict(true, word === 'none' ? 'bare metal' : word, source),
      ),
  },
  {
    id: 'node.install-complete',
    threshold: () => 'active_boot',
    remedy: () => 'Eject the ISO, restart the node from its disk and wait until its Local UI answers.',
    ask: ({ host: { boot } }) =>
      onFact(boot.state, (state, source) => {
        const marks = valueOf(boot.marks) ?? []
        // One witness is enough that it runs from the ISO.
        return state === 'active_boot' && marks.includes('live_mode')
          ? verdict(false, `${state}, but /run/cos has live_mode`, `${source}; ${boot.marks.source}`)
          : verdict(state === 'active_boot', state, source)
      }),
  },
]

/** Architecture of the pool that the node is in. */
function architectureOf({ plan, node }: Subject): string {
  const { controlPlane, worker } = plan.cluster.pools
  const isWorker = worker?.hosts.some((host) => host.node === node.name) ?? false
  return isWorker && worker !== null ? worker.architecture : controlPlane.architecture
}

function inventory({ facts, host, macs, drive }: Subject): Verdict {
  const { merged } = facts
  const evidence = 'GET /v1/edge-mgmt/edgehosts/current; SSH'
  const untold = [
    ...(merged.cpuCount.kind === 'unread' ? [`processors (${merged.cpuCount.reason})`] : []),
    ...(merged.memory.kind === 'unread' ? [`memory (${merged.memory.reason})`] : []),
    ...(merged.architecture.kind === 'unread' ? [`architecture (${merged.architecture.reason})`] : []),
    // The Local UI has no names of devices.
    ...(drive.kind === 'unknown' ? [`disks (${drive.reason})`] : []),
    ...(host.network.interfaces.kind === 'unread' && macs.length === 0
      ? [`network cards (${host.network.interfaces.reason})`]
      : []),
  ]
  if (untold.length > 0) return unknown(`not told: ${untold.join('; ')}`, evidence)
  const disks = drive.kind === 'unknown' ? [] : drive.disks
  const missing = [
    ...(disks.length === 0 ? ['no disk'] : []),
    ...(macs.length === 0 ? ['no network card'] : []),
  ]
  return missing.length > 0
    ? verdict(false, missing.join(', '), evidence)
    : verdict(true, `disks: ${disks.length}, network cards: ${macs.length}`, evidence)
}

function expectedIdentity({ node }: Subject): string {
  const parts = [`has address ${node.address}`]
  if (node.nic.mode === 'static' && node.nic.address !== null) parts.push(`or ${node.nic.address}`)
  if (node.expect.mac !== null) parts.push(`has MAC address ${node.expect.mac}`)
  if (node.expect.edgeHostId !== null) parts.push(`is edge host ${node.expect.edgeHostId}`)
  return parts.join(', ')
}

function identity({ node, facts, addresses, macs }: Subject): Verdict {
  const evidence = 'GET /v1/edge-mgmt/edgehosts/current; ip -j addr'
  const hosts = addresses.map(hostPart)
  const measured = `edge host ${facts.uid}, addresses ${listed(hosts) || 'none'}, MAC addresses ${listed(macs) || 'none'}`
  if (hosts.length === 0) return unknown(measured, evidence)
  const hasAddress =
    hosts.includes(node.address) || (node.nic.address !== null && hosts.includes(node.nic.address))
  const hasMac = node.expect.mac === null || macs.includes(node.expect.mac)
  const hasUid = node.expect.edgeHostId === null || node.expect.edgeHostId === facts.uid
  return verdict(hasAddress && hasMac && hasUid, measured, evidence)
}

function memory({ facts, host, minimum }: Subject): Verdict {
  const least = minimum.memoryMebibytes * mebibyte
  const inWords = (bytes: number) => `${Math.floor(bytes / mebibyte)} MiB`
  const { installed } = host.memory
  if (installed.kind === 'read') {
    const { value, source } = installed
    return verdict(value >= least - keptByFirmware, `${inWords(value)} of modules`, source)
  }
  return onMerged(facts.merged.memory, (bytes) => bytes >= least * visibleMemoryShare, inWords)
}
