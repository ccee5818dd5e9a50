import { describe, expect, it } from 'vitest'
import { layoutFromSeed, truthOf } from './layouts.ts'
import {
  differencesOf,
  oracles,
  readHabets,
  readIputils,
  readNmapHosts,
  tableOf,
  type OracleAnswers,
} from './oracles.ts'
import { createSegmentLab, whyNoSegmentLab } from './segment-lab.ts'
import type { HostSpec } from './segment-hosts.ts'

const ended = (exitCode: number, stdout: string, stderr = '') => ({ exitCode, stdout, stderr })

describe('What an oracle says', () => {
  it('is read from exit code and text of iputils arping', () => {
    const head = 'ARPING 10.0.0.7 from 0.0.0.0 eth0\n'
    const silence = ended(0, `${head}Sent 2 probes (2 broadcast(s))\nReceived 0 response(s)\n`)
    const answer = ended(
      1,
      `${head}Unicast reply from 10.0.0.7 [52:54:00:4C:00:02]  0.567ms\nSent 1 probes (1 broadcast(s))\nReceived 1 response(s)\n`,
    )
    expect(readIputils(silence).verdict).toBe('down')
    expect(readIputils(answer).verdict).toBe('up')
    // Exit code of one, text of the other.
    expect(readIputils({ ...answer, exitCode: 0 }).verdict).toBe('unclear')
    expect(readIputils({ ...silence, exitCode: 1 }).verdict).toBe('unclear')
    expect(readIputils(ended(2, '', 'arping: Interface "eth0" is down\n')).verdict).toBe('unclear')
  })

  it('is read from exit code and text of the arping of Habets, which means the reverse', () => {
    const statistics = (received: number) =>
      `ARPING 10.0.0.7\n\n--- 10.0.0.7 statistics ---\n2 packets transmitted, ${received} packets received,  0% unanswered (0 extra)\n`
    expect(readHabets(ended(1, statistics(0))).verdict).toBe('down')
    expect(readHabets(ended(0, statistics(2))).verdict).toBe('up')
    expect(readHabets(ended(0, statistics(0))).verdict).toBe('unclear')
    expect(readHabets(ended(1, '', 'arping: libnet_init(LIBNET_LINK, eth0): No such device')).verdict).toBe(
      'unclear',
    )
  })

  it('is read from the XML of nmap, with the reason', () => {
    const hosts = readNmapHosts(`<nmaprun>
<host><status state="up" reason="arp-response" reason_ttl="0"/>
<address addr="10.0.0.1" addrtype="ipv4"/>
<address addr="52:54:00:4C:00:0A" addrtype="mac" vendor="QEMU virtual NIC"/>
</host>
<host><status state="down" reason="no-response" reason_ttl="0"/>
<address addr="10.0.0.2" addrtype="ipv4"/>
</host>
</nmaprun>`)
    expect([...hosts]).toEqual([
      ['10.0.0.1', { verdict: 'up', detail: 'arp-response' }],
      ['10.0.0.2', { verdict: 'down', detail: 'no-response' }],
    ])
  })
})

