/** Two measurements of one run of the benchmark, side by side. */
export interface Ratio {
  readonly what: string
  readonly unit: string
  readonly ours: number
  readonly theirs: number
}

export function formatTable(rows: readonly Ratio[]): string {
  const lines = rows.map(({ what, unit, ours, theirs }) => [
    `${(ours / theirs).toFixed(2)} ×`,
    `${short(ours)} ${unit}`,
    `${short(theirs)} ${unit}`,
    what,
  ])
  const all = [['ratio', 'measured', 'against', 'what is compared'], ...lines]
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((line) => line[column]?.length ?? 0)))
  return all.map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')).join('\n')
}

function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1)
}
