/**
 * Proves an address on machines of a laboratory, until somebody kills it: `prove-until-killed.ts ADDRESS LIFETIME NODES`,
 * the nodes as JSON. Writes each change on a line of its own before it begins.
 */
import { systemClock } from '../../main/engine/clock.ts'
import { proveAddress, type ProofNode } from '../../main/network/proof-of-life/index.ts'
import { namespaceRunner } from './proof-lab.ts'

export type NodeInNamespace = Omit<ProofNode, 'runner'> & { readonly namespace: string }

const [address = '', lifetime = '', nodes = '[]'] = process.argv.slice(2)
const signal = new AbortController().signal
await proveAddress({
  address,
  lifetimeSeconds: Number(lifetime),
  nodes: (JSON.parse(nodes) as NodeInNamespace[]).map(({ namespace, ...node }) => ({
    ...node,
    runner: namespaceRunner(node.name, namespace, 'iproute2-and-iputils'),
  })),
  clock: systemClock,
  signal,
  change: (node, key, _what, act) => {
    process.stdout.write(`${node} ${key}\n`)
    return act(signal)
  },
})
process.stdout.write('finished\n')
