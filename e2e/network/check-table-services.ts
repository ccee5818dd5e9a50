import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { createServer as createTcpServer } from 'node:net'
import process from 'node:process'

/*
 * A program of its own, started in a network namespace: time server (RFC 4330), proxy and registry of a site. Arguments:
 * the address to listen on, then the PEM files of certificate and key. Says "ready" once all of them listen.
 */

const [address = '', certificateFile = '', keyFile = ''] = process.argv.slice(2)

const time = createSocket('udp4')
time.on('message', (question, from) => {
  if (question.length < 48) return
  const answer = Buffer.alloc(48)
  // No warning of a leap second, version 4, mode 4 (server); stratum 2.
  answer[0] = 0x24
  answer[1] = 2
  question.copy(answer, 24, 40, 48)
  const secondsSince1900 = Math.floor(Date.now() / 1000) + 2_208_988_800
  for (const place of [16, 32, 40]) answer.writeUInt32BE(secondsSince1900 % 2 ** 32, place)
  time.send(answer, from.port, from.address)
})
const proxy = createTcpServer((socket) => socket.end())
const registry = createServer(
  { cert: readFileSync(certificateFile), key: readFileSync(keyFile) },
  (_request, response) => {
    response.writeHead(401).end()
  },
)
await Promise.all([
  new Promise<void>((resolve) => {
    time.bind(123, address, () => {
      resolve()
    })
  }),
  new Promise<void>((resolve) => {
    proxy.listen(3128, address, () => {
      resolve()
    })
  }),
  new Promise<void>((resolve) => {
    registry.listen(5000, address, () => {
      resolve()
    })
  }),
])
process.stdout.write('ready\n')
