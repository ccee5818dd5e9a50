import { createPrivateKey, X509Certificate } from 'node:crypto'
import { AppError } from '../../shared/errors/index.ts'
import type { ArchiveDetails, ClusterConfiguration } from '../appliance/index.ts'
import {
  fillProfileVariables,
  needsRegistryCertificate,
  type FilledVariables,
  type ProfileSecrets,
} from '../appliance/profile-variables.ts'
import { base64OfPem } from '../appliance/pem.ts'
import { sitePhase } from '../engine/phase.ts'
import { plannedConfiguration, readCluster } from './planned-cluster.ts'
import { leaderOf, type Site, type SiteContext } from './site.ts'

/** All that the create call needs. Holds secrets; stays in this process. */
export interface PreparedCluster {
  readonly configuration: ClusterConfiguration
  readonly summary: FilledVariables['summary']
  /** PEM of the authority that was made for the registry's certificate; absent when the plan brings its own. */
  readonly registryAuthority: string | undefined
}

interface Facts {
  /** Name of the cluster that is there already; there is nothing to prepare then. */
  readonly existing: string | undefined
  /** The appliance's own form; `undefined` when there is a cluster, or in a dry run that reaches no appliance. */
  readonly details: ArchiveDetails | undefined
}

/** Fills in the appliance's own form from the plan and lets the appliance check it. Alters nothing. */
export const configureCluster = sitePhase<Site, Facts>({
  id: 'configure-cluster',
  title: 'Prepare the definition of the cluster',
  expectedSeconds: 15,
  work: 'api',
  gather: async (context) => {
    const existing = await readCluster(context)
    if (existing !== undefined) return { existing: existing.metadata.name ?? '?', details: undefined }
    return { existing: undefined, details: await readArchiveDetails(context) }
  },
  assumeFresh: () => ({ existing: undefined, details: undefined }),
  select: (_context, { existing }) =>
    existing === undefined
      ? { kind: 'needed' }
      : {
          kind: 'already-done',
          statement: 'The definition was given to the appliance before',
          seen: `GET /v1/edge-mgmt/cluster names "${existing}"`,
        },
  apply: async (context, { details }) => {
    if (details === undefined) return
    const { plan } = context.services
    const secrets = await readProfileSecrets(context, details)
    const filled = fillProfileVariables(details, plan, secrets)
    if (filled.problems.length > 0) {
      throw new AppError({
        code: 'PROFILE_MISMATCH',
        title: 'The plan and the options of this appliance do not fit together.',
        detail: filled.problems.join(' '),
        remedies: ['Correct the plan, then go on with --resume. Nothing of the cluster was created yet.'],
      })
    }
    for (const text of filled.ignored) context.warn(`${text} It is not needed there and is left out.`)
    const configuration = plannedConfiguration(context, {
      archiveUploadPath: details.archiveUploadPath ?? '',
      variables: filled.values,
    })
    await letApplianceValidate(context, configuration, filled)
    context.services.prepared = {
      configuration,
      summary: filled.summary,
      registryAuthority: secrets.madeAuthority,
    }
  },
})

async function readArchiveDetails(context: SiteContext): Promise<ArchiveDetails> {
  const { services, signal } = context
  const leader = await services.nodes.localApi(context, leaderOf(services.plan))
  // An uploaded definition takes precedence over the one inside of the ISO (palette.md §1.8).
  for (const kind of ['overridden', 'embedded'] as const) {
    const details = await leader.archiveDetails(kind, { signal })
    if (details !== undefined && details.clusterProfileDetails.length > 0) return details
  }
  throw new AppError({
    code: 'NO_CLUSTER_DEFINITION',
    title: 'The leader has no definition of the management cluster.',
    detail: 'Neither the embedded nor an uploaded archive names a profile.',
    remedies: [
      'With a slim ISO the content bundle is needed: set appliance.content in the plan, then go on with --resume.',
      'Right after an upload the appliance still unpacks: wait some minutes.',
    ],
    node: leaderOf(services.plan).name,
    isTransient: true,
  })
}

