import { printableStart } from '../printable.ts'
import type { ProgramResult } from '../programs/program-runner.ts'
import type { ArpingQuestion } from './arping-command.ts'
import type { UsableArping } from './detect-arping.ts'

export type ArpingReading =
  /** Somebody has the address. `macs` in lower case, each once, in the order they were heard; empty where a MAC is no Ethernet one. */
  | {
      readonly answer: 'answered'
      readonly macs: readonly string[]
      readonly probes: number
      readonly detail: string
    }
  /** All requests that were asked for went out, and nobody answered. */
  | { readonly answer: 'silent'; readonly probes: number; readonly detail: string }
  /** Proves nothing. `macs`: who seemed to answer all the same. */
  | {
      readonly answer: 'unclear'
      readonly cause: UnclearCause
      readonly macs: readonly string[]
      readonly probes: number
      readonly detail: string
    }

export type UnclearCause =
  /** It needs root or the capability CAP_NET_RAW. */
  | 'not-permitted'
  /** The interface is missing, down, lost its link, or does not speak ARP. */
  | 'interface'
  /** An address of the asking machine itself, which no arping hears an answer from. */
  | 'own-address'
  /** Ended before it was through. */
  | 'ended-early'
  /** Text and exit code say different things, or the text is about something else. */
  | 'contradiction'
  /** Not what this program is known to print. */
  | 'unreadable'

/** What was asked; the reader compares the text with it. */
export interface Asked {
  readonly kind: ArpingQuestion
  readonly address: string
  readonly interface: string
  /** Requests that should have gone out without an answer. */
  readonly requests: number
}

/**
 * Reads what arping printed. The text decides, and the exit code has to agree with it: the three programs and their
 * versions end with opposite codes, and all of them end with success after sending nothing at all in some situation.
 * Silence needs a text that is complete in every line, nothing on standard error, and as many requests as were asked for.
 * An answer needs less: whoever answered before the program was ended has the address.
 *
 * What no arping hears: another machine that probes for the same address at the same time (RFC 5227 §2.1.1, the second
 * kind of conflict; its sender address is 0.0.0.0), and whether a frame left an interface without a link.
 */
export function readArping(
  arping: Pick<UsableArping, 'kind' | 'version'>,
  asked: Asked,
  result: ProgramResult,
): ArpingReading {
  const problem = problemOf(result)
  const heard = result.kind === 'ended' || result.kind === 'killed' ? macsIn(arping.kind, asked, result) : []
  if (problem !== undefined) {
    if (heard.length > 0) return { answer: 'answered', macs: heard, probes: 1, detail: answerFrom(heard) }
    return unclear(problem.cause, problem.detail)
  }
  if (result.kind !== 'ended' || result.exitCode === null) return unclear('ended-early', 'A signal ended it.')
  const said = parse(arping.kind, result.stdout)
  if (said === undefined) {
    const text = printableStart(`${result.stdout} ${result.stderr}`)
    const detail =
      text === ''
        ? `It ended with exit code ${result.exitCode} without a word.`
        : `It wrote something unexpected: ${text}`
    return unclear('unreadable', detail, heard)
  }
  return judge(arping, asked, said, result.exitCode)
}

/** Whether all announcements of `announceCommand` went out; the exit code of announcements says nothing. */
export function readAnnouncement(
  arping: Pick<UsableArping, 'kind'>,
  asked: Pick<Asked, 'address' | 'interface' | 'requests'>,
  result: ProgramResult,
): { readonly sent: number } | { readonly problem: string } {
  const problem = problemOf(result)
  if (problem !== undefined) return { problem: problem.detail }
  const stdout = result.kind === 'ended' ? result.stdout : ''
  const said = parse(arping.kind, stdout)
  if (said?.target !== asked.address || said.sent < asked.requests) {
    return { problem: `It wrote something unexpected: ${printableStart(stdout)}` }
  }
  return { sent: said.sent }
}

interface Reply {
  readonly address: string
  /** As the program wrote it. */
  readonly mac: string
}

/** What the text says, complete and without a line that is not understood. */
interface Said {
  readonly target: string
  /** Sender address and interface; Habets' arping does not tell. */
  readonly source: string | undefined
  readonly interface: string | undefined
  readonly replies: readonly Reply[]
  readonly sent: number
  readonly received: number
}

const address = String.raw`(\d{1,3}(?:\.\d{1,3}){3})`
const hardwareAddress = String.raw`([0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2})*)`

const iputils = {
  // BusyBox wrote `ARPING to A from B via eth0` in its first versions.
  start: new RegExp(`^ARPING (?:to )?${address} from ${address} (?:via )?(\\S+)$`),
  // iputils sets spaces around `for`, BusyBox does not.
  reply: new RegExp(
    `^(?:Unicast|Broadcast) (?:reply|request) from ${address} \\[${hardwareAddress}\\](?: *for [^\\n]{1,120}?)? +(?:\\d+\\.\\d+ms|UNSOLICITED\\?)$`,
  ),
  // BusyBox counts no broadcasts where `-c` is given: both are the same bit in its source.
  sent: /^Sent (\d{1,9}) probe(?:s|\(s\)) \(\d+ broadcast\(s\)\)$/,
  received:
    /^Received (\d{1,9}) (?:response\(s\)|reply|replies)(?: \((?:\d+ request\(s\))?(?:, )?(?:\d+ broadcast\(s\))?\))?$/,
}

