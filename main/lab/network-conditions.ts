import { z } from 'zod'

const name = z.string().min(1)

/** What is wrong between nodes, and with what they reach; the default is a healthy network. */
export const networkSchema = z.strictObject({
  /** Between two nodes, both ways; without `to`: between `from` and all others. */
  links: z
    .array(
      z.strictObject({
        from: name,
        to: name.optional(),
        /** `true`: only packets that `from` sends. */
        isOneWay: z.boolean().default(false),
        /** Largest packet that passes, in bytes. */
        mtu: z.int().min(68).max(65_535).optional(),
        lossPercent: z.number().min(0).max(100).default(0),
        roundTripMilliseconds: z.number().positive().default(0.4),
        /** TCP ports whose packets are thrown away. */
        blockedPorts: z.array(z.int().min(1).max(65_535)).default([]),
        /** A router is between them. */
        isRouted: z.boolean().default(false),
      }),
    )
    .default([]),
  /** Servers of the plan that do not answer. */
  deadDns: z.array(name).default([]),
  deadNtp: z.array(name).default([]),
  /** The name servers answer for every name of the search domain. */
  hasWildcardDns: z.boolean().default(false),
  /** What 99 % of small writes to the disks of the nodes need, in milliseconds. */
  diskMilliseconds: z.number().positive().default(1.5),
  /** Nodes that cannot be reached at any other address than their first one: a wrong VLAN, a filter. One name, or several. */
  newAddressDead: z
    .union([name, z.array(name)])
    .transform((names) => (typeof names === 'string' ? [names] : names))
    .default([]),
})
type NetworkConditions = z.infer<typeof networkSchema>

export interface LinkConditions {
  /** `undefined`: that of the interfaces. */
  readonly mtu: number | undefined
  readonly lossPercent: number
  readonly roundTripMilliseconds: number
  readonly blockedPorts: readonly number[]
  readonly isRouted: boolean
}

/** What holds for packets from one node to another. `to` undefined: to anything else. */
export function conditionsBetween(
  { links }: NetworkConditions,
  from: string,
  to: string | undefined,
): LinkConditions {
  const own = links.filter(
    (link) =>
      (link.from === from && (link.to === undefined ? to !== undefined : link.to === to)) ||
      (!link.isOneWay && link.from === to && (link.to === undefined || link.to === from)),
  )
  const sizes = own.flatMap(({ mtu }) => mtu ?? [])
  return {
    mtu: sizes.length === 0 ? undefined : Math.min(...sizes),
    lossPercent: Math.max(0, ...own.map(({ lossPercent }) => lossPercent)),
    roundTripMilliseconds: Math.max(0.4, ...own.map(({ roundTripMilliseconds }) => roundTripMilliseconds)),
    blockedPorts: own.flatMap(({ blockedPorts }) => blockedPorts),
    isRouted: own.some(({ isRouted }) => isRouted),
  }
}
