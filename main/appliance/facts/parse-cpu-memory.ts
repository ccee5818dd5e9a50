import { filled, integerOf, wordsOf } from './parse-text.ts'

/** `nproc` */
export function parseProcessorCount(text: string): number | undefined {
  const count = integerOf(text)
  return count !== undefined && count > 0 ? count : undefined
}

/** The first processor of /proc/cpuinfo. `model` is not told on ARM. */
export function parseCpuInfo(text: string): {
  model: string | undefined
  flags: readonly string[] | undefined
} {
  const lines = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, name, value] = /^([^:\t]+?)\s*:\s*(.*)$/u.exec(line) ?? []
    if (name !== undefined && value !== undefined && !lines.has(name)) lines.set(name, value)
  }
  const flags = wordsOf(lines.get('flags') ?? lines.get('Features'))
  return {
    model: filled(lines.get('model name')) ?? filled(lines.get('Model')),
    flags: flags.length === 0 ? undefined : flags,
  }
}

export interface MemoryInfo {
  readonly total: number
  readonly available: number | undefined
  readonly swap: number | undefined
}

/** /proc/meminfo, in bytes. */
export function parseMemoryInfo(text: string): MemoryInfo | undefined {
  const bytesOf = (name: string) => {
    const [, value] = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'mu').exec(text) ?? []
    const kibibytes = integerOf(value)
    return kibibytes === undefined ? undefined : kibibytes * 1024
  }
  const total = bytesOf('MemTotal')
  if (total === undefined || total === 0) return undefined
  return { total, available: bytesOf('MemAvailable'), swap: bytesOf('SwapTotal') }
}

/** dmidecode counts in powers of 1024 and writes MB and GB (dmidecode.c, dmi_print_memory_size). */
const units: Readonly<Record<string, number>> = {
  bytes: 1,
  kb: 1024,
  mb: 1024 ** 2,
  gb: 1024 ** 3,
  tb: 1024 ** 4,
}

/**
 * `dmidecode -t 17 -t 19`: sum of the memory modules, in bytes; of the mapped ranges where the firmware describes no
 * modules. `undefined` when a module has an unknown size, or nothing is told.
 */
export function parseInstalledMemory(text: string): number | undefined {
  const blocks = text.split(/\n\s*\n/u)
  const sizes = (type: number, name: string) =>
    blocks
      .filter((block) => new RegExp(`^Handle 0x[0-9A-F]+, DMI type ${type},`, 'imu').test(block))
      .map((block) => new RegExp(`^\\s+${name}:\\s*(.*?)\\s*$`, 'mu').exec(block)?.[1] ?? '')
  const modules = sizes(17, 'Size').filter(
    (size) => !/^(No Module Installed|Not Installed|None)$/iu.test(size),
  )
  const told = modules.length > 0 ? modules : sizes(19, 'Range Size')
  let sum = 0
  for (const size of told) {
    const [, number, unit = ''] = /^(\d{1,9}) (bytes|kB|MB|GB|TB)$/iu.exec(size) ?? []
    const factor = units[unit.toLowerCase()]
    if (number === undefined || factor === undefined) return undefined
    sum += Number(number) * factor
  }
  return sum > 0 ? sum : undefined
}
