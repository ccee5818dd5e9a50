import type { CommandCall } from '../shell.ts'

/** `/proc/net/arp`. */
export function neighbourFile(call: CommandCall): string {
  const rows = call.services.segment
    .neighboursOf(call.node)
    .list()
    .map(({ address: dst, mac }) => {
      const flags = mac === null ? '0x0' : '0x2'
      const fields = [dst.padEnd(16), '0x1'.padEnd(11), flags.padEnd(11), mac ?? '00:00:00:00:00:00']
      return `${fields.join(' ')}     *        ${call.node.nic.name}`
    })
  return ['IP address       HW type     Flags       HW address            Mask     Device', ...rows, ''].join(
    '\n',
  )
}
