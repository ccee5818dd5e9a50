import { AppError } from '../../shared/errors/index.ts'
import type { PlanNode } from '../../shared/plan/index.ts'
import {
  changeSafely,
  fileDifference,
  networkFiles,
  readInterfaces,
  readNetworkChange,
  rollBackSeconds,
  vlanInterfaceOf,
  type SystemInterface,
} from '../appliance/host-configuration/index.ts'
import type { NetworkInterface, NetworkInterfaceConfig } from '../appliance/index.ts'
import { detectArping, probeWithArping } from '../network/arping/index.ts'
import { interfaceDifferences, interfaceOf, settingsOf, wantedInterface } from './host-settings.ts'
import { NodeShell } from './node-shell.ts'
import { finalAddressOf, type SiteNodeContext } from './site.ts'

/** What SSH tells about the network of a node, and why it tells nothing. */
type SystemView =
  | { readonly kind: 'open'; readonly shell: NodeShell; readonly interfaces: readonly SystemInterface[] }
  | { readonly kind: 'closed'; readonly reason: string }

interface FileOnNode {
  readonly path: string
  readonly wanted: string
  readonly current: string | undefined
}

export interface NetworkFacts {
  readonly currentAddress: string
  /** Of the Local API; `undefined`: this agent has no network API (palette.md §7.3). */
  readonly interfaces: readonly NetworkInterface[] | undefined
  /** Read only where the plan changes the interface. */
  readonly system: SystemView | undefined
  /** What makes the settings last where they are set over SSH. */
  readonly files: readonly FileOnNode[]
}

/** Reads what the node has now. An earlier change that is on trial still is waited for: the node decides it by itself. */
export async function gatherNetwork(context: SiteNodeContext): Promise<NetworkFacts> {
  const { node, services, signal } = context
  const wanted = wantedInterface(services.plan, node)
  if (wanted !== undefined && context.mode === 'apply') await untilDecided(context)
  const client = await services.nodes.localApi(context, node)
  const network = await client.networkInterfaces({ signal })
  const interfaces = network.kind === 'supported' ? network.interfaces : undefined
  const currentAddress = services.nodes.addressOf(node)
  if (wanted === undefined) return { currentAddress, interfaces, system: undefined, files: [] }
  const shell = await NodeShell.openIfPossible(context)
  if (!(shell instanceof NodeShell)) {
    return { currentAddress, interfaces, system: { kind: 'closed', reason: shell.reason }, files: [] }
  }
  const system: SystemView = {
    kind: 'open',
    shell,
    interfaces: await readInterfaces(shell.runner, signal),
  }
  const nic = interfaceOf(node, currentAddress, system.interfaces)
  const lasting =
    interfaces !== undefined || nic === undefined ? [] : networkFiles(settingsOf(nic.name ?? '', wanted))
  const files = await Promise.all(
    lasting.map(async ({ path, content }) => ({ path, wanted: content, current: await shell.read(path) })),
  )
  return { currentAddress, interfaces, system, files }
}

async function untilDecided(context: SiteNodeContext): Promise<void> {
  const { node, services } = context
  await context.waitFor(
    {
      until: 'an earlier change of the network settings has ended',
      everySeconds: 5,
      deadlineSeconds: 600,
      remedies: [`Restart ${node.name}: a change that was not confirmed does not survive that.`],
    },
    async (signal) => {
      const shell = await NodeShell.openIfPossible(context)
      if (!(shell instanceof NodeShell)) return { kind: 'ready', value: undefined }
      const state = await readNetworkChange(shell.runner, signal)
      if (state.kind !== 'pending') return { kind: 'ready', value: undefined }
      // It will be somewhere else when the node has put its settings back.
      await services.nodes.forget(node)
      return {
        kind: 'waiting',
        detail: 'An earlier change of the network was not confirmed; the node takes it back',
      }
    },
  )
}

/** In words, what differs between the interface and the plan. Throws where the plan cannot be followed. */
export function networkDifferences(context: SiteNodeContext, facts: NetworkFacts): string[] {
  const { node, services } = context
  const wanted = wantedInterface(services.plan, node)
  if (wanted === undefined) return []
  const known = knownInterfaces(context, facts)
  const nic = interfaceOf(node, facts.currentAddress, known)
  if (nic !== undefined) {
    return [
      ...interfaceDifferences(nic, wanted),
      ...facts.files.filter((file) => file.current !== file.wanted).map((file) => `file ${file.path}`),
    ]
  }
  // Only a dry run of an unreachable node has no interfaces at all.
  if (context.mode === 'dry-run' && known.length === 0)
    return [`set to ${wanted.type}${wanted.ip === undefined ? '' : ` ${wanted.ip}`}`]
  throw new AppError({
    code: 'NIC_NOT_FOUND',
    title: `${node.name} has no network interface as the plan names it.`,
    detail: `Looked for ${node.nic.name === 'auto' ? `the one with ${facts.currentAddress}` : node.nic.name}; there are: ${
      known.map((candidate) => `${candidate.name ?? '?'} (${candidate.ip ?? 'no address'})`).join(', ') ||
      'none'
    }.`,
    remedies: [`Correct nodes "${node.name}": nic.name in the plan.`],
    node: node.name,
  })
}

