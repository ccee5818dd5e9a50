import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { planDigest } from './digest.ts'
import { formatAddress, parseNetwork } from './ipv4.ts'
import { planTemplate } from './plan-template.ts'
import { readPlan } from './read-plan.ts'
import { planSchema, type Plan } from './schema.ts'
import { secretReferencesOf } from './secret-references.ts'
import { showPlan } from './show-plan.ts'
import { withVariantDefaults } from './variants.ts'

function read(text: string): Extract<ReturnType<typeof readPlan>, { ok: true }> {
  const result = readPlan(text, 'plan.yaml')
  if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 2))
  return result
}

const name = fc
  .stringMatching(/^[a-z]([a-z0-9-]{0,8}[a-z0-9])?$/)
  .filter((text) => !text.startsWith('localhost'))
const secret = fc.oneof(
  fc.record({ env: fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,10}$/) }),
  fc.record({ prompt: fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }) }),
  fc.record({ vault: name }),
  fc.record({ generate: name }),
)
const labels = fc.dictionary(name, fc.stringMatching(/^[a-zA-Z0-9]{0,8}$/), { maxKeys: 3 })
/** Text that YAML could take for something else. */
const trickyText = fc.constantFrom(
  'yes',
  '1e3',
  '0x10',
  'null',
  '~',
  ' a',
  "it's",
  '"',
  '#x',
  'a: b',
  '- a',
  '2026-01-01',
)

/** Plans that keep the rules, over all kinds of networks, node counts, pools and secrets. */
const validPlan: fc.Arbitrary<Plan> = fc
  .record({
    siteName: name,
    subnet: fc.nat({ max: 255 }),
    count: fc.constantFrom(1, 3, 5),
    hosts: fc.uniqueArray(fc.integer({ min: 10, max: 250 }), { minLength: 6, maxLength: 6 }),
    workers: fc.nat({ max: 2 }),
    leader: fc.nat({ max: 4 }),
    names: fc.uniqueArray(name, { minLength: 7, maxLength: 7 }),
    secrets: fc.array(secret, { minLength: 5, maxLength: 5 }),
    labels,
    tags: fc.dictionary(name, fc.stringMatching(/^[a-z0-9]{0,6}$/), { maxKeys: 2 }),
    variables: fc.dictionary(fc.stringMatching(/^x\.[a-z]{1,6}$/), trickyText, { maxKeys: 3 }),
    edgeHostId: fc.option(trickyText),
    drive: fc.constantFrom('/dev/sdb', '/dev/vdb', '/dev/disk/by-id/ata-1'),
    variant: fc.constantFrom('auto' as const, 'D' as const),
    mtu: fc.option(fc.integer({ min: 576, max: 9216 })),
  })
  .map((seed): Plan => {
    const first = parseNetwork(`10.20.${seed.subnet}.0/24`)?.first ?? 0
    const at = (index: number): string => formatAddress(first + (seed.hosts[index] ?? 0))
    const workers = seed.count === 5 ? 0 : seed.workers
    const count = Math.min(seed.count, 5 - workers)
    const controlPlane = count % 2 === 0 ? count - 1 : count
    const total = controlPlane + workers
    const nodes = Array.from({ length: total }, (_, index) => ({
      name: `${seed.names[index] ?? ''}`,
      address: at(index),
      leader: index === seed.leader % controlPlane,
      nic: { mode: 'dhcp' as const, mtu: seed.mtu },
      expect: { edgeHostId: index === 0 ? seed.edgeHostId : null },
    }))
    return planSchema.parse({
      version: 1,
      site: { name: seed.siteName, network: `10.20.${seed.subnet}.0/24`, vip: at(5) },
      appliance: { variant: seed.variant },
      access: { initialPassword: { prompt: 'the first one ever' }, newPassword: seed.secrets[0] },
      nodes,
      cluster: {
        name: seed.names[6],
        podCidr: '100.64.0.0/18',
        serviceCidr: '100.64.64.0/18',
        tags: seed.tags,
        storagePoolDrive: seed.drive,
        mongoReplicas: total >= 3 ? 3 : 1,
        registry: { password: seed.secrets[1] },
        pools: {
          controlPlane: { labels: seed.labels },
          worker:
            workers === 0
              ? null
              : {
                  name: 'the-worker-pool',
                  hosts: nodes.slice(controlPlane).map(({ name: node }) => ({ node })),
                },
        },
        variables: seed.variables,
      },
      console: { email: 'ops@example.com', newPassword: seed.secrets[2] },
    })
  })

