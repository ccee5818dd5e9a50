interface CommonSettings {
  /** Name of the interface; with a VLAN, of the one that carries it. */
  readonly name: string
  /** Bytes; `undefined`: as it is. */
  readonly mtu: number | undefined
  /** IEEE 802.1Q identifier, 1–4094; `undefined`: untagged. */
  readonly vlan: number | undefined
  /** IPv4 addresses, first choice first; empty: those that the network gives. */
  readonly nameservers: readonly string[]
}

/** All that is set on the interface of a node. */
export type InterfaceSettings =
  | (CommonSettings & { readonly mode: 'dhcp' })
  | (CommonSettings & {
      readonly mode: 'static'
      /** IPv4, dotted decimal. */
      readonly address: string
      /** Length of the network prefix, bits. */
      readonly prefix: number
      readonly gateway: string | undefined
    })
