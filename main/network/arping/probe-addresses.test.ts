import { describe, expect, it } from 'vitest'
import { observationSchema, type Observation } from '../../../shared/addresses/index.ts'
import type { Clock } from '../../engine/clock.ts'
import type { ProgramResult } from '../programs/program-runner.ts'
import type { UsableArping } from './detect-arping.ts'
import { probeWithArping, type ProbeAddressesOptions } from './probe-addresses.ts'
import { ended, FakeRunner, type FakeCall } from './testing/fake-runner.ts'

const mac = '02:00:00:00:00:02'
const arping: UsableArping = {
  kind: 'iputils',
  program: '/usr/bin/arping',
  leadingArguments: [],
  version: '20221126',
}
const habets: UsableArping = { ...arping, kind: 'habets', program: '/usr/sbin/arping', version: '2.23' }
const clock: Clock = { now: () => Date.UTC(2026, 10, 22, 9, 30), sleep: () => Promise.resolve() }
const linkUp = ended('1\n4\n0x1003\n')
const refused = ended('', 2, 'arping: socket: Operation not permitted\n')

/** What iputils writes about a free address, or about one with owners. */
function heard({ args }: FakeCall, ...macs: string[]): ProgramResult {
  const [address = '', interfaceName = ''] = args.toReversed()
  const isDetection = args.includes('-D')
  const requests = isDetection && macs.length > 0 ? 1 : Number(args[args.indexOf('-c') + 1])
  const exitCode = macs.length > 0 === isDetection ? 1 : 0
  return ended(
    [
      `ARPING ${address} from ${isDetection ? '0.0.0.0' : '10.0.0.1'} ${interfaceName}`,
      ...macs.map((from) => `Unicast reply from ${address} [${from.toUpperCase()}]  0.558ms`),
      `Sent ${requests} probes (${requests} broadcast(s))`,
      `Received ${macs.length} response(s)`,
      '',
    ].join('\n'),
    exitCode,
  )
}

/** A place whose interface has a link, and whose arping answers from a function. */
function place(answer: (call: FakeCall) => ProgramResult | Promise<ProgramResult> | undefined): FakeRunner {
  return new FakeRunner((call) => (call.program === 'cat' ? linkUp : answer(call)))
}

function arpings(runner: FakeRunner): FakeCall[] {
  return runner.calls.filter(({ program }) => program.endsWith('arping'))
}

function addressOf({ args }: FakeCall): string {
  return args.at(-1) ?? ''
}

async function probe(runner: FakeRunner, change: Partial<ProbeAddressesOptions> = {}) {
  const answers = await probeWithArping({
    runner,
    vantage: 'n1',
    addresses: ['10.0.0.8', '10.0.0.9'],
    interface: 'eth0',
    kind: 'arp-probe',
    clock,
    signal: new AbortController().signal,
    ownAddresses: ['10.0.0.1'],
    arping,
    ...change,
  })
  return { observations: answers?.observations ?? [], warnings: answers?.warnings ?? [], answers }
}

describe('probing addresses', () => {
  it('gives an observation of each', async () => {
    const runner = place((call) => (addressOf(call) === '10.0.0.8' ? heard(call, mac) : heard(call)))
    const told: Observation[] = []
    const { observations, warnings } = await probe(runner, {
      onObservation: (observation) => told.push(observation),
    })
    const common = { vantage: 'n1', method: 'arp-probe', at: '2026-11-22T09:30:00.000Z', layer: 'link' }
    expect(observations).toEqual([
      {
        ...common,
        address: '10.0.0.8',
        answer: 'answered',
        probes: 1,
        macs: [mac],
        detail: `arping (iputils 20221126): answer from ${mac}`,
      },
      {
        ...common,
        address: '10.0.0.9',
        answer: 'silent',
        probes: 4,
        macs: [],
        detail: 'arping (iputils 20221126): no answer to 4 requests',
      },
    ])
    for (const observation of observations) expect(observationSchema.parse(observation)).toEqual(observation)
    expect(told).toEqual(observations)
    expect(warnings).toEqual([])
  })

  it('collects all who answer ordinary requests', async () => {
    const other = '02:00:00:00:00:03'
    const { observations } = await probe(
      place((call) => heard(call, mac, other, mac)),
      { kind: 'arping', count: 2 },
    )
    expect(observations).toMatchObject([
      { method: 'arping', answer: 'answered', macs: [mac, other], probes: 2 },
      { method: 'arping', answer: 'answered', macs: [mac, other], probes: 2 },
    ])
  })

  it('never detects duplicates with less than the three probes of RFC 5227', async () => {
    const runner = place((call) => heard(call))
    await probe(runner, { count: 1 })
    await probe(runner, { count: 5 })
    await probe(runner, { kind: 'arping', count: 1 })
    const counts = arpings(runner).map(({ args }) => args[args.indexOf('-c') + 1])
    expect(counts).toEqual(['4', '4', '6', '6', '1', '1'])
  })

  it('finds the program first where it is not known', async () => {
    const runner = place((call) =>
      call.args.includes('-V') ? ended('arping from iputils 20221126\n') : heard(call),
    )
    const { observations } = await probe(runner, { arping: undefined })
    expect(observations.map(({ answer }) => answer)).toEqual(['silent', 'silent'])
    expect(runner.calls[0]?.args).toEqual(['-V'])
  })

  it('is not possible without a program that is known', async () => {
    const missing = new FakeRunner(() => ({ kind: 'missing' }))
    expect((await probe(missing, { arping: undefined })).answers).toBeUndefined()
    expect((await probe(missing, { arping: { kind: 'unknown', detail: 'toybox' } })).answers).toBeUndefined()
  })

  it('of no address runs nothing', async () => {
    const runner = place((call) => heard(call))
    expect((await probe(runner, { addresses: [] })).answers).toEqual({ observations: [], warnings: [] })
    expect(runner.calls).toEqual([])
  })

  it('does not ask for own addresses, because no arping hears the answer', async () => {
    const runner = place((call) => heard(call))
    const { observations, warnings } = await probe(runner, { ownAddresses: ['10.0.0.8', '10.0.0.1'] })
    expect(observations.find(({ address }) => address === '10.0.0.8')).toMatchObject({
      answer: 'unclear',
      probes: 0,
    })
    expect(arpings(runner).map(addressOf)).toEqual(['10.0.0.9'])
    expect(warnings).toEqual([])
  })

  it('runs nothing for a name or an address that is none', async () => {
    const runner = place((call) => heard(call))
    await expect(probe(runner, { interface: '-D' })).rejects.toMatchObject({ code: 'INTERFACE_NAME_INVALID' })
    await expect(probe(runner, { addresses: ['10.0.0.9', '--help'] })).rejects.toMatchObject({
      code: 'ADDRESS_INVALID',
    })
    expect(runner.calls).toEqual([])
  })
})

