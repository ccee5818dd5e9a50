import { describe, expect, it } from 'vitest'
import {
  checkResultSchema,
  isBlocking,
  type CheckId,
  type CheckResult,
} from '../../../shared/checks/index.ts'
import { planWith } from '../../engine/testing/run-harness.ts'
import { allOf, ask, askFleet } from './testing/ask.ts'
import { device, emptyDisk, factsOf, interfacePart, systemDisk, type Changes } from './testing/node-facts.ts'

const threeNodes = planWith(3)
const three = (...changes: Changes[]) =>
  ['n1', 'n2', 'n3'].map((name, index) => factsOf({ name, ...changes[index] }))

const missing = (program: string) => ({ missing: program })
/** One that the node has not answered to. */
const lost = { said: 'it broke', exitCode: 1 }
const routes = (...list: { gateway: string; dev: string }[]) => ({
  routes: { text: JSON.stringify(list.map((route) => ({ dst: 'default', ...route }))) },
})
const boot = (agent: string, ...marks: string[]) => ({
  'kairos-agent': { text: agent },
  'boot-marks': { parts: [{ kind: 'folder', name: '/run/cos', text: marks.join('\n') }] },
})
const nic = (values: Record<string, string | number>) => ({
  interfaces: { parts: [interfacePart('eth0', { address: '52:54:00:00:00:10', ...values })] },
})
const counters = (errors: number) => ({
  links: {
    text: JSON.stringify([
      {
        ifname: 'eth0',
        flags: ['UP'],
        stats64: { rx: { errors, dropped: 0 }, tx: { errors: 0, dropped: 0 } },
      },
    ]),
  },
})
const addresses = (...list: Record<string, unknown>[]) => ({
  addresses: {
    text: JSON.stringify(
      list.map((info) => ({ ifname: 'eth0', addr_info: [{ family: 'inet', prefixlen: 16, ...info }] })),
    ),
  },
})
const timedatectl = (lines: string) => ({ timedatectl: { text: lines } })
const noSettings = { managementMode: undefined, installationMode: undefined, featureFlags: undefined }

