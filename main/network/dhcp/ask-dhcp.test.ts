import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../engine/clock.ts'
import { askDhcp, type AskDhcpOptions } from './ask-dhcp.ts'
import { offerBytes, plainOptions } from './testing/offer.ts'

const loopback = '127.0.0.1'

interface Question {
  readonly transactionId: number
  readonly clientMac: Uint8Array
  readonly seconds: number
  readonly messageType: number | undefined
}

let server: Socket
let received: Question[]
let clientPort: number
beforeEach(async () => {
  received = []
  server = await bound(0)
  server.on('message', (bytes) => {
    received.push({
      transactionId: bytes.readUInt32BE(4),
      clientMac: Uint8Array.from(bytes.subarray(28, 34)),
      seconds: bytes.readUInt16BE(8),
      messageType: bytes[242],
    })
  })
  const free = await bound(0)
  clientPort = free.address().port
  free.close()
})
afterEach(() => {
  server.close()
})

describe('asking DHCP servers', () => {
  it('gives the offers of several clients, with what else they say', async () => {
    const answers = await ask([
      async () => {
        await untilReceived(3)
        await offer(received[0], '10.0.0.50')
        await offer(received[1], '10.0.0.60')
        await offer(received[2], '10.0.0.70')
      },
    ])
    expect(answers?.warnings).toEqual([])
    expect(answers?.offers.map(({ address }) => address)).toEqual(['10.0.0.50', '10.0.0.60', '10.0.0.70'])
    expect(answers?.offers[0]).toEqual({
      address: '10.0.0.50',
      server: '10.0.0.1',
      gateways: ['10.0.0.1'],
      nameServers: ['10.0.0.2', '10.0.0.3'],
    })
  })

  it('asks first with the own MAC, then with MACs that belong to nobody, and never requests anything', async () => {
    await ask([() => untilReceived(3), () => untilReceived(6)])
    expect(new Set(received.map(({ messageType }) => messageType))).toEqual(new Set([1]))
    expect([...(received[0]?.clientMac ?? [])]).toEqual([0, 0x50, 0x56, 0xab, 0xcd, 0xef])
    for (const { clientMac } of received.slice(1, 3)) expect((clientMac[0] ?? 0) & 0x03).toBe(0x02)
    expect(new Set(received.slice(0, 3).map(({ transactionId }) => transactionId)).size).toBe(3)
  })

  it('asks again only for those who have got no answer, and says how long they have been waiting', async () => {
    await ask([
      async () => {
        await untilReceived(3)
        await offer(received[1], '10.0.0.60')
      },
      () => untilReceived(5),
    ])
    expect(received.slice(3).map(({ transactionId }) => transactionId)).toEqual([
      received[0]?.transactionId,
      received[2]?.transactionId,
    ])
    expect(received.map(({ seconds }) => seconds)).toEqual([0, 0, 0, 2, 2])
  })

  it('takes no answer that is meant for somebody else, and no rubbish', async () => {
    const answers = await ask([
      async () => {
        await untilReceived(3)
        const [first, second] = received
        if (first === undefined || second === undefined) throw new Error('no question')
        await offer({ ...first, transactionId: first.transactionId ^ 1 }, '10.0.0.50')
        await offer({ ...first, clientMac: second.clientMac }, '10.0.0.51')
        await reply(new Uint8Array(1400).fill(255))
        await reply(new Uint8Array())
        await offer(second, '10.0.0.60')
      },
    ])
    expect(answers?.offers.map(({ address }) => address)).toEqual(['10.0.0.60'])
  })

  it('tells one offer once, and warns of two servers', async () => {
    const answers = await ask([
      async () => {
        await untilReceived(3)
        await offer(received[0], '10.0.0.50', '10.0.0.1')
        await offer(received[0], '10.0.0.50', '10.0.0.1')
        await offer(received[0], '10.0.0.50', '10.0.0.9')
      },
    ])
    expect(answers?.offers).toHaveLength(2)
    expect(answers?.warnings).toEqual([
      '2 DHCP servers offer addresses on eth0: 10.0.0.1, 10.0.0.9. Make sure that each of them is meant to be there.',
    ])
  })

  it('hears nothing where there is no server', async () => {
    expect(await ask([])).toEqual({ offers: [], warnings: [] })
  })

  it('waits in all as long as it may', async () => {
    const slept: number[] = []
    const clock: Clock = {
      now: () => 0,
      sleep: (milliseconds) => {
        slept.push(milliseconds)
        return Promise.resolve()
      },
    }
    await askDhcp(options({ clock }))
    await askDhcp(options({ clock, deadlineSeconds: 1 }))
    expect(slept).toEqual([1500, 2500, 1000, 0])
  })

  it('is not possible where somebody else has the port, and says so', async () => {
    const other = await bound(clientPort)
    const reasons: string[] = []
    const answers = await askDhcp(options({ onUnavailable: (reason) => reasons.push(reason) }))
    other.close()
    expect(answers).toBeUndefined()
    expect(reasons).toEqual(['DHCP servers were not asked on eth0: a DHCP client uses UDP port 68.'])
  })

  it('is not possible from an address that is not here, and leaves the port free', async () => {
    const reasons: string[] = []
    const localAddress = '192.0.2.1'
    const answers = await askDhcp(options({ localAddress, onUnavailable: (reason) => reasons.push(reason) }))
    expect(answers).toBeUndefined()
    expect(reasons).toEqual([
      'DHCP servers were not asked on eth0: the address is not on the interface any more.',
    ])
    ;(await bound(clientPort)).close()
  })

  it('stops at once when it is aborted, and leaves the port free', async () => {
    const stop = new AbortController()
    const because = new Error('stopped by the operator')
    const clock: Clock = {
      now: () => 0,
      sleep: (_milliseconds, signal) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => {
            reject(because)
          })
          stop.abort(because)
        }),
    }
    await expect(askDhcp(options({ clock, signal: stop.signal }))).rejects.toBe(because)
    await expect(askDhcp(options({ signal: stop.signal }))).rejects.toBe(because)
    ;(await bound(clientPort)).close()
  })
})

/** What happens during each of the waits; nothing during those that are not named. */
async function ask(during: readonly (() => Promise<void>)[]) {
  const waits = [...during]
  const clock: Clock = { now: () => 0, sleep: async () => await waits.shift()?.() }
  return await askDhcp(options({ clock }))
}

function options(change: Partial<AskDhcpOptions>): AskDhcpOptions {
  return {
    interfaceName: 'eth0',
    localAddress: loopback,
    mac: '00:50:56:ab:cd:ef',
    clock: { now: () => 0, sleep: () => Promise.resolve() },
    signal: new AbortController().signal,
    endpoints: { clientPort, serverPort: server.address().port, destination: loopback },
    ...change,
  }
}

async function bound(port: number): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(port, loopback)
  await once(socket, 'listening')
  return socket
}

async function untilReceived(count: number): Promise<void> {
  while (received.length < count) await once(server, 'message')
}

async function offer(
  question: Pick<Question, 'transactionId' | 'clientMac'> | undefined,
  address: string,
  by = '10.0.0.1',
): Promise<void> {
  if (question === undefined) throw new Error('there was no such question')
  await reply(offerBytes({ ...question, address, options: plainOptions(by) }))
}

async function reply(bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.send(bytes, clientPort, loopback, (error) => {
      if (error === null) resolve()
      else reject(error)
    })
  })
  // The datagram is in the receiver's buffer; the next turns of the event loop take it out.
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
