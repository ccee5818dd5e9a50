export { catalogue, definitionOf, isCheckId, planCheckIds, type CheckId } from './catalogue/index.ts'
export { acknowledge, acceptedWarningSchema, mayBeAcknowledged, type AcceptedWarning } from './acknowledge.ts'
export { checkReportSchema, summaryOf, type CheckReport } from './check-report.ts'
export {
  checkResultSchema,
  isBlocking,
  isStale,
  needsAcknowledgement,
  resultOf,
  type CheckResult,
  type CheckState,
  type Finding,
} from './check-result.ts'
export type { CheckSeverity } from './definition.ts'
