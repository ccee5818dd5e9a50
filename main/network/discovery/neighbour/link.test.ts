import type { NetworkInterfaceInfo } from 'node:os'
import { describe, expect, it } from 'vitest'
import type { ProgramResult, ProgramRunner } from '../../programs/program-runner.ts'
import { localHasLink, readHasLink } from './link.ts'

const signal = new AbortController().signal

function placeWith(result: ProgramResult): ProgramRunner {
  return { place: 'n1', platform: 'linux', run: () => Promise.resolve(result) }
}
const ended = (stdout: string, exitCode = 0): ProgramResult => ({
  kind: 'ended',
  exitCode,
  stdout,
  stderr: '',
})
const link = (...flags: string[]) =>
  ended(JSON.stringify([{ ifindex: 2, ifname: 'eth0', flags, operstate: 'X' }]))

describe('the link of an interface', () => {
  it.each([
    ['is there', link('BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'), true],
    ['is not there without a carrier', link('NO-CARRIER', 'BROADCAST', 'MULTICAST', 'UP'), false],
    ['is not there on an interface that is down', link('BROADCAST', 'MULTICAST'), false],
    ['is unknown without the interface', ended('', 1), undefined],
    ['is unknown without ip', { kind: 'missing' } satisfies ProgramResult, undefined],
    ['is unknown when ip writes something else', ended('2: eth0: <UP>'), undefined],
    ['is unknown when ip writes other JSON', ended('[null]'), undefined],
    ['is unknown when ip writes no flags', ended('[{"flags":"UP"}]'), undefined],
  ])('%s (ip -j link)', async (_case, result, expected) => {
    expect(await readHasLink(placeWith(result), 'eth0', signal)).toBe(expected)
  })

  it('of this machine is there when Node lists it', () => {
    const list = () => ({ eth0: [] as NetworkInterfaceInfo[] })
    expect(localHasLink('eth0', list)).toBe(true)
    expect(localHasLink('eth1', list)).toBe(false)
    expect(localHasLink('lo')).toBe(true)
  })
})