describe('the privilege to probe', () => {
  it('is asked for only when it is needed, and then at once', async () => {
    const runner = place((call) => (call.options.asRoot === true ? heard(call) : refused))
    const { observations } = await probe(runner, {
      addresses: ['10.0.0.7', '10.0.0.8', '10.0.0.9'],
      concurrency: 1,
    })
    expect(observations.map(({ answer }) => answer)).toEqual(['silent', 'silent', 'silent'])
    const questions = arpings(runner).filter(({ args }) => !args.includes('-V'))
    expect(questions.map(({ options }) => options.asRoot)).toEqual([false, true, true, true])
  })

  it('that cannot be had is asked for once, makes nothing silent, and the warning says what to do', async () => {
    const runner = place(({ options }) =>
      options.asRoot === true ? { kind: 'not-permitted', reason: 'sudo asks for a password.' } : refused,
    )
    const { observations, warnings } = await probe(runner)
    expect(observations.map(({ answer }) => answer)).toEqual(['unclear', 'unclear'])
    expect(runner.calls.filter(({ options }) => options.asRoot === true)).toHaveLength(1)
    expect(warnings).toEqual([
      'arping (iputils 20221126) on n1 may not send ARP requests: sudo asks for a password. Run Landfall as root or let the account use sudo without a password, or allow it once with "sudo setcap cap_net_raw+ep /usr/bin/arping".',
    ])
    const busybox = { ...arping, kind: 'busybox', program: 'busybox', leadingArguments: ['arping'] } as const
    expect((await probe(runner, { arping: busybox })).warnings.join()).not.toContain('setcap')
  })

  it('may be missing even to root', async () => {
    const { observations } = await probe(
      place((call) => (call.args.includes('-V') ? ended('arping from iputils 20221126\n') : refused)),
    )
    expect(observations.map(({ answer }) => answer)).toEqual(['unclear', 'unclear'])
  })
})

