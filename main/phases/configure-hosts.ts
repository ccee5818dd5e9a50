import { AppError } from '../../shared/errors/index.ts'
import { fileDifference } from '../appliance/host-configuration/index.ts'
import type { HostConfigurations } from '../appliance/index.ts'
import { nodePhase } from '../engine/phase.ts'
import { authorizedKeysFile, missingKeys, withKeys } from './authorized-keys.ts'
import {
  applyNetwork,
  asLines,
  gatherNetwork,
  networkDifferences,
  plannedInterface,
  type NetworkFacts,
} from './configure-hosts-network.ts'
import { proxyDifferences, wantedProxy } from './host-settings.ts'
import { wantedFiles, type NodeFile } from './node-files.ts'
import { NodeShell } from './node-shell.ts'
import { finalHostNameOf, vipOf, type Site, type SiteNodeContext } from './site.ts'

/** Persistent cloud-config of the node's operating system; applied in lexical order at each boot (palette.md §6.2). */
const hostNameFile = '/oem/95_landfall_hostname.yaml'

function hostNameConfig(hostName: string): string {
  return `#cloud-config\nstages:\n  initramfs:\n    - name: Host name\n      hostname: ${hostName}\n`
}

interface Facts {
  readonly hostName: string | undefined
  readonly network: NetworkFacts
  readonly proxy: HostConfigurations | undefined
  /** Base64 of the PEM files that the plan names. */
  readonly wantedCaCerts: readonly string[]
  /** Files that the plan wants on the node, with what is there now; `undefined`: nothing. */
  readonly files: readonly { readonly wanted: NodeFile; readonly content: string | undefined }[]
  /** The account's own authorized_keys; `undefined`: none, or the plan names no keys. */
  readonly authorizedKeys: string | undefined
}

