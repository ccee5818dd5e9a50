import { AppError } from '../../shared/errors/index.ts'
import type { HostConfigurations, NetworkInterface } from '../appliance/index.ts'
import { nodePhase } from '../engine/phase.ts'
import {
  interfaceDifferences,
  interfaceOf,
  proxyDifferences,
  wantedInterface,
  wantedProxy,
} from './host-settings.ts'
import { wantedFiles, type NodeFile } from './node-files.ts'
import { NodeShell } from './node-shell.ts'
import { finalAddressOf, finalHostNameOf, vipOf, type Site, type SiteNodeContext } from './site.ts'

/** Persistent cloud-config of the node's operating system; applied in lexical order at each boot (palette.md §6.2). */
const hostNameFile = '/oem/95_landfall_hostname.yaml'

function hostNameConfig(hostName: string): string {
  return `#cloud-config\nstages:\n  initramfs:\n    - name: Host name\n      hostname: ${hostName}\n`
}

interface Facts {
  readonly hostName: string | undefined
  /** `undefined`: this agent has no network API (palette.md §7.3). */
  readonly interfaces: readonly NetworkInterface[] | undefined
  readonly currentAddress: string
  readonly proxy: HostConfigurations | undefined
  /** Base64 of the PEM files that the plan names. */
  readonly wantedCaCerts: readonly string[]
  /** Files that the plan wants on the node, with what is there now; `undefined`: nothing. */
  readonly files: readonly { readonly wanted: NodeFile; readonly content: string | undefined }[]
}

/** Host name, network, time servers and proxy as the plan says. Addresses are final before hosts are linked: they cannot change after. */
export const configureHosts = nodePhase<Site, Facts>({
  id: 'configure-hosts',
  title: 'Configure host name, network, time and proxy',
  expectedSeconds: 60,
  work: 'ssh',
  gather: gatherSettings,
  assumeFresh: (context) => ({
    hostName: undefined,
    interfaces: [],
    currentAddress: context.node.address,
    proxy: { httpProxy: '', httpsProxy: '', noProxy: '', caCerts: [] },
    wantedCaCerts: [],
    files: wantedFiles(context.services.plan, context.node).map((wanted) => ({ wanted, content: undefined })),
  }),
  select: (context, facts) =>
    hostNameDiffers(context, facts) ||
    networkDifferences(context, facts).length > 0 ||
    proxyChanges(context, facts).length > 0 ||
    fileChanges(facts).length > 0
      ? { kind: 'needed' }
      : {
          kind: 'already-done',
          statement: 'Host name, network, time and proxy are as planned',
          seen: seenOf(context, facts),
        },
  apply: async (context, facts) => {
    await applyHostName(context, facts)
    await applyFiles(context, facts)
    await applyProxy(context, facts)
    // Last, because the connection may be lost with the old address.
    await applyNetwork(context, facts)
  },
  verify: async (context) => {
    const facts = await gatherSettings(context)
    const open = [
      ...(hostNameDiffers(context, facts)
        ? [`host name ${facts.hostName ?? 'unknown'} → ${finalHostNameOf(context.node)}`]
        : []),
      ...networkDifferences(context, facts),
      ...proxyChanges(context, facts),
      ...fileChanges(facts).map((file) => file.what),
    ]
    if (open.length > 0) {
      throw new AppError({
        code: 'CONFIGURATION_NOT_APPLIED',
        title: `${context.node.name} does not show the configuration that was set.`,
        detail: `Still different: ${open.join('; ')}.`,
        remedies: [
          'Go on with --resume: the node may only have been slow.',
          'Look at the network page of its Local UI.',
        ],
        node: context.node.name,
      })
    }
    context.evidence('Host name, network, time and proxy are as planned', seenOf(context, facts))
  },
})

