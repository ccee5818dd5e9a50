import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { listen, rejectionOf, sendJson } from '../../e2e/network/https-server.ts'
import { createTestCertificate, type TestCertificate } from '../../e2e/network/test-certificate.ts'
import { systemClock } from '../engine/clock.ts'
import { systemDialler } from '../network/dialler.ts'
import { createLocalApiClient } from './local-api-client.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let certificate: TestCertificate
beforeAll(async () => {
  certificate = await createTestCertificate()
})

async function start(answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>) {
  const server: Server = createServer(
    { key: certificate.keyPem, cert: certificate.certificatePem },
    (request, response) => {
      if (request.url?.startsWith('/v1/users/default/login') === true) {
        request.resume()
        sendJson(response, 200, { Token: { Authorization: 'token' } })
      } else answer(request, response).catch(() => response.destroy())
    },
  )
  const { endpoint, close } = await listen(server)
  cleanups.push(close)
  const client = createLocalApiClient({
    endpoint,
    pin: certificate,
    dialler: systemDialler,
    clock: systemClock,
    node: 'n1',
  })
  cleanups.push(client.close)
  await client.login({ username: 'kairos', password: 'p' })
  return client
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

describe('uploading content', () => {
  it('sends a file as multipart with its exact length, and reports the progress', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-upload-'))
    cleanups.push(() => rm(folder, { recursive: true }))
    const bytes = randomBytes(3 * 1024 * 1024 + 7)
    const path = join(folder, 'content.zst')
    await writeFile(path, bytes)
    let form: FormData | undefined
    let url: string | undefined
    const client = await start(async (request, response) => {
      url = request.url
      const body = await readAll(request)
      expect(request.headers['content-length']).toBe(String(body.length))
      // Node's own parser reads the form.
      form = await new Response(new Uint8Array(body), {
        headers: { 'content-type': request.headers['content-type'] ?? '' },
      }).formData()
      sendJson(response, 201, { message: 'ok', uploadPath: '/usr/local/x' })
    })
    const progress: number[] = []
    const result = await client.uploadContent({
      source: { path },
      fileName: 'palette "4.9".zst',
      size: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      signature: 'abcd\n',
      onProgress: (sent) => progress.push(sent),
    })
    expect(result).toEqual({ message: 'ok', uploadPath: '/usr/local/x' })
    expect(url).toBe('/v1/edge-mgmt/edgehosts/current/actions/upload-content')
    expect(form?.get('signature')).toBe('abcd')
    const file = form?.get('uploadFile')
    expect(file).toBeInstanceOf(File)
    if (file instanceof File) expect(Buffer.from(await file.arrayBuffer()).equals(bytes)).toBe(true)
    expect(progress.at(-1)).toBe(bytes.length)
    expect([...progress].sort((a, b) => a - b)).toEqual(progress)
  })

  it('goes at the pace of a slow node: the source is never far ahead, memory stays small', async () => {
    const chunk = Buffer.alloc(1024 * 1024, 7)
    const count = 400
    let produced = 0
    let received = 0
    let furthestAhead = 0
    let highestMemory = 0
    const before = process.memoryUsage()
    const client = await start(async (request, response) => {
      for await (const piece of request) {
        received += (piece as Buffer).length
        // Read a little, then let everybody else run: a node whose disk is slower than the network.
        await new Promise((resolve) => setImmediate(resolve))
        furthestAhead = Math.max(furthestAhead, produced - received)
        const now = process.memoryUsage()
        highestMemory = Math.max(
          highestMemory,
          now.heapUsed +
            now.external +
            now.arrayBuffers -
            before.heapUsed -
            before.external -
            before.arrayBuffers,
        )
      }
      sendJson(response, 201, {})
    })
    await client.uploadContent({
      source: {
        open: async function* () {
          for (let index = 0; index < count; index++) {
            await Promise.resolve()
            produced += chunk.length
            yield Buffer.from(chunk)
          }
        },
      },
      fileName: 'big.zst',
      size: chunk.length * count,
    })
    expect(received).toBeGreaterThan(chunk.length * count)
    // Kernel buffers of loopback and one or two chunks, of 400 MiB in all.
    expect(furthestAhead).toBeLessThan(32 * 1024 * 1024)
    expect(highestMemory).toBeLessThan(200 * 1024 * 1024)
  }, 60_000)

  it('that stands still is given up', async () => {
    const client = await start(async (request) => {
      request.pause()
      await once(request, 'close')
    })
    const error = await rejectionOf(
      client.uploadContent({
        source: { open: () => endless() },
        fileName: 'x.zst',
        size: 1024 ** 4,
        stallMilliseconds: 300,
      }),
    )
    expect(error).toMatchObject({ code: 'UPLOAD_STALLED', isTransient: true, node: 'n1' })
  })

  it('whose last byte is never confirmed is given up after its own deadline', async () => {
    const client = await start(async (request) => {
      await readAll(request)
    })
    const error = await rejectionOf(
      client.uploadContent({
        source: { open: () => pieces([Buffer.from('abc')]) },
        fileName: 'x.zst',
        size: 3,
        answerMilliseconds: 200,
      }),
    )
    expect(error).toMatchObject({ code: 'UPLOAD_STALLED', isTransient: true })
    expect(String((error as Error).message)).toContain('did not confirm')
  })

  it.each([
    ['shorter', 'ab', undefined],
    ['longer', 'abcd', undefined],
    ['different', 'abd', createHash('sha256').update('abc').digest('hex')],
  ])('of a file that became %s is never completed', async (_what, content, sha256) => {
    let isComplete = false
    const client = await start(async (request, response) => {
      await readAll(request)
      isComplete = true
      sendJson(response, 201, {})
    })
    const error = await rejectionOf(
      client.uploadContent({
        source: { open: () => pieces([Buffer.from(content)]) },
        fileName: 'x.zst',
        size: 3,
        ...(sha256 === undefined ? {} : { sha256 }),
      }),
    )
    expect(error).toMatchObject({ code: 'FILE_CHANGED', isTransient: false, node: 'n1' })
    expect(isComplete).toBe(false)
  })

  it('of a file that is not there says so', async () => {
    const client = await start(async (request) => {
      await readAll(request)
    })
    expect(
      await rejectionOf(client.uploadContent({ source: { path: '/no/such/file' }, fileName: 'x', size: 3 })),
    ).toMatchObject({ code: 'FILE_NOT_READABLE', isTransient: false })
  })

  it('stops with the reason of the signal, and the source is closed', async () => {
    const stop = new AbortController()
    const reason = new Error('stopped by the operator')
    let isSourceClosed = false
    const client = await start(async (request) => {
      await once(request, 'data')
      stop.abort(reason)
    })
    const error = await rejectionOf(
      client.uploadContent({
        source: {
          open: async function* () {
            try {
              yield* endless()
            } finally {
              isSourceClosed = true
            }
          },
        },
        fileName: 'x.zst',
        size: 1024 ** 4,
        signal: stop.signal,
      }),
    )
    expect(error).toBe(reason)
    await expect.poll(() => isSourceClosed).toBe(true)
  })

  it.each([
    [500, 'failed: public key to verify content not found', 'CONTENT_NOT_VERIFIABLE', false],
    [500, 'no space left on device', 'SERVER_ERROR', true],
    [401, 'token expired', 'SESSION_ENDED', true],
    [429, 'busy', 'TOO_MANY_REQUESTS', true],
  ])('that the node answers with %i %s is %s', async (status, message, code, isTransient) => {
    const client = await start(async (request, response) => {
      await readAll(request)
      sendJson(response, status, { message })
    })
    expect(
      await rejectionOf(
        client.uploadContent({
          source: { open: () => pieces([Buffer.from('abc')]) },
          fileName: 'x.zst',
          size: 3,
        }),
      ),
    ).toMatchObject({ code, isTransient })
  })

  it('that is cut by the node is a lost connection', async () => {
    const client = await start(async (request) => {
      await once(request, 'data')
      request.socket.destroy()
    })
    expect(
      await rejectionOf(
        client.uploadContent({ source: { open: () => endless() }, fileName: 'x', size: 1024 ** 4 }),
      ),
    ).toMatchObject({ code: 'CONNECTION_LOST', isTransient: true })
  })
})

async function* pieces(all: readonly Buffer[]): AsyncGenerator<Uint8Array> {
  for (const piece of all) {
    await Promise.resolve()
    yield piece
  }
}

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) {
    await Promise.resolve()
    yield Buffer.alloc(256 * 1024)
  }
}
