export { checkResultSchema, isBlocking, type CheckResult } from './check-result.ts'
