import type { RunEvent } from '../../../shared/events/index.ts'
import { planSchema, type Plan } from '../../../shared/plan/index.ts'
import { createManualClock, type ManualClock } from '../../engine/testing/manual-clock.ts'
import type { Phase } from '../../engine/phase.ts'
import { executeRun, type RunOptions, type RunResult } from '../../engine/run.ts'
import {
  factsAt,
  simulatedVantage,
  type SimulatedHost,
  type SimulatedSegment,
} from '../../network/discovery/testing/simulated-segment.ts'
import type { Vantage } from '../../network/discovery/vantage.ts'
import type { Site, WorkstationView } from '../site.ts'

/** A plan of three nodes in a network of fourteen hosts. */
export function vipPlan(site: Record<string, unknown> = {}): Plan {
  return planSchema.parse({
    version: 1,
    site: { name: 'rig-7', network: '10.0.0.0/28', gateway: '10.0.0.1', vip: 'auto', ...site },
    access: { newPassword: { generate: 'node' } },
    nodes: [2, 3, 4].map((last, index) => ({
      name: `n${index + 1}`,
      address: `10.0.0.${last}`,
      leader: index === 0,
    })),
    cluster: { name: 'palette', registry: { password: { generate: 'registry' } } },
    console: { email: 'ops@example.com', newPassword: { env: 'CONSOLE_PASSWORD' } },
  })
}

/** What is on the network besides the plan, and what the leader says. */
export interface VipWorld {
  readonly plan?: Plan
  readonly hosts?: Record<string, SimulatedHost>
  readonly segment?: Partial<SimulatedSegment>
  /** Virtual IP address of the cluster that the leader has. */
  readonly clusterVip?: string
  /** Where the workstation is; `undefined` where it is no place to look from. */
  readonly workstation?: string | undefined
}

export interface VipSite {
  readonly site: Site
  readonly clock: ManualClock
  /** Addresses that somebody asked for, method by method. */
  readonly asked: { readonly method: string; readonly addresses: readonly string[] }[]
  /** Who joins the network later. */
  readonly hosts: Map<string, readonly SimulatedHost[]>
  readonly run: (
    phases: readonly Phase<Site>[],
    options?: Partial<RunOptions<Site>>,
  ) => Promise<{ readonly result: RunResult; readonly events: readonly RunEvent[] }>
}

/** The part of a run's world that the phases of the virtual IP address see. SSH is closed on all nodes. */
export function vipSite(world: VipWorld = {}): VipSite {
  const plan = world.plan ?? vipPlan()
  const clock = createManualClock()
  clock.runFree(120_000)
  const hosts = new Map<string, readonly SimulatedHost[]>(
    Object.entries(world.hosts ?? {}).map(([address, host]) => [address, [host]]),
  )
  const asked: { method: string; addresses: readonly string[] }[] = []
  const address = 'workstation' in world ? world.workstation : '10.0.0.9'
  const vantage = (own: string): Vantage =>
    simulatedVantage(
      { ...world.segment, hosts },
      {
        name: 'workstation',
        kind: 'workstation',
        facts: factsAt(own, 28),
        clock,
        onAsk: (method, addresses) => asked.push({ method, addresses }),
      },
    )
  const workstation: WorkstationView =
    address === undefined
      ? { kind: 'elsewhere', reason: 'it is somewhere else' }
      : {
          kind: 'here',
          vantage: () => Promise.resolve(vantage(address)),
          reach: { reach: () => Promise.resolve({ arp: 'unknown', macs: [], ip: 'silent', detail: '' }) },
        }
  const cluster = () =>
    Promise.resolve(
      world.clusterVip === undefined
        ? undefined
        : {
            metadata: { name: 'palette' },
            spec: {
              cloudConfig: {
                spec: { clusterConfig: { controlPlaneEndpoint: { host: world.clusterVip } } },
              },
            },
          },
    )
  const site = {
    plan,
    vip: plan.site.vip === 'auto' ? undefined : plan.site.vip,
    vipSeenFreeAt: undefined,
    isVipRaised: false,
    workstation,
    nodes: {
      localApi: () => Promise.resolve({ cluster }),
      ssh: () => Promise.resolve({ kind: 'closed', reason: 'the server allows keys only' }),
    },
  } as unknown as Site
  return {
    site,
    clock,
    asked,
    hosts,
    run: async (phases, options = {}) => {
      const events: RunEvent[] = []
      const result = await executeRun({
        runId: 'run-1',
        plan,
        planDigest: 'a'.repeat(64),
        services: site,
        mode: 'apply',
        clock,
        signal: new AbortController().signal,
        redact: (text) => text,
        onEvent: (event) => events.push(event),
        ...options,
        phases,
      })
      return { result, events }
    },
  }
}

export function eventsOf<T extends RunEvent['type']>(
  events: readonly RunEvent[],
  type: T,
): Extract<RunEvent, { type: T }>[] {
  return events.filter((event): event is Extract<RunEvent, { type: T }> => event.type === type)
}
