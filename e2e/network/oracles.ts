import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Layout, Truth } from './layouts.ts'
import type { Ended } from './namespace-programs.ts'
import type { SegmentLab } from './segment-lab.ts'
import { addressesOf, type HostSpec } from './segment-hosts.ts'

/** What another program says about an address. `unclear`: it did not ask, or its answer cannot be read. */
export interface OracleAnswer {
  readonly verdict: 'up' | 'down' | 'unclear'
  /** In the program's own words. */
  readonly detail: string
}

export type OracleAnswers = ReadonlyMap<string, OracleAnswer>

/** Another program that is asked about the same addresses, from the seeker and as root. */
export interface Oracle {
  /** Program and flags; the column of the table. */
  readonly name: string
  /** Why it cannot be asked on this machine; `undefined`: it can. */
  whyNot(): string | undefined
  ask(lab: SegmentLab, addresses: readonly string[]): Promise<OracleAnswers>
}

/** What Landfall says about an address. */
export type LandfallVerdict = 'free' | 'used' | 'doubtful'

/** RFC 5227 §1.1, PROBE_NUM. */
const probes = 3
/** They mostly wait. More at a time would disturb what they measure. */
const parallelArpings = 64

/**
 * Where `scripts/setup.mjs` puts the arping of Thomas Habets: Debian's package of it and `iputils-arping` exclude each
 * other, and the tests need both.
 */
const unpackedHabetsArping = join(
  import.meta.dirname,
  '../../node_modules/.cache/landfall-tools/arping/usr/sbin/arping',
)

/** The arping of Thomas Habets; `undefined`: it is not there, or does not run. */
export function habetsArping(): string | undefined {
  return [unpackedHabetsArping, 'arping'].find(
    (program) =>
      (program === 'arping' || existsSync(program)) && outputOf(program, '-h').includes('Thomas Habets'),
  )
}

const whyNoHabets = () =>
  habetsArping() === undefined
    ? 'the arping of Thomas Habets is not there (Debian: `npm test` as root fetches it)'
    : undefined

export const nmapOracle: Oracle = {
  name: 'nmap -sn',
  whyNot: () => (outputOf('nmap', '--version').includes('Nmap') ? undefined : 'nmap is not installed'),
  ask: async (lab, addresses) => {
    // -v: it lists also what it calls down, so that what it forgot can be told apart.
    const ended = await lab.run(lab.seekerNamespace, 'nmap', ['-sn', '-n', '-v', '-oX', '-', ...addresses])
    const said = ended.stdout.includes('exit="success"') ? readNmapHosts(ended.stdout) : new Map()
    return new Map(
      addresses.map((address) => [address, said.get(address) ?? unclear('not in the output')] as const),
    )
  },
}

export const iputilsOracle: Oracle = {
  name: 'iputils arping -D',
  whyNot: () =>
    outputOf('arping', '-V').includes('iputils') ? undefined : 'the arping of iputils is not installed',
  ask: async (lab, addresses) =>
    await askEach(lab, addresses, 'arping', ['-D', '-c', String(probes)], '-I', readIputils),
}

export const habetsProbeOracle: Oracle = {
  name: 'Habets arping -0',
  whyNot: whyNoHabets,
  ask: async (lab, addresses) =>
    await askEach(lab, addresses, habetsArping() ?? 'arping', ['-0', '-c', String(probes)], '-i', readHabets),
}

export const habetsRequestOracle: Oracle = {
  name: 'Habets arping',
  whyNot: whyNoHabets,
  ask: async (lab, addresses) =>
    await askEach(lab, addresses, habetsArping() ?? 'arping', ['-c', String(probes)], '-i', readHabets),
}

export const oracles: readonly Oracle[] = [nmapOracle, iputilsOracle, habetsProbeOracle, habetsRequestOracle]

/**
 * Starts the command, given as arguments, once for each address of standard input: entering a namespace for each would
 * cost more than asking. Standard output, standard error and exit code of each land in files.
 */
