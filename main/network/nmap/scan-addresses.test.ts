import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { observationSchema, type Observation } from '../../../shared/addresses/index.ts'
import { AppError } from '../../../shared/errors/index.ts'
import { createManualClock } from '../../engine/testing/manual-clock.ts'
import { createLocalRunner } from '../programs/local-runner.ts'
import { localNmap } from './local-nmap.ts'
import { nmapThrough, type NmapOutput, type NmapProgram, type NmapRunOptions } from './nmap-program.ts'
import type { NmapHost } from './parse-nmap-xml.ts'
import { scanWithNmap, type ScanOptions } from './scan-addresses.ts'
import { complain, fakeNmap, hang, say } from './testing/fake-nmap.ts'
import { nmapXml, recorded } from './testing/nmap-xml.ts'

const now = Date.UTC(2026, 10, 22, 10)
const macA = '02:00:00:00:00:0a'
const macB = '02:00:00:00:00:0b'

interface Call {
  readonly args: readonly string[]
  readonly options: NmapRunOptions
  readonly targets: readonly string[]
}

type Ended = Extract<NmapOutput, { kind: 'ended' }>
type Answer = Partial<Omit<Ended, 'kind'>> | Exclude<NmapOutput, Ended>

/** An nmap whose runs end as the test says; the last answer stands for all further runs. */
function scripted(...answers: Answer[]): NmapProgram & { calls: Call[] } {
  const calls: Call[] = []
  return {
    platform: 'linux',
    calls,
    run: (args, options) => {
      const answer = answers[Math.min(calls.length, answers.length - 1)] ?? {}
      calls.push({ args, options, targets: args.filter((arg) => /^\d+\.\d+\.\d+\.[\d,-]+$/u.test(arg)) })
      return Promise.resolve(
        'kind' in answer ? answer : { kind: 'ended', exitCode: 0, stdout: '', stderr: '', ...answer },
      )
    },
  }
}

const up = (address: string, reason: string, mac?: string): NmapHost => ({
  address,
  mac,
  state: 'up',
  reason,
})
const down = (address: string, reason = 'no-response'): NmapHost => ({
  address,
  mac: undefined,
  state: 'down',
  reason,
})
const byArp = (...hosts: NmapHost[]) => ({ stdout: nmapXml(hosts) })
const byConnections = (...hosts: NmapHost[]) => ({ stdout: nmapXml(hosts, { task: 'Ping Scan' }) })

const optionsFor = (nmap: NmapProgram, more: Partial<ScanOptions> = {}): ScanOptions => ({
  nmap,
  vantage: 'workstation',
  addresses: ['10.0.0.1', '10.0.0.2'],
  interface: 'eth0',
  isPrivileged: true,
  clock: createManualClock(now),
  signal: new AbortController().signal,
  ...more,
})

/** The answers of a scan, each observation in one line. */
async function scan(nmap: NmapProgram, more: Partial<ScanOptions> = {}) {
  const answers = await scanWithNmap(optionsFor(nmap, more))
  if (answers === undefined) throw new Error('there is no nmap')
  for (const observation of answers.observations) observationSchema.parse(observation)
  return { ...answers, lines: answers.observations.map(line) }
}
const line = ({ address, answer, layer, probes, macs, detail }: Observation) =>
  [address, answer, layer, String(probes), ...macs, detail].join(' ')

