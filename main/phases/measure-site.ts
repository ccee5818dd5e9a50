import type { CheckId, Finding } from '../../shared/checks/index.ts'
import type { Measurements } from '../checks/measure/index.ts'
import { controlPlaneHosts } from '../appliance/cluster-configuration.ts'
import type { Site, SiteContext } from './site.ts'
import { openRunners, type AbsentPlace, type NodeRunner } from './vip-vantages.ts'

export interface MeasureRequest {
  readonly only?: ReadonlySet<CheckId>
  /** Writes some megabytes to a disk of every node, and removes them. */
  readonly isDiskSpeedAsked: boolean
  readonly onFindings?: (findings: readonly Finding[]) => void
}

export interface SiteMeasurement {
  readonly measurements: Measurements
  readonly findings: readonly Finding[]
}

/**
 * Measures the network between the nodes, their clocks and disks, and judges what came of it. A node without SSH is told
 * as such: nothing about it passes.
 */
export async function measureSite(context: SiteContext, request: MeasureRequest): Promise<SiteMeasurement> {
  const { services, clock, signal } = context
  const { plan } = services
  const { open, absent } = await openRunners(context, plan.nodes.length)
  // Loaded only by those who measure.
  const { checkMeasurements, measureNodes } = await import('../checks/measure/index.ts')
  const controlPlane = new Set(controlPlaneHosts(plan).map((host) => host.node))
  const measurements = await measureNodes({
    plan,
    nodes: open.map((place) => ({
      name: place.node.name,
      address: services.nodes.addressOf(place.node),
      runner: place.runner,
      isControlPlane: controlPlane.has(place.node.name),
      ...interfaceOf(services, place),
    })),
    clock,
    signal,
    isDiskSpeedAsked: request.isDiskSpeedAsked,
    ...(request.only === undefined ? {} : { only: request.only }),
    ...(request.onFindings === undefined ? {} : { onFindings: request.onFindings }),
    onProgress: (detail, fraction) => {
      context.progress(detail, fraction)
    },
  })
  const findings = [...checkMeasurements(plan, measurements), ...absent.map(notMeasured)]
  return { measurements, findings }
}

/** The interface that carries the node's address; the node finds it out itself where its facts were not read. */
function interfaceOf(
  { facts, nodes }: Site,
  { node }: NodeRunner,
): { interface: string | undefined; mtu: number | undefined } {
  const host = facts.get(node.name)?.host
  const interfaces = host?.kind === 'read' ? host.collected.facts.network.interfaces : undefined
  if (interfaces?.kind !== 'read') return { interface: undefined, mtu: undefined }
  const address = nodes.addressOf(node)
  const found = interfaces.value.find(
    ({ addresses }) => addresses.kind === 'read' && addresses.value.some((one) => one.address === address),
  )
  return { interface: found?.name, mtu: found?.mtu }
}

function notMeasured({ name, reason }: AbsentPlace): Finding {
  return {
    id: 'net.majority-group',
    target: name,
    state: 'could-not-run',
    measured: `nothing was measured from there: ${reason}`,
    threshold: 'reaches every other node, and is reached',
    evidence: 'SSH',
    remedy: 'Give a key in access.sshKey, or switch on the password login of SSH on this node.',
  }
}
