import type { Finding } from '../../shared/checks/index.ts'
import { checkWorkstation } from '../checks/index.ts'
import { sitePhase } from '../engine/phase.ts'
import { refuseBlocking } from './refuse-blocking.ts'
import type { Site } from './site.ts'

/**
 * Looks at this workstation and at the files that the plan names, first of all: what is missing here must not be found
 * out an hour later, when its turn comes. Large files are not read through, only opened.
 */
export const checkThisWorkstation = sitePhase<Site, readonly Finding[]>({
  id: 'check-workstation',
  title: 'Check this workstation and the files of the plan',
  expectedSeconds: 1,
  work: 'wait',
  gather: ({ services }) =>
    checkWorkstation(services.plan, {
      stateFolder: services.runFolder,
      fileOfPlan: services.fileOfPlan,
    }),
  assumeFresh: () => [],
  apply: (context, results) => {
    refuseBlocking(context, results)
    context.evidence('All files of the plan can be read', results.map((result) => result.target).join(', '))
    return Promise.resolve()
  },
})
