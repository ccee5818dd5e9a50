import { AppError } from '../../shared/errors/index.ts'
import { foldEvents, type RunEvent } from '../../shared/events/index.ts'

/** Paths whose values differ between two plans, e.g. `site.vip`, `nodes[1].address`. */
export function changedPaths(before: unknown, after: unknown, path = ''): string[] {
  if (Object.is(before, after)) return []
  if (isContainer(before) && isContainer(after) && Array.isArray(before) === Array.isArray(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    return keys.flatMap((key) => {
      const child = Array.isArray(before) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`
      return changedPaths(valueOf(before, key), valueOf(after, key), child)
    })
  }
  return [path]
}

/**
 * Refuses changes of the plan that the site cannot follow any more: the cluster's definition once it was asked for,
 * addresses and the list of nodes once hosts are linked (a linked host's address is fixed, palette.md §1.1 P7; one that
 * left the plan would stay linked). To write the address into the plan that was found for `vip: auto` is no change.
 */
export function refuseFrozenChanges(
  changed: readonly string[],
  events: readonly RunEvent[],
  /** `site.vip` as the plan says it now. */
  vip: string,
): void {
  const begun = new Set(events.flatMap((event) => (event.type === 'change-started' ? [event.phase] : [])))
  const { chosenVip } = foldEvents(events)
  const frozen = changed.filter(
    (path) =>
      !(path === 'site.vip' && vip === chosenVip) &&
      ((begun.has('deploy-cluster') && /^(cluster|site\.vip|site\.network|nodes)\b/.test(path)) ||
        (begun.has('link-hosts') && /^(nodes\[\d+\](\.(address|nic|leader)\b|$)|site\.network)/.test(path))),
  )
  if (frozen.length === 0) return
  throw new AppError({
    code: 'PLAN_FROZEN',
    title: 'The plan was changed where the site cannot follow any more.',
    detail: `Changed since this run began, and fixed by now: ${frozen.join(', ')}.`,
    remedies: [
      'Change these values back to what the run began with, then go on with --resume.',
      'To install with other values, delete the cluster and unlink the hosts in the Local UI first, then use --fresh.',
    ],
  })
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function valueOf(container: object, key: string): unknown {
  return Object.entries(container).find(([name]) => name === key)?.[1]
}
