import type { Plan } from '../../shared/plan/index.ts'
import type { ArchiveDetails, ProfileVariable, VariableValue } from './local-api-schemas.ts'

/** Secret values and file contents that belong into profile variables; `undefined` where the plan names none. */
export interface ProfileSecrets {
  readonly registryPassword: string
  readonly ubuntuProToken?: string | undefined
  readonly imagePullSecret?: string | undefined
  /** Base64 of PEM, one line. */
  readonly registryCaCert?: string | undefined
  readonly registryCert?: string | undefined
  readonly registryKey?: string | undefined
  /** Values of `cluster.secretVariables`, by variable name. */
  readonly variables?: Readonly<Record<string, string>>
}

/**
 * One option of the plan and the profile variable that it fills. The labels are those of the procedure (palette.md
 * §2.3, §2.4), in all generations; the internal names are known of a few only, hence the label decides.
 */
interface VariableRule {
  /** Path in the plan, for messages. */
  readonly option: string
  readonly labels: readonly string[]
  readonly names?: readonly string[]
  /** `undefined`: the operator leaves the appliance's default. */
  value(plan: Plan, secrets: ProfileSecrets): string | undefined
  /** True where the plan itself brings a value that the appliance may not offer; otherwise a missing variable matters. */
  readonly isOptionalHere?: boolean
  /** Whether the operator wrote the option; default: whether there is a value. */
  isGiven?(plan: Plan): boolean
  /** The value is a secret, whether the appliance marks its variable as sensitive or not. */
  readonly isSecret?: boolean
}

const rules: readonly VariableRule[] = [
  { option: 'cluster.podCidr', labels: ['Pod CIDR'], value: (plan) => plan.cluster.podCidr },
  { option: 'cluster.serviceCidr', labels: ['Service CIDR'], value: (plan) => plan.cluster.serviceCidr },
  {
    option: 'cluster.ubuntuProToken',
    labels: ['Ubuntu Pro Token'],
    value: (_plan, secrets) => secrets.ubuntuProToken,
    isSecret: true,
  },
  {
    option: 'cluster.storagePoolDrive',
    labels: ['Storage Pool Drive'],
    names: ['csi.storagepoolDrive'],
    value: (plan) => plan.cluster.storagePoolDrive,
  },
  {
    option: 'cluster.csiPlacementCount',
    labels: ['CSI Placement Count'],
    names: ['csi.placementCount'],
    // Must equal the Mongo replicas (palette.md §2.3); older appliances have no such option.
    value: (plan) => String(plan.cluster.csiPlacementCount ?? plan.cluster.mongoReplicas),
    isOptionalHere: true,
    isGiven: (plan) => plan.cluster.csiPlacementCount !== undefined,
  },
  {
    option: 'cluster.mongoReplicas',
    labels: ['Mongo Replicas'],
    names: ['mgmtplane.mongoReplicas'],
    value: (plan) => String(plan.cluster.mongoReplicas),
  },
  {
    option: 'cluster.registry.inCluster',
    labels: ['In Cluster Registry'],
    value: (plan) => String(plan.cluster.registry.inCluster),
  },
  {
    option: 'cluster.registry.endpoint',
    labels: ['Registry Endpoint'],
    value: (plan) => plan.cluster.registry.endpoint,
  },
  {
    option: 'cluster.registry.port',
    labels: ['Registry Port'],
    value: (plan) => String(plan.cluster.registry.port),
  },
  {
    option: 'cluster.registry.baseContentPath',
    labels: ['OCI Registry Base Content Path'],
    value: (plan) => plan.cluster.registry.baseContentPath,
  },
  {
    option: 'cluster.registry.username',
    labels: ['Registry Username', 'OCI Pack Registry Username'],
    value: (plan) => plan.cluster.registry.username,
  },
  {
    option: 'cluster.registry.password',
    labels: ['OCI Pack Registry Password', 'Registry Password'],
    names: ['registry.password'],
    value: (_plan, secrets) => secrets.registryPassword,
    isSecret: true,
  },
  {
    option: 'cluster.registry.caCert',
    labels: ['OCI Pack Registry Ca Cert', 'Registry Ca Cert'],
    value: (_plan, secrets) => secrets.registryCaCert,
    isOptionalHere: true,
  },
  {
    option: 'cluster.registry.cert',
    labels: ['Registry Cert'],
    value: (_plan, secrets) => secrets.registryCert,
    isOptionalHere: true,
  },
  {
    option: 'cluster.registry.key',
    labels: ['Registry Private Cert Key'],
    value: (_plan, secrets) => secrets.registryKey,
    isOptionalHere: true,
    isSecret: true,
  },
  {
    option: 'cluster.registry.storageSize',
    labels: ['OCI Registry Storage Size (GiB)', 'OCI Registry Storage Size'],
    value: (plan) => plan.cluster.registry.storageSize?.toString(),
  },
  {
    option: 'cluster.registry.rootDomain',
    labels: ['Root Domain'],
    value: (plan) => plan.cluster.registry.rootDomain,
  },
  {
    option: 'cluster.registry.imageReplacementRules',
    labels: ['Image Replacement Rules'],
    value: (plan) => plan.cluster.registry.imageReplacementRules ?? undefined,
  },
  {
    option: 'cluster.registry.imagePullSecret',
    labels: ['Image pull secret'],
    value: (_plan, secrets) => secrets.imagePullSecret,
    isSecret: true,
  },
]

