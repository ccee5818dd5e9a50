import { randomBytes as systemRandomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Clock } from '../../engine/clock.ts'
import type { DhcpAnswers, DhcpOffer } from '../discovery/vantage.ts'
import { systemCodeOf } from '../network-error.ts'
import { buildDiscover, readOffer, type DhcpOfferMessage, type DhcpQuestion } from './dhcp-message.ts'

export interface AskDhcpOptions {
  /** For messages only; the address decides by which interface the questions go out. */
  readonly interfaceName: string
  /** IPv4 address of the interface. */
  readonly localAddress: string
  /** The interface's MAC, lower case with colons. */
  readonly mac: string
  /** How many clients to play; each of them sees another address of the pool. Default 3. */
  readonly count?: number | undefined
  readonly clock: Clock
  readonly signal: AbortSignal
  /**
   * Of the clock's time. Default 4: dnsmasq pings an address for three seconds before it offers it, one after the other
   * (2.90, measured: offers after 3.0, 6.3 and 9.3 s). Servers that do not ping make all offers at once.
   */
  readonly deadlineSeconds?: number | undefined
  /** Each offer as soon as it is there; the result holds all of them. */
  readonly onOffer?: ((offer: DhcpOffer) => void) | undefined
  /** Why it could not be asked: one sentence. Called before `undefined` is returned. */
  readonly onUnavailable?: ((reason: string) => void) | undefined
  readonly randomBytes?: ((size: number) => Uint8Array) | undefined
  /** Other ports, and another destination than 255.255.255.255: for tests on loopback. */
  readonly endpoints?: DhcpEndpoints | undefined
}

interface DhcpEndpoints {
  readonly clientPort: number
  readonly serverPort: number
  readonly destination: string
}

const endpointsOfRfc2131: DhcpEndpoints = {
  clientPort: 68,
  serverPort: 67,
  destination: '255.255.255.255',
}

/** Nobody has that many servers and addresses to offer to three clients; somebody might flood the port. */
const mostOffers = 256
/** When those who have got no answer ask again. */
const repeatAfterMilliseconds = 1500

/**
 * Asks the DHCP servers of a network what they would give away, and takes nothing: no DHCPREQUEST is ever sent, so nothing
 * is leased. The first question carries the interface's own MAC, because switches with DHCP snooping drop questions for
 * others; the rest carry MACs chosen by chance, so that several addresses of the pool are seen.
 *
 * `undefined`: it cannot be asked here, because receiving on UDP port 68 needs a privilege, or a DHCP client sits there.
 * A DHCP client of this machine loses nothing: only broadcasts reach a socket that is less specific than its own.
 *
 * @throws the signal's reason when aborted.
 */
export async function askDhcp(options: AskDhcpOptions): Promise<DhcpAnswers | undefined> {
  const { clock, signal, deadlineSeconds = 4, interfaceName } = options
  signal.throwIfAborted()
  const { clientPort } = options.endpoints ?? endpointsOfRfc2131
  const questions = questionsOf(options)
  const offers = new Map<string, DhcpOffer>()
  const answered = new Set<DhcpQuestion>()
  let failure: Error | undefined
  const receiver = createSocket({ type: 'udp4', reuseAddr: true })
  receiver.on('error', (error) => {
    failure ??= error
  })
  receiver.on('message', (bytes) => {
    const message = readOffer(bytes)
    const question = questions.find((asked) => isAnswerTo(asked, message))
    if (message === undefined || question === undefined) return
    answered.add(question)
    const { address, server, gateways, nameServers } = message
    if (offers.size >= mostOffers) return
    const offer = { address, server, gateways, nameServers }
    offers.set(`${server} ${address}`, offer)
    options.onOffer?.(offer)
  })
  try {
    await bind(receiver, '0.0.0.0', clientPort)
    const total = deadlineSeconds * 1000
    const untilRepeat = Math.min(repeatAfterMilliseconds, total)
    await send(options, questions)
    await clock.sleep(untilRepeat, signal)
    const unanswered = questions.filter((question) => !answered.has(question))
    const elapsedSeconds = Math.ceil(untilRepeat / 1000)
    await send(
      options,
      unanswered.map((question) => ({ ...question, elapsedSeconds })),
    )
    await clock.sleep(total - untilRepeat, signal)
    if (failure !== undefined) throw failure
    const list = [...offers.values()]
    return { offers: list, warnings: warningsOf(interfaceName, list) }
  } catch (error) {
    signal.throwIfAborted()
    const reason = reasonOf(error, interfaceName)
    if (reason === undefined) throw error
    options.onUnavailable?.(reason)
    return undefined
  } finally {
    receiver.close()
  }
}

