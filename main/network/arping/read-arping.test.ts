import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { ProgramResult } from '../programs/program-runner.ts'
import type { ArpingQuestion } from './arping-command.ts'
import type { UsableArping } from './detect-arping.ts'
import { readAnnouncement, readArping, type ArpingReading, type Asked } from './read-arping.ts'
import { ended } from './testing/fake-runner.ts'

/**
 * Made in network namespaces on Debian 12 (iputils 20221126, Habets 2.23, BusyBox 1.35.0) by a machine with the address
 * 10.198.7.1; the machines with the MACs 02:00:00:00:00:02 and :03 both have 10.198.7.50.
 */
const recordings = z
  .array(
    z.strictObject({
      variant: z.enum(['iputils', 'habets', 'busybox']),
      kind: z.enum(['arp-probe', 'arping']),
      situation: z.string(),
      args: z.array(z.string()),
      exitCode: z.int().nullable(),
      stdout: z.string(),
      stderr: z.string(),
    }),
  )
  .parse(JSON.parse(readFileSync(new URL('./testing/recorded-outputs.json', import.meta.url), 'utf8')))
type Recording = (typeof recordings)[number]

const versions = { iputils: '20221126', habets: '2.23', busybox: '1.35.0' }

function read(recording: Recording): ArpingReading {
  const { variant, exitCode, stdout, stderr } = recording
  const arping = { kind: variant, version: versions[variant] }
  return readArping(arping, askedBy(recording), ended(stdout, exitCode, stderr))
}

function askedBy({ kind, args }: Recording): Asked {
  const [address = '', interfaceName = ''] = args.toReversed()
  return { kind, address, interface: interfaceName, requests: Number(args[args.indexOf('-c') + 1]) }
}

const all = recordings.map((recording) => ({ ...recording, name: `${recording.variant} ${recording.kind}` }))
const of = (situation: string) => all.filter((recording) => recording.situation === situation)