/** One way in which it fails, and one in which nobody knows; `undefined` where it cannot be so. */
const ways: [id: CheckId, fail: Changes | undefined, failed: RegExp, unknown: Changes | undefined][] = [
  ['node.inventory', { disks: [] }, /^no disk$/, { ssh: { 'block-devices': missing('lsblk') } }],
  [
    'node.mode',
    { facts: { settings: { ...noSettings, managementMode: 'central', installationMode: 'airgap' } } },
    /^central, airgap$/,
    { facts: { settings: noSettings } },
  ],
  ['node.identity', { nics: [{ ip: '10.10.9.9/16' }] }, /10\.10\.9\.9/, { nics: [], ssh: 'closed' }],
  [
    'node.facts-agree',
    { ssh: { processors: { text: '4\n' } } },
    /cpuCount: the Local UI says 8, the system says 4/,
    { ssh: 'closed' },
  ],
  ['node.no-cluster', { facts: { clusterName: 'another' } }, /"another"/, undefined],
  ['node.cpu', { hardware: { cores: 7 } }, /^7$/, { hardware: 'not told' }],
  [
    'node.cpu-avx',
    { ssh: { 'processor-model': { text: 'flags\t: fpu sse4_2\n' } } },
    /^no AVX$/,
    { ssh: { 'processor-model': lost } },
  ],
  ['node.memory', { hardware: { memory: 14_745 } }, /^14745 MiB$/, { hardware: 'not told' }],
  ['node.arch', { hardware: { arch: 'arm64' } }, /^arm64$/, { hardware: 'not told', ssh: 'closed' }],
  ['node.uefi', { ssh: { 'boot-marks': {} } }, /^BIOS$/, { ssh: 'closed' }],
  ['node.virt', undefined, /./, { ssh: { virtualization: missing('systemd-detect-virt') } }],
  [
    'node.install-complete',
    { ssh: boot('livecd_boot', 'live_mode') },
    /^livecd_boot$/,
    { ssh: { 'kairos-agent': missing('kairos-agent') } },
  ],
  [
    'node.disk1',
    { disks: [device('/dev/sda', 249), emptyDisk] },
    /249 GB/,
    { ssh: { 'block-devices': lost } },
  ],
  ['node.disk2', { disks: [systemDisk] }, /^there is no second disk$/, { ssh: { 'block-devices': lost } }],
  [
    'node.disk2-path',
    { disks: [systemDisk, device('/dev/sdc', 500)] },
    /^not there; disks: \/dev\/sda \/dev\/sdc/,
    { ssh: { 'block-devices': lost } },
  ],
  [
    'node.disk2-data',
    { disks: [systemDisk, device('/dev/sdb', 500, { signatures: ['ext4'] })] },
    /^holds ext4 on \/dev\/sdb$/,
    { disks: [systemDisk, device('/dev/sdb', 500, { signatures: 'denied' })] },
  ],
  [
    'node.disk-health',
    { disks: [systemDisk, device('/dev/sdb', 500, { health: 'failing' })] },
    /^near to failing: \/dev\/sdb$/,
    { disks: [systemDisk, device('/dev/sdb', 500, { health: 'untold' })] },
  ],
  [
    'node.multipath',
    {
      disks: [
        systemDisk,
        device('/dev/sdb', 500, { children: [device('/dev/mapper/mpatha', 500, { type: 'mpath' })] }),
      ],
    },
    /^\/dev\/sdb is a path of mpatha$/,
    { ssh: { multipath: lost } },
  ],
  ['node.nic-speed', { ssh: nic({ speed: 100 }) }, /^eth0: 100 Mbit\/s$/, { ssh: nic({ speed: -1 }) }],
  [
    'node.nic-link',
    { ssh: nic({ carrier: 0, operstate: 'down' }) },
    /^eth0: no link, down$/,
    { ssh: nic({ carrier: '' }) },
  ],
  ['node.nic-errors', { ssh: counters(17) }, /17 errors received/, { ssh: { links: lost } }],
  [
    'net.same-subnet',
    { nics: [{ ip: '192.168.7.7/24' }] },
    /192\.168\.7\.7\/24/,
    { nics: [], ssh: 'closed' },
  ],
  [
    'net.non-overlapping',
    { nics: [{ ip: '10.10.0.1/16' }, { ip: '10.10.99.1/24' }] },
    /^eth0 \(10\.10\.0\.0\/16\) and eth1 \(10\.10\.99\.0\/24\)$/,
    { ssh: { addresses: lost } },
  ],
  ['net.default-route', { ssh: routes() }, /^none$/, { ssh: { routes: lost } }],
  [
    'net.dhcp-lease',
    {
      ssh: {
        ...addresses({ local: '10.10.0.1', dynamic: true, valid_life_time: 900 }),
        leases: {
          parts: [
            { kind: 'file', name: '/run/systemd/netif/leases/2', text: 'ADDRESS=10.10.0.1\nLIFETIME=3600\n' },
          ],
        },
      },
    },
    /leased for 1 h$/,
    { ssh: addresses({ local: '10.10.0.1', dynamic: true, valid_life_time: 900 }) },
  ],
  [
    'ntp.synced',
    { ssh: timedatectl('NTPSynchronized=no\n') },
    /^not synchronized$/,
    { ssh: { timedatectl: missing('timedatectl') } },
  ],
  [
    'clock.tz',
    { ssh: timedatectl('Timezone=Europe/Berlin\n') },
    /^Europe\/Berlin$/,
    { ssh: { timedatectl: missing('timedatectl') } },
  ],
]