function parse(kind: UsableArping['kind'], stdout: string): Said | undefined {
  // A line without its end may be cut off.
  if (!stdout.endsWith('\n')) return undefined
  return kind === 'habets' ? parseHabets(stdout) : parseIputils(stdout)
}

/** iputils' arping and BusyBox', which is made from it. */
function parseIputils(stdout: string): Said | undefined {
  const lines = linesOf(stdout)
  const start = iputils.start.exec(lines[0] ?? '')
  const sent = iputils.sent.exec(lines.at(-2) ?? '')
  const received = iputils.received.exec(lines.at(-1) ?? '')
  if (lines.length < 3 || start === null || sent === null || received === null) return undefined
  const replies = repliesOf(lines.slice(1, -2), readIputilsReply)
  if (replies === undefined) return undefined
  const [, target = '', source, interfaceName] = start
  return {
    target,
    source,
    interface: interfaceName,
    replies,
    sent: Number(sent[1]),
    received: Number(received[1]),
  }
}

const habets = {
  start: new RegExp(`^ARPING ${address}$`),
  reply: new RegExp(
    `^\\d+ bytes from ${hardwareAddress} \\(${address}\\): index=\\d+(?:/\\d+)? time=\\S+ \\S+$`,
  ),
  title: new RegExp(`^--- ${address} statistics ---$`),
  numbers: /^(\d{1,9}) packets transmitted, (\d{1,9}) packets received, +\d+% unanswered(?: \(\d+ extra\))?$/,
  times: /^rtt min\/avg\/max\/std-dev = \S+ ms$/,
}

function parseHabets(stdout: string): Said | undefined {
  // Older versions write neither `Timeout` nor the times.
  const lines = linesOf(stdout).filter(
    (line) => line !== '' && line !== 'Timeout' && !habets.times.test(line),
  )
  const start = habets.start.exec(lines[0] ?? '')
  const title = habets.title.exec(lines.at(-2) ?? '')
  const numbers = habets.numbers.exec(lines.at(-1) ?? '')
  if (lines.length < 3 || start === null || title === null || numbers === null) return undefined
  const replies = repliesOf(lines.slice(1, -2), readHabetsReply)
  const target = start[1]
  if (replies === undefined || target === undefined || title[1] !== target) return undefined
  return {
    target,
    source: undefined,
    interface: undefined,
    replies,
    sent: Number(numbers[1]),
    received: Number(numbers[2]),
  }
}

function judge(
  arping: Pick<UsableArping, 'kind' | 'version'>,
  asked: Asked,
  said: Said,
  exitCode: number,
): ArpingReading {
  const macs = macsOf(said.replies.filter((reply) => reply.address === asked.address))
  const contradiction = contradictionIn(arping, asked, said, exitCode)
  if (contradiction !== undefined) return unclear('contradiction', contradiction, macs, said.sent)
  if (said.source === asked.address) {
    return unclear('own-address', 'It is an address of the asking machine itself.', macs, said.sent)
  }
  if (said.received > 0) {
    const who = macs.length > 0 ? macs : said.replies.map(({ mac }) => mac)
    return { answer: 'answered', macs, probes: said.sent, detail: answerFrom(who) }
  }
  if (said.sent < asked.requests) {
    const cause = said.sent === 0 ? 'interface' : 'ended-early'
    return unclear(cause, `Only ${said.sent} of ${asked.requests} requests went out.`, [], said.sent)
  }
  return { answer: 'silent', probes: said.sent, detail: `no answer to ${said.sent} requests` }
}

/** Why text, question and exit code do not fit together; `undefined` when they do. */
function contradictionIn(
  arping: Pick<UsableArping, 'kind' | 'version'>,
  asked: Asked,
  said: Said,
  exitCode: number,
): string | undefined {
  if (said.target !== asked.address || said.replies.some(({ address: from }) => from !== asked.address)) {
    return `It wrote about another address than ${asked.address}.`
  }
  if (said.interface !== undefined && said.interface !== asked.interface) {
    return `It used the interface ${printableStart(said.interface, 20)} instead of ${asked.interface}.`
  }
  if (asked.kind === 'arp-probe' && said.source !== undefined && said.source !== '0.0.0.0') {
    return `It asked with the sender address ${said.source} instead of 0.0.0.0.`
  }
  if (asked.kind === 'arping' && said.source === '0.0.0.0') {
    return 'It asked without a sender address.'
  }
  if (said.replies.length !== said.received) {
    return `It counted ${said.received} answers and showed ${said.replies.length}.`
  }
  if (!exitCodesFor(arping, asked.kind, said.received > 0).includes(exitCode)) {
    return `It ended with exit code ${exitCode} after ${said.received} answers.`
  }
  return undefined
}