describe('a recorded text of arping', () => {
  it('is there for each program, question and situation', () => {
    const situations = new Set(all.map(({ situation }) => situation))
    expect(situations.size).toBe(16)
    for (const situation of situations) expect(of(situation)).toHaveLength(6)
  })

  it.each(of('free'))('means silence where nobody answers ($name)', (recording) => {
    expect(read(recording)).toEqual({ answer: 'silent', probes: 2, detail: 'no answer to 2 requests' })
  })

  it.each(of('used'))('names who answers ($name)', (recording) => {
    expect(read(recording)).toMatchObject({ answer: 'answered', macs: ['02:00:00:00:00:02'] })
  })

  it.each(of('two hosts with one address'))('names both of two who answer ($name)', (recording) => {
    const both = ['02:00:00:00:00:03', '02:00:00:00:00:02']
    // Duplicate address detection of iputils and BusyBox is over at the first answer.
    const isOverAtFirst = recording.kind === 'arp-probe' && recording.variant !== 'habets'
    expect(read(recording)).toMatchObject({
      answer: 'answered',
      macs: isOverAtFirst ? both.slice(0, 1) : both,
      probes: isOverAtFirst ? 1 : 2,
    })
  })

  it.each(of('answers once, then never again'))('is an answer when only one came ($name)', (recording) => {
    expect(read(recording)).toMatchObject({ answer: 'answered', macs: ['02:00:00:00:00:04'] })
  })

  it.each(of('somebody announces the address').filter(({ kind }) => kind === 'arp-probe'))(
    'counts the announcement of an owner as far as the program hears it ($name)',
    (recording) => {
      expect(read(recording)).toMatchObject(
        recording.variant === 'habets'
          ? { answer: 'silent' }
          : { answer: 'answered', macs: ['02:00:00:00:00:04'], probes: 1 },
      )
    },
  )

  it.each([...of('no such interface'), ...of('interface down')])(
    'says nothing of an address: $situation ($name)',
    (recording) => {
      expect(read(recording)).toMatchObject({ answer: 'unclear', cause: 'interface' })
    },
  )

  it.each([...of('interface without ARP'), ...of('loopback')].filter(({ variant }) => variant !== 'habets'))(
    'says nothing of an address, although the exit code may be that of a free one: $situation ($name)',
    (recording) => {
      expect(read(recording)).toMatchObject({ answer: 'unclear', cause: 'interface' })
    },
  )

  it.each(of('no permission'))('tells that root is needed ($name)', (recording) => {
    expect(read(recording)).toMatchObject({ answer: 'unclear', cause: 'not-permitted', probes: 0 })
  })

  it.each(of('own address').filter(({ variant, kind }) => variant !== 'habets' && kind === 'arping'))(
    'tells of an own address where it can be seen ($name)',
    (recording) => {
      expect(read(recording)).toMatchObject({ answer: 'unclear', cause: 'own-address' })
    },
  )

  it.each([...of('interrupted'), ...of('terminated'), ...of('interface goes down')])(
    'is no silence when not all requests went out: $situation ($name)',
    (recording) => {
      expect(read(recording).answer).toBe('unclear')
    },
  )

  it.each(all)('is never silence with another exit code: $situation ($name)', (recording) => {
    for (const exitCode of [0, 1, 2, 3, 127, 255, null]) {
      if (exitCode === recording.exitCode) continue
      expect(read({ ...recording, exitCode }).answer).not.toBe('silent')
    }
  })

  it.each(of('used'))('with the exit code of a free address proves nothing ($name)', (recording) => {
    if (recording.variant === 'iputils' && recording.kind === 'arping') return
    expect(read({ ...recording, exitCode: recording.exitCode === 0 ? 1 : 0 })).toMatchObject({
      answer: 'unclear',
      cause: 'contradiction',
      macs: ['02:00:00:00:00:02'],
    })
  })

  it.each(of('free'))('is no silence when any line of it is missing or cut off ($name)', (recording) => {
    for (let length = 0; length < recording.stdout.trimEnd().length; length += 1) {
      expect(read({ ...recording, stdout: recording.stdout.slice(0, length) }).answer).toBe('unclear')
    }
  })

  it.each(of('free'))('is no silence for another question ($name)', (recording) => {
    const asked = askedBy(recording)
    const readAs = (change: Partial<Asked>) =>
      readArping(
        { kind: recording.variant, version: versions[recording.variant] },
        { ...asked, ...change },
        ended(recording.stdout, recording.exitCode),
      ).answer
    expect(readAs({})).toBe('silent')
    expect(readAs({ address: '10.198.7.9' })).toBe('unclear')
    expect(readAs({ requests: 3 })).toBe('unclear')
    if (recording.variant === 'habets') return
    expect(readAs({ interface: 'eth1' })).toBe('unclear')
    expect(readAs({ kind: recording.kind === 'arping' ? 'arp-probe' : 'arping' })).toBe('unclear')
  })

  it.each(of('free'))(
    'is no silence with a word on standard error, except from sudo ($name)',
    (recording) => {
      expect(read({ ...recording, stderr: 'arping: WARNING: interface is ignored\n' }).answer).toBe('unclear')
      expect(
        read({ ...recording, stderr: 'sudo: unable to resolve host n1: Name or service not known\n' }).answer,
      ).toBe('silent')
    },
  )
})

describe('other versions', () => {
  const asked: Asked = { kind: 'arp-probe', address: '10.0.0.9', interface: 'eth0', requests: 2 }
  const iputilsFree =
    'ARPING 10.0.0.9 from 0.0.0.0 eth0\nSent 2 probes (2 broadcast(s))\nReceived 0 response(s)\n'

  it('of iputils that end detection always with 1 are read by their text', () => {
    const read = (version: string) =>
      readArping({ kind: 'iputils', version }, asked, ended(iputilsFree, 1)).answer
    expect(read('s20190709')).toBe('silent')
    expect(read('s20180629')).toBe('unclear')
    expect(read('20240117')).toBe('unclear')
  })

  it('of BusyBox wrote other words', () => {
    const text = (answers: string) =>
      `ARPING to 10.0.0.9 from 0.0.0.0 via eth0\n${answers === '1 reply' ? 'Unicast reply from 10.0.0.9 [2:0:0:0:a:b] 0.3ms\n' : ''}Sent 2 probe(s) (2 broadcast(s))\nReceived ${answers} (0 request(s), 0 broadcast(s))\n`
    const busybox = { kind: 'busybox', version: '1.19.4' } as const
    expect(readArping(busybox, asked, ended(text('0 reply'))).answer).toBe('silent')
    expect(readArping(busybox, asked, ended(text('1 reply'), 1))).toMatchObject({
      answer: 'answered',
      macs: ['02:00:00:00:0a:0b'],
    })
  })

  it('of Habets write neither times nor timeouts', () => {
    const habets = { kind: 'habets', version: '2.05' } as const
    const text = (answer: string, numbers: string) =>
      `ARPING 10.0.0.9\n${answer}\n--- 10.0.0.9 statistics ---\n2 packets transmitted, ${numbers}\n`
    expect(readArping(habets, asked, ended(text('', '0 packets received, 100% unanswered'), 1)).answer).toBe(
      'silent',
    )
    expect(
      readArping(
        habets,
        asked,
        ended(
          text(
            '60 bytes from 00:0e:fe:01:3e:4f (10.0.0.9): index=0/1 time=1.140 msec\n',
            '1 packets received,  50% unanswered (0 extra)',
          ),
        ),
      ),
    ).toMatchObject({ answer: 'answered', macs: ['00:0e:fe:01:3e:4f'] })
  })
})

