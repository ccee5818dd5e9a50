import { minutes5, type CheckDefinition } from '../definition.ts'

/** Checks of the virtual IP address that somebody has to measure (checks.md §3.5). */
export const vipChecks = {
  'vip.free': {
    title: 'Nobody has the virtual IP address',
    severity: 'block',
    fixStep: 'network',
    ageLimitSeconds: minutes5,
  },
  'vip.not-vrrp-mac': {
    title: 'No virtual router has the virtual IP address',
    severity: 'block',
    fixStep: 'network',
    ageLimitSeconds: minutes5,
  },
  'vip.proxy-arp': {
    title: 'No router answers for addresses that nobody has',
    severity: 'warn',
    fixStep: null,
    ageLimitSeconds: minutes5,
  },
  'vip.not-in-dhcp-pool': {
    title: 'No DHCP server gives the virtual IP address away',
    severity: 'warn',
    fixStep: 'network',
    ageLimitSeconds: minutes5,
  },
  'vip.subnet-room': {
    title: 'Network has room for the virtual IP address and a spare one',
    severity: 'warn',
    fixStep: 'network',
    ageLimitSeconds: minutes5,
  },
  'vip.reachable': {
    title: 'The virtual IP address works in this network',
    severity: 'block',
    fixStep: 'network',
    ageLimitSeconds: minutes5,
  },
} as const satisfies Record<string, CheckDefinition>
