import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { planTemplate } from './plan-template.ts'
import type { PlanProblem } from './problem.ts'
import { readPlan } from './read-plan.ts'

const BASE = planTemplate({ gateway: '10.10.200.1' }).replace('ntp: []', 'ntp: [10.10.200.2]')

function edit(...edits: [find: string | RegExp, replacement: string][]): string {
  return edits.reduce((text, [find, replacement]) => {
    const edited = text.replace(find, replacement)
    expect(edited, `the base plan has ${String(find)}`).not.toBe(text)
    return edited
  }, BASE)
}

function problemsOf(text: string): PlanProblem[] {
  const result = readPlan(text, 'plan.yaml')
  return result.ok ? [] : result.problems
}

function warningsOf(text: string): PlanProblem[] {
  return readPlan(text, 'plan.yaml').warnings
}

const all = (text: string): PlanProblem[] => [...problemsOf(text), ...warningsOf(text)]
const codes = (problems: readonly PlanProblem[]): string[] => problems.map(({ code }) => code)

/** The text from the problem's position to the end of its line. */
function textAt(text: string, { line, column }: PlanProblem): string {
  return text.split('\n')[line - 1]?.slice(column - 1) ?? ''
}

describe('a plan that is in order', () => {
  it('has neither problems nor warnings', () => {
    const result = readPlan(BASE, 'plan.yaml')
    expect(result.warnings).toEqual([])
    expect(result.ok).toBe(true)
  })

  it('may leave the VIP to a search', () => {
    const result = readPlan(edit(['vip: 10.10.200.100', 'vip: auto']), 'plan.yaml')
    expect(result.ok ? [] : result.problems).toEqual([])
    expect(result.warnings).toEqual([])
  })

  it('tells which values the text gives and which are defaults', () => {
    const result = readPlan(BASE, 'plan.yaml')
    if (!result.ok) throw new Error('the plan was refused')
    expect(result.givenPaths).toContain('nodes[0].leader')
    expect(result.givenPaths).toContain('site.ntp[0]')
    expect(result.givenPaths).not.toContain('nodes[1].leader')
  })
})

describe('what YAML itself can get wrong', () => {
  it.each([
    ['an empty file', '', 'yaml.empty', 1, 1],
    ['comments only', '# nothing\n', 'yaml.empty', 1, 1],
    ['a list', '- 1\n- 2\n', 'yaml.not-a-mapping', 1, 1],
    ['a single value', '\nhello\n', 'yaml.not-a-mapping', 2, 1],
    ['a tab', 'site:\n\tname: x\n', 'yaml.tab', 2, 1],
    ['an open bracket', 'site: [1, 2\n', 'yaml.syntax', 2, 1],
  ])('%s', (_name, text, code, line, column) => {
    expect(problemsOf(text)[0]).toMatchObject({ code, line, column, severity: 'error' })
  })

  it('points at the second of two equal keys, and still checks the rest', () => {
    const text = edit(['  variant: auto', '  variant: auto\n  variant: Z'])
    const problems = problemsOf(text)
    expect(codes(problems)).toEqual(['yaml.duplicate-key', 'schema.value'])
    expect(problems.map((problem) => textAt(text, problem))).toEqual(['variant: Z', 'Z'])
  })

  it('refuses a second document', () => {
    expect(problemsOf(`${BASE}---\na: 1\n`)).toMatchObject([{ code: 'yaml.documents' }])
  })

  it('refuses a bomb of aliases without building it', () => {
    const levels = Array.from(
      { length: 12 },
      (_, index) =>
        `a${index}: &a${index} [${Array(9)
          .fill(index === 0 ? '"x"' : `*a${index - 1}`)
          .join(',')}]`,
    )
    expect(codes(problemsOf(levels.join('\n')))).toEqual(['yaml.aliases'])
  })

  it('survives an alias that contains itself', () => {
    expect(codes(problemsOf('site: &x { name: *x }\nnodes: &y [*y]\n'))).toContain('schema.value')
  })

  it('survives nesting that no plan has', () => {
    for (const text of ['['.repeat(100_000), '- '.repeat(100_000), '{a: '.repeat(50_000)]) {
      expect(problemsOf(text)[0]?.code).toMatch(/^yaml\./)
    }
  })

  it('refuses a text over 1 MiB', () => {
    expect(codes(problemsOf('#'.repeat(1024 * 1024 + 1)))).toEqual(['plan.too-large'])
  })

  it('never quotes the text in a syntax error', () => {
    const text = edit(['newPassword: { generate: node }', 'newPassword: "hunter2-secret'])
    expect(JSON.stringify(all(text))).not.toContain('hunter2')
  })
})

