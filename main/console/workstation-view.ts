import type { Plan } from '../../shared/plan/index.ts'
import type { Clock } from '../engine/clock.ts'
import { systemDialler } from '../network/dialler.ts'
import type { WorkstationView } from '../phases/site.ts'
import { createWorkstationReach } from '../phases/workstation-reach.ts'

/** Of a run on the practice lab: addresses of the plan must not be looked for in the network of this workstation. */
export const practiceView: WorkstationView = {
  kind: 'elsewhere',
  reason: "the practice lab's network is not this workstation's",
}

/** Of a run on a real site. */
export function realView(plan: Plan, clock: Clock): WorkstationView {
  const ports = new Set(plan.nodes.flatMap((node) => [node.ssh.port, node.localUi.port]))
  return {
    kind: 'here',
    vantage: async () => {
      // Loaded only by those who look: parsers of a dozen programs hang on it.
      const { createWorkstationVantage } = await import('../network/discovery/workstation-vantage.ts')
      return createWorkstationVantage({ clock })
    },
    reach: createWorkstationReach(systemDialler, [...ports]),
  }
}
