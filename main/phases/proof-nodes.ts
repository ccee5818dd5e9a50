import { AppError } from '../../shared/errors/index.ts'
import { parseAddress } from '../../shared/plan/ipv4.ts'
import type { ProofNode } from '../network/proof-of-life/proof.ts'
import type { SiteContext } from './site.ts'
import { mostProofNodes, openRunners, type AbsentPlace, type NodeRunner } from './vip-vantages.ts'

/** Nodes that can take part in a proof of the address, and why the others do not. */
export async function openProofNodes(
  context: SiteContext,
  address: string,
): Promise<{ readonly nodes: readonly ProofNode[]; readonly absent: readonly AbsentPlace[] }> {
  const { open, absent } = await openRunners(context, mostProofNodes)
  const nodes: ProofNode[] = []
  const others = [...absent]
  const results = await Promise.all(open.map((node) => attachedNode(context, node, address)))
  for (const result of results) {
    if ('reason' in result) others.push(result)
    else nodes.push(result)
  }
  const further = context.services.plan.nodes.length - open.length - absent.length
  if (further > 0)
    others.push({ name: `${further} further nodes`, reason: `${mostProofNodes} take part at most` })
  return { nodes, absent: others }
}

async function attachedNode(
  { signal }: SiteContext,
  { node, runner }: NodeRunner,
  address: string,
): Promise<ProofNode | AbsentPlace> {
  const { attachmentOf, readVantageFacts } = await import('../network/discovery/vantage-facts.ts')
  const number = parseAddress(address)
  if (number === undefined) throw new TypeError(`${address} is no IPv4 address.`)
  try {
    const facts = await readVantageFacts(runner, signal)
    const attachment = attachmentOf(facts, { first: number, last: number })
    const nic = facts.interfaces.find(
      ({ name }) => 'interface' in attachment && name === attachment.interface,
    )
    if (!('interface' in attachment) || nic?.mac === undefined) {
      return { name: node.name, reason: `no interface is attached to the network of ${address}` }
    }
    return { name: node.name, runner, interface: nic.name, mac: nic.mac, address: attachment.address }
  } catch (error) {
    if (!(error instanceof AppError) || error.isTransient) throw error
    return { name: node.name, reason: error.message }
  }
}
