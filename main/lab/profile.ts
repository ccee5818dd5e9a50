import type { ProcedureVariant } from '../../shared/plan/index.ts'
import { stableHash } from './hardware.ts'

export interface ProfileVariable {
  name: string
  displayName: string
  description: string
  defaultValue: string
  format: 'string' | 'number' | 'boolean' | 'ipv4cidr' | 'base64'
  inputType: 'text' | 'dropdown' | 'multiline'
  required: boolean
  isSensitive: boolean
  regex: string
  options: { label: string; value: string; description: string; default: boolean }[]
}

export interface Pack {
  name: string
  version: string
  layer: string
}

export interface Profile {
  uid: string
  name: string
  type: string
  version: string
  packs: Pack[]
  variables: ProfileVariable[]
}

export interface VariableValue {
  name: string
  profileUid: string
  value: string
}

export interface VariableVerdict {
  name: string
  profileUid: string
  profileName: string
  regex: string
  isValid: boolean
  reason: string
}

const cidr = '^([0-9]{1,3}\\.){3}[0-9]{1,3}/([0-9]|[12][0-9]|3[0-2])$'
const oneOrThree = '^(1|3)$'
const portNumber = '^([1-9][0-9]{0,4})$'
const base64 = '^[A-Za-z0-9+/]+={0,2}$'
const vipMacro = '{{.spectro.system.cluster.kubevip}}'

function variable(name: string, displayName: string, rest: Partial<ProfileVariable> = {}): ProfileVariable {
  return {
    name,
    displayName,
    description: '',
    defaultValue: '',
    format: 'string',
    inputType: 'text',
    required: false,
    isSensitive: false,
    regex: '',
    options: [],
    ...rest,
  }
}

function choice(values: readonly string[], chosen: string): ProfileVariable['options'] {
  return values.map((value) => ({ label: value, value, description: '', default: value === chosen }))
}

/**
 * The definition inside the ISO: all rows of palette.md §2.3 and §2.4. Three internal names are published
 * (`csi.storagepoolDrive`, `csi.placementCount`, `registry.password`, `mgmtplane.mongoReplicas`); the others are the
 * lab's own, so a client must find them by their label.
 */
export function profilesOf(variant: ProcedureVariant): Profile[] {
  const isSeed = variant === 'A'
  const isNewest = variant === 'D'
  const hasOldRanges = variant === 'A' || variant === 'B'
  const cluster: ProfileVariable[] = [
    variable('k8s.podNetwork', 'Pod CIDR', {
      defaultValue: hasOldRanges ? '192.168.0.0/16' : '100.64.0.0/18',
      required: true,
      format: 'ipv4cidr',
      regex: cidr,
    }),
    variable('k8s.serviceNetwork', 'Service CIDR', {
      defaultValue: hasOldRanges ? '192.169.0.0/16' : '100.64.64.0/18',
      required: true,
      format: 'ipv4cidr',
      regex: cidr,
    }),
    variable('os.proToken', 'Ubuntu Pro Token (Optional)', { isSensitive: true }),
    variable('csi.storagepoolDrive', 'Storage Pool Drive (Optional)', {
      defaultValue: '/dev/sdb',
      regex: '^/dev/\\S+$',
    }),
    ...(isSeed
      ? []
      : [
          variable('csi.placementCount', 'CSI Placement Count', {
            defaultValue: '3',
            required: true,
            format: 'number',
            inputType: 'dropdown',
            regex: oneOrThree,
            options: choice(['1', '3'], '3'),
          }),
        ]),
  ]
  const registry: ProfileVariable[] = [
    variable('registry.internal', 'In Cluster Registry (Optional)', {
      defaultValue: 'true',
      format: 'boolean',
      inputType: 'dropdown',
      regex: '^(true|false)$',
      options: choice(['true', 'false'], 'true'),
    }),
    variable('registry.host', 'Registry Endpoint', { defaultValue: vipMacro, required: true }),
    variable('registry.nodePort', 'Registry Port', {
      defaultValue: '30003',
      required: true,
      format: 'number',
      regex: portNumber,
    }),
    variable('registry.basePath', 'OCI Registry Base Content Path (Optional)', {
      defaultValue: 'spectro-content',
    }),
    variable('registry.user', isSeed ? 'Registry Username' : 'OCI Pack Registry Username', {
      defaultValue: 'admin',
      required: true,
    }),
    variable('registry.password', 'OCI Pack Registry Password', {
      defaultValue: isNewest ? '' : 'Spectro@123',
      required: true,
      isSensitive: true,
      ...(isNewest ? { regex: '^\\S{15,64}$' } : {}),
    }),
    variable('registry.ca', 'OCI Pack Registry Ca Cert (Optional)', {
      format: 'base64',
      inputType: 'multiline',
      regex: base64,
    }),
    ...(isSeed
      ? [
          variable('registry.tlsCert', 'Registry Cert', {
            required: true,
            format: 'base64',
            inputType: 'multiline',
            regex: base64,
          }),
          variable('registry.tlsKey', 'Registry Private Cert Key', {
            required: true,
            isSensitive: true,
            format: 'base64',
            inputType: 'multiline',
            regex: base64,
          }),
        ]
      : [
          variable('registry.storage', 'OCI Registry Storage Size (GiB)', {
            defaultValue: '100',
            required: true,
            format: 'number',
            regex: '^[1-9][0-9]{1,4}$',
          }),
        ]),
    variable('mgmtplane.domain', 'Root Domain (Optional)', { defaultValue: vipMacro }),
    variable('mgmtplane.mongoReplicas', 'Mongo Replicas (Optional)', {
      defaultValue: '3',
      format: 'number',
      inputType: 'dropdown',
      regex: oneOrThree,
      options: choice(['1', '3'], '3'),
    }),
    variable('mgmtplane.imageRules', 'Image Replacement Rules (Optional)', { inputType: 'multiline' }),
    ...(isNewest
      ? [
          variable('mgmtplane.pullSecret', 'Image pull secret', {
            isSensitive: true,
            format: 'base64',
            regex: base64,
          }),
        ]
      : []),
  ]
  const version = { A: '4.7.4', B: '4.7.15', C: '4.8.18', D: '4.10.17' }[variant]
  const kubernetes = isNewest || variant === 'C' ? '1.33.5' : '1.32.3'
  return [
    {
      uid: stableHash('profile', 'infra', variant).slice(0, 24),
      name: 'palette-appliance-infra',
      type: 'cluster',
      version,
      packs: [
        { name: 'edge-native-byoi', version: '2.1.0', layer: 'os' },
        { name: 'edge-k8s', version: kubernetes, layer: 'k8s' },
        { name: 'cni-calico', version: isNewest || variant === 'C' ? '3.31.2' : '3.29.2', layer: 'cni' },
        { name: 'piraeus-operator', version: isNewest || variant === 'C' ? '2.10.1' : '2.8.1', layer: 'csi' },
      ],
      variables: cluster,
    },
    {
      uid: stableHash('profile', 'management', variant).slice(0, 24),
      name: 'palette-management-plane',
      type: 'add-on',
      version,
      packs: [
        { name: 'zot-registry', version: isNewest || variant === 'C' ? '0.1.89' : '0.1.67', layer: 'addon' },
        { name: 'nginx-ingress', version: '1.11.5', layer: 'addon' },
        { name: 'mongodb', version: '7.0.14', layer: 'addon' },
        { name: 'palette', version, layer: 'addon' },
      ],
      variables: registry,
    },
  ]
}