describe('an answer', () => {
  const asked: Asked = { kind: 'arping', address: '10.0.0.9', interface: 'ib0', requests: 2 }
  const begin = 'ARPING 10.0.0.9 from 10.0.0.1 ib0\n'
  const line = 'Unicast reply from 10.0.0.9 [02:00:00:00:00:02]  0.558ms\n'
  const iputils = { kind: 'iputils', version: '20221126' } as const

  it('before the program was killed is an answer', () => {
    const killed = (stdout: string): ProgramResult => ({
      kind: 'killed',
      reason: 'deadline',
      stdout,
      stderr: '',
    })
    expect(readArping(iputils, asked, killed(begin + line))).toMatchObject({
      answer: 'answered',
      macs: ['02:00:00:00:00:02'],
    })
    expect(readArping(iputils, asked, killed(begin))).toMatchObject({
      answer: 'unclear',
      cause: 'ended-early',
    })
  })

  it('of something without an Ethernet address is an answer all the same', () => {
    const mac = Array.from({ length: 20 }, () => 'AB').join(':')
    const text = `${begin}Unicast reply from 10.0.0.9 [${mac}]  0.558ms\nSent 2 probes (2 broadcast(s))\nReceived 1 response(s)\n`
    expect(readArping(iputils, asked, ended(text))).toMatchObject({ answer: 'answered', macs: [] })
  })

  it('of another address proves nothing', () => {
    const other = line.replace('10.0.0.9', '10.0.0.8')
    const text = `${begin}${other}Sent 2 probes (2 broadcast(s))\nReceived 1 response(s)\n`
    expect(readArping(iputils, asked, ended(text))).toMatchObject({
      answer: 'unclear',
      cause: 'contradiction',
      macs: [],
    })
  })

  it('that is counted but not shown, or shown but not counted, proves nothing', () => {
    const count = (lines: string, received: number) =>
      `${begin}${lines}Sent 2 probes (2 broadcast(s))\nReceived ${received} response(s)\n`
    for (const exitCode of [0, 1]) {
      expect(readArping(iputils, asked, ended(count('', 1), exitCode)).answer).toBe('unclear')
      expect(readArping(iputils, asked, ended(count(line, 0), exitCode)).answer).toBe('unclear')
      expect(readArping(iputils, asked, ended(count('', 0), exitCode)).answer).toBe(
        exitCode === 1 ? 'silent' : 'unclear',
      )
    }
  })

  it('is missing where there is no program, no privilege or not a word', () => {
    expect(readArping(iputils, asked, { kind: 'missing' }).answer).toBe('unclear')
    expect(readArping(iputils, asked, { kind: 'not-permitted', reason: 'sudo asks for a password' })).toEqual(
      {
        answer: 'unclear',
        cause: 'not-permitted',
        macs: [],
        probes: 0,
        detail: 'sudo asks for a password',
      },
    )
    expect(readArping(iputils, asked, ended('', 0))).toMatchObject({
      cause: 'unreadable',
      detail: 'It ended with exit code 0 without a word.',
    })
  })
})

