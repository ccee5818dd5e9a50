import type { AddressReport, FreeAddressReport, VantageReport } from '../../shared/addresses/index.ts'
import type { Finding } from '../../shared/checks/index.ts'
import { parseAddress } from '../../shared/plan/ipv4.ts'
import type { Plan } from '../../shared/plan/index.ts'
import { kindOfMac } from '../network/discovery/mac-kinds.ts'

/** What was seen of the virtual IP address and of its network. */
export type VipFindings =
  /** The cluster is there and has it. */
  | { readonly kind: 'cluster'; readonly address: string; readonly seen: string }
  /** Nobody could look. */
  | { readonly kind: 'unasked'; readonly reason: string }
  | {
      readonly kind: 'asked'
      /** That of the plan, or the best one that was found for `auto`; `undefined`: none is free. */
      readonly address: AddressReport | undefined
      /** For the evidence. */
      readonly seen: string
      /** The whole network. */
      readonly network: FreeAddressReport
    }

type Verdict = Pick<Finding, 'state' | 'measured'> & { readonly severity?: Finding['severity'] }

/** The checks of the virtual IP address that change nothing (checks.md, vip.*). */
export function checkVip(plan: Plan, findings: VipFindings): Finding[] {
  const target = targetOf(plan, findings)
  const check = (result: Omit<Finding, 'target' | 'state' | 'measured'>, verdict: Verdict): Finding => ({
    target,
    ...result,
    ...verdict,
  })
  const free = check(
    {
      id: 'vip.free',
      threshold: 'no answer to at least 5 ARP requests, at a place where it would be heard',
      evidence: findings.kind === 'unasked' ? 'nobody could ask' : findings.seen,
      remedy:
        findings.kind === 'unasked'
          ? 'Make SSH possible on a node of that network, or connect this workstation to it.'
          : 'Write another address as site.vip, or auto; or find the machine that has it.',
    },
    isFree(plan, findings),
  )
  if (findings.kind === 'cluster') return [free]
  return [
    free,
    check(
      {
        id: 'vip.not-vrrp-mac',
        threshold: 'no MAC address of VRRP, CARP, HSRP or GLBP',
        evidence: 'MAC addresses that answered',
        remedy: 'Write another address as site.vip: routers share this one, also when none of them answers.',
      },
      virtualRouter(findings),
    ),
    check(
      {
        id: 'vip.proxy-arp',
        threshold: 'no answer for three addresses chosen by chance',
        evidence: 'ARP requests for them, and duplicate address detection (RFC 5227)',
        remedy:
          'Switch off proxy ARP on the router of that network; silence proves little as long as it is on.',
      },
      proxyArp(findings),
    ),
    check(
      {
        id: 'vip.not-in-dhcp-pool',
        threshold: 'outside of what DHCP servers offer',
        evidence: 'DHCP offers; the pool is guessed from them',
        remedy:
          'Compare the address with the pools of your DHCP servers; exclude it there, or write another one as site.vip.',
      },
      dhcpPool(findings),
    ),
    roomIn(plan, findings),
  ]
}

function targetOf(plan: Plan, findings: VipFindings): string {
  if (plan.site.vip !== 'auto') return plan.site.vip
  const address = findings.kind === 'asked' ? findings.address?.address : undefined
  return findings.kind === 'cluster' ? findings.address : (address ?? 'vip: auto')
}

function isFree(plan: Plan, findings: VipFindings): Verdict {
  // A run goes on with an address of the plan that nobody can judge, and tells it; without one it cannot.
  const ifUntold = plan.site.vip === 'auto' ? 'block' : 'warn'
  switch (findings.kind) {
    case 'cluster':
      return { state: 'pass', measured: 'the cluster of this plan has it' }
    case 'unasked':
      return { state: 'could-not-run', severity: ifUntold, measured: findings.reason }
    case 'asked': {
      const { address, network } = findings
      if (address === undefined) {
        const { asked, used, doubtful } = network
        return {
          state: 'fail',
          measured: `no free address: ${asked.addresses} of ${asked.of} asked, ${used.length} used, ${doubtful.length} doubtful`,
        }
      }
      if (address.verdict === 'doubtful') {
        return { state: 'could-not-run', severity: ifUntold, measured: address.reason }
      }
      return {
        state: address.verdict === 'free' ? 'pass' : 'fail',
        measured:
          address.verdict === 'free'
            ? `${address.reason} Confidence ${Math.round(address.confidence * 100)} %.`
            : address.reason,
      }
    }
  }
}

