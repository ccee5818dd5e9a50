import { describe, expect, it } from 'vitest'
import {
  architectureOf,
  parseHostName,
  parseMachineId,
  parseOsRelease,
  parseProductUuid,
  parseServices,
  parseUname,
  parseUptime,
} from './parse-system.ts'

describe('os-release', () => {
  it('is read with its quotes, and the first of a name counts', () => {
    const release = parseOsRelease(
      [
        'PRETTY_NAME="Ubuntu 22.04.5 LTS"',
        "NAME='Ubuntu'",
        'VERSION_ID=22.04',
        'ID=ubuntu',
        '# ID=comment',
        'KAIROS_VERSION="v3.4.2 \\"x\\" \\$y"',
        'ID=second',
        'broken line',
        '',
      ].join('\n'),
    )
    expect(Object.fromEntries(release)).toEqual({
      PRETTY_NAME: 'Ubuntu 22.04.5 LTS',
      NAME: 'Ubuntu',
      VERSION_ID: '22.04',
      ID: 'ubuntu',
      KAIROS_VERSION: 'v3.4.2 "x" $y',
    })
  })
})

describe('the kernel', () => {
  it('has a release and an architecture, which the API calls otherwise', () => {
    expect(parseUname('Linux 5.15.0-139-generic x86_64\n')).toEqual({
      release: '5.15.0-139-generic',
      machine: 'x86_64',
    })
    expect(architectureOf('x86_64')).toBe('amd64')
    expect(architectureOf('aarch64')).toBe('arm64')
    expect(architectureOf('riscv64')).toBe('riscv64')
  })

  it.each(['', 'Linux\n', 'Darwin 23.0 arm64', 'Linux a b c'])('is not read from %j', (text) => {
    expect(parseUname(text)).toBeUndefined()
  })

  it('tells its uptime in seconds', () => {
    expect(parseUptime('13756.43 25000.01\n')).toBe(13_756_430)
    expect(parseUptime('')).toBeUndefined()
    expect(parseUptime('up 3 days')).toBeUndefined()
  })
})

describe('names and ids', () => {
  it('of the host may have comments before', () => {
    expect(parseHostName('# managed\nnode-7\n')).toBe('node-7')
    expect(parseHostName('')).toBeUndefined()
    expect(parseHostName('a\nb\n')).toBeUndefined()
    expect(parseHostName('a b')).toBeUndefined()
  })

  it('of the product that mean "none" are none', () => {
    expect(parseProductUuid('4C4C4544-0042-3010-8052-B4C04F303732\n')).toBe(
      '4c4c4544-0042-3010-8052-b4c04f303732',
    )
    expect(parseProductUuid('00000000-0000-0000-0000-000000000000')).toBeUndefined()
    expect(parseProductUuid('FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF')).toBeUndefined()
    expect(parseProductUuid('Not Settable')).toBeUndefined()
  })

  it('of the machine are 32 hexadecimal digits', () => {
    expect(parseMachineId('3d1219c7c4c5404aaa1f6d2a48adfda4\n')).toBe('3d1219c7c4c5404aaa1f6d2a48adfda4')
    expect(parseMachineId('uninitialized\n')).toBeUndefined()
  })
})

describe('services', () => {
  const block = (fields: Record<string, string>) =>
    Object.entries(fields)
      .map(([name, value]) => `${name}=${value}\n`)
      .join('')

  it('come in the order in which they were asked for, whatever systemd calls them', () => {
    const text = [
      block({ Id: 'ssh.service', LoadState: 'loaded', ActiveState: 'active', SubState: 'running', UnitFileState: 'enabled' }), // prettier-ignore
      block({ Id: 'ssh.service', LoadState: 'loaded', ActiveState: 'active', SubState: 'running', UnitFileState: 'enabled' }), // prettier-ignore
      block({ Id: 'kubelet.service', LoadState: 'not-found', ActiveState: 'inactive', SubState: 'dead', UnitFileState: '' }), // prettier-ignore
      block({ Id: 'x.service', LoadState: 'loaded', ActiveState: 'activating', SubState: 'auto-restart', UnitFileState: 'disabled' }), // prettier-ignore
    ].join('\n')
    expect(parseServices(text, ['ssh.service', 'sshd.service', 'kubelet.service', 'x.service'])).toEqual([
      { unit: 'ssh.service', isInstalled: true, state: 'active', subState: 'running', startMode: 'enabled' },
      { unit: 'sshd.service', isInstalled: true, state: 'active', subState: 'running', startMode: 'enabled' },
      { unit: 'kubelet.service', isInstalled: false, state: 'inactive', subState: 'dead', startMode: undefined }, // prettier-ignore
      { unit: 'x.service', isInstalled: true, state: 'activating', subState: 'auto-restart', startMode: 'disabled' }, // prettier-ignore
    ])
  })

  it('are not told at all when one of them is missing: which one would be a guess', () => {
    const text = block({ LoadState: 'loaded', ActiveState: 'active' })
    expect(parseServices(text, ['a.service', 'b.service'])).toBeUndefined()
    expect(parseServices('', ['a.service'])).toBeUndefined()
  })
})