async function letApplianceValidate(
  context: SiteContext,
  configuration: ClusterConfiguration,
  filled: FilledVariables,
): Promise<void> {
  const { services, signal } = context
  const leader = await services.nodes.localApi(context, leaderOf(services.plan))
  const validation = await leader.validateVariables(
    {
      archiveUploadPath: configuration.spec.archiveUploadPath ?? '',
      clusterName: services.plan.cluster.name,
      variables: [...filled.values],
    },
    { signal },
  )
  const invalid = validation.variables.filter((variable) => variable.isValid === false)
  if (invalid.length > 0) {
    throw new AppError({
      code: 'PROFILE_INVALID',
      title: `The appliance does not accept ${invalid.length === 1 ? 'an option' : `${invalid.length} options`} of the cluster.`,
      detail: invalid
        .map(
          (variable) =>
            `${variable.name ?? '?'}: ${variable.validationFailureReason ?? `must match ${variable.regex ?? '?'}`}`,
        )
        .join('; '),
      remedies: [
        'Correct these options in the plan, then go on with --resume. Nothing of the cluster was created yet.',
      ],
    })
  }
  context.evidence(
    'The appliance accepts the definition of the cluster',
    `${validation.variables.length} variables validated: ${filled.summary.map(({ label, value }) => `${label} = ${value}`).join(', ')}`,
  )
}

interface RegistryCertificate extends Pick<
  ProfileSecrets,
  'registryCaCert' | 'registryCert' | 'registryKey'
> {
  /** PEM */
  readonly madeAuthority?: string
}

async function readProfileSecrets(
  context: SiteContext,
  details: ArchiveDetails,
): Promise<ProfileSecrets & RegistryCertificate> {
  const { plan, secrets } = context.services
  const { registry, ubuntuProToken } = plan.cluster
  const resolve = (reference: typeof ubuntuProToken, field: string) =>
    reference === null ? undefined : secrets.resolve(reference, field)
  return {
    registryPassword: await secrets.resolve(registry.password, 'cluster.registry.password'),
    ubuntuProToken: await resolve(ubuntuProToken, 'cluster.ubuntuProToken'),
    imagePullSecret: await resolve(registry.imagePullSecret, 'cluster.registry.imagePullSecret'),
    variables: await readSecretVariables(context),
    ...(await readRegistryCertificate(context, details)),
  }
}

async function readSecretVariables({ services }: SiteContext): Promise<Record<string, string>> {
  const { secretVariables } = services.plan.cluster
  const entries = Object.entries(secretVariables).map(async ([name, reference]) => [
    name,
    await services.secrets.resolve(reference, `cluster.secretVariables.${name}`),
  ])
  return Object.fromEntries(await Promise.all(entries)) as Record<string, string>
}

async function readRegistryCertificate(
  context: SiteContext,
  details: ArchiveDetails,
): Promise<RegistryCertificate> {
  const { services } = context
  const { registry } = services.plan.cluster
  const read = async (file: string | null) =>
    file === null ? undefined : base64OfPem((await services.readFile(file)).toString('utf8'))
  const given = {
    registryCaCert: await read(registry.caCert),
    registryCert: await read(registry.cert),
    registryKey: await read(registry.key),
  }
  if (registry.cert !== null && registry.key !== null) {
    await refuseWrongPair(services, registry.cert, registry.key)
    return given
  }
  if (!registry.generate || !needsRegistryCertificate(details)) return given
  const names = [services.vip, registry.endpoint, registry.rootDomain].filter(
    (name): name is string => name !== undefined && !name.includes('{{'),
  )
  // Loaded only by those who need it: the library is large.
  const { makeRegistryCertificate } = await import('../certificates/registry-certificate.ts')
  const made = await makeRegistryCertificate([...new Set(names)], context.clock.now())
  context.evidence(
    'A certificate for the registry was made',
    `for ${names.join(', ')}, until ${made.validTo}`,
  )
  return {
    madeAuthority: made.caPem,
    registryCaCert: base64OfPem(made.caPem),
    registryCert: base64OfPem(made.certificatePem),
    registryKey: base64OfPem(made.keyPem),
  }
}

async function refuseWrongPair(site: Site, certificateFile: string, keyFile: string): Promise<void> {
  const certificateText = await site.readFile(certificateFile)
  const keyText = await site.readFile(keyFile)
  let isPair: boolean
  try {
    isPair = new X509Certificate(certificateText).checkPrivateKey(createPrivateKey(keyText))
  } catch (error) {
    throw new AppError({
      code: 'REGISTRY_CERTIFICATE_UNREADABLE',
      title: 'The certificate or the key of the registry cannot be read.',
      detail: `cluster.registry.cert ${certificateFile}, key ${keyFile}: both must be PEM, the key without a passphrase.`,
      remedies: ['Give PEM files, or let Landfall make them: cluster.registry.generate: true.'],
      cause: error,
    })
  }
  if (isPair) return
  throw new AppError({
    code: 'REGISTRY_CERTIFICATE_MISMATCH',
    title: 'The key of the registry does not belong to its certificate.',
    detail: `cluster.registry.cert ${certificateFile}, cluster.registry.key ${keyFile}.`,
    remedies: ['Give the key that the certificate was made for.'],
  })
}
