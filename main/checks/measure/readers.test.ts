import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { partsOf, readScriptOutput } from './job-output.ts'
import {
  bytesOfHex,
  dnsQuestion,
  ntpQuestion,
  readDnsAnswer,
  readNtpAnswer,
  reverseName,
} from './messages.ts'
import { peersOf } from './pairs.ts'
import {
  portState,
  readDatagram,
  readDisk,
  readLookup,
  readOwn,
  readPeer,
  readPorts,
  readWeb,
} from './read-jobs.ts'
import { readPing } from './read-ping.ts'
import { measureScript, readMeasureScript, type Job } from './script.ts'

/** Printed by iputils 20221126 and BusyBox 1.35. */
const iputils = `PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.
64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.020 ms
64 bytes from 10.0.0.2: icmp_seq=3 ttl=64 time=0.042 ms

--- 10.0.0.2 ping statistics ---
5 packets transmitted, 2 received, 60% packet loss, time 813ms
rtt min/avg/max/mdev = 0.020/0.031/0.042/0.011 ms`
const busybox = `PING 10.0.0.2 (10.0.0.2): 56 data bytes
64 bytes from 10.0.0.2: seq=0 ttl=63 time=0.045 ms
64 bytes from 10.0.0.2: seq=1 ttl=63 time=0.069 ms

--- 10.0.0.2 ping statistics ---
2 packets transmitted, 2 packets received, 0% packet loss
round-trip min/avg/max = 0.045/0.057/0.069 ms`

const mark = 'landfall-0123456789'
const output = (frames: readonly string[], end = 'end') => {
  const text = [
    'Welcome to node-7',
    `${mark} start`,
    ...[...frames, end].map((frame) => `${mark} 0 ${frame}`),
    '',
  ]
  const job = readScriptOutput(mark, text.join('\n')).jobs.get(0)
  if (job === undefined) throw new Error('no job')
  return { output: job }
}
const lines = (text: string) => text.split('\n').map((line) => `| ${line}`)

describe('the output of ping', () => {
  it('is read in both dialects', () => {
    expect(readPing(iputils)).toEqual({
      ...{ sent: 5, received: 2, timeToLive: 64 },
      roundTrip: { minimum: 0.02, average: 0.031, maximum: 0.042 },
    })
    expect(readPing(busybox)).toEqual({
      ...{ sent: 2, received: 2, timeToLive: 63 },
      roundTrip: { minimum: 0.045, average: 0.057, maximum: 0.069 },
    })
  })

  it('that is cut before its summary tells nothing', () => {
    for (const text of [iputils, busybox]) {
      const summary = text.indexOf('packets transmitted')
      for (let length = 0; length < summary; length += 1)
        expect(readPing(text.slice(0, length))).toBeUndefined()
    }
  })

  it('of several runs is added up', () => {
    const answer = output([
      'part ping',
      ...lines(iputils),
      'status 0',
      'part more',
      ...lines(busybox),
      'status 0',
    ])
    const { ping } = readPeer(answer, '10.0.0.2')
    expect(ping).toMatchObject({ kind: 'read', value: { sent: 7, received: 4, timeToLive: 64 } })
    expect(ping.kind === 'read' ? ping.value.roundTrip?.average : 0).toBeCloseTo(0.044, 6)
  })

  it('that is not there, or complains, is no measurement', () => {
    expect(readPeer(output(['missing ping']), 'a').ping).toMatchObject({
      kind: 'unread',
      reason: 'there is no program ping on the node',
    })
    const denied = output([
      'part ping',
      '| PING 10.0.0.2',
      '| ping: permission denied (are you root?)',
      'status 1',
    ])
    expect(readPeer(denied, 'a').ping).toMatchObject({
      kind: 'unread',
      reason: 'ping says: ping: permission denied (are you root?)',
    })
    expect(readPeer({ trouble: 'lost' }, 'a').path).toMatchObject({ kind: 'unread', reason: 'lost' })
    expect(readPeer(output([], 'skipped'), 'a').link.kind).toBe('unread')
  })
})