describe('with the privilege', () => {
  it('asks by ARP in two passes over the interface, the second one more patient', async () => {
    const nmap = scripted(byArp(up('10.0.0.1', 'arp-response', macA), down('10.0.0.2')))
    await scan(nmap)
    expect(nmap.calls.map(({ args }) => args.join(' '))).toEqual([
      '-sn -n -v -T4 --max-retries 2 --min-rate 500 -e eth0 10.0.0.1-2',
      '-sn -n -v -T4 --max-retries 2 --min-rate 500 --min-rtt-timeout 200ms -e eth0 10.0.0.1-2',
    ])
    expect(nmap.calls.map(({ options }) => [options.asRoot, options.deadlineSeconds])).toEqual([
      [true, 30],
      [true, 30],
    ])
  })

  it('says who answered, and who did not although asked twice in each pass', async () => {
    const nmap = scripted(byArp(up('10.0.0.1', 'arp-response', macA), down('10.0.0.2')))
    const { observations, warnings } = await scan(nmap)
    expect(observations).toEqual([
      {
        address: '10.0.0.1',
        vantage: 'workstation',
        method: 'nmap',
        at: new Date(now).toISOString(),
        answer: 'answered',
        layer: 'link',
        probes: 1,
        macs: [macA],
        detail: 'arp-response',
      },
      {
        address: '10.0.0.2',
        vantage: 'workstation',
        method: 'nmap',
        at: new Date(now).toISOString(),
        answer: 'silent',
        layer: 'link',
        probes: 4,
        macs: [],
        detail: 'no-response',
      },
    ])
    expect(warnings).toEqual([])
  })

  it('counts an answer in either pass', async () => {
    const first = byArp(up('10.0.0.1', 'arp-response', macA), down('10.0.0.2'))
    const second = byArp(down('10.0.0.1'), up('10.0.0.2', 'arp-response', macB))
    expect((await scan(scripted(first, second))).lines).toEqual([
      `10.0.0.1 answered link 1 ${macA} arp-response`,
      `10.0.0.2 answered link 1 ${macB} arp-response`,
    ])
  })

  it('shows two machines with one address when each answered first once', async () => {
    const pass = (mac: string) => byArp(up('10.0.0.1', 'arp-response', mac), down('10.0.0.2'))
    const { lines } = await scan(scripted(pass(macA), pass(macB)))
    expect(lines.slice(0, 2)).toEqual([
      `10.0.0.1 answered link 1 ${macA} arp-response`,
      `10.0.0.1 answered link 1 ${macA} ${macB} arp-response`,
    ])
  })

  it('tells an answer after the pass in which it came, silence after the last', async () => {
    const seen: string[] = []
    const nmap = scripted(byArp(up('10.0.0.1', 'arp-response', macA), down('10.0.0.2')))
    const run = nmap.run.bind(nmap)
    const watched: NmapProgram = {
      platform: 'linux',
      run: (...parameters) => {
        seen.push('pass')
        return run(...parameters)
      },
    }
    const { observations } = await scan(watched, {
      onObservation: ({ address }) => {
        seen.push(address)
      },
    })
    expect(seen).toEqual(['pass', '10.0.0.1', 'pass', '10.0.0.2'])
    expect(observations).toHaveLength(2)
  })

  it('does not take the word of an nmap that did something else than ARP', async () => {
    const nmap = scripted(byConnections(up('10.0.0.1', 'conn-refused'), down('10.0.0.2')))
    const { lines, warnings } = await scan(nmap)
    expect(lines).toEqual([
      '10.0.0.1 answered network 1 conn-refused',
      '10.0.0.2 silent network 4 no-response',
    ])
    expect(warnings).toEqual([
      'nmap on workstation did not ask by ARP although it should; what it did not hear says little.',
    ])
  })

  it('does not count silence when the system refused to send, although nmap reports success', async () => {
    const nmap = scripted({
      stdout: recorded('nothing-sent.xml'),
      stderr: recorded('nothing-sent.stderr.txt'),
    })
    const { observations, warnings } = await scan(nmap, {
      addresses: ['10.77.0.6', '10.77.0.7', '10.77.0.8'],
    })
    expect(observations.map(({ answer, probes }) => [answer, probes])).toEqual([
      ['unclear', 0],
      ['unclear', 0],
      ['unclear', 0],
    ])
    expect(warnings).toEqual([
      'nmap on workstation may not have sent all questions, so its silences do not count: WARNING: eth_send of ARP packet returned -1 rather than expected 42 (errno=105: No buffer space available)',
    ])
  })

  it('counts the silence of the pass that was sent when the other was not', async () => {
    const pass = byArp(down('10.0.0.1'), down('10.0.0.2'))
    const { lines } = await scan(scripted({ ...pass, stderr: 'eth_send failed' }, pass))
    expect(lines).toEqual(['10.0.0.1 silent link 2 no-response', '10.0.0.2 silent link 2 no-response'])
  })

  it('says what nmap did not ask, which is not silence', async () => {
    const nmap = scripted({ stdout: recorded('no-route.xml'), stderr: recorded('no-route.stderr.txt') })
    const { lines, warnings } = await scan(nmap, { addresses: ['10.55.0.7', '10.55.0.8'] })
    expect(lines).toEqual([
      '10.55.0.7 unclear network 0 not asked: invalid',
      '10.55.0.8 unclear network 0 not asked: invalid',
    ])
    expect(warnings).toEqual([
      'nmap on workstation did not ask 2 of 2 addresses (invalid). It said: WARNING: No targets were specified, so 0 hosts scanned.',
    ])
  })

  it('says what is missing in a report', async () => {
    const { lines, warnings } = await scan(scripted(byArp(down('10.0.0.1'))))
    expect(lines).toEqual([
      '10.0.0.1 silent link 4 no-response',
      '10.0.0.2 unclear network 0 not asked: not in the report',
    ])
    expect(warnings).toHaveLength(1)
  })

  it('ignores addresses that nobody asked about', async () => {
    const { lines } = await scan(
      scripted(byArp(down('10.0.0.1'), down('10.0.0.2'), up('10.0.0.3', 'arp-response', macA))),
    )
    expect(lines.filter((text) => text.startsWith('10.0.0.3'))).toEqual([])
  })

  it('takes an own address for used', async () => {
    const nmap = scripted({ stdout: recorded('own-address.xml') })
    const { lines } = await scan(nmap, { addresses: ['10.77.0.1'] })
    expect(lines).toEqual(['10.77.0.1 answered network 0 localhost-response'])
  })

  it('has nothing to say about hosts that are up because -Pn says so', async () => {
    const nmap = scripted({ stdout: recorded('taken-for-granted.xml') })
    const { observations } = await scan(nmap, { addresses: ['10.77.0.2', '10.77.0.3', '10.77.0.4'] })
    expect(observations.map(({ answer }) => answer)).toEqual(['unclear', 'unclear', 'unclear'])
  })

  it('may be refused, and then asks by connections', async () => {
    const refusal: NmapOutput = { kind: 'not-permitted', reason: 'sudo asks for a password' }
    const nmap = scripted(refusal, byConnections(up('10.0.0.1', 'conn-refused'), down('10.0.0.2')))
    const { lines, warnings } = await scan(nmap)
    expect(lines).toEqual([
      '10.0.0.1 answered network 1 conn-refused',
      '10.0.0.2 silent network 2 no-response',
    ])
    expect(warnings).toEqual([
      'nmap on workstation cannot ask by ARP, only by connections: sudo asks for a password.',
    ])
    expect(nmap.calls.map(({ options }) => options.asRoot)).toEqual([true, false])
    expect(nmap.calls[1]?.args).toContain('--unprivileged')
  })
})

