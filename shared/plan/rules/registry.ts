import { parseAddress } from '../ipv4.ts'
import { VARIANT_FACTS } from '../variants.ts'
import { error, warning, type Finding, type RuleContext } from './rule.ts'

const PATH = ['cluster', 'registry'] as const

export function checkRegistry(context: RuleContext): Finding[] {
  const registry = context.plan.cluster?.registry
  if (registry?.inCluster === undefined) return []
  return registry.inCluster ? checkInternal(context) : checkExternal(context)
}

function checkInternal({ plan, isGiven }: RuleContext): Finding[] {
  const registry = plan.cluster?.registry ?? {}
  const findings: Finding[] = []
  if (registry.port !== undefined && (registry.port < 30000 || registry.port > 32767)) {
    findings.push(
      error(
        'reg.port',
        [...PATH, 'port'],
        `The internal registry is a NodePort service; ${registry.port} is outside of 30000 to 32767.`,
        'Write a port from 30000 to 32767; 30003 is the default.',
      ),
    )
  }
  if (plan.site?.vip === 'auto' && parseAddress(registry.endpoint ?? '') !== undefined) {
    findings.push(
      error(
        'reg.endpoint',
        [...PATH, 'endpoint'],
        'The internal registry answers on the VIP, and with vip: auto nobody knows that address beforehand.',
        'Remove "endpoint", write a free address as site.vip, or write inCluster: false for an external registry.',
      ),
    )
  } else if (registry.endpoint !== undefined && registry.endpoint !== plan.site?.vip) {
    findings.push(
      warning(
        'reg.endpoint',
        [...PATH, 'endpoint'],
        'The internal registry answers on the VIP; another endpoint works only if that name resolves to the VIP on every node.',
        'Remove "endpoint", or write inCluster: false for an external registry.',
      ),
    )
  }
  if (registry.imageReplacementRules != null) {
    findings.push(
      error(
        'reg.image-rules',
        [...PATH, 'imageReplacementRules'],
        'Image replacement rules belong to an external registry; the internal one must have none.',
        'Remove imageReplacementRules, or write inCluster: false and the endpoint.',
      ),
    )
  }
  if (registry.storageSize !== undefined && registry.storageSize < 100) {
    findings.push(
      warning(
        'reg.storage-size',
        [...PATH, 'storageSize'],
        `${registry.storageSize} GiB is less than the appliance's own default of 100; content alone takes 20 and more.`,
        'Write 100 or more; 250 or more for production.',
      ),
    )
  }
  return [...findings, ...checkInternalCertificate({ plan, isGiven }), ...checkNewFields({ plan, isGiven })]
}

function checkInternalCertificate({ plan, isGiven }: RuleContext): Finding[] {
  const registry = plan.cluster?.registry ?? {}
  const variant = plan.appliance?.variant
  const hasCert = isGiven([...PATH, 'cert']) && registry.cert !== null
  const hasKey = isGiven([...PATH, 'key']) && registry.key !== null
  if (registry.generate === true && (hasCert || hasKey)) {
    return [
      error(
        'reg.cert-key-match',
        [...PATH, 'generate'],
        'The plan asks for a generated certificate and also gives files for it.',
        'Keep either "generate: true" or "cert" and "key".',
      ),
    ]
  }
  const pair = checkPair({ plan, isGiven })
  if (pair.length > 0 || variant === undefined) return pair
  const hasAny = hasCert || registry.generate === true
  if (variant === 'auto') {
    return hasAny
      ? []
      : [
          warning(
            'reg.cert-needed',
            [...PATH],
            'Should the appliance be of generation A, it will ask for a registry certificate that the plan does not have.',
            'Write "generate: true" to be ready for both; newer appliances make their own and ignore it.',
          ),
        ]
  }
  if (VARIANT_FACTS[variant].needsRegistryCertificate) {
    return hasAny
      ? []
      : [
          error(
            'reg.cert-needed',
            [...PATH],
            `The internal registry of variant ${variant} needs a certificate and its key.`,
            'Write "generate: true" (Landfall makes both for the VIP), or "cert" and "key" with PEM files.',
          ),
        ]
  }
  return hasAny
    ? [
        warning(
          'reg.cert-unused',
          [...PATH, registry.generate === true ? 'generate' : 'cert'],
          `The internal registry of variant ${variant} makes its own certificate; cert, key and generate are not used.`,
          'Remove them.',
        ),
      ]
    : []
}

