import ipaddr from 'ipaddr.js'
import type { ListeningSocket } from './node-facts.ts'
import { wordsOf } from './parse-text.ts'

/** `ss -H -l -t -n -p`. `undefined` when a line is something else: a port that is left out would look free. */
export function parseSs(output: string): ListeningSocket[] | undefined {
  const sockets: ListeningSocket[] = []
  for (const line of output.split('\n')) {
    if (line.trim() === '') continue
    const words = wordsOf(line)
    // The column of the state is left out by some versions.
    if (words[0] === 'LISTEN') words.shift()
    const [, , local = '', , ...rest] = words
    const [, host = '', port = ''] = /^(.*):(\d{1,5})$/u.exec(local) ?? []
    if (host === '' || Number(port) > 65_535) return undefined
    const [, address = '', zone] = /^\[?([^\]%]+)(?:%([^\]]+))?\]?(?:%(.+))?$/u.exec(host) ?? []
    sockets.push({
      // A star: IPv6, and IPv4 with it.
      address: address === '*' ? '::' : address,
      port: Number(port),
      interface: zone ?? /\]%(.+)$/u.exec(host)?.[1],
      process: /\(\("([^"]*)"/u.exec(rest.join(' '))?.[1],
    })
  }
  return sockets
}

/** Lines of /proc/net/tcp and /proc/net/tcp6 in the state 0A (LISTEN). */
export function parseSocketTable(text: string): ListeningSocket[] | undefined {
  const sockets: ListeningSocket[] = []
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const found = /^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:0000 0A /iu.exec(line)
    const [, address, port] = found ?? []
    if (address === undefined || port === undefined) return undefined
    sockets.push({
      address: addressOf(address),
      port: parseInt(port, 16),
      interface: undefined,
      process: undefined,
    })
  }
  return sockets
}

/** Words of 32 bits in the byte order of the machine: little-endian on amd64 and arm64. */
function addressOf(hexadecimal: string): string {
  const bytes = (hexadecimal.match(/.{8}/gu) ?? []).flatMap((word) =>
    (word.match(/../gu) ?? []).reverse().map((byte) => parseInt(byte, 16)),
  )
  return ipaddr.fromByteArray(bytes).toString()
}
