import type { Observation } from '../../../shared/addresses/index.ts'
import { assertNever } from '../../../shared/errors/assert-never.ts'
import { formatAddress, parseAddress } from '../../../shared/plan/ipv4.ts'
import type { Clock } from '../../engine/clock.ts'
import type { Answers } from '../discovery/vantage.ts'
import { printableStart } from '../printable.ts'
import { askedBy, evidenceOf, troubleIn, type Evidence } from './host-evidence.ts'
import type { NmapOutput, NmapProgram } from './nmap-program.ts'
import { nmapTargets } from './nmap-targets.ts'
import { parseNmapXml, type NmapReport } from './parse-nmap-xml.ts'

export interface ScanOptions {
  readonly nmap: NmapProgram
  /** Name for observations and messages. */
  readonly vantage: string
  /**
   * IPv4, dotted decimal. Not the vantage's own: nmap, bound to an interface, asks for them by ARP like for any other, and
   * nobody answers.
   */
  readonly addresses: readonly string[]
  /** Attached to the network of the addresses, switched on and with a carrier: nmap notices neither. */
  readonly interface: string
  /** Whether nmap may ask by ARP itself (root, or sudo without a question). */
  readonly isPrivileged: boolean
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Each observation as soon as it is certain. */
  readonly onObservation?: (observation: Observation) => void
  /** Real time for one run of nmap. Default 30: the largest takes 4. */
  readonly deadlineSeconds?: number
}

/**
 * Asks all addresses by nmap: with the privilege in two passes of ARP requests, the second one more patient, without it by
 * connections. Measured with nmap 7.93 on a /24 with 40 hosts: 2.3 s with, 2.4 s without the privilege.
 *
 * A run that hangs, fails or writes something else than its report yields a warning and no observation, and ends the scan.
 *
 * @returns `undefined` when there is no nmap.
 * @throws the signal's reason when aborted; an `AppError` when the place of nmap cannot be reached; `TypeError` for an
 *   address that is none.
 */
export async function scanWithNmap(options: ScanOptions): Promise<Answers | undefined> {
  const scan = new Scan(options)
  if (!options.isPrivileged) return await scan.run(false)
  const answers = await scan.run(true)
  // Then it can still connect.
  return scan.isRefused ? await scan.run(false) : answers
}

/**
 * One pass by ARP sends 500 requests a second to up to 512 addresses, twice that to more: a /20 has to be done in half
 * a minute. Nobody's ARP table or broadcast limit minds that.
 */
const requestsPerSecond = (addresses: number) => (addresses > 512 ? 1000 : 500)
/** Measured: nmap 7.93 asks a silent address twice by ARP, however many retries it may do. */
const arpRequestsInPass = 2
/** TCP 80 and 443, each at least once. */
const connectionsInPass = 2
/** ARP of nmap's own does not touch the operating system's neighbour table. */
const privilegedBlock = 1024
/** Each connection takes a place in the neighbour table, which has 1024 for everything that runs on the machine. */
const unprivilegedBlock = 256

/** What was heard of one address in all passes. */
interface Heard {
  hasAnswered: boolean
  readonly macs: Set<string>
  /** The silence of the best layer so far. */
  silence: { layer: 'link' | 'network'; detail: string; probes: number } | undefined
  unclear: string | undefined
}

class Scan {
  /** nmap may not be run with the privilege. */
  isRefused = false
  readonly #options: ScanOptions
  readonly #addresses: readonly number[]
  readonly #observations: Observation[] = []
  readonly #warnings = new Set<string>()

  constructor(options: ScanOptions) {
    this.#options = options
    this.#addresses = [...new Set(options.addresses.map(numberOf))].sort((a, b) => a - b)
  }