export interface FilledVariables {
  /** All variables of all profiles, as the create call wants them (palette.md §7.3.1). */
  readonly values: readonly VariableValue[]
  /** For people: which option went where. Without the values of sensitive variables. */
  readonly summary: readonly { readonly label: string; readonly value: string }[]
  /** What the plan asks for and this appliance cannot do, and what this appliance needs and the plan does not say. */
  readonly problems: readonly string[]
  /** Options of the plan that this appliance does not have and does not need. */
  readonly ignored: readonly string[]
}

/** Fills the variables that the appliance describes of itself with what the plan says, and leaves its other defaults. */
export function fillProfileVariables(
  details: ArchiveDetails,
  plan: Plan,
  secrets: ProfileSecrets,
): FilledVariables {
  const values: VariableValue[] = []
  const summary: { label: string; value: string }[] = []
  const problems: string[] = []
  const usedRules = new Set<VariableRule>()
  const usedNames = new Set<string>()

  for (const profile of details.clusterProfileDetails) {
    for (const variable of profile.variables) {
      const label = variable.displayName ?? variable.name
      const rule = ruleFor(variable)
      if (rule !== undefined) usedRules.add(rule)
      const secret = ownValue(secrets.variables ?? {}, variable.name)
      const explicit = secret ?? ownValue(plan.cluster.variables, variable.name)
      if (explicit !== undefined) usedNames.add(variable.name)
      // The appliance shows an unset value as an empty one; its default counts then.
      const value = firstFilled(explicit, rule?.value(plan, secrets), variable.value, variable.defaultValue)
      if (value === '' && variable.required === true) {
        const where = rule?.option ?? `cluster.variables."${variable.name}"`
        problems.push(`The appliance requires "${label}" and the plan gives no value: set ${where}.`)
      }
      values.push({ name: variable.name, profileUid: profile.profileUid ?? '', value })
      const isSecret = variable.isSensitive === true || rule?.isSecret === true || secret !== undefined
      const isShown = !isSecret && variable.hidden !== true && value !== ''
      // A certificate in Base64 tells nobody anything.
      if (isShown) summary.push({ label, value: value.length > 80 ? `(${value.length} characters)` : value })
    }
  }
  const ignored: string[] = []
  for (const rule of rules) {
    if (usedRules.has(rule) || rule.value(plan, secrets) === undefined) continue
    const text = `The plan sets ${rule.option}, but this appliance has no option "${rule.labels[0] ?? rule.option}".`
    if (rule.isOptionalHere !== true) problems.push(text)
    else if (rule.isGiven?.(plan) ?? true) ignored.push(text)
  }
  for (const name of [...Object.keys(plan.cluster.variables), ...Object.keys(secrets.variables ?? {})]) {
    if (!usedNames.has(name))
      problems.push(`The plan sets cluster.variables."${name}", which this appliance does not have.`)
  }
  return { values, summary, problems, ignored }
}

/** True when the appliance asks for the certificate and key of its internal registry (variant A). */
export function needsRegistryCertificate(details: ArchiveDetails): boolean {
  return details.clusterProfileDetails.some((profile) =>
    profile.variables.some((variable) => ruleFor(variable)?.option === 'cluster.registry.key'),
  )
}

function ruleFor(variable: ProfileVariable): VariableRule | undefined {
  const label = normalise(variable.displayName ?? '')
  return rules.find(
    (rule) =>
      (rule.names?.includes(variable.name) ?? false) ||
      rule.labels.some((candidate) => normalise(candidate) === label),
  )
}

/** The appliance chooses the names: one may be a word that every object inherits something under. */
function ownValue(record: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined
}

function firstFilled(...values: readonly (string | undefined)[]): string {
  return values.find((value) => value !== undefined && value !== '') ?? ''
}

/** Labels move between releases in case, spaces and "(Optional)". */
function normalise(label: string): string {
  return label
    .toLowerCase()
    .replace('(optional)', '')
    .replace(/[^a-z0-9]/g, '')
}
