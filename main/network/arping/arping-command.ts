import { AppError } from '../../../shared/errors/index.ts'
import { parseAddress } from '../../../shared/plan/ipv4.ts'
import type { UsableArping } from './detect-arping.ts'

/**
 * `arp-probe`: duplicate address detection with sender address 0.0.0.0 (RFC 5227 §2.1.1), which changes nobody's
 * neighbour table and which a proxy does not answer · `arping`: ordinary requests, every answer collected.
 */
export type ArpingQuestion = 'arp-probe' | 'arping'

export interface ArpingCommand {
  readonly program: string
  readonly args: readonly string[]
  /** How many requests go out when nobody answers. */
  readonly requests: number
  /** How long it takes when nobody answers. */
  readonly seconds: number
}

/** PROBE_NUM of RFC 5227 §1.1. */
export const probesOfRfc5227 = 3

/**
 * The command that asks for one address.
 *
 * All three programs send one request a second and end one second after the last (measured with tcpdump, four requests:
 * iputils 20221126, Habets 2.23, BusyBox 1.35: requests at 0.000, 1.000, 2.000, 3.001–3.005 s, end at 4.02, 4.09, 4.02 s).
 * None of them can wait longer without sending: iputils' and BusyBox' `-w` only ends earlier, Habets' `-w` was an
 * interval in microseconds before it was a deadline. RFC 5227 wants the probes 1 to 2 s apart and silence until 2 s
 * after the last one (ANNOUNCE_WAIT). So one probe more is sent than asked for: when the program ends, two seconds have
 * passed since the last probe that was asked for, and the additional one makes a lossy network less dangerous.
 *
 * @throws AppError `INTERFACE_NAME_INVALID`, `ADDRESS_INVALID`: neither may become an argument unseen.
 */
export function arpingCommand(
  arping: UsableArping,
  question: {
    readonly kind: ArpingQuestion
    readonly address: string
    readonly interface: string
    readonly count: number
  },
): ArpingCommand {
  const requests = question.kind === 'arp-probe' ? question.count + 1 : question.count
  return {
    ...commandOf(arping, question, [...questionFlags(arping.kind, question.kind), '-c', String(requests)]),
    requests,
    seconds: requests,
  }
}

/**
 * The command that tells every machine of the network to whom an address belongs now: `request` is the ARP announcement
 * of RFC 5227 §2.3, `reply` an unasked answer, for devices that learn from replies only. The address must be on the
 * interface already (iputils and BusyBox refuse otherwise). Takes one second for each announcement.
 *
 * The exit code says nothing: Habets' arping ends with 1, because announcements are not answered, iputils' s20190709 as
 * well.
 *
 * @throws AppError `INTERFACE_NAME_INVALID`, `ADDRESS_INVALID`.
 */
export function announceCommand(
  arping: UsableArping,
  announcement: {
    readonly address: string
    readonly interface: string
    readonly count: number
    readonly form: 'request' | 'reply'
  },
): ArpingCommand {
  const { address, count, form } = announcement
  const flags = announceFlags(arping.kind, form, address)
  return {
    ...commandOf(arping, announcement, [...flags, '-c', String(count)]),
    requests: count,
    seconds: count,
  }
}

function commandOf(
  arping: UsableArping,
  target: { readonly address: string; readonly interface: string },
  flags: readonly string[],
): Pick<ArpingCommand, 'program' | 'args'> {
  assertInterfaceName(target.interface)
  assertAddress(target.address)
  const interfaceFlag = arping.kind === 'habets' ? '-i' : '-I'
  return {
    program: arping.program,
    args: [...arping.leadingArguments, ...flags, interfaceFlag, target.interface, target.address],
  }
}

function questionFlags(program: UsableArping['kind'], question: ArpingQuestion): readonly string[] {
  // Habets' `-D` only draws exclamation marks and dots; it always keeps on broadcasting.
  if (program === 'habets') return question === 'arp-probe' ? ['-0'] : []
  // Without `-b` all requests but the first go to the first machine that answered; a second one would stay unheard.
  return question === 'arp-probe' ? ['-D'] : ['-b']
}

function announceFlags(
  program: UsableArping['kind'],
  form: 'request' | 'reply',
  address: string,
): readonly string[] {
  // Habets' `-U` alone announces the interface's first address instead of the one that is asked for.
  if (program === 'habets') return [form === 'request' ? '-U' : '-P', '-S', address]
  return [form === 'request' ? '-U' : '-A']
}

/** Linux allows 15 characters, nearly any; nobody needs those that mean something to a program or in a path. */
const interfaceNameForm = /^[A-Za-z0-9._@:-]{1,15}$/

/** @throws AppError `INTERFACE_NAME_INVALID`. */
export function assertInterfaceName(name: string): void {
  if (interfaceNameForm.test(name) && !/^(?:-|\.{1,2}$)/.test(name)) return
  throw new AppError({
    code: 'INTERFACE_NAME_INVALID',
    title: 'That cannot be the name of a network interface.',
    detail: `${JSON.stringify(name.slice(0, 40))}: at most 15 letters, digits and . _ @ : - are expected.`,
    remedies: ['List the interfaces with "ip link" and name one of them.'],
  })
}

function assertAddress(address: string): void {
  if (parseAddress(address) !== undefined) return
  throw new AppError({
    code: 'ADDRESS_INVALID',
    title: 'That is not an IPv4 address.',
    detail: `${JSON.stringify(address.slice(0, 40))}: four numbers from 0 to 255 with dots are expected.`,
    remedies: ['Correct the address.'],
  })
}
