import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { announceCommand, arpingCommand } from './arping-command.ts'
import type { UsableArping } from './detect-arping.ts'

const iputils: UsableArping = {
  kind: 'iputils',
  program: '/usr/bin/arping',
  leadingArguments: [],
  version: '20221126',
}
const habets: UsableArping = {
  kind: 'habets',
  program: '/usr/sbin/arping',
  leadingArguments: [],
  version: '2.23',
}
const busybox: UsableArping = {
  kind: 'busybox',
  program: 'busybox',
  leadingArguments: ['arping'],
  version: '1.35.0',
}
const target = { address: '10.0.0.9', interface: 'eth0' }

function lineOf({ program, args }: { readonly program: string; readonly args: readonly string[] }): string {
  return [program, ...args].join(' ')
}

describe('duplicate address detection', () => {
  it.each([
    [iputils, '/usr/bin/arping -D -c 4 -I eth0 10.0.0.9'],
    [habets, '/usr/sbin/arping -0 -c 4 -i eth0 10.0.0.9'],
    [busybox, 'busybox arping -D -c 4 -I eth0 10.0.0.9'],
  ])('by $kind sends one probe more, so that two seconds pass after the third', (arping, line) => {
    const command = arpingCommand(arping, { ...target, kind: 'arp-probe', count: 3 })
    expect(lineOf(command)).toBe(line)
    expect(command).toMatchObject({ requests: 4, seconds: 4 })
  })
})

describe('asking by ARP', () => {
  it.each([
    [iputils, '/usr/bin/arping -b -c 2 -I eth0 10.0.0.9'],
    [habets, '/usr/sbin/arping -c 2 -i eth0 10.0.0.9'],
    [busybox, 'busybox arping -b -c 2 -I eth0 10.0.0.9'],
  ])('by $kind goes on after the first answer and keeps on broadcasting', (arping, line) => {
    const command = arpingCommand(arping, { ...target, kind: 'arping', count: 2 })
    expect(lineOf(command)).toBe(line)
    expect(command).toMatchObject({ requests: 2, seconds: 2 })
  })
})

describe('an announcement', () => {
  it.each([
    [iputils, 'request', '/usr/bin/arping -U -c 2 -I eth0 10.0.0.9'],
    [iputils, 'reply', '/usr/bin/arping -A -c 2 -I eth0 10.0.0.9'],
    [habets, 'request', '/usr/sbin/arping -U -S 10.0.0.9 -c 2 -i eth0 10.0.0.9'],
    [habets, 'reply', '/usr/sbin/arping -P -S 10.0.0.9 -c 2 -i eth0 10.0.0.9'],
    [busybox, 'request', 'busybox arping -U -c 2 -I eth0 10.0.0.9'],
    [busybox, 'reply', 'busybox arping -A -c 2 -I eth0 10.0.0.9'],
  ] as const)('by $kind, as a %s, names the address as its sender', (arping, form, line) => {
    expect(lineOf(announceCommand(arping, { ...target, count: 2, form }))).toBe(line)
  })
})

describe('what becomes an argument', () => {
  const ask = (change: Partial<typeof target>) => () =>
    arpingCommand(iputils, { ...target, ...change, kind: 'arping', count: 1 })

  it.each(['eth0', 'ens192', 'br-0a1b2c3d4e5f', 'eth0.100', 'eth0:1', 'veth1@if2', 'wlp0s20f3', 'en7'])(
    'may be the interface %s',
    (name) => {
      expect(ask({ interface: name })).not.toThrow()
    },
  )

  it.each([
    '',
    '-I',
    '-h',
    '.',
    '..',
    'eth0 -D',
    'eth0;reboot',
    '../eth0',
    '$(id)',
    'a'.repeat(16),
    'eth0\n',
    'étè0',
  ])('may not be the interface %j', (name) => {
    expect(ask({ interface: name })).toThrow(
      expect.objectContaining({ code: 'INTERFACE_NAME_INVALID' }) as Error,
    )
  })

  it.each(['', '-c', '10.0.0', '10.0.0.256', '10.0.0.1 -D', 'host.example', '10.0.0.01', '::1'])(
    'may not be the address %j',
    (address) => {
      expect(ask({ address })).toThrow(expect.objectContaining({ code: 'ADDRESS_INVALID' }) as Error)
      expect(() => announceCommand(habets, { ...target, address, count: 1, form: 'request' })).toThrow(
        expect.objectContaining({ code: 'ADDRESS_INVALID' }) as Error,
      )
    },
  )

  it('is never a flag that somebody else chose', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (name, address) => {
        const command = (() => {
          try {
            return arpingCommand(habets, { interface: name, address, kind: 'arp-probe', count: 3 })
          } catch {
            return undefined
          }
        })()
        for (const argument of command?.args ?? []) {
          if (argument.startsWith('-')) expect(['-0', '-c', '-i']).toContain(argument)
        }
      }),
    )
  })
})
