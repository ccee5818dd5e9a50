import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatAddress, parseAddress } from '../../../shared/plan/ipv4.ts'
import { parseNmapXml, type NmapHost, type NmapReport } from './parse-nmap-xml.ts'
import { nmapXml, recorded } from './testing/nmap-xml.ts'

function finished(xml: string): Extract<NmapReport, { kind: 'finished' }> {
  const report = parseNmapXml(xml)
  if (report.kind !== 'finished') throw new Error(JSON.stringify(report))
  return report
}
const countsOf = (hosts: readonly NmapHost[]) => {
  const counts: Record<string, number> = {}
  for (const { state, reason } of hosts)
    counts[`${state} ${reason}`] = (counts[`${state} ${reason}`] ?? 0) + 1
  return counts
}

describe('what nmap 7.93 wrote', () => {
  it('as root: who answered by ARP with which MAC address, and who did not', () => {
    const report = finished(recorded('arp-as-root.xml'))
    expect(countsOf(report.hosts)).toEqual({ 'up arp-response': 5, 'down no-response': 25 })
    expect(report.hosts.find(({ address }) => address === '10.77.0.7')).toEqual({
      address: '10.77.0.7',
      mac: 'fa:46:a5:33:52:95',
      state: 'up',
      reason: 'arp-response',
    })
    expect(report.tasks).toEqual([{ name: 'ARP Ping Scan', hosts: 30 }])
    expect(report.elapsedSeconds).toBe(0.3)
  })

  it('without privileges: a refused connection is an answer, a host that drops everything has none', () => {
    const report = finished(recorded('connect-unprivileged.xml'))
    expect(countsOf(report.hosts)).toEqual({ 'up conn-refused': 1, 'down no-response': 13 })
    expect(report.hosts.find(({ address }) => address === '10.77.0.13')?.reason).toBe('no-response')
    expect(report.tasks).toEqual([{ name: 'Ping Scan', hosts: 14 }])
  })

  it('of an own address, which is not counted among those that were asked', () => {
    const report = finished(recorded('own-address.xml'))
    expect(report.hosts.map(({ reason }) => reason)).toEqual([
      'localhost-response',
      'arp-response',
      'no-response',
    ])
    expect(report.tasks).toEqual([{ name: 'ARP Ping Scan', hosts: 2 }])
  })

  it('of addresses that the operating system could not reach', () => {
    expect(countsOf(finished(recorded('unreachable.xml')).hosts)).toEqual({
      'down net-unreach': 1,
      'down host-unreach': 19,
      'down no-response': 1,
    })
  })

  it('with -Pn: everything is up, and nobody was asked', () => {
    const report = finished(recorded('taken-for-granted.xml'))
    expect(countsOf(report.hosts)).toEqual({ 'up user-set': 3 })
    expect(report.tasks).toEqual([])
  })

  it('of addresses without a route, which it skipped', () => {
    const report = finished(recorded('no-route.xml'))
    expect(report.hosts).toEqual([])
    expect([...report.skipped]).toEqual([
      ['10.55.0.7', 'invalid'],
      ['10.55.0.8', 'invalid'],
    ])
  })

  it('when it gave up: its own message', () => {
    expect(parseNmapXml(recorded('no-such-interface.xml'))).toEqual({
      kind: 'failed',
      message: 'I cannot figure out what source address to use for device nope, does it even exist?',
    })
  })

  it('when it gave up, with characters that XML does not allow', () => {
    const xml = (message: string) =>
      `<nmaprun><runstats><finished exit="error" errormsg="${message}"/></runstats></nmaprun>`
    expect(
      parseNmapXml(xml('-&#45;no &quot;such&quot; &lt;option&gt; &#x27;x&#39; &amp;lt; &nope; &#1114112;')),
    ).toEqual({
      kind: 'failed',
      message: '--no "such" <option> \'x\' &lt; &nope; &#1114112;',
    })
    expect(parseNmapXml(xml('a&#27;[31mred&#10;b'))).toEqual({ kind: 'failed', message: 'a·[31mred b' })
  })
})

