import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FreeAddressReport } from '../../shared/addresses/index.ts'
import { networkChecks } from '../../shared/checks/catalogue/network.ts'
import { nodeChecks } from '../../shared/checks/catalogue/node.ts'
import { vipChecks } from '../../shared/checks/catalogue/vip.ts'
import { isCheckId, type CheckId, type Finding } from '../../shared/checks/index.ts'
import { parseAddress } from '../../shared/plan/ipv4.ts'
import { planSchema, type Plan, type PlanNode } from '../../shared/plan/index.ts'
import { collectNodeFacts, mergeFacts, valueOf } from '../../main/appliance/facts/index.ts'
import { edgeHostSchema } from '../../main/appliance/local-api-schemas.ts'
import { checkHostKeys, checkNodes, checkReach, checkVip } from '../../main/checks/index.ts'
import { checkMeasurements, measureNodes, type MeasureOptions } from '../../main/checks/measure/index.ts'
import { lookAtOperatorPorts } from '../../main/checking/operator-ports.ts'
import { systemClock } from '../../main/engine/clock.ts'
import { parseAddressRange, type AddressRange } from '../../main/network/discovery/address-range.ts'
import { findFreeAddresses } from '../../main/network/discovery/find-free-addresses.ts'
import { createNodeVantage } from '../../main/network/discovery/node-vantage.ts'
import { systemDialler } from '../../main/network/dialler.ts'
import type { NodeFacts } from '../../main/phases/node-facts.ts'
import type { Site } from '../../main/phases/site.ts'
import { judgeHostKey } from '../../main/ssh/index.ts'
import { filtered, program } from './check-table-node.ts'
import {
  addressOf,
  createTableSite,
  dhcpServer,
  names,
  network,
  whyNoTable,
  type Name,
  type TableSite,
} from './check-table-site.ts'
import { whyNoNamespaces } from './namespace-lab.ts'
import { whyNoSshd } from './sshd.ts'

const reason = whyNoNamespaces() ?? whyNoSshd() ?? whyNoTable()

/** p: pass · f: fail · ?: could not run · -: skipped, the question is not asked here. */
const letters = { pass: 'p', fail: 'f', 'could-not-run': '?', skipped: '-' } as const

/** What is asked, the state at each place (n1 n2 n3 n4 n5, unless told otherwise), and by what the faults are provoked. */
type Row = readonly [id: CheckId, states: string, how: string]

const inApi = "the Local UI's answer, which the test makes"
const inPath = (name: string) => `program ${name} early in PATH`
const bound = (path: string) => `file bound over ${path}`

/** Facts of the nodes, told over SSH; n1 and n2 are as they should be. */
const nodeTable: readonly Row[] = [
  [
    'node.inventory',
    'p p p p f',
    'n5: its interfaces are veth, which are no cards; elsewhere files over /sys/class/net say card',
  ],
  ['node.mode', 'p p p p f', inApi],
  ['node.identity', 'p p p f p', 'the plan expects another MAC address of n4'],
  ['node.facts-agree', 'p p f p p', inApi],
  ['node.no-cluster', 'p p p f p', inApi],
  ['node.cpu', 'p p p f p', inPath('nproc')],
  ['node.cpu-avx', 'p p p f p', bound('/proc/cpuinfo')],
  ['node.memory', 'p p p f p', bound('/proc/meminfo')],
  ['node.arch', 'p p p p f', 'sshd of n5 runs with the personality of i686 (setarch)'],
  ['node.uefi', 'p p p f p', 'tmpfs over /sys/firmware'],
  ['node.virt', 'p p p p p', inPath('systemd-detect-virt')],
  ['node.install-complete', 'p p p p f', inPath('kairos-agent')],
  ['node.disk1', 'p p p f p', inPath('lsblk')],
  ['node.disk2', 'p p p f p', inPath('lsblk')],
  ['node.disk2-path', 'p p p f f', `${inPath('lsblk')}: too small; another name`],
  // The account of n4 may not become root; n5 has no such drive.
  ['node.disk2-data', 'p p f ? ?', `${inPath('wipefs')}, which wants root`],
  ['node.disk-health', 'p p p ? f', `${inPath('smartctl')}, which wants root`],
  ['node.multipath', 'p p f p ?', 'tmpfs over /sys/block'],
  ['node.nic-speed', 'p p f p p', 'files over /sys/class/net'],
  ['node.nic-link', 'p p p p f', 'the port of the bridge that n5 is plugged into is down'],
  ['node.nic-errors', 'p p f p p', `${inPath('ip')}, the real one with other counters`],
  ['net.same-subnet', 'p p p f p', 'n4 has its address with /16'],
  ['net.non-overlapping', 'p p p p f', 'a second interface of n5 has an address of the same network'],
  ['net.default-route', 'p p f f p', 'n3 has two, n4 none'],
  ['net.dhcp-lease', 'p p f p p', 'a lease of one hour in /run/systemd/netif of n3'],
  ['ntp.synced', 'p p p f p', inPath('timedatectl')],
  ['clock.tz', 'p p p p f', inPath('timedatectl')],
]

