import {
  isBlocking,
  needsAcknowledgement,
  type CheckReport,
  type CheckResult,
  type CheckState,
} from '../../../shared/checks/index.ts'
import { cleanText, countOf } from './text.ts'
import type { Measurements } from '../../checks/measure/index.ts'

const words: Record<CheckState, string> = {
  pass: 'pass',
  warn: 'warn',
  fail: 'BLOCK',
  pending: 'pending',
  running: 'running',
  'could-not-run': '?',
  skipped: 'skipped',
  acknowledged: 'accepted',
}

/** One line for one result, as it comes. */
export function formatResult(result: CheckResult): string {
  const word = isBlocking(result) ? 'BLOCK' : words[result.state]
  return `${word.padEnd(8)}  ${result.target.padEnd(15)} ${result.id.padEnd(22)} ${cleanText(`${result.title}: ${result.measured}`)}`
}

/** What somebody has to do, once more and together, and how many of each there are. */
export function formatReport({ checks, summary, warnings }: CheckReport): string {
  const blocking = checks.filter(isBlocking)
  const open = checks.filter((result) => !isBlocking(result) && needsAcknowledgement(result))
  const accepted = checks.filter(({ state }) => state === 'acknowledged')
  const unknown = summary['could-not-run']
  return [
    '',
    ...warnings.map((warning) => `warning: ${cleanText(warning)}`),
    ...section('What stops the installation', blocking),
    ...section('What somebody must accept, or put right', open),
    ...(accepted.length === 0
      ? []
      : [
          'Accepted',
          ...accepted.map(
            ({ acknowledgement, ...result }) =>
              `  ${formatResult(result)}\n            by ${acknowledgement?.by ?? '?'}, ${acknowledgement?.at ?? '?'}: ${acknowledgement?.why ?? ''}`,
          ),
          '',
        ]),
    `${countOf(summary.total, 'check')}: ${summary.pass} passed, ${summary.warn} warn, ${summary.acknowledged} accepted, ${unknown} could not run, ${summary.skipped} skipped; ${summary.blocking} block.`,
    ...(open.length > 0
      ? ['Accept a warning with: landfall check PLAN --acknowledge ID[@TARGET] --why "REASON"']
      : []),
    '',
  ].join('\n')
}

function section(title: string, results: readonly CheckResult[]): string[] {
  if (results.length === 0) return []
  return [title, ...results.flatMap(describe), '']
}

function describe(result: CheckResult): string[] {
  const { threshold, evidence, remedy, fixStep } = result
  const indent = ' '.repeat(12)
  return [
    `  ${formatResult(result)}`,
    `${indent}must be: ${cleanText(threshold)}`,
    `${indent}seen by: ${cleanText(evidence)}`,
    `${indent}do: ${cleanText(remedy)}${fixStep === null ? '' : ` (step ${fixStep})`}`,
  ]
}

/** The nodes as rows and columns, with the odd one out; nothing for a single node. */
export async function formatMatrix(measurements: Measurements, columns = 100): Promise<string> {
  if (measurements.nodes.length < 2) return ''
  const { drawMatrix, matrixOf } = await import('../../checks/measure/index.ts')
  return `\n${drawMatrix(matrixOf(measurements), columns)}\n`
}
