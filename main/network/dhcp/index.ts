export { askDhcp } from './ask-dhcp.ts'
export { likelyPool } from './likely-pool.ts'
