import { formatAddress } from '../../../shared/plan/ipv4.ts'

/**
 * Targets as nmap reads them, one per /24: `10.10.200.1-12,14`. A thousand addresses make at most 16 KiB of arguments,
 * wherever they lie; Windows allows 32 KiB.
 *
 * @param addresses unsigned 32-bit numbers, ascending, each once.
 */
export function nmapTargets(addresses: readonly number[]): string[] {
  const networks = new Map<number, number[]>()
  for (const address of addresses) {
    const network = Math.floor(address / 256)
    networks.set(network, [...(networks.get(network) ?? []), address % 256])
  }
  return [...networks].map(([network, lastOctets]) => {
    const [a, b, c] = formatAddress(network * 256).split('.')
    return `${[a, b, c].join('.')}.${ranges(lastOctets)}`
  })
}

/** `1-12,14` for ascending numbers. */
function ranges(numbers: readonly number[]): string {
  const found: { first: number; last: number }[] = []
  for (const number of numbers) {
    const current = found.at(-1)
    if (current?.last === number - 1) current.last = number
    else found.push({ first: number, last: number })
  }
  return found.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(',')
}
