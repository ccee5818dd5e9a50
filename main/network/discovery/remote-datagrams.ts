import { parseAddress } from '../../../shared/plan/ipv4.ts'
import type { ProgramResult, ProgramRunner } from '../programs/program-runner.ts'
import type { DatagramResult, DatagramSender, SendOutcome } from './neighbour/datagrams.ts'

/**
 * The program that makes a node send: `bash` and `nc` one byte by UDP to port 9 (RFC 863), `ping` one echo request. To the
 * neighbour table all are the same: a packet that needs the MAC address of its receiver.
 */
export type DatagramWay = 'bash' | 'nc' | 'ping'

export interface RemoteDatagramSender extends DatagramSender {
  /** The way that worked; `undefined` before the first one did. */
  usedWay(): DatagramWay | undefined
}

/** Addresses are parameters of the scripts, never text in them. What was sent to is printed, one address a line. */
export const bashDatagramScript = `for address do
  if printf x >"/dev/udp/$address/9"; then echo "$address"; fi
done`

/** Processes that wait for an answer at the same time; each of them waits a second. */
const processesAtOnce = 32

/** Builds of nc without -u complain; one that is told "nobody listens there" has sent, and says nothing. */
const ncScript = inBatches(
  `{ problem=$(printf x | nc -u -w 1 "$address" 9 2>&1 >/dev/null) || test -z "$problem"; } && echo "$address"`,
)

/** 0: an answer, 1: none; more: nothing was sent (ping(8)). */
const pingScript = inBatches(`ping -c 1 -W 1 "$address" >/dev/null 2>&1; test $? -le 1 && echo "$address"`)

function inBatches(command: string): string {
  return `count=0
for address do
  { ${command}; } &
  count=$((count + 1))
  test $((count % ${processesAtOnce})) -ne 0 || wait
done
wait`
}

interface Way {
  readonly name: DatagramWay
  readonly program: string
  readonly script: string
  /** Before `-c`. */
  readonly options: readonly string[]
  /** Real time. */
  deadlineSeconds(count: number): number
}

const batchSeconds = 3
const inBatchesDeadline = (count: number) => 15 + Math.ceil(count / processesAtOnce) * batchSeconds

const ways: readonly Way[] = [
  {
    name: 'bash',
    program: 'bash',
    script: bashDatagramScript,
    options: ['--norc'],
    deadlineSeconds: () => 30,
  },
  { name: 'nc', program: 'sh', script: ncScript, options: [], deadlineSeconds: inBatchesDeadline },
  { name: 'ping', program: 'sh', script: pingScript, options: [], deadlineSeconds: inBatchesDeadline },
]

/**
 * Lets a Linux place send, with one command for each call. The first way that gets anything out is kept. Needs no
 * privilege.
 */
export function createRemoteDatagramSender(runner: ProgramRunner): RemoteDatagramSender {
  let chosen: Way | undefined
  return {
    usedWay: () => chosen?.name,
    send: async (addresses, signal) => {
      const wanted = [...new Set(addresses)]
      const sendable = wanted.filter((address) => parseAddress(address) !== undefined)
      let first: SendOutcome | undefined
      for (const way of chosen === undefined ? ways : [chosen]) {
        if (sendable.length === 0) break
        const outcome = await sendBy(runner, way, sendable, signal)
        const isUseful = [...outcome.values()].some(({ kind }) => kind === 'sent')
        if (isUseful) chosen = way
        // The first reason is the best one: the other ways fail for the same, and say less.
        if (isUseful || first === undefined) first = outcome
        if (isUseful) break
      }
      return new Map(wanted.map((address) => [address, first?.get(address) ?? failed('EINVAL')]))
    },
  }
}

async function sendBy(
  runner: ProgramRunner,
  way: Way,
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<SendOutcome> {
  const result = await runner.run(way.program, [...way.options, '-c', way.script, 'landfall', ...addresses], {
    signal,
    deadlineSeconds: way.deadlineSeconds(addresses.length),
  })
  // Also of one that was killed: what it printed until then was sent.
  const printed = 'stdout' in result ? result.stdout : ''
  // The end of a cut line may look like another address.
  const sentTo = new Set(printed.slice(0, printed.lastIndexOf('\n') + 1).split('\n'))
  const reasons = reasonsIn(result)
  return new Map(
    addresses.map((address) => [
      address,
      sentTo.has(address) ? { kind: 'sent' } : failed(reasons.get(address) ?? fallbackCode(result)),
    ]),
  )
}

/** Errors of the C library as bash prints them, in the language C. */
const errorCodes: readonly (readonly [text: string, code: string])[] = [
  ['Network is unreachable', 'ENETUNREACH'],
  ['No route to host', 'EHOSTUNREACH'],
  ['Invalid argument', 'EINVAL'],
  ['Permission denied', 'EACCES'],
  ['Operation not permitted', 'EPERM'],
  ['No buffer space available', 'ENOBUFS'],
  ['Network is down', 'ENETDOWN'],
  // A bash that was built without network redirections.
  ['No such file or directory', 'ENOENT'],
]

function reasonsIn(result: ProgramResult): Map<string, string> {
  const reasons = new Map<string, string>()
  if (!('stderr' in result)) return reasons
  for (const [, address = '', text = ''] of result.stderr.matchAll(/\/dev\/udp\/([\d.]+)\/9: (.+)$/gmu)) {
    reasons.set(address, errorCodes.find(([known]) => text.includes(known))?.[1] ?? 'UNKNOWN')
  }
  return reasons
}

function fallbackCode(result: ProgramResult): string {
  switch (result.kind) {
    case 'missing':
      return 'ENOENT'
    case 'not-permitted':
      return 'EPERM'
    case 'killed':
      return 'ETIMEDOUT'
    case 'ended':
      return 'UNKNOWN'
  }
}

function failed(code: string): DatagramResult {
  return { kind: 'failed', code }
}
