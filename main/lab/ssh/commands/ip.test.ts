import type { Client } from 'ssh2'
import { afterEach, describe, expect, it } from 'vitest'
import { readScenario } from '../../index.ts'
import { startLab } from '../../lab.ts'
import { at, callLab, examplePlan, exec, openSsh } from '../../testing/lab-client.ts'
import { timed } from '../../testing/node-runner.ts'
import { startReadyLab } from '../../testing/site.ts'

const ends: (() => void | Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const stranger = '10.10.200.70'

async function node(): Promise<{ client: Client; run: (command: string) => ReturnType<typeof exec> }> {
  const scenario = readScenario(
    `name: test\nextraHosts: [{ address: ${stranger}, mac: '52:54:00:00:00:70' }]`,
    'test.yaml',
  )
  const test = await startReadyLab({ scenario })
  ends.push(() => test.lab.stop())
  const client = await openSsh(test.lab, 'n1')
  ends.push(() => void client.end())
  return { client, run: async (command) => (await timed(test, exec(client, command)))[0] }
}

describe('ip neigh flush on a node of the lab', () => {
  it('makes it forget who had an address, as root, and nothing else', async () => {
    const { run } = await node()
    await run(`ping -c 1 -W 1 ${stranger}`)
    await run('ping -c 1 -W 1 10.10.200.103')
    expect((await run('ip neigh show dev ens160')).out).toContain(`${stranger} lladdr`)
    const flush = `ip neigh flush to ${stranger}`
    expect(await run(flush)).toEqual({
      code: 1,
      out: '',
      err: 'Failed to send flush request: Operation not permitted\nFlush terminated\n',
    })
    expect(await run(`sudo -n ${flush} dev lo`)).toMatchObject({ code: 0 })
    expect((await run(`ip neigh show to ${stranger}`)).out).toContain('REACHABLE')
    expect(await run(`sudo -n ${flush} dev ens160`)).toEqual({ code: 0, out: '', err: '' })
    const { out } = await run('ip neigh show')
    expect(out).not.toContain(stranger)
    expect(out).toContain('10.10.200.103 dev ens160 lladdr')
    // Nothing to do is no failure, for nobody.
    expect(await run(flush)).toMatchObject({ code: 0 })
  })

  it('is refused as iproute2 refuses it', async () => {
    const { run } = await node()
    expect(await run('ip neigh flush')).toEqual({ code: 1, out: '', err: 'Flush requires arguments.\n' })
    expect(await run(`sudo -n ip neigh flush to ${stranger} dev eth9`)).toEqual({
      code: 1,
      out: '',
      err: 'Cannot find device "eth9"\n',
    })
  })
})

describe('the lifetime of an address that is raised on a node', () => {
  it('is counted in real time, however fast the lab is', async () => {
    const lab = await startLab({ plan: examplePlan(), timeScale: 6000 })
    ends.push(() => lab.stop())
    await expect
      .poll(async () => (await callLab(lab, 'n1', 'GET', '/v1/health').catch(() => undefined))?.status, {
        timeout: 10_000,
      })
      .toBeDefined()
    const client = await openSsh(lab, 'n1')
    ends.push(() => void client.end())
    const device = lab.snapshot().nodes.find(({ name }) => name === 'n1')?.nic.name ?? ''
    const raised = '10.10.200.60'
    const lifetime = 'valid_lft 30 preferred_lft 0'
    expect(await exec(client, `sudo -n ip addr add ${raised}/32 dev ${device} ${lifetime}`)).toMatchObject({
      code: 0,
    })
    const raisedAt = lab.clock.now()
    await expect.poll(() => lab.clock.now() - raisedAt, { timeout: 5000 }).toBeGreaterThan(60_000)
    const shown = JSON.parse((await exec(client, `ip -j addr show dev ${device}`)).out) as unknown
    expect(at(shown, 0, 'addr_info', 1)).toMatchObject({ local: raised, deprecated: true })
    const left = at(shown, 0, 'addr_info', 1, 'valid_life_time')
    expect(left).toBeGreaterThan(20)
    expect(left).toBeLessThanOrEqual(30)
  })
})
