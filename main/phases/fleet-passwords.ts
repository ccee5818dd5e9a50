import type { PhaseContext } from '../engine/phase.ts'
import { nodePasswordChange } from './node-access.ts'
import type { Site } from './site.ts'

/** Which password a node has, as far as the journal of this run tells. */
type PasswordState = 'old' | 'new-proven' | 'new-unproven' | 'unknown'

/** Reads it from what was changed and what was accepted since; tries nothing. */
function passwordStateOf(
  { history, services }: Pick<PhaseContext<Site>, 'history' | 'services'>,
  node: string,
): PasswordState {
  const { user } = services.plan.access
  const change = history.change(nodePasswordChange.phase, node, nodePasswordChange.key)
  const accepted = history.lastAccepted(node, user)
  if (accepted === 'new') return 'new-proven'
  switch (change) {
    case 'done':
      return 'new-unproven'
    case 'unknown':
      return 'unknown'
    case 'never':
    case 'failed':
      return accepted === 'initial' ? 'old' : 'unknown'
  }
}

const words: Record<PasswordState, string> = {
  old: 'the old password',
  'new-proven': 'the new password, and a login with it was accepted',
  'new-unproven': 'the new password, not proven yet',
  unknown: 'not known: the answer of the node was lost, or nobody has logged in yet',
}

/** One sentence for each group of nodes, for an operator who must know now which password goes where. */
export function describeFleet(context: Pick<PhaseContext<Site>, 'history' | 'services'>): string {
  const groups = new Map<PasswordState, string[]>()
  for (const { name } of context.services.plan.nodes) {
    const state = passwordStateOf(context, name)
    groups.set(state, [...(groups.get(state) ?? []), name])
  }
  return [...groups].map(([state, nodes]) => `${nodes.join(', ')}: ${words[state]}.`).join(' ')
}