/** What compares nodes. Columns: n1 and n2 alone, all five. */
const fleetTable: readonly Row[] = [
  ['node.uid-unique', 'p f', 'n3 and n5 have one product UUID (file in /sys/class/dmi)'],
  ['node.mac-unique', 'p f', 'interfaces of n3 and n4 have one MAC address'],
  ['host.name-unique', 'p f', 'n4 and n5 have one host name (UTS namespaces)'],
  ['node.agent-version', 'p f', inApi],
  ['node.secure-boot', 'p f', 'variable of n3 in /sys/firmware/efi/efivars'],
  ['node.homogeneous', 'p f', 'n4 is smaller'],
  ['net.mtu-equal', 'p f', 'MTU 1400 on n3'],
]

/** What the nodes measure of services and of all together. Columns: n1 to n5 before there are faults, and with them. */
const measuredTable: readonly Row[] = [
  ['net.gateway-answers', 'p p p p p  p p p p f', 'n5: default route by an address that nobody has'],
  // n4 has no name servers of the plan.
  ['dns.servers-answer', 'p p p p p  p f p - p', 'n2: second name server of the plan is dead'],
  ['dns.wildcard', 'p p p p p  p ? f - p', 'n3: search domain in which dnsmasq knows every name'],
  ['dns.registry', 'p p p p p  p ? p p f', 'n5: two dnsmasq that say different addresses'],
  ['dns.forward-reverse', 'p p p p p  p p p - f', 'n5: dnsmasq that says another address'],
  [
    'ntp.servers-answer',
    'p p p p p  p f - p f',
    'SNTP server; n2 asks a dead address, n5 that and the server',
  ],
  ['proxy.reach', 'p p p p p  p p p f p', 'nft on n4 drops the port'],
  [
    'reg.reach',
    'p p p p ?  p p p f ?',
    'HTTPS server; nft on n4 drops the port, n5 does not trust its certificate',
  ],
  ['clock.skew', 'p p p p p  p f p p p', `${inPath('date')} of n2, the real one 3 s ahead`],
  // n4 asks for n5, and may not become root.
  ['net.ip-collision', 'p p p p ?  p p p p ?', 'see below'],
  ['net.ip-free', 'p p - - -  p f - - -', 'somebody has the address that n2 shall get'],
  ['node.disk-speed', '- - - - -  - - - - -', 'not asked for here, see below'],
]
const togetherTable: readonly Row[] = [
  ['net.majority-group', 'p f', 'nft on n5 drops what comes from n4'],
  ['net.duplicate-dhcp', 'p f', 'dnsmasq; nmap of n1 asks'],
]

/** What the nodes measure of each other, with the faults. Rows: who asks; columns: who is asked. */
const pairTable: readonly (readonly [id: CheckId, states: readonly string[], how: string])[] = [
  [
    'net.latency',
    ['· p p p p', 'p · p p p', 'p p · p p', 'p p p · ?', 'f f f ? ·'],
    `${inPath('ping')} of n5, the real one with other times`,
  ],
  [
    'net.loss',
    ['· f p p p', 'p · p p p', 'p f · p p', 'p f p · f', 'p f p f ·'],
    'nft on n2 drops every third ping of each peer; nft on n5',
  ],
  ['net.mtu-path', ['· p f p p', 'p · f p p', 'p p · p p', 'p p f · ?', 'p p f ? ·'], 'MTU 1400 on n3'],
  [
    'net.same-l2',
    ['· p p p f', 'p · p p p', 'p p · p p', 'p p p · p', 'f p p p ·'],
    'n5 sends to n1 through a router',
  ],
  [
    'net.ports-node',
    ['· p f p p', 'p · f p p', 'p p · p p', 'p p f · f', 'p p f f ·'],
    'nft on n3 drops TCP 6443; nft on n5',
  ],
]

