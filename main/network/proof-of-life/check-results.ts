import type { Finding } from '../../../shared/checks/index.ts'
import { assertNever } from '../../../shared/errors/index.ts'
import type { ProofLeg, ProofReport } from './proof.ts'
import { failureText, isFailed } from './verdict-of-leg.ts'

/**
 * The proof as results of the check `vip.reachable`: one for each leg that failed, and a summary. A node that cannot
 * reach the address blocks; the workstation warns only, because its way may be filtered or routed.
 */
export function toFindings(report: ProofReport): Finding[] {
  return [...report.legs.filter(isFailed).map((leg) => legResult(report, leg)), summary(report)]
}

const id = 'vip.reachable' as const
const threshold =
  'reached from every other node and the workstation at each of two holders, by the MAC of the holder'
const evidence =
  'raised on a node for some seconds (ip address with a lifetime), asked by arping, ping and TCP'

function legResult(report: ProofReport, leg: ProofLeg): Finding {
  return {
    id,
    target: `${leg.from} → ${leg.to}`,
    severity: leg.vantage === 'node' ? 'block' : 'warn',
    state: 'fail',
    title: `${report.address}: ${failureText(leg)}`,
    measured: `ARP ${leg.arp}${leg.macs.length > 0 ? ` (${leg.macs.join(', ')})` : ''}, IP ${leg.ip}: ${leg.detail}`,
    threshold: `ARP answered by ${leg.to} alone, IP reached`,
    evidence,
    remedy: leg.arp === 'other' ? remedies.conflict : remedies.unreachable[leg.vantage],
  }
}

function summary(report: ProofReport): Finding {
  const base = {
    id,
    target: report.address,
    measured: [report.reason, ...report.warnings].join(' '),
    threshold,
    evidence,
  }
  switch (report.outcome) {
    case 'works':
      return {
        ...base,
        severity: 'block',
        state: 'pass',
        title: 'The virtual IP works on this network',
        remedy: '',
      }
    case 'conflict':
      return {
        ...base,
        severity: 'block',
        state: 'fail',
        title: 'Somebody else answers for the virtual IP',
        remedy: remedies.conflict,
      }
    case 'unreachable': {
      const vantage = isWorkstationOnly(report) ? 'workstation' : 'node'
      return {
        ...base,
        severity: vantage === 'node' ? 'block' : 'warn',
        state: 'fail',
        title: 'The virtual IP is not reached from everywhere',
        remedy: report.legs.some(isFailed) ? remedies.unreachable[vantage] : remedies.missed,
      }
    }
    case 'inconclusive':
      return {
        ...base,
        severity: 'warn',
        state: 'could-not-run',
        title: 'The virtual IP could not be tried out',
        remedy: remedies.inconclusive,
      }
    default:
      return assertNever(report.outcome)
  }
}

function isWorkstationOnly(report: ProofReport): boolean {
  return (
    report.legs.every((leg) => leg.vantage === 'workstation' || !isFailed(leg)) &&
    report.missedHandOver.every(({ from }) => from === 'workstation')
  )
}

const remedies = {
  conflict: 'Choose another virtual IP, or switch off the machine that has this one; then check again.',
  unreachable: {
    node:
      'Let the ports of all nodes use the address: port security, SpoofGuard, IP source guard, ARP inspection, allowed ' +
      'address pairs, private VLANs and host firewalls can forbid it. Then check again.',
    workstation:
      'Check the route and the firewalls between this workstation and the network of the nodes; the nodes reach the address.',
  },
  missed:
    'Let the network pass ARP announcements (gratuitous ARP), which ARP inspection and some firewalls drop: without them ' +
    'the console is out of reach for minutes when its node fails. Then check again.',
  inconclusive:
    'Remove what the message names (a node that does not answer, a missing program), then check again; or go on, and ' +
    'the deployment shows whether the address works.',
}
