import { describe, expect, it } from 'vitest'
import { planSchema } from '../../shared/plan/index.ts'
import { wantedFiles, type NodeFile } from './node-files.ts'

function filesOf(node: object, site: object = {}): NodeFile[] {
  const plan = planSchema.parse({
    version: 1,
    site: { name: 'rig-7', network: '10.10.200.0/24', vip: '10.10.200.100', ...site },
    access: { newPassword: { generate: 'node' } },
    nodes: [{ name: 'n1', address: '10.10.200.1', leader: true, ...node }],
    cluster: { name: 'palette', registry: { password: { generate: 'registry' } } },
    console: { email: 'ops@example.com', newPassword: { env: 'CONSOLE_PASSWORD' } },
  })
  return plan.nodes.flatMap((first) => wantedFiles(plan, first))
}

const contentOf = (unit: string, files: NodeFile[]) => files.find((file) => file.unit === unit)?.content

describe('files on a node', () => {
  it('are none when the plan sets neither time servers nor names', () => {
    expect(filesOf({})).toEqual([])
    expect(filesOf({ ntp: [], dns: {} }, { ntp: ['ntp.site'], dns: { primary: '10.10.200.2' } })).toEqual([])
  })

  it('set the time servers of the site, or those of the node instead', () => {
    expect(filesOf({}, { ntp: ['ntp.site', '10.10.200.2'] })).toEqual([
      {
        path: '/etc/systemd/timesyncd.conf.d/50-landfall.conf',
        content: '[Time]\nNTP=ntp.site 10.10.200.2\n',
        unit: 'systemd-timesyncd',
        what: 'time servers ntp.site 10.10.200.2',
      },
    ])
    const own = filesOf({ ntp: ['ntp.node'] }, { ntp: ['ntp.site'] })
    expect(contentOf('systemd-timesyncd', own)).toBe('[Time]\nNTP=ntp.node\n')
  })

  it('set name servers where the interface is kept, because nothing else does', () => {
    const dns = { primary: '10.10.200.2', alternate: '10.10.200.3', searchDomain: 'example.com' }
    const [file] = filesOf({}, { dns })
    expect(file).toEqual({
      path: '/etc/systemd/resolved.conf.d/50-landfall.conf',
      content: '[Resolve]\nDNS=10.10.200.2 10.10.200.3\nDomains=example.com\n',
      unit: 'systemd-resolved',
      what: 'DNS 10.10.200.2 10.10.200.3, search domain example.com',
    })
  })

  it.each(['dhcp', 'static'])(
    'set with mode %s only the search domain: name servers go with the interface',
    (mode) => {
      const site = { dns: { primary: '10.10.200.2' } }
      expect(filesOf({ nic: { mode } }, site)).toEqual([])
      const files = filesOf(
        { nic: { mode }, dns: { primary: '10.1.1.1', searchDomain: 'node.example.com' } },
        site,
      )
      expect(contentOf('systemd-resolved', files)).toBe('[Resolve]\nDomains=node.example.com\n')
    },
  )

  it('lie where they survive a restart (palette.md §6.2)', () => {
    const files = filesOf({}, { ntp: ['ntp.site'], dns: { primary: '10.10.200.2' } })
    expect(files).toHaveLength(2)
    for (const file of files) expect(file.path).toMatch(/^\/etc\/systemd\//)
  })
})