/** Asked alone, since the faults would disturb the others, or are somebody else's. */
const aloneTable: readonly Row[] = [
  ['net.ip-collision', 'p f p p ?', 'another machine has the address of n2'],
  ['node.disk-speed', 'p f - - -', `${inPath('fio')}; only n1 and n2 were asked`],
  ['net.ports-operator', 'p p p p f', "nothing listens on the Local UI's port of n5"],
  ['ssh.host-key', 'p p f p p', "the key that is known of n3 is another sshd's"],
  ['node.connected', 'p p p p f', 'the same; what the Local UI would say is made by the test'],
]

/** Columns: an address that nobody has, one that somebody has, one of a virtual router, one behind proxy ARP. */
const vipTable: readonly Row[] = [
  ['vip.free', 'p f f p', 'a stranger has the address'],
  ['vip.not-vrrp-mac', 'p p f p', 'macvlan with a MAC address of VRRP'],
  ['vip.proxy-arp', 'p p p f', 'proxy ARP of the kernel'],
  ['vip.not-in-dhcp-pool', '? ? ? ?', 'only a workstation of the network asks for offers'],
  ['vip.subnet-room', 'p f f f', 'the network, or a range of that one address'],
]

/** Every other check of the three families is seen to pass and to fail. */
const notBothWays: Partial<Record<CheckId, readonly [found: string, why: string]>> = {
  'node.virt': ['pass', 'it is told for information, and nothing about it can be wrong'],
  'cred.default-changed': [
    'nothing',
    'cannot be provoked here: it reads the record of logins, and asks no node (change-passwords and credential checks have tests)',
  ],
  'cred.lockout': ['nothing', 'cannot be provoked here: it reads the record of logins, and asks no node'],
  'vip.not-in-dhcp-pool': [
    'could-not-run',
    'cannot be provoked here: nodes do not ask for offers over SSH, only a workstation in the network does (find-vip.test.ts)',
  ],
  'vip.reachable': [
    'nothing',
    'cannot be provoked here: it raises the address, which proof-of-life.test.ts does',
  ],
}

/** One letter; `!`: there is not one such finding. */
function stateOf(findings: readonly Finding[], id: CheckId, target?: string): string {
  const [one, another] = findings.filter(
    (finding) => finding.id === id && (target === undefined || finding.target === target),
  )
  return one === undefined || another !== undefined ? '!' : letters[one.state]
}

/** The table as it was found. */
function found(table: readonly Row[], states: (id: CheckId) => readonly string[], gap = ' '): Row[] {
  return table.map(([id, , how]) => [id, states(id).join(gap), how])
}

function nameOf(word: unknown): Name {
  const name = names.find((one) => one === word)
  if (name === undefined) throw new TypeError(`there is no node ${String(word)}`)
  return name
}