describe('the path to a peer', () => {
  const reached = ['part ping', ...lines(iputils), 'status 0']
  const some = (count: number) => `| 3 packets transmitted, ${count} received, x% packet loss`

  it('names the largest size that passes', () => {
    const frames = [...reached, 'part path 9000', some(0), 'status 1', 'part path 1500', some(3), 'status 0']
    expect(
      readPeer(output([...frames, 'passes 1500', 'passes 4000', 'part searched']), 'a').path,
    ).toMatchObject({
      value: {
        sizes: [
          { bytes: 9000, passes: false },
          { bytes: 1500, passes: true },
        ],
        largest: 4000,
      },
    })
  })

  it('is not known where ping cannot forbid fragments, or was cut off', () => {
    const old = [...reached, 'part path 1500', "| ping: invalid option -- 'M'", 'status 1']
    expect(readPeer(output(old), 'a').path.kind).toBe('unread')
    expect(readPeer(output([...reached, 'part path 1500', some(3)]), 'a').path.kind).toBe('unread')
    expect(readPeer(output(reached), 'a').path.kind).toBe('unread')
  })

  it('goes through a router when the routing table says so, or nobody answered ARP', () => {
    const way = 'way 10.0.1.2 via 10.0.0.1 dev eth0 src 10.0.0.5 uid 0'
    expect(
      readPeer(output([way, ...reached, 'part neighbours', 'end-of neighbours']), 'a').link,
    ).toMatchObject({
      value: { via: '10.0.0.1' },
    })
    const asked = ['part neighbours', 'neighbour 00:00:00:00:00:00 eth0 0x0', 'end-of neighbours']
    expect(readPeer(output([...reached, ...asked]), 'a').link).toMatchObject({ kind: 'read', value: {} })
    expect(readPeer(output([...reached, 'part neighbours']), 'a').link.kind).toBe('unread')
  })
})

describe('a TCP connection', () => {
  it.each([
    [0, '', 'open'],
    [1, '10.0.0.2: connect: Connection refused', 'refused'],
    [1, "nc: can't connect to remote host (10.0.0.2): Connection refused", 'refused'],
    [1, 'ConnectionRefusedError: [Errno 111] Connection refused', 'refused'],
    [124, '', 'silent'],
    [137, '', 'silent'],
    [1, 'TimeoutError: timed out', 'silent'],
    [1, '10.0.0.2: connect: No route to host', 'unreachable'],
    [127, 'bash: not found', 'unknown'],
    [1, '', 'unknown'],
  ] as const)('with exit code %i and "%s" is %s', (code, text, state) => {
    expect(portState(code, text)).toBe(state)
  })

  it('that the node did not tell of is not known', () => {
    expect(readPorts(output(['port 22 0 ']), 'a', [22, 443])).toMatchObject({
      value: [
        { port: 22, state: 'open' },
        { port: 443, state: 'unknown' },
      ],
    })
  })
})

describe('other answers', () => {
  it('of resolver, web and interfaces are read, and never guessed', () => {
    expect(
      readLookup(output(['| 10.0.0.9   STREAM r', '| 10.0.0.9   DGRAM', 'status 0']), 'r'),
    ).toMatchObject({ value: ['10.0.0.9'] })
    expect(readLookup(output(['status 2']), 'r')).toMatchObject({ value: [] })
    expect(readLookup(output(['status 124']), 'r').kind).toBe('unread')
    const web = (...frames: string[]) => readWeb(output(frames), 'https://r/v2/')
    expect(web('part curl', '| http=401', 'status 0')).toMatchObject({
      value: { kind: 'status', status: 401 },
    })
    expect(web('part wget', '|   HTTP/1.1 401 Unauthorized', 'status 6')).toMatchObject({
      value: { status: 401 },
    })
    expect(
      web(
        'part curl',
        '| curl: (60) SSL certificate problem: unable to get local issuer certificate',
        '| http=000',
        'status 60',
      ),
    ).toMatchObject({ value: { kind: 'untrusted' } })
    expect(web('part curl', '| curl: (7) Failed to connect', '| http=000', 'status 7')).toMatchObject({
      value: { kind: 'failed' },
    })
    expect(web('missing curl or wget').kind).toBe('unread')
    expect(readOwn(output(['interface eth0 52:54:00:00:00:01 1500', 'ttl 64']))).toMatchObject({
      value: { timeToLive: 64 },
    })
    expect(readOwn(output(['interface eth0 52:54:00:00:00:01 1500'], 'part x')).kind).toBe('unread')
  })

  it('of a disk are the slowest of a hundred, or nothing', () => {
    const write = (seconds: string) => `write 0 2300 bytes (2.3 kB, 2.2 KiB) copied, ${seconds} s, 1.9 MB/s`
    const writes = Array.from({ length: 100 }, (_, index) => write(index < 98 ? '0.001' : '6.1e-02'))
    expect(readDisk(output(['part dd /usr/local', ...writes]))).toMatchObject({
      value: { tool: 'dd', writes: 100, percentile99: 61 },
    })
    expect(readDisk(output(['part dd /usr/local', ...writes.slice(0, 19)])).kind).toBe('unread')
    const fio = (milliseconds: number) =>
      lines(
        JSON.stringify(
          { jobs: [{ sync: { total_ios: 9, lat_ns: { percentile: { '99.000000': milliseconds * 1e6 } } } }] },
          null,
          1,
        ),
      )
    const both = ['part fio /usr/local', ...fio(3), 'status 0', 'part fio /usr/local', ...fio(12), 'status 0']
    expect(readDisk(output(both))).toMatchObject({ value: { tool: 'fio', percentile99: 12 } })
    expect(readDisk(output(['part noroom'])).kind).toBe('unread')
  })
})

