import process from 'node:process'
import type { Clock } from '../../engine/clock.ts'
import { probeWithArping } from '../arping/index.ts'
import { askDhcp } from '../dhcp/index.ts'
import { localNmap, scanWithNmap } from '../nmap/index.ts'
import { createLocalRunner } from '../programs/local-runner.ts'
import type { ProgramRunner } from '../programs/program-runner.ts'
import {
  createDatagramSender,
  createNeighbourReader,
  readLocalFile,
  sweepNeighbours,
  type LinkState,
} from './neighbour/index.ts'
import { routeCheck, workstationFacts } from './vantage-facts.ts'
import type { AskOptions, Vantage, VantageFacts } from './vantage.ts'

/** Programs of arping that run at the same time. */
const concurrency = 64

/** Seconds that are left to nmap, which needs two or three for 254 addresses: nobody waits long for one that hangs. */
const nmapPatience = { fixed: 8, perAddress: 0.02 }

/** Looks at the network from the machine that Landfall runs on. */
export function createWorkstationVantage(options: {
  readonly clock: Clock
  readonly runner?: ProgramRunner
}): Vantage {
  const { clock, runner = createLocalRunner() } = options
  const name = runner.place
  const isPrivileged = process.getuid?.() === 0
  let known: Promise<VantageFacts> | undefined
  const facts = async (signal: AbortSignal) => {
    known ??= workstationFacts(runner, signal)
    try {
      return await known
    } catch (error) {
      // A look that was stopped or failed is not remembered.
      known = undefined
      throw error
    }
  }
  const own = async (ask: AskOptions) => {
    const { interfaces } = await facts(ask.signal)
    const nic = interfaces.find((candidate) => candidate.name === ask.interface)
    const [first] = nic?.addresses ?? []
    if (nic === undefined || first === undefined) throw new TypeError(`${ask.interface} has no address.`)
    return { nic, address: first.address, all: interfaces.flatMap(({ addresses }) => addresses) }
  }
  return {
    name,
    kind: 'workstation',
    facts,
    ...(runner.platform === 'linux'
      ? { routeTo: (address: string, signal: AbortSignal) => routeCheck(runner, address, signal) }
      : {}),
    sweep: async (addresses, ask) => {
      const { address } = await own(ask)
      return await sweepNeighbours({
        vantage: name,
        addresses,
        sender: createDatagramSender({ localAddress: address }),
        readTable: createNeighbourReader(runner, ask.interface, { readFile: readLocalFile }),
        ...(runner.platform === 'linux'
          ? { linkState: (signal: AbortSignal) => readCarrier(ask.interface, signal) }
          : {}),
        clock,
        ...ask,
      })
    },
    scan: (addresses, ask) =>
      scanWithNmap({
        nmap: localNmap(),
        vantage: name,
        addresses,
        isPrivileged,
        clock,
        deadlineSeconds: nmapPatience.fixed + addresses.length * nmapPatience.perAddress,
        ...ask,
      }),
    probe: async (addresses, ask) => {
      const { all } = await own(ask)
      return await probeWithArping({
        runner,
        vantage: name,
        addresses,
        clock,
        ownAddresses: all.map(({ address }) => address),
        concurrency,
        ...ask,
      })
    },
    askDhcp: async (ask) => {
      const { nic, address } = await own(ask)
      if (nic.mac === undefined) return undefined
      return await askDhcp({
        interfaceName: ask.interface,
        localAddress: address,
        mac: nic.mac,
        clock,
        signal: ask.signal,
        onOffer: ask.onOffer,
      })
    },
  }
}

/**
 * Without a link the system still says that it asks, and nobody hears it. The carrier of an interface that is down cannot
 * be read (EINVAL).
 */
async function readCarrier(interfaceName: string, signal: AbortSignal): Promise<LinkState> {
  try {
    const text = await readLocalFile(`/sys/class/net/${interfaceName}/carrier`, signal)
    return text.trim() === '1' ? 'up' : text.trim() === '0' ? 'down' : 'unknown'
  } catch (error) {
    signal.throwIfAborted()
    return error instanceof Error && 'code' in error && error.code === 'EINVAL' ? 'down' : 'unknown'
  }
}
