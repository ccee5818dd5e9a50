import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { formatAddress, parseNetwork } from '../../shared/plan/ipv4.ts'
import { startIn } from './namespace-programs.ts'
import { unref, type Guardian } from './segment-guardian.ts'
import type { HostSpec } from './segment-hosts.ts'

/** Starts dnsmasq, by arguments only; resolves once it listens. It ends with the laboratory. */
export async function startDhcpServer(
  { pool, pingsBeforeOffer }: Extract<HostSpec, { kind: 'dhcp' }>,
  namespace: string,
  network: string,
  { folder }: Guardian,
): Promise<void> {
  const server = startIn(
    namespace,
    'dnsmasq',
    [
      ...['--keep-in-foreground', '--log-facility=-', '--pid-file=', '--user=root'],
      ...['--conf-file=/dev/null', '--no-hosts', '--no-resolv', '--port=0'],
      ...['--interface=eth0', '--except-interface=lo', '--bind-interfaces'],
      `--dhcp-range=${pool.first},${pool.last},${maskOf(network)},1h`,
      `--dhcp-leasefile=${join(folder, `leases-${namespace}`)}`,
      ...(pingsBeforeOffer === true ? [] : ['--no-ping']),
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  if (server.stderr === null) throw new Error('dnsmasq was started without its messages')
  const said: string[] = []
  for await (const line of createInterface({ input: server.stderr })) {
    said.push(line)
    if (line.includes('DHCP, sockets bound')) {
      // Nobody needs the rest, but a pipe that nobody empties would stop it.
      server.stderr.resume()
      // Neither may keep this process alive that forgot to remove the laboratory.
      server.unref()
      unref(server.stderr)
      return
    }
  }
  throw new Error(`dnsmasq did not start: ${said.join('\n')}`)
}

function maskOf(network: string): string {
  const parsed = parseNetwork(network)
  return parsed === undefined ? '' : formatAddress(2 ** 32 - 2 ** (32 - parsed.prefix))
}
