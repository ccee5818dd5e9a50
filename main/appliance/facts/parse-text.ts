import ipaddr from 'ipaddr.js'

/** Small things that several parsers need. Nothing here throws. */

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Lines of the form `name=value`; the first of a name wins. */
export function assignmentsOf(text: string): Map<string, string> {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, name, value] = /^\s*([A-Za-z_][A-Za-z0-9_.-]*)=(.*)$/u.exec(line) ?? []
    if (name !== undefined && value !== undefined && !values.has(name)) values.set(name, value.trim())
  }
  return values
}

/** A text of one line with something in it. */
export function lineOf(text: string): string | undefined {
  const line = text.trim()
  return line === '' || line.includes('\n') ? undefined : line
}

export function wordsOf(text: string | undefined): string[] {
  return (text ?? '').split(/\s+/u).filter((word) => word !== '')
}

/** A whole number that JavaScript can hold exactly. */
export function integerOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^-?\d{1,16}$/u.test(text.trim())) return undefined
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : undefined
}

export function decimalOf(text: string | undefined): number | undefined {
  return text !== undefined && /^[+-]?\d{1,15}(\.\d+)?(e[+-]?\d{1,3})?$/iu.test(text.trim())
    ? Number(text)
    : undefined
}

/** Lower case, with colons; `undefined` for anything else, and for the address of nobody. */
export function macOf(text: string | undefined | null): string | undefined {
  const mac = text?.trim().toLowerCase().replaceAll('-', ':')
  return mac !== undefined && /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/u.test(mac) && mac !== '00:00:00:00:00:00'
    ? mac
    : undefined
}

/** An IPv4 address of four decimal numbers, or an IPv6 address, maybe with a zone. */
export function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || (text.includes(':') && ipaddr.IPv6.isValid(text))
}

/** `undefined` for what is empty. */
export function filled(text: string | null | undefined): string | undefined {
  const trimmed = text?.trim()
  return trimmed === undefined || trimmed === '' ? undefined : trimmed
}
