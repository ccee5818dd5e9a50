import { isIpv4 } from '../../hardware.ts'
import { conditionsBetween, type LinkConditions } from '../../network-conditions.ts'
import type { Command, CommandCall } from '../shell.ts'
import { split, usage } from './arguments.ts'

/** ping of iputils: one request a second, in simulated time; asks by ARP, as every packet does. */
export const ping: Command = async (call) => {
  const { operands, options } = split(call.args, ['-c', '-W', '-w', '-s', '-M', '-I', '-i'])
  const { node } = call
  const { segment } = call.services
  const target = operands[0] ?? ''
  if (target === '') return await usage(call, 'ping: usage error: Destination address required', 1)
  if (!isIpv4(target)) return await usage(call, `ping: ${target}: Temporary failure in name resolution`)
  const count = Number(options.get('-c') ?? 1)
  const size = Number(options.get('-s') ?? 56)
  const wait = Number(options.get('-W') ?? 10) * 1000
  const interval = Number(options.get('-i') ?? 1) * 1000
  const link = linkTo(call, target)
  const isWhole = options.get('-M') === 'do'
  const isTooLong = isWhole && size + 28 > node.nic.mtu
  const isSwallowed = isWhole && size + 28 > (link.mtu ?? Infinity)
  await call.out(`PING ${target} (${target}) ${size}(${size + 28}) bytes of data.\n`)
  const deadline = Number(options.get('-w') ?? Infinity) * 1000
  let sent = 0
  let received = 0
  let waited = 0
  const isEnough = () => (deadline === Infinity ? sent : received) >= count
  // Spread evenly: of ten at 20 %, the first and the sixth.
  const isLost = (number: number) =>
    Math.ceil((number * link.lossPercent) / 100) > Math.ceil(((number - 1) * link.lossPercent) / 100)
  for (;;) {
    sent += 1
    if (isTooLong) await call.err(`ping: local error: message too long, mtu=${node.nic.mtu}\n`)
    else if (!isSwallowed && !isLost(sent) && segment.isReachable(node, target)) {
      received += 1
      await call.out(
        `${size + 8} bytes from ${target}: icmp_seq=${sent} ttl=${link.isRouted ? 63 : 64} time=${link.roundTripMilliseconds.toFixed(3)} ms\n`,
      )
    }
    if (isEnough() || waited + interval > deadline) break
    await call.time.sleep(interval)
    waited += interval
  }
  if (deadline !== Infinity) await call.time.sleep(isEnough() ? 0 : deadline - waited)
  else if (received < count && !isTooLong) await call.time.sleep(wait)
  const trip = link.roundTripMilliseconds.toFixed(3)
  await call.out(
    `\n--- ${target} ping statistics ---\n${sent} packets transmitted, ${received} received, ${Math.round(((sent - received) / sent) * 100)}% packet loss, time ${waited}ms\n` +
      (received > 0 ? `rtt min/avg/max/mdev = ${trip}/${trip}/${trip}/0.000 ms\n` : ''),
  )
  return received > 0 ? 0 : 1
}

/** What holds on the way to whoever has the address. */
export function linkTo({ node, services }: CommandCall, address: string): LinkConditions {
  const other = services.segment.ownersOf(address, node).find((owner) => owner.node !== null)
  return conditionsBetween(services.network, node.name, other?.node?.name)
}

/** TCP only. */
export const nc: Command = async (call) => {
  const { operands, options } = split(call.args, ['-w'])
  const [host = '', port = ''] = operands
  if (options.has('-u')) return await usage(call, `nc: the practice lab's nc knows no UDP`, 1)
  if (linkTo(call, host).blockedPorts.includes(Number(port))) {
    await call.time.sleep(Number(options.get('-w') ?? 130) * 1000)
    return await usage(call, `nc: connect to ${host} port ${port} (tcp) timed out`, 1)
  }
  if (call.services.isOpen(host, Number(port))) {
    await call.err(`Connection to ${host} ${port} port [tcp/*] succeeded!\n`)
    return 0
  }
  return await usage(call, `nc: connect to ${host} port ${port} (tcp) failed: Connection refused`, 1)
}
