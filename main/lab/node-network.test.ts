import type { Client } from 'ssh2'
import { afterEach, describe, expect, it } from 'vitest'
import { createRemoteDatagramSender } from '../network/discovery/remote-datagrams.ts'
import { readVantageFacts, routeCheck } from '../network/discovery/vantage-facts.ts'
import { createBatchRunner } from '../network/programs/batch-runner.ts'
import { reachByIp } from '../network/proof-of-life/reach-by-ip.ts'
import { readScenario, type LabOptions } from './index.ts'
import { at, callLab, examplePlan, exec, openSsh, type ExecResult } from './testing/lab-client.ts'
import { runnerOf, timed } from './testing/node-runner.ts'
import { deployCluster, minute, startReadyLab, type TestLab } from './testing/site.ts'

const open: Client[] = []
const labs: TestLab[] = []
afterEach(async () => {
  for (const client of open.splice(0)) client.end()
  for (const test of labs.splice(0)) await test.lab.stop()
})

const extraHosts = `
extraHosts:
  - { address: 10.10.200.70, mac: '52:54:00:00:00:70' }
  - { address: 10.10.200.71, mac: '52:54:00:00:00:71', kind: drops }
  - { address: 10.10.200.72, mac: '52:54:00:00:00:72' }
  - { address: 10.10.200.72, mac: '52:54:00:00:01:72' }
`

async function startLab(scenario = '', options: Partial<LabOptions> = {}): Promise<TestLab> {
  const test = await startReadyLab({
    scenario: readScenario(`name: test\n${scenario}`, 'test.yaml'),
    ...options,
  })
  labs.push(test)
  return test
}

async function shell(test: TestLab, node: string): Promise<Client> {
  const client = await openSsh(test.lab, node)
  open.push(client)
  return client
}

const macOf = (test: TestLab, name: string) =>
  test.lab.snapshot().nodes.find((node) => node.name === name)?.nic.mac ?? ''

interface Neighbour {
  dst: string
  lladdr?: string
  state: string[]
  probes?: number
}

async function neighbours(client: Client): Promise<Record<string, string>> {
  const { out } = await exec(client, 'ip -4 -s -j neigh show dev ens160')
  return Object.fromEntries(
    (JSON.parse(out) as Neighbour[]).map((one) => [
      one.dst,
      `${one.state.join()} ${one.lladdr ?? '-'} ${one.probes ?? '-'}`,
    ]),
  )
}

const { signal } = new AbortController()

