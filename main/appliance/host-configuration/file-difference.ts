/**
 * What changes in a small text file, as in a unified diff: lines that stay are left out, except for the place where they
 * are. `current`: `undefined` when there is no such file.
 */
export function fileDifference(path: string, current: string | undefined, wanted: string): string[] {
  if (current === wanted) return []
  const before = current === undefined ? [] : linesOf(current)
  const after = linesOf(wanted)
  return [`--- ${current === undefined ? '(no file)' : path}`, `+++ ${path}`, ...changedLines(before, after)]
}

function linesOf(text: string): string[] {
  return text.replace(/\n$/, '').split('\n')
}

/** By the longest common subsequence; the files are a few dozen lines long. */
function changedLines(before: readonly string[], after: readonly string[]): string[] {
  const lengths = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0))
  const at = (row: number, column: number) => lengths[row]?.[column] ?? 0
  for (let row = before.length - 1; row >= 0; row -= 1) {
    for (let column = after.length - 1; column >= 0; column -= 1) {
      const cells = lengths[row]
      if (cells === undefined) continue
      cells[column] =
        before[row] === after[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1))
    }
  }
  const lines: string[] = []
  let row = 0
  let column = 0
  while (row < before.length || column < after.length) {
    if (row < before.length && column < after.length && before[row] === after[column]) {
      row += 1
      column += 1
    } else if (
      row < before.length &&
      (column >= after.length || at(row + 1, column) >= at(row, column + 1))
    ) {
      lines.push(`-${before[row] ?? ''}`)
      row += 1
    } else {
      lines.push(`+${after[column] ?? ''}`)
      column += 1
    }
  }
  return lines
}
