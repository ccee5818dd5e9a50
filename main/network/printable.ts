/**
 * The start of something that a server sent, safe to show: one line, printable ASCII and letters only, no control
 * sequences that a terminal would obey.
 */
export function printableStart(text: string, maxCharacters = 120): string {
  const line = text
    .slice(0, maxCharacters * 8)
    .replace(/\s+/gu, ' ')
    .replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '·')
    .trim()
  const characters = Array.from(line)
  return characters.length > maxCharacters ? `${characters.slice(0, maxCharacters).join('')}…` : line
}
