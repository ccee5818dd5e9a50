import { execFileSync, spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Observation } from '../../shared/addresses/index.ts'
import { systemClock } from '../../main/engine/clock.ts'
import { createNodeVantage } from '../../main/network/discovery/node-vantage.ts'
import { systemDialler } from '../../main/network/dialler.ts'
import type { ProgramRunner } from '../../main/network/programs/program-runner.ts'
import { createSshRunner } from '../../main/network/programs/ssh-runner.ts'
import { connectSsh, type SshConnection } from '../../main/ssh/index.ts'
import { createNamespaceLab, whyNoNamespaces, type NamespaceLab } from './namespace-lab.ts'
import { startSshd, whyNoSshd, type TestSshd } from './sshd.ts'

const reason =
  whyNoNamespaces() ??
  whyNoSshd() ??
  ['arping', 'nft', 'nmap', 'bash']
    .filter((program) => spawnSync(program, ['--version']).error !== undefined)
    .map((program) => `${program} is not installed`)[0]

/** The network that only the node is on: two hosts that answer, and one that drops every packet. */
const network = '10.88.61'
const node = `${network}.11`

describe.skipIf(reason !== undefined)(
  `A node over SSH as a vantage${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  { timeout: 30_000 },
  () => {
    let lab: NamespaceLab
    let others: NamespaceLab
    let sshd: TestSshd
    const open: SshConnection[] = []
    const macs: Record<string, string> = {}

    beforeAll(async () => {
      lab = await createNamespaceLab()
      others = await createNamespaceLab()
      const bridge = (...words: string[]) => others.exec('ip', ...words)
      await bridge('link', 'add', 'name', 'br0', 'type', 'bridge')
      await bridge('link', 'set', 'br0', 'up')
      await bridge('link', 'add', 'name', 'port', 'type', 'veth', 'peer', 'name', 'seg0', 'netns', lab.name)
      await bridge('link', 'set', 'port', 'master', 'br0', 'up')
      await lab.exec('ip', 'address', 'add', `${node}/24`, 'dev', 'seg0')
      await lab.exec('ip', 'link', 'set', 'seg0', 'up')
      // Each host is an interface of its own in the other namespace; it answers only for its own address.
      await others.exec('sysctl', '-qw', 'net.ipv4.conf.all.arp_ignore=1')
      for (const [name, address] of [
        ['h1', 1],
        ['h70', 70],
        ['h71', 71],
      ] as const) {
        await bridge('link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', `${name}p`)
        await bridge('address', 'add', `${network}.${address}/24`, 'dev', name)
        await bridge('link', 'set', name, 'up')
        await bridge('link', 'set', `${name}p`, 'master', 'br0', 'up')
        macs[`.${address}`] = (await others.exec('cat', `/sys/class/net/${name}/address`)).trim()
      }
      await others.exec('nft', 'add table ip drops')
      await others.exec('nft', 'add chain ip drops in { type filter hook input priority 0; }')
      await others.exec('nft', `add rule ip drops in ip daddr ${network}.71 drop`)
      sshd = await startSshd(lab, { port: 22 })
    })
    afterAll(async () => {
      for (const connection of open) await connection.close()
      await lab.remove()
      await others.remove()
      sshd.remove()
    })

    async function connect(username: string): Promise<SshConnection> {
      const connection = await connectSsh({
        endpoint: sshd.endpoint,
        username,
        auth: { privateKey: sshd.userKey },
        dialler: systemDialler,
        hostKey: { pinned: { algorithm: 'ssh-ed25519', fingerprint: sshd.fingerprints.ed25519 } },
      })
      open.push(connection)
      return connection
    }

    async function runnerOf(username: string): Promise<ProgramRunner> {
      return createSshRunner({ place: 'n1', connection: await connect(username) })
    }

    const vantageOf = (runner: ProgramRunner) => createNodeVantage({ name: 'n1', runner, clock: systemClock })
    const ask = () => ({ interface: 'seg0', signal: new AbortController().signal })
    const addressesOf = (lasts: readonly number[]) => lasts.map((last) => `${network}.${last}`)
    const shortly = (observations: readonly Observation[] = []) =>
      Object.fromEntries(
        observations.map(({ address, answer, macs: heard }) => [
          address.replace(network, ''),
          [answer, ...heard].join(' '),
        ]),
      )
    const expected = () => ({
      '.1': `answered ${macs['.1'] ?? ''}`,
      '.70': `answered ${macs['.70'] ?? ''}`,
      '.71': `answered ${macs['.71'] ?? ''}`,
    })
    const silent = (lasts: readonly number[]) =>
      Object.fromEntries(lasts.map((last) => [`.${last}`, 'silent']))
    const free = Array.from({ length: 20 }, (_, index) => index + 100)

    describe('hears', { concurrent: true }, () => {
      it('its interfaces, and by which way an address is reached', async () => {
        const vantage = vantageOf(await runnerOf(sshd.username))
        const { signal } = ask()
        const facts = await vantage.facts(signal)
        expect(facts.interfaces.find(({ name }) => name === 'seg0')).toMatchObject({
          isUp: true,
          addresses: [{ address: node, prefix: 24 }],
        })
        expect(facts.interfaces.map(({ name }) => name)).toContain(lab.insideInterface)
        expect(await vantage.routeTo?.(`${network}.70`, signal)).toEqual({
          kind: 'direct',
          interface: 'seg0',
        })
      })

      it('without any privilege who is there, also who drops everything; its own address is not asked', async () => {
        const vantage = vantageOf(await runnerOf(sshd.username))
        const { observations, warnings } = await vantage.sweep(addressesOf([1, 11, 70, 71, ...free]), ask())
        expect(shortly(observations)).toEqual({ ...expected(), ...silent(free) })
        expect(warnings).toEqual([])
      })

      it('by many arpings at once who is there', async () => {
        const vantage = vantageOf(await runnerOf('root'))
        const startedAt = performance.now()
        const answers = await vantage.probe(addressesOf([1, 70, 71, ...free]), {
          ...ask(),
          kind: 'arp-probe',
        })
        expect(shortly(answers?.observations)).toEqual({ ...expected(), ...silent(free) })
        expect(answers?.warnings).toEqual([])
        // One after the other they would take 80 s.
        expect(performance.now() - startedAt).toBeLessThan(25_000)
      })

      it('by its nmap as root who is there', async () => {
        const vantage = vantageOf(await runnerOf('root'))
        const answers = await vantage.scan(addressesOf([1, 70, 71, 130, 131]), ask())
        expect(shortly(answers?.observations)).toMatchObject({ ...expected(), ...silent([130, 131]) })
      })

      it('by ping where there is no bash', async () => {
        const runner = await runnerOf(sshd.username)
        const poor: ProgramRunner = {
          ...runner,
          run: (program, args, options) =>
            program === 'bash' ? Promise.resolve({ kind: 'missing' }) : runner.run(program, args, options),
        }
        const { observations, warnings } = await vantageOf(poor).sweep(addressesOf([70, 71, 140]), ask())
        expect(shortly(observations)).toMatchObject({ '.70': expected()['.70'], '.71': expected()['.71'] })
        expect(warnings.join()).toContain('with ping')
      })
    })

    it.each(['operator', 'root'])('leaves nothing behind when it is stopped (%s)', async (username) => {
      const vantage = vantageOf(await runnerOf(username))
      const abort = new AbortController()
      const options = { interface: 'seg0', signal: abort.signal }
      const probing = vantage.probe(addressesOf(free), { ...options, kind: 'arp-probe', count: 20 })
      const sweeping = vantage.sweep(addressesOf(free), options)
      const ended = Promise.allSettled([probing, sweeping])
      await until(() => running(lab, ['arping']) >= free.length)
      abort.abort(new Error('stopped'))
      expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
      await until(() => running(lab, ofLandfall) === 0)
    })

    it('leaves nothing behind when the connection dies', async () => {
      const connection = await connect('root')
      const runner = createSshRunner({ place: 'n1', connection })
      const { signal } = ask()
      const args = ['-D', '-c', '60', '-I', 'seg0', `${network}.120`]
      const asking = runner.run('arping', args, { signal, deadlineSeconds: 60 })
      const lost = expect(asking).rejects.toMatchObject({ code: 'SSH_CONNECTION_LOST' })
      await until(() => running(lab, ['arping']) === 1)
      await connection.close()
      await lost
      await until(() => running(lab, ofLandfall) === 0)
    })

    it('says that an account without sudo may not become root', async () => {
      const runner = await runnerOf(sshd.username)
      const result = await runner.run('id', ['-u'], { ...ask(), deadlineSeconds: 10, asRoot: true })
      expect(result).toMatchObject({ kind: 'not-permitted' })
    })
  },
)

/** How many of the programs in the laboratory begin with one of these names, or were started by Landfall. */
function running(lab: NamespaceLab, names: readonly string[]): number {
  const pids = execFileSync('ip', ['netns', 'pids', lab.name], { encoding: 'utf8' })
  const { stdout } = spawnSync('ps', ['-o', 'comm=,args=', '-p', pids.trim().split('\n').join(',')], {
    encoding: 'utf8',
  })
  return stdout.split('\n').filter((line) => names.includes(line.split(/\s/, 1)[0] ?? '')).length
}

/** All that a probe or a sweep may start. */
const ofLandfall = ['arping', 'timeout', 'sh', 'sed', 'bash', 'cat', 'ip', 'sleep']

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = Date.now() + 8000
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error('it did not come about')
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
}
