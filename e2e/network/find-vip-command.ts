import { join } from 'node:path'
import process from 'node:process'
import { freeAddressReportSchema, type FreeAddressReport } from '../../shared/addresses/index.ts'
import type { LandfallVerdict } from './oracles.ts'
import type { Ended, SegmentLab } from './segment-lab.ts'

const program = join(import.meta.dirname, '../../main/console/landfall.ts')

/** Runs `landfall find-vip` where the laboratory looks from, as an operator would. */
export async function runFindVip(
  lab: SegmentLab,
  args: readonly string[],
  options: {
    readonly namespace?: string
    readonly wrapper?: readonly string[]
    readonly env?: Record<string, string>
  } = {},
): Promise<Ended> {
  const [starter = process.execPath, ...rest] = [...(options.wrapper ?? []), process.execPath]
  return await lab.run(
    options.namespace ?? lab.seekerNamespace,
    starter,
    [...rest, program, 'find-vip', ...args],
    {
      timeoutMilliseconds: 120_000,
      env: { LANDFALL_STATE_DIR: join(lab.folder, 'state'), ...options.env },
    },
  )
}

/** The same with `--json`; the report must be of the published shape. */
export async function findVip(
  lab: SegmentLab,
  args: readonly string[],
  options: Parameters<typeof runFindVip>[2] = {},
): Promise<FreeAddressReport> {
  const ended = await runFindVip(lab, [...args, '--json'], options)
  if (ended.stdout === '')
    throw new Error(`find-vip printed nothing; exit code ${ended.exitCode}: ${ended.stderr}`)
  return freeAddressReportSchema.parse(JSON.parse(ended.stdout))
}

/** Verdict of each address that the report speaks of. */
export function verdictsOf(report: FreeAddressReport): Map<string, LandfallVerdict> {
  return new Map(
    [...report.candidates, ...report.used, ...report.doubtful].map(({ address, verdict }) => [
      address,
      verdict,
    ]),
  )
}