describe('the output of the script', () => {
  const pieces = fc.oneof(
    fc.string(),
    fc.constantFrom(
      `\n${mark} start\n`,
      `${mark} 0 part ping\n`,
      ...`${iputils}\n`.split('\n').map((line) => `${mark} 0 | ${line}\n`),
      ...[
        'status 0',
        'port 22 0',
        'way x via',
        'neighbour a b',
        'passes x',
        'end',
        'missing',
        'ttl',
        'interface',
      ].map((word) => `${mark} 0 ${word}\n`),
    ),
  )

  it('of any kind is read without an error, and a cut one never says more', () => {
    fc.assert(
      fc.property(fc.array(pieces), fc.nat(), (all, at) => {
        const text = all.join('')
        const whole = readScriptOutput(mark, text)
        const cut = readScriptOutput(mark, text.slice(0, at % (text.length + 1)))
        for (const [id, job] of cut.jobs) {
          const full = whole.jobs.get(id)?.frames ?? []
          expect(full.slice(0, job.frames.length)).toEqual(job.frames)
          const answer = { output: job }
          readPeer(answer, 'a')
          readPorts(answer, 'a', [22])
          readDisk(answer)
          readWeb(answer, 'u')
          readOwn(answer)
          readDatagram(answer, 's')
          partsOf(job)
        }
      }),
    )
  })

  it('without its mark is noise', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!text.includes(mark))
        expect(readScriptOutput(mark, text)).toMatchObject({ hasStarted: false, jobs: new Map() })
      }),
    )
  })
})

describe('messages', () => {
  it('to name servers are answered by what is in them', () => {
    const question = dnsQuestion(0x1234, 'a.example', 'A')
    expect(Buffer.from(question).toString('hex')).toBe(
      '12340100000100000000000001610765786 16d706c650000010001'.replace(' ', ''),
    )
    const answer = Uint8Array.from([
      ...[0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0, ...question.subarray(12)],
      ...[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, 4, 1, 98, 0xc0, 14],
      ...[0xc0, 39, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 0, 0, 7],
    ])
    expect(readDnsAnswer(0x1234, answer)).toEqual({ code: 'NOERROR', addresses: ['10.0.0.7'], names: [] })
    expect(readDnsAnswer(0x1235, answer)).toBeUndefined()
    expect(readDnsAnswer(0x1234, question)).toBeUndefined()
    expect(reverseName('10.0.1.2')).toBe('2.1.0.10.in-addr.arpa')
    expect(() => dnsQuestion(1, `${'x'.repeat(64)}.example`, 'A')).toThrow(TypeError)
  })

  it('of any kind are read without an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (tail) => {
        const bytes = Uint8Array.from([0, 7, 0x81, 0x80, ...tail])
        const answer = readDnsAnswer(7, bytes)
        if (answer !== undefined) expect(bytes.length).toBeGreaterThanOrEqual(12)
        readNtpAnswer(bytes)
      }),
    )
  })

  it('of time servers count when the server knows the time', () => {
    const of = (first: number, stratum: number) =>
      readNtpAnswer(Uint8Array.from([first, stratum, ...new Array<number>(46).fill(0)]))
    expect(of(0x24, 2)).toEqual({ stratum: 2, isSynchronized: true })
    expect(of(0xe4, 2)).toMatchObject({ isSynchronized: false })
    expect(of(0x24, 0)).toMatchObject({ isSynchronized: false })
    expect(of(0x24, 16)).toMatchObject({ isSynchronized: false })
    expect(of(0x23, 2)).toBeUndefined()
    expect(readNtpAnswer(ntpQuestion())).toBeUndefined()
  })

  it('in hexadecimal digits come back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
        expect(bytesOfHex(Buffer.from(bytes).toString('hex').replace(/(..)/gu, ' $1'))).toEqual(bytes)
      }),
    )
    expect(bytesOfHex('no route')).toBeUndefined()
    expect(bytesOfHex('')).toBeUndefined()
  })
})

