import { maskCommandLine } from './parse-boot.ts'
import type { Report } from './report.ts'

const maxCharacters = 512 * 1024

/** What the node printed, for people: bounded, no control characters but the line feed, no secrets. */
export function printableRaw(text: string, report: Report): string {
  const commandLine = report.sections.get('command-line')?.parts[0]?.text.trim() ?? ''
  const masked = commandLine === '' ? text : text.replaceAll(commandLine, maskCommandLine(commandLine))
  const printable = masked.replace(/[^\P{Cc}\n\t]|\p{Cf}|\p{Cs}/gu, escaped)
  return printable.length > maxCharacters
    ? `${printable.slice(0, maxCharacters)}\n… ${printable.length - maxCharacters} characters more`
    : printable
}

function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}
