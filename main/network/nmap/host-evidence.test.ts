import { describe, expect, it } from 'vitest'
import { askedBy, evidenceOf, troubleIn } from './host-evidence.ts'
import type { NmapHost } from './parse-nmap-xml.ts'
import { recorded } from './testing/nmap-xml.ts'

const host = (state: NmapHost['state'], reason: string, mac?: string): NmapHost => ({
  address: '10.0.0.1',
  mac,
  state,
  reason,
})
const asking = (by: 'arp' | 'packets' | 'connections', trouble?: string) => ({ by, trouble })

describe('the reason is the evidence', () => {
  it('an ARP answer was heard on the link, with who gave it', () => {
    expect(evidenceOf(host('up', 'arp-response', '02:00:00:00:00:01'), asking('arp'))).toEqual({
      kind: 'answered',
      layer: 'link',
      mac: '02:00:00:00:00:01',
      detail: 'arp-response',
    })
  })

  it.each(['syn-ack', 'conn-refused', 'reset', 'echo-reply', 'timestamp-reply', 'port-unreach'])(
    'an answer above the link came over the network, from wherever the routes lead: %s',
    (reason) => {
      expect(evidenceOf(host('up', reason), asking('connections'))).toMatchObject({
        kind: 'answered',
        layer: 'network',
        detail: reason,
      })
    },
  )

  it('an own address is in use, and no ARP evidence', () => {
    expect(evidenceOf(host('up', 'localhost-response'), asking('arp'))).toMatchObject({
      kind: 'answered',
      layer: 'network',
    })
  })

  it.each(['user-set', 'script-set', 'unknown-response', 'host-unreach', 'perm-denied', 'something-new', ''])(
    'being up because of "%s" proves nothing',
    (reason) => {
      expect(evidenceOf(host('up', reason), asking('arp'))).toMatchObject({ kind: 'unclear' })
    },
  )

  it.each([
    ['arp', 'link'],
    ['packets', 'network'],
    ['connections', 'network'],
  ] as const)('no response to %s is silence on the layer that was asked', (by, layer) => {
    expect(evidenceOf(host('down', 'no-response'), asking(by))).toEqual({
      kind: 'silent',
      layer,
      detail: 'no-response',
    })
  })

  it('the operating system that cannot reach an address says so of its own ARP requests, otherwise a router does', () => {
    expect(evidenceOf(host('down', 'host-unreach'), asking('connections'))).toMatchObject({
      kind: 'silent',
      layer: 'network',
    })
    expect(evidenceOf(host('down', 'host-unreach'), asking('packets'))).toMatchObject({ kind: 'unclear' })
    expect(evidenceOf(host('down', 'host-unreach'), asking('arp'))).toMatchObject({ kind: 'unclear' })
  })

  it.each(['net-unreach', 'admin-prohibited', 'unknown-response', 'no-route', 'user-set', 'something-new'])(
    'being down because of "%s" is not silence',
    (reason) => {
      for (const by of ['arp', 'packets', 'connections'] as const)
        expect(evidenceOf(host('down', reason), asking(by))).toEqual({ kind: 'unclear', detail: reason })
    },
  )

  it.each(['unknown', 'skipped'] as const)('an address whose state is %s was not asked', (state) => {
    expect(evidenceOf(host(state, 'no-response'), asking('arp'))).toMatchObject({ kind: 'unclear' })
  })

  it('silence does not count when nmap could not send, answers do', () => {
    const trouble = asking('arp', 'WARNING: eth_send of ARP packet returned -1')
    expect(evidenceOf(host('down', 'no-response'), trouble)).toEqual({
      kind: 'unclear',
      detail: 'no-response; WARNING: eth_send of ARP packet returned -1',
    })
    expect(evidenceOf(host('up', 'arp-response'), trouble)).toMatchObject({ kind: 'answered' })
  })
})

describe('how nmap asked', () => {
  const silent = [host('down', 'no-response'), host('down', 'no-response')]

  it('is by ARP only when it says so for every address', () => {
    expect(askedBy([{ name: 'ARP Ping Scan', hosts: 2 }], silent, true)).toBe('arp')
    expect(
      askedBy(
        [
          { name: 'ARP Ping Scan', hosts: 1 },
          { name: 'ARP Ping Scan', hosts: 1 },
        ],
        silent,
        true,
      ),
    ).toBe('arp')
    expect(askedBy([{ name: 'ARP Ping Scan', hosts: 1 }], silent, true)).toBe('packets')
    expect(askedBy([{ name: 'ARP Ping Scan', hosts: undefined }], silent, true)).toBe('packets')
    expect(
      askedBy(
        [
          { name: 'ARP Ping Scan', hosts: 2 },
          { name: 'Ping Scan', hosts: 1 },
        ],
        silent,
        true,
      ),
    ).toBe('packets')
    expect(askedBy([{ name: 'Ping Scan', hosts: 2 }], silent, true)).toBe('packets')
    expect(askedBy([], silent, true)).toBe('packets')
  })

  it('does not count own addresses', () => {
    const hosts = [host('up', 'localhost-response'), host('down', 'no-response')]
    expect(askedBy([{ name: 'ARP Ping Scan', hosts: 1 }], hosts, true)).toBe('arp')
  })

  it('is by connections without the privilege', () => {
    expect(askedBy([{ name: 'Ping Scan', hosts: 2 }], silent, false)).toBe('connections')
  })
})

describe('what nmap complains of', () => {
  it('counts when frames could not be sent', () => {
    expect(troubleIn(recorded('nothing-sent.stderr.txt'))).toBe(
      'WARNING: eth_send of ARP packet returned -1 rather than expected 42 (errno=105: No buffer space available)',
    )
    expect(troubleIn("Strange read error from 10.77.0.3 (105 - 'No buffer space available')\n")).toBeDefined()
  })

  it('counts when nobody knows what it means', () => {
    expect(troubleIn('\nsomething new\n')).toBe('something new')
  })

  it.each([
    '',
    '\n  \n',
    'RTTVAR has grown to over 2.3 seconds, decreasing to 2.0',
    'sudo: unable to resolve host n1: Name or service not known',
    'bash: warning: setlocale: LC_ALL: cannot change locale (de_DE.UTF-8)',
  ])('does not count when it is not about sending: %j', (stderr) => {
    expect(troubleIn(stderr)).toBeUndefined()
  })

  it('of routes does not count: those addresses are reported as skipped', () => {
    expect(troubleIn(recorded('no-route.stderr.txt'))).toBeUndefined()
  })
})
