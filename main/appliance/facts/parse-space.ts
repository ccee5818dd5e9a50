import type { FileSystemSpace } from './node-facts.ts'
import { integerOf } from './parse-text.ts'

/** The one line that `df -P -k PATH` prints below its headings, in bytes. */
export function parseDf(output: string): FileSystemSpace | undefined {
  const lines = output.split('\n').filter((line) => line.trim() !== '')
  const found = /\s(\d+)\s+(\d+)\s+(-?\d+)\s+(?:\d+%|-)\s+(\/.*)$/u.exec(lines.at(-1) ?? '')
  const size = integerOf(found?.[1])
  const available = integerOf(found?.[3])
  const mountPoint = found?.[4]
  if (lines.length !== 2 || size === undefined || available === undefined || mountPoint === undefined)
    return undefined
  // Negative: only root may write any more.
  return { size: size * 1024, available: Math.max(0, available) * 1024, mountPoint: mountPoint.trimEnd() }
}