describe('any text', () => {
  const kinds = fc.constantFrom<UsableArping['kind']>('iputils', 'habets', 'busybox')
  const questions = fc.constantFrom<ArpingQuestion>('arp-probe', 'arping')
  const exitCodes = fc.option(fc.nat(3), { nil: null })
  /** Lines that programs write, in any order, with anything between them. */
  const fragments = fc.constantFrom(
    ...new Set(all.flatMap(({ stdout, stderr }) => `${stdout}${stderr}`.split('\n'))),
  )
  const shuffled = fc
    .array(fc.oneof({ weight: 9, arbitrary: fragments }, fc.string()), { maxLength: 8 })
    .map((lines) => `${lines.join('\n')}\n`)

  it('that no arping wrote is never silence', () => {
    fc.assert(
      fc.property(
        kinds,
        questions,
        exitCodes,
        fc.string(),
        fc.string(),
        (kind, question, exitCode, out, err) => {
          const asked = { kind: question, address: '10.198.7.99', interface: 'eth0', requests: 2 }
          const reading = readArping({ kind, version: '20221126' }, asked, ended(out, exitCode, err))
          expect(reading.answer).toBe('unclear')
        },
      ),
    )
  })

  it('made of lines of arping is silence only when it says so from the first line to the last', () => {
    fc.assert(
      fc.property(kinds, questions, exitCodes, shuffled, (kind, question, exitCode, out) => {
        const asked = { kind: question, address: '10.198.7.99', interface: 'eth0', requests: 2 }
        const reading = readArping({ kind, version: '20221126' }, asked, ended(out, exitCode))
        if (reading.answer !== 'silent') return
        expect(out).toMatch(/^ARPING 10\.198\.7\.99\b/)
        expect(out).not.toMatch(/reply from|request from|bytes from/)
        expect(out).toMatch(/Received 0 response|2 packets transmitted, 0 packets received/)
        expect(reading.probes).toBeGreaterThanOrEqual(2)
      }),
      { numRuns: 3000 },
    )
  })

  it('gives MACs of one form only', () => {
    fc.assert(
      fc.property(kinds, exitCodes, shuffled, (kind, exitCode, out) => {
        const asked = { kind: 'arping' as const, address: '10.198.7.50', interface: 'eth0', requests: 2 }
        const reading = readArping({ kind, version: '20221126' }, asked, ended(out, exitCode))
        if (reading.answer === 'silent') return
        for (const mac of reading.macs) expect(mac).toMatch(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('announcements', () => {
  const asked = { address: '10.198.7.60', interface: 'eth0', requests: 2 }

  it('went out when the text says so, whatever the exit code', () => {
    const iputils =
      'ARPING 10.198.7.60 from 10.198.7.60 eth0\nSent 2 probes (2 broadcast(s))\nReceived 0 response(s)\n'
    const habets =
      'ARPING 10.198.7.60\nTimeout\nTimeout\n\n--- 10.198.7.60 statistics ---\n2 packets transmitted, 0 packets received, 100% unanswered (0 extra)\n\n'
    for (const exitCode of [0, 1]) {
      expect(readAnnouncement({ kind: 'iputils' }, asked, ended(iputils, exitCode))).toEqual({ sent: 2 })
      expect(readAnnouncement({ kind: 'habets' }, asked, ended(habets, exitCode))).toEqual({ sent: 2 })
    }
    const one = iputils.replace('Sent 2', 'Sent 1')
    expect(readAnnouncement({ kind: 'iputils' }, asked, ended(one))).toHaveProperty('problem')
  })

  it('did not go out when the address is not on the interface, or there is no program', () => {
    const refused = ended('', 2, 'arping: bind: Cannot assign requested address\n')
    expect(readAnnouncement({ kind: 'iputils' }, asked, refused)).toEqual({
      problem: 'arping: bind: Cannot assign requested address',
    })
    for (const result of [
      { kind: 'missing' },
      { kind: 'not-permitted', reason: 'no sudo' },
      { kind: 'killed', reason: 'deadline', stdout: '', stderr: '' },
    ] satisfies ProgramResult[]) {
      expect(readAnnouncement({ kind: 'busybox' }, asked, result)).toHaveProperty('problem')
    }
  })
})
