import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planSchema, type Plan } from '../../shared/plan/index.ts'
import { profilesOf } from '../lab/profile.ts'
import { archiveDetailsSchema, type ArchiveDetails } from './local-api-schemas.ts'
import {
  fillProfileVariables,
  needsRegistryCertificate,
  type FilledVariables,
  type ProfileSecrets,
} from './profile-variables.ts'

const secrets: ProfileSecrets = { registryPassword: 'Registry-password-1' }

function planOf(cluster: object = {}): Plan {
  return planSchema.parse({
    version: 1,
    site: { name: 'rig-7', network: '10.10.200.0/24', vip: '10.10.200.100' },
    access: { newPassword: { generate: 'node' } },
    nodes: [{ name: 'n1', address: '10.10.200.1', leader: true }],
    cluster: { name: 'palette', registry: { password: { generate: 'registry' } }, ...cluster },
    console: { email: 'ops@example.com', newPassword: { env: 'CONSOLE_PASSWORD' } },
  })
}

interface Described {
  name: string
  displayName?: string
  value?: string
  defaultValue?: string
  required?: boolean
  isSensitive?: boolean
  hidden?: boolean
}

/** The answer of the appliance, with the options that every plan sets unless `only` says so. */
function detailsOf(variables: readonly Described[], only = false): ArchiveDetails {
  const taken = new Set(variables.map((variable) => variable.displayName))
  const common = [
    'Storage Pool Drive',
    'Mongo Replicas',
    'In Cluster Registry',
    'Registry Port',
    'OCI Registry Base Content Path',
    'Registry Username',
    'OCI Pack Registry Password',
  ]
    .filter((label) => !only && !taken.has(label))
    .map((displayName, index) => ({ name: `common.${index}`, displayName }))
  return archiveDetailsSchema.parse({
    archiveUploadPath: '/usr/local/spectrocloud/clusterconfig/spc.tgz',
    clusterProfileDetails: [{ profileUid: 'p1', variables: [...variables, ...common] }],
  })
}

const valueOf = (filled: FilledVariables, name: string) =>
  filled.values.find((variable) => variable.name === name)?.value

/** Labels of palette.md §2.3 and §2.4, of all generations, with what the plan and the secrets below make of them. */
const full = planOf({
  podCidr: '100.64.0.0/18',
  serviceCidr: '100.64.64.0/18',
  storagePoolDrive: '/dev/nvme1n1',
  csiPlacementCount: 1,
  mongoReplicas: 1,
  registry: {
    password: { generate: 'registry' },
    inCluster: false,
    endpoint: 'registry.example.com',
    port: 5000,
    baseContentPath: 'content/palette',
    username: 'pusher',
    storageSize: 250,
    rootDomain: 'palette.example.com',
    imageReplacementRules: 'all: registry.example.com:5000/content',
  },
})
const allSecrets: ProfileSecrets = {
  registryPassword: 'Registry-password-1',
  ubuntuProToken: 'C1234567890abcdef',
  imagePullSecret: 'cHVsbC1zZWNyZXQ=',
  registryCaCert: 'Y2E=',
  registryCert: 'Y2VydA==',
  registryKey: 'a2V5',
}
const labels: [label: string, value: string][] = [
  ['Pod CIDR', '100.64.0.0/18'],
  ['Service CIDR', '100.64.64.0/18'],
  ['Ubuntu Pro Token (Optional)', 'C1234567890abcdef'],
  ['Storage Pool Drive (Optional)', '/dev/nvme1n1'],
  ['CSI Placement Count', '1'],
  ['In Cluster Registry (Optional)', 'false'],
  ['Registry Endpoint', 'registry.example.com'],
  ['Registry Port', '5000'],
  ['OCI Registry Base Content Path (Optional)', 'content/palette'],
  ['Registry Username', 'pusher'],
  ['OCI Pack Registry Username', 'pusher'],
  ['OCI Pack Registry Password', 'Registry-password-1'],
  ['OCI Pack Registry Ca Cert (Optional)', 'Y2E='],
  ['Registry Cert', 'Y2VydA=='],
  ['Registry Private Cert Key', 'a2V5'],
  ['OCI Registry Storage Size (GiB)', '250'],
  ['Root Domain (Optional)', 'palette.example.com'],
  ['Mongo Replicas (Optional)', '1'],
  ['Image Replacement Rules (Optional)', 'all: registry.example.com:5000/content'],
  ['Image pull secret', 'cHVsbC1zZWNyZXQ='],
]

