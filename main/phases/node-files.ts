import { cloudConfig } from '../appliance/host-configuration/index.ts'
import type { Plan, PlanNode } from '../../shared/plan/index.ts'

/** A file on the node that Landfall owns, and the service that reads it. */
export interface NodeFile {
  readonly path: string
  readonly content: string
  /** Restarted after the file was written; `null`: nothing is. */
  readonly unit: string | null
  /** In words, what it sets. */
  readonly what: string
}

/**
 * Settings that the agent's API cannot set, as drop-ins for systemd. `/etc/systemd` survives a restart of the node
 * (palette.md §6.2).
 */
export function wantedFiles(plan: Plan, node: PlanNode): NodeFile[] {
  return [timeServers(plan, node), nameResolution(plan, node), authorizedKeys(plan)].filter(
    (file) => file !== undefined,
  )
}

/** timesyncd.conf(5) */
function timeServers(plan: Plan, node: PlanNode): NodeFile | undefined {
  const servers = node.ntp ?? plan.site.ntp
  if (servers.length === 0) return undefined
  return {
    path: '/etc/systemd/timesyncd.conf.d/50-landfall.conf',
    content: `[Time]\nNTP=${servers.join(' ')}\n`,
    unit: 'systemd-timesyncd',
    what: `time servers ${servers.join(' ')}`,
  }
}

/** resolved.conf(5). Name servers of an interface that Landfall configures are set with the interface. */
function nameResolution(plan: Plan, node: PlanNode): NodeFile | undefined {
  const dns = node.dns ?? plan.site.dns
  const servers =
    node.nic.mode === 'keep' ? [dns.primary, dns.alternate].filter((server) => server !== null) : []
  const lines = [
    ...(servers.length === 0 ? [] : [`DNS=${servers.join(' ')}`]),
    ...(dns.searchDomain === null ? [] : [`Domains=${dns.searchDomain}`]),
  ]
  if (lines.length === 0) return undefined
  return {
    path: '/etc/systemd/resolved.conf.d/50-landfall.conf',
    content: `[Resolve]\n${lines.join('\n')}\n`,
    unit: 'systemd-resolved',
    what: [
      ...(servers.length === 0 ? [] : [`DNS ${servers.join(' ')}`]),
      ...(dns.searchDomain === null ? [] : [`search domain ${dns.searchDomain}`]),
    ].join(', '),
  }
}

/** Keys of the node's account, added again at each boot should its home get lost. */
function authorizedKeys({ access }: Plan): NodeFile | undefined {
  if (access.authorizedKeys.length === 0) return undefined
  return {
    path: '/oem/97_landfall_ssh_keys.yaml',
    content: cloudConfig({ name: 'SSH keys', authorized_keys: { [access.user]: access.authorizedKeys } }),
    unit: null,
    what: `SSH keys of ${access.user}`,
  }
}