describe('problems of the shape', () => {
  it('points at the very value, with what to write instead', () => {
    const text = edit(['address: 10.10.200.12', 'address: 10.10.200.312'])
    const problem = problemsOf(text)[0]
    expect(problem).toMatchObject({ code: 'schema.value', path: 'nodes[1].address', value: '10.10.200.312' })
    expect(problem?.message).toBe('nodes[1].address is not an IPv4 address.')
    expect(problem?.fix).toContain('for example 10.10.200.11')
    expect(problem && textAt(text, problem)).toBe('10.10.200.312')
  })

  it('points at the mapping in which a key is missing', () => {
    const text = edit([/ {2}- name: n2\n {4}address: \S+\n/, '  - name: n2\n'])
    const problem = problemsOf(text)[0]
    expect(problem).toMatchObject({ code: 'schema.missing', path: 'nodes[1].address', value: '' })
    expect(problem?.message).toBe('nodes[1].address is missing.')
    expect(problem && textAt(text, problem)).toBe('name: n2')
  })

  it('names the nearest key for an unknown one, at the key, and hides what stands behind it', () => {
    const text = edit(['    address: 10.10.200.12', '    adress: 10.10.200.12'])
    const unknown = problemsOf(text).find(({ code }) => code === 'schema.unknown-key')
    expect(unknown?.message).toBe('unknown key "adress"; did you mean "address"?')
    expect(unknown).toMatchObject({ path: 'nodes[1].adress', value: '(hidden)' })
    expect(unknown && textAt(text, unknown)).toBe('adress: 10.10.200.12')
  })

  it('finds a key that is only spelt in another way', () => {
    const text = edit(['podCidr', 'pod_cidr'])
    expect(problemsOf(text)[0]?.message).toContain('did you mean "podCidr"?')
  })

  it('lists the known keys when none is near', () => {
    expect(problemsOf(edit(['version: 1', 'version: 1\nbananas: 3']))[0]).toMatchObject({
      message: 'unknown key "bananas" at the top of the plan.',
      fix: expect.stringContaining('version, vault, site') as string,
    })
  })

  it.each([
    ['access', 'newPassword: { generate: node }', 'newPassword: Tr0ub4dor&3'],
    ['access', 'newPassword: { generate: node }', 'newPassword: { generate: "Tr0ub4dor&3" }'],
    ['access', 'newPassword: { generate: node }', 'newPassword: { env: "Tr0ub4dor&3" }'],
    ['access', 'newPassword: { generate: node }', 'newPassword: { password: "Tr0ub4dor&3" }'],
    ['access', 'newPassword: { generate: node }', 'newPassword: [ "Tr0ub4dor&3" ]'],
    ['access', 'newPassword: { generate: node }', 'newPasword: "Tr0ub4dor&3"'],
    ['registry', 'password: { generate: registry }', 'password: Tr0ub4dor&3'],
    ['initial', 'initialPassword: product-default', 'initialPassword: Tr0ub4dor&3'],
  ])('never repeats a secret that stands in the plan (%s: %s)', (_place, find, replacement) => {
    const problems = all(edit([find, replacement]))
    expect(problems.length).toBeGreaterThan(0)
    expect(JSON.stringify(problems)).not.toContain('Tr0ub4dor')
  })

  it('says that secrets never stand in the plan, and lists all forms', () => {
    const [problem] = problemsOf(edit(['password: { generate: registry }', 'password: Tr0ub4dor&3']))
    expect(problem).toMatchObject({
      code: 'schema.secret-in-plan',
      path: 'cluster.registry.password',
      value: '(hidden)',
    })
    expect(problem?.message).toContain('secrets never stand in the plan')
    for (const form of ['env', 'prompt', 'vault', 'generate']) expect(problem?.fix).toContain(`{ ${form}:`)
  })

  it('reports everything at once, rules included, in the order of the text', () => {
    const text = edit(
      ['vip: 10.10.200.100', 'vip: 10.10.201.100'],
      ['variant: auto', 'variant: E'],
      ['    leader: true\n', ''],
      ['email: ops@example.com', 'email: nobody'],
    )
    const problems = problemsOf(text)
    expect(codes(problems)).toEqual(['vip.in-subnet', 'schema.value', 'node.one-leader', 'schema.value'])
    expect(problems.map(({ line }) => line)).toEqual(
      problems.map(({ line }) => line).toSorted((a, b) => a - b),
    )
  })
})

