import { z } from 'zod'
import { macAddressSchema, observationSchema } from './observation.ts'

/** What is held of one address, and why. */
export const addressReportSchema = z.strictObject({
  address: z.ipv4(),
  /**
   * `free`: asked often enough from a place where it would have been heard, and nothing answered · `used`: something
   * answered, or the address belongs to something known · `doubtful`: neither can be said; never offered.
   */
  verdict: z.enum(['free', 'used', 'doubtful']),
  /**
   * 0 to 1. Of a free address: how likely a host that answers only one question in five would have been heard. Silence is
   * no proof, so it never reaches 1. 0 where nothing can be said.
   */
  confidence: z.number().min(0).max(1),
  /** One sentence for people. */
  reason: z.string().min(1),
  /** Who answered. */
  macs: z.array(macAddressSchema),
  evidence: z.array(observationSchema),
})
export type AddressReport = z.infer<typeof addressReportSchema>

/** A place that was looked from, or why it could not be. */
export const vantageReportSchema = z.strictObject({
  name: z.string().min(1),
  kind: z.enum(['workstation', 'node']),
  /** False: what it hears of these addresses means nothing, so it was not asked. */
  isAttached: z.boolean(),
  /** Which interface was used, with its network; or why the place was not used. */
  detail: z.string(),
  /** What was used there, as in the observations. */
  methods: z.array(observationSchema.shape.method),
  /**
   * `proxied`: something answers ordinary ARP requests for addresses that nobody has, so that only duplicate address
   * detection counts · `void`: it answers that as well, so nothing counts.
   */
  arp: z.enum(['valid', 'proxied', 'void']),
})
export type VantageReport = z.infer<typeof vantageReportSchema>

/** The answer of `landfall find-vip`. */
export const freeAddressReportSchema = z.strictObject({
  /** As it was asked for. */
  cidr: z.string(),
  vantages: z.array(vantageReportSchema),
  /** Free addresses, best first. */
  candidates: z.array(addressReportSchema),
  /** In the order of the addresses. */
  used: z.array(addressReportSchema),
  /** In the order of the addresses. */
  doubtful: z.array(addressReportSchema),
  /** How many of the addresses were asked; fewer than all in large networks, when enough were found. */
  asked: z.strictObject({ addresses: z.int().min(0), of: z.int().min(0), free: z.int().min(0) }),
  /** What DHCP servers offered; the pool is a guess from the offers. */
  dhcp: z.array(
    z.strictObject({
      server: z.ipv4(),
      offers: z.array(z.ipv4()),
      likelyPool: z.strictObject({ first: z.ipv4(), last: z.ipv4() }),
    }),
  ),
  /** Seconds between the first look and the last one at the candidates; 0: there was one look only. */
  recheckedAfterSeconds: z.number().min(0),
  /** Whole sentences. */
  warnings: z.array(z.string()),
  /** Milliseconds until every address that was asked had been asked three times. */
  sweptMs: z.number().min(0),
  elapsedMs: z.number().min(0),
})
export type FreeAddressReport = z.infer<typeof freeAddressReportSchema>
