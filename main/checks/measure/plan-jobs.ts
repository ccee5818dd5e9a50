import type { CheckId } from '../../../shared/checks/index.ts'
import type { Plan, PlanNode } from '../../../shared/plan/index.ts'
import type { DnsPurpose } from './measurements.ts'
import { dnsQuestion, ntpQuestion, reverseName } from './messages.ts'
import type { Job } from './script.ts'

/** What of a node is measured for which checks. */
const needs = {
  clock: ['clock.skew', 'ws.clock'],
  own: ['net.same-l2', 'net.ip-collision', 'net.ip-free', 'net.mtu-path'],
  peer: ['net.majority-group', 'net.latency', 'net.loss', 'net.mtu-path', 'net.same-l2'],
  ports: ['net.majority-group', 'net.ports-node'],
  gateway: ['net.gateway-answers'],
  dns: ['dns.servers-answer', 'dns.wildcard', 'dns.registry', 'dns.forward-reverse'],
  ntp: ['ntp.servers-answer'],
  proxy: ['proxy.reach'],
  registry: ['reg.reach'],
  disk: ['node.disk-speed'],
  dhcp: ['net.duplicate-dhcp'],
  owners: ['net.ip-collision'],
  plannedAddresses: ['net.ip-free'],
} as const satisfies Record<string, readonly CheckId[]>

type Subject = keyof typeof needs

/** All checks that `measureNodes` can answer. */
export const measuredChecks: readonly CheckId[] = [...new Set(Object.values(needs).flat())]

export function isNeeded(subject: Subject, asked: readonly CheckId[]): boolean {
  return needs[subject].some((id) => asked.includes(id))
}

/** What is asked of a node, and what each answer is for; both lists go side by side. */
export type Purpose =
  | { readonly for: 'own' | 'gateway' | 'disk' | 'dhcp' | 'registry-address' }
  | { readonly for: 'peer' | 'ports'; readonly peer: string }
  | {
      readonly for: 'dns'
      readonly server: string
      readonly purpose: DnsPurpose
      readonly name: string
      readonly id: number
    }
  | { readonly for: 'ntp'; readonly server: string }
  | { readonly for: 'proxy'; readonly url: string; readonly port: number }
  | { readonly for: 'registry-port'; readonly url: string; readonly port: number }
  | { readonly for: 'registry-web'; readonly url: string }

export interface PlannedJob {
  readonly job: Job
  readonly purpose: Purpose
}

export interface JobContext {
  readonly plan: Plan
  readonly asked: readonly CheckId[]
  readonly node: {
    readonly name: string
    readonly mtu: number | undefined
    readonly interface: string | undefined
  }
  readonly peers: readonly { readonly name: string; readonly address: string }[]
  readonly isDiskSpeedAsked: boolean
  readonly asksDhcp: boolean
  /** Letters and digits that nobody has as a name. */
  readonly label: string
  /** 0 to 65535. */
  readonly randomId: () => number
}

export function jobsOf(context: JobContext): PlannedJob[] {
  const { plan, asked, node, peers } = context
  const jobs: PlannedJob[] = []
  const add = (job: Job, purpose: Purpose) => jobs.push({ job, purpose })
  if (isNeeded('own', asked)) add({ kind: 'own' }, { for: 'own' })
  if (isNeeded('gateway', asked))
    add({ kind: 'gateway', address: gatewayOf(plan, node.name) }, { for: 'gateway' })
  jobs.push(...serviceJobs(context))
  for (const { name: peer, address } of peers) {
    if (isNeeded('peer', asked)) {
      add({ kind: 'peer', address, mtu: node.mtu ?? 1500 }, { for: 'peer', peer })
    }
  }
  for (const { name: peer, address } of peers) {
    if (isNeeded('ports', asked)) {
      add(
        { kind: 'ports', address, ports: portsOf(plan, peer).map(({ port }) => port) },
        { for: 'ports', peer },
      )
    }
  }
  if (isNeeded('disk', asked) && context.isDiskSpeedAsked) add({ kind: 'disk' }, { for: 'disk' })
  if (isNeeded('dhcp', asked) && context.asksDhcp && node.interface !== undefined) {
    add({ kind: 'dhcp', interface: node.interface }, { for: 'dhcp' })
  }
  return jobs
}

/** Name servers, time servers, proxy and registry: what the plan says that the node will use. */
function serviceJobs({ plan, asked, node, label, randomId }: JobContext): PlannedJob[] {
  const jobs: PlannedJob[] = []
  if (isNeeded('dns', asked)) {
    const questions = dnsNames(plan, node.name, label)
    for (const server of dnsServersOf(plan, node.name)) {
      for (const { purpose, name } of questions) {
        const id = randomId()
        const payload = dnsQuestion(id, name, purpose === 'reverse' ? 'PTR' : 'A')
        jobs.push({
          job: { kind: 'datagram', host: server, port: 53, payload },
          purpose: { for: 'dns', server, purpose, name, id },
        })
      }
    }
  }
  const registry = externalRegistry(plan)
  if (isNeeded('dns', asked) && registry?.name !== undefined && dnsServersOf(plan, node.name).length === 0) {
    jobs.push({ job: { kind: 'lookup', name: registry.name }, purpose: { for: 'registry-address' } })
  }
  if (isNeeded('ntp', asked)) {
    for (const server of ntpServersOf(plan, node.name)) {
      const payload = ntpQuestion()
      jobs.push({
        job: { kind: 'datagram', host: server, port: 123, payload },
        purpose: { for: 'ntp', server },
      })
    }
  }
  if (isNeeded('proxy', asked)) {
    for (const { url, host, port } of proxiesOf(plan)) {
      jobs.push({
        job: { kind: 'ports', address: host, ports: [port] },
        purpose: { for: 'proxy', url, port },
      })
    }
  }
  if (isNeeded('registry', asked) && registry !== undefined) {
    const { url, host, port } = registry
    jobs.push(
      { job: { kind: 'ports', address: host, ports: [port] }, purpose: { for: 'registry-port', url, port } },
      { job: { kind: 'web', url }, purpose: { for: 'registry-web', url } },
    )
  }
  return jobs
}

