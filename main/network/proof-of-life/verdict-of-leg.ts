import type { ProofLeg } from './proof.ts'

/** Something was heard, or surely not heard, that makes the address useless from there. */
export function isFailed(leg: ProofLeg): boolean {
  return leg.arp === 'other' || leg.arp === 'silent' || leg.ip === 'silent'
}

/** The holder answered. The workstation's way may be routed: IP must do there. */
export function isProven(leg: ProofLeg): boolean {
  return (
    leg.ip === 'reached' && (leg.arp === 'owner' || (leg.arp === 'unknown' && leg.vantage === 'workstation'))
  )
}

/** What failed, for the operator; not the end of a sentence yet. */
export function failureText({ arp, ip, from, to }: ProofLeg): string {
  if (arp === 'other') return `${from} heard another machine answer for it while ${to} held it`
  return ip === 'reached'
    ? `${from} asked for it by ARP in vain while ${to} held it`
    : `${from} did not reach it at ${to}`
}
