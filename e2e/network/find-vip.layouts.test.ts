import { describe, expect, it } from 'vitest'
import { findVip, verdictsOf } from './find-vip-command.ts'
import { inParallel } from './in-parallel.ts'
import { layoutFromSeed, type Layout } from './layouts.ts'
import { differencesOf, oracles, type Difference, type OracleAnswers } from './oracles.ts'
import { createSegmentLab, whyNoSegmentLab } from './segment-lab.ts'

/** Layouts in which ARP can tell the truth, and some in which a router answers everything, so that nothing can. */
const layoutCount = 50
const hopelessCount = 4
/** The kernel's neighbour table is one for all namespaces: some 600 addresses may be asked at a time. */
const addressesAtATime = 420
const leastFound = 0.95

interface Outcome {
  readonly layout: Layout
  readonly wronglyFree: readonly string[]
  readonly foundShare: number
  readonly differences: readonly Difference[]
}

const reason = whyNoSegmentLab()

describe.skipIf(reason !== undefined)(
  `find-vip in random segments${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    const { hopeful, hopeless } = chooseLayouts()
    const outcomes = new Map<Layout, Outcome>()

    it(`looks at ${layoutCount} layouts, and so do nmap and both arpings`, async () => {
      await inParallel([...hopeful, ...hopeless], Math.floor(addressesAtATime / 30), async (layout) => {
        outcomes.set(layout, await look(layout))
      })
      expect(outcomes.size).toBe(layoutCount + hopelessCount)
    }, 400_000)

    it('never calls a used or reserved address free', () => {
      const wrong = [...outcomes.values()].filter(({ wronglyFree }) => wronglyFree.length > 0)
      expect(
        wrong.map(({ layout, wronglyFree }) => `${wronglyFree.join(', ')} in\n${layout.toText()}`),
      ).toEqual([])
    })

    it('finds at least 95 % of the free addresses in each of them', () => {
      const poor = hopeful.flatMap((layout) => {
        const share = outcomes.get(layout)?.foundShare ?? 0
        return share < leastFound ? [`${Math.round(share * 100)} % in\n${layout.toText()}`] : []
      })
      expect(poor).toEqual([])
    })

    it('calls nothing free where a router answers even duplicate address detection', () => {
      expect(hopeless.map((layout) => outcomes.get(layout)?.foundShare)).toEqual(hopeless.map(() => 0))
    })

    it('differs from nmap and the arpings only where it can be explained', () => {
      const all = [...outcomes.values()].flatMap(({ differences }) => differences)
      process.stdout.write(`${summaryOf(all)}\n`)
      const unexplained = all.filter(
        (difference) =>
          difference.who.includes('Landfall') &&
          difference.reason === undefined &&
          // A DHCP server shows only a few addresses of its pool.
          difference.truth !== 'pool',
      )
      expect(unexplained).toEqual([])
    })
  },
)

async function look(layout: Layout): Promise<Outcome> {
  await using lab = await disposable(layout)
  const { value } = lab
  const addresses = [...layout.truth].filter(([, truth]) => truth !== 'reserved').map(([address]) => address)
  const report = await findVip(value, [layout.network, '--count', '200'])
  const landfall = verdictsOf(report)
  const said: Record<string, OracleAnswers> = {}
  // One after the other: the requests of one would be answered to the other.
  for (const oracle of oracles) {
    if (oracle.whyNot() === undefined) said[oracle.name] = await oracle.ask(value, addresses)
  }
  const free = addresses.filter((address) => layout.truth.get(address) === 'free')
  const found = free.filter((address) => landfall.get(address) === 'free')
  return {
    layout,
    wronglyFree: report.candidates
      .map(({ address }) => address)
      .filter((address) => ['used', 'reserved', undefined].includes(layout.truth.get(address))),
    foundShare: free.length === 0 ? 1 : found.length / free.length,
    differences: differencesOf({
      truth: layout.truth,
      hosts: layout.hosts,
      oracles: said,
      landfall,
    }),
  }
}

async function disposable(layout: Layout) {
  const value = await createSegmentLab(layout)
  return { value, [Symbol.asyncDispose]: () => value.remove() }
}

function chooseLayouts(): { hopeful: Layout[]; hopeless: Layout[] } {
  const hopeful: Layout[] = []
  const hopeless: Layout[] = []
  for (let seed = 1; hopeful.length < layoutCount || hopeless.length < hopelessCount; seed += 1) {
    const layout = layoutFromSeed(seed, { prefix: seed % 5 === 0 ? 26 : 27 })
    const kind = layout.proxy === 'answers-probes' ? hopeless : hopeful
    if (kind.length < (kind === hopeless ? hopelessCount : layoutCount)) kind.push(layout)
  }
  return { hopeful, hopeless }
}

/** Differences of one kind of host that look alike, counted. */
function summaryOf(differences: readonly Difference[]): string {
  const rows = new Map<string, number>()
  for (const { truth, kind, verdicts, landfall, reason } of differences) {
    const said = Object.entries(verdicts).map(([name, verdict]) => `${name}: ${verdict}`)
    const why = reason?.replaceAll(/\d+(\.\d+)*/gu, 'N') ?? 'not explained'
    const row = [truth, kind ?? 'nobody', `Landfall: ${landfall ?? 'nothing'}`, ...said, why].join(' | ')
    rows.set(row, (rows.get(row) ?? 0) + 1)
  }
  const sorted = [...rows].sort(([, a], [, b]) => b - a)
  return sorted.map(([row, count]) => `${String(count).padStart(4)} × ${row}`).join('\n')
}
