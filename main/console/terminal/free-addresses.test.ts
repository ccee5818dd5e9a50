import { describe, expect, it } from 'vitest'
import type { AddressReport, FreeAddressReport } from '../../../shared/addresses/index.ts'
import { formatFreeAddresses, formatProgress } from './free-addresses.ts'

function about(address: string, verdict: AddressReport['verdict'], reason: string): AddressReport {
  return { address, verdict, confidence: verdict === 'free' ? 0.95 : 0.99, reason, macs: [], evidence: [] }
}

const report: FreeAddressReport = {
  cidr: '10.10.200.0/24',
  vantages: [
    {
      name: 'n1',
      kind: 'node',
      isAttached: true,
      detail: 'ens160 10.10.200.11/24',
      methods: ['neighbour-table'],
      arp: 'valid',
    },
    {
      name: 'workstation',
      kind: 'workstation',
      isAttached: false,
      detail: 'not attached to 10.10.200.0/24',
      methods: [],
      arp: 'valid',
    },
  ],
  candidates: [about('10.10.200.100', 'free', 'No answer to 13 ARP requests from n1.')],
  used: [about('10.10.200.7', 'used', 'It is a gateway.')],
  doubtful: [20, 21, 22, 30].map((number) => about(`10.10.200.${number}`, 'doubtful', 'In the pool.')),
  asked: { addresses: 254, of: 254, free: 240 },
  dhcp: [],
  recheckedAfterSeconds: 0,
  warnings: ['There is no arping on n1.'],
  sweptMs: 2400,
  elapsedMs: 4870,
}

describe('the report about free addresses for people', () => {
  it('says from where it looked and from where not, what is free and why, and what is doubtful', () => {
    expect(formatFreeAddresses(report, { isRecheckOffered: true })).toBe(
      [
        'Looked at 254 of 254 addresses of 10.10.200.0/24 in 4.9 s from n1 (ens160 10.10.200.11/24; neighbour-table).',
        'Not from workstation: not attached to 10.10.200.0/24.',
        '',
        'Free             Sure  Evidence',
        '10.10.200.100    95 %  No answer to 13 ARP requests from n1.',
        '',
        'In use or reserved: 1',
        '  10.10.200.7          It is a gateway.',
        '',
        'Doubtful, not offered: 4',
        '  10.10.200.20–.22     In the pool.',
        '  10.10.200.30         In the pool.',
        '',
        'warning: There is no arping on n1.',
        'Silence is no proof: a machine that is switched off does not answer. --recheck asks once more after a minute, as an installation does by itself.',
        '',
      ].join('\n'),
    )
  })

  it('says plainly when nothing was found', () => {
    const text = formatFreeAddresses({ ...report, candidates: [] }, { isRecheckOffered: true })
    expect(text).toContain('No free address was found.')
    expect(text).not.toContain('--recheck')
  })

  it('says that it asked twice', () => {
    const text = formatFreeAddresses({ ...report, recheckedAfterSeconds: 60 }, { isRecheckOffered: false })
    expect(text).toContain('Asked twice, 60 s apart.')
  })

  it('hides nothing of a long list without saying so', () => {
    const used = Array.from({ length: 60 }, (_, index) =>
      about(`10.10.200.${index * 2}`, 'used', 'It answers.'),
    )
    expect(formatFreeAddresses({ ...report, used }, { isRecheckOffered: false })).toContain(
      '… and 20 more; --json',
    )
  })

  it('tells in one line how far it is', () => {
    expect(formatProgress({ stage: 'sweep', asked: 256, of: 4094, free: 200, used: 56 })).toBe(
      'Asking: 256 of 4094 addresses, 200 free, 56 in use',
    )
  })
})