describe('a node of the lab as a place to look from', () => {
  it('knows its interfaces, gateway and name servers', async () => {
    const test = await startLab()
    const runner = await runnerOf(test, 'n1')
    expect(await readVantageFacts(runner, signal)).toEqual({
      interfaces: [
        { name: 'lo', isUp: true, mac: undefined, addresses: [{ address: '127.0.0.1', prefix: 8 }] },
        {
          name: 'ens160',
          isUp: true,
          mac: macOf(test, 'n1'),
          addresses: [{ address: '10.10.200.102', prefix: 24 }],
        },
      ],
      gateways: ['10.10.200.1'],
      nameServers: ['10.10.200.1'],
    })
    expect(await routeCheck(runner, '10.10.200.77', signal)).toEqual({ kind: 'direct', interface: 'ens160' })
    expect(await routeCheck(runner, '10.10.200.102', signal)).toEqual({ kind: 'own' })
    expect(await routeCheck(runner, '10.10.200.255', signal)).toMatchObject({ kind: 'none' })
    expect(await routeCheck(runner, '192.0.2.1', signal)).toEqual({
      kind: 'gateway',
      gateway: '10.10.200.1',
      interface: 'ens160',
    })
  })

  it('asks by ARP for what a datagram goes to: whoever has the address, else three requests and FAILED', async () => {
    const test = await startLab(extraHosts)
    const client = await shell(test, 'n1')
    const sender = createRemoteDatagramSender(await runnerOf(test, 'n1'))
    const addresses = [1, 70, 71, 77, 102, 103].map((last) => `10.10.200.${last}`)
    const outcome = await sender.send([...addresses, '192.0.2.1'], signal)
    expect([...outcome.values()].every(({ kind }) => kind === 'sent')).toBe(true)
    expect(sender.usedWay()).toBe('bash')
    const known = {
      '10.10.200.1': expect.stringMatching(/^REACHABLE 02:00:5e:.* 4$/) as string,
      '10.10.200.70': 'REACHABLE 52:54:00:00:00:70 4',
      '10.10.200.71': 'REACHABLE 52:54:00:00:00:71 4',
      '10.10.200.103': `REACHABLE ${macOf(test, 'n2')} 4`,
    }
    expect(await neighbours(client)).toEqual({ ...known, '10.10.200.77': 'INCOMPLETE - 4' })
    await test.clock.advance(1100)
    expect(await neighbours(client)).toMatchObject({ '10.10.200.77': 'INCOMPLETE - 5' })
    await test.clock.advance(1000)
    expect(await neighbours(client)).toMatchObject({ '10.10.200.77': 'INCOMPLETE - 6' })
    await test.clock.advance(1000)
    expect(await neighbours(client)).toEqual({ ...known, '10.10.200.77': 'FAILED - 6' })
    const file = (await exec(client, 'cat /proc/net/arp')).out.split('\n')
    expect(file[0]).toBe('IP address       HW type     Flags       HW address            Mask     Device')
    expect(file).toContain('10.10.200.70     0x1         0x2         52:54:00:00:00:70     *        ens160')
    expect(file).toContain('10.10.200.77     0x1         0x0         00:00:00:00:00:00     *        ens160')
    expect((await exec(client, 'ip neigh show to 10.10.200.70 dev ens160')).out).toBe(
      '10.10.200.70 lladdr 52:54:00:00:00:70 REACHABLE \n',
    )
    await test.clock.advance(30_000)
    expect(await neighbours(client)).toMatchObject({ '10.10.200.70': 'STALE 52:54:00:00:00:70 4' })
    expect((await exec(client, 'ip -j neigh show dev eth9')).code).toBe(1)
  })

  it('forgets its neighbours in a restart', async () => {
    const test = await startLab()
    const client = await shell(test, 'n1')
    await timed(test, exec(client, 'ping -c 1 -W 1 10.10.200.103'))
    expect(Object.keys(await neighbours(client))).toEqual(['10.10.200.103'])
    await exec(client, 'sudo -n reboot').catch(() => undefined)
    await test.clock.advance(10 * minute)
    expect(await neighbours(await shell(test, 'n1'))).toEqual({})
  })

  it('pings what answers IP, in as much time as it takes', async () => {
    const test = await startLab(extraHosts)
    const client = await shell(test, 'n1')
    const ping = (address: string) => timed(test, exec(client, `ping -c 2 -W 1 ${address}`))
    const [answered, quick] = await ping('10.10.200.70')
    expect(answered.code).toBe(0)
    expect(quick).toBeLessThanOrEqual(1500)
    for (const address of ['10.10.200.71', '10.10.200.77', '192.0.2.1']) {
      const [silent, slow] = await ping(address)
      expect(silent).toMatchObject({ code: 1, out: expect.stringContaining('100% packet loss') as string })
      expect(slow).toBeGreaterThanOrEqual(2000)
    }
  })

  it('has no nmap, and no arping where the scenario says so', async () => {
    const test = await startLab('tools: { arping: false }')
    const runner = await runnerOf(test, 'n1')
    const options = { signal, deadlineSeconds: 10 }
    expect(await runner.run('nmap', ['--version'], options)).toEqual({ kind: 'missing' })
    expect(await runner.run('/usr/bin/arping', ['-V'], options)).toEqual({ kind: 'missing' })
    expect(await runner.run('arping', ['-V'], { ...options, asRoot: true })).toEqual({ kind: 'missing' })
    const client = await shell(test, 'n1')
    expect((await exec(client, 'sudo -n arping -V')).code).toBe(127)
    expect((await exec(client, 'command -v arping')).code).toBe(1)
  })

  it.each([false, true])('lets the account become root (sudo asks for a password: %s)', async (asks) => {
    const test = await startLab(`ssh: { sudoPassword: ${asks} }`)
    const runner = await runnerOf(test, 'n1')
    const options = { signal, deadlineSeconds: 10 }
    expect(await runner.run('id', ['-u'], options)).toMatchObject({ stdout: '1000\n' })
    expect(await runner.run('id', ['-u'], { ...options, asRoot: true })).toMatchObject({ stdout: '0\n' })
    expect(await runner.run('cat', [], { ...options, asRoot: true, input: 'a\nb' })).toMatchObject({
      stdout: 'a\nb',
    })
  })

  it('ends a program at the time that timeout gives it, and lets go of one that is given up', async () => {
    const test = await startLab()
    const runner = await runnerOf(test, 'n1')
    const client = await shell(test, 'n1')
    const [stopped, took] = await timed(
      test,
      exec(client, 'timeout -k 1 5 sudo -n arping -D -c 60 10.10.200.77'),
    )
    expect(stopped.code).toBe(124)
    expect(took).toBeGreaterThanOrEqual(5000)
    expect(took).toBeLessThan(7000)
    expect((await exec(client, 'timeout 5 no-such-program')).code).toBe(127)

    const abort = new AbortController()
    const running = runner.run('arping', ['-D', '-c', '600', '10.10.200.77'], {
      signal: abort.signal,
      deadlineSeconds: 700,
      asRoot: true,
    })
    const ended = expect(running).rejects.toThrow('stopped')
    abort.abort(new Error('stopped'))
    await ended
  })

  it('reaches by ping, else by TCP, what the product wants to reach', async () => {
    const test = await startLab(extraHosts)
    const { mac, ...rest } = { mac: macOf(test, 'n1'), name: 'n1', address: '10.10.200.102' }
    const node = { ...rest, mac, interface: 'ens160', prefix: 24, runner: await runnerOf(test, 'n1') }
    const reach = async (last: number) => (await timed(test, reachByIp(node, `10.10.200.${last}`, signal)))[0]
    expect(await reach(103)).toEqual({ kind: 'reached', by: 'ping', detail: 'ping answered' })
    expect(await reach(77)).toEqual({
      kind: 'silent',
      detail: 'ping without answer; TCP 22 without answer',
    })
    expect(await reach(71)).toMatchObject({ kind: 'silent' })
  })

  it('runs programs side by side in the time of the longest', async () => {
    const test = await startLab(extraHosts)
    const batch = createBatchRunner(await runnerOf(test, 'n1'))
    const arping = (last: number) =>
      batch.run('arping', ['-D', '-c', '4', '-I', 'ens160', `10.10.200.${last}`], {
        signal,
        deadlineSeconds: 30,
        asRoot: true,
      })
    const [results, took] = await timed(
      test,
      Promise.all([
        arping(70),
        arping(77),
        batch.run('nmap', [], { signal, deadlineSeconds: 30, asRoot: true }),
        arping(78),
      ]),
    )
    expect(took).toBeLessThan(6000)
    expect(results).toMatchObject([
      { exitCode: 1, stdout: expect.stringContaining('[52:54:00:00:00:70]') as string },
      {
        exitCode: 0,
        stdout: expect.stringMatching(/\nSent 4 probes \(4 broadcast\(s\)\)\nReceived 0/) as string,
      },
      { kind: 'missing' },
      { exitCode: 0 },
    ])
  })

  it('says so when it is given a script that it does not know', async () => {
    const test = await startLab()
    const client = await shell(test, 'n1')
    expect(await exec(client, `sh -c 'echo "$1"' sh x`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('does not know positional parameters') as string,
    })
    expect(await exec(client, `sh -c 'echo x; echo y'`)).toMatchObject({ code: 0, out: 'x\ny\n' })
  })
})