/** The interface that the plan means, as the node tells it. */
export function plannedInterface(node: PlanNode, facts: NetworkFacts): NetworkInterface | undefined {
  const known = facts.interfaces ?? (facts.system?.kind === 'open' ? facts.system.interfaces : [])
  return interfaceOf(node, facts.currentAddress, known)
}

function knownInterfaces(
  { node }: SiteNodeContext,
  { interfaces, system }: NetworkFacts,
): readonly NetworkInterface[] {
  if (interfaces !== undefined) return interfaces
  if (system?.kind === 'open') return system.interfaces
  throw new AppError({
    code: 'NETWORK_API_MISSING',
    title: `The network of ${node.name} can be configured neither through its API nor over SSH.`,
    detail: `GET /v1/edge-mgmt/network/interfaces is not offered by this version of the agent, and SSH is closed: ${
      system?.reason ?? 'it was not tried'
    }`,
    remedies: [
      'Give a key in access.sshKey, or switch on the password login of SSH, then go on with --resume.',
      'Or set address, mask, gateway, MTU and DNS in the text interface of the node (command palette-tui),' +
        ` set nodes "${node.name}": nic.mode: keep in the plan and go on with --resume.`,
    ],
    node: node.name,
  })
}

/** Sets the interface; whatever may cut the node off takes itself back unless the node is reached afterwards. */
export async function applyNetwork(context: SiteNodeContext, facts: NetworkFacts): Promise<void> {
  const { node, services } = context
  const differences = networkDifferences(context, facts)
  const wanted = wantedInterface(services.plan, node)
  if (differences.length === 0 || wanted === undefined) return
  const api = facts.interfaces === undefined ? undefined : plannedInterface(node, facts)
  const name = api?.name ?? plannedInterface(node, facts)?.name ?? node.nic.name
  const trial = trialOf(context, facts, name, wanted)
  if ('problem' in trial && facts.interfaces === undefined && context.mode === 'apply') throw trial.problem
  const isRisky = differences.some((one) => !/^(DNS|file) /.test(one))
  if (!('problem' in trial)) await refuseTakenAddress(context, facts, trial)
  const changesBySsh = facts.interfaces === undefined
  const what = describe(context, facts, { name, differences, wanted, changesBySsh })
  if (!('problem' in trial) && (changesBySsh || isRisky)) {
    await applySafely(context, facts, { trial, wanted, what, changesBySsh })
  } else {
    if (isRisky && 'problem' in trial)
      context.warn(
        `If ${node.name} cannot be reached after its network settings were changed, it does not put them back by itself: ${
          trial.problem.detail || trial.problem.title
        }`,
      )
    await context.change('network', what, async (signal) => {
      const client = await services.nodes.localApi(context, node)
      await client.setNetworkInterface(name, wanted, { signal })
    })
  }
  if (context.mode === 'dry-run') return
  if (facts.currentAddress !== finalAddressOf(node)) await services.nodes.forget(node)
  await waitUntilShown(context)
}

/** What a change on trial needs, or why there can be none. */
type Trial = { readonly shell: NodeShell; readonly nic: SystemInterface } | { readonly problem: AppError }

function trialOf(
  { node }: SiteNodeContext,
  { system }: NetworkFacts,
  name: string,
  wanted: NetworkInterfaceConfig,
): Trial {
  const problem = (code: string, title: string, detail: string, remedies: string[]): Trial => ({
    problem: new AppError({ code, title, detail, remedies, node: node.name }),
  })
  if (system?.kind !== 'open')
    return problem('SSH_NEEDED', `${node.name} cannot be reached over SSH.`, system?.reason ?? '', [
      'Give a key in access.sshKey, or switch on the password login of SSH.',
    ])
  const nic = system.interfaces.find((one) => one.name === name)
  if (nic === undefined)
    return problem('NIC_NOT_FOUND', `${node.name} has no network interface ${name}.`, '', [
      `Correct nodes "${node.name}": nic.name in the plan.`,
    ])
  if (nic.setup === undefined || nic.setup === 'unmanaged' || nic.setup === 'linger')
    return problem(
      'NETWORK_NOT_MANAGED',
      `The network of ${node.name} is not managed by systemd-networkd.`,
      `networkctl says of ${name}: ${nic.setup ?? 'nothing'}. Something else (NetworkManager, ifupdown) sets it, so nothing was changed.`,
      [
        `Set the network of ${node.name} where it is managed, set nic.mode: keep for it in the plan, and go on with --resume.`,
      ],
    )
  const vlan = vlanInterfaceOf(settingsOf(name, wanted))
  if (nic.kind !== 'plain' || vlan.length > 15)
    return problem(
      'NIC_NOT_CONFIGURABLE',
      `${name} of ${node.name} cannot be configured on its own.`,
      vlan.length > 15
        ? `The name of its VLAN interface, ${vlan}, would be longer than 15 characters.`
        : nic.kind === 'member'
          ? 'It belongs to a bond or a bridge.'
          : 'It is a bond or a bridge.',
      [`Set it in the text interface of the node (command palette-tui), and set nic.mode: keep in the plan.`],
    )
  return { shell: system.shell, nic }
}

