import { nodePhase } from '../engine/phase.ts'
import type { Site, SiteNodeContext } from './site.ts'

const minute = 60

/** Waits until the node's own installation is over and its Local UI answers (palette.md §4.2 for the durations). */
export const waitForInstall = nodePhase<Site, { isReady: boolean }>({
  id: 'wait-for-install',
  title: 'Wait until the nodes are installed',
  expectedSeconds: 22 * minute,
  deadlineSeconds: 125 * minute,
  work: 'wait',
  gather: async (context) => ({ isReady: await isLocalUiReady(context) }),
  assumeFresh: () => ({ isReady: false }),
  select: (context, facts) =>
    facts.isReady
      ? { kind: 'already-done', statement: 'The Local UI answers', seen: seenOf(context) }
      : { kind: 'needed' },
  apply: async (context) => {
    const started = context.clock.now()
    await context.waitFor(
      {
        until: 'the Local UI answers',
        everySeconds: 10,
        softSeconds: 60 * minute,
        deadlineSeconds: 120 * minute,
        remedies: [
          'Look at the console of the machine: is it still installing, did it start the ISO again, has it an address?',
          'Eject the ISO when the installation is over; restart the machine; then go on with --resume.',
        ],
      },
      async () => {
        if (await isLocalUiReady(context)) return { kind: 'ready', value: undefined }
        const elapsed = (context.clock.now() - started) / 1000
        return {
          kind: 'waiting',
          detail: 'Installing: the Local UI does not answer yet',
          fraction: Math.min(0.95, elapsed / (22 * minute)),
        }
      },
    )
  },
  verify: async (context) => {
    const client = await context.services.nodes.client(context, context.node)
    await client.ping({ signal: context.signal })
    context.evidence('The Local UI answers', seenOf(context))
  },
})

async function isLocalUiReady(context: SiteNodeContext): Promise<boolean> {
  try {
    const client = await context.services.nodes.client(context, context.node)
    await client.ping({ signal: context.signal })
    return true
  } catch (error) {
    if (!isTransient(error) || context.mode === 'dry-run') throw error
    return false
  }
}

function isTransient(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'isTransient' in error && error.isTransient === true
}

function seenOf(context: SiteNodeContext): string {
  const { node, services } = context
  return `GET https://${services.nodes.addressOf(node)}:${node.localUi.port}/v1/ping answered`
}