const askAllScript = `
folder=$1; shift
while read -r address; do
  ( "$@" "$address" >"$folder/$address.out" 2>"$folder/$address.err"; echo $? >"$folder/$address.code" ) &
done
wait`

async function askEach(
  lab: SegmentLab,
  addresses: readonly string[],
  program: string,
  flags: readonly string[],
  interfaceFlag: string,
  read: (ended: Ended) => OracleAnswer,
): Promise<OracleAnswers> {
  const command = [program, ...flags, interfaceFlag, lab.seeker.interface]
  const answers = new Map<string, OracleAnswer>()
  for (let start = 0; start < addresses.length; start += parallelArpings) {
    const block = addresses.slice(start, start + parallelArpings)
    const folder = await mkdtemp(join(lab.folder, 'oracle-'))
    const shell = ['-c', askAllScript, 'sh', folder, ...command]
    const input = block.map((address) => `${address}\n`).join('')
    await lab.run(lab.seekerNamespace, 'sh', shell, { input })
    for (const address of block) {
      const [stdout, stderr, code] = await Promise.all(
        ['out', 'err', 'code'].map((name) => readFile(join(folder, `${address}.${name}`), 'utf8')),
      )
      answers.set(address, read({ exitCode: Number(code), stdout: stdout ?? '', stderr: stderr ?? '' }))
    }
  }
  return answers
}

/** `<host>` elements of nmap's XML, each with one `<status>` and one IPv4 `<address>`. */
export function readNmapHosts(xml: string): Map<string, OracleAnswer> {
  const hosts = new Map<string, OracleAnswer>()
  for (const [, host = ''] of xml.matchAll(/<host>(.*?)<\/host>/gsu)) {
    const address = /<address addr="([\d.]+)" addrtype="ipv4"/u.exec(host)?.[1]
    const [, state, reason = ''] = /<status state="(\w+)" reason="([\w-]+)"/u.exec(host) ?? []
    if (address === undefined) continue
    const verdict = state === 'up' || state === 'down' ? state : 'unclear'
    hosts.set(address, { verdict, detail: reason })
  }
  return hosts
}

/** With -D: exit code 1 is an answer, 0 is silence, 2 is an error. Exit code and text must agree. */
export function readIputils({ exitCode, stdout, stderr }: Ended): OracleAnswer {
  const [line = '', received] = /Received (\d+) response\(s\)/u.exec(stdout) ?? []
  if (exitCode === 1 && Number(received) > 0) return { verdict: 'up', detail: line }
  if (exitCode === 0 && received === '0') return { verdict: 'down', detail: line }
  return unclear(`exit code ${exitCode}: ${stderr}${stdout}`)
}

/** Exit code 0 is an answer and 1 is silence: the reverse of the other one. Errors have code 1 as well. */
export function readHabets({ exitCode, stdout, stderr }: Ended): OracleAnswer {
  const [line = '', sent, received] = /(\d+) packets transmitted, (\d+) packets received/u.exec(stdout) ?? []
  if (exitCode === 0 && Number(received) > 0) return { verdict: 'up', detail: line }
  if (exitCode === 1 && received === '0' && Number(sent) > 0) return { verdict: 'down', detail: line }
  return unclear(`exit code ${exitCode}: ${stderr}${stdout}`)
}

const unclear = (detail: string): OracleAnswer => ({ verdict: 'unclear', detail })

/** What everybody said about the addresses of a segment. */
export interface Comparison {
  /** Of `layoutFromSeed`, or made by hand with `truthOf`. */
  readonly truth: Layout['truth']
  readonly hosts: readonly HostSpec[]
  /** By the name of the oracle. */
  readonly oracles: Readonly<Record<string, OracleAnswers>>
  readonly landfall?: ReadonlyMap<string, LandfallVerdict>
}

