import { nodePhase } from '../engine/phase.ts'
import { describeHostKey } from '../ssh/index.ts'
import { readNodeFacts, type NodeFacts } from './node-facts.ts'
import type { Site } from './site.ts'

/** Pins the identities, logs in once, and reads the facts that the later phases decide upon. Alters nothing. */
export const connectNodes = nodePhase<Site, NodeFacts | undefined>({
  id: 'connect-nodes',
  title: 'Connect to the nodes and read their facts',
  expectedSeconds: 30,
  work: 'ssh',
  gather: readNodeFacts,
  assumeFresh: () => undefined,
  apply: (context, facts) => {
    if (facts === undefined) return Promise.resolve()
    context.services.facts.set(context.node.name, facts)
    if (facts.host.kind === 'closed') context.warn(`SSH cannot be used: ${facts.host.reason}`)
    const hostKey = context.services.nodes.hostKey(context.node)
    if (hostKey !== undefined) context.evidence('Its SSH host key was compared', describeHostKey(hostKey))
    const hardware = facts.edgeHost.spec?.hardwareSpec
    context.evidence(
      'The node is known',
      `edge host ${facts.uid}, ${hardware?.cpu?.cores ?? '?'} processors, ${hardware?.memory?.sizeInMB ?? '?'} MiB, ` +
        `agent ${facts.edgeHost.status?.agentVersion ?? '?'}, host name ${facts.edgeHost.status?.hostName ?? '?'}`,
    )
    return Promise.resolve()
  },
})
