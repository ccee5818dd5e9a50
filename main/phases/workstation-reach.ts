import type { Dialler } from '../network/dialler.ts'
import type { ReachResult, WorkstationReach } from '../network/proof-of-life/proof.ts'

/** Real time for one connection: a machine on the way needs no longer, and the proof waits for it. */
const timeoutMilliseconds = 2000

/** Answers of the machine itself: it has the address, whether it listens there or not. */
const answeringCodes = new Set(['ECONNREFUSED', 'ECONNRESET'])
const silentCodes = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH'])

/**
 * Tries the address from this workstation by TCP, on ports on which a node of the appliance listens. ICMP would need
 * privileges, and MAC addresses are unknown behind a router: the nodes judge those.
 */
export function createWorkstationReach(dialler: Dialler, ports: readonly number[]): WorkstationReach {
  return {
    reach: async (address, _owner, signal) => {
      const results = await Promise.all(ports.map((port) => tryPort(dialler, address, port, signal)))
      const ip = (['reached', 'silent'] as const).find((kind) => results.some((result) => result.ip === kind))
      return {
        arp: 'unknown',
        macs: [],
        ip: ip ?? 'unknown',
        detail: results.map(({ detail }) => detail).join('; '),
      }
    },
  }
}

async function tryPort(
  dialler: Dialler,
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<Pick<ReachResult, 'ip' | 'detail'>> {
  try {
    const socket = await dialler.dial({ host, port }, { signal, timeoutMilliseconds })
    socket.destroy()
    return { ip: 'reached', detail: `TCP port ${port} is open` }
  } catch (error) {
    signal.throwIfAborted()
    const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
    if (answeringCodes.has(code)) return { ip: 'reached', detail: `TCP port ${port} refuses` }
    const detail = `TCP port ${port}: ${code === '' ? String(error) : code}`
    return { ip: silentCodes.has(code) ? 'silent' : 'unknown', detail }
  }
}
