import type { SiteContext } from './site.ts'
import { mostProofNodes, openRunners } from './vip-vantages.ts'

/** What the nodes say of themselves. */
interface OwnMachines {
  /** Their IPv4 addresses, on every interface, and whose they are: "an address of n2". */
  readonly addresses: ReadonlyMap<string, string>
  /** Their MAC addresses, lower case with colons, and their names. */
  readonly macs: ReadonlyMap<string, string>
}

/**
 * Asks the nodes that may have held the virtual IP address for their addresses. A neighbour table remembers for some seconds
 * who had an address; what it remembers of one of these nodes is compared with what the node itself says. A node that does
 * not tell is left out: then its MAC address counts like a stranger's.
 *
 * @throws as `openRunners`
 */
export async function readOwnMachines(context: SiteContext): Promise<OwnMachines> {
  const { signal } = context
  const { open } = await openRunners(context, mostProofNodes)
  const addresses = new Map<string, string>()
  const macs = new Map<string, string>()
  if (open.length === 0) return { addresses, macs }
  const { readNodeState } = await import('../network/proof-of-life/node-state.ts')
  const { unlessUnreachable } = await import('../network/proof-of-life/unless-unreachable.ts')
  await Promise.all(
    open.map(async ({ node, runner }) => {
      const place = { name: node.name, runner, interface: '', mac: '', address: node.address }
      const state = await unlessUnreachable(signal, readNodeState(place, signal), () => undefined)
      if (state?.kind !== 'read') return
      for (const { address } of state.addresses) addresses.set(address, `an address of ${node.name}`)
      for (const mac of state.macs.values()) if (mac !== '') macs.set(mac, node.name)
    }),
  )
  return { addresses, macs }
}
