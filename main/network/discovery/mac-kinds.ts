/** What the form of a MAC address says about who sends with it. */
export interface MacKind {
  readonly kind:
    'vrrp' | 'hsrp' | 'glbp' | 'load-balancer' | 'multicast' | 'broadcast' | 'null' | 'local' | 'ordinary'
  /** Number of the redundancy group, where the protocol codes it in the MAC. */
  readonly group?: number
  /** An address that moves between routers: reserved by definition, also while no router serves it. */
  readonly isVirtualRouter: boolean
  /** Who that is, to be put into a sentence: "a virtual router (VRRP or CARP, group 51)". */
  readonly phrase: string
}

interface Pattern {
  readonly kind: MacKind['kind']
  readonly form: RegExp
  readonly isVirtualRouter: boolean
  readonly phrase: (group: number | undefined) => string
}

/**
 * First match wins. The first group of each form, as hexadecimal digits, is the number of the redundancy group.
 *
 * VRRP: RFC 5798 and RFC 9568, §7.3; CARP uses the same MACs (carp(4) of OpenBSD). HSRP version 1: RFC 2281 §5.1;
 * version 2 and IPv6: Cisco's "Configuring HSRP". GLBP: `0007.b400.xxyy`, where the last 16 bits but six zeros are ten
 * bits of group and eight of forwarder (Cisco). Network Load Balancing: `02-bf` (unicast) or `03-bf` (multicast), then
 * the cluster's IPv4 address (Microsoft, "Network Load Balancing Technical Overview"); its IGMP mode uses MACs that other
 * multicast has as well.
 */
const patterns: readonly Pattern[] = [
  router('vrrp', /^00:00:5e:00:01:(..)$/, 'VRRP or CARP'),
  router('vrrp', /^00:00:5e:00:02:(..)$/, 'VRRP for IPv6'),
  router('hsrp', /^00:00:0c:07:ac:(..)$/, 'HSRP'),
  router('hsrp', /^00:00:0c:9f:f(.:..)$/, 'HSRP version 2'),
  router('hsrp', /^00:05:73:a0:0(.:..)$/, 'HSRP for IPv6'),
  router('glbp', /^00:07:b4:(0[0-3]:..):..$/, 'GLBP'),
  other('load-balancer', /^0[23]:bf:/, 'probably a cluster with Microsoft Network Load Balancing'),
  other('broadcast', /^ff:ff:ff:ff:ff:ff$/, 'the broadcast address, with which no machine may answer'),
  other('null', /^00:00:00:00:00:00$/, 'an empty MAC address, with which no machine may answer'),
  other('multicast', /^.[13579bdf]:/, 'a multicast MAC address, which belongs to no single machine'),
  other('local', /^.[26ae]:/, 'a machine with a MAC of its own choice (virtual machine, container or bond)'),
]

const ordinary: MacKind = { kind: 'ordinary', isVirtualRouter: false, phrase: 'a machine' }

/** Says what a MAC address is; `mac` in lower case with colons, as observations have it. */
export function kindOfMac(mac: string): MacKind {
  for (const { kind, form, isVirtualRouter, phrase } of patterns) {
    const match = form.exec(mac)
    if (match === null) continue
    const [, digits] = match
    const group = digits === undefined ? undefined : Number.parseInt(digits.replace(':', ''), 16)
    return { kind, isVirtualRouter, phrase: phrase(group), ...(group === undefined ? {} : { group }) }
  }
  return ordinary
}

function router(kind: MacKind['kind'], form: RegExp, protocol: string): Pattern {
  return {
    kind,
    form,
    isVirtualRouter: true,
    phrase: (group) => `a virtual router (${protocol}, group ${group ?? 0})`,
  }
}

function other(kind: MacKind['kind'], form: RegExp, words: string): Pattern {
  return { kind, form, isVirtualRouter: false, phrase: () => words }
}
