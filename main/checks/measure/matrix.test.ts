import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { drawMatrix } from './draw-matrix.ts'
import { oddOnes, type MatrixCell, type NodeMatrix } from './matrix.ts'

const names = (count: number) => Array.from({ length: count }, (_, index) => `n${index + 1}`)
const good = (from: string, to: string): MatrixCell => ({
  ...{ from, to, isReached: true, roundTrip: 0.4, loss: 0, path: { isFull: true, largest: 1500 } },
  ...{ closedPorts: [], isSameLink: true, reason: undefined },
})
const meshOf = (count: number, change: (cell: MatrixCell) => MatrixCell = (cell) => cell): NodeMatrix => ({
  nodes: names(count),
  cells: names(count).flatMap((from) =>
    names(count)
      .filter((to) => to !== from)
      .map((to) => change(good(from, to))),
  ),
  odd: [],
})
const about = (name: string) => (cell: MatrixCell) => cell.from === name || cell.to === name

describe('the odd one out', () => {
  it('is the node whose row and column are bad', () => {
    const { cells } = meshOf(5)
    expect(oddOnes(cells, cells.filter(about('n4')))).toEqual(['n4'])
    expect(
      oddOnes(
        cells,
        cells.filter(({ to }) => to === 'n2'),
      ),
    ).toEqual(['n2'])
    expect(
      oddOnes(
        cells,
        cells.filter((cell) => about('n2')(cell) || about('n5')(cell)),
      ).toSorted(),
    ).toEqual(['n2', 'n5'])
  })

  it('is nobody between two nodes, or where all is bad or good', () => {
    const two = meshOf(2).cells
    expect(oddOnes(two, two)).toEqual([])
    const { cells } = meshOf(4)
    expect(oddOnes(cells, cells)).toEqual([])
    expect(oddOnes(cells, [])).toEqual([])
    expect(
      oddOnes(
        cells,
        cells.filter(({ from, to }) => from === 'n1' && to === 'n2'),
      ),
    ).toEqual([])
  })
})

describe('the drawn matrix', () => {
  it('is a table where it fits, with a legend of what is in it', () => {
    const matrix = meshOf(3, (cell) =>
      cell.to === 'n3'
        ? { ...cell, path: { isFull: false, largest: 1450 } }
        : cell.from === 'n3' && cell.to === 'n1'
          ? { ...cell, isReached: false }
          : cell,
    )
    expect(drawMatrix({ ...matrix, odd: [{ node: 'n3', reason: 'it is narrow' }] }, 80)).toBe(
      [
        'from \\ to      n1      n2      n3',
        'n1              -     0.4   ≤1450',
        'n2            0.4       -   ≤1450',
        'n3           none     0.4       -',
        'round trip in ms · none: not reached · ≤: largest packet that passes',
        'The odd one out is n3: it is narrow.',
      ].join('\n'),
    )
  })

  it('is a summary where it does not, with every bad way up to a bound', () => {
    const drawn = drawMatrix(
      meshOf(100, (cell) => (about('n7')(cell) ? { ...cell, closedPorts: [443] } : cell)),
      80,
    )
    expect(drawn).toContain('100 nodes, 9900 ways between them measured, 9702 good.')
    expect(drawn).toContain('n1 → n7: no answer from 443')
    expect(drawn).toContain('… and 178 more.')
  })

  it('never has a line that is wider than the terminal', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 20 }),
        fc.integer({ min: 20, max: 140 }),
        fc.record({
          isReached: fc.constantFrom(true, false, undefined),
          roundTrip: fc.option(fc.double({ min: 0, max: 3000, noNaN: true }), { nil: undefined }),
          loss: fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined }),
          closedPorts: fc.array(fc.constantFrom(22, 30003, 10250)),
          path: fc.constantFrom(
            undefined,
            { isFull: false, largest: undefined },
            { isFull: false, largest: 8900 },
          ),
        }),
        (count, columns, change) => {
          const matrix = meshOf(count, (cell) => ({ ...cell, ...change }))
          for (const line of drawMatrix(
            { ...matrix, odd: [{ node: 'n1', reason: 'x'.repeat(200) }] },
            columns,
          ).split('\n')) {
            expect(line.length).toBeLessThanOrEqual(columns)
          }
        },
      ),
    )
    expect(drawMatrix({ nodes: ['n1'], cells: [], odd: [] }, 80)).toBe('Nothing was measured between nodes.')
  })
})