/** One address about which somebody does not say what is true. */
export interface Difference {
  readonly address: string
  readonly truth: Truth
  /** The kind of its host; `undefined`: nobody has the address. */
  readonly kind: HostSpec['kind'] | undefined
  /** By the name of the oracle. */
  readonly verdicts: Readonly<Record<string, OracleAnswer['verdict']>>
  readonly landfall: LandfallVerdict | undefined
  /** Who does not say what is true: names of oracles, and `Landfall`. */
  readonly who: readonly string[]
  /** Why, as far as the kinds of the hosts explain it; `undefined`: nothing explains it. */
  readonly reason: string | undefined
}

/**
 * Where an oracle or Landfall does not say what is true: up for an address that somebody has, down for any other. An
 * address that is neither used nor free may be anything for Landfall but free.
 */
export function differencesOf(comparison: Comparison): Difference[] {
  const owners = new Map(
    comparison.hosts.flatMap((spec) => addressesOf(spec).map((address) => [address, spec] as const)),
  )
  return [...comparison.truth].flatMap(([address, truth]): Difference[] => {
    const said = Object.entries(comparison.oracles).flatMap(([name, answers]) => {
      const answer = answers.get(address)
      return answer === undefined ? [] : [[name, answer.verdict] as const]
    })
    const landfall = comparison.landfall?.get(address)
    const expected = truth === 'used' ? 'up' : 'down'
    const wrong = said.filter(([, verdict]) => verdict !== expected)
    const who = [
      ...wrong.map(([name]) => name),
      ...(landfall === undefined || isTrue(landfall, truth) ? [] : ['Landfall']),
    ]
    if (who.length === 0) return []
    const owner = owners.get(address)
    const reason = wrong.some(([, verdict]) => verdict === 'unclear')
      ? undefined
      : (reasonFor(owner, comparison.hosts) ??
        // An oracle has no such excuse: it hears the owner as well as the router.
        (wrong.length === 0 ? proxyReason(comparison.hosts) : undefined))
    return [
      {
        ...{ address, truth, kind: owner?.kind, verdicts: Object.fromEntries(said) },
        ...{ landfall, who, reason },
      },
    ]
  })
}

function isTrue(verdict: LandfallVerdict, truth: Truth): boolean {
  return truth === 'used' || truth === 'free' ? verdict === truth : verdict !== 'free'
}

function reasonFor(owner: HostSpec | undefined, hosts: readonly HostSpec[]): string | undefined {
  switch (owner?.kind) {
    case undefined:
      return proxyReason(hosts)
    case 'late':
      return `was switched on ${owner.wakesAfterMilliseconds ?? 'some'} ms after the start`
    case 'lossy':
      return `hears question ${(owner.heard ?? 4) + 1} of five only`
    case 'sleeping':
      return 'loses the request that wakes it, and what comes until it is awake'
    case 'answers':
    case 'drops':
    case 'duplicate':
    case 'dhcp':
    case 'virtual-router':
    case 'proxy-arp':
      return undefined
  }
}

function proxyReason(hosts: readonly HostSpec[]): string | undefined {
  const proxy = hosts.find(({ kind }) => kind === 'proxy-arp')
  return proxy === undefined ? undefined : `the proxy ARP router ${proxy.address} answers for every address`
}

/** A Markdown table of the differences, one address a row. */
export function tableOf(differences: readonly Difference[]): string {
  const names = [...new Set(differences.flatMap(({ verdicts }) => Object.keys(verdicts)))]
  const rows = differences.map((difference) => [
    difference.address,
    difference.truth,
    difference.kind ?? '',
    ...names.map((name) => difference.verdicts[name] ?? ''),
    difference.landfall ?? '',
    difference.who.join(', '),
    difference.reason ?? 'not explained',
  ])
  const head = ['Address', 'Truth', 'Host', ...names, 'Landfall', 'Not true', 'Why']
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function outputOf(program: string, ...parameters: string[]): string {
  const { stdout, stderr } = spawnSync(program, parameters, { encoding: 'utf8' })
  // Neither is there when the program is not.
  return [stdout, stderr].filter((text) => typeof text === 'string').join('')
}
