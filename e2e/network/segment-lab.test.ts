import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { run } from './namespace-programs.ts'
import { iputilsOracle, nmapOracle } from './oracles.ts'
import {
  createSegmentLab,
  whyNoSegmentLab,
  type SegmentHost,
  type SegmentLab,
  type SegmentLabOptions,
} from './segment-lab.ts'
import type { HostSpec } from './segment-hosts.ts'

const reason =
  whyNoSegmentLab() ??
  nmapOracle.whyNot() ??
  iputilsOracle.whyNot() ??
  (spawnSync('busybox').error === undefined ? undefined : 'busybox is not installed')

const network = '10.10.200.0/24'

const answering: HostSpec = { kind: 'answers', address: '10.10.200.1' }

/** Each test has a laboratory of its own: nping stops when it has heard enough, also answers for others. */
async function withLab(hosts: readonly HostSpec[], test: (lab: SegmentLab) => Promise<void>): Promise<void> {
  const lab = await createSegmentLab({ network, hosts })
  try {
    await test(lab)
  } finally {
    await lab.remove()
  }
}

describe.skipIf(reason !== undefined)(
  `The segment laboratory${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  { concurrent: true, timeout: 60_000 },
  () => {
    describe('loses on one leg', () => {
      it('ARP or everything, until it passes again', async () => {
        await withLab([answering, { kind: 'answers', address: '10.10.200.20' }], async (lab) => {
          const host = lab.hostAt('10.10.200.20')
          await knowEachOther(lab, host)
          const seen = async () => {
            const [arp, ip] = await Promise.all([replies(lab, host.address, 1), pinged(lab, host.address, 1)])
            return { arp: arp.macs.length === 1, ip: ip.length === 1 }
          }
          expect(await seen()).toEqual({ arp: true, ip: true })
          for (const place of [host, lab.seeker]) {
            await lab.dropArpOn(place)
            expect(await seen()).toEqual({ arp: false, ip: true })
            await lab.dropFramesOn(place)
            expect(await seen()).toEqual({ arp: false, ip: false })
            await lab.passOn(place)
            expect(await seen()).toEqual({ arp: true, ip: true })
          }
          await lab.dropFramesOn(host)
          expect((await replies(lab, '10.10.200.1', 1)).macs).toHaveLength(1)
        })
      })
    })

    describe('has a host that', () => {
      it('drops everything but ARP', async () => {
        await withLab([answering, { kind: 'drops', address: '10.10.200.3' }], async (lab) => {
          const [open, dropping] = [lab.hostAt('10.10.200.1'), lab.hostAt('10.10.200.3')]
          await countFrames(lab, [open, dropping])
          for (const { address, mac } of [open, dropping]) {
            expect(await replies(lab, address, 2)).toEqual({ after: [1, 2], macs: [mac] })
            await pinged(lab, address, 2)
            const ports = await lab.run(lab.seekerNamespace, 'nmap', [
              ...['-Pn', '-n', '-sT', '-p', '22,80', '--max-retries', '1', address],
            ])
            expect(ports.stdout).toContain(address === dropping.address ? 'filtered' : 'closed')
          }
          const fromDropping = await framesFrom(lab, dropping)
          expect(fromDropping.arp).toBeGreaterThan(1)
          expect(fromDropping.other).toBe(0)
          expect((await framesFrom(lab, open)).other).toBeGreaterThan(3)
        })
      })

      it('answers on each of its addresses, with one MAC', async () => {
        await withLab([{ ...answering, moreAddresses: ['10.10.200.2'] }], async (lab) => {
          for (const address of ['10.10.200.1', '10.10.200.2']) {
            const { mac } = lab.hostAt(address)
            expect(await replies(lab, address, 2)).toEqual({ after: [1, 2], macs: [mac] })
            expect(await pinged(lab, address, 2)).toEqual([1, 2])
          }
          expect((await replies(lab, '10.10.200.77', 2)).macs).toEqual([])
          expect(await isClaimed(lab, ['10.10.200.1', '10.10.200.77'])).toEqual([true, false])
        })
      })

      it('shares its address with another one: both answer', async () => {
        await withLab([{ kind: 'duplicate', address: '10.10.200.4' }], async (lab) => {
          const macs = lab.hostAt('10.10.200.4').legs.map(({ mac }) => mac)
          expect(new Set(macs).size).toBe(2)
          expect((await replies(lab, '10.10.200.4', 3)).macs.toSorted()).toEqual(macs.toSorted())
        })
      })

      it('wakes when it is told to', async () => {
        await withLab([{ kind: 'late', address: '10.10.200.5' }], async (lab) => {
          const late = lab.hostAt('10.10.200.5')
          expect((await replies(lab, late.address, 2)).macs).toEqual([])
          await lab.wake(late)
          expect((await replies(lab, late.address, 2)).macs).toEqual([late.mac])
        })
      })

      it('wakes by itself, and not before', async () => {
        const sleeper = { kind: 'late', address: '10.10.200.5', wakesAfterMilliseconds: 2500 } as const
        await withLab([sleeper], async (lab) => {
          const late = lab.hostAt('10.10.200.5')
          const before = await replies(lab, late.address, 1)
          // A machine so slow that it is awake by now says nothing about before.
          if (await isPending(lab.whenAwake(late))) expect(before.macs).toEqual([])
          await lab.whenAwake(late)
          expect((await replies(lab, late.address, 2)).macs).toEqual([late.mac])
        })
      })

      it('hears exactly every fifth ARP request', async () => {
        await withLab([{ kind: 'lossy', address: '10.10.200.7', heard: 2 }], async (lab) => {
          expect((await replies(lab, '10.10.200.7', 14)).after).toEqual([3, 8, 13])
        })
      })

      it('hears exactly every fifth IP packet', async () => {
        await withLab([{ kind: 'lossy', address: '10.10.200.8', heard: 1 }], async (lab) => {
          // Its ARP loses as well, and would keep the packets from going out.
          await knowEachOther(lab, lab.hostAt('10.10.200.8'))
          expect(await pinged(lab, '10.10.200.8', 14)).toEqual([2, 7, 12])
        })
      })

      it('sleeps until it is asked, and answers once it is awake', async () => {
        await withLab(
          [{ kind: 'sleeping', address: '10.10.200.9', wakingMilliseconds: 600 }],
          async (lab) => {
            const { after } = await replies(lab, '10.10.200.9', 12)
            expect(after[0]).toBeGreaterThan(2)
            // From then on, all of them.
            expect(after).toEqual(Array.from(after, (_, index) => 13 - after.length + index))
            expect(after.length).toBeGreaterThan(0)
          },
        )
      })

      it('offers addresses of its pool by DHCP', async () => {
        const pool = { first: '10.10.200.100', last: '10.10.200.110' }
        await withLab([{ kind: 'dhcp', address: '10.10.200.10', pool }], async (lab) => {
          const client = await lab.run(lab.seekerNamespace, 'busybox', [
            ...[
              'udhcpc',
              '-i',
              lab.seeker.interface,
              '-f',
              '-n',
              '-q',
              '-t',
              '3',
              '-T',
              '1',
              '-s',
              '/bin/true',
            ],
          ])
          expect(client.stderr).toMatch(/lease of 10\.10\.200\.1(0\d|10) obtained from 10\.10\.200\.10,/u)
        })
      })

      it('is known by the MAC of a redundancy protocol', async () => {
        const protocols = ['vrrp', 'carp', 'hsrp', 'hsrp2', 'glbp'] as const
        const hosts = protocols.map((protocol, index) => {
          return { kind: 'virtual-router', address: `10.10.200.${index + 1}`, protocol } as const
        })
        await withLab(hosts, async (lab) => {
          const macs: string[] = []
          for (const { address } of hosts) macs.push(...(await replies(lab, address, 1)).macs)
          expect(macs).toEqual([
            ...['00:00:5e:00:01:0a', '00:00:5e:00:01:0a', '00:00:0c:07:ac:0a'],
            ...['00:00:0c:9f:f0:0a', '00:07:b4:00:0a:01'],
          ])
        })
      })
    })

    describe('has a proxy ARP router that', () => {
      const unlikely = ['10.10.200.77', '10.10.200.142', '10.10.200.203']
      const router = { kind: 'proxy-arp', address: '10.10.200.9' } as const

      it('answers requests for every address at once, but no probes', async () => {
        await withLab([answering, { ...router, delay: 'none', answersProbes: false }], async (lab) => {
          const { mac } = lab.hostAt('10.10.200.9')
          for (const address of unlikely)
            expect(await replies(lab, address, 3)).toEqual({ after: [1, 2, 3], macs: [mac] })
          expect(await isClaimed(lab, [...unlikely, '10.10.200.1', '10.10.200.9'])).toEqual([
            ...[false, false, false],
            ...[true, true],
          ])
        })
      })

      it('answers for the addresses of others as well, and forwards to them', async () => {
        await withLab([answering, { ...router, delay: 'none', answersProbes: false }], async (lab) => {
          const [owner, { mac }] = [lab.hostAt('10.10.200.1'), lab.hostAt('10.10.200.9')]
          expect((await replies(lab, owner.address, 3)).macs.toSorted()).toEqual([owner.mac, mac].toSorted())
          const through = async (address: string) => {
            const entry = ['neigh', 'replace', address, 'lladdr', mac, 'dev', lab.seeker.interface]
            await lab.exec(lab.seekerNamespace, 'ip', ...entry)
            return (await lab.run(lab.seekerNamespace, 'ping', ['-c', '1', '-W', '1', address])).stdout
          }
          expect(await through(owner.address)).toContain('1 received')
          expect(await through('10.10.200.99')).toMatch(/From 10\.10\.200\.9 .*Host Unreachable/u)
        })
      })

      it('takes its time, as Linux does by default', async () => {
        await withLab([{ ...router, delay: 'default', answersProbes: false }], async (lab) => {
          const { after, macs } = await replies(lab, '10.10.200.77', 8)
          expect(macs).toEqual([lab.hostAt('10.10.200.9').mac])
          expect(after).not.toEqual([1, 2, 3, 4, 5, 6, 7, 8])
        })
      })

      it('answers probes with sender 0.0.0.0 as well', async () => {
        await withLab([answering, { ...router, delay: 'none', answersProbes: true }], async (lab) => {
          const { mac } = lab.hostAt('10.10.200.9')
          expect(await isClaimed(lab, unlikely)).toEqual([true, true, true])
          for (const address of unlikely) expect((await replies(lab, address, 2)).macs).toEqual([mac])
        })
      })
    })

    describe('keeps to itself:', () => {
      it('two with the same network do not see each other', async () => {
        await withLab([answering], async (one) => {
          await withLab([{ kind: 'answers', address: '10.10.200.77' }], async (other) => {
            expect((await replies(other, '10.10.200.77', 1)).macs).toHaveLength(1)
            expect((await replies(other, '10.10.200.1', 2)).macs).toEqual([])
            expect((await replies(one, '10.10.200.77', 2)).macs).toEqual([])
            await other.dropFramesOn(other.seeker)
            expect((await replies(one, '10.10.200.1', 1)).macs).toHaveLength(1)
          })
          expect((await replies(one, '10.10.200.1', 1)).macs).toHaveLength(1)
        })
      })

      it('the machine itself has none of its interfaces or addresses', async () => {
        await withLab([answering], async (lab) => {
          expect(await pinged(lab, '10.10.200.1', 1)).toEqual([1])
          const own = Object.values(networkInterfaces()).flatMap((entries) => entries ?? [])
          expect(own.filter(({ address }) => address.startsWith('10.10.200.'))).toEqual([])
          const links = execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' })
          for (const { mac } of [lab.seeker, ...lab.hosts]) expect(links).not.toContain(mac)
        })
      })

      it('the seeker may stand elsewhere, behind a router on the same wire', async () => {
        const lab = await createSegmentLab({
          network,
          gateway: '10.10.200.1',
          hosts: [
            { ...answering, moreAddresses: ['192.168.9.1/28'], forwards: true },
            { kind: 'answers', address: '10.10.200.20' },
          ],
          seeker: { address: '192.168.9.2', prefix: 28, gateway: '192.168.9.1' },
        })
        try {
          expect(await pinged(lab, '10.10.200.20', 1)).toEqual([1])
          expect(await lab.exec(lab.seekerNamespace, 'ip', '-4', '-br', 'address')).toContain(
            '192.168.9.2/28',
          )
        } finally {
          await lab.remove()
        }
      })
    })

    it('is not made with a mistake in it', async () => {
      const made = (...hosts: HostSpec[]) => createSegmentLab({ network, hosts })
      await expect(made({ kind: 'answers', address: '10.10.200.254' })).rejects.toThrow('there twice')
      await expect(made({ kind: 'answers', address: '10.10.201.1' })).rejects.toThrow('no host address')
      await expect(createSegmentLab({ network: '10.10.200.1/24', hosts: [] })).rejects.toThrow(
        'not a network',
      )
    })

    it('tells how a program ended', async () => {
      await withLab([], async (lab) => {
        const where = lab.seekerNamespace
        expect(await lab.run(where, 'sh', ['-c', 'cat; echo no >&2; exit 3'], { input: 'in' })).toEqual({
          ...{ exitCode: 3, stdout: 'in', stderr: 'no\n' },
        })
        await expect(lab.exec(where, 'false')).rejects.toThrow('ended with 1')
        await expect(lab.run(where, 'sleep', ['60'], { timeoutMilliseconds: 100 })).rejects.toThrow('killed')
      })
    })

    describe('leaves nothing behind', () => {
      const hosts: HostSpec[] = [
        answering,
        { kind: 'late', address: '10.10.200.2', wakesAfterMilliseconds: 60_000 },
        { kind: 'dhcp', address: '10.10.200.3', pool: { first: '10.10.200.100', last: '10.10.200.110' } },
      ]

      it('when it is removed, and may be removed twice', async () => {
        const lab = await createSegmentLab({ network, hosts })
        const sleeper = lab.start(lab.seekerNamespace, 'sleep', ['1000'])
        const ended = once(sleeper, 'exit')
        await until(() => processesIn(lab.namespaces).length === 2)
        const processes = processesIn(lab.namespaces)
        expect(existsSync(lab.folder)).toBe(true)
        await lab.remove()
        await lab.remove()
        await ended
        expect(lab.namespaces.filter(isThere)).toEqual([])
        expect(processes.filter(isAlive)).toEqual([])
        expect(existsSync(lab.folder)).toBe(false)
        await expect(lab.whenAwake(lab.hostAt('10.10.200.2'))).rejects.toThrow('before it woke')
      })

      it('when the process that made it is killed', async () => {
        const maker = startMaker(
          { network, hosts },
          `lab.start(lab.seekerNamespace, 'sleep', ['1000'])
          console.log(JSON.stringify(lab))
          setInterval(() => undefined, 1000)`,
        )
        const [line] = (await once(createInterface({ input: maker.stdout }), 'line')) as [string]
        const made = JSON.parse(line) as Pick<SegmentLab, 'namespaces' | 'folder'>
        await until(() => processesIn(made.namespaces).length === 2)
        const processes = processesIn(made.namespaces)
        maker.kill('SIGKILL')
        await once(maker, 'exit')
        await until(() => !made.namespaces.some(isThere) && !existsSync(made.folder))
        expect(processes.filter(isAlive)).toEqual([])
      })

      it('when that process is killed while it makes it', async () => {
        const many = Array.from({ length: 60 }, (_, index): HostSpec => {
          return { kind: 'answers', address: `10.10.200.${index + 1}` }
        })
        const maker = startMaker({ network, hosts: many }, '')
        const names = () =>
          readdirSync(namespaceFolder).filter((name) => name.startsWith(`landfall-segment-${maker.pid}-`))
        await until(() => names().length > 10)
        maker.kill('SIGKILL')
        await once(maker, 'exit')
        await until(() => names().length === 0)
      })

      it('of laboratories that nobody is left to remove', async () => {
        await withLab([], async (lab) => {
          const gone = spawnSync('true').pid
          const stale = [
            `landfall-segment-${gone}-1-0a0b0c0d-seeker`,
            // A process has the id again, but it is another one.
            `landfall-segment-${process.pid}-1-0a0b0c0d-seeker`,
          ]
          for (const name of stale) execFileSync('ip', ['netns', 'add', name])
          await withLab([], () => Promise.resolve())
          expect(stale.filter(isThere)).toEqual([])
          expect(lab.namespaces.every(isThere)).toBe(true)
        })
      })
    })

    it('is made with forty hosts in a moment', { concurrent: false }, async () => {
      const hosts = Array.from({ length: 40 }, (_, index): HostSpec => {
        return { kind: index % 2 === 0 ? 'answers' : 'drops', address: `10.10.200.${index + 1}` }
      })
      // Other tests run beside this one: measured is against forty programs that do nothing, twice.
      const ratios: number[] = []
      for (let attempt = 0; attempt < 2; attempt++) {
        const measured = performance.now()
        for (let program = 0; program < 40; program++) await run('ip', ['-V'], undefined)
        const started = performance.now()
        await withLab(hosts, async (lab) => {
          ratios.push((performance.now() - started) / (started - measured))
          const addresses = hosts.map(({ address }) => address)
          const answers = await nmapOracle.ask(lab, addresses)
          expect(addresses.filter((address) => answers.get(address)?.verdict !== 'up')).toEqual([])
        })
      }
      // With nothing else to do: half a second, twice as long as those programs. One `ip` after the other: more than 20.
      expect(Math.min(...ratios)).toBeLessThan(10)
    })
  },
)

const namespaceFolder = '/var/run/netns'

const isThere = (namespace: string) => existsSync(join(namespaceFolder, namespace))

/** Another process that makes a laboratory, then goes on with `lab`. */
function startMaker(options: SegmentLabOptions, then: string) {
  const module = pathToFileURL(join(import.meta.dirname, 'segment-lab.ts')).href
  const script = `
    import { createSegmentLab } from ${JSON.stringify(module)}
    const lab = await createSegmentLab(${JSON.stringify(options)})
    ${then}`
  return spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/**
 * What nping hears when it asks by ARP every 100 ms: how many questions had gone out when each first answer to one came,
 * and the MACs that answered.
 */
async function replies(
  lab: SegmentLab,
  address: string,
  questions: number,
): Promise<{ after: number[]; macs: string[] }> {
  const { seekerNamespace, seeker } = lab
  // nping would ask for the MAC first, and more than once; those questions count as well. This one is of no use.
  const entry = [address, 'lladdr', '02:00:00:00:00:01', 'dev', seeker.interface]
  const isAdded = (await lab.run(seekerNamespace, 'ip', ['neigh', 'add', ...entry])).exitCode === 0
  const { exitCode, stdout, stderr } = await lab.run(seekerNamespace, 'nping', [
    ...['--arp', '--interface', seeker.interface, '--delay', '100ms', '-c', String(questions), address],
  ])
  if (isAdded) await lab.exec(seekerNamespace, 'ip', 'neigh', 'delete', address, 'dev', seeker.interface)
  if (exitCode !== 0) throw new Error(`nping: ${stderr}${stdout}`)
  let sent = 0
  const after = new Set<number>()
  const macs = new Set<string>()
  for (const line of stdout.split('\n')) {
    if (line.startsWith('SENT')) sent++
    // It prints also what others are answered.
    const mac = line.split(` ARP reply ${address} is at `)[1]
    if (mac === undefined) continue
    after.add(sent)
    macs.add(mac.trim().toLowerCase())
  }
  expect(sent).toBe(questions)
  return { after: [...after], macs: [...macs] }
}

/** Numbers of the pings, beginning with 1, that were answered. */
async function pinged(lab: SegmentLab, address: string, count: number): Promise<number[]> {
  const { stdout } = await lab.run(lab.seekerNamespace, 'ping', [
    ...['-n', '-i', '0.1', '-W', '0.5', '-c', String(count), address],
  ])
  return [...stdout.matchAll(/bytes from .* icmp_seq=(\d+)/gu)].map(([, number]) => Number(number))
}

/** Whether somebody answers the probes of iputils for each address: sender 0.0.0.0. */
async function isClaimed(lab: SegmentLab, addresses: readonly string[]): Promise<boolean[]> {
  const answers = await iputilsOracle.ask(lab, addresses)
  return addresses.map((address) => {
    const verdict = answers.get(address)?.verdict
    expect(verdict).not.toBe('unclear')
    return verdict === 'up'
  })
}

/** Seeker and host need no ARP for each other any more. */
async function knowEachOther(lab: SegmentLab, host: SegmentHost): Promise<void> {
  const { seeker } = lab
  const entry = (address: string, mac: string) => [
    ...['neigh', 'replace', address, 'lladdr', mac, 'dev', 'eth0', 'nud', 'permanent'],
  ]
  await lab.exec(seeker.namespace, 'ip', ...entry(host.address, host.mac))
  await lab.exec(host.namespace, 'ip', ...entry(seeker.address, seeker.mac))
}

/** Counts on the bridge what comes from the hosts, by `framesFrom`. */
async function countFrames(lab: SegmentLab, hosts: readonly SegmentHost[]): Promise<void> {
  const lines = hosts.flatMap(({ legs }) =>
    legs.flatMap(({ port }) => [
      `iifname ${port} ether type arp counter comment "${port}-arp"`,
      `iifname ${port} ether type != arp counter comment "${port}-other"`,
    ]),
  )
  const input = `table bridge counting {
    chain forward {
      type filter hook forward priority -1
      ${lines.join('\n')}
    }
  }`
  const ended = await lab.run(lab.bridgeNamespace, 'nft', ['-f', '-'], { input })
  expect(ended).toMatchObject({ exitCode: 0 })
}

async function framesFrom(lab: SegmentLab, host: SegmentHost): Promise<{ arp: number; other: number }> {
  const listed = await lab.exec(lab.bridgeNamespace, 'nft', 'list', 'table', 'bridge', 'counting')
  const count = (what: string) => {
    const port = host.legs[0]?.port ?? ''
    const packets = new RegExp(`counter packets (\\d+) .*comment "${port}-${what}"`, 'u').exec(listed)?.[1]
    if (packets === undefined) throw new Error(`no counter of ${port}: ${listed}`)
    return Number(packets)
  }
  return { arp: count('arp'), other: count('other') }
}

function processesIn(namespaces: readonly string[]): number[] {
  return namespaces
    .flatMap((name) => spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout.split('\n'))
    .filter((line) => line !== '')
    .map(Number)
}

/** A process that ended and that nobody asked about yet does not count. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/mu.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending')
  return (await Promise.race([promise, Promise.resolve(pending)])) === pending
}

/** Waits for a condition that other processes bring about. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`did not happen: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