describe.skipIf(reason !== undefined)(
  `every check over real OpenSSH servers${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  { timeout: 60_000 },
  () => {
    const signal = new AbortController().signal
    let site: TableSite
    /** Every state in which an id was seen. */
    const seen = new Map<CheckId, Set<Finding['state']>>()
    const note = (findings: readonly Finding[]): readonly Finding[] => {
      for (const { id, state } of findings) seen.set(id, (seen.get(id) ?? new Set()).add(state))
      return findings
    }

    beforeAll(async () => {
      site = createTableSite()
      await site.build()
    }, 60_000)
    afterAll(async () => {
      await site.remove()
    })

    function planOf(
      chosen: readonly Name[],
      change: (node: Record<string, unknown>) => void = () => undefined,
    ): Plan {
      return planSchema.parse({
        version: 1,
        site: {
          ...{ name: 'rig-7', network: `${network}.0/24`, vip: `${network}.50`, gateway: `${network}.1` },
          ...{ ntp: [`${network}.1`], dns: { primary: `${network}.1`, searchDomain: 'rig.example' } },
          proxy: { http: `http://${network}.1:3128` },
        },
        access: { newPassword: { generate: 'node' } },
        nodes: chosen.map((name) => {
          const node: Record<string, unknown> = { name, address: addressOf(name), leader: name === 'n1' }
          change(node)
          return node
        }),
        cluster: {
          name: 'palette',
          registry: {
            ...{
              inCluster: false,
              endpoint: 'reg.rig.example',
              port: 5000,
              rootDomain: 'palette.rig.example',
            },
            password: { generate: 'registry' },
          },
        },
        console: { email: 'ops@example.com', newPassword: { env: 'CONSOLE_PASSWORD' } },
      })
    }

    async function factsOf(plan: Plan): Promise<NodeFacts[]> {
      return await Promise.all(
        plan.nodes.map(async (node): Promise<NodeFacts> => {
          const name = nameOf(node.name)
          const collected = await collectNodeFacts(site.runner(name), {
            ...{ signal, deadlineSeconds: 30, asRoot: true, clock: systemClock },
          })
          const { facts } = collected
          const memory = valueOf(facts.memory.total) ?? 0
          const secureBoot = valueOf(facts.boot.secureBoot)
          const edgeHost = edgeHostSchema.parse({
            metadata: { id: `edge-${name}` },
            spec: {
              hardwareSpec: {
                archType: valueOf(facts.os.architecture),
                cpu: { cores: name === 'n3' ? 12 : valueOf(facts.cpu.count) },
                memory: { sizeInMB: memory / 1024 ** 2 },
              },
              hostInfo: { secureBoot: secureBoot === 'enabled' },
            },
            status: {
              hostName: valueOf(facts.hostName.current),
              agentVersion: name === 'n5' ? '4.7.1' : '4.8.18',
            },
          })
          const settings = {
            managementMode: name === 'n5' ? 'central' : 'local',
            ...{ installationMode: 'airgap', featureFlags: undefined },
          }
          return {
            ...{ node, uid: `edge-${name}`, edgeHost, settings },
            clusterName: name === 'n4' ? 'somebody-elses' : undefined,
            host: { kind: 'read', collected },
            merged: mergeFacts({ edgeHost, settings, host: facts }),
          }
        }),
      )
    }

    const measure = async (
      plan: Plan,
      options: Partial<MeasureOptions> = {},
    ): Promise<readonly Finding[]> => {
      const nodes = site.measured(names)
      const base = { plan, nodes, clock: systemClock, signal, isDiskSpeedAsked: false }
      return note(checkMeasurements(plan, await measureNodes({ ...base, ...options })))
    }
    const nftDrop = async (name: Name, hook: 'input' | 'output', ...rules: string[]) => {
      const nft = (line: string) => site.lab(name).exec('nft', line)
      await nft('add table ip faults')
      await nft(`add chain ip faults ${hook} { type filter hook ${hook} priority 0; }`)
      for (const rule of rules) await nft(`add rule ip faults ${hook} ${rule} drop`)
    }

    async function look(from: Name, range: AddressRange): Promise<FreeAddressReport> {
      return await findFreeAddresses({
        ...{ range, count: 1, clock: systemClock, signal },
        vantages: [createNodeVantage({ name: from, runner: site.runner(from), clock: systemClock })],
      })
    }
    async function judgeVip(from: Name, last: number, wider?: string): Promise<readonly Finding[]> {
      const address = `${network}.${last}`
      const first = parseAddress(address) ?? 0
      const [report, whole] = await Promise.all([
        look(from, { text: address, first, last: first, network: undefined }),
        wider === undefined ? undefined : look(from, parseAddressRange(wider)),
      ])
      const judged = [...report.candidates, ...report.used, ...report.doubtful]
      const plan = planOf(names)
      return note(
        checkVip(
          { ...plan, site: { ...plan.site, vip: address } },
          {
            ...{ kind: 'asked', seen: 'ARP', network: whole ?? report },
            address: judged.find((one) => one.address === address),
          },
        ),
      )
    }

    let beforeFaults: readonly Finding[] = []
    let vipBefore: readonly (readonly Finding[])[] = []
    let secondsBefore = 0

    it('passes where nothing is wrong', async () => {
      const plan = planOf(names, (node) => {
        const last = { n1: 71, n2: 72 }[String(node['name'])]
        if (last !== undefined) node['nic'] = { mode: 'static', address: `${network}.${last}` }
      })
      await inviteStranger()
      const startedAt = performance.now()
      const measuring = measure(plan).finally(() => {
        secondsBefore = (performance.now() - startedAt) / 1000
      })
      // At the same time: both wait most of it.
      ;[beforeFaults, ...vipBefore] = await Promise.all([
        measuring,
        judgeVip('n1', 50, `${network}.32/28`),
        judgeVip('n5', 60),
        judgeVip('n3', 70),
      ])
      // The table below has the rest.
      const pairs = beforeFaults.filter(({ target }) => target.includes('→'))
      expect(pairs).toHaveLength(pairTable.length * names.length * (names.length - 1))
      expect(pairs.filter(({ state }) => state !== 'pass')).toEqual([])
    })

    it('finds the faults of each node, and nothing else', async ({ annotate }) => {
      await makeFaults()
      const [healthy, plan] = [planOf(['n1', 'n2']), planOf(names, expectAnother)]
      const measuredPlan = planOf(names, withFaults)
      const { services, portOf } = site
      await services().exec('ip', 'link', 'set', portOf('n5'), 'down')
      const startedAt = performance.now()
      const facts = await factsOf(plan)
      const factSeconds = (performance.now() - startedAt) / 1000
      // All of the measurements need it.
      await services().exec('ip', 'link', 'set', portOf('n5'), 'up')
      const beganAt = performance.now()
      const measured = await measure(measuredPlan)
      const secondsWith = (performance.now() - beganAt) / 1000
      const told = [factSeconds, secondsBefore, secondsWith].map((seconds) => `${seconds.toFixed(1)} s`)
      const took = `${names.length} nodes: facts ${told[0]}, measurements ${told[1]} without faults and ${told[2]} with them`
      await annotate(took)

      const fleet = note(checkNodes(plan, facts))
      const alone = note(checkNodes(healthy, facts.slice(0, 2)))
      expect.soft(found(nodeTable, (id) => names.map((name) => stateOf(fleet, id, name)))).toEqual(nodeTable)
      expect
        .soft(found(fleetTable, (id) => [alone, fleet].map((all) => stateOf(all, id, 'all nodes'))))
        .toEqual(fleetTable)
      const bothTimes = (id: CheckId) =>
        [beforeFaults, measured].map((all) => names.map((name) => stateOf(all, id, name)).join(' '))
      expect.soft(found(measuredTable, bothTimes, '  ')).toEqual(measuredTable)
      expect
        .soft(
          found(togetherTable, (id) => [beforeFaults, measured].map((all) => stateOf(all, id, 'all nodes'))),
        )
        .toEqual(togetherTable)
      const pairs = pairTable.map(([id, , how]) => [
        id,
        names.map((from) =>
          names.map((to) => (from === to ? '·' : stateOf(measured, id, `${from} → ${to}`))).join(' '),
        ),
        how,
      ])
      expect.soft(pairs).toEqual(pairTable)
      // The quicker of the two: others use this machine, too.
      expect(factSeconds + Math.min(secondsBefore, secondsWith)).toBeLessThan(20)
    })

    it('finds two machines with one address, slow disks, closed ports and a changed key', async () => {
      const plan = planOf(names, (node) => {
        node['address'] = site.lab(nameOf(node['name'])).insideAddress
      })
      await site.stranger().exec('ip', 'address', 'add', `${addressOf('n2')}/32`, 'dev', 'seg0')
      const fio = (milliseconds: number) =>
        `echo '{"jobs":[{"sync":{"lat_ns":{"N":9000,"percentile":{"99.000000":${milliseconds}000000}}}}]}'`
      await site.change('n1', program('fio', fio(2)))
      await site.change('n2', program('fio', fio(80)))
      const [owners, disks, ports] = await Promise.all([
        measure(planOf(names), { only: new Set(['net.ip-collision']) }),
        measure(planOf(['n1', 'n2']), {
          ...{ only: new Set<CheckId>(['node.disk-speed']), isDiskSpeedAsked: true },
          nodes: site.measured(['n1', 'n2']),
        }),
        lookAtOperatorPorts(
          {
            plan,
            // What is not asked for here is not there.
            nodes: { addressOf: ({ address }: PlanNode) => address } as Site['nodes'],
            dialler: systemDialler,
          },
          signal,
        ),
      ])
      await site.stranger().exec('ip', 'address', 'delete', `${addressOf('n2')}/32`, 'dev', 'seg0')
      note(ports)
      const reached = note(
        plan.nodes.map((node) => {
          const isOpen = ports.some(({ target, state }) => target === node.name && state === 'pass')
          return checkReach(node, isOpen ? `edge-${node.name}` : undefined, [])
        }),
      )
      // n3 was known by another key.
      const keys = note(
        checkHostKeys(
          names.map((node) => {
            const known = { ...site.hostKey(node === 'n3' ? 'n1' : node), firstSeen: '2027-01-04T08:00:00Z' }
            const endpoint = { host: addressOf(node), port: 22 }
            return { node, judgement: judgeHostKey({ get: () => known }, endpoint, site.hostKey(node)) }
          }),
        ),
      )
      const all = [...owners, ...disks, ...ports, ...reached, ...keys]
      expect(
        found(aloneTable, (id) =>
          names.map((name) =>
            all.some((one) => one.id === id && one.target === name) ? stateOf(all, id, name) : '-',
          ),
        ),
      ).toEqual(aloneTable)
    })

    it('judges virtual IP addresses from nodes over SSH, also behind proxy ARP', async () => {
      const stranger = site.stranger()
      const settings = ['all.forwarding=1', 'seg0.proxy_arp_pvlan=1'].map((one) => `net.ipv4.conf.${one}`)
      await stranger.exec('sysctl', '-qw', ...settings, 'net.ipv4.neigh.seg0.proxy_delay=0')
      await stranger.exec('nft', 'add table ip faults')
      await stranger.exec(
        'nft',
        'add chain ip faults forward { type filter hook forward priority 0; policy drop; }',
      )
      const columns = [...vipBefore, await judgeVip('n1', 51)]
      expect(found(vipTable, (id) => columns.map((findings) => stateOf(findings, id)))).toEqual(vipTable)
    })

    it('is in the table, or it says why not', () => {
      const ids = Object.keys({ ...nodeChecks, ...networkChecks, ...vipChecks }).filter(isCheckId)
      const states = ids.map((id) => {
        const own = seen.get(id) ?? new Set()
        const told =
          own.has('pass') && own.has('fail') ? 'both ways' : [...own].sort().join(' and ') || 'nothing'
        return [id, told]
      })
      const expected = ids.map((id) => [id, notBothWays[id]?.[0] ?? 'both ways'])
      expect(Object.fromEntries(states)).toEqual(Object.fromEntries(expected))
    })

    function expectAnother(node: Record<string, unknown>): void {
      if (node['name'] === 'n4') node['expect'] = { mac: '52:54:00:00:00:99' }
    }

    /** Wrong entries of the plan, and those of services that are wrong. */
    function withFaults(node: Record<string, unknown>): void {
      const dns = { primary: `${network}.1`, searchDomain: 'rig.example' }
      const changes: Readonly<Record<string, object>> = {
        n1: { nic: { mode: 'static', address: `${network}.71` } },
        n2: {
          nic: { mode: 'static', address: `${network}.60` },
          ...{ dns: { ...dns, alternate: `${network}.3` }, ntp: [`${network}.3`] },
        },
        n3: { dns: { ...dns, searchDomain: 'wild.example' }, ntp: [] },
        n4: { dns: {} },
        n5: {
          ...{ dns: { ...dns, primary: `${network}.5`, alternate: `${network}.1` } },
          ntp: [`${network}.1`, `${network}.3`],
        },
      }
      Object.assign(node, changes[String(node['name'])])
    }

    /** He has an address of the network, and is a virtual router as well. */
    async function inviteStranger(): Promise<void> {
      const ip = (words: string) => site.stranger().exec('ip', ...words.split(' '))
      await ip(`address add ${network}.60/32 dev seg0`)
      await ip('link add link seg0 name vrrp0 address 00:00:5e:00:01:07 type macvlan')
      await ip(`address add ${network}.70/32 dev vrrp0`)
      await ip('link set vrrp0 up')
    }

    async function makeFaults(): Promise<void> {
      const { lab, change, stranger } = site
      dhcpServer(stranger(), 'seg0', 220)
      await lab('n3').exec('ip', 'link', 'set', 'seg0', 'mtu', '1400')
      await lab('n5').exec('ip', 'route', 'replace', 'default', 'via', `${network}.9`)
      await lab('n5').exec('ip', 'route', 'add', `${addressOf('n1')}/32`, 'via', `${network}.1`)
      await change('n2', program('date', 'exec /bin/date -d "+3 seconds" "$@"'))
      await change('n5', filtered('ping', 's#^rtt .*#rtt min/avg/max/mdev = 21.100/24.500/30.200/1.000 ms#'))
      const peers = names.filter((name) => name !== 'n2')
      // Counted for each peer: all of them ask at the same time.
      const lost = peers.map(
        (peer) => `ip saddr ${addressOf(peer)} icmp type echo-request numgen inc mod 3 == 1`,
      )
      await nftDrop('n2', 'input', ...lost)
      await nftDrop('n3', 'input', 'iifname seg0 tcp dport 6443')
      await nftDrop('n4', 'output', `ip daddr ${network}.1 tcp dport { 3128, 5000 }`)
      await nftDrop('n5', 'input', `ip saddr ${addressOf('n4')}`)
    }
  },
)
