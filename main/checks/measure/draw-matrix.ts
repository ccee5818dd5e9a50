import { isLossy, isNarrow, isUnreached, type MatrixCell, type NodeMatrix } from './matrix.ts'

const longestName = 16
const mostLines = 20

/**
 * The matrix for a terminal, without colours, lines of at most `columns` characters. What does not fit as a table is told in
 * sentences: how much is good, and each way that is not.
 */
export function drawMatrix(matrix: NodeMatrix, columns: number): string {
  const width = Math.max(20, Math.floor(columns))
  const { nodes, cells, odd } = matrix
  if (cells.length === 0) return cut('Nothing was measured between nodes.', width)
  const names = nodes.map((name) => cut(name, longestName))
  const first = Math.max(...names.map((name) => name.length), 'from \\ to'.length)
  const each = Math.max(7, ...names.map((name) => name.length)) + 1
  const lines = first + nodes.length * each <= width ? table() : summary()

  for (const { node, reason } of odd) lines.push(`The odd one out is ${node}: ${reason}.`)
  return lines.flatMap((line) => wrap(line, width)).join('\n')

  function table(): string[] {
    const byPair = new Map(cells.map((cell) => [`${cell.from}\n${cell.to}`, cell]))
    const head = 'from \\ to'.padEnd(first) + names.map((name) => name.padStart(each)).join('')
    const rows = nodes.map((from, row) => {
      const texts = nodes.map((to) => (from === to ? '-' : shortOf(byPair.get(`${from}\n${to}`))))
      return (names[row] ?? '').padEnd(first) + texts.map((text) => text.padStart(each)).join('')
    })
    const used = rows.join(' ')
    const legend = legends.filter(({ sign }) => sign.test(used)).map(({ text }) => text)
    return [head, ...rows, ['round trip in ms', ...legend].join(' · ')]
  }

  function summary(): string[] {
    const bad = cells.filter((cell) => wordOf(cell) !== undefined)
    const shown = bad.slice(0, mostLines)
    const trips = cells.flatMap(({ roundTrip }) => roundTrip ?? [])
    return [
      `${nodes.length} nodes, ${cells.length} ways between them measured, ${cells.length - bad.length} good.`,
      ...(trips.length === 0
        ? []
        : [`Round trips: ${time(Math.min(...trips))} to ${time(Math.max(...trips))} ms.`]),
      ...shown.map((cell) => `${cell.from} → ${cell.to}: ${wordOf(cell) ?? ''}`),
      ...(bad.length > shown.length ? [`… and ${bad.length - shown.length} more.`] : []),
    ]
  }
}

const legends = [
  { sign: /none/u, text: 'none: not reached' },
  { sign: /router/u, text: 'router: not in the same layer 2 network' },
  { sign: /%/u, text: '%: packets lost' },
  { sign: /≤|small/u, text: '≤: largest packet that passes' },
  { sign: /:\d/u, text: ':443 a TCP port that does not answer, + more' },
  { sign: /\?/u, text: '?: not known' },
  { sign: / \./u, text: '.: not asked' },
]

/** At most seven characters, the worst first. */
function shortOf(cell: MatrixCell | undefined): string {
  if (cell === undefined) return '.'
  if (isUnreached(cell)) return 'none'
  if (cell.isSameLink === false) return 'router'
  if (isLossy(cell)) return `${Math.round(cell.loss ?? 0)} %`
  if (isNarrow(cell)) return cell.path?.largest === undefined ? 'small' : `≤${cell.path.largest}`
  const [port] = cell.closedPorts
  if (port !== undefined) return `:${port}${cell.closedPorts.length > 1 ? '+' : ''}`
  return cell.roundTrip === undefined ? '?' : time(cell.roundTrip)
}

/** What is bad about it; `undefined`: nothing. */
function wordOf(cell: MatrixCell): string | undefined {
  const words = [
    isUnreached(cell) ? 'not reached' : undefined,
    cell.isReached === undefined
      ? `not known${cell.reason === undefined ? '' : ` (${cell.reason})`}`
      : undefined,
    cell.isSameLink === false ? 'through a router' : undefined,
    isLossy(cell) && !isUnreached(cell) ? `${Math.round(cell.loss ?? 0)} % lost` : undefined,
    isNarrow(cell) ? `at most ${cell.path?.largest ?? 'small'} bytes pass` : undefined,
    cell.closedPorts.length > 0 && !isUnreached(cell)
      ? `no answer from ${cell.closedPorts.join(', ')}`
      : undefined,
  ].filter((word) => word !== undefined)
  return words.length === 0 ? undefined : words.join(', ')
}

function time(milliseconds: number): string {
  return milliseconds < 10 ? milliseconds.toFixed(1) : milliseconds.toFixed(0)
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}

/** At spaces; the table's own rows fit anyway. */
function wrap(line: string, width: number): string[] {
  if (line.length <= width) return [line.trimEnd()]
  const lines: string[] = []
  let current = ''
  for (const word of line.split(' ')) {
    const joined = current === '' ? word : `${current} ${word}`
    if (joined.length <= width) current = joined
    else {
      if (current !== '') lines.push(current)
      current = cut(word, width)
    }
  }
  return [...lines, current]
}
