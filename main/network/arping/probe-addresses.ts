import type { Observation } from '../../../shared/addresses/index.ts'
import type { Clock } from '../../engine/clock.ts'
import { Semaphore } from '../../engine/semaphore.ts'
import type { Answers } from '../discovery/vantage.ts'
import type { ProgramRunner } from '../programs/program-runner.ts'
import { arpingCommand, probesOfRfc5227, type ArpingCommand, type ArpingQuestion } from './arping-command.ts'
import { detectArping, type ArpingVariant, type UsableArping } from './detect-arping.ts'
import { LinkWatch } from './link-watch.ts'
import { readArping, type ArpingReading, type UnclearCause } from './read-arping.ts'

export interface ProbeAddressesOptions {
  readonly runner: ProgramRunner
  /** Name for the observations. */
  readonly vantage: string
  /** IPv4 addresses, dotted decimal. */
  readonly addresses: readonly string[]
  /** Name of the interface that is attached to their network. */
  readonly interface: string
  readonly kind: ArpingQuestion
  /** How many requests; default 3. Duplicate address detection never asks less often than that. */
  readonly count?: number | undefined
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly onObservation?: ((observation: Observation) => void) | undefined
  /** All addresses of the asking machine, on every interface: no arping hears an answer from them. */
  readonly ownAddresses: readonly string[]
  /** How many processes at a time. Default 16, which a node over SSH bears; on the workstation 64 are no burden. */
  readonly concurrency?: number | undefined
  /** What `detectArping` found, where it is known already. */
  readonly arping?: ArpingVariant | undefined
}

/** What starting and ending a process may take besides asking, on a slow connection. */
const graceSeconds = 15
const maxOutputBytes = 1024 * 1024

/**
 * Asks for addresses by ARP, one process each. `undefined`: the place has no arping that is known. Silence is reported
 * only where the program was through with all requests, nothing contradicts it, and the interface had a link all the time.
 *
 * When it rejects, no process of it is left.
 *
 * @throws AppError `INTERFACE_NAME_INVALID`, `ADDRESS_INVALID`; when the place cannot be reached. The signal's reason when
 *   aborted.
 */
export async function probeWithArping(options: ProbeAddressesOptions): Promise<Answers | undefined> {
  const { runner, kind, signal } = options
  const arping = options.arping ?? (await detectArping(runner, signal))
  if (arping.kind === 'none' || arping.kind === 'unknown') return undefined
  const count = Math.max(kind === 'arp-probe' ? probesOfRfc5227 : 1, options.count ?? probesOfRfc5227)
  const questions = options.addresses.map((address) => ({
    address,
    command: arpingCommand(arping, { kind, address, interface: options.interface, count }),
  }))

  const failure = new AbortController()
  const anySignal = AbortSignal.any([signal, failure.signal])
  const asker = new Asker(options, arping, anySignal)
  const observations: Observation[] = []
  const unclear: Unclear[] = []
  const results = await Promise.allSettled(
    questions.map(async ({ address, command }) => {
      try {
        const reading = await asker.ask(address, command)
        if (reading.answer === 'unclear') unclear.push({ ...reading, address })
        const observation = observe(options, arping, address, reading)
        observations.push(observation)
        options.onObservation?.(observation)
      } catch (error) {
        // The first failure ends the others; they are waited for, so that no process outlives this call.
        failure.abort(error)
        throw error
      }
    }),
  )
  signal.throwIfAborted()
  if (results.some(({ status }) => status === 'rejected')) throw failure.signal.reason
  return { observations, warnings: warningsOf(options, arping, unclear) }
}

type UnclearReading = ArpingReading & { readonly answer: 'unclear' }
type Unclear = UnclearReading & { readonly address: string }

/** Asks for one address after the other, with the privilege that turns out to be needed. */
class Asker {
  readonly #options: ProbeAddressesOptions
  readonly #arping: UsableArping
  readonly #signal: AbortSignal
  readonly #own: ReadonlySet<string>
  readonly #places: Semaphore
  readonly #link: LinkWatch
  /** Set when the program was refused without root: why it cannot be had, `undefined` when it can. */
  #refusalOfRoot: Promise<string | undefined> | undefined

  constructor(options: ProbeAddressesOptions, arping: UsableArping, signal: AbortSignal) {
    this.#options = options
    this.#arping = arping
    this.#signal = signal
    this.#own = new Set(options.ownAddresses)
    this.#places = new Semaphore(options.concurrency ?? 16)
    this.#link = new LinkWatch(options.runner, options.interface, signal)
  }

