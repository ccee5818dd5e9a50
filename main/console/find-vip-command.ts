import process from 'node:process'
import type { FreeAddressReport } from '../../shared/addresses/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import { parseAddress } from '../../shared/plan/ipv4.ts'
import { systemClock } from '../engine/clock.ts'
import { parseAddressRange } from '../network/discovery/address-range.ts'
import { findFreeAddresses } from '../network/discovery/find-free-addresses.ts'
import type { Vantage } from '../network/discovery/vantage.ts'
import { createWorkstationVantage } from '../network/discovery/workstation-vantage.ts'
import { exitCodes } from './exit-codes.ts'
import { formatFreeAddresses, formatProgress } from './terminal/free-addresses.ts'
import { listenForStop } from './listen-for-stop.ts'
import type { ViaConnection } from './via-connection.ts'

/** What `landfall find-vip` was asked for. */
export interface FindVipRequest {
  readonly cidr: string
  readonly count: number
  readonly interface?: string | undefined
  /** `user@host` or `user@host:port`; more than one look from several machines. */
  readonly via: readonly string[]
  /** Private key for `via`. */
  readonly identityFile?: string | undefined
  /** Addresses that shall not be offered. */
  readonly exclude: readonly string[]
  /** Seconds after which the candidates are asked once more; 0: not. */
  readonly recheck: number
  readonly json: boolean
}

/** Finds free addresses and shows the evidence. Changes nothing. Returns 1 when it found none. */
export async function findVip(request: FindVipRequest): Promise<number> {
  const range = parseAddressRange(request.cidr)
  const reserved = excludedAddresses(request.exclude)
  const stop = listenForStop()
  const connections: ViaConnection[] = []
  try {
    connections.push(...(await connectAll(request, stop.signal)))
    const vantages = [createWorkstationVantage({ clock: systemClock }), ...(await nodeVantages(connections))]
    const isShowingProgress = process.stderr.isTTY
    const report = await findFreeAddresses({
      range,
      vantages,
      count: request.count,
      interface: request.interface,
      reserved,
      recheckAfterSeconds: request.recheck,
      clock: systemClock,
      signal: stop.signal,
      ...(isShowingProgress
        ? {
            onProgress: (progress) => {
              process.stderr.write(`\r\u001b[K${formatProgress(progress)}`)
            },
          }
        : {}),
    })
    if (isShowingProgress) process.stderr.write('\r\u001b[K')
    print(report, request)
    return report.candidates.length > 0 ? exitCodes.done : exitCodes.failed
  } catch (error) {
    if (!stop.signal.aborted) throw error
    process.stderr.write('Stopped. Nothing was changed.\n')
    return exitCodes.stopped
  } finally {
    stop.release()
    await Promise.all(connections.map(({ connection }) => connection.close()))
  }
}

/** What only SSH needs is loaded only for it. */
async function connectAll(request: FindVipRequest, signal: AbortSignal): Promise<ViaConnection[]> {
  if (request.via.length === 0) return []
  const { connectVia } = await import('./via-connection.ts')
  const connections: ViaConnection[] = []
  // One after the other: each may ask for a password.
  for (const target of request.via) {
    connections.push(await connectVia(target, { identityFile: request.identityFile, signal }))
  }
  return connections
}

async function nodeVantages(connections: readonly ViaConnection[]): Promise<Vantage[]> {
  if (connections.length === 0) return []
  const { createNodeVantage } = await import('../network/discovery/node-vantage.ts')
  const { createSshRunner } = await import('../network/programs/ssh-runner.ts')
  return connections.map(({ name, connection, password }) =>
    createNodeVantage({
      name,
      runner: createSshRunner({ place: name, connection, ...(password === undefined ? {} : { password }) }),
      clock: systemClock,
    }),
  )
}

function print(report: FreeAddressReport, { json, recheck, count }: FindVipRequest): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(report)}\n`)
    return
  }
  const found = report.candidates.length
  process.stdout.write(formatFreeAddresses(report, { isRecheckOffered: recheck === 0 }))
  // Nothing went wrong, so it is no warning of the report; who asked for more wonders all the same.
  if (found > 0 && found < count)
    process.stdout.write(`Only ${found} of the ${count} addresses that were asked for could be found.\n`)
}

function excludedAddresses(texts: readonly string[]): Map<string, string> {
  const reserved = new Map<string, string>()
  for (const text of texts.flatMap((part) => part.split(',')).map((part) => part.trim())) {
    if (text === '') continue
    if (parseAddress(text) === undefined) {
      throw new AppError({
        code: 'BAD_ARGUMENT',
        title: `--exclude has "${text}", which is not an IPv4 address.`,
        detail: 'Nothing was asked.',
        remedies: ['Write addresses with commas between them, for example --exclude 10.10.200.7,10.10.200.8'],
      })
    }
    reserved.set(text, 'excluded by --exclude')
  }
  return reserved
}