function checkPair({ plan, isGiven }: RuleContext): Finding[] {
  const registry = plan.cluster?.registry ?? {}
  const hasCert = isGiven([...PATH, 'cert']) && registry.cert !== null
  const hasKey = isGiven([...PATH, 'key']) && registry.key !== null
  if (hasCert === hasKey) return []
  return [
    error(
      'reg.cert-key-match',
      [...PATH, hasCert ? 'cert' : 'key'],
      hasCert ? 'The registry has a certificate but no key.' : 'The registry has a key but no certificate.',
      `Write "${hasCert ? 'key' : 'cert'}" too: the PEM file that belongs to it.`,
    ),
  ]
}

function checkExternal({ plan, isGiven }: RuleContext): Finding[] {
  const registry = plan.cluster?.registry ?? {}
  const variant = plan.appliance?.variant
  const findings: Finding[] = [...checkPair({ plan, isGiven })]
  if (!isGiven([...PATH, 'endpoint'])) {
    findings.push(
      error(
        'reg.endpoint',
        [...PATH],
        'The registry is external (inCluster: false), but its endpoint is not given.',
        'Write "endpoint" with host name or address, and "port".',
      ),
    )
  } else if (registry.endpoint !== undefined && registry.endpoint === plan.site?.vip) {
    findings.push(
      error(
        'reg.endpoint',
        [...PATH, 'endpoint'],
        'The external registry has the VIP of this cluster, which does not exist before the cluster does.',
        'Write the address of the registry that runs already, or inCluster: true.',
      ),
    )
  } else {
    const node = (plan.nodes ?? []).find((candidate) => candidate?.address === registry.endpoint)
    if (node !== undefined && registry.endpoint !== undefined) {
      findings.push(
        error(
          'reg.endpoint',
          [...PATH, 'endpoint'],
          `The external registry has the address of node ${node.name ?? ''}, which is about to be installed.`,
          'Write the address of the registry that runs already.',
        ),
      )
    }
  }
  if (!isGiven([...PATH, 'port'])) {
    findings.push(
      warning(
        'reg.port',
        [...PATH],
        'The port of the external registry is not given; 30003, the port of the internal one, will be used.',
        'Write "port", for example 443 or 5000.',
      ),
    )
  }
  if (registry.generate === true) {
    findings.push(
      error(
        'reg.cert-unused',
        [...PATH, 'generate'],
        'Landfall cannot make a certificate for an external registry.',
        'Remove "generate"; for variant A write "cert" and "key" with the PEM files of the registry.',
      ),
    )
  }
  const hasCert = isGiven([...PATH, 'cert']) && registry.cert !== null
  if (variant === 'A' && !hasCert) {
    findings.push(
      warning(
        'reg.cert-needed',
        [...PATH],
        'The form of variant A asks for certificate and key of an external registry too.',
        'Write "cert" and "key" with the PEM files of the registry.',
      ),
    )
  }
  if (variant !== undefined && variant !== 'A' && variant !== 'auto' && hasCert) {
    findings.push(
      warning(
        'reg.cert-unused',
        [...PATH, 'cert'],
        `Variant ${variant} does not ask for certificate and key of an external registry; they will not be used.`,
        'Remove "cert" and "key"; keep "caCert" when a private CA signed the registry.',
      ),
    )
  }
  if (registry.storageSize !== undefined) {
    findings.push(
      warning(
        'reg.storage-size',
        [...PATH, 'storageSize'],
        'storageSize is the disk of the internal registry; it has no effect on an external one.',
        'Remove storageSize.',
      ),
    )
  }
  const rules = registry.imageReplacementRules
  if (rules != null && variant !== undefined && variant !== 'A' && !/^\S+:\s+\S+/.test(rules)) {
    findings.push(
      warning(
        'reg.image-rules',
        [...PATH, 'imageReplacementRules'],
        'The rule does not have the form "source: target".',
        'Write for example "all: registry.example.com:5000/spectro-content".',
      ),
    )
  }
  return [...findings, ...checkNewFields({ plan, isGiven })]
}

/** Fields that only the newest form has (palette.md §2.4). */
function checkNewFields({ plan }: RuleContext): Finding[] {
  const variant = plan.appliance?.variant
  const registry = plan.cluster?.registry ?? {}
  if (variant === undefined || variant === 'auto' || variant === 'D') return []
  const given = [
    ...(registry.storageSize !== undefined && registry.inCluster === true ? ['storageSize'] : []),
    ...(registry.imagePullSecret != null ? ['imagePullSecret'] : []),
  ]
  return given.map((key) =>
    warning(
      'reg.field-unused',
      [...PATH, key],
      `The form of variant ${variant} has no field for ${key}; the value will not be used.`,
      `Remove ${key}.`,
    ),
  )
}
