import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ProgramResult } from '../programs/program-runner.ts'
import { readNodeState } from './node-state.ts'
import type { ProofNode } from './proof.ts'

const never = new AbortController().signal

/** A node whose `ip` prints this for `ip -j`, and that otherwise. */
function nodeWith(json: ProgramResult, text: ProgramResult = { kind: 'missing' }): ProofNode {
  return {
    name: 'n1',
    interface: 'eth0',
    mac: '02:00:00:00:00:01',
    address: '10.9.0.2',
    runner: {
      place: 'n1',
      platform: 'linux',
      run: (_program, args) => Promise.resolve(args[0] === '-j' ? json : text),
    },
  }
}

const said = (stdout: string, exitCode = 0, stderr = ''): ProgramResult => ({
  kind: 'ended',
  exitCode,
  stdout,
  stderr,
})

/** iproute2 6.1.0, recorded; a veth pair with a lasting address and one with a lifetime. */
const recordedJson = `[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"qdisc":"noqueue","operstate":"UNKNOWN","group":"default","txqlen":1000,"link_type":"loopback","address":"00:00:00:00:00:00","broadcast":"00:00:00:00:00:00","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo","valid_life_time":4294967295,"preferred_life_time":4294967295}]},{"ifindex":2,"link":"d1","ifname":"eth0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1500,"qdisc":"noqueue","operstate":"UP","group":"default","txqlen":1000,"link_type":"ether","address":"7A:d6:e3:0c:ad:2f","broadcast":"ff:ff:ff:ff:ff:ff","addr_info":[{"family":"inet","local":"10.9.0.2","prefixlen":24,"scope":"global","label":"eth0","valid_life_time":4294967295,"preferred_life_time":4294967295},{"family":"inet","local":"10.9.0.9","prefixlen":32,"scope":"global","deprecated":true,"dynamic":true,"label":"eth0:lf","valid_life_time":30,"preferred_life_time":0},{"family":"inet6","local":"fe80::78d6:e3ff:fe0c:ad2f","prefixlen":64,"scope":"link","valid_life_time":4294967295,"preferred_life_time":4294967295}]}]`

/** BusyBox 1.35.0, recorded, with an address that has a peer. */
const recordedLines = `1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: eth0    inet 10.9.0.3 peer 10.9.0.5/32 scope global eth0\\       valid_lft forever preferred_lft forever
2: eth0    inet 10.9.0.9/32 scope global deprecated dynamic eth0:lf\\       valid_lft 30sec preferred_lft 0sec
`

describe('what a node says of its addresses', () => {
  it('is read from the JSON of iproute2', async () => {
    const state = await readNodeState(nodeWith(said(recordedJson)), never)
    expect(state).toEqual({
      kind: 'read',
      macs: new Map([['eth0', '7a:d6:e3:0c:ad:2f']]),
      addresses: [
        { address: '127.0.0.1', prefix: 8, interface: 'lo', label: 'lo', validSeconds: 'forever' },
        { address: '10.9.0.2', prefix: 24, interface: 'eth0', label: 'eth0', validSeconds: 'forever' },
        { address: '10.9.0.9', prefix: 32, interface: 'eth0', label: 'eth0:lf', validSeconds: 30 },
      ],
    })
  })

  it('is read from the lines of an ip without JSON', async () => {
    const noJson = said('', 1, 'BusyBox v1.35.0 multi-call binary.\n')
    const state = await readNodeState(nodeWith(noJson, said(recordedLines)), never)
    expect(state).toMatchObject({
      kind: 'read',
      addresses: [
        { address: '127.0.0.1', validSeconds: 'forever' },
        { address: '10.9.0.3', prefix: 32, interface: 'eth0', label: 'eth0', validSeconds: 'forever' },
        { address: '10.9.0.9', prefix: 32, interface: 'eth0', label: 'eth0:lf', validSeconds: 30 },
      ],
    })
  })

  it('has unknown lifetimes where they are not told', async () => {
    const noJson = said('', 1, 'ip: invalid option\n')
    const text = said('2: eth0.5@eth0    inet 10.9.0.9/32 scope global eth0.5\n')
    expect(await readNodeState(nodeWith(noJson, text), never)).toMatchObject({
      addresses: [{ interface: 'eth0.5', validSeconds: 'unknown' }],
    })
    const json = said('[{"ifname":"eth0","addr_info":[{"family":"inet","local":"10.9.0.9","prefixlen":32}]}]')
    expect(await readNodeState(nodeWith(json), never)).toMatchObject({
      addresses: [{ validSeconds: 'unknown' }],
    })
  })

  it.each([
    ['nothing', said('')],
    ['an empty list', said('[]')],
    ['half a JSON text', said(recordedJson.slice(0, 400))],
    ['a JSON text of another form', said('[{"ifname":"eth0","addr_info":[{"family":"inet","local":7}]}]')],
    ['no program', { kind: 'missing' }],
    ['a deadline', { kind: 'killed', reason: 'deadline', stdout: recordedJson, stderr: '' }],
    ['an error in both forms', said('', 1, 'Cannot open netlink socket')],
  ] as const)('is unreadable with %s, never “no addresses”', async (_name, json) => {
    const state = await readNodeState(nodeWith(json, said('', 1, 'Cannot open netlink socket')), never)
    expect(state.kind).toBe('unreadable')
  })

  it('is unreadable when one line of many is not understood', async () => {
    const noJson = said('', 1)
    const text = said(`${recordedLines}3: eth1    inet surprise\n`)
    expect(await readNodeState(nodeWith(noJson, text), never)).toMatchObject({ kind: 'unreadable' })
  })

  it('never throws, whatever is printed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), fc.json(), fc.boolean(), async (text, json, isText) => {
        const state = await readNodeState(
          isText ? nodeWith(said('', 1), said(text)) : nodeWith(said(json)),
          never,
        )
        if (state.kind === 'read') expect(Array.isArray(state.addresses)).toBe(true)
        else expect(state.why).not.toBe('')
      }),
    )
  })
})
