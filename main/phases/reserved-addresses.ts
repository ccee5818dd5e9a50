import { parseAddress } from '../../shared/plan/ipv4.ts'
import type { Plan } from '../../shared/plan/index.ts'

/** Addresses that the plan gives to something else than the VIP, and to what: "the gateway". Names are not looked up. */
export function reservedAddresses(plan: Plan): Map<string, string> {
  const reserved = new Map<string, string>()
  const add = (text: string | null | undefined, owner: string) => {
    if (text != null && parseAddress(text) !== undefined) reserved.set(text, owner)
  }
  const { site, cluster, nodes } = plan
  for (const server of [...site.ntp, ...(cluster.ntp ?? []), ...nodes.flatMap((node) => node.ntp ?? [])]) {
    add(server, 'a time server of the plan')
  }
  for (const dns of [site.dns, ...nodes.map((node) => node.dns)]) {
    add(dns?.primary, 'a name server of the plan')
    add(dns?.alternate, 'a name server of the plan')
  }
  add(hostOf(site.proxy?.http), 'the proxy of the plan')
  add(hostOf(site.proxy?.https), 'the proxy of the plan')
  add(cluster.registry.endpoint, 'the registry of the plan')
  add(cluster.registry.rootDomain, 'the root domain of the plan')
  add(site.gateway, 'the gateway of the plan')
  for (const node of nodes) {
    add(node.nic.gateway, `the gateway of ${node.name}`)
    add(node.nic.address, `the planned address of ${node.name}`)
    add(node.address, `the address of ${node.name}`)
  }
  if (site.vip !== 'auto') reserved.delete(site.vip)
  return reserved
}

function hostOf(url: string | null | undefined): string | undefined {
  return url == null ? undefined : new URL(url).hostname
}
