import { describe, expect, it } from 'vitest'
import { layoutFromSeed, type Layout, type LayoutOptions } from './layouts.ts'
import { addressesOf, mistakeIn } from './segment-hosts.ts'

const prefixes: readonly LayoutOptions['prefix'][] = [24, 25, 26, 27, 28]
const seeds = Array.from({ length: 90 }, (_, seed) => seed)

describe.each(prefixes)('Layouts of a /%d', (prefix) => {
  const layouts = seeds.map((seed) => layoutFromSeed(seed, { prefix }))
  const countOf = (layout: Layout, truth: string) =>
    [...layout.truth.values()].filter((each) => each === truth).length

  it('come again with their seed, and differ between seeds', () => {
    for (const layout of layouts)
      expect(layoutFromSeed(layout.seed, { prefix }).toText()).toBe(layout.toText())
    expect(new Set(layouts.map((layout) => layout.toText())).size).toBe(layouts.length)
  })

  it('have every kind of host in a third of the seeds, wherever one begins', () => {
    for (let start = 0; start + 3 <= layouts.length; start++) {
      const kinds = new Set(layouts.slice(start, start + 3).flatMap(({ hosts }) => hosts.map((h) => h.kind)))
      expect([...kinds].toSorted()).toEqual([
        ...['answers', 'dhcp', 'drops', 'duplicate', 'late', 'lossy', 'proxy-arp', 'sleeping'],
        'virtual-router',
      ])
    }
  })

  it('have 10 to 60 % of their addresses in use, and something free', () => {
    for (const layout of layouts) {
      const share = countOf(layout, 'used') / (2 ** (32 - prefix) - 2)
      expect(share).toBeGreaterThanOrEqual(0.1)
      expect(share).toBeLessThanOrEqual(0.6)
      expect(countOf(layout, 'free')).toBeGreaterThan(0)
    }
  })

  it('can be made, and tell the truth about every address', () => {
    for (const { network, seeker, hosts, truth } of layouts) {
      expect(mistakeIn(network, seeker.address, hosts)).toBeUndefined()
      expect(truth.size).toBe(2 ** (32 - prefix))
      const used = [...truth].flatMap(([address, is]) => (is === 'used' ? [address] : []))
      expect(used.toSorted()).toEqual(hosts.flatMap(addressesOf).toSorted())
      const [first, ...rest] = truth.keys()
      for (const address of [first, rest.at(-1), seeker.address])
        expect(truth.get(address ?? '')).toBe('reserved')
      if (seeker.gateway !== undefined) expect(['used', 'reserved']).toContain(truth.get(seeker.gateway))
    }
  })

  it('say when the last host is awake, and what the router answers', () => {
    for (const { hosts, lateWithinMilliseconds, proxy, truth } of layouts) {
      for (const host of hosts)
        if (host.kind === 'late')
          expect(host.wakesAfterMilliseconds).toBeLessThanOrEqual(lateWithinMilliseconds)
      expect(lateWithinMilliseconds).toBeLessThan(4000)
      expect(proxy === 'none').toBe(!hosts.some(({ kind }) => kind === 'proxy-arp'))
      expect([...truth.values()].includes('pool')).toBe(
        hosts.some((host) => host.kind === 'dhcp' && isSomethingFree(host.pool, truth)),
      )
    }
    expect(new Set(layouts.map(({ proxy }) => proxy)).size).toBe(3)
  })

  it('are written down with the seed and every host', () => {
    for (const layout of layouts) {
      const text = layout.toText()
      expect(text).toContain(`layoutFromSeed(${layout.seed}, { prefix: ${prefix} })`)
      for (const { kind } of layout.hosts) expect(text).toContain(kind)
    }
  })
})

function isSomethingFree(pool: { first: string; last: string }, truth: Layout['truth']): boolean {
  const addresses = [...truth.keys()]
  return addresses
    .slice(addresses.indexOf(pool.first), addresses.indexOf(pool.last) + 1)
    .some((address) => truth.get(address) === 'pool')
}