describe('arping on a node of the lab', () => {
  const asRoot = (test: TestLab, client: Client, command: string): Promise<[ExecResult, number]> =>
    timed(test, exec(client, `sudo -n ${command}`))

  it('says and ends as that of iputils does', async () => {
    const test = await startLab(extraHosts)
    const client = await shell(test, 'n1')
    expect((await exec(client, 'arping -V')).out).toMatch(/^arping from iputils \d{8}\n/)
    expect(await exec(client, 'arping -D -c 1 10.10.200.77')).toMatchObject({
      code: 2,
      err: 'arping: socket: Operation not permitted\n',
    })
    const [free, seconds] = await asRoot(test, client, 'arping -D -c 4 -I ens160 10.10.200.77')
    expect(free).toEqual({
      code: 0,
      out: 'ARPING 10.10.200.77 from 0.0.0.0 ens160\nSent 4 probes (4 broadcast(s))\nReceived 0 response(s)\n',
      err: '',
    })
    expect(seconds).toBeGreaterThanOrEqual(4000)
    const [used] = await asRoot(test, client, 'arping -D -c 4 -I ens160 10.10.200.71')
    expect(used.code).toBe(1)
    expect(used.out).toContain('Unicast reply from 10.10.200.71 [52:54:00:00:00:71]')
    expect(used.out).toContain('Sent 1 probes')
    // Its own address: iputils says free.
    expect((await asRoot(test, client, 'arping -D -c 1 10.10.200.102'))[0].code).toBe(0)
    expect((await asRoot(test, client, 'arping -D -c 1 -I eth9 10.10.200.77'))[0]).toMatchObject({
      code: 2,
      err: 'arping: Device eth9 not available.\n',
    })
    expect((await asRoot(test, client, 'arping -D -w 2 10.10.200.77'))[0].out).toContain('Sent 3 probes')
    expect((await asRoot(test, client, 'arping -U -c 1 10.10.200.77'))[0]).toMatchObject({
      code: 2,
      err: 'arping: bind: Cannot assign requested address\n',
    })
    expect((await asRoot(test, client, 'arping -Q 10.10.200.77'))[0].code).toBe(2)
  })

  it('hears both owners of an address with -b, and only the first without', async () => {
    const test = await startLab(extraHosts)
    const client = await shell(test, 'n1')
    const [both] = await asRoot(test, client, 'arping -b -c 2 -I ens160 10.10.200.72')
    expect(both.out.match(/\[52:54:00:00:00:72\]/g)).toHaveLength(2)
    expect(both.out.match(/\[52:54:00:00:01:72\]/g)).toHaveLength(2)
    // More answers than requests: a failure.
    expect(both.code).toBe(1)
    const [first] = await asRoot(test, client, 'arping -c 2 -I ens160 10.10.200.70')
    expect(first).toMatchObject({
      code: 0,
      out: expect.stringContaining('Sent 2 probes (1 broadcast(s))') as string,
    })
  })

  it('hears an owner that comes while it asks', async () => {
    const test = await startLab()
    const [first, second] = [await shell(test, 'n1'), await shell(test, 'n2')]
    const asking = asRoot(test, first, 'arping -D -c 30 -I ens160 10.10.200.60')
    await exec(second, 'sudo -n ip addr add 10.10.200.60/32 dev ens160')
    const [heard] = await asking
    expect(heard.code).toBe(1)
    expect(heard.out.toLowerCase()).toContain(macOf(test, 'n2'))
  })
})