  async run(isPrivileged: boolean): Promise<Answers | undefined> {
    const blockSize = isPrivileged ? privilegedBlock : unprivilegedBlock
    const answers = { observations: this.#observations, warnings: this.#warnings }
    let begun = 0
    for (let first = 0; first < this.#addresses.length; first += blockSize) {
      const block = this.#addresses.slice(first, first + blockSize)
      const end = await this.#askBlock(block, isPrivileged)
      if (end === 'missing' && first === 0) return undefined
      if (end === 'done') begun += block.length
      else break
    }
    const left = this.#addresses.length - begun
    if (left > 0 && begun > 0) {
      this.#warn(`nmap on ${this.#options.vantage} was not used for the last ${left} addresses.`)
    }
    return { observations: answers.observations, warnings: [...answers.warnings] }
  }

  /** All passes over one block. */
  async #askBlock(block: readonly number[], isPrivileged: boolean): Promise<'done' | 'failed' | 'missing'> {
    const heard = new Map<number, Heard>(
      block.map((address) => [
        address,
        { hasAnswered: false, macs: new Set(), silence: undefined, unclear: undefined },
      ]),
    )
    let end: 'done' | 'failed' | 'missing' = 'done'
    for (const isPatient of isPrivileged ? [false, true] : [false]) {
      const report = await this.#runOnce(block, isPrivileged, isPatient)
      if (typeof report === 'string') {
        end = report
        break
      }
      this.#hear(report.evidence, heard, isPrivileged)
    }
    this.#conclude(heard)
    return end
  }