/** Judges values like the appliance: each by its own rule, then across. */
export function judgeVariables(
  profiles: readonly Profile[],
  values: readonly VariableValue[],
): VariableVerdict[] {
  const verdicts: VariableVerdict[] = []
  const valueOf = (name: string) => values.find((one) => one.name === name)?.value
  for (const profile of profiles) {
    for (const one of profile.variables) {
      const given = values.find((value) => value.name === one.name && value.profileUid === profile.uid)
      verdicts.push({
        name: one.name,
        profileUid: profile.uid,
        profileName: profile.name,
        regex: one.regex,
        ...verdictOf(one, given?.value ?? '', valueOf),
      })
    }
  }
  for (const value of values) {
    const isKnown = profiles.some(
      (profile) =>
        profile.uid === value.profileUid && profile.variables.some((one) => one.name === value.name),
    )
    if (isKnown) continue
    verdicts.push({
      name: value.name,
      profileUid: value.profileUid,
      profileName: '',
      regex: '',
      isValid: false,
      reason: `profile ${value.profileUid} has no variable ${value.name}`,
    })
  }
  return verdicts
}

function verdictOf(
  one: ProfileVariable,
  value: string,
  valueOf: (name: string) => string | undefined,
): { isValid: boolean; reason: string } {
  const bad = (reason: string) => ({ isValid: false, reason })
  if (value === '')
    return one.required ? bad(`${one.displayName} is required`) : { isValid: true, reason: '' }
  if (one.regex !== '' && !new RegExp(one.regex).test(value))
    return bad(`${one.displayName} does not match ${one.regex}`)
  if (one.format === 'number' && one.name === 'registry.nodePort' && Number(value) > 65535)
    return bad('the port is above 65535')
  if (one.options.length > 0 && !one.options.some((option) => option.value === value)) {
    return bad(`${one.displayName} must be one of ${one.options.map((option) => option.value).join(', ')}`)
  }
  const placement = valueOf('csi.placementCount')
  const replicas = valueOf('mgmtplane.mongoReplicas')
  if (one.name === 'csi.placementCount' && replicas !== undefined && replicas !== '' && replicas !== value) {
    return bad('CSI Placement Count must equal Mongo Replicas')
  }
  if (one.name === 'mgmtplane.mongoReplicas' && placement !== undefined && placement !== value) {
    return bad('Mongo Replicas must equal CSI Placement Count')
  }
  return { isValid: true, reason: '' }
}
