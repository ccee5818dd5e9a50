import { AppError } from '../../shared/errors/index.ts'
import type { Finding } from '../../shared/checks/index.ts'
import { beforeConfiguration, checkNodes } from '../checks/index.ts'
import { sitePhase } from '../engine/phase.ts'
import { refuseBlocking } from './refuse-blocking.ts'
import type { Site } from './site.ts'

/** Refuses nodes that are not what the plan says, before anything on them is altered. */
export const checkFacts = sitePhase<Site, readonly Finding[]>({
  id: 'check-nodes',
  title: 'Compare the nodes with the plan',
  expectedSeconds: 2,
  work: 'wait',
  gather: ({ services }) => {
    const unread = services.plan.nodes.filter((node) => !services.facts.has(node.name))
    // Only a dry run gets this far without the facts of every node.
    if (unread.length > 0) return Promise.reject(factsMissing(unread.map((node) => node.name)))
    const findings = checkNodes(services.plan, [...services.facts.values()])
    return Promise.resolve(beforeConfiguration(services.plan, findings))
  },
  assumeFresh: () => [],
  apply: (context, results) => {
    refuseBlocking(context, results)
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
