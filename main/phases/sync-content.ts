import type { LinkPeer } from '../appliance/index.ts'
import { nodePhase } from '../engine/phase.ts'
import { isReady, peerOf } from './link-hosts.ts'
import type { Site, SiteNodeContext } from './site.ts'

const minute = 60

/** Waits until the followers have the content of the leader (palette.md §1.6: Content = Synced). */
export const syncContent = nodePhase<Site, LinkPeer | undefined>({
  id: 'sync-content',
  title: 'Wait until the content is on all nodes',
  expectedSeconds: 6 * minute,
  deadlineSeconds: 4 * 60 * minute,
  work: 'wait',
  concerns: (node) => !node.leader,
  gather: seenPeer,
  assumeFresh: () => undefined,
  select: (_context, peer) =>
    isSynced(peer)
      ? { kind: 'already-done', statement: 'The content is synced', seen: describe(peer) }
      : { kind: 'needed' },
  apply: async (context) => {
    const started = context.clock.now()
    await context.waitFor(
      {
        until: `the content of the leader is on ${context.node.name}`,
        everySeconds: 10,
        softSeconds: 20 * minute,
        // Content of 20 GB over a slow network takes long, and nothing is gained by giving up early.
        deadlineSeconds: 3 * 60 * minute,
        remedies: [
          'Look at "Linked Edge Hosts" in the Local UI of the leader.',
          'Content that never syncs: blobs of size zero in /usr/local/spectrocloud/peerbundle/sha256 of the leader; remove them and restart stylus-agent.',
        ],
      },
      async () => {
        const peer = await seenPeer(context)
        if (isSynced(peer)) return { kind: 'ready', value: undefined }
        const elapsed = (context.clock.now() - started) / 1000
        return { kind: 'waiting', detail: describe(peer), fraction: Math.min(0.95, elapsed / (6 * minute)) }
      },
    )
  },
  verify: async (context) => {
    context.evidence('The content is synced', describe(await seenPeer(context)))
  },
})

async function seenPeer(context: SiteNodeContext): Promise<LinkPeer | undefined> {
  return peerOf(context, await context.services.leaderView(context))
}

function isSynced(peer: LinkPeer | undefined): boolean {
  return peer?.contentSyncStatus?.toLowerCase() === 'synced' && isReady(peer)
}

function describe(peer: LinkPeer | undefined): string {
  return peer === undefined
    ? 'The leader does not list the node'
    : `Content: ${peer.contentSyncStatus ?? '?'}; status: ${peer.status ?? '?'}; health: ${peer.health?.status ?? '?'}`
}
