import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createLocalApiClient } from '../../main/appliance/index.ts'
import { attachToLab } from '../../main/lab/index.ts'
import { readCertificate } from '../../main/network/certificate.ts'
import type { Ratio } from './ratio.ts'

/** `curl` as a user would take it: without a proxy, failing on HTTP errors, the answer thrown away. */
const curlOptions = ['--silent', '--show-error', '--fail', '--noproxy', '*', '--output', '-']

/**
 * The same file to the same lab, by Landfall's client and by curl; both trust the one certificate only. The time is
 * that of the sending process, from the first byte read to the answer; measured in turns, the better of two each.
 */
export async function compareUploads(options: {
  folder: string
  /** JSON of a running lab. */
  description: unknown
  /** Leader of the lab. */
  host: string
  mebibytes: number
}): Promise<Ratio | string> {
  const { folder, host, mebibytes } = options
  const path = join(folder, 'upload.tar.zst')
  const size = mebibytes * 2 ** 20
  await writeSparse(path, size)
  const sha256 = await hashOf(path)
  const { clock, dialler } = attachToLab(options.description)
  const endpoint = { host, port: 5080 }
  const certificate = await readCertificate(endpoint, { dialler })
  const client = createLocalApiClient({
    endpoint,
    pin: { fingerprint: certificate.fingerprint, certificatePem: certificate.pem },
    dialler,
    clock,
    node: 'n1',
  })
  try {
    const login = await client.login({ username: 'kairos', password: 'kairos' })
    if (login.kind !== 'accepted') throw new Error(`the lab refused the login: ${login.kind}`)
    const byLandfall = () =>
      client.uploadContent({ source: { path }, fileName: 'upload.tar.zst', size, sha256 })
    const port = loopbackPortOf(options.description, host)
    const certificateFile = join(folder, 'lab.pem')
    await writeFile(certificateFile, certificate.pem)
    const base = ['--cacert', certificateFile, '--connect-to', `::127.0.0.1:${port}`, ...curlOptions]
    const url = `https://${host}:5080/v1`
    const tokenText = await curl(
      [...base, '--config', '-', `${url}/users/default/login?setCookie=false`],
      [
        'header = "content-type: application/json"',
        'data = "{\\"username\\":\\"kairos\\",\\"password\\":\\"kairos\\"}"',
      ],
    )
    if (tokenText === undefined) return 'skipped: there is no curl here'
    const token = authorizationOf(tokenText)
    const byCurl = () =>
      curl(
        [
          ...base,
          '--form',
          `uploadFile=@${path}`,
          '--config',
          '-',
          `${url}/edge-mgmt/edgehosts/current/actions/upload-content`,
        ],
        [`header = "authorization: ${token}"`],
      )
    const landfall: number[] = []
    const reference: number[] = []
    for (let turn = 0; turn < 2; turn += 1) {
      landfall.push(await secondsOf(byLandfall))
      reference.push(await secondsOf(byCurl))
    }
    const rate = (seconds: readonly number[]) => mebibytes / Math.min(...seconds)
    return {
      what: `upload of ${mebibytes} MiB: Landfall (streams, hashes, reports) against curl -F`,
      unit: 'MiB/s',
      ours: rate(landfall),
      theirs: rate(reference),
    }
  } finally {
    await client.close()
  }
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await work()
  return (performance.now() - begin) / 1000
}

/** What curl got; `undefined` when there is no curl. What is secret goes over its standard input. */
function curl(args: readonly string[], config: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const child = execFile('curl', [...args], (error, stdout) => {
      if (error === null) resolve(stdout)
      else if (error.code === 'ENOENT') resolve(undefined)
      else reject(new Error(`curl failed: ${error.message}`, { cause: error }))
    })
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(`${config.join('\n')}\n`)
  })
}

function authorizationOf(answer: string): string {
  const parsed = JSON.parse(answer) as { Token?: { Authorization?: string } }
  const token = parsed.Token?.Authorization
  if (token === undefined) throw new Error('the lab gave curl no token')
  return token
}

function loopbackPortOf(description: unknown, host: string): number {
  const { endpoints } = description as {
    endpoints: { host: string; service: string; loopbackPort: number }[]
  }
  const row = endpoints.find((one) => one.host === host && one.service === 'local-ui')
  if (row === undefined) throw new Error(`the lab has no Local UI at ${host}`)
  return row.loopbackPort
}

async function writeSparse(path: string, size: number): Promise<void> {
  const handle = await open(path, 'wx')
  try {
    await handle.write(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))
    await handle.truncate(size)
  } finally {
    await handle.close()
  }
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) hash.update(chunk)
  return hash.digest('hex')
}