describe('rules between fields', () => {
  const cases: [name: string, edits: [string | RegExp, string][], code: string, at: string][] = [
    [
      'two leaders',
      [['    address: 10.10.200.12', '    address: 10.10.200.12\n    leader: true']],
      'node.one-leader',
      'nodes[1].leader',
    ],
    ['equal names', [['name: n2', 'name: n1']], 'node.name-unique', 'nodes[1].name'],
    ['equal addresses', [['10.10.200.12', '10.10.200.11']], 'net.ip-unique', 'nodes[1].address'],
    ['a node on the VIP', [['10.10.200.12', '10.10.200.100']], 'vip.not-special', 'site.vip'],
    ['the VIP on the gateway', [['vip: 10.10.200.100', 'vip: 10.10.200.1']], 'vip.not-special', 'site.vip'],
    ['the VIP on a time server', [['vip: 10.10.200.100', 'vip: 10.10.200.2']], 'vip.not-special', 'site.vip'],
    [
      'the broadcast address as VIP',
      [['vip: 10.10.200.100', 'vip: 10.10.200.255']],
      'vip.not-special',
      'site.vip',
    ],
    ['the network address as a node', [['10.10.200.12', '10.10.200.0']], 'net.ip-usable', 'nodes[1].address'],
    ['a VIP elsewhere', [['vip: 10.10.200.100', 'vip: 10.9.200.100']], 'vip.in-subnet', 'site.vip'],
    [
      'a network that is too large to look through',
      [
        ['vip: 10.10.200.100', 'vip: auto'],
        ['network: 10.10.200.0/24', 'network: 10.8.0.0/13'],
      ],
      'vip.auto-range',
      'site.vip',
    ],
    [
      'an internal registry at an address that cannot be known',
      [
        ['vip: 10.10.200.100', 'vip: auto'],
        ['inCluster: true', 'inCluster: true\n    endpoint: 10.10.200.100'],
      ],
      'reg.endpoint',
      'cluster.registry.endpoint',
    ],
    ['a node elsewhere', [['10.10.200.12', '10.10.201.12']], 'net.same-subnet', 'nodes[1].address'],
    [
      'a gateway elsewhere',
      [['gateway: 10.10.200.1', 'gateway: 10.10.201.1']],
      'net.ip-in-subnet',
      'site.gateway',
    ],
    [
      'host bits in the node network',
      [['network: 10.10.200.0/24', 'network: 10.10.200.5/24']],
      'net.network-address',
      'site.network',
    ],
    [
      'a node network too small',
      [['network: 10.10.200.0/24', 'network: 10.10.200.0/30']],
      'vip.subnet-room',
      'site.network',
    ],
    [
      'a link-local node network',
      [['network: 10.10.200.0/24', 'network: 169.254.10.0/24']],
      'net.ip-usable',
      'site.network',
    ],
    [
      'static without address',
      [['    address: 10.10.200.12', '    address: 10.10.200.12\n    nic: { mode: static }']],
      'net.static-complete',
      'nodes[1].nic.address',
    ],
    [
      'static without any gateway',
      [
        ['  gateway: 10.10.200.1\n', ''],
        [
          '    address: 10.10.200.12',
          '    address: 10.10.200.12\n    nic: { mode: static, address: 10.10.200.12 }',
        ],
      ],
      'net.static-complete',
      'nodes[1].nic.gateway',
    ],
    [
      "another node's address as planned address",
      [
        [
          '    address: 10.10.200.12',
          '    address: 10.10.200.12\n    nic: { mode: static, address: 10.10.200.13 }',
        ],
      ],
      'net.ip-unique',
      'nodes[2].address',
    ],
    [
      'an address that keep ignores',
      [['    address: 10.10.200.12', '    address: 10.10.200.12\n    nic: { address: 10.10.200.12 }']],
      'net.nic-mode',
      'nodes[1].nic.address',
    ],
    [
      'a mask with holes',
      [
        [
          '    address: 10.10.200.12',
          '    address: 10.10.200.12\n    nic: { mode: static, address: 10.10.200.12, mask: 255.0.255.0 }',
        ],
      ],
      'net.mask',
      'nodes[1].nic.mask',
    ],
    [
      'another mask than the site',
      [
        [
          '    address: 10.10.200.12',
          '    address: 10.10.200.12\n    nic: { mode: static, address: 10.10.200.12, mask: 16 }',
        ],
      ],
      'net.mask',
      'nodes[1].nic.mask',
    ],
    [
      'pods on the node network',
      [['podCidr: 100.64.0.0/18', 'podCidr: 10.10.0.0/16']],
      'cidr.no-overlap',
      'cluster.podCidr',
    ],
    [
      'services on the pod network',
      [['serviceCidr: 100.64.64.0/18', 'serviceCidr: 100.64.32.0/19']],
      'cidr.no-overlap',
      'cluster.serviceCidr',
    ],
    [
      'host bits in the pod network',
      [['podCidr: 100.64.0.0/18', 'podCidr: 100.64.0.1/18']],
      'cidr.pod',
      'cluster.podCidr',
    ],
    [
      'a tiny pod network',
      [['podCidr: 100.64.0.0/18', 'podCidr: 100.64.0.0/26']],
      'cidr.pod',
      'cluster.podCidr',
    ],
    [
      'a tiny service network',
      [['serviceCidr: 100.64.64.0/18', 'serviceCidr: 100.64.64.0/25']],
      'cidr.service',
      'cluster.serviceCidr',
    ],
    [
      'an overlay on the nodes',
      [['  storagePoolDrive', '  overlay: { cidr: 10.10.200.0/25 }\n  storagePoolDrive']],
      'cidr.no-overlap',
      'cluster.overlay.cidr',
    ],
    [
      'a time server inside the pods',
      [['ntp: [10.10.200.2]', 'ntp: [100.64.0.5]']],
      'cidr.no-overlap',
      'site.ntp[0]',
    ],
    ['two replicas', [['mongoReplicas: 3', 'mongoReplicas: 2']], 'mongo.replicas', 'cluster.mongoReplicas'],
    [
      'placement that is not the replicas',
      [['mongoReplicas: 3', 'mongoReplicas: 3\n  csiPlacementCount: 1']],
      'mongo.replicas',
      'cluster.csiPlacementCount',
    ],
    ['two control plane nodes', [[/ {2}- name: n3\n {4}address: \S+\n/, '']], 'pool.cp-odd', 'nodes'],
    [
      'nobody for the workloads',
      [
        [
          '  storagePoolDrive',
          '  pools: { controlPlane: { allowWorkerCapability: false } }\n  storagePoolDrive',
        ],
      ],
      'pool.worker-capability',
      'cluster.pools.controlPlane.allowWorkerCapability',
    ],
    [
      'taints everywhere',
      [
        [
          '  storagePoolDrive',
          '  pools: { controlPlane: { taints: [{ key: a, effect: NoExecute }] } }\n  storagePoolDrive',
        ],
      ],
      'pool.taint-lockout',
      'cluster.pools.controlPlane.taints',
    ],
    [
      'a pool of strangers',
      [['  storagePoolDrive', '  pools: { worker: { hosts: [{ node: n4 }] } }\n  storagePoolDrive']],
      'pool.known-node',
      'cluster.pools.worker.hosts[0].node',
    ],
    [
      'a node in two pools',
      [
        [
          '  storagePoolDrive',
          '  pools: { controlPlane: { hosts: [{ node: n1 }, { node: n2 }, { node: n3 }] }, worker: { hosts: [{ node: n2 }] } }\n  storagePoolDrive',
        ],
      ],
      'pool.min-one',
      'cluster.pools.worker.hosts[0].node',
    ],
    [
      'a node in no pool',
      [['  storagePoolDrive', '  pools: { controlPlane: { hosts: [{ node: n1 }] } }\n  storagePoolDrive']],
      'pool.min-one',
      'nodes[1].name',
    ],
    [
      'a leader among the workers',
      [
        [
          '  storagePoolDrive',
          '  pools: { worker: { hosts: [{ node: n1 }, { node: n2 }] } }\n  storagePoolDrive',
        ],
      ],
      'pool.leader-in-control-plane',
      'nodes[0].leader',
    ],
    [
      'pools of one name',
      [
        [
          '  storagePoolDrive',
          '  pools: { worker: { name: control-plane-pool, hosts: [{ node: n2 }, { node: n3 }] } }\n  storagePoolDrive',
        ],
      ],
      'pool.name-unique',
      'cluster.pools.worker.name',
    ],
    [
      'an external registry without endpoint',
      [['inCluster: true', 'inCluster: false']],
      'reg.endpoint',
      'cluster.registry',
    ],
    [
      'a registry port outside NodePort',
      [['inCluster: true', 'inCluster: true\n    port: 5000']],
      'reg.port',
      'cluster.registry.port',
    ],
    [
      'image rules for the internal registry',
      [['inCluster: true', 'inCluster: true\n    imageReplacementRules: "a: b"']],
      'reg.image-rules',
      'cluster.registry.imageReplacementRules',
    ],
    [
      'a certificate without key',
      [['    generate: true', '    cert: ./a.pem']],
      'reg.cert-key-match',
      'cluster.registry.cert',
    ],
    [
      'variant A without certificate',
      [
        ['    generate: true\n', ''],
        ['variant: auto', 'variant: A'],
      ],
      'reg.cert-needed',
      'cluster.registry',
    ],
    [
      'a default password that stays',
      [['newPassword: { generate: node }', 'newPassword: null']],
      'cred.default-changed',
      'access.newPassword',
    ],
    [
      'a private SSH key',
      [['  storagePoolDrive', '  sshKeys: ["-----BEGIN OPENSSH PRIVATE KEY-----"]\n  storagePoolDrive']],
      'sshkey.valid',
      'cluster.sshKeys[0]',
    ],
    [
      'a pack that is not zstd',
      [['packs: []', 'packs: [./a.tar.gz]']],
      'bundle.zst-valid',
      'appliance.packs[0]',
    ],
    [
      'packs of one name',
      [['packs: []', 'packs: [./a/x.zst, ./b/x.zst]']],
      'bundle.unique-name',
      'appliance.packs[1]',
    ],
    [
      'content for variant A',
      [['variant: auto', 'variant: A\n  content: { bundle: a.zst, signature: a.sig }']],
      'media.content-variant',
      'appliance.content',
    ],
    [
      'equal host names',
      [['    address: 10.10.200.12', '    address: 10.10.200.12\n    hostName: n1']],
      'host.name-unique',
      'nodes[1].hostName',
    ],
    [
      'localhost',
      [['    address: 10.10.200.12', '    address: 10.10.200.12\n    hostName: localhost']],
      'host.name-valid',
      'nodes[1].hostName',
    ],
    [
      'equal MAC addresses',
      [
        ['    address: 10.10.200.12', '    address: 10.10.200.12\n    expect: { mac: "52:54:00:00:00:01" }'],
        ['    address: 10.10.200.13', '    address: 10.10.200.13\n    expect: { mac: "52:54:00:00:00:01" }'],
      ],
      'node.mac-unique',
      'nodes[2].expect.mac',
    ],
    [
      'a proxy with a password',
      [['ntp: [10.10.200.2]', 'proxy: { http: "http://u:p@10.10.200.5:3128" }']],
      'proxy.syntax',
      'site.proxy.http',
    ],
    [
      'a variable that has its own field',
      [['  storagePoolDrive', '  variables: { csi.placementCount: "3" }\n  storagePoolDrive']],
      'profile.variables',
      'cluster.variables["csi.placementCount"]',
    ],
    [
      'a secret among the variables',
      [['  storagePoolDrive', '  variables: { smtp.password: hunter2 }\n  storagePoolDrive']],
      'profile.variables',
      'cluster.variables["smtp.password"]',
    ],
    [
      'a label with a space',
      [['  storagePoolDrive', '  pools: { controlPlane: { labels: { rack: "r 12" } } }\n  storagePoolDrive']],
      'schema.value',
      'cluster.pools.controlPlane.labels.rack',
    ],
  ]
  it.each(cases)('%s', (_name, edits, code, path) => {
    const problems = problemsOf(edit(...edits))
    expect(problems.map((problem) => [problem.code, problem.path])).toContainEqual([code, path])
  })

  const warningCases: [name: string, edits: [string | RegExp, string][], code: string, path: string][] = [
    [
      'services in public space',
      [['serviceCidr: 100.64.64.0/18', 'serviceCidr: 192.169.0.0/16']],
      'cidr.private',
      'cluster.serviceCidr',
    ],
    [
      "pods on the container engine's bridge",
      [['podCidr: 100.64.0.0/18', 'podCidr: 172.17.0.0/16']],
      'cidr.bridge',
      'cluster.podCidr',
    ],
    [
      'a certificate for variant D',
      [['variant: auto', 'variant: D']],
      'reg.cert-unused',
      'cluster.registry.generate',
    ],
    ['no time server', [['ntp: [10.10.200.2]', 'ntp: []']], 'ntp.servers', 'site.ntp'],
    [
      'one password for two things',
      [['{ generate: console }', '{ vault: node }']],
      'cred.shared',
      'console.newPassword',
    ],
    [
      'an ISO without digest',
      [['variant: auto', 'variant: auto\n  iso: ./a.iso']],
      'media.sha256',
      'appliance.iso',
    ],
  ]
  it.each(warningCases)('warns of %s', (_name, edits, code, path) => {
    const text = edit(...edits)
    expect(problemsOf(text)).toEqual([])
    expect(warningsOf(text).map((problem) => [problem.code, problem.path])).toContainEqual([code, path])
  })

  it('warns when a documented default of some generation would hit the node network, and refuses it for a fixed one', () => {
    const site: [string | RegExp, string][] = [
      [/10\.10\.200\./g, '192.168.7.'],
      ['  podCidr: 100.64.0.0/18\n', ''],
      ['  serviceCidr: 100.64.64.0/18\n', ''],
    ]
    expect(problemsOf(edit(...site))).toEqual([])
    expect(codes(warningsOf(edit(...site)))).toEqual(['cidr.no-overlap'])
    const fixed = problemsOf(edit(...site, ['variant: auto', 'variant: A']))
    expect(fixed).toMatchObject([{ code: 'cidr.no-overlap', path: 'cluster.podCidr' }])
    expect(fixed[0]?.fix).toContain('Write cluster.podCidr')
    expect(problemsOf(edit(...site, ['variant: auto', 'variant: D']))).toEqual([])
  })

  it('accepts one node with one replica, and warns that it is no high availability', () => {
    const text = planTemplate({ nodes: ['10.10.200.11'] })
    expect(problemsOf(text)).toEqual([])
    expect(codes(warningsOf(text))).toContain('pool.cp-odd')
  })

  it('cites the minimum of the procedure for older variants', () => {
    const text = planTemplate({ nodes: ['10.10.200.11'] }).replace('variant: auto', 'variant: B')
    expect(codes(warningsOf(text))).toContain('node.count')
  })
})

