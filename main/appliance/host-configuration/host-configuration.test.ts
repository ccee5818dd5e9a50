import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { fileDifference } from './file-difference.ts'
import type { InterfaceSettings } from './interface-settings.ts'
import { networkFiles, trialUnits } from './network-files.ts'

const settings: InterfaceSettings = {
  name: 'ens160',
  mode: 'static',
  address: '10.10.200.31',
  prefix: 24,
  gateway: '10.10.200.1',
  mtu: 9000,
  vlan: undefined,
  nameservers: ['10.10.200.2', '10.10.200.3'],
}

describe('files of systemd-networkd', () => {
  it('set address, mask, gateway, MTU and name servers', () => {
    const [cloudConfig, unit] = networkFiles(settings)
    expect(unit).toEqual({
      path: '/etc/systemd/network/05-landfall-ens160.network',
      content:
        '[Match]\nName=ens160\n\n[Link]\nMTUBytes=9000\n\n[Network]\nAddress=10.10.200.31/24\nGateway=10.10.200.1\nDNS=10.10.200.2\nDNS=10.10.200.3\n',
    })
    expect(parse(cloudConfig?.content ?? '')).toEqual({
      stages: {
        initramfs: [
          {
            name: 'Network',
            files: [{ ...unit, permissions: 0o644, owner: 0, group: 0 }],
          },
        ],
      },
    })
  })

  it('put the address on a VLAN interface when the port is a trunk', () => {
    const units = trialUnits({ ...settings, vlan: 100 })
    expect(units.map(({ name }) => name)).toEqual([
      '04-landfall-trial-ens160.100.netdev',
      '04-landfall-trial-ens160.network',
      '04-landfall-trial-ens160.100.network',
    ])
    expect(units[0]?.content).toBe('[NetDev]\nName=ens160.100\nKind=vlan\n\n[VLAN]\nId=100\n')
    expect(units[1]?.content).not.toContain('Address=')
    expect(units[2]?.content).toContain('Address=10.10.200.31/24')
  })

  it('ask by DHCP, and take its name servers only where the plan has none', () => {
    const dhcp = { name: 'eth0', mode: 'dhcp', mtu: undefined, vlan: undefined } as const
    expect(trialUnits({ ...dhcp, nameservers: [] })[0]?.content).toBe(
      '[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\n',
    )
    expect(trialUnits({ ...dhcp, nameservers: ['1.1.1.1'] })[0]?.content).toContain('[DHCPv4]\nUseDNS=no')
  })
})

describe('the difference of a file', () => {
  it('shows lines that go and lines that come', () => {
    expect(fileDifference('/f', 'a\nb\nc\n', 'a\nx\nc\n')).toEqual(['--- /f', '+++ /f', '-b', '+x'])
    expect(fileDifference('/f', undefined, 'a\n')).toEqual(['--- (no file)', '+++ /f', '+a'])
    expect(fileDifference('/f', 'a\n', 'a\n')).toEqual([])
  })

  it('has as many lines more as the new file has', () => {
    const lines = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const [, , ...changes] = fileDifference('/f', `${before.join('\n')}\n`, `${after.join('\n')}\n`)
        const count = (mark: string) => changes.filter((line) => line.startsWith(mark)).length
        expect(count('+') - count('-')).toBe(
          before.join('\n') === after.join('\n') ? 0 : after.length - before.length,
        )
      }),
    )
  })
})
