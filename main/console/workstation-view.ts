import type { Clock } from '../engine/clock.ts'
import { systemDialler } from '../network/dialler.ts'
import { reachByDialler } from '../network/proof-of-life/workstation-reach.ts'
import type { WorkstationView } from '../phases/site.ts'

/** Of a run on the practice lab: addresses of the plan must not be looked for in the network of this workstation. */
export const practiceView: WorkstationView = {
  kind: 'elsewhere',
  reason: "the practice lab's network is not this workstation's",
}

/** Of a run on a real site. */
export function realView(clock: Clock): WorkstationView {
  return {
    kind: 'here',
    vantage: async () => {
      // Loaded only by those who look: parsers of a dozen programs hang on it.
      const { createWorkstationVantage } = await import('../network/discovery/workstation-vantage.ts')
      return createWorkstationVantage({ clock })
    },
    reach: reachByDialler(systemDialler),
  }
}
