import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import { edgeHostSchema, settingsSchema } from '../appliance/local-api-schemas.ts'
import { checkNodes } from '../checks/index.ts'
import { readScenario } from '../lab/scenario.ts'
import { callLab, examplePlan, logIn } from '../lab/testing/lab-client.ts'
import { startReadyLab, type TestLab } from '../lab/testing/site.ts'
import { connectSsh, readHostKey, type SshConnection } from '../ssh/index.ts'
import { readNodeFacts, type NodeFacts } from './node-facts.ts'
import type { SiteNodeContext } from './site.ts'

const plan = examplePlan()

let runFolder: string
let test: TestLab
beforeEach(async () => {
  runFolder = await mkdtemp(join(tmpdir(), 'landfall-facts-'))
})
afterEach(async () => {
  await test.lab.stop()
  await rm(runFolder, { recursive: true, force: true })
})

type Access = { kind: 'open'; connection: Pick<SshConnection, 'exec'> } | { kind: 'closed'; reason: string }

async function openSsh(name: string): Promise<Access> {
  const host = test.lab.snapshot().nodes.find((node) => node.name === name)?.nic.address ?? ''
  const { dialler } = test.lab
  const endpoint = { host, port: 22 }
  const hostKey = { pinned: await readHostKey(endpoint, { dialler }) }
  const connection = await connectSsh({
    endpoint,
    username: 'kairos',
    auth: { password: 'kairos' },
    dialler,
    hostKey,
  })
  return { kind: 'open', connection }
}

/** Reads a node of the lab as the phase does. */
async function factsOf(
  name: string,
  access: () => Promise<Access> = () => openSsh(name),
  mode: SiteNodeContext['mode'] = 'apply',
): Promise<{ facts: NodeFacts; warnings: string[] }> {
  const node = plan.nodes.find((one) => one.name === name)
  const warnings: string[] = []
  const token = await logIn(test.lab, name)
  const get = async (path: string) =>
    (await callLab(test.lab, name, 'GET', `/v1/edge-mgmt/${path}`, { token })).json
  const client = {
    edgeHost: async () => edgeHostSchema.parse(await get('edgehosts/current')),
    settings: async () => settingsSchema.parse(await get('settings')),
    cluster: () => Promise.resolve(undefined),
    clusterDetails: () => Promise.resolve(undefined),
  }
  const context = {
    node,
    mode,
    clock: test.clock,
    signal: new AbortController().signal,
    warn: (text: string) => void warnings.push(text),
    services: {
      runFolder,
      nodes: {
        localApi: () => Promise.resolve(client),
        ssh: access,
        acceptedCredential: () => Promise.resolve({ password: 'kairos' }),
      },
    },
  }
  return { facts: await readNodeFacts(context as unknown as SiteNodeContext), warnings }
}

describe('the facts of a node', () => {
  it('come from both, and healthy nodes pass every check of them', async () => {
    test = await startReadyLab({ plan })
    const all = await Promise.all(plan.nodes.map(({ name }) => factsOf(name)))
    expect(all.flatMap(({ warnings }) => warnings)).toEqual([])
    const findings = checkNodes(
      plan,
      all.map(({ facts }) => facts),
    )
    expect(findings.filter(({ state }) => state !== 'pass')).toEqual([])
  })

  it('are kept for the support bundle as the node told them, for nobody else to read, the latest only', async () => {
    test = await startReadyLab({ plan })
    const file = join(runFolder, 'facts', 'n1.txt')
    await factsOf('n1')
    await writeFile(file, 'old')
    await factsOf('n1')
    const text = await readFile(file, 'utf8')
    expect(text).toContain('"blockdevices"')
    expect(text).not.toContain('old\n')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  it('are not kept by a dry run, which leaves nothing behind', async () => {
    test = await startReadyLab({ plan })
    const { facts } = await factsOf('n1', undefined, 'dry-run')
    expect(facts.host.kind).toBe('read')
    expect(await readdir(runFolder)).toEqual([])
  })

  it('are told also when they cannot be kept', async () => {
    test = await startReadyLab({ plan })
    await writeFile(join(runFolder, 'facts'), 'a file where the folder should be')
    const { facts, warnings } = await factsOf('n1')
    expect(facts.host.kind).toBe('read')
    expect(warnings).toEqual([expect.stringContaining('could not be kept for the support bundle')])
  })

  it('need root where sudo asks for the password', async () => {
    const scenario = readScenario('name: test\nssh: { sudoPassword: true }', 'test.yaml')
    test = await startReadyLab({ plan, scenario })
    const { facts } = await factsOf('n1')
    expect(facts.host).toMatchObject({ kind: 'read', collected: { privilege: { kind: 'root' } } })
  })

  it('say why not where SSH is closed, or nothing comes of it', async () => {
    test = await startReadyLab({ plan })
    const closed = await factsOf('n1', () =>
      Promise.resolve({ kind: 'closed', reason: 'only keys are allowed' }),
    )
    expect(closed.facts.host).toEqual({ kind: 'closed', reason: 'only keys are allowed' })
    expect(closed.facts.merged.hostName.kind).toBe('told')
    const silent = await factsOf('n1', () => Promise.resolve(answering({ stdout: '', stderr: '' })))
    expect(silent.facts.host).toMatchObject({ kind: 'closed', reason: expect.stringMatching(/./) as unknown })
  })

  it('are asked for again when the connection broke', async () => {
    test = await startReadyLab({ plan })
    const broken = new AppError({
      code: 'SSH_CONNECTION_LOST',
      title: 'The connection broke.',
      isTransient: true,
    })
    const connection = { exec: () => Promise.reject(broken) }
    await expect(factsOf('n1', () => Promise.resolve({ kind: 'open', connection }))).rejects.toMatchObject({
      code: 'SSH_CONNECTION_LOST',
      isTransient: true,
    })
  })

  it('are those that arrived when the answer was cut, with a warning', async () => {
    test = await startReadyLab({ plan })
    const whole = await openSsh('n1')
    if (whole.kind === 'closed') throw new Error(whole.reason)
    const { connection } = whole
    const exec: SshConnection['exec'] = async (command, options) => {
      const result = await connection.exec(command, options)
      // Not the answers to whether it can become root.
      const { stdout } = result
      return stdout.length < 1000 ? result : { ...result, stdout: stdout.slice(0, stdout.length / 2) }
    }
    const { facts, warnings } = await factsOf('n1', () =>
      Promise.resolve({ kind: 'open', connection: { exec } }),
    )
    expect(facts.host).toMatchObject({ kind: 'read', collected: { completeness: { kind: 'partial' } } })
    expect(warnings).toEqual([expect.stringContaining('Not all facts of n1 could be read')])
  })
})

/** An account whose shell ends at once. */
function answering(streams: { stdout: string; stderr: string }): Access {
  return {
    kind: 'open',
    connection: { exec: () => Promise.resolve({ exitCode: 0, signal: undefined, ...streams }) },
  }
}