/** The exit codes with which a program ends after a complete run. */
function exitCodesFor(
  { kind, version }: Pick<UsableArping, 'kind' | 'version'>,
  question: ArpingQuestion,
  isAnswered: boolean,
): readonly number[] {
  const success = 0
  const failure = 1
  switch (kind) {
    case 'habets':
      return [isAnswered ? success : failure]
    case 'busybox':
      if (question === 'arp-probe') return [isAnswered ? failure : success]
      return [isAnswered ? success : failure]
    case 'iputils':
      if (question === 'arp-probe') {
        if (isAnswered) return [failure]
        // s20190709 (Ubuntu 20.04) always fails in this mode: https://github.com/iputils/iputils/issues/209
        return version === 's20190709' ? [success, failure] : [success]
      }
      // Since 2019 more or fewer answers than requests are a failure: https://github.com/iputils/iputils/issues/593
      return isAnswered ? [success, failure] : [failure]
  }
}

const complaints: readonly { readonly cause: UnclearCause; readonly form: RegExp }[] = [
  { cause: 'not-permitted', form: /operation not permitted|permission denied|CAP_NET_RAW|run as root/i },
  {
    cause: 'interface',
    form: /not ARPable|is down|network is down|no such device|not available|not found|cannot assign requested address|network is unreachable|no source address|no IP address|no buffer space/i,
  },
]

interface Problem {
  readonly cause: UnclearCause
  readonly detail: string
}

/** Why the program did not do its work, or not all of it. */
function problemOf(result: ProgramResult): Problem | undefined {
  switch (result.kind) {
    case 'missing':
      return { cause: 'unreadable', detail: 'The program is not there any more.' }
    case 'not-permitted':
      return { cause: 'not-permitted', detail: result.reason }
    case 'killed':
      return {
        cause: 'ended-early',
        detail:
          result.reason === 'deadline'
            ? 'It did not end in time and was killed.'
            : 'It wrote without end and was killed.',
      }
    case 'ended': {
      const complaint = complaintOf(result)
      if (complaint !== undefined) return complaint
      return result.exitCode === null ? { cause: 'ended-early', detail: 'A signal ended it.' } : undefined
    }
  }
}

/** What a program complained about, instead of doing its work or besides. */
function complaintOf(result: { readonly stdout: string; readonly stderr: string }): Problem | undefined {
  // sudo complains about a host name that it cannot resolve, and does its work.
  const stderr = linesOf(result.stderr).filter((line) => line !== '' && !line.startsWith('sudo: '))
  // iputils complains about interfaces on standard output.
  const stdout = linesOf(result.stdout).filter((line) => line.startsWith('Interface "'))
  const text = [...stderr, ...stdout].join(' ')
  if (text === '') return undefined
  const cause = complaints.find(({ form }) => form.test(text))?.cause ?? 'unreadable'
  return { cause, detail: printableStart(text) }
}

function unclear(
  cause: UnclearCause,
  detail: string,
  macs: readonly string[] = [],
  probes = 0,
): ArpingReading {
  return { answer: 'unclear', cause, macs, probes, detail }
}

function answerFrom(who: readonly string[]): string {
  return `answer from ${[...new Set(who)].join(' and ')}`
}

/** Who answered for the address in a text that need not be complete. */
function macsIn(kind: UsableArping['kind'], asked: Asked, { stdout }: { readonly stdout: string }): string[] {
  const read = kind === 'habets' ? readHabetsReply : readIputilsReply
  const replies = linesOf(stdout).flatMap((line) => read(line) ?? [])
  return macsOf(replies.filter((reply) => reply.address === asked.address))
}

/** Ethernet addresses in lower case, each once. */
function macsOf(replies: readonly Reply[]): string[] {
  return [...new Set(replies.flatMap(({ mac }) => normaliseMac(mac) ?? []))]
}

/** All lines have to be replies. */
function repliesOf(lines: readonly string[], read: (line: string) => Reply | undefined): Reply[] | undefined {
  const replies = lines.map(read)
  return replies.every((reply) => reply !== undefined) ? replies : undefined
}

function readIputilsReply(line: string): Reply | undefined {
  const [, from, mac] = iputils.reply.exec(line) ?? []
  return from === undefined || mac === undefined ? undefined : { address: from, mac }
}

function readHabetsReply(line: string): Reply | undefined {
  const [, mac, from] = habets.reply.exec(line) ?? []
  return from === undefined || mac === undefined ? undefined : { address: from, mac }
}

/** Six octets in lower case with colons; `undefined` for the longer ones of other networks (InfiniBand). */
function normaliseMac(text: string): string | undefined {
  const octets = text.toLowerCase().split(':')
  if (octets.length !== 6) return undefined
  return octets.map((octet) => octet.padStart(2, '0')).join(':')
}

function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines
}