const fleetWays: [id: CheckId, fail: Changes[], failed: RegExp, unknown: Changes][] = [
  ['node.uid-unique', [{}, { facts: { uid: 'edge-n1' } }], /^n1 and n2 have edge-n1$/, {}],
  [
    'node.mac-unique',
    [
      { nics: [{ ip: '10.10.0.1/16', macAddr: '52:54:00:AA:BB:CC' }] },
      {},
      { nics: [{ ip: '10.10.0.3/16', macAddr: '52:54:00:aa:bb:cc' }] },
    ],
    /^n1 and n3 have 52:54:00:aa:bb:cc$/,
    { nics: [], ssh: 'closed' },
  ],
  [
    'host.name-unique',
    [{ hostName: 'palette', facts: { clusterName: 'palette' } }, { hostName: 'PALETTE' }],
    /^n1 and n2 have palette$/,
    {},
  ],
  [
    'node.agent-version',
    [{}, { agentVersion: '4.7.1' }],
    /^n2: 4\.7\.1; n1, n3: 4\.8\.18$/,
    { agentVersion: null },
  ],
  ['node.secure-boot', [{}, {}, { secureBoot: true }], /^n3: on; n1, n2: off$/, {}],
  ['node.homogeneous', [{}, { hardware: { cores: 16 } }], /^n2: Rig-7, 16 × Xeon/, { ssh: 'closed' }],
  [
    'net.mtu-equal',
    [{}, { ssh: nic({ mtu: 9000 }), nics: [{ ip: '10.10.0.2/16', macAddr: '52:54:00:00:00:10' }] }],
    /^n2: 9000; n1, n3: 1500$/,
    { ssh: 'closed' },
  ],
]

