export { checkNodes } from './node-checks.ts'
export { checkReach } from './reach-check.ts'
export { checkVip, type VipFindings } from './vip-checks.ts'
export { checkWorkstation } from './workstation-checks.ts'
