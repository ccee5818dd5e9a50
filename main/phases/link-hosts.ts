import { AppError } from '../../shared/errors/index.ts'
import type { LinkPeer, LinkStatus, LinkToken } from '../appliance/index.ts'
import { nodePhase } from '../engine/phase.ts'
import { leaderOf, type Site, type SiteNodeContext } from './site.ts'

/** A token with less life left is not used: it may expire on its way (checks.md, link.token-life). */
const leastTokenLifeSeconds = 15

interface Facts {
  /** The follower's own view; `undefined`: not linked. */
  readonly own: LinkStatus | undefined
  readonly peer: LinkPeer | undefined
}

/** Links every follower to the leader, with a token fetched for it just before. */
export const linkHosts = nodePhase<Site, Facts>({
  id: 'link-hosts',
  title: 'Link the nodes to the leader',
  expectedSeconds: 60,
  deadlineSeconds: 45 * 60,
  work: 'api',
  concerns: (node) => !node.leader,
  gather: gatherLink,
  assumeFresh: () => ({ own: undefined, peer: undefined }),
  select: (_context, { own, peer }) =>
    peer !== undefined && is(own?.status, 'completed')
      ? { kind: 'already-done', statement: 'The node is linked', seen: describe(peer) }
      : { kind: 'needed' },
  apply: async (context, facts) => {
    const { node, services } = context
    const leader = leaderOf(services.plan)
    // A link that was asked for and is under way, or complete, is not asked for again.
    const isAskedFor = ['pending', 'inprogress', 'completed'].some((status) => is(facts.own?.status, status))
    if (!isAskedFor) {
      await context.change('link', `link to the leader ${leader.name}`, async (signal) => {
        const token = await freshToken(context)
        if (token === undefined) return
        const follower = await services.nodes.localApi(context, node)
        await follower.link(token.token, { signal }).catch(anotherTokenIfExpired)
      })
    }
    await context.waitFor(
      {
        until: `${node.name} is linked to ${leader.name}`,
        everySeconds: 5,
        softSeconds: 10 * 60,
        deadlineSeconds: 30 * 60,
        remedies: [
          `Make sure that ${node.name} reaches ${leader.name} on port ${leader.localUi.port} (firewall, VLAN).`,
          'Look at "Linked Edge Hosts" in the Local UI of both nodes.',
        ],
      },
      async () => {
        const { own, peer } = await gatherLink(context)
        if (is(own?.status, 'failed')) throw linkFailed(context, own)
        if (peer !== undefined && is(own?.status, 'completed')) return { kind: 'ready', value: undefined }
        return {
          kind: 'waiting',
          detail: `Link: ${own?.status ?? 'not begun'}${peer === undefined ? '' : `; the leader sees: ${describe(peer)}`}`,
        }
      },
    )
  },
  verify: async (context) => {
    const { peer } = await gatherLink(context)
    context.evidence('The node is linked', peer === undefined ? 'seen by itself only' : describe(peer))
  },
})

async function gatherLink(context: SiteNodeContext): Promise<Facts> {
  const { node, services, signal } = context
  const follower = await services.nodes.localApi(context, node)
  const [own, seenByLeader] = await Promise.all([
    follower.linkStatus({ signal }),
    services.leaderView(context),
  ])
  return { own, peer: peerOf(context, seenByLeader) }
}

/** The row of this node in the leader's table, found by the id of its edge host, else by its address. */
export function peerOf(context: SiteNodeContext, seenByLeader: LinkStatus | undefined): LinkPeer | undefined {
  const { node, services } = context
  const uid = services.facts.get(node.name)?.uid
  const address = services.nodes.addressOf(node)
  return (
    seenByLeader?.peers.find((peer) => uid !== undefined && peer.id === uid) ??
    seenByLeader?.peers.find((peer) => peer.ip === address)
  )
}

async function freshToken(context: SiteNodeContext): Promise<LinkToken | undefined> {
  const leader = await context.services.nodes.localApi(context, leaderOf(context.services.plan))
  return context.waitFor(
    {
      until: 'the leader has a link token with enough life left',
      everySeconds: 5,
      deadlineSeconds: 300,
      remedies: ['Open "Linked Edge Hosts" in the Local UI of the leader: does it generate tokens?'],
    },
    async (signal) => {
      const token = await leader.generateLinkToken({ signal })
      const life = token.remainingTime ?? token.interval ?? 0
      return life >= leastTokenLifeSeconds
        ? { kind: 'ready', value: token }
        : { kind: 'waiting', detail: `The link token expires in ${life} s; waiting for the next one` }
    },
  )
}

/** A token that expired on its way is refused like any bad request; the next attempt fetches a fresh one. */
function anotherTokenIfExpired(error: unknown): never {
  if (error instanceof AppError && error.code === 'REQUEST_REFUSED' && /token/i.test(error.detail)) {
    throw new AppError({
      code: 'LINK_FAILED',
      title: `${error.node ?? 'The node'} did not accept the link token.`,
      detail: error.detail,
      remedies: [
        'A token lives two minutes: compare the clocks of the nodes, then go on with --resume.',
        'Open "Linked Edge Hosts" in the Local UI of the leader: does it generate tokens?',
      ],
      node: error.node,
      isTransient: true,
      cause: error,
    })
  }
  throw error
}

/** Transient, because a token may have expired on its way: the next attempt fetches another one. */
function linkFailed({ node }: SiteNodeContext, own: LinkStatus | undefined): AppError {
  return new AppError({
    code: 'LINK_FAILED',
    title: `${node.name} could not be linked.`,
    detail: own?.errorMessage ?? 'The node gives no reason.',
    remedies: [
      'Check that both nodes run the same version, reach each other on port 5080 and belong to no cluster.',
      'If the node is linked to another leader, unlink it in its Local UI.',
    ],
    node: node.name,
    isTransient: true,
  })
}

/**
 * Whether the leader can use the peer; right after linking it may still be fetching content. A node that is in use
 * belongs to the cluster already: it restarts during the deployment, hence may look unhealthy.
 */
export function isReady(peer: LinkPeer): boolean {
  return is(peer.status, 'inuse') || (is(peer.status, 'ready') && is(peer.health?.status, 'healthy'))
}

function describe(peer: LinkPeer): string {
  return `status ${peer.status ?? '?'}, content ${peer.contentSyncStatus ?? '?'}, health ${peer.health?.status ?? '?'}`
}

/** The words of peers are free text and differ in case between releases (palette.md §4.1). */
function is(value: string | undefined, word: string): boolean {
  return value?.toLowerCase().replace(/[^a-z]/g, '') === word
}
