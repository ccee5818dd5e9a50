/**
 * Preloaded into a process whose memory is measured (`node --import`): at its end it writes the most memory that it
 * ever had, in MiB, into the file that
 * LANDFALL_PEAK_FILE names, with its process id behind.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'

const file = process.env['LANDFALL_PEAK_FILE']
if (file !== undefined) {
  process.on('exit', () => {
    writeFileSync(`${file}.${process.pid}`, String(peakKibibytes() / 1024))
  })
}

/**
 * Linux: VmHWM of proc(5). `resourceUsage().maxRSS` is no substitute there, because it begins with the memory of the
 * process that started this one (getrusage(2): it survives execve).
 */
function peakKibibytes(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS
  const line = /^VmHWM:\s+(\d+) kB$/mu.exec(readFileSync('/proc/self/status', 'utf8'))
  if (line?.[1] === undefined) throw new Error('/proc/self/status has no VmHWM')
  return Number(line[1])
}