describe('silence', () => {
  const linkOf = (...states: ProgramResult[]) => {
    const left = [...states]
    return new FakeRunner((call) =>
      call.program === 'cat' ? (left.length > 1 ? left.shift() : left[0]) : heard(call),
    )
  }

  it.each<[string, ProgramResult, string]>([
    ['has no link', ended('0\n4\n0x1003\n'), 'The interface has no link'],
    ['is down', ended('3\n0x1002\n', 1, 'cat: /sys/class/net/eth0/carrier: Invalid argument\n'), 'is down'],
    [
      'is missing',
      ended('', 1, 'cat: /sys/class/net/eth0/carrier: No such file or directory\n'),
      'There is no such',
    ],
    ['does not speak ARP', ended('1\n4\n0x1083\n'), 'does not speak ARP'],
    ['is the loopback', ended('1\n0\n0x9\n'), 'does not speak ARP'],
    ['says something strange', ended('1\n4\n'), 'cannot be told'],
    ['cannot be looked at', { kind: 'missing' }, 'cannot be told'],
  ])('is not asked for where the interface %s', async (_name, state, detail) => {
    const runner = linkOf(state)
    const { observations, warnings } = await probe(runner, { arping: habets })
    expect(arpings(runner)).toEqual([])
    expect(observations.map(({ answer }) => answer)).toEqual(['unclear', 'unclear'])
    expect(observations[0]?.detail).toContain(detail)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('could not ask through eth0')
  })

  it.each<[string, ProgramResult]>([
    ['has lost its link since', ended('0\n5\n0x1003\n')],
    ['lost its link for a moment', ended('1\n6\n0x1003\n')],
  ])('proves nothing when the interface %s', async (_name, after) => {
    const { observations } = await probe(linkOf(linkUp, after))
    expect(observations.map(({ answer }) => answer)).toEqual(['unclear', 'unclear'])
  })

  it('is confirmed by a look at the link that is younger than it', async () => {
    const order: string[] = []
    const runner = new FakeRunner(async (call) => {
      const name = call.program === 'cat' ? 'link' : addressOf(call)
      order.push(`${name} begins`)
      for (let turn = 0; turn < 3; turn += 1) await Promise.resolve()
      order.push(`${name} ends`)
      return call.program === 'cat' ? linkUp : heard(call)
    })
    await probe(runner, { addresses: Array.from({ length: 8 }, (_, index) => `10.0.0.${index + 10}`) })
    const lastAnswer = order.findLastIndex((entry) => /^10.*ends$/.test(entry))
    expect(order.indexOf('link begins', lastAnswer)).toBeGreaterThan(lastAnswer)
    // Shared by those who wait at the same time.
    expect(order.filter((entry) => entry === 'link begins').length).toBeLessThan(6)
  })

  it('on other systems needs an interface that is active', async () => {
    const on = (status: string) =>
      new FakeRunner(
        (call) =>
          call.program === 'ifconfig' ? ended(`en0: flags=8863<UP>\n\tstatus: ${status}\n`) : heard(call),
        'darwin',
      )
    expect((await probe(on('active'))).observations[0]?.answer).toBe('silent')
    expect((await probe(on('inactive'))).observations[0]?.answer).toBe('unclear')
  })

  it('is not made of rubbish, and the warning tells of it', async () => {
    const { observations, warnings } = await probe(place(() => ended('I am not arping\n')))
    expect(observations.map(({ answer }) => answer)).toEqual(['unclear', 'unclear'])
    expect(warnings).toEqual([
      'What arping (iputils 20221126) on n1 reported about 2 addresses is not used. It wrote something unexpected: I am not arping',
    ])
  })

  it('is not made of a program that hung', async () => {
    const hung: ProgramResult = { kind: 'killed', reason: 'deadline', stdout: '', stderr: '' }
    const runner = place((call) => (addressOf(call) === '10.0.0.8' ? hung : heard(call)))
    const { observations, warnings } = await probe(runner)
    expect(new Map(observations.map(({ address, answer }) => [address, answer]))).toEqual(
      new Map([
        ['10.0.0.8', 'unclear'],
        ['10.0.0.9', 'silent'],
      ]),
    )
    expect(warnings).toEqual([
      'arping (iputils 20221126) on n1 was not through with 10.0.0.8. It did not end in time and was killed.',
    ])
    for (const { options } of arpings(runner)) expect(options.deadlineSeconds).toBeGreaterThan(4)
  })
})

describe('many addresses', () => {
  const many = Array.from({ length: 40 }, (_, index) => `10.0.1.${index + 1}`)

  it('are asked for at the same time, but not by more programs than allowed', async () => {
    let running = 0
    let mostRunning = 0
    const runner = place(async (call) => {
      mostRunning = Math.max(mostRunning, ++running)
      await new Promise((resolve) => setImmediate(resolve))
      running -= 1
      return heard(call)
    })
    const { observations } = await probe(runner, { addresses: many, concurrency: 7 })
    expect(observations).toHaveLength(40)
    expect(mostRunning).toBe(7)
  })

  it('leave no program behind when it is stopped', async () => {
    const stop = new AbortController()
    const because = new Error('stopped by the operator')
    const runner = place(() => {
      if (arpings(runner).length === 16) stop.abort(because)
      return undefined
    })
    await expect(probe(runner, { addresses: many, signal: stop.signal })).rejects.toBe(because)
    expect(runner.running).toBe(0)
    expect(arpings(runner)).toHaveLength(16)
  })

  it('are not started when it was stopped before', async () => {
    const because = new Error('stopped by the operator')
    const runner = place((call) => heard(call))
    await expect(probe(runner, { signal: AbortSignal.abort(because) })).rejects.toBe(because)
    expect(runner.calls).toEqual([])
  })

  it('end with the error of a place that is lost, and leave no program behind', async () => {
    const lost = new Error('connection lost')
    const runner = place((call) => (addressOf(call) === '10.0.1.5' ? Promise.reject(lost) : undefined))
    await expect(probe(runner, { addresses: many })).rejects.toBe(lost)
    expect(runner.running).toBe(0)
  })
})
