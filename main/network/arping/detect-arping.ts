import { printableStart } from '../printable.ts'
import type { ProgramResult, ProgramRunner } from '../programs/program-runner.ts'

/**
 * A program called arping that Landfall knows how to ask and to read. Three programs have that name, with other flags
 * and opposite exit codes (platforms.md §4.5).
 */
export interface UsableArping {
  readonly kind: 'iputils' | 'habets' | 'busybox'
  /** What to run: a path, or a name that is looked up. */
  readonly program: string
  /** Arguments that come before all others: the applet's name for `busybox`. */
  readonly leadingArguments: readonly string[]
  /** As the program says: `20221126`, `s20190709` (iputils), `2.23` (Habets), `1.35.0` (BusyBox). */
  readonly version: string
}

export type ArpingVariant =
  | UsableArping
  /** There is no program of that name. */
  | { readonly kind: 'none'; readonly detail: string }
  /** There is one, but it is none of those that are known; `detail` is what it said. */
  | { readonly kind: 'unknown'; readonly detail: string }

/**
 * Where distributions put it. Paths come before the name: a path is the same program with and without `sudo`, whose PATH
 * differs from the user's, and both places may hold different ones (Debian: iputils in /usr/bin, Habets in /usr/sbin).
 */
const candidates: readonly Pick<UsableArping, 'program' | 'leadingArguments'>[] = [
  ...['/usr/bin/arping', '/usr/sbin/arping', '/sbin/arping', '/usr/local/sbin/arping', 'arping'].map(
    (program) => ({ program, leadingArguments: [] }),
  ),
  { program: 'busybox', leadingArguments: ['arping'] },
]

/**
 * Best first. iputils and BusyBox also hear when the owner of an address asks for something else; Habets' arping hears
 * replies only. iputils' may be used without root where it is installed with a capability (Debian).
 */
const preference: readonly UsableArping['kind'][] = ['iputils', 'busybox', 'habets']

/** `-V` prints the version of iputils' arping; for the others it is an error that they answer with their usage. */
const versionForms: readonly { readonly kind: UsableArping['kind']; readonly form: RegExp }[] = [
  // `arping utility, iputils-s20161105` until 2018, `arping from iputils s20190709` since, without the s since 2020.
  { kind: 'iputils', form: /^arping (?:utility, iputils-|from iputils )(\S{1,40})$/m },
  { kind: 'habets', form: /^ARPing (\d+\.\S{1,20}), by Thomas Habets/m },
  { kind: 'busybox', form: /^BusyBox v(\S{1,40}) [^\n]*\n(?:[^\n]*\n)*Usage: arping /m },
]

const deadlineSeconds = 10

/**
 * Finds the best program called arping at a place, by what it prints about itself; names and symbolic links say nothing.
 *
 * @throws AppError when the place cannot be reached; the signal's reason when aborted.
 */
export async function detectArping(runner: ProgramRunner, signal: AbortSignal): Promise<ArpingVariant> {
  const found: UsableArping[] = []
  const strange: string[] = []
  for (const candidate of candidates) {
    const [best] = preference
    if (found.some(({ kind }) => kind === best)) break
    const result = await runner.run(candidate.program, [...candidate.leadingArguments, '-V'], {
      signal,
      deadlineSeconds,
      maxOutputBytes: 64 * 1024,
    })
    const identity = identify(result)
    if (identity !== undefined) found.push({ ...candidate, ...identity })
    else if (result.kind !== 'missing' && !isMissingApplet(result)) {
      strange.push(`${candidate.program}: ${whatItSaid(result)}`)
    }
  }
  for (const kind of preference) {
    const arping = found.find((usable) => usable.kind === kind)
    if (arping !== undefined) return arping
  }
  if (strange.length > 0) return { kind: 'unknown', detail: strange.join('; ') }
  return { kind: 'none', detail: `There is no program called arping on ${runner.place}.` }
}

/** Which program it is that was run with `-V`; `undefined` when it is none of those that are known. */
export function identify(result: ProgramResult): Pick<UsableArping, 'kind' | 'version'> | undefined {
  if (result.kind !== 'ended') return undefined
  const text = `${result.stdout}\n${result.stderr}`
  for (const { kind, form } of versionForms) {
    const version = form.exec(text)?.[1]
    if (version !== undefined) return { kind, version }
  }
  return undefined
}

/** BusyBox can be built without arping. */
function isMissingApplet(result: ProgramResult): boolean {
  return result.kind === 'ended' && /^arping: applet not found$/m.test(result.stderr)
}

function whatItSaid(result: Exclude<ProgramResult, { kind: 'missing' }>): string {
  switch (result.kind) {
    case 'not-permitted':
      return result.reason
    case 'killed':
      return result.reason === 'deadline'
        ? `did not tell its version within ${deadlineSeconds} s`
        : 'wrote without end'
    case 'ended': {
      const said = printableStart(`${result.stdout} ${result.stderr}`)
      return said === '' ? `exit code ${result.exitCode ?? 'none'} without a word` : said
    }
  }
}
