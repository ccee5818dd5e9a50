import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { CertificatePin } from '../../main/network/certificate.ts'
import type { Endpoint } from '../../main/network/dialler.ts'
import type { TestCertificate } from './test-certificate.ts'

export interface SeenRequest {
  method: string
  /** Path and query. */
  url: string
  headers: IncomingMessage['headers']
  body: string
}

export interface TestServer {
  endpoint: Endpoint
  pin: CertificatePin
  requests: SeenRequest[]
  server: Server
  close: () => Promise<void>
}

export type Answer = (
  seen: SeenRequest,
  response: ServerResponse,
  request: IncomingMessage,
) => void | Promise<void>

/** An HTTPS server on loopback that reads every request whole and lets `answer` reply. */
export async function startTestServer(certificate: TestCertificate, answer: Answer): Promise<TestServer> {
  const requests: SeenRequest[] = []
  const server = createServer(
    { key: certificate.keyPem, cert: certificate.certificatePem },
    (request, response) => {
      void (async () => {
        const chunks: Buffer[] = []
        for await (const chunk of request) chunks.push(chunk as Buffer)
        const seen: SeenRequest = {
          method: request.method ?? '',
          url: request.url ?? '',
          headers: request.headers,
          body: Buffer.concat(chunks).toString('utf8'),
        }
        requests.push(seen)
        await answer(seen, response, request)
      })().catch(() => {
        response.destroy()
      })
    },
  )
  return { ...(await listen(server)), pin: certificate, requests, server }
}

/** Listens on a free loopback port; `close` also cuts what is still connected. */
export async function listen(server: {
  listen(port: number, host: string, onListening: () => void): unknown
  address(): AddressInfo | string | null
  close(onClosed: () => void): unknown
  on(event: 'connection', listener: (socket: Socket) => void): unknown
}): Promise<{ endpoint: Endpoint; close: () => Promise<void> }> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  return {
    endpoint: { host: '127.0.0.1', port: address.port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        for (const socket of sockets) socket.destroy()
      }),
  }
}

export function sendJson(response: ServerResponse, status: number, body?: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(body === undefined ? undefined : JSON.stringify(body))
}

/** The code of the AppError that a promise rejects with; a description of anything else. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  return 'did not reject'
}
