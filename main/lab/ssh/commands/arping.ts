import { isIpv4 } from '../../hardware.ts'
import type { Command, CommandCall } from '../shell.ts'
import { split, usage } from './arguments.ts'

/** As Ubuntu 22.04 has it. */
const version = '20211215'

const help = `
Usage:
  arping [options] <destination>

Options:
  -f            quit on first reply
  -q            be quiet
  -b            keep on broadcasting, do not unicast
  -D            duplicate address detection mode
  -U            unsolicited ARP mode, update your neighbours
  -A            ARP answer mode, update your neighbours
  -V            print version and exit
  -c <count>    how many packets to send
  -w <timeout>  how long to wait for a reply
  -i <interval> set interval between packets (default: 1 second)
  -I <device>   which ethernet device to use
  -s <source>   source ip address
  <destination> dns name or ip address

For more details see arping(8).`

/** arping of iputils: one request a second, in simulated time. Exit codes and texts as measured with 20221126. */
export const arping: Command = async (call) => {
  const { operands, options } = split(call.args, ['-c', '-I', '-i', '-w', '-s'])
  const unknown = [...options.keys()].find((option) => !/^-[fqbDUAVcIiws]$/.test(option))
  if (unknown !== undefined) {
    return await usage(call, `arping: invalid option -- '${unknown.replace(/^-+/, '')}'\n${help}`)
  }
  if (options.has('-V')) {
    await call.out(
      `arping from iputils ${version}\nlibcap: yes, IDN: yes, NLS: no, error.h: yes, getrandom(): yes, __fpending(): yes\n`,
    )
    return 0
  }
  const [target] = operands
  if (target === undefined || operands.length > 1) return await usage(call, help)
  const { nic } = call.node
  const device = options.get('-I') ?? nic.name
  if (device !== nic.name) return await usage(call, `arping: Device ${device} not available.`)
  if (call.user !== 'root') return await usage(call, 'arping: socket: Operation not permitted')
  if (!isIpv4(target)) return await usage(call, `arping: ${target}: Temporary failure in name resolution`)
  const isDetection = options.has('-D')
  const isAnnouncement = options.has('-U') || options.has('-A')
  const source = options.get('-s') ?? (isDetection ? '0.0.0.0' : isAnnouncement ? target : nic.address)
  if (source !== '0.0.0.0' && !call.services.segment.hasAddress(call.node, source)) {
    return await usage(call, 'arping: bind: Cannot assign requested address')
  }
  const report = await ask(call, {
    target,
    source,
    // With a deadline alone it sends until then, once more at its end.
    count: Number(options.get('-c') ?? Infinity),
    seconds: Number(options.get('-w') ?? Infinity),
    isQuiet: options.has('-q'),
    isBroadcastOnly: options.has('-b') || isDetection || isAnnouncement,
    isAnnouncement,
    endsAtFirst: isDetection || options.has('-f'),
  })
  if (isDetection) return report.received > 0 ? 1 : 0
  if (isAnnouncement) return 0
  return report.received === report.sent && report.sent > 0 ? 0 : 1
}

interface Question {
  target: string
  source: string
  count: number
  seconds: number
  isQuiet: boolean
  isBroadcastOnly: boolean
  isAnnouncement: boolean
  endsAtFirst: boolean
}

async function ask(call: CommandCall, question: Question): Promise<{ sent: number; received: number }> {
  const { segment } = call.services
  const { target } = question
  const say = async (text: string) => {
    if (!question.isQuiet) await call.out(text)
  }
  await say(`ARPING ${target} from ${question.source} ${call.node.nic.name}\n`)
  let sent = 0
  let received = 0
  let broadcasts = 0
  /** Whom the requests go to after the first answer. */
  let only: string | null = null
  const end = async () => {
    await say(`Sent ${sent} probes (${broadcasts} broadcast(s))\nReceived ${received} response(s)\n`)
    return { sent, received }
  }
  for (let second = 0; ; second += 1) {
    sent += 1
    if (only === null) broadcasts += 1
    if (question.isAnnouncement) segment.announce(call.node, target)
    const owners =
      question.isAnnouncement || !segment.isOnLink(call.node, target)
        ? []
        : segment.ownersOf(target, call.node)
    for (const { mac } of owners) {
      if (only !== null && mac !== only) continue
      received += 1
      await say(`Unicast reply from ${target} [${mac.toUpperCase()}]  0.712ms\n`)
      if (question.endsAtFirst) return await end()
    }
    if (!question.isBroadcastOnly) only ??= owners[0]?.mac ?? null
    if (second >= question.seconds) return await end()
    await call.time.sleep(1000)
    if (sent >= question.count) return await end()
  }
}
