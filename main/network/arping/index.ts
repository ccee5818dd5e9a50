export { announceCommand, type ArpingCommand } from './arping-command.ts'
export { detectArping, type ArpingVariant, type UsableArping } from './detect-arping.ts'
export { probeWithArping, type ProbeAddressesOptions } from './probe-addresses.ts'
export { readAnnouncement } from './read-arping.ts'