describe('the script', () => {
  const word = fc.stringMatching(/^[a-z0-9.:/-]{1,20}$/u)
  const port = fc.integer({ min: 1, max: 65_535 })
  const job: fc.Arbitrary<Job> = fc.oneof(
    fc.constantFrom<Job>({ kind: 'own' }, { kind: 'disk' }),
    fc.record({ kind: fc.constant('peer' as const), address: word, mtu: port }),
    fc.record({
      kind: fc.constant('ports' as const),
      address: word,
      ports: fc.array(port, { minLength: 1 }),
    }),
    fc.record({
      kind: fc.constant('datagram' as const),
      host: word,
      port,
      payload: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    }),
    fc.record({ kind: fc.constant('web' as const), url: word }),
  )

  it('tells back what it was made of', () => {
    fc.assert(
      fc.property(fc.array(job), (jobs) => {
        expect(readMeasureScript(measureScript(mark, 20, jobs))).toEqual({ mark, jobs })
      }),
    )
    expect(readMeasureScript('echo')).toBeUndefined()
  })

  it('refuses what would leave its quotes', () => {
    expect(() => measureScript(mark, 20, [{ kind: 'web', url: "x'; reboot" }])).toThrow(TypeError)
    expect(() => measureScript('a b', 20, [])).toThrow(TypeError)
  })

  it.each([['dash'], ['bash'], ['busybox', 'ash']])(
    'runs in %s %s, and measures this machine over loopback',
    (program, ...args) => {
      const jobs: Job[] = [{ kind: 'own' }, { kind: 'ports', address: '127.0.0.1', ports: [1] }]
      const { stdout, error } = spawnSync(program, [...args, '-s'], {
        input: measureScript(mark, 20, jobs),
        encoding: 'utf8',
      })
      if (error !== undefined) return
      const { isComplete, jobs: found } = readScriptOutput(mark, stdout)
      expect(isComplete).toBe(true)
      const [own, ports] = [found.get(0), found.get(1)]
      if (own === undefined || ports === undefined) throw new Error(stdout)
      expect(readOwn({ output: own })).toMatchObject({ kind: 'read', value: { timeToLive: 64 } })
      expect(readPorts({ output: ports }, '127.0.0.1', [1])).toMatchObject({ value: [{ state: 'refused' }] })
    },
  )

  it('does not run the .bashrc of the account, which bash does over SSH for every command', () => {
    const home = mkdtempSync(join(tmpdir(), 'landfall-home-'))
    try {
      writeFileSync(join(home, '.bashrc'), 'echo slow greeting\nsleep 8\n')
      const jobs: Job[] = [
        { kind: 'ports', address: '127.0.0.1', ports: [1] },
        { kind: 'datagram', host: '127.0.0.1', port: 1, payload: Uint8Array.of(1) },
      ]
      const { stdout } = spawnSync('sh', ['-s'], {
        input: measureScript(mark, 20, jobs),
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], HOME: home, SSH_CLIENT: '192.0.2.1 50000 22' },
      })
      const [ports, datagram] = [0, 1].map((id) => readScriptOutput(mark, stdout).jobs.get(id))
      if (ports === undefined || datagram === undefined) throw new Error(stdout)
      expect(readPorts({ output: ports }, '127.0.0.1', [1])).toMatchObject({ value: [{ state: 'refused' }] })
      expect(readDatagram({ output: datagram }, 'UDP')).toMatchObject({ kind: 'unread', reason: 'no answer' })
    } finally {
      rmSync(home, { recursive: true, force: true })
    }
  })
})

describe('who asks whom', () => {
  const nodes = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ name: `n${index + 1}`, isControlPlane: index < 5 }))

  it('is everybody up to twelve nodes', () => {
    for (const [, peers] of peersOf(nodes(12), 'n1')) expect(peers).toHaveLength(11)
  })

  it('is bounded, never oneself, and connects all of a larger fleet', () => {
    fc.assert(
      fc.property(fc.integer({ min: 13, max: 200 }), (count) => {
        const peers = peersOf(nodes(count), 'n1')
        for (const [name, own] of peers) {
          expect(own.map((one) => one.name)).not.toContain(name)
          expect(new Set(own).size).toBe(own.length)
          if (name !== 'n1') {
            expect(own.length).toBeLessThanOrEqual(1 + 4 + 12)
            expect(own.map((one) => one.name)).toContain('n1')
          }
        }
        expect(peers.get('n1')).toHaveLength(count - 1)
        const control = ['n1', 'n2', 'n3', 'n4', 'n5']
        for (const name of control) {
          expect(peers.get(name)?.map((one) => one.name)).toEqual(
            expect.arrayContaining(control.filter((one) => one !== name)),
          )
        }
      }),
    )
  })
})