describe('an address that is raised on a node', () => {
  const raise = 'sudo -n ip addr add 10.10.200.60/32 dev ens160 valid_lft 20 preferred_lft 20'
  const address = { host: '10.10.200.60', port: 22 }
  const ui = { host: '10.10.200.60', port: 5080 }

  async function answers(test: TestLab, endpoint = address): Promise<boolean> {
    try {
      const socket = await test.lab.dialler.dial(endpoint)
      socket.destroy()
      return true
    } catch {
      return false
    }
  }

  it('answers on SSH and the Local UI of that node, by ARP and ping, until its time is over', async () => {
    const test = await startLab()
    const [first, second] = [await shell(test, 'n1'), await shell(test, 'n2')]
    expect(await answers(test)).toBe(false)
    expect(await exec(first, raise)).toEqual({ code: 0, out: '', err: '' })
    expect([await answers(test), await answers(test, ui)]).toEqual([true, true])
    expect((await timed(test, exec(second, 'ping -c 1 -W 1 10.10.200.60')))[0].code).toBe(0)
    expect(await neighbours(second)).toMatchObject({
      '10.10.200.60': `REACHABLE ${macOf(test, 'n1')} 4`,
    })
    await test.clock.advance(5000)
    const shown = JSON.parse((await exec(first, 'ip -j addr show dev ens160')).out) as unknown
    expect(at(shown, 0, 'addr_info', 1)).toMatchObject({
      local: '10.10.200.60',
      prefixlen: 32,
      dynamic: true,
      valid_life_time: 15,
    })
    await test.clock.advance(15_000)
    expect([await answers(test), await answers(test, ui)]).toEqual([false, false])
    expect((await exec(first, 'ip -j addr')).out).not.toContain('10.10.200.60')
  })

  it('is taken away by hand and by a restart, and can be given a longer life', async () => {
    const test = await startLab()
    const client = await shell(test, 'n1')
    await exec(client, `${raise} label ens160:lf`)
    expect((await exec(client, 'ip -j addr')).out).toContain('"label":"ens160:lf"')
    await exec(client, raise.replace('addr add', 'addr replace').replaceAll(' 20', ' 40'))
    await test.clock.advance(30_000)
    expect(await answers(test)).toBe(true)
    expect((await exec(client, 'sudo -n ip addr del 10.10.200.60/32 dev ens160')).code).toBe(0)
    expect(await answers(test)).toBe(false)
    await exec(client, raise)
    await exec(client, 'sudo -n reboot').catch(() => undefined)
    await test.clock.advance(1000)
    expect(await answers(test)).toBe(false)
    await test.clock.advance(10 * minute)
    expect(await answers(test)).toBe(false)
  })

  it('that moves is found by others at once when it is announced, and late when it is not', async () => {
    const test = await startLab()
    const [first, second, third] = [await shell(test, 'n1'), await shell(test, 'n2'), await shell(test, 'n3')]
    const ping = async () => (await timed(test, exec(third, 'ping -c 1 -W 1 10.10.200.60')))[0].code
    const up = (client: Client) => exec(client, 'sudo -n ip addr add 10.10.200.60/32 dev ens160')
    const down = (client: Client) => exec(client, 'sudo -n ip addr del 10.10.200.60/32 dev ens160')
    await up(first)
    expect(await ping()).toBe(0)
    await down(first)
    await up(second)
    // Its packets still go to the first node.
    expect(await ping()).toBe(1)
    await test.clock.advance(31_000)
    expect(await ping()).toBe(0)

    await down(second)
    await up(first)
    await timed(test, exec(first, 'sudo -n arping -U -c 1 -I ens160 10.10.200.60'))
    expect(await neighbours(third)).toMatchObject({
      '10.10.200.60': expect.stringContaining(macOf(test, 'n1')) as string,
    })
    expect(await ping()).toBe(0)
  })

  it('is refused as iproute2 refuses it', async () => {
    const test = await startLab()
    const client = await shell(test, 'n1')
    const refusals: [string, number, string][] = [
      ['add 10.10.200.60/32 dev ens160 valid_lft 10', 1, 'preferred_lft is greater than valid_lft'],
      ['add 10.10.200.60/32', 1, 'Not enough information: "dev" argument is required.'],
      ['add 10.10.200.60/32 dev eth9', 1, 'Cannot find device "eth9"'],
      [
        'add 10.10.200.600/32 dev ens160',
        1,
        'Error: any valid prefix is expected rather than "10.10.200.600/32".',
      ],
      [
        'add 10.10.200.60/32 dev ens160 foo',
        255,
        'Error: either "local" is duplicate, or "foo" is a garbage.',
      ],
      ['del 10.10.200.60/32 dev ens160', 2, 'Error: ipv4: Address not found.'],
      ['add 10.10.200.102/24 dev ens160', 2, 'Error: ipv4: Address already assigned.'],
    ]
    for (const [words, code, err] of refusals) {
      expect(await exec(client, `sudo -n ip addr ${words}`)).toEqual({ code, out: '', err: `${err}\n` })
    }
    expect(await exec(client, 'ip addr add 10.10.200.60/32 dev ens160')).toMatchObject({
      code: 2,
      err: 'RTNETLINK answers: Operation not permitted\n',
    })
  })
})

