import { isIpv4 } from '../../hardware.ts'
import type { Command } from '../shell.ts'
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
  const isTooLong = options.get('-M') === 'do' && size + 28 > node.nic.mtu
  await call.out(`PING ${target} (${target}) ${size}(${size + 28}) bytes of data.\n`)
  const deadline = Number(options.get('-w') ?? Infinity) * 1000
  let sent = 0
  let received = 0
  let waited = 0
  const isEnough = () => (deadline === Infinity ? sent : received) >= count
  for (;;) {
    sent += 1
    if (isTooLong) await call.err(`ping: local error: message too long, mtu=${node.nic.mtu}\n`)
    else if (segment.isReachable(node, target)) {
      received += 1
      await call.out(`${size + 8} bytes from ${target}: icmp_seq=${sent} ttl=64 time=0.412 ms\n`)
    }
    if (isEnough() || waited + interval > deadline) break
    await call.time.sleep(interval)
    waited += interval
  }
  if (deadline !== Infinity) await call.time.sleep(isEnough() ? 0 : deadline - waited)
  else if (received < count && !isTooLong) await call.time.sleep(wait)
  await call.out(
    `\n--- ${target} ping statistics ---\n${sent} packets transmitted, ${received} received, ${Math.round(((sent - received) / sent) * 100)}% packet loss, time ${waited}ms\n`,
  )
  return received > 0 ? 0 : 1
}

/** TCP only. */
export const nc: Command = async (call) => {
  const { operands, options } = split(call.args, ['-w'])
  const [host = '', port = ''] = operands
  if (options.has('-u')) return await usage(call, `nc: the practice lab's nc knows no UDP`, 1)
  if (call.services.isOpen(host, Number(port))) {
    await call.err(`Connection to ${host} ${port} port [tcp/*] succeeded!\n`)
    return 0
  }
  return await usage(call, `nc: connect to ${host} port ${port} (tcp) failed: Connection refused`, 1)
}
