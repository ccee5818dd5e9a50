import { reasonOf } from '../../engine/cancellation.ts'
import type { Dialler } from '../dialler.ts'
import { networkError, systemCodeOf } from '../network-error.ts'
import type { ReachResult, WorkstationReach } from './proof.ts'

/** SSH, and the Local UI of an appliance (palette.md, TCP 5080): where one is filtered, the other need not be. */
const ports = [22, 5080]
const timeoutMilliseconds = 3_000

/**
 * The workstation's way by TCP, which every operating system has without privileges, also over routers. A refusal is an
 * answer of the machine that has the address. MAC addresses stay unknown.
 */
export function reachByDialler(dialler: Dialler): WorkstationReach {
  return {
    reach: async (address, _expectedOwner, signal) => {
      const answers = await Promise.all(ports.map((port) => dialOnce(dialler, address, port, signal)))
      if (signal.aborted) throw reasonOf(signal)
      const kinds = answers.map(({ kind }) => kind)
      return {
        arp: 'unknown',
        macs: [],
        ip: kinds.includes('reached') ? 'reached' : kinds.includes('silent') ? 'silent' : 'unknown',
        detail: answers.map(({ detail }) => detail).join('; '),
      }
    },
  }
}

/** Never rejects. */
async function dialOnce(
  dialler: Dialler,
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<{ readonly kind: ReachResult['ip']; readonly detail: string }> {
  const where = `TCP ${port}`
  try {
    const socket = await dialler.dial({ host, port }, { signal, timeoutMilliseconds })
    socket.destroy()
    return { kind: 'reached', detail: `${where} connected` }
  } catch (thrown) {
    const code = systemCodeOf(thrown)
    if (code === 'ECONNREFUSED') return { kind: 'reached', detail: `${where} refused, so answered` }
    const error = networkError(thrown, { host, port })
    // This computer forbids it (EACCES, EPERM): nothing was asked.
    const isAsked = error !== undefined && error.code !== 'CONNECTION_DENIED'
    return { kind: isAsked ? 'silent' : 'unknown', detail: `${where}: ${code ?? String(thrown)}` }
  }
}
