import { z } from 'zod'

/** A MAC address in lower case, with colons. */
export const macAddressSchema = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)

/**
 * One question about one address, and what was heard. Observations are the evidence of a verdict; silence is an
 * observation as well, but only when the question really went out.
 */
export const observationSchema = z.strictObject({
  address: z.ipv4(),
  /** Where it was asked from: `workstation`, the name of a node, or `user@host`. */
  vantage: z.string().min(1),
  /**
   * `neighbour-table`: a datagram made the operating system ask by ARP · `nmap` · `arping`: ARP requests, every answer
   * collected · `arp-probe`: duplicate address detection with sender address 0.0.0.0 (RFC 5227 §2.1.1) · `dhcp`: a
   * server offered the address · `tcp`: a connection was tried.
   */
  method: z.enum(['neighbour-table', 'nmap', 'arping', 'arp-probe', 'dhcp', 'tcp']),
  /** When the answer, or the silence, was certain. */
  at: z.iso.datetime(),
  /** `unclear`: the question may not have gone out, or the answer cannot be understood; says nothing either way. */
  answer: z.enum(['answered', 'silent', 'unclear']),
  /** Which layer answered: an ARP answer may come from a proxy, an IP answer comes through whatever routes there. */
  layer: z.enum(['link', 'network']),
  /** How often it was asked. */
  probes: z.int().min(0),
  /** Who answered; more than one: two machines claim the address, or a proxy answers beside the owner. */
  macs: z.array(macAddressSchema),
  /** What was seen, in the words of the method: `REACHABLE`, `arp-response`, `conn-refused`. */
  detail: z.string(),
})

export type Observation = z.infer<typeof observationSchema>