describe('The comparison', () => {
  const hosts: HostSpec[] = [
    { kind: 'answers', address: '10.0.0.1' },
    { kind: 'lossy', address: '10.0.0.2', heard: 3 },
    { kind: 'dhcp', address: '10.0.0.3', pool: { first: '10.0.0.8', last: '10.0.0.9' } },
  ]
  const truth = truthOf('10.0.0.0/28', hosts, { address: '10.0.0.14', prefix: 28 })
  const answers = (verdicts: Record<string, 'up' | 'down' | 'unclear'>): OracleAnswers =>
    new Map(Object.entries(verdicts).map(([address, verdict]) => [address, { verdict, detail: '' }]))

  it('has nothing to say where everybody says what is true', () => {
    const nmap = answers({ '10.0.0.1': 'up', '10.0.0.2': 'up', '10.0.0.5': 'down', '10.0.0.8': 'down' })
    const landfall = new Map([
      ['10.0.0.1', 'used'],
      ['10.0.0.5', 'free'],
      // Nobody has it, and still it must not be offered: both are right.
      ['10.0.0.8', 'doubtful'],
      ['10.0.0.14', 'used'],
    ] as const)
    expect(differencesOf({ truth, hosts, oracles: { nmap }, landfall })).toEqual([])
  })

  it('names who is wrong, and why as far as the host explains it', () => {
    const nmap = answers({ '10.0.0.1': 'down', '10.0.0.2': 'down', '10.0.0.5': 'up', '10.0.0.6': 'unclear' })
    const landfall = new Map([
      ['10.0.0.2', 'used'],
      ['10.0.0.8', 'free'],
    ] as const)
    const differences = differencesOf({ truth, hosts, oracles: { nmap }, landfall })
    expect(differences.map(({ address, who, reason }) => [address, who, reason])).toEqual([
      ['10.0.0.1', ['nmap'], undefined],
      ['10.0.0.2', ['nmap'], 'hears question 4 of five only'],
      ['10.0.0.5', ['nmap'], undefined],
      ['10.0.0.6', ['nmap'], undefined],
      ['10.0.0.8', ['Landfall'], undefined],
    ])
    expect(tableOf(differences).split('\n').slice(0, 4)).toEqual([
      '| Address | Truth | Host | nmap | Landfall | Not true | Why |',
      '| --- | --- | --- | --- | --- | --- | --- |',
      '| 10.0.0.1 | used | answers | down |  | nmap | not explained |',
      '| 10.0.0.2 | used | lossy | down | used | nmap | hears question 4 of five only |',
    ])
  })

  it('knows that a proxy ARP router answers for what nobody has', () => {
    const proxied: HostSpec[] = [
      ...hosts,
      { kind: 'proxy-arp', address: '10.0.0.4', delay: 'none', answersProbes: false },
    ]
    const own = truthOf('10.0.0.0/28', proxied, { address: '10.0.0.14', prefix: 28 })
    const nmap = answers({ '10.0.0.5': 'up' })
    const landfall = new Map([['10.0.0.1', 'doubtful']] as const)
    for (const { reason } of differencesOf({ truth: own, hosts: proxied, oracles: { nmap }, landfall }))
      expect(reason).toContain('the proxy ARP router 10.0.0.4 answers')
  })
})

const reason = whyNoSegmentLab()

describe.skipIf(reason !== undefined)(
  `Oracles on random layouts${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  { concurrent: true, timeout: 60_000 },
  () => {
    // Every kind of host is in three seeds that follow each other.
    it.for([1, 2, 3])(
      'differ from the truth only where the kind of host explains it (seed %d)',
      async (seed) => {
        const layout = layoutFromSeed(seed, { prefix: 27 })
        const lab = await createSegmentLab(layout)
        try {
          const addresses = [...layout.truth.keys()]
            .slice(1, -1)
            .filter((each) => each !== layout.seeker.address)
          const asked = await Promise.all(
            oracles
              .filter((oracle) => oracle.whyNot() === undefined)
              .map(async (oracle) => [oracle.name, await oracle.ask(lab, addresses)] as const),
          )
          expect(asked.length).toBeGreaterThan(0)
          const differences = differencesOf({ ...layout, oracles: Object.fromEntries(asked) })
          const unexplained = differences.filter((difference) => difference.reason === undefined)
          expect(unexplained, `${layout.toText()}\n${tableOf(unexplained)}`).toEqual([])
          // They say something: most of what is true, they agree about.
          expect(
            asked.every(([, answers]) => [...answers.values()].some(({ verdict }) => verdict === 'up')),
          ).toBe(true)
        } finally {
          await lab.remove()
        }
      },
    )

    it.for(oracles)('can be asked: $name', (oracle, { skip }) => {
      const why = oracle.whyNot()
      if (why !== undefined) skip(why)
      expect(why).toBeUndefined()
    })
  },
)
