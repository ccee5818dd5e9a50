import { open } from 'node:fs/promises'
import process from 'node:process'
import { Command, InvalidArgumentError, Option } from 'commander'
import {
  expandNodeRange,
  planTemplate,
  readPlan,
  showPlan,
  withVariantDefaults,
  type PlanProblem,
  type ProcedureVariant,
  type ReadPlanResult,
} from '../../shared/plan/index.ts'
import { exitCodes } from './exit-codes.ts'
import { readPlanFile } from './plan-file.ts'

const DEFAULT_FILE = 'plan.yaml'

/** `landfall plan …`: start, check and show a plan. Sets `process.exitCode`: 0 done, 2 bad plan or arguments. */
export function planCommand(): Command {
  const plan = new Command('plan').description('start, check and show plans').exitOverride()

  plan
    .command('init')
    .description('write a plan to start from; never overwrites a file')
    .argument('[file]', 'file to write', DEFAULT_FILE)
    .option('--name <name>', 'name of the site')
    .option(
      '--nodes <addresses>',
      'addresses of the nodes, with commas between them, or ranges (10.10.200.11-13); the first becomes the leader',
      readNodes,
    )
    .option('--network <cidr>', 'layer 2 network of the nodes')
    .option('--vip <address>', 'free address of that network; default auto: one is looked for')
    .option('--gateway <address>', 'default gateway')
    .option('--email <address>', 'address of the system administrator')
    .action(handleInit)

  plan
    .command('lint')
    .description('check plans: syntax, every field, and the rules between them')
    .argument('<file...>', 'plans to check')
    .option('--json', 'one JSON document on standard output', false)
    .action(handleLint)

  plan
    .command('show')
    .description('show a plan with all defaults filled in, and which values are defaults')
    .argument('<file>', 'plan to show')
    .addOption(
      new Option('--variant <variant>', 'generation of the procedure whose defaults are shown').choices([
        'A',
        'B',
        'C',
        'D',
      ]),
    )
    .option('--json', 'one JSON document on standard output', false)
    .action(handleShow)

  return plan
}

function readNodes(text: string): readonly string[] {
  const range = expandNodeRange(text)
  if (range.kind === 'invalid') throw new InvalidArgumentError(range.message)
  return range.addresses
}

interface InitOptions {
  name?: string
  nodes?: readonly string[]
  network?: string
  vip?: string
  gateway?: string
  email?: string
}

async function handleInit(file: string, options: InitOptions): Promise<void> {
  const text = planTemplate({ vip: 'auto', ...options })
  const result = readPlan(text, file)
  if (!result.ok) {
    process.stderr.write('These options do not make a plan; nothing was written:\n')
    for (const problem of result.problems) process.stderr.write(`  ${problem.message} → ${problem.fix}\n`)
    process.exitCode = exitCodes.badInput
    return
  }
  try {
    const handle = await open(file, 'wx', 0o644)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    const exists = error instanceof Error && 'code' in error && error.code === 'EEXIST'
    process.stderr.write(
      exists
        ? `${file} exists already and was not touched. Give another name: landfall plan init OTHER.yaml\n`
        : `${file} cannot be written: ${messageOf(error)}\n`,
    )
    process.exitCode = exitCodes.badInput
    return
  }
  process.stdout.write(`Wrote ${file}. Edit it, then check it with: landfall plan lint ${file}\n`)
}

async function handleLint(files: string[], { json }: { json: boolean }): Promise<void> {
  const results: { file: string; result: ReadPlanResult }[] = []
  for (const file of files) results.push({ file, result: await readPlanFile(file) })

  if (json) {
    const report = results.map(({ file, result }) => ({
      file,
      ok: result.ok,
      problems: result.ok ? [] : result.problems,
      warnings: result.warnings,
    }))
    process.stdout.write(`${JSON.stringify({ files: report }, null, 2)}\n`)
  } else {
    for (const { file, result } of results) {
      for (const problem of allOf(result)) process.stdout.write(`${formatLine(file, problem)}\n`)
      if (result.ok) {
        const { length } = result.warnings
        process.stdout.write(`${file}: in order${length === 0 ? '' : `, ${count(length, 'warning')}`}\n`)
      } else {
        process.stdout.write(
          `${file}: ${count(result.problems.length, 'error')}, ${count(result.warnings.length, 'warning')}\n`,
        )
      }
    }
  }
  process.exitCode = results.every(({ result }) => result.ok) ? exitCodes.done : exitCodes.badInput
}

async function handleShow(
  file: string,
  { variant, json }: { variant?: ProcedureVariant; json: boolean },
): Promise<void> {
  const result = await readPlanFile(file)
  for (const problem of allOf(result)) process.stderr.write(`${formatLine(file, problem)}\n`)
  if (!result.ok) {
    process.exitCode = exitCodes.badInput
    return
  }
  const { plan, givenPaths } = result
  const chosen = variant ?? (plan.appliance.variant === 'auto' ? undefined : plan.appliance.variant)
  const effective = chosen === undefined ? plan : withVariantDefaults(plan, chosen)
  const { text, defaults } = showPlan(effective, plan, givenPaths)
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ file, variant: chosen ?? 'auto', plan: effective, defaults }, null, 2)}\n`,
    )
  } else {
    const heading =
      chosen === undefined
        ? 'Effective plan. What the appliance decides (variant: auto) is left out; --variant A|B|C|D shows it.'
        : `Effective plan on an appliance of variant ${chosen}.`
    process.stdout.write(`# ${heading}\n${text}`)
  }
  process.exitCode = exitCodes.done
}

function allOf(result: ReadPlanResult): PlanProblem[] {
  return [...(result.ok ? [] : result.problems), ...result.warnings].toSorted(
    (a, b) => a.line - b.line || a.column - b.column,
  )
}

/** `file:line:column severity code message → fix`, which editors can jump to. */
function formatLine(file: string, { line, column, severity, code, message, fix }: PlanProblem): string {
  return `${file}:${line}:${column} ${severity} ${code} ${message} → ${fix}`
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