describe('anything else', () => {
  it('is empty when there is nothing', () => {
    expect(parseNmapXml('')).toEqual({ kind: 'unreadable', what: 'empty', detail: 'nothing' })
    expect(parseNmapXml(' \n ')).toMatchObject({ what: 'empty' })
  })

  it.each([
    'Segmentation fault',
    'Starting Nmap 7.93 ( https://nmap.org )\nNmap done: 1 IP address (0 hosts up)',
    '{"nmaprun":{}}',
    '<html><body>nmaprun</body></html>',
    '<?xml version="1.0"?><nmaprun></nmaprun>',
    '<nmaprun/>',
    '<nmaprun><runstats></nmaprun>',
    '<nmaprun><runstats><finished exit="maybe"/></runstats></nmaprun>',
    '<nmaprun><host/><runstats><finished exit="success"/></runstats></nmaprun>',
    '<nmaprun><host><status state="up"/></host><runstats><finished exit="success"/></runstats></nmaprun>',
    '<other><nmaprun><runstats><finished exit="success"/></runstats></nmaprun></other></nmaprun>',
  ])('is no report: %s', (text) => {
    expect(parseNmapXml(text).kind).toBe('unreadable')
  })

  it('is no report when it names an address that is none', () => {
    const xml = recorded('arp-as-root.xml').replace('"10.77.0.7"', '"10.77.0.700"')
    expect(parseNmapXml(xml)).toMatchObject({ kind: 'unreadable', what: 'rubbish' })
  })

  it('is no report when it declares entities, and they are not expanded', () => {
    const bomb = `<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
      <nmaprun><runstats><finished exit="error" errormsg="&b;&b;"/></runstats></nmaprun>`
    expect(parseNmapXml(bomb)).toMatchObject({ kind: 'unreadable', what: 'rubbish' })
  })

  it('leaves the prototype of objects alone', () => {
    const xml = `<nmaprun><__proto__ polluted="yes"/><constructor><prototype polluted="yes"/></constructor>
      <runstats><finished exit="success"/></runstats></nmaprun>`
    parseNmapXml(xml)
    expect({}).not.toHaveProperty('polluted')
  })

  it('shows nothing of it that a terminal would obey', () => {
    const report = parseNmapXml('\u001b]0;owned\u0007 no xml')
    expect(report).toEqual({ kind: 'unreadable', what: 'rubbish', detail: '·]0;owned· no xml' })
  })

  it('of eight megabytes is told at once', () => {
    const begin = performance.now()
    expect(parseNmapXml('<nmaprun>'.repeat(900_000)).kind).toBe('unreadable')
    expect(parseNmapXml(`<?xml ${'<!DOCTYPE '.repeat(800_000)}</nmaprun>`).kind).toBe('unreadable')
    expect(parseNmapXml(`<nmaprun>${'&'.repeat(8_000_000)}</nmaprun>`).kind).toBe('unreadable')
    expect(performance.now() - begin).toBeLessThan(10_000)
  })
})

describe('a report that was cut off', () => {
  it.each(['arp-as-root.xml', 'connect-unprivileged.xml', 'no-such-interface.xml', 'no-route.xml'])(
    'is never a report, wherever that was: %s',
    (name) => {
      const xml = recorded(name).trimEnd()
      for (let end = 0; end < xml.length; end++) {
        expect(parseNmapXml(xml.slice(0, end)).kind, xml.slice(0, end).slice(-40)).toBe('unreadable')
      }
      expect(parseNmapXml(xml).kind).not.toBe('unreadable')
    },
  )

  it('says where it ends', () => {
    const report = parseNmapXml(recorded('arp-as-root.xml').slice(0, 1500))
    expect(report).toMatchObject({ kind: 'unreadable', what: 'truncated' })
  })
})

describe('properties', () => {
  const address = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map(formatAddress)
  const mac = fc
    .array(fc.integer({ min: 0, max: 255 }), { minLength: 6, maxLength: 6 })
    .map((bytes) => bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':'))
  const host: fc.Arbitrary<NmapHost> = fc.record({
    address,
    mac: fc.option(mac, { nil: undefined }),
    state: fc.constantFrom('up', 'down', 'unknown'),
    reason: fc.constantFrom('arp-response', 'no-response', 'conn-refused', 'user-set', 'admin-prohibited'),
  })

  it('every host that nmap writes is read as it was written', () => {
    fc.assert(
      fc.property(fc.array(host, { maxLength: 40 }), (hosts) => {
        expect(finished(nmapXml(hosts)).hosts).toEqual(hosts)
      }),
    )
  })

  it('no text makes it throw, and only whole reports are reports', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        expect(parseNmapXml(text).kind).toBe('unreadable')
      }),
    )
  })

  it('a damaged report never throws and never names an address that is none', () => {
    const xml = recorded('arp-as-root.xml')
    const damage = fc.array(
      fc.tuple(
        fc.nat(xml.length),
        fc.nat(30),
        fc.string({ unit: fc.constantFrom(...'<>&"=/! ax0.\0é'), maxLength: 5 }),
      ),
      { minLength: 1, maxLength: 4 },
    )
    fc.assert(
      fc.property(damage, (places) => {
        const damaged = places.reduce(
          (text, [at, length, inserted]) => text.slice(0, at) + inserted + text.slice(at + length),
          xml,
        )
        const report = parseNmapXml(damaged)
        if (report.kind !== 'finished') return
        for (const { address: found } of report.hosts) expect(parseAddress(found)).toBeDefined()
      }),
      { numRuns: 300 },
    )
  })
})
