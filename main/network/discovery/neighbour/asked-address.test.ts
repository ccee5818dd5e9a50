import { describe, expect, it } from 'vitest'
import { AskedAddress, type Patience } from './asked-address.ts'
import { sourceTraits, type NeighbourEntry } from './neighbour-table.ts'

const patience: Patience = { requests: 5, span: 4500, listen: 400 }
const entry = (state: NeighbourEntry['state'], requestCount?: number): NeighbourEntry => ({
  address: '10.0.0.1',
  interface: undefined,
  mac: undefined,
  state,
  shown: state.toUpperCase(),
  requestCount,
})

function askedAt(at: number): AskedAddress {
  const asked = new AskedAddress('10.0.0.1', undefined)
  asked.handleSent(at, undefined)
  return asked
}

describe('requests are counted from below', () => {
  const linux = sourceTraits['ip-neigh']

  it.each([
    [0, 1],
    [1069, 1],
    [1070, 2],
    [2139, 2],
    [2140, 3],
    [60_000, 3],
  ])('by time: %i ms after the datagram they are at least %i', (since, requests) => {
    const asked = askedAt(100)
    asked.handleTable(entry('asking'), 100 + since, linux, patience)
    expect(asked.requests).toBe(requests)
  })

  it('by the count of the system, from where it was first seen', () => {
    const asked = askedAt(0)
    for (const [at, count, requests] of [
      [50, 4, 1],
      [1100, 5, 2],
      [2100, 6, 3],
    ] as const) {
      expect(asked.handleTable(entry('asking', count), at, linux, patience)).toEqual({ kind: 'wait' })
      expect(asked.requests).toBe(requests)
    }
    expect(asked.handleTable(entry('failed', 6), 3100, linux, patience)).toEqual({ kind: 'ask' })
    expect(asked.requests).toBe(3)
    asked.handleSent(3150, undefined)
    asked.handleTable(entry('asking', 4), 3200, linux, patience)
    expect(asked.requests).toBe(4)
  })

  it('also when somebody else makes the system begin again', () => {
    const asked = askedAt(0)
    asked.handleTable(entry('asking', 4), 50, linux, patience)
    asked.handleTable(entry('asking', 6), 2100, linux, patience)
    asked.handleTable(entry('asking', 4), 3100, linux, patience)
    expect(asked.requests).toBe(4)
    asked.handleTable(entry('asking', 5), 4200, linux, patience)
    expect(asked.requests).toBe(5)
  })

  it('not by what was there before: an entry that has failed proves nothing', () => {
    const asked = askedAt(0)
    expect(asked.handleTable(entry('failed', 6), 3500, linux, patience)).toEqual({
      kind: 'not-asked',
      hasEntry: true,
    })
    expect(asked.requests).toBe(0)
  })

  it('without the last one, when its entry was thrown out before an answer could find it', () => {
    const asked = askedAt(0)
    asked.handleTable(entry('asking', 4), 50, linux, patience)
    asked.handleTable(entry('asking', 5), 1100, linux, patience)
    asked.handleTable(entry('asking', 5), 1300, linux, patience)
    expect(asked.handleTable(undefined, 1400, linux, patience)).toEqual({ kind: 'ask' })
    expect(asked.requests).toBe(1)
  })

  it('with the last one, when the entry failed first and was thrown out then', () => {
    const asked = askedAt(0)
    asked.handleTable(entry('asking', 4), 50, linux, patience)
    asked.handleTable(entry('failed', 6), 3100, linux, patience)
    asked.handleTable(undefined, 3200, linux, patience)
    expect(asked.requests).toBe(3)
  })

  it('by datagrams where each makes the system ask once, unless it could not be sent', () => {
    const macos = sourceTraits['arp-macos']
    const asked = askedAt(0)
    expect(asked.handleTable(entry('asking'), 900, macos, patience)).toEqual({ kind: 'wait' })
    expect(asked.handleTable(entry('asking'), 1050, macos, patience)).toEqual({ kind: 'ask' })
    expect(asked.requests).toBe(1)
    asked.handleSent(1100, 'EHOSTUNREACH')
    expect(asked.handleTable(entry('asking'), 2200, macos, patience)).toEqual({
      kind: 'not-asked',
      hasEntry: true,
    })
    expect(asked.requests).toBe(1)
  })
})

describe('between two datagrams', () => {
  it('nothing counts but an answer', () => {
    const linux = sourceTraits['ip-neigh']
    const asked = askedAt(0)
    asked.handleTable(entry('asking', 4), 50, linux, patience)
    asked.handleTable(entry('asking', 4), 600, linux, patience)
    expect(asked.handleTable(undefined, 700, linux, patience)).toEqual({ kind: 'ask' })
    expect(asked.handleTable(entry('asking', 4), 1200, linux, patience)).toEqual({ kind: 'wait' })
    expect(asked.handleTable(undefined, 1300, linux, patience)).toEqual({ kind: 'wait' })
    expect(asked.requests).toBe(1)
    expect(asked.handleTable(entry('reachable', 4), 1400, linux, patience)).toMatchObject({
      kind: 'answered',
    })
  })
})