async function gatherSettings(context: SiteNodeContext): Promise<Facts> {
  const { node, services, signal } = context
  const client = await services.nodes.localApi(context, node)
  const { proxy } = services.plan.site
  const [edgeHost, network, configurations, wantedCaCerts, files] = await Promise.all([
    client.edgeHost({ signal }),
    client.networkInterfaces({ signal }),
    proxy === null ? undefined : client.configurations({ signal }),
    readCaCerts(services, proxy?.caCerts ?? []),
    readFiles(context),
  ])
  return {
    hostName: edgeHost.status?.hostName,
    interfaces: network.kind === 'supported' ? network.interfaces : undefined,
    currentAddress: services.nodes.addressOf(node),
    proxy: configurations,
    wantedCaCerts,
    files,
  }
}

async function readFiles(context: SiteNodeContext): Promise<Facts['files']> {
  const wanted = wantedFiles(context.services.plan, context.node)
  if (wanted.length === 0) return []
  const shell = await NodeShell.open(context, wanted.map((file) => file.what).join(', '))
  return Promise.all(wanted.map(async (file) => ({ wanted: file, content: await shell.read(file.path) })))
}

function fileChanges(facts: Facts): NodeFile[] {
  return facts.files.flatMap(({ wanted, content }) => (content === wanted.content ? [] : [wanted]))
}

async function readCaCerts(site: Site, files: readonly string[]): Promise<string[]> {
  return Promise.all(files.map(async (file) => (await site.readFile(file)).toString('base64')))
}

function hostNameDiffers({ node }: SiteNodeContext, facts: Facts): boolean {
  return facts.hostName !== finalHostNameOf(node)
}

function networkDifferences(context: SiteNodeContext, facts: Facts): string[] {
  const { node, services } = context
  const wanted = wantedInterface(services.plan, node)
  if (wanted === undefined) return []
  if (facts.interfaces === undefined) {
    throw new AppError({
      code: 'NETWORK_API_MISSING',
      title: `The agent of ${node.name} cannot configure the network through its API.`,
      detail: 'GET /v1/edge-mgmt/network/interfaces is not offered by this version.',
      remedies: [
        'Set address, mask, gateway, MTU and DNS in the text interface of the node (command palette-tui).',
        `Then set nodes "${node.name}": nic.mode: keep in the plan and go on with --resume.`,
      ],
      node: node.name,
    })
  }
  const nic = interfaceOf(node, facts.currentAddress, facts.interfaces)
  if (nic !== undefined) return interfaceDifferences(nic, wanted)
  // Only a dry run of an unreachable node has no interfaces at all.
  if (context.mode === 'dry-run')
    return [`set to ${wanted.type}${wanted.ip === undefined ? '' : ` ${wanted.ip}`}`]
  throw new AppError({
    code: 'NIC_NOT_FOUND',
    title: `${node.name} has no network interface as the plan names it.`,
    detail: `Looked for ${node.nic.name === 'auto' ? `the one with ${facts.currentAddress}` : node.nic.name}; there are: ${
      facts.interfaces
        .map((candidate) => `${candidate.name ?? '?'} (${candidate.ip ?? 'no address'})`)
        .join(', ') || 'none'
    }.`,
    remedies: [`Correct nodes "${node.name}": nic.name in the plan.`],
    node: node.name,
  })
}

function proxyChanges(context: SiteNodeContext, facts: Facts): string[] {
  const wanted = wantedProxy(context.services.plan, vipOf(context), facts.wantedCaCerts)
  return wanted === undefined || facts.proxy === undefined ? [] : proxyDifferences(facts.proxy, wanted)
}

async function applyHostName(context: SiteNodeContext, facts: Facts): Promise<void> {
  if (!hostNameDiffers(context, facts)) return
  const { node, services } = context
  const wanted = finalHostNameOf(node)
  await context.change(
    'host-name',
    `set the host name ${facts.hostName ?? '(unknown)'} → ${wanted}`,
    async (signal) => {
      const shell = await NodeShell.open(context, `The host name ${wanted}`)
      // The persistent part first: if the node restarts in between, it comes back with the new name.
      await shell.install(hostNameFile, hostNameConfig(wanted), '0600', signal)
      await shell.root(`hostnamectl set-hostname ${wanted}`, signal)
    },
  )
  await context.waitFor(
    {
      until: `the Local UI shows the host name ${wanted}`,
      everySeconds: 3,
      deadlineSeconds: 300,
      remedies: ['Compare `hostname` on the node with what its Local UI shows.'],
    },
    async (signal) => {
      const client = await services.nodes.localApi(context, node)
      const shown = (await client.edgeHost({ signal })).status?.hostName
      return shown === wanted
        ? { kind: 'ready', value: undefined }
        : { kind: 'waiting', detail: `The Local UI still shows the host name ${shown ?? '(none)'}` }
    },
  )
}

