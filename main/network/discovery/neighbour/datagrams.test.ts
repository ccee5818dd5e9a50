import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createDatagramSender } from './datagrams.ts'

const never = new AbortController().signal
const openHandles = () => process.getActiveResourcesInfo().filter((kind) => kind === 'UDPWRAP').length

describe('the datagram sender of the workstation', () => {
  it('sends one byte to every address, from the address that it is bound to', async () => {
    const receiver = createSocket('udp4')
    receiver.bind({ address: '127.0.0.2', port: 0 })
    await once(receiver, 'listening')
    const received = once(receiver, 'message') as Promise<[Buffer, { address: string }]>
    const { port } = receiver.address()
    const outcome = await createDatagramSender({ localAddress: '127.0.0.1', port }).send(
      ['127.0.0.2', '127.0.0.3', '127.0.0.2'],
      never,
    )
    const [message, from] = await received
    receiver.close()
    expect(message).toHaveLength(1)
    expect(from.address).toBe('127.0.0.1')
    expect([...outcome]).toEqual([
      ['127.0.0.2', { kind: 'sent' }],
      ['127.0.0.3', { kind: 'sent' }],
    ])
  })

  it('reports for each address why it could not be sent to', async () => {
    const outcome = await createDatagramSender({ localAddress: '127.0.0.1' }).send(
      // The broadcast address needs a permission that is not asked for.
      ['255.255.255.255', '127.0.0.1', 'no-address'],
      never,
    )
    expect(outcome.get('255.255.255.255')).toMatchObject({
      kind: 'failed',
      code: expect.stringMatching(/^E/) as string,
    })
    expect(outcome.get('127.0.0.1')).toEqual({ kind: 'sent' })
    expect(outcome.get('no-address')).toEqual({ kind: 'failed', code: 'EINVAL' })
  })

  it('reports for all of them when the own address is not there', async () => {
    const outcome = await createDatagramSender({ localAddress: '192.0.2.77' }).send(
      ['127.0.0.1', '127.0.0.2'],
      never,
    )
    expect([...outcome.values()]).toEqual([
      { kind: 'failed', code: 'EADDRNOTAVAIL' },
      { kind: 'failed', code: 'EADDRNOTAVAIL' },
    ])
  })

  it('sends many at once, and leaves no socket', async () => {
    const before = openHandles()
    const addresses = Array.from({ length: 2000 }, (_, i) => `127.1.${i >> 8}.${i & 255}`)
    const outcome = await createDatagramSender({ localAddress: '127.0.0.1' }).send(addresses, never)
    expect(outcome.size).toBe(2000)
    expect([...outcome.values()].every(({ kind }) => kind === 'sent')).toBe(true)
    expect(openHandles()).toBe(before)
  })

  it('ends at once with the reason when it is stopped, and leaves no socket', async () => {
    const before = openHandles()
    const controller = new AbortController()
    const addresses = Array.from(
      { length: 50_000 },
      (_, i) => `127.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`,
    )
    const sending = createDatagramSender({ localAddress: '127.0.0.1' }).send(addresses, controller.signal)
    setImmediate(() => {
      controller.abort(new Error('enough'))
    })
    await expect(sending).rejects.toThrow('enough')
    await expect(
      createDatagramSender({ localAddress: '127.0.0.1' }).send([], controller.signal),
    ).rejects.toThrow('enough')
    expect(openHandles()).toBe(before)
  })
})