describe('options of the plan and variables of the appliance', () => {
  it.each(labels)('the label "%s" gets %s', (displayName, value) => {
    for (const label of [displayName, displayName.toUpperCase(), displayName.replace(' (Optional)', '')]) {
      const filled = fillProfileVariables(detailsOf([{ name: 'x', displayName: label }]), full, allSecrets)
      expect(valueOf(filled, 'x')).toBe(value)
    }
  })

  it.each([
    ['csi.storagepoolDrive', '/dev/nvme1n1'],
    ['csi.placementCount', '1'],
    ['mgmtplane.mongoReplicas', '1'],
    ['registry.password', 'Registry-password-1'],
  ])('the published name %s is known under any label', (name, value) => {
    const filled = fillProfileVariables(detailsOf([{ name, displayName: 'Renamed since' }]), full, allSecrets)
    expect(valueOf(filled, name)).toBe(value)
  })

  it('fit the definition of every generation of the procedure without a problem', () => {
    for (const variant of ['A', 'B', 'C', 'D'] as const) {
      const details = archiveDetailsSchema.parse({
        clusterProfileDetails: profilesOf(variant).map(({ uid, variables }) => ({
          profileUid: uid,
          variables,
        })),
      })
      const filled = fillProfileVariables(details, planOf(), {
        ...secrets,
        registryCert: 'Y2VydA==',
        registryKey: 'a2V5',
      })
      expect({ variant, problems: filled.problems }).toEqual({ variant, problems: [] })
      expect(valueOf(filled, 'registry.password')).toBe('Registry-password-1')
      expect(needsRegistryCertificate(details)).toBe(variant === 'A')
    }
  })

  it('say which options of the plan an appliance does not have and does not need', () => {
    const details = detailsOf([{ name: 'registry.password' }])
    const given = fillProfileVariables(details, planOf({ csiPlacementCount: 3 }), {
      ...secrets,
      registryCert: 'Y2VydA==',
    }).ignored.join(' ')
    expect(given).toContain('cluster.csiPlacementCount')
    expect(given).toContain('cluster.registry.cert')
    expect(fillProfileVariables(details, planOf(), secrets).ignored.join(' ')).not.toContain(
      'csiPlacementCount',
    )
  })

  it('keep the placement count equal to the Mongo replicas when the plan names the latter only', () => {
    const details = detailsOf([{ name: 'csi.placementCount', defaultValue: '3' }])
    expect(
      valueOf(fillProfileVariables(details, planOf({ mongoReplicas: 1 }), secrets), 'csi.placementCount'),
    ).toBe('1')
  })
})

describe('values that the plan does not give', () => {
  const macro = '{{.spectro.system.cluster.kubevip}}'

  it('stay the default of the appliance, macros included', () => {
    const details = detailsOf([
      { name: 'endpoint', displayName: 'Registry Endpoint', defaultValue: macro },
      { name: 'size', displayName: 'OCI Registry Storage Size (GiB)', value: '', defaultValue: '100' },
      { name: 'set', displayName: 'Root Domain (Optional)', value: 'set.example.com', defaultValue: macro },
    ])
    const filled = fillProfileVariables(details, planOf(), secrets)
    expect(filled.problems).toEqual([])
    expect(['endpoint', 'size', 'set'].map((name) => valueOf(filled, name))).toEqual([
      macro,
      '100',
      'set.example.com',
    ])
  })

  it('of variables that a newer release added are passed with their default', () => {
    const details = detailsOf([
      { name: 'brand.new', displayName: 'Brand New', defaultValue: '42', required: true },
    ])
    const filled = fillProfileVariables(details, planOf(), secrets)
    expect(filled.problems).toEqual([])
    expect(filled.values).toContainEqual({ name: 'brand.new', profileUid: 'p1', value: '42' })
  })

  it('are a problem where the appliance requires one, and the option to set is named', () => {
    const details = detailsOf([
      { name: 'cert', displayName: 'Registry Cert', required: true },
      { name: 'brand.new', displayName: 'Brand New', required: true },
    ])
    const { problems } = fillProfileVariables(details, planOf(), secrets)
    expect(problems).toHaveLength(2)
    expect(problems[0]).toContain('cluster.registry.cert')
    expect(problems[1]).toContain('cluster.variables."brand.new"')
  })

  it('may be left empty where the appliance does not require one', () => {
    const filled = fillProfileVariables(
      detailsOf([{ name: 'x', displayName: 'Brand New' }]),
      planOf(),
      secrets,
    )
    expect(filled.problems).toEqual([])
    expect(valueOf(filled, 'x')).toBe('')
    expect(filled.summary.map(({ label }) => label)).not.toContain('Brand New')
  })
})

describe('what the plan asks for and the appliance does not have', () => {
  it('is a problem that names the option of the plan and the label that is missing', () => {
    const registry = { password: { generate: 'registry' }, storageSize: 250 }
    const { problems } = fillProfileVariables(detailsOf([]), planOf({ registry }), secrets)
    expect(problems).toEqual([
      'The plan sets cluster.registry.storageSize, but this appliance has no option "OCI Registry Storage Size (GiB)".',
    ])
  })

  it('is a problem for variables by name as well, secret or not', () => {
    const plan = planOf({ variables: { 'no.such': '1' } })
    const { problems } = fillProfileVariables(detailsOf([]), plan, {
      ...secrets,
      variables: { 'no.secret': 'value-of-it' },
    })
    expect(problems).toHaveLength(2)
    expect(problems.join(' ')).toContain('no.such')
    expect(problems.join(' ')).toContain('no.secret')
    expect(problems.join(' ')).not.toContain('value-of-it')
  })

  it('is no problem where an older appliance has no such option and the plan only carries a default', () => {
    expect(fillProfileVariables(detailsOf([]), planOf({ mongoReplicas: 1 }), secrets).problems).toEqual([])
  })
})

