import type { Remedy } from './remedy.ts'
import { setMtu } from './set-mtu.ts'
import { stepClock } from './step-clock.ts'
import { wipeDataDisk } from './wipe-data-disk.ts'

export type { Remedy, RemedyContext, RemedyOutcome, RemedyPlan } from './remedy.ts'

/** What Landfall can put right on a node by itself, each tied to the checks that find it. */
export const remedies: readonly Remedy[] = [stepClock, wipeDataDisk, setMtu]
