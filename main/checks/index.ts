export { checkNodes } from './node-checks.ts'
export { reachResult } from './reach-check.ts'
export { checkWorkstation } from './workstation-checks.ts'
