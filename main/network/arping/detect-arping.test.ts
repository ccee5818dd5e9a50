import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ProgramResult } from '../programs/program-runner.ts'
import { detectArping, identify } from './detect-arping.ts'
import { ended, FakeRunner } from './testing/fake-runner.ts'

/** Recorded on Debian 12: `-V` of each program, BusyBox' by a link of the name `arping` as well. */
const iputils = ended(
  'arping from iputils 20221126\nlibcap: yes, IDN: yes, NLS: no, error.h: yes, getrandom(): yes, __fpending(): yes\n',
)
const habets = ended(
  `ARPing 2.23, by Thomas Habets <thomas@habets.se>
usage: arping [ -0aAbdDeFpPqrRuUvzZ ] [ -w <sec> ] [ -W <sec> ] [ -S <host/ip> ]
              [ -T <host/ip ] [ -s <MAC> ] [ -t <MAC> ] [ -c <count> ]
              [ -C <count> ] [ -i <interface> ] [ -m <type> ] [ -g <group> ]
              [ -V <vlan> ] [ -Q <priority> ] <host/ip/MAC | -B>
For complete usage info, use --help or check the manpage.
`,
  1,
  "/usr/sbin/arping: option requires an argument -- 'V'\n",
)
const busyboxUsage = `BusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1) multi-call binary.

Usage: arping [-fqbDUA] [-c CNT] [-w TIMEOUT] [-I IFACE] [-s SRC_IP] DST_IP

Send ARP requests/replies

	-f		Quit on first ARP reply
	-q		Quiet
	-b		Keep broadcasting, don't go unicast
	-D		Exit with 1 if DST_IP replies
`
const busybox = ended('', 1, `arping: invalid option -- 'V'\n${busyboxUsage}`)
const busyboxByLink = ended('', 1, `/usr/sbin/arping: invalid option -- 'V'\n${busyboxUsage}`)
const missing: ProgramResult = { kind: 'missing' }
const signal = new AbortController().signal

/** A place with these programs; all others are missing. */
function place(programs: Readonly<Record<string, ProgramResult>>): FakeRunner {
  return new FakeRunner(({ program }) => programs[program] ?? missing)
}

describe('an arping', () => {
  it('of iputils is found with one question where it is where distributions put it', async () => {
    const runner = place({ '/usr/bin/arping': iputils })
    expect(await detectArping(runner, signal)).toEqual({
      kind: 'iputils',
      program: '/usr/bin/arping',
      leadingArguments: [],
      version: '20221126',
    })
    expect(runner.calls.map(({ program, args }) => [program, ...args])).toEqual([['/usr/bin/arping', '-V']])
  })

  it('of Habets is found in /usr/sbin, which need not be in PATH', async () => {
    expect(await detectArping(place({ '/usr/sbin/arping': habets }), signal)).toMatchObject({
      kind: 'habets',
      program: '/usr/sbin/arping',
      version: '2.23',
    })
  })

  it('that is a link to BusyBox is known for what it is', async () => {
    expect(await detectArping(place({ '/usr/sbin/arping': busyboxByLink }), signal)).toMatchObject({
      kind: 'busybox',
      program: '/usr/sbin/arping',
      leadingArguments: [],
      version: '1.35.0',
    })
  })

  it('of BusyBox is found without a link', async () => {
    const runner = place({ busybox })
    expect(await detectArping(runner, signal)).toEqual({
      kind: 'busybox',
      program: 'busybox',
      leadingArguments: ['arping'],
      version: '1.35.0',
    })
    expect(runner.calls.at(-1)?.args).toEqual(['arping', '-V'])
  })

  it('is looked up by name where it is in no usual place', async () => {
    expect(await detectArping(place({ arping: iputils }), signal)).toMatchObject({ program: 'arping' })
  })

  it.each([
    ['iputils before all others', { '/usr/bin/arping': iputils, '/usr/sbin/arping': habets, busybox }],
    ['iputils even where Habets comes first in PATH', { '/usr/sbin/arping': iputils, arping: habets }],
    [
      'iputils even where a program of that name is none of those that are known',
      { '/usr/bin/arping': ended('toybox 0.8.9\n'), '/usr/sbin/arping': iputils },
    ],
  ])('is %s', async (_name, programs) => {
    expect(await detectArping(place(programs), signal)).toMatchObject({ kind: 'iputils' })
  })

  it('of BusyBox comes before that of Habets, which hears replies only', async () => {
    expect(await detectArping(place({ '/usr/sbin/arping': habets, busybox }), signal)).toMatchObject({
      kind: 'busybox',
    })
  })

  it('is not there', async () => {
    const noApplet = ended('', 127, 'arping: applet not found\n')
    for (const runner of [place({}), place({ busybox: noApplet })]) {
      expect(await detectArping(runner, signal)).toEqual({
        kind: 'none',
        detail: 'There is no program called arping on n1.',
      })
    }
  })

  it.each<[string, ProgramResult, string]>([
    ['says something else', ended('toybox 0.8.9\u001B[31m\n'), 'arping: toybox 0.8.9·[31m'],
    ['says nothing', ended('', 3), 'arping: exit code 3 without a word'],
    ['hangs', { kind: 'killed', reason: 'deadline', stdout: '', stderr: '' }, 'did not tell its version'],
    ['writes without end', { kind: 'killed', reason: 'output', stdout: 'y', stderr: '' }, 'without end'],
    ['may not be run', { kind: 'not-permitted', reason: 'no sudo' }, 'no sudo'],
  ])('that %s is unknown, and that is told', async (_name, result, detail) => {
    const variant = await detectArping(place({ arping: result }), signal)
    expect(variant.kind).toBe('unknown')
    expect(variant).toHaveProperty('detail', expect.stringContaining(detail))
  })

  it('is not looked for at a place that cannot be reached', async () => {
    const lost = new Error('connection lost')
    const runner = new FakeRunner(() => Promise.reject(lost))
    await expect(detectArping(runner, signal)).rejects.toBe(lost)
  })
})

describe('the version text', () => {
  it.each([
    ['arping utility, iputils-s20121221\n', 'iputils', 's20121221'],
    ['arping utility, iputils-s20161105\n', 'iputils', 's20161105'],
    ['arping utility, iputils-sss20071127\n', 'iputils', 'sss20071127'],
    ['arping from iputils s20190709\n', 'iputils', 's20190709'],
    ['arping from iputils 20240117\nlibcap: no, IDN: no, NLS: yes\n', 'iputils', '20240117'],
    ['arping from iputils 20221126-29-g1c08152\n', 'iputils', '20221126-29-g1c08152'],
    ['ARPing 2.05, by Thomas Habets <thomas@habets.se>\nusage: arping', 'habets', '2.05'],
  ])('%j is of %s, version %s', (stdout, kind, version) => {
    expect(identify(ended(stdout))).toEqual({ kind, version })
  })

  it.each([
    '',
    'ARPING 10.0.0.1 from 0.0.0.0 eth0\n',
    'ping from iputils 20221126\n',
    busyboxUsage.slice(0, 60),
  ])('%j is of nobody that is known', (stdout) => {
    expect(identify(ended(stdout))).toBeUndefined()
  })

  it('may be anything without harm', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (stdout, stderr) => {
        identify(ended(stdout, 0, stderr))
      }),
    )
  })
})
