import type { Clock } from '../../engine/clock.ts'
import { detectArping, probeWithArping, type ArpingVariant } from '../arping/index.ts'
import { nmapThrough, scanWithNmap } from '../nmap/index.ts'
import { createBatchRunner } from '../programs/batch-runner.ts'
import type { ProgramRunner } from '../programs/program-runner.ts'
import { createNeighbourReader, sweepNeighbours, type LinkState } from './neighbour/index.ts'
import { createRemoteDatagramSender, type RemoteDatagramSender } from './remote-datagrams.ts'
import { readOwnAddresses, readVantageFacts, routeCheck } from './vantage-facts.ts'
import type { AskOptions, Vantage } from './vantage.ts'

/** Programs of arping that run at the same time; a batch is one session of SSH. */
const concurrency = 64
const deadlineSeconds = 15

/**
 * Looks at the network from a Linux node. What needs root is asked with sudo; where that is refused, or a program is
 * missing on the node, the rest still works, and the warnings of `sweep` and `scan` say what is missing and what to do.
 */
export function createNodeVantage({
  name,
  runner,
  clock,
}: {
  /** Of the node, or `user@host`. */
  readonly name: string
  readonly runner: ProgramRunner
  readonly clock: Clock
}): Vantage {
  const sender = createRemoteDatagramSender(runner)
  const batch = createBatchRunner(runner, concurrency)
  const arping = onceFound((signal) => detectArping(runner, signal))
  const hasNmap = onceFound(async (signal) => {
    const { kind } = await runner.run('nmap', ['--version'], { signal, deadlineSeconds })
    return kind !== 'missing'
  })

  /** Read every time: an address that was raised in the meantime answers nobody on this node. */
  const others = async (addresses: readonly string[], { signal }: AskOptions): Promise<string[]> => {
    const own = new Set(await readOwnAddresses(runner, signal))
    return addresses.filter((address) => !own.has(address))
  }

  return {
    name,
    kind: 'node',
    facts: (signal) => readVantageFacts(runner, signal),
    routeTo: (address, signal) => routeCheck(runner, address, signal),
    sweep: async (addresses, ask) => {
      const [swept, variant] = await Promise.all([
        others(addresses, ask).then((asked) =>
          sweepNeighbours({
            vantage: name,
            addresses: asked,
            sender,
            readTable: createNeighbourReader(runner, ask.interface),
            linkState: (signal) => readCarrier(runner, ask.interface, signal),
            clock,
            ...ask,
          }),
        ),
        arping(ask.signal),
      ])
      return {
        observations: swept.observations,
        warnings: [...swept.warnings, ...wayWarnings(name, sender), ...arpingWarnings(name, variant)],
      }
    },
    scan: async (addresses, ask) => {
      if (!(await hasNmap(ask.signal))) return undefined
      return await scanWithNmap({
        nmap: nmapThrough(runner),
        vantage: name,
        addresses: await others(addresses, ask),
        // It is tried; where sudo refuses, nmap asks by connections.
        isPrivileged: true,
        clock,
        ...ask,
      })
    },
    probe: async (addresses, ask) => {
      const [variant, own] = await Promise.all([arping(ask.signal), readOwnAddresses(runner, ask.signal)])
      return await probeWithArping({
        runner: batch,
        vantage: name,
        addresses,
        clock,
        ownAddresses: own,
        concurrency,
        arping: variant,
        ...ask,
      })
    },
  }
}

/** Finds something out once; an attempt that failed is not remembered. */
function onceFound<Found>(
  find: (signal: AbortSignal) => Promise<Found>,
): (signal: AbortSignal) => Promise<Found> {
  let found: { readonly value: Found } | undefined
  return async (signal) => {
    found ??= { value: await find(signal) }
    return found.value
  }
}

/**
 * Without a link the system still says that it asks, and nobody hears it. The carrier of an interface that is down cannot
 * be read (EINVAL).
 */
async function readCarrier(
  runner: ProgramRunner,
  interfaceName: string,
  signal: AbortSignal,
): Promise<LinkState> {
  const path = `/sys/class/net/${interfaceName}/carrier`
  const result = await runner.run('cat', [path], { signal, deadlineSeconds })
  if (result.kind !== 'ended') return 'unknown'
  const text = result.stdout.trim()
  if (result.exitCode === 0 && text === '1') return 'up'
  const isDown = (result.exitCode === 0 && text === '0') || result.stderr.includes('Invalid argument')
  return isDown ? 'down' : 'unknown'
}

function wayWarnings(name: string, sender: RemoteDatagramSender): string[] {
  const way = sender.usedWay()
  if (way === undefined || way === 'bash') return []
  return [
    `${name} cannot send datagrams with bash, so it sent them with ${way}, which takes some seconds longer.`,
  ]
}

function arpingWarnings(name: string, variant: ArpingVariant): string[] {
  switch (variant.kind) {
    case 'none':
      return [
        `${name} has no arping, so duplicate address detection (RFC 5227) was not done from there. Install it on ${name} (package iputils-arping), or look from another machine of that network with --via.`,
      ]
    case 'unknown':
      return [
        `The arping of ${name} is none that Landfall knows (${variant.detail}), so duplicate address detection (RFC 5227) was not done from there. Install iputils-arping on ${name}, or look from another machine of that network with --via.`,
      ]
    case 'iputils':
    case 'habets':
    case 'busybox':
      return []
  }
}