describe('without the privilege', () => {
  it('asks once, by connections', async () => {
    const nmap = scripted(byConnections(up('10.0.0.1', 'conn-refused'), down('10.0.0.2', 'host-unreach')))
    const { lines } = await scan(nmap, { isPrivileged: false })
    expect(nmap.calls.map(({ args }) => args.join(' '))).toEqual([
      '-sn -n -v -T4 --max-retries 2 --unprivileged -e eth0 10.0.0.1-2',
    ])
    expect(nmap.calls[0]?.options.asRoot).toBe(false)
    expect(lines).toEqual([
      '10.0.0.1 answered network 1 conn-refused',
      '10.0.0.2 silent network 2 host-unreach',
    ])
  })

  it('never says silence of the link', async () => {
    const nmap = scripted(byArp(down('10.0.0.1'), down('10.0.0.2')))
    const { observations } = await scan(nmap, { isPrivileged: false })
    expect(observations.map(({ layer }) => layer)).toEqual(['network', 'network'])
  })

  it('does not take a network that cannot be reached for silence', async () => {
    const nmap = scripted({ stdout: recorded('unreachable.xml') })
    const { lines } = await scan(nmap, { isPrivileged: false, addresses: ['10.77.0.230', '10.77.0.255'] })
    expect(lines).toEqual([
      '10.77.0.230 silent network 2 host-unreach',
      '10.77.0.255 unclear network 0 net-unreach',
    ])
  })

  it('that cannot be run at all gives a warning', async () => {
    const nmap = scripted({ kind: 'not-permitted', reason: 'this account may not run it (EACCES)' })
    const { observations, warnings } = await scan(nmap, { isPrivileged: false })
    expect(observations).toEqual([])
    expect(warnings).toEqual(['nmap on workstation cannot be run: this account may not run it (EACCES).'])
    expect(nmap.calls).toHaveLength(1)
  })
})