describe('variables that the plan sets by name', () => {
  it('win over its options, and secret ones over both', () => {
    const details = detailsOf([{ name: 'registry.port', displayName: 'Registry Port', defaultValue: '1' }])
    const plan = planOf({ variables: { 'registry.port': '30004' } })
    expect(valueOf(fillProfileVariables(details, plan, secrets), 'registry.port')).toBe('30004')
    const withSecret = { ...secrets, variables: { 'registry.port': '30005' } }
    expect(valueOf(fillProfileVariables(details, plan, withSecret), 'registry.port')).toBe('30005')
  })

  it('are never taken from what every JavaScript object has', () => {
    const names = ['constructor', 'toString', '__proto__', 'hasOwnProperty']
    const details = detailsOf(names.map((name) => ({ name, defaultValue: 'default' })))
    const filled = fillProfileVariables(details, planOf(), { ...secrets, variables: {} })
    expect(names.map((name) => valueOf(filled, name))).toEqual(names.map(() => 'default'))
    expect(filled.problems).toEqual([])
  })
})

describe('the summary for people', () => {
  it('names label and value, and shortens certificates', () => {
    const { summary } = fillProfileVariables(
      detailsOf([{ name: 'cert', displayName: 'Registry Cert' }]),
      planOf(),
      { ...secrets, registryCert: 'A'.repeat(1200) },
    )
    expect(summary).toContainEqual({ label: 'Registry Port', value: '30003' })
    expect(summary).toContainEqual({ label: 'Registry Cert', value: '(1200 characters)' })
  })

  it.each([true, false, undefined])(
    'never shows a secret, also when the appliance says isSensitive: %s',
    (isSensitive) => {
      const variables = [...labels.map(([displayName]) => displayName), 'By Name'].map(
        (displayName, index) => ({
          name: displayName === 'By Name' ? 'by.name' : `x${index}`,
          displayName,
          ...(isSensitive === undefined ? {} : { isSensitive }),
        }),
      )
      const { summary } = fillProfileVariables(detailsOf(variables), full, {
        ...allSecrets,
        variables: { 'by.name': 'secret-by-name' },
      })
      const shown = JSON.stringify(summary)
      const { registryPassword, ubuntuProToken, imagePullSecret, registryKey } = allSecrets
      for (const secret of [registryPassword, ubuntuProToken, imagePullSecret, registryKey, 'secret-by-name'])
        expect(shown).not.toContain(secret)
    },
  )

  it('shows nothing that the appliance calls sensitive or hidden', () => {
    const details = detailsOf([
      { name: 'a', displayName: 'A', defaultValue: 'default-a', isSensitive: true },
      { name: 'b', displayName: 'B', defaultValue: 'default-b', hidden: true },
    ])
    const { summary, values } = fillProfileVariables(details, planOf(), secrets)
    expect(JSON.stringify(summary)).not.toMatch(/default-[ab]/)
    expect(values.map(({ value }) => value)).toEqual(expect.arrayContaining(['default-a', 'default-b']))
  })
})

describe('whatever an appliance describes', () => {
  const described = fc.record(
    {
      name: fc.oneof(fc.string(), fc.constantFrom('registry.password', 'csi.placementCount', '__proto__')),
      displayName: fc.option(fc.oneof(fc.string(), fc.constantFrom(...labels.map(([label]) => label))), {
        nil: null,
      }),
      value: fc.option(fc.oneof(fc.string(), fc.integer(), fc.boolean()), { nil: null }),
      defaultValue: fc.option(fc.string(), { nil: null }),
      required: fc.boolean(),
      isSensitive: fc.boolean(),
      hidden: fc.boolean(),
    },
    { requiredKeys: ['name'] },
  )
  const profile = fc.record({ profileUid: fc.string(), variables: fc.array(described, { maxLength: 12 }) })

  it('gets exactly one text for every variable of every profile, in its order', () => {
    fc.assert(
      fc.property(fc.array(profile, { maxLength: 4 }), (clusterProfileDetails) => {
        const details = archiveDetailsSchema.parse({ clusterProfileDetails })
        const { values, summary } = fillProfileVariables(details, full, allSecrets)
        expect(values.map(({ name, profileUid }) => [profileUid, name])).toEqual(
          clusterProfileDetails.flatMap(({ profileUid, variables }) =>
            variables.map(({ name }) => [profileUid, name]),
          ),
        )
        expect(values.every(({ value }) => typeof value === 'string')).toBe(true)
        expect(JSON.stringify(summary)).not.toContain(allSecrets.registryPassword)
      }),
    )
  })
})