/** Nobody else may have the address that the node shall get. */
async function refuseTakenAddress(
  context: SiteNodeContext,
  facts: NetworkFacts,
  { shell, nic }: Exclude<Trial, { problem: AppError }>,
): Promise<void> {
  const { node, clock, signal } = context
  const address = finalAddressOf(node)
  if (address === facts.currentAddress) return
  if (node.nic.vlan !== null && nic.vlanID !== String(node.nic.vlan)) {
    context.warn(
      `Whether somebody has ${address} cannot be asked before ${node.name} is in VLAN ${String(node.nic.vlan)}.`,
    )
    return
  }
  const arping = await detectArping(shell.runner, signal)
  const answers = await probeWithArping({
    runner: shell.runner,
    vantage: node.name,
    addresses: [address],
    interface: nic.name,
    kind: 'arp-probe',
    clock,
    signal,
    ownAddresses: [facts.currentAddress],
    arping,
  })
  const heard = answers?.observations.find((one) => one.address === address)
  if (heard === undefined || heard.answer === 'unclear') {
    context.warn(
      `Whether somebody has ${address} could not be asked from ${node.name}: ${heard?.detail ?? 'it has no arping that is known'}`,
    )
  }
  if (heard?.answer !== 'answered') return
  throw new AppError({
    code: 'ADDRESS_TAKEN',
    title: `Another machine has ${address}, which ${node.name} shall get.`,
    detail: `${heard.macs.join(' and ')} answered ARP, asked from ${nic.name} of ${node.name}. Nothing was changed.`,
    remedies: [
      `Write another address into nodes "${node.name}": nic.address; landfall find-vip looks for one.`,
      `Or switch off the machine that has ${address}.`,
    ],
    node: node.name,
  })
}

async function applySafely(
  context: SiteNodeContext,
  facts: NetworkFacts,
  {
    trial,
    wanted,
    what,
    changesBySsh,
  }: {
    trial: Exclude<Trial, { problem: AppError }>
    wanted: NetworkInterfaceConfig
    what: string
    changesBySsh: boolean
  },
): Promise<void> {
  const { node, services, clock } = context
  const address = finalAddressOf(node)
  const reachAnywhere = async () => {
    await services.nodes.forget(node)
    return (await NodeShell.open(context, 'its network settings')).runner
  }
  let isTold = false
  const outcome = await context.change('network', what, async (signal) =>
    changeSafely({
      runner: trial.shell.runner,
      change: {
        id: `c${String(clock.now())}`,
        settings: settingsOf(trial.nic.name, wanted),
        rollBackSeconds,
        isLasting: changesBySsh,
      },
      clock,
      signal,
      progress: (detail) => {
        context.progress(detail)
      },
      reachThere: async () => {
        const runner = await reachAnywhere()
        if (services.nodes.addressOf(node) === address) return runner
        throw new AppError({
          code: 'ADDRESS_NOT_REACHED',
          title: `${node.name} does not answer at ${address}.`,
          detail: `It answers at ${services.nodes.addressOf(node)}.`,
          node: node.name,
          isTransient: true,
        })
      },
      reachAnywhere,
      missing: async (runner) => {
        const seen = interfaceOf(node, address, await readInterfaces(runner, signal))
        const left = seen === undefined ? [`no interface has ${address}`] : interfaceDifferences(seen, wanted)
        if (left.length > 0) return left.join(', ')
        if (changesBySsh) return undefined
        // Reached there: now the agent is told, so that it lasts.
        const client = await services.nodes.localApi(context, node)
        if (!isTold) await client.setNetworkInterface(trial.nic.name, wanted, { signal })
        isTold = true
        return await whatApiLacks(context, wanted)
      },
    }),
  )
  if (outcome === undefined || outcome.kind === 'confirmed') return
  if (outcome.kind === 'pending') {
    throw new AppError({
      code: 'NETWORK_CHANGE_UNANSWERED',
      title: `An earlier change of the network of ${node.name} has not ended yet.`,
      detail: 'It ends by itself within a minute.',
      remedies: [`If it does not, restart ${node.name}.`],
      node: node.name,
      isTransient: true,
    })
  }
  await services.nodes.forget(node)
  if (outcome.kind === 'rolled-back') throw rolledBack(node, facts.currentAddress, outcome.reason)
  throw new AppError({
    code: 'NODE_LOST',
    title: `${node.name} was not found again after its network settings were changed.`,
    detail: `Not confirmed: ${outcome.reason}. Last seen: ${outcome.lastSeen}`,
    remedies: [
      `Look at the screen of ${node.name}: a restart brings its old settings back, because the change was not confirmed.`,
      'Then correct the network settings in the plan and go on with --resume.',
    ],
    node: node.name,
  })
}