describe('no nmap', () => {
  it('is no answer', async () => {
    await expect(scanWithNmap(optionsFor(scripted({ kind: 'missing' })))).resolves.toBeUndefined()
  })
})

describe('the addresses', () => {
  const many = Array.from({ length: 2500 }, (_, index) => `10.1.${String(index >> 8)}.${String(index & 255)}`)

  it('are asked in ascending order, each once', async () => {
    const nmap = scripted(byArp())
    await scan(nmap, { addresses: ['10.0.1.0', '10.0.0.9', '10.0.0.10', '10.0.0.9'] })
    expect(nmap.calls[0]?.targets).toEqual(['10.0.0.9-10', '10.0.1.0'])
  })

  it('of a large network go into several runs, faster ones', async () => {
    const nmap = scripted(byArp())
    await scan(nmap, { addresses: many })
    expect(nmap.calls.map(({ targets }) => targets.join(' '))).toEqual(
      [
        '10.1.0.0-255 10.1.1.0-255 10.1.2.0-255 10.1.3.0-255',
        '10.1.4.0-255 10.1.5.0-255 10.1.6.0-255 10.1.7.0-255',
        '10.1.8.0-255 10.1.9.0-195',
      ].flatMap((targets) => [targets, targets]),
    )
    for (const { args } of nmap.calls) expect(args[args.indexOf('--min-rate') + 1]).toBe('1000')
  })

  it('fill only a part of the neighbour table at a time when the operating system asks', async () => {
    const nmap = scripted(byConnections())
    await scan(nmap, { addresses: many, isPrivileged: false })
    expect(nmap.calls).toHaveLength(10)
    expect(nmap.calls[0]?.targets).toEqual(['10.1.0.0-255'])
  })

  it('are addresses: nothing else gets to nmap', async () => {
    const nmap = scripted(byArp())
    for (const address of ['--script=x', '10.0.0.0/24', 'localhost', '10.0.0.256', '010.0.0.1', '::1', '']) {
      await expect(scanWithNmap(optionsFor(nmap, { addresses: [address] }))).rejects.toThrow(
        'not an IPv4 address',
      )
    }
    expect(nmap.calls).toEqual([])
  })

  it('may be none', async () => {
    const nmap = scripted(byArp())
    await expect(scan(nmap, { addresses: [] })).resolves.toMatchObject({ observations: [], warnings: [] })
    expect(nmap.calls).toEqual([])
  })

  it('are asked along the routes on Windows, where nmap has names of its own for interfaces', async () => {
    const nmap = scripted(byArp())
    await scan({ ...nmap, platform: 'win32' })
    expect(nmap.calls[0]?.args).not.toContain('-e')
  })
})