  async ask(address: string, command: ArpingCommand): Promise<ArpingReading> {
    if (this.#own.has(address)) {
      return unclear('own-address', 'It is an address of the asking machine itself.')
    }
    const problem = await this.#link.problemAtStart()
    if (problem !== undefined) return unclear('interface', problem)
    const reading = await this.#places.run(this.#signal, () => this.#run(address, command))
    if (reading.answer !== 'silent') return reading
    const lost = await this.#link.problemSinceStart()
    return lost === undefined ? reading : unclear('interface', lost)
  }

  async #run(address: string, command: ArpingCommand): Promise<ArpingReading> {
    if (this.#refusalOfRoot === undefined) {
      const reading = await this.#runOnce(address, command, false)
      if (reading.answer !== 'unclear' || reading.cause !== 'not-permitted') return reading
    }
    this.#refusalOfRoot ??= this.#tryRoot()
    const refusal = await this.#refusalOfRoot
    if (refusal !== undefined) return unclear('not-permitted', refusal)
    return await this.#runOnce(address, command, true)
  }

  async #runOnce(address: string, command: ArpingCommand, asRoot: boolean): Promise<ArpingReading> {
    const { runner, kind, interface: interfaceName } = this.#options
    const result = await runner.run(command.program, command.args, {
      signal: this.#signal,
      deadlineSeconds: command.seconds + graceSeconds,
      asRoot,
      maxOutputBytes,
    })
    const asked = { kind, address, interface: interfaceName, requests: command.requests }
    return readArping(this.#arping, asked, result)
  }

  /** Once for all addresses: every refusal of sudo is an entry in somebody's log. */
  async #tryRoot(): Promise<string | undefined> {
    const { program, leadingArguments } = this.#arping
    const result = await this.#options.runner.run(program, [...leadingArguments, '-V'], {
      signal: this.#signal,
      deadlineSeconds: graceSeconds,
      asRoot: true,
      maxOutputBytes,
    })
    return result.kind === 'not-permitted' ? result.reason : undefined
  }
}

function unclear(cause: UnclearCause, detail: string): UnclearReading {
  return { answer: 'unclear', cause, macs: [], probes: 0, detail }
}

function observe(
  { vantage, kind, clock }: ProbeAddressesOptions,
  arping: UsableArping,
  address: string,
  reading: ArpingReading,
): Observation {
  return {
    address,
    vantage,
    method: kind,
    at: new Date(clock.now()).toISOString(),
    answer: reading.answer,
    layer: 'link',
    probes: reading.probes,
    macs: reading.answer === 'silent' ? [] : [...reading.macs],
    detail: `${nameOf(arping)}: ${reading.detail}`,
  }
}

/** One sentence or two for each cause, with what the operator can do about it. */
function warningsOf(
  { vantage, interface: interfaceName }: ProbeAddressesOptions,
  arping: UsableArping,
  unclear: readonly Unclear[],
): string[] {
  const byCause = Map.groupBy(unclear, ({ cause }) => cause)
  return [...byCause].flatMap(([cause, readings]) => {
    const [first] = readings
    // Nobody wonders why an address of the asking machine cannot be asked for by it.
    if (first === undefined || cause === 'own-address') return []
    const name = nameOf(arping)
    const affected = readings.length === 1 ? first.address : `${readings.length} addresses`
    switch (cause) {
      case 'not-permitted': {
        // The same capability on BusyBox would give it to all of its programs.
        const once =
          arping.kind === 'busybox'
            ? ''
            : `, or allow it once with "sudo setcap cap_net_raw+ep ${arping.program}"`
        return [
          `${name} on ${vantage} may not send ARP requests: ${withoutPoint(first.detail)}. Run Landfall as root or let the account use sudo without a password${once}.`,
        ]
      }
      case 'interface':
        return [`${name} on ${vantage} could not ask through ${interfaceName}. ${first.detail}`]
      case 'ended-early':
        return [`${name} on ${vantage} was not through with ${affected}. ${first.detail}`]
      case 'contradiction':
      case 'unreadable':
        return [`What ${name} on ${vantage} reported about ${affected} is not used. ${first.detail}`]
    }
  })
}

function nameOf(arping: UsableArping): string {
  const names = { iputils: 'arping (iputils', habets: 'arping (Habets', busybox: 'arping (BusyBox' }
  return `${names[arping.kind]} ${arping.version})`
}

function withoutPoint(sentence: string): string {
  return sentence.replace(/\.$/, '')
}