function dnsNames(plan: Plan, node: string, label: string): { purpose: DnsPurpose; name: string }[] {
  const domain = searchDomainOf(plan, node)
  const { vip } = plan.site
  const { rootDomain } = plan.cluster.registry
  const registry = externalRegistry(plan)?.name
  return [
    // RFC 6761: every server knows localhost. A name of the site is better: its server need not ask anybody else.
    { purpose: 'alive', name: domain ?? 'localhost' },
    ...(domain === undefined
      ? []
      : [
          { purpose: 'wildcard' as const, name: `${label}.${domain}` },
          // What a resolver makes of the name above when it is written without a dot at its end.
          { purpose: 'wildcard' as const, name: `${label}.${domain}.${domain}` },
        ]),
    ...(registry === undefined ? [] : [{ purpose: 'registry' as const, name: registry }]),
    ...(vip === 'auto' ? [] : [{ purpose: 'reverse' as const, name: reverseName(vip) }]),
    ...(vip === 'auto' || rootDomain === undefined || isAddress(rootDomain)
      ? []
      : [{ purpose: 'forward' as const, name: rootDomain }]),
  ]
}

export interface NodePort {
  readonly port: number
  readonly service: string
  /** Documented by the vendor (palette.md §1.1); the others are what the parts of the cluster are known to use. */
  readonly isDocumented: boolean
}

/** TCP ports of a node that the other nodes must reach. */
export function portsOf(plan: Plan, node: string): NodePort[] {
  const planned = plannedNode(plan, node)
  const { registry } = plan.cluster
  const documented = [
    { port: planned?.ssh.port ?? 22, service: 'SSH' },
    { port: planned?.localUi.port ?? 5080, service: 'Local UI' },
    { port: 443, service: 'system console' },
    { port: 6443, service: 'Kubernetes API' },
    { port: registry.inCluster ? registry.port : 30003, service: 'registry' },
  ]
  const known = [
    { port: 2379, service: 'etcd clients' },
    { port: 2380, service: 'etcd peers' },
    { port: 10250, service: 'kubelet' },
    { port: 3366, service: 'storage, LINSTOR satellite' },
    { port: 3367, service: 'storage, LINSTOR satellite' },
    { port: 3370, service: 'storage, LINSTOR controller' },
  ]
  const all = [
    ...documented.map((one) => ({ ...one, isDocumented: true })),
    ...known.map((one) => ({ ...one, isDocumented: false })),
  ]
  return all.filter(({ port }, index) => all.findIndex((other) => other.port === port) === index)
}

export function plannedNode(plan: Plan, name: string): PlanNode | undefined {
  return plan.nodes.find((node) => node.name === name)
}

/** The name servers that the plan gives to the node. */
export function dnsServersOf(plan: Plan, node: string): string[] {
  const { primary, alternate } = plannedNode(plan, node)?.dns ?? plan.site.dns
  return [...new Set([primary, alternate].filter((server) => server !== null))]
}

export function searchDomainOf(plan: Plan, node: string): string | undefined {
  return (plannedNode(plan, node)?.dns ?? plan.site.dns).searchDomain ?? undefined
}

export function ntpServersOf(plan: Plan, node: string): string[] {
  return [...new Set(plannedNode(plan, node)?.ntp ?? plan.site.ntp)]
}

export function proxiesOf(plan: Plan): { url: string; host: string; port: number }[] {
  const { proxy } = plan.site
  const urls = [proxy?.http, proxy?.https].filter((url) => url !== null && url !== undefined)
  return [...new Set(urls)].map((url) => {
    const { hostname, port, protocol } = new URL(url)
    return { url, host: hostname, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) }
  })
}

/** `name`: its host, when that is not an address. `undefined`: the registry is inside of the cluster. */
export function externalRegistry(
  plan: Plan,
): { url: string; host: string; port: number; name: string | undefined } | undefined {
  const { inCluster, endpoint: host, port } = plan.cluster.registry
  if (inCluster || host === undefined) return undefined
  return { url: `https://${host}:${port}/v2/`, host, port, name: isAddress(host) ? undefined : host }
}

/** Of the plan; empty when it names none. The node's own default route comes first. */
function gatewayOf(plan: Plan, node: string): string {
  return plannedNode(plan, node)?.nic.gateway ?? plan.site.gateway ?? ''
}

function isAddress(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/u.test(text)
}
