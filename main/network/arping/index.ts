export { announceCommand } from './arping-command.ts'
export { detectArping, type ArpingVariant } from './detect-arping.ts'
export { probeWithArping } from './probe-addresses.ts'