/** Host name, network, time servers and proxy as the plan says. Addresses are final before hosts are linked: they cannot change after. */
export const configureHosts = nodePhase<Site, Facts>({
  id: 'configure-hosts',
  title: 'Configure host name, network, time and proxy',
  expectedSeconds: 60,
  work: 'ssh',
  // A node that puts its settings back, and slow waits of the agent, have their own deadlines.
  deadlineSeconds: 2400,
  gather: gatherSettings,
  assumeFresh: (context) => ({
    hostName: undefined,
    network: { currentAddress: context.node.address, interfaces: [], system: undefined, files: [] },
    authorizedKeys: undefined,
    proxy: { httpProxy: '', httpsProxy: '', noProxy: '', caCerts: [] },
    wantedCaCerts: [],
    files: wantedFiles(context.services.plan, context.node).map((wanted) => ({ wanted, content: undefined })),
  }),
  select: (context, facts) =>
    hostNameDiffers(context, facts) ||
    networkDifferences(context, facts.network).length > 0 ||
    proxyChanges(context, facts).length > 0 ||
    fileChanges(facts).length > 0 ||
    keysToAdd(context, facts).length > 0
      ? { kind: 'needed' }
      : {
          kind: 'already-done',
          statement: 'Host name, network, time and proxy are as planned',
          seen: seenOf(context, facts),
        },
  apply: async (context, facts) => {
    await applyHostName(context, facts)
    await applyFiles(context, facts)
    await applyKeys(context, facts)
    await applyProxy(context, facts)
    // Last, because the connection may be lost with the old address.
    await applyNetwork(context, facts.network)
  },
  verify: async (context) => {
    const facts = await gatherSettings(context)
    const open = [
      ...(hostNameDiffers(context, facts)
        ? [`host name ${facts.hostName ?? 'unknown'} → ${finalHostNameOf(context.node)}`]
        : []),
      ...networkDifferences(context, facts.network),
      ...proxyChanges(context, facts),
      ...fileChanges(facts).map((file) => file.what),
      ...keysToAdd(context, facts).map((key) => `SSH key ${key.split(' ')[2] ?? key.slice(0, 30)}`),
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
  // First: it may have to wait until the node is where it will stay.
  const network = await gatherNetwork(context)
  const client = await services.nodes.localApi(context, node)
  const { proxy } = services.plan.site
  const [edgeHost, configurations, wantedCaCerts, files, authorizedKeys] = await Promise.all([
    client.edgeHost({ signal }),
    proxy === null ? undefined : client.configurations({ signal }),
    readCaCerts(services, proxy?.caCerts ?? []),
    readFiles(context),
    readKeys(context),
  ])
  return {
    hostName: edgeHost.status?.hostName,
    network,
    proxy: configurations,
    wantedCaCerts,
    files,
    authorizedKeys,
  }
}

async function readFiles(context: SiteNodeContext): Promise<Facts['files']> {
  const wanted = wantedFiles(context.services.plan, context.node)
  if (wanted.length === 0) return []
  const shell = await NodeShell.open(context, wanted.map((file) => file.what).join(', '))
  return Promise.all(wanted.map(async (file) => ({ wanted: file, content: await shell.read(file.path) })))
}

async function readKeys(context: SiteNodeContext): Promise<string | undefined> {
  const { access } = context.services.plan
  if (access.authorizedKeys.length === 0) return undefined
  const shell = await NodeShell.open(context, 'SSH keys')
  return shell.read(authorizedKeysFile(access.user))
}

function keysToAdd(context: SiteNodeContext, facts: Facts): string[] {
  return missingKeys(facts.authorizedKeys ?? '', context.services.plan.access.authorizedKeys)
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

function proxyChanges(context: SiteNodeContext, facts: Facts): string[] {
  const wanted = wantedProxy(context.services.plan, vipOf(context), facts.wantedCaCerts)
  return wanted === undefined || facts.proxy === undefined ? [] : proxyDifferences(facts.proxy, wanted)
}

async function applyHostName(context: SiteNodeContext, facts: Facts): Promise<void> {
  if (!hostNameDiffers(context, facts)) return
  const { node, services } = context
  const wanted = finalHostNameOf(node)
  const difference = `host name ${facts.hostName ?? '(unknown)'} → ${wanted}`
  await context.change(
    'host-name',
    withLines(context, `set the ${difference}`, () => [
      ...asLines(difference),
      ...fileDifference(hostNameFile, undefined, hostNameConfig(wanted)),
    ]),
    async (signal) => {
      const shell = await NodeShell.open(context, `The host name ${wanted}`)
      // The persistent part first: if the node restarts in between, it comes back with the new name.
      await shell.install(hostNameFile, hostNameConfig(wanted), '0600', signal)
      await shell.root(signal, 'hostnamectl', ['set-hostname', wanted])
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
  for (const { wanted: file, content } of facts.files) {
    if (content === file.content) continue
    const what = withLines(context, `set ${file.what} (${file.path})`, () =>
      fileDifference(file.path, content, file.content),
    )
    await context.change(`file ${file.path}`, what, async (signal) => {
      const shell = await NodeShell.open(context, file.what)
      await shell.install(file.path, file.content, '0644', signal)
      if (file.unit !== null) await shell.root(signal, 'systemctl', ['restart', file.unit])
    })
  }
}

async function applyKeys(context: SiteNodeContext, facts: Facts): Promise<void> {
  const keys = keysToAdd(context, facts)
  if (keys.length === 0) return
  const { user } = context.services.plan.access
  const path = authorizedKeysFile(user)
  const content = withKeys(facts.authorizedKeys ?? '', keys)
  const what = withLines(
    context,
    `add ${keys.length} SSH key${keys.length === 1 ? '' : 's'} for ${user}`,
    () => fileDifference(path, facts.authorizedKeys, content),
  )
  await context.change('authorized-keys', what, async (signal) => {
    const shell = await NodeShell.open(context, 'SSH keys')
    await shell.installOwn(path, content, signal)
  })
}

/** In a dry run, with what changes line by line. */
function withLines({ mode }: SiteNodeContext, what: string, lines: () => readonly string[]): string {
  return mode === 'dry-run' ? [what, ...lines()].join('\n') : what
}

async function applyProxy(context: SiteNodeContext, facts: Facts): Promise<void> {
  const { node, services } = context
  const differences = proxyChanges(context, facts)
  const wanted = wantedProxy(services.plan, vipOf(context), facts.wantedCaCerts)
  if (differences.length === 0 || wanted === undefined) return
  const what =
    context.mode === 'dry-run'
      ? ['set the proxy', ...differences.flatMap(asLines)].join('\n')
      : `set the proxy: ${differences.join('; ')}`
  await context.change('proxy', what, async (signal) => {
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

function seenOf({ node, services }: SiteNodeContext, facts: Facts): string {
  const nic = plannedInterface(node, facts.network)
  return [
    `host name ${facts.hostName ?? '?'}`,
    nic === undefined
      ? `address ${facts.network.currentAddress}`
      : `${nic.name ?? '?'} ${nic.type ?? '?'} ${nic.ip ?? '?'}, gateway ${nic.gateway ?? 'none'}, DNS ${nic.nameservers.join(' ') || 'none'}`,
    ...(services.plan.site.proxy === null
      ? []
      : [`proxy ${facts.proxy?.httpsProxy ?? facts.proxy?.httpProxy ?? 'none'}`]),
    ...facts.files.map(({ wanted }) => wanted.what),
  ].join('; ')
}
