import type { NmapHost, NmapTask } from './parse-nmap-xml.ts'

/** What a run of nmap says about one address. */
export type Evidence =
  | {
      readonly kind: 'answered'
      readonly layer: 'link' | 'network'
      readonly mac: string | undefined
      readonly detail: string
    }
  | { readonly kind: 'silent'; readonly layer: 'link' | 'network'; readonly detail: string }
  | { readonly kind: 'unclear'; readonly detail: string }

/** How the addresses of a run were asked. */
export interface Asking {
  /**
   * `arp`: every address by ARP requests · `connections`: by TCP connections of the operating system · `packets`: in
   * another way, which nmap chose itself.
   */
  readonly by: 'arp' | 'packets' | 'connections'
  /** What nmap complained of while it sent; then silence may mean that nothing went out. */
  readonly trouble: string | undefined
}

/**
 * Reasons that nmap gives only when a packet came from the address itself (nmap 7.93, portreasons.cc). An ICMP error that
 * says "unreachable" comes from the address only for a port or a protocol.
 */
const answers = new Set([
  ...['syn-ack', 'split-handshake-syn', 'conn-refused', 'reset', 'tcp-response', 'init-ack'],
  ...['echo-reply', 'timestamp-reply', 'addressmask-reply', 'udp-response', 'proto-response'],
  ...['port-unreach', 'proto-unreach'],
])

/** The reason is the evidence, not the state: an address may be `up` because nobody asked. */
export function evidenceOf(host: NmapHost, asking: Asking): Evidence {
  const { state, reason, mac } = host
  if (state === 'up') {
    if (reason === 'arp-response') return { kind: 'answered', layer: 'link', mac, detail: reason }
    // An address of the machine that asks. No frame went out, so a proxy has no part in it.
    if (reason === 'localhost-response' || answers.has(reason))
      return { kind: 'answered', layer: 'network', mac, detail: reason }
    return { kind: 'unclear', detail: `up because of ${reason}` }
  }
  const isSilent =
    state === 'down' &&
    (reason === 'no-response' ||
      // The operating system's own ARP requests had no answer, or a router's; from raw packets only a router says so.
      (reason === 'host-unreach' && asking.by === 'connections'))
  if (!isSilent) return { kind: 'unclear', detail: reason }
  if (asking.trouble !== undefined) return { kind: 'unclear', detail: `${reason}; ${asking.trouble}` }
  return { kind: 'silent', layer: asking.by === 'arp' ? 'link' : 'network', detail: reason }
}

/**
 * How nmap asked, from what it says that it did: without the privilege, or with addresses of another network, it quietly
 * takes something else than ARP. Silence then says little, because a host that drops every packet is silent as well.
 */
export function askedBy(
  tasks: readonly NmapTask[],
  hosts: readonly NmapHost[],
  isPrivileged: boolean,
): Asking['by'] {
  if (!isPrivileged) return 'connections'
  const asked = tasks.filter(({ name }) => name === 'ARP Ping Scan')
  const others = tasks.filter(({ name }) => name.endsWith('Ping Scan') && name !== 'ARP Ping Scan')
  const count = asked.reduce((sum, { hosts: number = 0 }) => sum + number, 0)
  const needed = hosts.filter(({ reason }) => reason !== 'localhost-response').length
  return others.length === 0 && count >= needed ? 'arp' : 'packets'
}

/** Lines on standard error that have nothing to do with whether the questions went out. */
const harmless = [
  /^Starting Nmap /u,
  /^RTTVAR has grown to over /u,
  /^Warning: .* giving up on port because retransmission cap hit/u,
  /^WARNING: No targets were specified/u,
  // These addresses stand in the report as skipped.
  /^setup_target: failed to determine route to /u,
  /^sudo: unable to resolve host /u,
  /setlocale: LC_ALL: cannot change locale/u,
]

/**
 * The first line on standard error that nmap may have meant seriously. It reports success even when the system refused
 * every single frame: `WARNING: eth_send of ARP packet returned -1 rather than expected 42`.
 */
export function troubleIn(stderr: string): string | undefined {
  return stderr
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '' && !harmless.some((pattern) => pattern.test(line)))
}