describe('a run that cannot be trusted', () => {
  const good = byArp(up('10.0.0.1', 'arp-response', macA), down('10.0.0.2'))
  const cases: [string, Answer, string][] = [
    [
      'that hangs',
      { kind: 'killed', reason: 'deadline', stdout: good.stdout, stderr: 'line one\n\u001b[31mstuck\n' },
      'nmap on workstation did not end within 30 s and was stopped; nothing of it is used. It said: ·[31mstuck',
    ],
    [
      'that floods',
      { kind: 'killed', reason: 'output', stdout: good.stdout, stderr: '' },
      'nmap on workstation wrote far too much and was stopped; nothing of it is used.',
    ],
    [
      'that fails',
      { ...good, exitCode: 1, stderr: 'no such option\nQUITTING!\n' },
      'nmap on workstation failed with exit code 1; nothing of it is used. It said: no such option',
    ],
    [
      'that a signal ended',
      { ...good, exitCode: null },
      'nmap on workstation was ended by a signal; nothing of it is used.',
    ],
    [
      'that gave up with a reason',
      {
        stdout: recorded('no-such-interface.xml'),
        stderr: recorded('no-such-interface.stderr.txt'),
        exitCode: 1,
      },
      'nmap on workstation failed: I cannot figure out what source address to use for device nope, does it even exist?',
    ],
    [
      'that wrote half a report',
      { stdout: good.stdout.slice(0, 900) },
      'nmap on workstation wrote only a part of its report (it ends with:',
    ],
    [
      'that wrote rubbish',
      { stdout: 'Segmentation fault' },
      'nmap on workstation wrote something that is no report of nmap (Segmentation fault); nothing of it is used.',
    ],
    ['that wrote nothing', { stdout: '' }, 'nmap on workstation wrote no report; nothing of it is used.'],
  ]

  it.each(cases)('%s: a warning and no observation', async (_name, answer, warning) => {
    const nmap = scripted(answer)
    const { observations, warnings } = await scan(nmap)
    expect(observations).toEqual([])
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(warning)
    expect(nmap.calls).toHaveLength(1)
  })

  it.each(cases)('%s in the second pass: what the first one heard stays', async (_name, answer, warning) => {
    const { lines, warnings } = await scan(scripted(good, answer))
    expect(lines).toEqual([
      `10.0.0.1 answered link 1 ${macA} arp-response`,
      '10.0.0.2 silent link 2 no-response',
    ])
    expect(warnings[0]).toContain(warning)
  })

  it('ends the scan, and the rest of a large network is said to be open', async () => {
    const addresses = Array.from(
      { length: 2500 },
      (_, index) => `10.1.${String(index >> 8)}.${String(index & 255)}`,
    )
    const report = byArp(...addresses.slice(0, 1024).map((address) => down(address)))
    const nmap = scripted(report, report, { stdout: 'rubbish' })
    const { observations, warnings } = await scan(nmap, { addresses })
    expect(nmap.calls).toHaveLength(3)
    expect(observations).toHaveLength(1024)
    expect(warnings).toEqual([
      expect.stringContaining('no report of nmap'),
      'nmap on workstation was not used for the last 1476 addresses.',
    ])
  })

  it('because the node is out of reach is an error of the connection', async () => {
    const error = new AppError({ code: 'SSH_CONNECTION_LOST', title: 'The connection was lost.' })
    const nmap: NmapProgram = { platform: 'linux', run: () => Promise.reject(error) }
    await expect(scanWithNmap(optionsFor(nmap))).rejects.toBe(error)
  })
})

