import { createServer } from 'node:net'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { systemDialler, type Dialler } from '../dialler.ts'
import type { ProofNode } from './proof.ts'
import { SimulatedSegment } from './testing/simulated-segment.ts'
import { reachByDialler } from './workstation-reach.ts'

const owner = ((): ProofNode => {
  const segment = new SimulatedSegment()
  return segment.node(segment.addHost('n1', '10.10.200.11'))
})()
const never = new AbortController().signal

/** A dialler that fails with a system error, by port. */
const failing = (codes: Readonly<Record<number, string>>): Dialler => ({
  dial: ({ port }) => Promise.reject(Object.assign(new Error(`connect ${port}`), { code: codes[port] })),
})

describe('the way of the workstation', () => {
  it('is open where a port accepts, and where it refuses', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const dialler: Dialler = {
      dial: (endpoint, options) =>
        endpoint.port === 22
          ? systemDialler.dial({ host: '127.0.0.1', port }, options)
          : Promise.reject(Object.assign(new Error('no'), { code: 'ETIMEDOUT' })),
    }
    expect(await reachByDialler(dialler).reach('127.0.0.1', owner, never)).toEqual({
      arp: 'unknown',
      macs: [],
      ip: 'reached',
      detail: 'TCP 22 connected; TCP 5080: ETIMEDOUT',
    })
    server.close()
    await once(server, 'close')
    expect(await reachByDialler(dialler).reach('127.0.0.1', owner, never)).toMatchObject({
      ip: 'reached',
      detail: 'TCP 22 refused, so answered; TCP 5080: ETIMEDOUT',
    })
  })

  it.each([
    [{ 22: 'ETIMEDOUT', 5080: 'EHOSTUNREACH' }, 'silent'],
    [{ 22: 'ETIMEDOUT', 5080: 'ECONNREFUSED' }, 'reached'],
    [{ 22: 'EACCES', 5080: 'EPERM' }, 'unknown'],
    [{ 22: 'EACCES', 5080: 'ETIMEDOUT' }, 'silent'],
    [{ 22: 'ENOENT', 5080: 'EINVAL' }, 'unknown'],
  ] as const)('with %j is %s', async (codes, ip) => {
    expect(await reachByDialler(failing(codes)).reach('10.10.200.100', owner, never)).toMatchObject({ ip })
  })

  it('rejects with the reason when it is stopped', async () => {
    const stop = new AbortController()
    const reason = new Error('stopped')
    const dialler: Dialler = {
      dial: (_endpoint, options) =>
        new Promise((_resolve, reject) => {
          options?.signal?.addEventListener('abort', () => {
            reject(reason)
          })
        }),
    }
    const reaching = reachByDialler(dialler).reach('10.10.200.100', owner, stop.signal)
    stop.abort(reason)
    await expect(reaching).rejects.toBe(reason)
  })
})