function rolledBack(node: PlanNode, currentAddress: string, reason: string): AppError {
  return new AppError({
    code: 'NETWORK_CHANGE_ROLLED_BACK',
    title: `${node.name} put its network settings back and answers at ${currentAddress} again.`,
    detail: `The new settings (${finalAddressOf(node)}) were tried and not confirmed: ${reason}`,
    remedies: [
      `Check VLAN, mask, gateway and switch port for ${finalAddressOf(node)}, and that nobody else has that address.`,
      `Correct nodes "${node.name}": nic in the plan, or set nic.mode: keep, then go on with --resume.`,
    ],
    node: node.name,
  })
}

async function whatApiLacks(
  context: SiteNodeContext,
  wanted: NetworkInterfaceConfig,
): Promise<string | undefined> {
  const { node, services, signal } = context
  const client = await services.nodes.localApi(context, node)
  const network = await client.networkInterfaces({ signal })
  if (network.kind !== 'supported') return 'the agent does not tell its interfaces any more'
  const nic = interfaceOf(node, finalAddressOf(node), network.interfaces)
  if (nic === undefined) return 'the agent does not show the new address yet'
  if (network.interfaces.some((one) => one.status?.toLowerCase() === 'applying'))
    return 'the agent is applying it'
  const left = interfaceDifferences(nic, wanted)
  return left.length === 0 ? undefined : `the agent shows ${left.join(', ')}`
}

async function waitUntilShown(context: SiteNodeContext): Promise<void> {
  const { node } = context
  await context.waitFor(
    {
      until: `${node.name} shows the new network settings at ${finalAddressOf(node)}`,
      everySeconds: 3,
      deadlineSeconds: 600,
      remedies: [
        `Check cable, VLAN, mask and gateway of ${finalAddressOf(node)}.`,
        'Look at the text interface of the node; correct the address there if need be, then go on with --resume.',
      ],
    },
    async () => {
      const seen = await gatherNetwork(context)
      const left = networkDifferences(context, seen)
      const isApplying =
        seen.interfaces?.some((candidate) => candidate.status?.toLowerCase() === 'applying') ?? false
      return left.length === 0 && !isApplying
        ? { kind: 'ready', value: undefined }
        : {
            kind: 'waiting',
            detail: `Network settings are being applied${left.length > 0 ? `: ${left.join(', ')}` : ''}`,
          }
    },
  )
}

/** What the change does; in a dry run as a diff. */
function describe(
  { mode }: SiteNodeContext,
  facts: NetworkFacts,
  {
    name,
    differences,
    wanted,
    changesBySsh,
  }: { name: string; differences: readonly string[]; wanted: NetworkInterfaceConfig; changesBySsh: boolean },
): string {
  const title = `set network interface ${name}${changesBySsh ? ' over SSH' : ''}`
  if (mode === 'apply') return `${title}: ${differences.join(', ')}`
  const files = changesBySsh && facts.files.length === 0 ? networkFiles(settingsOf(name, wanted)) : []
  return [
    title,
    ...differences.filter((one) => !one.startsWith('file ')).flatMap(asLines),
    ...facts.files.flatMap((file) => fileDifference(file.path, file.current, file.wanted)),
    ...files.flatMap((file) => fileDifference(file.path, undefined, file.content)),
  ].join('\n')
}

/** `MTU 1500 → 9000` as two lines of a diff. */
export function asLines(difference: string): string[] {
  const parts = /^(.*?) (\S.*|) → (.*)$/.exec(difference)
  if (parts === null) return [`+${difference}`]
  // What is set begins with words; its old value is the rest.
  const what = /^(HTTP proxy|HTTPS proxy|no proxy for|host name|\S+)/.exec(difference)?.[0] ?? ''
  const [before = '', after = ''] = difference.slice(what.length + 1).split(' → ')
  return [`-${what} ${before}`, `+${what} ${after}`]
}