describe.runIf(process.platform !== 'win32')('with a process', () => {
  const implementations: [string, (script: string) => NmapProgram][] = [
    ['through node-nmap', (script) => localNmap({ location: fakeNmap(script).file })],
    [
      'through a runner',
      (script) => {
        const environment = { ...process.env, PATH: fakeNmap(script).folder }
        return nmapThrough(createLocalRunner({ environment, isRoot: true }))
      },
    ],
  ]
  const report = nmapXml([up('10.0.0.1', 'conn-refused'), down('10.0.0.2')], { task: 'Ping Scan' })

  it.each(implementations)('reads its report %s', async (_name, create) => {
    const { lines, warnings } = await scan(create(say(report)), { isPrivileged: false })
    expect(lines).toEqual([
      '10.0.0.1 answered network 1 conn-refused',
      '10.0.0.2 silent network 2 no-response',
    ])
    expect(warnings).toEqual([])
  })

  it.each(implementations)('that hangs after its report is not believed, %s', async (_name, create) => {
    const nmap = create(say(report) + complain('still here\n') + hang)
    const { observations, warnings } = await scan(nmap, { isPrivileged: false, deadlineSeconds: 2 })
    expect(observations).toEqual([])
    expect(warnings[0]).toContain('did not end within 2 s')
  })

  it.each(implementations)('that dies at once gives a warning, %s', async (_name, create) => {
    const nmap = create(complain('nmap: cannot open libpcap\n') + 'process.exitCode = 127')
    const { observations, warnings } = await scan(nmap, { isPrivileged: false })
    expect(observations).toEqual([])
    expect(warnings[0]).toContain('exit code 127; nothing of it is used. It said: nmap: cannot open libpcap')
  })

  it.each(implementations)('is stopped by an abort, which is the reason, %s', async (_name, create) => {
    const stop = new AbortController()
    const reason = new Error('stopped by the operator')
    const running = scanWithNmap(optionsFor(create(hang), { signal: stop.signal, isPrivileged: false }))
    stop.abort(reason)
    await expect(running).rejects.toBe(reason)
  })
})

describe('whatever nmap reports', () => {
  const addresses = Array.from({ length: 8 }, (_, index) => `10.0.0.${String(index + 1)}`)
  const outcome = fc.record({
    state: fc.constantFrom('up', 'down', 'unknown', 'skipped'),
    reason: fc.constantFrom(
      'arp-response',
      'no-response',
      'conn-refused',
      'user-set',
      'host-unreach',
      'net-unreach',
    ),
    mac: fc.constantFrom(macA, macB, undefined),
    isListed: fc.boolean(),
  })
  const pass = fc.array(outcome, { minLength: addresses.length, maxLength: addresses.length })
  const hostsOf = (
    outcomes: readonly { state: string; reason: string; mac: string | undefined; isListed: boolean }[],
  ) =>
    addresses.flatMap((address, index) => {
      const found = outcomes[index]
      return found?.isListed === true
        ? [{ address, mac: found.mac, state: found.state as NmapHost['state'], reason: found.reason }]
        : []
    })

  it('an address that answered is never silent, and silence was always asked for', async () => {
    await fc.assert(
      fc.asyncProperty(
        pass,
        pass,
        fc.boolean(),
        fc.constantFrom('ARP Ping Scan', 'Ping Scan'),
        fc.constantFrom('', 'eth_send failed'),
        async (first, second, isPrivileged, task, stderr) => {
          const passes = [first, second].map(hostsOf)
          const nmap = scripted(...passes.map((hosts) => ({ stdout: nmapXml(hosts, { task }), stderr })))
          const { observations } = await scan(nmap, { addresses, isPrivileged })
          const used = isPrivileged ? passes.flat() : (passes[0] ?? [])
          for (const address of addresses) {
            const told = observations.filter((observation) => observation.address === address)
            const seen = used.filter((host) => host.address === address)
            const hasAnswered = seen.some(
              ({ state, reason }) => state === 'up' && ['arp-response', 'conn-refused'].includes(reason),
            )
            expect(told.some(({ answer }) => answer === 'answered')).toBe(hasAnswered)
            expect(told.some(({ answer }) => answer === 'silent') && hasAnswered).toBe(false)
            for (const { answer, layer, probes } of told) {
              if (answer !== 'silent') continue
              expect(probes).toBeGreaterThan(0)
              expect(stderr).toBe('')
              if (layer === 'link') expect([isPrivileged, task]).toEqual([true, 'ARP Ping Scan'])
            }
            expect(told.length).toBeGreaterThan(0)
          }
        },
      ),
    )
  })
})
