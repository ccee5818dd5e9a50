export { checkNodes } from './node-checks.ts'
export { reachResult } from './reach-check.ts'
export { checkVip, type VipFindings } from './vip-checks.ts'
export { checkWorkstation } from './workstation-checks.ts'
