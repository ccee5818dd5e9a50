import process from 'node:process'
import { Command, InvalidArgumentError, Option } from 'commander'
import { exitCodes } from './exit-codes.ts'

/**
 * The command line. Every command imports what it needs when it is run, so that `landfall --help` does not load the
 * whole product.
 */
export function createProgram(): { run(argv: readonly string[]): Promise<number> } {
  let exitCode: number = exitCodes.done
  const exits =
    <A extends unknown[]>(work: (...args: A) => Promise<number>) =>
    async (...args: A): Promise<void> => {
      exitCode = await work(...args)
    }

  const program = new Command('landfall')
    .description('From an ISO file to a running self-hosted Palette, on sites without Internet.')
    .version(version, '-V, --version')
    .exitOverride()
    .showSuggestionAfterError()

  program
    .command('run')
    .description('perform the whole installation, unattended')
    .argument('<plan>', 'plan file (YAML)')
    .option('--dry-run', 'list every change that would be made, and make none', false)
    .option('--resume', 'go on with the last run of this site', false)
    .addOption(
      new Option('--fresh', 'begin a new run although an earlier one is not finished')
        .default(false)
        .conflicts('resume'),
    )
    .option('--json', 'one event a line on standard output', false)
    .option(
      '--yes',
      'do not ask before the installation begins (consent to destroy data stands in the plan only)',
      false,
    )
    .addOption(
      new Option('--lab', 'install a practice lab that fits the plan').default(false).conflicts('labAt'),
    )
    .option('--lab-at <file>', 'install a practice lab that runs already (see: landfall lab --describe)')
    .option('--time-scale <n>', 'how many times faster than real the practice lab lives', positiveNumber)
    .option('--scenario <file>', 'faults for the practice lab (YAML)')
    .action(
      exits(async (planFile: string, options: RunFlags) => {
        const { runPlan } = await import('./run-command.ts')
        return runPlan({ planFile, ...options })
      }),
    )

  program
    .command('demo')
    .description('perform a whole unattended installation of three nodes on the practice lab')
    .option('--time-scale <n>', 'how many times faster than real the practice lab lives', positiveNumber, 100)
    .action(
      exits(async ({ timeScale }: { timeScale: number }) => {
        const { runDemo } = await import('./demo-command.ts')
        return runDemo(timeScale)
      }),
    )

  program
    .command('check')
    .description('run the checks; changes nothing on the site')
    .argument('<plan>', 'plan file (YAML)')
    .option('--only <id...>', 'only these checks; vip.reachable and node.disk-speed run only when named')
    .option('--acknowledge <id...>', 'accept these warnings as they are: ID, or ID@TARGET')
    .option('--why <reason>', 'why they are accepted; is kept with account and time')
    .option('--json', 'one JSON document on standard output', false)
    .addOption(
      new Option('--lab', 'check a practice lab that fits the plan').default(false).conflicts('labAt'),
    )
    .option('--lab-at <file>', 'check a practice lab that runs already')
    .option('--time-scale <n>', 'how many times faster than real the practice lab lives', positiveNumber)
    .option('--scenario <file>', 'faults for the practice lab (YAML)')
    .action(
      exits(async (planFile: string, options: CheckFlags) => {
        const { checkPlan } = await import('./check-command.ts')
        return checkPlan({ planFile, ...options })
      }),
    )

  program
    .command('fix')
    .description(
      'put right on a node what a check has found: shows what it would change, asks, changes it, reads back',
    )
    .argument('<plan>', 'plan file (YAML)')
    .argument('<check>', 'id of the check, for example clock.skew')
    .argument('<node>', 'name of the node as in the plan')
    .option('--dry-run', 'show what would be changed, and change nothing', false)
    .option('--yes', 'do not ask (what destroys data needs --confirm all the same)', false)
    .option('--confirm <node>', 'name of the node once more: its data may be destroyed')
    .option('--mtu <bytes>', 'MTU that the node shall get (net.mtu-equal, net.mtu-path)', mtuBytes)
    .addOption(new Option('--lab', 'on a practice lab that fits the plan').default(false).conflicts('labAt'))
    .option('--lab-at <file>', 'on a practice lab that runs already')
    .option('--time-scale <n>', 'how many times faster than real the practice lab lives', positiveNumber)
    .option('--scenario <file>', 'faults for the practice lab (YAML)')
    .action(
      exits(async (planFile: string, check: string, node: string, options: FixFlags) => {
        const { fixNode } = await import('./fix-command.ts')
        return fixNode({ planFile, check, node, ...options })
      }),
    )

  program
    .command('find-vip')
    .description('find free addresses for the virtual IP, with the evidence; changes nothing')
    .argument('<cidr>', 'network or range, for example 10.10.200.0/24 or 10.10.200.50-10.10.200.99')
    .option('--count <n>', 'how many free addresses are wanted', positiveInteger, 3)
    .option('--interface <name>', 'interface of this workstation to look through')
    .option('--via <user@host...>', 'look from this machine too, over SSH')
    .option('--identity <file>', 'private key for --via')
    .option('--exclude <addresses...>', 'never offer these, with commas between them')
    .option(
      '--recheck [seconds]',
      'ask the candidates once more, after a minute or the given time',
      positiveInteger,
    )
    .option('--json', 'one JSON document on standard output', false)
    .action(
      exits(async (cidr: string, options: FindVipFlags) => {
        const { findVip } = await import('./find-vip-command.ts')
        const { identity: identityFile, recheck = 0, via = [], exclude = [], ...rest } = options
        return findVip({
          cidr,
          ...rest,
          identityFile,
          via,
          exclude,
          recheck: recheck === true ? 60 : recheck,
        })
      }),
    )

  program
    .command('lab')
    .description('run a practice lab until Ctrl-C')
    .argument('[plan]', 'plan that the lab shall fit')
    .option('--nodes <n>', 'without a plan: how many nodes', positiveInteger, 3)
    .option('--time-scale <n>', 'how many times faster than real it lives', positiveNumber, 60)
    .option('--scenario <file>', 'faults (YAML)')
    .option('--write-plan <file>', 'write the plan that fits the lab')
    .option('--describe <file>', 'write how to reach the lab, for: landfall run PLAN --lab-at FILE')
    .action(
      exits(async (planFile: string | undefined, options: LabFlags) => {
        const { runLab } = await import('./lab-command.ts')
        return runLab({ planFile, ...options })
      }),
    )

  const journal = program.command('journal').description('the journals of runs').exitOverride()
  journal
    .command('verify')
    .description('check that a journal was not altered')
    .argument('<file>', 'journal.ndjson of a run')
    .option('--json', 'one JSON document on standard output', false)
    .action(
      exits(async (file: string, { json }: { json: boolean }) => {
        const { verifyJournal } = await import('./journal-command.ts')
        return verifyJournal(file, json)
      }),
    )

  const identity = program.command('identity').description('the pinned SSH and TLS identities of a site')
  identity
    .command('forget')
    .description('forget the identities of a node that was installed again')
    .argument('<plan>', 'plan file (YAML)')
    .argument('<node>', 'name of the node as in the plan, or "console"')
    .option('--practice', 'those of a practice lab (run --lab-at), not of the real site', false)
    .action(
      exits(async (planFile: string, node: string, { practice }: { practice: boolean }) => {
        const { forgetIdentities } = await import('./identity-command.ts')
        return forgetIdentities(planFile, node, practice)
      }),
    )

  identity
    .command('forget-host')
    .description('forget the host key of a machine that find-vip --via looked from')
    .argument('<host>', 'address or name, as it was given; with :port where it is not 22')
    .action(
      exits(async (host: string) => {
        const { forgetHost } = await import('./via-connection.ts')
        return forgetHost(host)
      }),
    )

  return {
    run: async (argv) => {
      await addPlanCommands(program, argv)
      await program.parseAsync([...argv])
      return typeof process.exitCode === 'number' ? process.exitCode : exitCode
    },
  }
}