describe('a valid plan', () => {
  it('comes back from YAML as it was', () => {
    fc.assert(
      fc.property(validPlan, (plan) => {
        const again = read(stringify(plan)).plan
        expect(again).toEqual(plan)
        expect(planDigest(again)).toBe(planDigest(plan))
      }),
      { numRuns: 150 },
    )
  })

  it('is shown as YAML that reads back to the same plan, on every variant', () => {
    fc.assert(
      fc.property(
        validPlan,
        fc.constantFrom('A' as const, 'B' as const, 'C' as const, 'D' as const),
        (plan, variant) => {
          const effective = withVariantDefaults(plan, variant)
          const { text } = showPlan(effective, plan, new Set())
          // Rules of the variant may object; the shape must not.
          const result = readPlan(text, 'shown.yaml')
          const shape = result.ok ? [] : result.problems.filter(({ code }) => /^(schema|yaml)\./.test(code))
          expect(shape).toEqual([])
          if (result.ok) expect(result.plan).toEqual(effective)
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('the digest of a plan', () => {
  it('does not depend on the order of keys, on comments or on written-out defaults', () => {
    const text = planTemplate()
    const { plan } = read(text)
    const reversed = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(reversed)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .toReversed()
                .map(([key, item]) => [key, reversed(item)]),
            )
          : value
    expect(planDigest(read(stringify(reversed(plan))).plan)).toBe(planDigest(plan))
  })

  it('changes with every decision', () => {
    const text = planTemplate()
    const other = text.replace('mongoReplicas: 3', 'mongoReplicas: 1')
    expect(planDigest(read(other).plan)).not.toBe(planDigest(read(text).plan))
  })
})

describe('the template', () => {
  it.each([
    [{}],
    [{ name: 'null', network: '192.168.5.0/28', nodes: ['192.168.5.1'], email: 'a@b.co' }],
    [
      {
        network: '10.0.0.0/8',
        vip: '10.3.2.1',
        nodes: ['10.0.0.1', '10.0.0.2', '10.0.0.3'],
        gateway: '10.0.0.254',
      },
    ],
  ])('is a plan without errors with %j', (options) => {
    const { plan } = read(planTemplate(options))
    expect(plan.site).toMatchObject(
      Object.fromEntries(
        Object.entries(options).filter(([key]) => ['name', 'network', 'vip', 'gateway'].includes(key)),
      ),
    )
    if ('nodes' in options) expect(plan.nodes.map(({ address }) => address)).toEqual(options.nodes)
  })

  it('cannot be made to hold other keys by its options', () => {
    const result = readPlan(planTemplate({ name: 'a\nplatform: { kind: other }' }), 'plan.yaml')
    expect(result.ok ? [] : result.problems.map(({ path }) => path)).toEqual(['site.name'])
  })
})

describe('variant defaults', () => {
  const { plan } = read(planTemplate().replace(/ {2}podCidr.*\n {2}serviceCidr.*\n/, ''))

  it.each([
    ['A', '192.168.0.0/16', '192.169.0.0/16', undefined, undefined],
    ['B', undefined, undefined, undefined, undefined],
    ['D', '100.64.0.0/18', '100.64.64.0/18', 3, 100],
  ] as const)(
    'of variant %s fill what the plan leaves open',
    (variant, pods, services, placement, storage) => {
      const { cluster, appliance } = withVariantDefaults(plan, variant)
      expect(appliance.variant).toBe(variant)
      expect([cluster.podCidr, cluster.serviceCidr]).toEqual([pods, services])
      expect(cluster.csiPlacementCount).toBe(placement)
      expect(cluster.registry.storageSize).toBe(storage)
      expect(cluster.pools.controlPlane.hosts?.map(({ node }) => node)).toEqual(['n1', 'n2', 'n3'])
    },
  )

  it('fill in the VIP where the registry answers, when it is known', () => {
    const registryOf = (vip: string) =>
      withVariantDefaults(read(planTemplate({ vip })).plan, 'A').cluster.registry
    expect(registryOf('10.10.200.7')).toMatchObject({ endpoint: '10.10.200.7', rootDomain: '10.10.200.7' })
    expect(registryOf('auto')).not.toHaveProperty('endpoint')
    expect(registryOf('auto')).not.toHaveProperty('rootDomain')
  })

  it('never replace what the plan says', () => {
    const own = read(planTemplate()).plan
    expect(withVariantDefaults(own, 'A').cluster).toMatchObject({
      podCidr: '100.64.0.0/18',
      serviceCidr: '100.64.64.0/18',
    })
  })
})

describe('the secrets of a plan', () => {
  it('are listed with the field that needs each', () => {
    const { plan } = read(
      planTemplate()
        .replace('initialPassword: product-default', 'initialPassword: { env: FIRST }')
        .replace(
          '  registry:',
          '  ubuntuProToken: { vault: pro }\n  secretVariables: { smtp.token: { prompt: Mail token } }\n  registry:',
        ),
    )
    expect(secretReferencesOf(plan)).toEqual([
      { path: 'access.initialPassword', ref: { env: 'FIRST' } },
      { path: 'access.newPassword', ref: { generate: 'node' } },
      { path: 'cluster.ubuntuProToken', ref: { vault: 'pro' } },
      { path: 'cluster.registry.password', ref: { generate: 'registry' } },
      { path: 'cluster.secretVariables["smtp.token"]', ref: { prompt: 'Mail token' } },
      { path: 'console.newPassword', ref: { generate: 'console' } },
    ])
  })
})
