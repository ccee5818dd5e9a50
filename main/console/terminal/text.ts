import { stripVTControlCharacters } from 'node:util'
import stringWidth from 'string-width'

/** More than any terminal shows in a row; keeps an endless answer of a server from being measured letter by letter. */
const longestLine = 4000

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
const printableAscii = /^[ -~]*$/u

/**
 * One line without anything that a terminal would obey. Names and details may come from servers: escape sequences, C0 and
 * C1 controls are removed, as are direction overrides (they make a text read as another) and separators of lines.
 */
export function cleanText(text: string): string {
  const start = text.slice(0, longestLine).toWellFormed()
  if (printableAscii.test(start)) return start
  return stripVTControlCharacters(start)
    .replace(/[\t\r\n\v\f\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(/[\p{Cc}\p{Cf}]/gu, '')
}

/** The lines of a text, each of them clean; empty lines at the end are dropped. */
export function cleanLines(text: string): string[] {
  const lines = text.split(/\r\n|[\n\r\p{Zl}\p{Zp}]/u).map((line) => cleanText(line).trimEnd())
  while (lines.length > 0 && lines.at(-1) === '') lines.pop()
  return lines
}

/**
 * Columns that a clean text needs at most. Terminals differ in how they draw joined letters and emoji; the wider of the
 * two ways is counted, because a line that is too short looks fine and one that is too long breaks the picture.
 */
export function widthOf(text: string): number {
  if (printableAscii.test(text)) return text.length
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += widthOfGrapheme(segment)
  return width
}

/** The text cut to at most `width` columns; `ellipsis` shows that something was cut. */
export function cutText(text: string, width: number, ellipsis: string): string {
  if (width <= 0) return ''
  if (widthOf(text) <= width) return text
  const room = width - widthOf(ellipsis)
  if (room < 0) return ''
  let kept = ''
  let used = 0
  for (const { segment } of graphemes.segment(text)) {
    used += widthOfGrapheme(segment)
    if (used > room) break
    kept += segment
  }
  return kept + ellipsis
}

/** The text cut or filled with blanks to exactly `width` columns. */
export function fitText(text: string, width: number, ellipsis: string): string {
  const cut = cutText(text, width, ellipsis)
  return cut + ' '.repeat(Math.max(0, width - widthOf(cut)))
}

/** `1 phase`, `3 phases`. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

function widthOfGrapheme(segment: string): number {
  let separate = 0
  for (const character of segment) separate += stringWidth(character)
  return Math.max(separate, stringWidth(segment))
}