function questionsOf(options: AskDhcpOptions): DhcpQuestion[] {
  const { mac, count = 3, randomBytes = systemRandomBytes } = options
  return Array.from({ length: count }, (_, index) => ({
    transactionId: new DataView(Uint8Array.from(randomBytes(4)).buffer).getUint32(0),
    clientMac: index === 0 ? parseMac(mac) : inventMac(randomBytes),
  }))
}

function parseMac(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(':'), (octet) => Number.parseInt(octet, 16))
}

/** Locally administered and not multicast: nobody's. */
function inventMac(randomBytes: (size: number) => Uint8Array): Uint8Array {
  const octets = Uint8Array.from(randomBytes(6))
  octets[0] = ((octets[0] ?? 0) & 0xfc) | 0x02
  return octets
}

function isAnswerTo(question: DhcpQuestion, message: DhcpOfferMessage | undefined): boolean {
  return (
    message?.transactionId === question.transactionId &&
    message.clientMac.every((octet, index) => octet === question.clientMac[index])
  )
}

/**
 * Sends from the interface's own address: that is how the system chooses the interface for a broadcast. The socket is
 * closed at once, before it could take what is meant for a DHCP client with the same address.
 */
async function send(options: AskDhcpOptions, questions: readonly DhcpQuestion[]): Promise<void> {
  const { clientPort, serverPort, destination } = options.endpoints ?? endpointsOfRfc2131
  const sender = createSocket({ type: 'udp4', reuseAddr: true })
  try {
    await bind(sender, options.localAddress, clientPort)
    sender.setBroadcast(true)
    for (const question of questions) {
      await new Promise<void>((resolve, reject) => {
        sender.send(buildDiscover(question), serverPort, destination, (error) => {
          if (error === null) resolve()
          else reject(error)
        })
      })
    }
  } finally {
    sender.close()
  }
}

async function bind(socket: Socket, address: string, port: number): Promise<void> {
  // Rejects with the error where there is one.
  const listening = once(socket, 'listening')
  socket.bind({ address, port, exclusive: true })
  await listening
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'receiving on UDP port 68 needs root',
  EPERM: 'this machine does not allow it',
  EADDRINUSE: 'a DHCP client uses UDP port 68',
  EADDRNOTAVAIL: 'the address is not on the interface any more',
  ENETDOWN: 'the interface is down',
  ENETUNREACH: 'there is no way to send a broadcast',
  EHOSTUNREACH: 'there is no way to send a broadcast',
}

/** Why DHCP cannot be asked; `undefined` for an error that is none of the network's. */
function reasonOf(error: unknown, interfaceName: string): string | undefined {
  const code = systemCodeOf(error)
  if (code === undefined) return undefined
  const reason = reasons[code] ?? code
  return `DHCP servers were not asked on ${interfaceName}: ${reason}.`
}

function warningsOf(interfaceName: string, offers: readonly DhcpOffer[]): string[] {
  const servers = [...new Set(offers.map(({ server }) => server))]
  if (servers.length < 2) return []
  return [
    `${servers.length} DHCP servers offer addresses on ${interfaceName}: ${servers.join(', ')}. Make sure that each of them is meant to be there.`,
  ]
}