describe('a jump host', () => {
  const withJumpHost = (jumpHost: string) =>
    edit(['newPassword: { generate: node }', `newPassword: { generate: node }\n  jumpHost: ${jumpHost}`])

  it.each([
    '{ address: 192.0.2.10, user: ops, sshKey: ./key }',
    '{ address: jump.example.com, port: 2222, user: Ops.Team, useSshAgent: true }',
    '{ address: 192.0.2.10, user: ops, password: { env: JUMP } }',
    'null',
  ])('is given as %s', (jumpHost) => {
    expect(all(withJumpHost(jumpHost))).toEqual([])
  })

  it.each([
    ['{ address: 192.0.2.10, user: ops }', 'cred.ssh-key', 'no way to log in'],
    ['{ address: 10.10.200.12, user: ops, sshKey: ./key }', 'cred.ssh-key', 'is one of the nodes'],
    [
      '{ address: 192.0.2.10, user: ops, useSshAgent: true, sshKeyPassphrase: { env: P } }',
      'cred.ssh-key',
      'but no key',
    ],
    ['{ address: 192.0.2.10, user: ops, password: hunter22 }', 'schema.secret-in-plan', 'not a reference'],
    ['{ user: ops, sshKey: ./key }', 'schema.missing', 'missing'],
    ['{ address: "ssh://x", user: ops, sshKey: ./key }', 'schema.value', 'without scheme'],
  ])('is not given as %s', (jumpHost, code, message) => {
    const problems = all(withJumpHost(jumpHost))
    expect(codes(problems)).toEqual([code])
    expect(JSON.stringify(problems)).toContain(message)
    expect(JSON.stringify(problems)).not.toContain('hunter22')
  })
})