type Looked = Exclude<VipFindings, { kind: 'cluster' }>

function notAsked(reason: string): Verdict {
  return { state: 'could-not-run', severity: 'warn', measured: reason }
}

function virtualRouter(findings: Looked): Verdict {
  if (findings.kind === 'unasked') return notAsked(findings.reason)
  const macs = findings.address?.macs ?? []
  const routers = macs.filter((mac) => kindOfMac(mac).isVirtualRouter)
  if (routers.length > 0) {
    const measured = routers.map((mac) => `${mac}: ${kindOfMac(mac).phrase}`).join(', ')
    return { state: 'fail', measured }
  }
  return { state: 'pass', measured: macs.length === 0 ? 'no MAC address answered' : macs.join(', ') }
}

function proxyArp(findings: Looked): Verdict {
  if (findings.kind === 'unasked') return notAsked(findings.reason)
  const attached = attachedOf(findings.network)
  const proxied = attached.filter(({ arp }) => arp !== 'valid')
  if (proxied.length === 0) {
    return { state: 'pass', measured: `none, seen from ${attached.map(({ name }) => name).join(', ')}` }
  }
  const words = { valid: 'valid', proxied: 'ordinary requests are answered', void: 'everything is answered' }
  return { state: 'fail', measured: proxied.map(({ name, arp }) => `${name}: ${words[arp]}`).join('; ') }
}

function dhcpPool(findings: Looked): Verdict {
  if (findings.kind === 'unasked') return notAsked(findings.reason)
  const { network, address } = findings
  if (!attachedOf(network).some(({ methods }) => methods.includes('dhcp'))) {
    return notAsked('no place that was looked from could ask for DHCP offers')
  }
  const pools = network.dhcp.map(
    ({ server, likelyPool: { first, last } }) => `${first} to ${last} (server ${server})`,
  )
  const isInside = network.dhcp.some(({ likelyPool: { first, last } }) =>
    isBetween(address?.address, first, last),
  )
  return {
    state: isInside ? 'fail' : 'pass',
    measured: pools.length === 0 ? 'no DHCP server offered anything' : `likely pools: ${pools.join(', ')}`,
  }
}

/** The VIP and one more. Addresses that nodes shall get are in the plan, and count as used here. */
const roomNeeded = 2

/** Measured, not counted from the prefix length: that is a rule of the plan. */
function roomIn(plan: Plan, findings: Looked): Finding {
  const base = {
    id: 'vip.subnet-room' as const,
    target: plan.site.network,
    threshold: `at least ${roomNeeded} free addresses`,
    evidence: 'all addresses asked, or a sample of a large network',
    remedy: 'Free some addresses of this network.',
  }
  if (findings.kind === 'unasked') return { ...base, ...notAsked(findings.reason) }
  const { free, addresses, of } = findings.network.asked
  return {
    ...base,
    state: free >= roomNeeded ? 'pass' : 'fail',
    measured: `${free} free of ${addresses} asked${addresses < of ? ` (of ${of})` : ''}`,
  }
}

function attachedOf({ vantages }: FreeAddressReport): VantageReport[] {
  return vantages.filter(({ isAttached }) => isAttached)
}

function isBetween(text: string | undefined, first: string, last: string): boolean {
  const [address, from, to] = [text, first, last].map((one) => parseAddress(one ?? ''))
  return address !== undefined && from !== undefined && to !== undefined && address >= from && address <= to
}