async function applyFiles(context: SiteNodeContext, facts: Facts): Promise<void> {
  for (const file of fileChanges(facts)) {
    await context.change(`file ${file.path}`, `set ${file.what} (${file.path})`, async (signal) => {
      const shell = await NodeShell.open(context, file.what)
      await shell.install(file.path, file.content, '0644', signal)
      await shell.root(`systemctl restart ${file.unit}`, signal)
    })
  }
}

async function applyProxy(context: SiteNodeContext, facts: Facts): Promise<void> {
  const { node, services } = context
  const differences = proxyChanges(context, facts)
  const wanted = wantedProxy(services.plan, vipOf(context), facts.wantedCaCerts)
  if (differences.length === 0 || wanted === undefined) return
  await context.change('proxy', `set the proxy: ${differences.join('; ')}`, async (signal) => {
    const client = await services.nodes.localApi(context, node)
    await client.setConfigurations(wanted, { signal })
  })
  await context.waitFor(
    {
      until: 'the node has applied the proxy settings',
      everySeconds: 3,
      deadlineSeconds: 600,
      remedies: ['Look at "HTTP Proxy" in the Local UI of the node; correct site.proxy in the plan.'],
    },
    async (signal) => {
      const client = await services.nodes.localApi(context, node)
      const { state, errorMessage } = await client.configurationStatus({ signal })
      if (state?.toLowerCase() === 'failed') {
        throw new AppError({
          code: 'PROXY_REFUSED',
          title: `${node.name} could not apply the proxy settings.`,
          detail: errorMessage ?? 'No reason was given.',
          remedies: ['Correct site.proxy in the plan, then go on with --resume.'],
          node: node.name,
        })
      }
      return state?.toLowerCase() === 'configured'
        ? { kind: 'ready', value: undefined }
        : { kind: 'waiting', detail: `Proxy settings: ${state ?? 'unknown'}` }
    },
  )
}

async function applyNetwork(context: SiteNodeContext, facts: Facts): Promise<void> {
  const { node, services } = context
  const differences = networkDifferences(context, facts)
  const wanted = wantedInterface(services.plan, node)
  if (differences.length === 0 || wanted === undefined) return
  const nic = interfaceOf(node, facts.currentAddress, facts.interfaces ?? [])
  const name = nic?.name ?? node.nic.name
  await context.change(
    'network',
    `set network interface ${name}: ${differences.join(', ')}`,
    async (signal) => {
      const client = await services.nodes.localApi(context, node)
      await client.setNetworkInterface(name, wanted, { signal })
    },
  )
  if (context.mode === 'dry-run') return
  const moves = facts.currentAddress !== finalAddressOf(node)
  if (moves) await services.nodes.forget(node)
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
      const seen = await gatherSettings(context)
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

function seenOf({ node, services }: SiteNodeContext, facts: Facts): string {
  const nic = interfaceOf(node, facts.currentAddress, facts.interfaces ?? [])
  return [
    `host name ${facts.hostName ?? '?'}`,
    nic === undefined
      ? `address ${facts.currentAddress}`
      : `${nic.name ?? '?'} ${nic.type ?? '?'} ${nic.ip ?? '?'}, gateway ${nic.gateway ?? 'none'}, DNS ${nic.nameservers.join(' ') || 'none'}`,
    ...(services.plan.site.proxy === null
      ? []
      : [`proxy ${facts.proxy?.httpsProxy ?? facts.proxy?.httpProxy ?? 'none'}`]),
    ...facts.files.map(({ wanted }) => wanted.what),
  ].join('; ')
}
