import { request, type RequestOptions } from 'node:https'
import type { Readable } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import ssh2, { type Client, type ConnectConfig } from 'ssh2'
import { planSchema, type Plan } from '../../../shared/plan/index.ts'
import type { Lab } from '../index.ts'

/** A plan with three nodes on 10.10.200.0/24 and the VIP 10.10.200.50. */
export function examplePlan(
  change: (plan: Record<string, unknown>) => void = () => undefined,
  nodeCount = 3,
): Plan {
  const plan = {
    version: 1,
    site: { name: 'rig-7', network: '10.10.200.0/24', vip: '10.10.200.50', ntp: ['10.10.200.1'] },
    access: { newPassword: { env: 'NODE_PASSWORD' } },
    nodes: Array.from({ length: nodeCount }, (_, index) => ({
      name: `n${index + 1}`,
      address: `10.10.${200 + Math.floor((index + 101) / 250)}.${((index + 101) % 250) + 1}`,
      leader: index === 0,
    })),
    cluster: { name: 'palette', registry: { password: { env: 'REGISTRY_PASSWORD' } } },
    console: { email: 'ops@example.org', newPassword: { env: 'CONSOLE_PASSWORD' } },
  }
  change(plan)
  return planSchema.parse(plan)
}

export interface LabAnswer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  /** Parsed JSON; `undefined` when it is none. */
  json: unknown
}

export interface LabCall {
  token?: string
  body?: unknown
  headers?: Record<string, string>
  /** Sent as it is, instead of `body`. */
  stream?: Readable
  /** PEM that the server must show; default is the certificate it has now. */
  certificate?: string
}

/** One HTTPS request to a node's Local UI (by name) or to `console`, through the lab's dialler, certificate pinned. */
export async function callLab(
  lab: Lab,
  target: string,
  method: string,
  path: string,
  call: LabCall = {},
): Promise<LabAnswer> {
  const snapshot = lab.snapshot()
  const node = snapshot.nodes.find((one) => one.name === target)
  const host = node?.nic.address ?? snapshot.vip ?? '10.10.200.50'
  const certificate = call.certificate ?? node?.certificate ?? snapshot.console.certificate
  const socket = await lab.dialler.dial({ host, port: node === undefined ? 443 : 5080 })
  return await new Promise<LabAnswer>((resolve, reject) => {
    const options: RequestOptions = {
      method,
      path,
      createConnection: () => connectTls({ socket, ca: certificate, checkServerIdentity: () => undefined }),
      headers: {
        ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(call.token === undefined ? {} : { authorization: call.token }),
        ...call.headers,
      },
    }
    const outgoing = request(options, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text, json: parse(text) })
      })
    })
    outgoing.on('error', reject)
    if (call.stream !== undefined) call.stream.pipe(outgoing)
    else outgoing.end(call.body === undefined ? undefined : JSON.stringify(call.body))
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Reads a value at a path of an answer, e.g. `at(answer.json, 'Token', 'Authorization')`. */
export function at(value: unknown, ...path: (string | number)[]): unknown {
  let current = value
  for (const key of path) {
    if (typeof current !== 'object' || current === null) return undefined
    current = (current as Record<string | number, unknown>)[key]
  }
  return current
}

/** Logs in to a Local UI and returns the session token. */
export async function logIn(lab: Lab, node: string, password = 'kairos'): Promise<string> {
  const answer = await callLab(lab, node, 'POST', '/v1/users/default/login', {
    body: { username: 'kairos', password },
  })
  if (answer.status !== 200) throw new Error(`login refused: ${answer.text}`)
  return String(at(answer.json, 'Token', 'Authorization'))
}

/** Logs in over SSH; rejects with ssh2's error. */
export async function openSsh(lab: Lab, node: string, config: ConnectConfig = {}): Promise<Client> {
  const host = lab.snapshot().nodes.find((one) => one.name === node)?.nic.address ?? ''
  const sock = await lab.dialler.dial({ host, port: 22 })
  const client = new ssh2.Client()
  return await new Promise<Client>((resolve, reject) => {
    client.once('ready', () => {
      // What happens to an open connection is up to the test.
      client.on('error', () => undefined)
      resolve(client)
    })
    client.once('error', reject)
    client.connect({ sock, username: 'kairos', password: 'kairos', ...config })
  })
}

export interface ExecResult {
  code: number
  out: string
  err: string
}

/** Runs a command; `input` is sent and ended, without it standard input stays open. */
export function exec(client: Client, command: string, input?: string): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error !== undefined) {
        reject(error)
        return
      }
      let out = ''
      let err = ''
      channel.on('data', (chunk: Buffer) => (out += chunk.toString()))
      channel.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
      channel.on('close', (code: number) => {
        resolve({ code, out, err })
      })
      if (input !== undefined) channel.end(input)
    })
  })
}

/** A multipart body with one file of `size` zero bytes, made while it is sent. */
export function multipartOf(
  size: number,
  fileName = 'bundle.tar.zst',
  signature?: string,
): { headers: Record<string, string>; chunks: () => Generator<Buffer> } {
  const boundary = '----landfall-lab-test'
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="uploadFile"; filename="${fileName}"\r\nContent-Type: application/octet-stream\r\n\r\n`,
  )
  const field =
    signature === undefined
      ? ''
      : `\r\n--${boundary}\r\nContent-Disposition: form-data; name="signature"; filename="bundle.sig"\r\n\r\n${signature}`
  const tail = Buffer.from(`${field}\r\n--${boundary}--\r\n`)
  return {
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(head.length + size + tail.length),
    },
    chunks: function* () {
      yield head
      const block = Buffer.alloc(64 * 1024)
      for (let left = size; left > 0; left -= block.length)
        yield block.subarray(0, Math.min(left, block.length))
      yield tail
    },
  }
}
