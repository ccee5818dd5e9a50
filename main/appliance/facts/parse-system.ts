import type { Service } from './node-facts.ts'
import { assignmentsOf, decimalOf, filled, wordsOf } from './parse-text.ts'

/** os-release(5): assignments of the shell, with its quotes. */
export function parseOsRelease(text: string): Map<string, string> {
  return new Map([...assignmentsOf(text)].map(([name, value]) => [name, unquoted(value)]))
}

function unquoted(value: string): string {
  const [, quote, inside] = /^(["'])(.*)\1$/u.exec(value) ?? []
  if (quote === undefined || inside === undefined) return value
  return quote === "'" ? inside : inside.replace(/\\(["$`\\])/gu, '$1')
}

/** `uname -srm` */
export function parseUname(text: string): { release: string; machine: string } | undefined {
  const [system, release, machine, ...rest] = wordsOf(text)
  return system === 'Linux' && release !== undefined && machine !== undefined && rest.length === 0
    ? { release, machine }
    : undefined
}

const architectures: Readonly<Record<string, string>> = { x86_64: 'amd64', aarch64: 'arm64' }

/** The name that the API uses for what `uname -m` says. */
export function architectureOf(machine: string): string {
  return architectures[machine] ?? machine
}

/** /proc/uptime, in milliseconds. */
export function parseUptime(text: string): number | undefined {
  const seconds = decimalOf(wordsOf(text)[0])
  return seconds === undefined || seconds < 0 ? undefined : Math.round(seconds * 1000)
}

/** /etc/hostname (hostname(5)): one name; lines of comment before it are allowed. */
export function parseHostName(text: string): string | undefined {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
  const name = lines[0]?.trim()
  return lines.length === 1 && name !== undefined && /^[\p{L}\p{N}._-]+$/u.test(name) ? name : undefined
}

/** RFC 9562 form, lower case. SMBIOS has all zeros and all ones for "none". */
export function parseProductUuid(text: string): string | undefined {
  const uuid = text.trim().toLowerCase()
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u.test(uuid)) return undefined
  return /^[0-]+$|^[f-]+$/u.test(uuid) ? undefined : uuid
}

/** /etc/machine-id (machine-id(5)); `uninitialized` in an image that has not been started yet. */
export function parseMachineId(text: string): string | undefined {
  const id = text.trim()
  return /^[0-9a-f]{32}$/u.test(id) ? id : undefined
}

/** `systemctl show` of several units: a block for each, in the order in which they were asked for. */
export function parseServices(text: string, asked: readonly string[]): Service[] | undefined {
  const blocks = text
    .trim()
    .split(/\n\s*\n/u)
    .map(assignmentsOf)
    .filter((block) => block.has('LoadState') && block.has('ActiveState'))
  if (blocks.length !== asked.length) return undefined
  return asked.map((unit, index) => {
    const block = blocks[index]
    return {
      unit,
      isInstalled: block?.get('LoadState') !== 'not-found',
      state: block?.get('ActiveState') ?? '',
      subState: block?.get('SubState') ?? '',
      startMode: filled(block?.get('UnitFileState')),
    }
  })
}