describe('whatever the text is', () => {
  const inside = (text: string, problem: PlanProblem): boolean => {
    const line = text.split('\n')[problem.line - 1]
    return line !== undefined && problem.column >= 1 && problem.column <= line.length + 1
  }
  const isSound = (text: string): boolean =>
    all(text).every(
      (problem) =>
        inside(text, problem) &&
        problem.fix.length > 5 &&
        !problem.fix.startsWith('See docs') &&
        !problem.message.includes('undefined') &&
        !problem.message.includes('Invalid input'),
    )

  it('readPlan never throws, and every problem lies inside of the text (arbitrary text)', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), isSound), { numRuns: 500 })
  })

  it('the same for YAML-like text', () => {
    const piece = fc.constantFrom(
      '- ',
      'site:',
      ' ',
      '\n',
      '  ',
      '[',
      ']',
      '{',
      '}',
      '&a',
      '*a',
      '!x',
      '"',
      "'",
      '|',
      '>',
      '? ',
      ': ',
      '#',
      '---\n',
      '%YAML 1.1\n',
      'null',
      '1',
      '\t',
      '\r',
      '<<',
      ',',
    )
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join('')),
        isSound,
      ),
      { numRuns: 1000 },
    )
  })

  it('the same for plans with one line damaged', () => {
    const lines = BASE.split('\n')
    const damage = fc.record({
      index: fc.nat({ max: lines.length - 1 }),
      from: fc.nat({ max: 40 }),
      length: fc.nat({ max: 10 }),
      insert: fc.oneof(
        fc.constant(''),
        fc.string({ maxLength: 6 }),
        fc.constantFrom('[]', '{}', 'null', '0', '~', ': ', '-1'),
      ),
    })
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
        const edited = [...lines]
        for (const { index, from, length, insert } of damages) {
          const line = edited[index] ?? ''
          edited[index] = line.slice(0, from) + insert + line.slice(from + length)
        }
        return isSound(edited.join('\n'))
      }),
      { numRuns: 500 },
    )
  })

  it('the same for plans with a value of the wrong kind at any place', () => {
    const result = readPlan(BASE, 'plan.yaml')
    if (!result.ok) throw new Error('the plan was refused')
    const { plan } = result
    const places: (string | number)[][] = []
    const visit = (value: unknown, path: (string | number)[]): void => {
      if (path.length > 0) places.push(path)
      if (typeof value !== 'object' || value === null) return
      for (const [key, item] of Object.entries(value))
        visit(item, [...path, Array.isArray(value) ? Number(key) : key])
    }
    visit(plan, [])
    const wrong = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom<unknown>(undefined, {}, [], [[]], '', 0, -1, 1e9, true, '10.0.0.1', '10.0.0.0/8'),
    )
    fc.assert(
      fc.property(fc.constantFrom(...places), wrong, (path, value) => {
        const copy = structuredClone(plan) as unknown
        const parent = path
          .slice(0, -1)
          .reduce<unknown>((node, step) => (node as Record<string | number, unknown>)[step], copy)
        ;(parent as Record<string | number, unknown>)[path.at(-1) ?? ''] = value
        return isSound(stringify(copy))
      }),
      { numRuns: 500 },
    )
  })
})

it('too small a pod network is answered with a size that is enough', () => {
  const [small] = warningsOf(edit(['podCidr: 100.64.0.0/18', 'podCidr: 100.64.0.0/24'])).filter(
    ({ code }) => code === 'cidr.pod',
  )
  // 256 addresses for each of three nodes.
  expect(small?.fix).toContain('prefix length of 22')
  expect(codes(warningsOf(edit(['podCidr: 100.64.0.0/18', 'podCidr: 100.64.0.0/22'])))).not.toContain(
    'cidr.pod',
  )
})
