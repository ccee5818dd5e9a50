import { describe, expect, it } from 'vitest'
import { readNeighbourEntry } from './neighbour-entry.ts'
import type { ProofNode } from './proof.ts'

const nodeSaying = (stdout: string, exitCode = 0): ProofNode => ({
  name: 'n1',
  interface: 'eth0',
  mac: '02:00:00:00:00:01',
  address: '10.9.0.2',
  runner: {
    place: 'n1',
    platform: 'linux',
    run: () => Promise.resolve({ kind: 'ended', exitCode, stdout, stderr: '' }),
  },
})

describe('a neighbour entry', () => {
  it.each([
    // iproute2 6.1.0 with `dev`, recorded.
    ['10.9.0.9 lladdr 42:0c:4a:5c:20:17 REACHABLE \n', { kind: 'resolved', isFresh: true }],
    ['10.9.0.9 dev eth0 lladdr 42:0C:4A:5C:20:17 STALE\n', { kind: 'resolved', isFresh: false }],
    ['10.9.0.9 lladdr 42:0c:4a:5c:20:17 router DELAY\n', { kind: 'resolved', isFresh: false }],
    ['10.9.0.9 lladdr 42:0c:4a:5c:20:17 PERMANENT\n', { kind: 'resolved', isFresh: false }],
    // BusyBox 1.35.0, recorded.
    [
      '10.9.0.9 lladdr 42:0c:4a:5c:20:17 ref 1 used 0/0/0 probes 4 REACHABLE\n',
      { kind: 'resolved', mac: '42:0c:4a:5c:20:17', isFresh: true },
    ],
    ['10.9.0.9 FAILED\n', { kind: 'failed' }],
    ['10.9.0.9 INCOMPLETE\n', { kind: 'asking' }],
    ['', { kind: 'absent' }],
    ['10.9.0.99 lladdr 42:0c:4a:5c:20:17 REACHABLE\n', { kind: 'absent' }],
    ['10.9.0.9 rubbish\n', { kind: 'absent' }],
    ['10.9.0.9 REACHABLE\n', { kind: 'absent' }],
  ])('%j is read as %j', async (text, expected) => {
    const entry = await readNeighbourEntry(nodeSaying(text), '10.9.0.9', new AbortController().signal)
    expect(entry).toMatchObject(expected)
    if (entry.kind === 'resolved') expect(entry.mac).toBe('42:0c:4a:5c:20:17')
  })

  it('is unreadable when ip fails', async () => {
    const entry = await readNeighbourEntry(nodeSaying('', 1), '10.9.0.9', new AbortController().signal)
    expect(entry.kind).toBe('unreadable')
  })
})
