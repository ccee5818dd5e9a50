import { readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { networkChecks } from '../shared/checks/catalogue/network.ts'
import { nodeChecks } from '../shared/checks/catalogue/node.ts'
import { planChecks } from '../shared/checks/catalogue/plan.ts'
import { vipChecks } from '../shared/checks/catalogue/vip.ts'
import { workstationChecks } from '../shared/checks/catalogue/workstation.ts'
import type { CheckDefinition } from '../shared/checks/definition.ts'

const families: Readonly<Record<string, Readonly<Record<string, CheckDefinition>>>> = {
  workstation: workstationChecks,
  plan: planChecks,
  nodes: nodeChecks,
  network: networkChecks,
  'virtual IP address': vipChecks,
}

const weights = { block: 'blocks', warn: 'warns', info: 'tells' }

/** The tables of docs/checks.md, as the catalogue has them. */
export function withTables(text: string): string {
  return Object.entries(families).reduce((written, [name, checks]) => {
    const [begin, end] = [`<!-- begin: ${name} -->`, `<!-- end: ${name} -->`]
    const start = written.indexOf(begin)
    const stop = written.indexOf(end)
    if (start === -1 || stop < start) throw new Error(`docs/checks.md has no place for the table "${name}"`)
    return `${written.slice(0, start)}${begin}\n\n${tableOf(checks)}\n\n${written.slice(stop)}`
  }, text)
}

function tableOf(checks: Readonly<Record<string, CheckDefinition>>): string {
  const rows = Object.entries(checks).map(([id, { title, severity, ageLimitSeconds, isFinal }]) => [
    `\`${id}\``,
    title,
    `${weights[severity]}${isFinal === true ? ', always' : ''}`,
    ageLimitSeconds === null ? 'with the plan' : ageOf(ageLimitSeconds),
  ])
  const all = [['Check', 'Passes when', 'Otherwise', 'Old after'], ...rows]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`
  const [head = [], ...body] = all
  return [line(head), rule, ...body.map(line)].join('\n')
}

function ageOf(seconds: number): string {
  return seconds >= 3600 ? `${seconds / 3600} h` : `${seconds / 60} min`
}

/** `node scripts/check-tables.ts` writes the tables anew. */
if (import.meta.main) {
  const file = new URL('../docs/checks.md', import.meta.url)
  writeFileSync(file, withTables(readFileSync(file, 'utf8')))
  process.stdout.write('docs/checks.md is as the catalogue says.\n')
}
