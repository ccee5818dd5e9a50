import { explainResult, lookSeconds } from './node-state.ts'
import type { ProofNode } from './proof.ts'

/** `by` tells which question was answered, to ask the same one again. */
export type IpAnswer =
  | { readonly kind: 'reached'; readonly by: 'ping' | 'tcp'; readonly detail: string }
  | { readonly kind: 'silent' | 'unknown'; readonly detail: string }

/** SSH is what a node of the appliance listens on first; a refusal proves the way just as well. */
const tcpPort = 22

/**
 * Reaches an address from a node: by ICMP echo, and where nothing answers that, by TCP, because echo requests are
 * filtered in many places. Rejects like the runner.
 */
export async function reachByIp(node: ProofNode, address: string, signal: AbortSignal): Promise<IpAnswer> {
  const ping = await pingFrom(node, address, ['-c', '2', '-W', '1'], signal)
  if (ping.kind === 'reached') return ping
  const tcp = await connectFrom(node, address, signal)
  if (tcp.kind === 'reached') return tcp
  const detail = `${ping.detail}; ${tcp.detail}`
  return { kind: ping.kind === 'silent' || tcp.kind === 'silent' ? 'silent' : 'unknown', detail }
}

/** One look within about a second, by the question that was answered before. */
export function reachAgain(
  node: ProofNode,
  address: string,
  by: 'ping' | 'tcp',
  signal: AbortSignal,
): Promise<IpAnswer> {
  // Five requests in one second, until the first answer: both iputils and BusyBox read it like that.
  return by === 'tcp'
    ? connectFrom(node, address, signal)
    : pingFrom(node, address, ['-c', '1', '-i', '0.2', '-w', '1'], signal)
}

async function pingFrom(
  node: ProofNode,
  address: string,
  counts: readonly string[],
  signal: AbortSignal,
): Promise<IpAnswer> {
  // -n: without it ping asks a name server for the address, which may be unreachable on an isolated site.
  const result = await node.runner.run('ping', ['-n', ...counts, address], {
    signal,
    deadlineSeconds: lookSeconds,
  })
  if (result.kind === 'ended' && result.exitCode === 0)
    return { kind: 'reached', by: 'ping', detail: 'ping answered' }
  // BusyBox ends with 1 for a wrong option as well, but then it says so.
  if (
    result.kind === 'ended' &&
    (isNoWay(result.stderr) || (result.exitCode === 1 && result.stderr.trim() === ''))
  )
    return { kind: 'silent', detail: 'ping without answer' }
  return { kind: 'unknown', detail: explainResult('ping', result) }
}

/** Bash opens a TCP connection by itself; the script is fixed, address and port are its parameters. */
const connectScript = 'exec 3<>"/dev/tcp/$0/$1"'
/** The second SYN goes out after one second. */
const connectSeconds = 2

async function connectFrom(node: ProofNode, address: string, signal: AbortSignal): Promise<IpAnswer> {
  const where = `TCP ${tcpPort}`
  const result = await node.runner.run(
    'env',
    // Over SSH bash reads the .bashrc of the account, which may take its time.
    ['LC_ALL=C', 'bash', '--norc', '-c', connectScript, address, String(tcpPort)],
    { signal, deadlineSeconds: connectSeconds },
  )
  if (result.kind === 'killed' && result.reason === 'deadline')
    return { kind: 'silent', detail: `${where} without answer` }
  if (result.kind !== 'ended') return { kind: 'unknown', detail: explainResult('bash', result) }
  if (result.exitCode === 0) return { kind: 'reached', by: 'tcp', detail: `${where} connected` }
  if (/connection refused/i.test(result.stderr))
    return { kind: 'reached', by: 'tcp', detail: `${where} refused, so answered` }
  if (isNoWay(result.stderr)) return { kind: 'silent', detail: `${where} without answer` }
  return { kind: 'unknown', detail: explainResult('bash', result) }
}

function isNoWay(stderr: string): boolean {
  return /no route to host|timed out|(network|host) is unreachable/i.test(stderr)
}