describe('hosts that only the scenario knows', () => {
  it('refuse or drop connections', async () => {
    const { lab } = await startLab(extraHosts)
    await expect(lab.dialler.dial({ host: '10.10.200.70', port: 443 })).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    })
    await expect(
      lab.dialler.dial({ host: '10.10.200.71', port: 443 }, { timeoutMilliseconds: 200 }),
    ).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    await expect(lab.dialler.dial({ host: '10.10.200.77', port: 443 })).rejects.toMatchObject({
      code: 'EHOSTUNREACH',
    })
  })

  it('must be on the node network', async () => {
    const scenario = readScenario(
      'name: x\nextraHosts: [{ address: 10.99.0.1, mac: "52:54:00:00:00:01" }]',
      'x.yaml',
    )
    await expect(startReadyLab({ scenario, plan: examplePlan() })).rejects.toMatchObject({
      code: 'LAB_PLAN_UNFIT',
    })
    expect(() =>
      readScenario('name: x\nextraHosts: [{ address: 10.99.0.999, mac: "52-54" }]', 'x.yaml'),
    ).toThrow(/extraHosts\.0\.address[\s\S]*extraHosts\.0\.mac/)
  })
})

describe('the VIP', () => {
  it('is answered by ARP once the cluster carries it, with the MAC of a node', async () => {
    const test = await startLab()
    const client = await shell(test, 'n3')
    const ask = async () =>
      (await timed(test, exec(client, 'sudo -n arping -D -c 1 -I ens160 10.10.200.50')))[0]
    expect((await ask()).code).toBe(0)
    expect(await deployCluster(test)).toBe(202)
    await test.clock.advance(60 * minute)
    const again = await shell(test, 'n3')
    const [answered] = await timed(test, exec(again, 'sudo -n arping -D -c 1 -I ens160 10.10.200.50'))
    expect(answered.code).toBe(1)
    expect(answered.out.toLowerCase()).toContain(macOf(test, 'n1'))
    expect((await callLab(test.lab, 'console', 'GET', '/system')).status).toBe(200)
  })
})
