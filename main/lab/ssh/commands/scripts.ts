import { markOfScript } from '../../../appliance/facts/collect-script.ts'
import { networkChangeScript } from '../../../appliance/host-configuration/network-change-script.ts'
import { isIpv4 } from '../../hardware.ts'
import { bashDatagramScript } from '../../../network/discovery/remote-datagrams.ts'
import { batchScript } from '../../../network/programs/batch-runner.ts'
import { anyShellScript, launcherScript } from '../../../network/programs/remote-launcher.ts'
import { inputOf } from '../input.ts'
import type { Command, CommandCall } from '../shell.ts'
import { anyShell } from './any-shell.ts'
import { collect, usage } from './arguments.ts'
import { networkChange } from './network-change.ts'
import { factsReport } from './facts-report.ts'
import { measureReport } from './measure-report.ts'

/**
 * Starts a program as the product's launcher script does. That the client went away is noticed at the channel here, not by
 * reading standard input.
 */
const launcher: Command = async (call) => {
  const [seconds = '', size = '', , ...words] = call.args
  await call.out('landfall:begin\n')
  await call.err('landfall:begin\n')
  if (!call.hasProgram(words[0] ?? '')) {
    await call.err('landfall:missing\n')
    return 127
  }
  const bytes = Number(size)
  const given = bytes > 0 ? (await collect(call.stdin.chunks())).subarray(0, bytes) : Buffer.alloc(0)
  return await call.run(['timeout', '-k', '1', seconds, ...words], call.user, { stdin: inputOf(given) })
}

/** Sends one byte by UDP to port 9 of every address that is given, and prints those that it could send to. */
const datagrams: Command = async (call) => {
  const { segment } = call.services
  const { node } = call
  for (const address of call.args) {
    if (!isIpv4(address)) {
      await call.err(`landfall: line 2: /dev/udp/${address}/9: Invalid argument\n`)
      continue
    }
    if (!segment.hasAddress(node, address)) {
      segment.neighboursOf(node).use(segment.isOnLink(node, address) ? address : node.nic.gateway)
    }
    await call.out(`${address}\n`)
  }
  return 0
}

/** Runs the programs that are given side by side, and prints for each of them what `batchScript` does. */
const batch: Command = async (call) => {
  const commands: string[][] = []
  for (let index = 0; index < call.args.length;) {
    const count = Number(call.args[index])
    commands.push(call.args.slice(index + 1, index + 1 + count))
    index += 1 + count
  }
  await Promise.all(
    commands.map(async (words, index) => {
      const id = index + 1
      const text = call.hasProgram(words[0] ?? '') ? await marked(call, words, id) : `${id}m`
      await call.out(`${text.length > 3500 ? `${id}l` : text}\n${id}.\n`)
    }),
  )
  return 0
}

async function marked(call: CommandCall, words: string[], id: number): Promise<string> {
  const written = { o: '', e: '' }
  const code = await call.run(words, call.user, {
    stdin: inputOf(Buffer.alloc(0)),
    time: call.time.copy(),
    out: (data) => void (written.o += data.toString()),
    err: (data) => void (written.e += data.toString()),
  })
  const lines = (['o', 'e'] as const).flatMap((mark) =>
    written[mark].split('\n').map((line) => `${id}${mark}${line}`),
  )
  return [...lines, `${id}x${code}`].join('\n')
}

/** bash connects by TCP to the address and the port that it is given, and lets go again. */
const connectByTcp: Command = async (call) => {
  const { segment } = call.services
  const [, , address = '', port = ''] = call.args
  const fail = (text: string) =>
    usage(call, `${address}: connect: ${text}\n${address}: line 1: /dev/tcp/${address}/${port}: ${text}`, 1)
  if (call.services.isOpen(address, Number(port))) return 0
  if (segment.isReachable(call.node, address)) return await fail('Connection refused')
  await call.time.sleep(3000)
  // Without an answer by ARP the kernel gives up early; what is dropped is sent again for two minutes.
  if (segment.isOnLink(call.node, address) && segment.ownersOf(address, call.node).length === 0) {
    return await fail('No route to host')
  }
  await call.time.sleep(127_000)
  return await fail('Connection timed out')
}

/**
 * Scripts of the product that use more of a shell than the lab has. The lab knows them word for word, each as one program:
 * what they do to the node and what they print is simulated, not how. A script that is changed has to be changed here.
 */
const knownScripts: ReadonlyMap<string, Command> = new Map([
  [anyShellScript, anyShell],
  [launcherScript, launcher],
  [bashDatagramScript, datagrams],
  [batchScript, batch],
  [networkChangeScript, networkChange],
])

/** Its parameters begin with $0. */
const connectScript = 'exec 3<>"/dev/tcp/$0/$1"'

export const shell: Command = async (call) => {
  const [option, script = '', , ...parameters] = call.args[0] === '--norc' ? call.args.slice(1) : call.args
  if (option !== '-c') {
    const text = (await collect(call.stdin.chunks())).toString()
    const measurements = await measureReport(call, text)
    if (measurements !== undefined) return measurements
    const mark = markOfScript(text)
    if (mark === undefined) return await call.runLine(text, call.user)
    await call.out(await factsReport(call, mark))
    return 0
  }
  if (script === connectScript) return await connectByTcp(call)
  const known = knownScripts.get(script)
  if (known !== undefined) return await known({ ...call, args: parameters })
  if (parameters.length > 0) {
    return await usage(call, "bash: -c: the practice lab's shell does not know positional parameters")
  }
  return await call.runLine(script, call.user)
}

/** coreutils' timeout, in simulated time: what a command takes on this workstation does not count. */
export const timeout: Command = async (call) => {
  const words = [...call.args]
  for (let option = words[0]; option?.startsWith('-') === true; option = words[0]) {
    words.shift()
    if (option === '-k' || option === '-s') words.shift()
    else if (!/^--(foreground|preserve-status|verbose)$|^--(kill-after|signal)=|^-[ks]./.test(option)) {
      return await usage(call, `timeout: invalid option '${option}'`, 125)
    }
  }
  const [limit = '', ...command] = words
  const seconds = /^\d+(\.\d+)?s?$/.test(limit) ? parseFloat(limit) : NaN
  if (Number.isNaN(seconds)) return await usage(call, `timeout: invalid time interval '${limit}'`, 125)
  if (!call.hasProgram(command[0] ?? '')) {
    return await usage(
      call,
      `timeout: failed to run command '${command[0] ?? ''}': No such file or directory`,
      127,
    )
  }
  // 0 means no limit.
  const time = call.time.within(seconds === 0 ? Infinity : seconds * 1000)
  try {
    return await call.run(command, call.user, { time })
  } catch (error) {
    if (error === time.over) return 124
    throw error
  }
}

export const commandBuiltin: Command = async (call) => {
  const [option, name = ''] = call.args
  if (option !== '-v') return await call.run(call.args, call.user)
  if (!call.hasProgram(name)) return 1
  await call.out(name.includes('/') ? `${name}\n` : `/usr/bin/${name}\n`)
  return 0
}

export const env: Command = async (call) => {
  const start = call.args.findIndex((arg) => !/^[A-Za-z_]\w*=/.test(arg))
  if (start === -1) return 0
  if (call.args[start]?.startsWith('-') === true)
    return await usage(call, `env: invalid option '${call.args[start]}'`, 125)
  return await call.run(call.args.slice(start), call.user)
}