describe('checks of nodes', () => {
  it('pass on nodes that are what the plan says, with words for everything', () => {
    const results = allOf(threeNodes, three())
    expect(results.filter((result) => result.state !== 'pass')).toEqual([])
    for (const result of results) {
      checkResultSchema.parse(result)
      for (const words of [result.title, result.measured, result.threshold, result.evidence, result.remedy])
        expect(words).not.toBe('')
    }
  })

  it('are all asked both ways here', () => {
    const asked = new Set(allOf(threeNodes, three()).map(({ id }) => id))
    expect(new Set([...ways, ...fleetWays].map(([id]) => id))).toEqual(asked)
  })

  it.each(ways)(
    '%s fails and says what was found, and never passes on what was not read',
    (id, fail, failed, unknown) => {
      if (fail !== undefined) {
        const result = ask(id, factsOf(fail))
        expect(result.state).toBe(result.severity === 'block' ? 'fail' : 'warn')
        expect(result.measured).toMatch(failed)
        checkResultSchema.parse(result)
      }
      if (unknown !== undefined) {
        const result = ask(id, factsOf(unknown))
        expect(result.state).toBe('could-not-run')
        for (const words of [result.measured, result.evidence, result.remedy]) expect(words).not.toBe('')
      }
    },
  )

  it.each(fleetWays)(
    '%s fails and says which, and never passes on what was not read',
    (id, fail, failed, unknown) => {
      const result = askFleet(id, threeNodes, three(...fail))
      expect(result.state).toBe(result.severity === 'block' ? 'fail' : 'warn')
      expect(result.measured).toMatch(failed)
      // One that told nothing of it; or one that was not read at all.
      for (const facts of [three({}, unknown), three().slice(0, 2)]) {
        if (facts.length === 3 && Object.keys(unknown).length === 0) continue
        const open = askFleet(id, threeNodes, facts)
        expect(open.state).toBe('could-not-run')
        expect(open.measured).toContain(facts.length === 3 ? 'n2' : 'n3')
      }
    },
  )

  it('of which nothing at all could be read never pass, except that the Local UI alone may tell enough', () => {
    const plan = planWith(1)
    const facts = factsOf({
      plan,
      ssh: 'closed',
      hardware: 'not told',
      nics: [],
      agentVersion: null,
      facts: { settings: noSettings },
    })
    const passed = allOf(plan, [facts]).filter(({ state }) => state === 'pass')
    expect(passed.map(({ id }) => id)).toEqual([
      'node.no-cluster',
      'node.uid-unique',
      'host.name-unique',
      'node.secure-boot',
    ])
    expect(ask('node.disk1', facts, plan).measured).toContain('only keys are allowed')
  })

  it('block when a final one could not be read', () => {
    const facts = factsOf({ ssh: { 'block-devices': missing('lsblk') } })
    const blocked = allOf(planWith(1), [facts]).filter(isBlocking)
    expect(blocked.map(({ id }) => id)).toEqual([
      'node.inventory',
      'node.disk1',
      'node.disk2',
      'node.disk2-path',
      'node.disk2-data',
      'node.multipath',
    ])
    expect(new Set(blocked.map(({ state }) => state))).toEqual(new Set(['could-not-run']))
  })

  it('name both sources where they contradict each other, and believe neither', () => {
    const oneIsEnough = ask('node.cpu', factsOf({ ssh: { processors: { text: '4\n' } } }))
    expect(oneIsEnough).toMatchObject({
      state: 'could-not-run',
      measured: 'the Local UI says 8, the operating system says 4',
      evidence: 'GET /v1/edge-mgmt/edgehosts/current; nproc',
    })
    const noneIsEnough = ask(
      'node.cpu',
      factsOf({ hardware: { cores: 2 }, ssh: { processors: { text: '4\n' } } }),
    )
    expect(noneIsEnough.state).toBe('fail')
    const bothAreEnough = ask('node.cpu', factsOf({ ssh: { processors: { text: '16\n' } } }))
    expect(bothAreEnough.state).toBe('pass')
    expect(ask('node.facts-agree', factsOf({ ssh: { processors: { text: '16\n' } } })).state).toBe('warn')
  })

  it('do not depend on the language of the node: what cannot be understood is not known', () => {
    const localized = factsOf({
      ssh: {
        'kairos-agent': { text: 'aktiver Start\n' },
        timedatectl: { text: 'Zeitzone=Europa/Berlin\nNTPSynchronisiert=ja\n' },
        'memory-modules': { text: 'Handle 0x1, DMI Typ 17, 40 Bytes\nSpeichergerät\n\tGröße: 16 GB\n' },
        signatures: {
          parts: [
            { kind: 'disk', name: 'sdb', text: 'wipefs: Fehler: Zugriff verweigert\n' },
            { kind: 'status', name: '1', text: '' },
          ],
        },
      },
    })
    const states = (...ids: CheckId[]) => ids.map((id) => ask(id, localized).state)
    expect(states('node.install-complete', 'ntp.synced', 'clock.tz', 'node.disk2-data')).toEqual([
      'could-not-run',
      'could-not-run',
      'could-not-run',
      'could-not-run',
    ])
    expect(ask('node.disk2-data', localized).measured).toContain('Zugriff verweigert')
    expect(ask('node.memory', localized).state).toBe('pass')
  })

  it('of 100 nodes with 60 disks each take no time', () => {
    const plan = planWith(100)
    const disks = [
      systemDisk,
      emptyDisk,
      ...Array.from({ length: 58 }, (_, index) => device(`/dev/nvme${index}n1`, 100)),
    ]
    const facts = plan.nodes.map(({ name }) => factsOf({ plan, name, disks }))
    // The quickest of three: the machine may be busy with something else.
    let [milliseconds, results] = [Infinity, [] as CheckResult[]]
    for (let turn = 0; turn < 3; turn += 1) {
      const startedAt = performance.now()
      results = allOf(plan, facts)
      milliseconds = Math.min(milliseconds, performance.now() - startedAt)
    }
    expect(milliseconds).toBeLessThan(200)
    const failed = (result: CheckResult) => result.state !== 'pass'
    expect(results.filter(failed).map(({ id, target }) => [id, target])).toEqual([])
    expect(Math.max(...results.map(({ measured }) => measured.length))).toBeLessThan(600)
  })
})
