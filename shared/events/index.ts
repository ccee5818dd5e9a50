export { emptyRunView, foldEvent, foldEvents, remainingSeconds } from './fold.ts'
export type { PhaseView, RunView, Status, TargetView } from './fold.ts'
export { runEventSchema, type NewRunEvent, type RunEvent, type RunOutcome } from './schema.ts'
