import { AppError } from '../../shared/errors/index.ts'
import { isBlocking, type CheckResult } from '../../shared/checks/index.ts'
import { checkNodes } from '../checks/index.ts'
import { sitePhase } from '../engine/phase.ts'
import type { Site } from './site.ts'

/** Refuses nodes that are not what the plan says, before anything on them is altered. */
export const checkFacts = sitePhase<Site, readonly CheckResult[]>({
  id: 'check-nodes',
  title: 'Compare the nodes with the plan',
  expectedSeconds: 2,
  work: 'wait',
  gather: ({ services }) => {
    const unread = services.plan.nodes.filter((node) => !services.facts.has(node.name))
    // Only a dry run gets this far without the facts of every node.
    if (unread.length > 0) return Promise.reject(factsMissing(unread.map((node) => node.name)))
    return Promise.resolve(checkNodes(services.plan, [...services.facts.values()]))
  },
  assumeFresh: () => [],
  apply: (context, results) => {
    const blocking = results.filter(isBlocking)
    if (blocking.length > 0) throw refusal(blocking)
    for (const result of results.filter((candidate) => candidate.state !== 'pass')) {
      context.warn(
        `${result.target}: ${result.title}: ${result.measured} (should be ${result.threshold}). ${result.remedy}`,
      )
    }
    if (results.length > 0) {
      context.evidence('The nodes are what the plan says', `${results.length} checks passed, none blocks`)
    }
    return Promise.resolve()
  },
})

function factsMissing(names: readonly string[]): AppError {
  return new AppError({
    code: 'FACTS_MISSING',
    title: 'Nodes that were not read cannot be compared with the plan.',
    detail: names.join(', '),
    remedies: ['Switch the nodes on and start again.'],
    isTransient: true,
  })
}

function refusal(blocking: readonly CheckResult[]): AppError {
  const targets = new Set(blocking.map((result) => result.target))
  return new AppError({
    code: 'CHECK_BLOCKS',
    title: blocking.length === 1 ? 'A check does not pass.' : `${blocking.length} checks do not pass.`,
    detail: blocking
      .map((result) => `${result.target}: ${result.title}: ${result.measured}; must be: ${result.threshold}.`)
      .join(' '),
    remedies: [...new Set(blocking.map((result) => `${result.target}: ${result.remedy}`))],
    node: targets.size === 1 && !targets.has('all nodes') ? [...targets][0] : undefined,
  })
}