/** Only what was asked for is loaded. */
async function addPlanCommands(program: Command, argv: readonly string[]): Promise<void> {
  const needsAll = argv.length <= 2 || argv.some((argument) => ['-h', '--help', 'help'].includes(argument))
  if (needsAll || argv[2] === 'plan') {
    const { planCommand } = await import('./plan-commands.ts')
    program.addCommand(planCommand())
  }
  if (needsAll || argv[2] === 'vault') {
    const { vaultCommand } = await import('./vault-commands.ts')
    program.addCommand(vaultCommand())
  }
}

const version = '0.1.0'

interface RunFlags {
  dryRun: boolean
  resume: boolean
  fresh: boolean
  json: boolean
  yes: boolean
  lab: boolean
  labAt?: string
  timeScale?: number
  scenario?: string
}

interface CheckFlags {
  only?: string[]
  acknowledge?: string[]
  why?: string
  json: boolean
  lab: boolean
  labAt?: string
  timeScale?: number
  scenario?: string
}

interface FixFlags {
  mtu?: number
  dryRun: boolean
  yes: boolean
  confirm?: string
  lab: boolean
  labAt?: string
  timeScale?: number
  scenario?: string
}

interface FindVipFlags {
  count: number
  interface?: string
  via?: string[]
  identity?: string
  exclude?: string[]
  recheck?: number | true
  json: boolean
}

interface LabFlags {
  nodes: number
  timeScale: number
  scenario?: string
  writePlan?: string
  describe?: string
}

function positiveNumber(text: string): number {
  const value = Number(text)
  if (!Number.isFinite(value) || value <= 0 || value > 100_000) {
    throw new InvalidArgumentError('It must be a number above 0 and at most 100000.')
  }
  return value
}

function mtuBytes(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 576 || value > 9216) {
    throw new InvalidArgumentError('It must be a whole number from 576 to 9216.')
  }
  return value
}

function positiveInteger(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 200) {
    throw new InvalidArgumentError('It must be a whole number from 1 to 200.')
  }
  return value
}