  async #runOnce(
    block: readonly number[],
    isPrivileged: boolean,
    isPatient: boolean,
  ): Promise<{ evidence: Map<number, Evidence> } | 'failed' | 'missing'> {
    const { nmap, signal, deadlineSeconds = 30 } = this.#options
    const output = await nmap.run(this.#argumentsFor(block, isPrivileged, isPatient), {
      signal,
      deadlineSeconds,
      asRoot: isPrivileged,
    })
    if (output.kind === 'missing') return 'missing'
    const report = this.#read(output, deadlineSeconds, isPrivileged)
    if (report === undefined) return 'failed'
    return {
      evidence: this.#evidence(report, output.kind === 'ended' ? output.stderr : '', block, isPrivileged),
    }
  }

  #argumentsFor(block: readonly number[], isPrivileged: boolean, isPatient: boolean): string[] {
    const { nmap, interface: name } = this.#options
    return [
      ...['-sn', '-n', '-v', '-T4', '--max-retries', '2'],
      ...(isPrivileged
        ? ['--min-rate', String(requestsPerSecond(this.#addresses.length))]
        : ['--unprivileged']),
      // nmap adapts to the many that answer within microseconds; some take their time.
      ...(isPatient ? ['--min-rtt-timeout', '200ms'] : []),
      // On Windows nmap has its own names for interfaces, and follows the routes without one.
      ...(nmap.platform === 'win32' ? [] : ['-e', name]),
      ...nmapTargets(block),
    ]
  }

  /** The report of a run that can be trusted; otherwise the operator is told why there is none. */
  #read(
    output: Exclude<NmapOutput, { kind: 'missing' }>,
    deadlineSeconds: number,
    isPrivileged: boolean,
  ): Extract<NmapReport, { kind: 'finished' }> | undefined {
    const nmap = `nmap on ${this.#options.vantage}`
    switch (output.kind) {
      case 'not-permitted':
        if (isPrivileged) {
          this.isRefused = true
          this.#warn(`${nmap} cannot ask by ARP, only by connections: ${output.reason}.`)
        } else this.#warn(`${nmap} cannot be run: ${output.reason}.`)
        return undefined
      case 'killed': {
        const what =
          output.reason === 'deadline' ? `did not end within ${deadlineSeconds} s` : 'wrote far too much'
        this.#warn(`${nmap} ${what} and was stopped; nothing of it is used.${lastLine(output.stderr)}`)
        return undefined
      }
      case 'ended':
        return this.#readEnded(nmap, output)
      default:
        return assertNever(output)
    }
  }

  #readEnded(
    nmap: string,
    { exitCode, stdout, stderr }: Extract<NmapOutput, { kind: 'ended' }>,
  ): Extract<NmapReport, { kind: 'finished' }> | undefined {
    const report = parseNmapXml(stdout)
    if (report.kind === 'failed') {
      this.#warn(`${nmap} failed: ${report.message}`)
      return undefined
    }
    if (exitCode !== 0) {
      const how = exitCode === null ? 'was ended by a signal' : `failed with exit code ${exitCode}`
      this.#warn(`${nmap} ${how}; nothing of it is used.${lastLine(stderr)}`)
      return undefined
    }
    if (report.kind === 'unreadable') {
      const what = {
        empty: 'wrote no report',
        truncated: `wrote only a part of its report (${report.detail})`,
        rubbish: `wrote something that is no report of nmap (${report.detail})`,
      }[report.what]
      this.#warn(`${nmap} ${what}; nothing of it is used.${lastLine(stderr)}`)
      return undefined
    }
    return report
  }

  /** What a run says about each address of the block. */
  #evidence(
    report: Extract<NmapReport, { kind: 'finished' }>,
    stderr: string,
    block: readonly number[],
    isPrivileged: boolean,
  ): Map<number, Evidence> {
    const nmap = `nmap on ${this.#options.vantage}`
    const by = askedBy(report.tasks, report.hosts, isPrivileged)
    const complaint = troubleIn(stderr)
    const trouble = complaint === undefined ? undefined : printableStart(complaint)
    if (trouble !== undefined)
      this.#warn(`${nmap} may not have sent all questions, so its silences do not count: ${trouble}`)
    const hosts = new Map(report.hosts.map((host) => [host.address, host]))
    if (isPrivileged && by !== 'arp' && hosts.size > 0) {
      this.#warn(`${nmap} did not ask by ARP although it should; what it did not hear says little.`)
    }

    const unasked: string[] = []
    const evidence = new Map(
      block.map((number): [number, Evidence] => {
        const address = formatAddress(number)
        const host = hosts.get(address)
        if (host !== undefined) return [number, evidenceOf(host, { by, trouble })]
        const detail = report.skipped.get(address) ?? 'not in the report'
        unasked.push(detail)
        return [number, { kind: 'unclear', detail: `not asked: ${detail}` }]
      }),
    )
    const [why] = unasked
    if (why !== undefined)
      this.#warn(
        `${nmap} did not ask ${unasked.length} of ${block.length} addresses (${why}).${lastLine(stderr)}`,
      )
    return evidence
  }

  /** Adds a pass to what was heard. An answer is certain at once, and so is each further machine that answers. */
  #hear(
    evidence: ReadonlyMap<number, Evidence>,
    heard: ReadonlyMap<number, Heard>,
    isPrivileged: boolean,
  ): void {
    for (const [address, found] of evidence) {
      const all = heard.get(address)
      if (all === undefined) continue
      switch (found.kind) {
        case 'answered': {
          const isNews = !all.hasAnswered || (found.mac !== undefined && !all.macs.has(found.mac))
          all.hasAnswered = true
          if (found.mac !== undefined) all.macs.add(found.mac)
          if (isNews) {
            this.#observe(address, {
              answer: 'answered',
              layer: found.layer,
              probes: found.detail === 'localhost-response' ? 0 : 1,
              macs: [...all.macs],
              detail: found.detail,
            })
          }
          break
        }
        case 'silent': {
          const probes = isPrivileged ? arpRequestsInPass : connectionsInPass
          const before = all.silence
          if (before?.layer === found.layer) all.silence = { ...before, probes: before.probes + probes }
          else if (before?.layer !== 'link')
            all.silence = { layer: found.layer, detail: found.detail, probes }
          break
        }
        case 'unclear':
          all.unclear ??= found.detail
          break
        default:
          assertNever(found)
      }
    }
  }

  /** After the last pass: who did not answer. */
  #conclude(heard: ReadonlyMap<number, Heard>): void {
    for (const [address, { hasAnswered, silence, unclear }] of heard) {
      if (hasAnswered) continue
      if (silence !== undefined) {
        const { layer, probes, detail } = silence
        this.#observe(address, { answer: 'silent', layer, probes, macs: [], detail })
      } else if (unclear !== undefined) {
        this.#observe(address, { answer: 'unclear', layer: 'network', probes: 0, macs: [], detail: unclear })
      }
    }
  }

  #observe(
    address: number,
    seen: Pick<Observation, 'answer' | 'layer' | 'probes' | 'macs' | 'detail'>,
  ): void {
    const { vantage, clock, onObservation } = this.#options
    const observation: Observation = {
      address: formatAddress(address),
      vantage,
      method: 'nmap',
      at: new Date(clock.now()).toISOString(),
      ...seen,
    }
    this.#observations.push(observation)
    onObservation?.(observation)
  }

  #warn(sentence: string): void {
    this.#warnings.add(sentence)
  }
}

function numberOf(address: string): number {
  const number = parseAddress(address)
  if (number === undefined) throw new TypeError(`not an IPv4 address: ${printableStart(address)}`)
  return number
}

/** The last thing that a program said, as the end of a message. */
function lastLine(stderr: string): string {
  const line = stderr
    .split('\n')
    .map((text) => text.trim())
    .findLast((text) => text !== '' && text !== 'QUITTING!')
  return line === undefined ? '' : ` It said: ${printableStart(line)}`
}
