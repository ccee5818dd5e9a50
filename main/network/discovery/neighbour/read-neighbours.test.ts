import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { ProgramResult, ProgramRunner } from '../../programs/program-runner.ts'
import { createNeighbourReader } from './read-neighbours.ts'

const sample = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')
const ended = (stdout: string, exitCode: number | null = 0, stderr = ''): ProgramResult => ({
  kind: 'ended',
  exitCode,
  stdout,
  stderr,
})
const missing: ProgramResult = { kind: 'missing' }

/** A place whose programs answer as written down; `calls` are the command lines. */
function place(platform: NodeJS.Platform, programs: Readonly<Record<string, ProgramResult>>) {
  const calls: string[] = []
  const runner: ProgramRunner = {
    place: 'n1',
    platform,
    run: (program, args) => {
      calls.push([program, ...args].join(' '))
      return Promise.resolve(programs[program] ?? missing)
    },
  }
  return { runner, calls }
}

const signal = new AbortController().signal

/** One reading. */
const readNeighbours = (
  runner: ProgramRunner,
  interfaceName: string,
  during: AbortSignal,
  options?: Parameters<typeof createNeighbourReader>[2],
) => createNeighbourReader(runner, interfaceName, options)(during)

describe('on Linux', () => {
  it('ip is asked about the one interface', async () => {
    const { runner, calls } = place('linux', { ip: ended(sample('recorded/ip-neigh.txt')) })
    const table = await readNeighbours(runner, 'eth0', signal)
    expect(table).toMatchObject({ kind: 'read', source: 'ip-neigh', unknownLines: 0 })
    expect(table.kind === 'read' && table.entries).toHaveLength(11)
    expect(calls).toEqual(['ip -4 -s -j neigh show dev eth0'])
  })

  it.each([
    ['ip is missing', missing],
    ['ip is the one of BusyBox', ended('', 1, 'BusyBox v1.35.0 multi-call binary.')],
    ['ip writes no JSON', ended('10.0.0.1 lladdr 52:54:00:00:00:01 REACHABLE\n')],
  ])('%s: the file of the kernel is read, by cat', async (_case, ip) => {
    const { runner, calls } = place('linux', { ip, cat: ended(sample('recorded/proc-net-arp.txt')) })
    expect(await readNeighbours(runner, 'eth0', signal)).toMatchObject({ source: 'proc-net-arp' })
    expect(calls.at(-1)).toBe('cat /proc/net/arp')
  })

  it('or directly, on the workstation itself', async () => {
    const { runner, calls } = place('linux', {})
    const readFile = (path: string) =>
      path === '/proc/net/arp'
        ? Promise.resolve(sample('recorded/proc-net-arp.txt'))
        : Promise.reject(new Error('ENOENT'))
    expect(await readNeighbours(runner, 'eth0', signal, { readFile })).toMatchObject({
      source: 'proc-net-arp',
    })
    expect(calls).toHaveLength(1)
  })

  it('entries of other interfaces are left out', async () => {
    const { runner } = place('linux', { cat: ended(sample('recorded/proc-net-arp.txt')) })
    expect(await readNeighbours(runner, 'eth1', signal)).toEqual({
      kind: 'read',
      source: 'proc-net-arp',
      entries: [],
      unknownLines: 0,
    })
  })

  it('the way that worked once is kept', async () => {
    const { runner, calls } = place('linux', { cat: ended(sample('recorded/proc-net-arp.txt')) })
    const read = createNeighbourReader(runner, 'eth0')
    await read(signal)
    await read(signal)
    expect(calls.map((call) => call.split(' ')[0])).toEqual(['ip', 'cat', 'cat'])
  })

  it('an interface that does not exist is no empty table', async () => {
    const { runner } = place('linux', { ip: ended('', 1, 'Cannot find device "eth7"\n') })
    expect(await readNeighbours(runner, 'eth7', signal)).toEqual({
      kind: 'unreadable',
      reason:
        'The neighbour table of n1 cannot be read (ip: it ended with code 1 and said: Cannot find device "eth7"; /proc/net/arp: there is no such program).',
    })
  })

  it('neither is rubbish, or a program that hangs, writes without end or may not run', async () => {
    const results: readonly [ProgramResult, RegExp][] = [
      [ended(''), /ip: it wrote nothing/],
      [ended('[{"dst":"x"}]'), /ip: it wrote something else: \[\{"dst":"x"\}\]/],
      [ended('\u001b[31mhello'), /ip: it wrote something else: ·\[31mhello/],
      [ended('', null), /ip: it ended with a signal/],
      [{ kind: 'killed', reason: 'deadline', stdout: '[]', stderr: '' }, /ip: it did not end within 10 s/],
      [{ kind: 'killed', reason: 'output', stdout: '', stderr: '' }, /ip: it wrote too much/],
      [{ kind: 'not-permitted', reason: 'sudo asks for a password' }, /ip: sudo asks for a password/],
    ]
    for (const [ip, expected] of results) {
      const table = await readNeighbours(place('linux', { ip }).runner, 'eth0', signal)
      expect(table).toMatchObject({ kind: 'unreadable', reason: expect.stringMatching(expected) as string })
    }
  })

  it('a file that cannot be read is no empty table', async () => {
    const readFile = () => Promise.reject(new Error('EACCES: permission denied'))
    expect(await readNeighbours(place('linux', {}).runner, 'eth0', signal, { readFile })).toMatchObject({
      kind: 'unreadable',
      reason: expect.stringContaining('/proc/net/arp: EACCES: permission denied') as string,
    })
  })
})

describe('on macOS', () => {
  it('arp -an is read, and only the entries of the interface count', async () => {
    const { runner, calls } = place('darwin', { arp: ended(sample('documented/arp-macos.txt')) })
    const table = await readNeighbours(runner, 'en0', signal)
    expect(table).toMatchObject({ kind: 'read', source: 'arp-macos' })
    expect(
      table.kind === 'read' && table.entries.filter(({ address }) => address === '10.88.0.7'),
    ).toHaveLength(1)
    expect(calls).toEqual(['arp -an'])
  })

  it('an empty table is empty', async () => {
    const { runner } = place('darwin', { arp: ended('') })
    expect(await readNeighbours(runner, 'en0', signal)).toMatchObject({ kind: 'read', entries: [] })
  })
})

describe('on Windows', () => {
  it('PowerShell is asked, with a script into which nothing is put', async () => {
    const { runner, calls } = place('win32', {
      'powershell.exe': ended(sample('documented/get-netneighbor.txt')),
    })
    const table = await readNeighbours(runner, 'Ethernet', signal)
    expect(table).toMatchObject({ kind: 'read', source: 'get-netneighbor' })
    expect(table.kind === 'read' && table.entries.every((entry) => entry.interface === 'Ethernet')).toBe(true)
    expect(calls[0]).not.toContain('Ethernet')
  })

  it('arp -a where PowerShell does not answer', async () => {
    const { runner } = place('win32', {
      'powershell.exe': ended('', 1, 'The term Get-NetNeighbor is not recognized'),
      arp: ended(sample('documented/arp-windows.txt')),
    })
    expect(await readNeighbours(runner, 'Ethernet', signal)).toMatchObject({
      kind: 'read',
      source: 'arp-windows',
    })
  })

  it('an output of which nothing is understood is no empty table', async () => {
    const { runner } = place('win32', { arp: ended('No ARP Entries Found.\r\n') })
    expect(await readNeighbours(runner, 'Ethernet', signal)).toMatchObject({
      kind: 'unreadable',
      reason: expect.stringContaining('arp: it wrote something else: No ARP Entries Found.') as string,
    })
  })
})

it('another operating system is named as not supported', async () => {
  expect(await readNeighbours(place('aix', {}).runner, 'en0', signal)).toEqual({
    kind: 'unreadable',
    reason: 'Landfall cannot read the neighbour table of n1: its operating system (aix) is not supported.',
  })
})

it('a stop while the file is read is a stop, not an unreadable table', async () => {
  const controller = new AbortController()
  const readFile = () => {
    controller.abort(new Error('stopped'))
    return Promise.reject(new Error('ABORT_ERR'))
  }
  await expect(
    readNeighbours(place('linux', {}).runner, 'eth0', controller.signal, { readFile }),
  ).rejects.toThrow('stopped')
})
