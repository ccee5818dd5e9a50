import type { PlanPath } from '../problem.ts'
import { VARIANT_FACTS } from '../variants.ts'
import { parseSshPublicKey } from '../ssh-public-key.ts'
import { error, repeated, warning, type Finding, type RuleContext } from './rule.ts'

/** Form of a reference for comparison: two equal ones give the same secret. */
function referenceKey(reference: unknown): string | undefined {
  if (typeof reference !== 'object' || reference === null) return undefined
  const [entry] = Object.entries(reference as Record<string, unknown>)
  if (entry === undefined || typeof entry[1] !== 'string') return undefined
  // What is generated is read from the vault under the same name later.
  return `${entry[0] === 'generate' ? 'vault' : entry[0]}:${entry[1]}`
}

export function checkPasswords({ plan, isGiven }: RuleContext): Finding[] {
  const { access, console: system, cluster } = plan
  const findings: Finding[] = []
  if (access?.newPassword === null && access.initialPassword === 'product-default') {
    findings.push(
      error(
        'cred.default-changed',
        ['access', 'newPassword'],
        'The nodes would keep the password that everybody can read in the documentation.',
        'Write a reference, for example newPassword: { generate: node }.',
      ),
    )
  }
  const variant = plan.appliance?.variant
  if (
    access?.initialPassword === 'product-default' &&
    variant !== undefined &&
    variant !== 'auto' &&
    !VARIANT_FACTS[variant].hasDefaultNodeAccount
  ) {
    findings.push(
      warning(
        'cred.initial-unknown',
        isGiven(['access', 'initialPassword']) ? ['access', 'initialPassword'] : ['access'],
        `Appliances of variant ${variant} have no default account; its password is the one that you chose at the first boot.`,
        'Write access.user and access.initialPassword, for example initialPassword: { prompt: "Password of the nodes" }.',
      ),
    )
  }
  const unchanged = (path: PlanPath, initial: unknown, next: unknown): void => {
    const key = referenceKey(next)
    if (key === undefined || key !== referenceKey(initial)) return
    findings.push(
      error(
        'cred.unchanged',
        path,
        'The initial and the new password are the same secret; the password would not change.',
        path[0] === 'access'
          ? 'Write newPassword: null to keep it, or another reference.'
          : 'Write another reference.',
      ),
    )
  }
  unchanged(['access', 'newPassword'], access?.initialPassword, access?.newPassword)
  unchanged(['console', 'newPassword'], system?.initialPassword, system?.newPassword)

  const targets: { path: PlanPath; name: string; key: string | undefined }[] = [
    { path: ['access', 'newPassword'], name: 'the nodes', key: referenceKey(access?.newPassword) },
    {
      path: ['cluster', 'registry', 'password'],
      name: 'the registry',
      key: referenceKey(cluster?.registry?.password),
    },
    { path: ['console', 'newPassword'], name: 'the system console', key: referenceKey(system?.newPassword) },
  ]
  findings.push(
    ...repeated(targets, ({ key }) => key).map(({ item, first }) =>
      warning(
        'cred.shared',
        item.path,
        `${first.name} and ${item.name} would have the same password.`.replace(/^./, (letter) =>
          letter.toUpperCase(),
        ),
        'Give each its own secret; who learns one then does not have the other.',
      ),
    ),
  )
  if (access?.sshKey === null && access.sshKeyPassphrase != null) {
    findings.push(
      warning(
        'cred.ssh-key',
        ['access', 'sshKeyPassphrase'],
        'There is a passphrase for an SSH key, but no key.',
        'Write access.sshKey, or remove the passphrase.',
      ),
    )
  }
  return [...findings, ...checkJumpHost({ plan })]
}

function checkJumpHost({ plan }: Pick<RuleContext, 'plan'>): Finding[] {
  const jump = plan.access?.jumpHost
  if (jump == null) return []
  const findings: Finding[] = []
  if (jump.sshKey === null && jump.password === null && jump.useSshAgent === false) {
    findings.push(
      error(
        'cred.ssh-key',
        ['access', 'jumpHost'],
        'There is no way to log in to the jump host.',
        'Write sshKey, useSshAgent: true, or password: with a reference to a secret.',
      ),
    )
  }
  if (jump.sshKey === null && jump.sshKeyPassphrase != null) {
    findings.push(
      warning(
        'cred.ssh-key',
        ['access', 'jumpHost', 'sshKeyPassphrase'],
        'There is a passphrase for the SSH key of the jump host, but no key.',
        'Write access.jumpHost.sshKey, or remove the passphrase.',
      ),
    )
  }
  if (plan.nodes?.some((node) => node?.address !== undefined && node.address === jump.address) === true) {
    findings.push(
      warning(
        'cred.ssh-key',
        ['access', 'jumpHost', 'address'],
        'The jump host is one of the nodes. It restarts during the installation, and then no node can be reached.',
        'Write the address of a machine that is no node.',
      ),
    )
  }
  return findings
}

export function checkSshKeys({ plan }: RuleContext): Finding[] {
  return [
    ...checkKeyList(plan.cluster?.sshKeys, ['cluster', 'sshKeys']),
    ...checkKeyList(plan.access?.authorizedKeys, ['access', 'authorizedKeys']),
  ]
}

function checkKeyList(texts: readonly (string | undefined)[] | undefined, place: PlanPath): Finding[] {
  const keys = (texts ?? []).map((text, index) => ({
    path: [...place, index] as PlanPath,
    key: text === undefined ? undefined : parseSshPublicKey(text),
  }))
  const findings: Finding[] = keys.flatMap(({ path, key }) => {
    if (key === undefined || key.kind === 'key') return []
    return [
      error(
        'sshkey.valid',
        path,
        key.kind === 'private'
          ? 'This is a private key; it must not be in a plan. Treat it as compromised if the plan was shared.'
          : `This is not an OpenSSH public key: ${key.reason}.`,
        'Write the one line of the .pub file: "ssh-ed25519 AAAA… comment".',
      ),
    ]
  })
  findings.push(
    ...repeated(keys, ({ key }) => (key?.kind === 'key' ? key.blob : undefined)).map(({ item }) =>
      warning('sshkey.valid', item.path, 'This key stands twice.', 'Remove one of the two lines.'),
    ),
  )
  return findings
}

export function checkProxy({ plan }: RuleContext): Finding[] {
  const proxy = plan.site?.proxy
  if (proxy == null) return []
  const findings: Finding[] = []
  for (const key of ['http', 'https'] as const) {
    if (proxy[key] == null || !/^https?:\/\/[^/]*@/i.test(proxy[key])) continue
    findings.push(
      error(
        'proxy.syntax',
        ['site', 'proxy', key],
        'The proxy URL holds a user or a password; secrets never stand in the plan.',
        'Write the URL without user and password, and let the proxy admit the node network.',
      ),
    )
  }
  if (proxy.http === null && proxy.https === null) {
    findings.push(
      warning(
        'proxy.syntax',
        ['site', 'proxy'],
        'The proxy section names no proxy.',
        'Write "http" and "https", or proxy: null.',
      ),
    )
  }
  return findings
}

/** Variables of the appliance that have a field of their own in the plan (palette.md §2.3, §2.4). */
const OWN_FIELDS: Readonly<Record<string, string>> = {
  'csi.storagepoolDrive': 'cluster.storagePoolDrive',
  'csi.placementCount': 'cluster.csiPlacementCount',
  'mgmtplane.mongoReplicas': 'cluster.mongoReplicas',
  'registry.password': 'cluster.registry.password',
}

export function checkVariables({ plan }: RuleContext): Finding[] {
  const open = Object.keys(plan.cluster?.variables ?? {})
  const secret = Object.keys(plan.cluster?.secretVariables ?? {})
  const paths = [
    ...open.map((name) => ({ name, path: ['cluster', 'variables', name] })),
    ...secret.map((name) => ({ name, path: ['cluster', 'secretVariables', name] })),
  ]
  const findings = paths.flatMap(({ name, path }) => {
    const field = Object.hasOwn(OWN_FIELDS, name) ? OWN_FIELDS[name] : undefined
    return field === undefined
      ? []
      : [
          error(
            'profile.variables',
            path,
            `The variable ${name} is ${field} in the plan.`,
            `Write ${field} instead.`,
          ),
        ]
  })
  for (const name of open) {
    const path = ['cluster', 'variables', name]
    if (secret.includes(name)) {
      findings.push(
        error(
          'profile.variables',
          path,
          `The variable ${name} stands in variables and in secretVariables.`,
          'Keep one of them.',
        ),
      )
    } else if (
      /passw(or)?d|secret|token|private|credential/i.test(name) &&
      !Object.hasOwn(OWN_FIELDS, name)
    ) {
      findings.push(
        error(
          'profile.variables',
          path,
          `The variable ${name} looks like a secret; secrets never stand in the plan.`,
          `Move it to cluster.secretVariables, for example "${name}: { vault: some-name }".`,
        ),
      )
    }
  }
  return findings
}

export function checkTags({ plan }: RuleContext): Finding[] {
  return Object.entries(plan.cluster?.tags ?? {}).flatMap(([key, value]) =>
    /^[^\s:,]+$/.test(key) && /^[^\s:,]*$/.test(value ?? '')
      ? []
      : [
          error(
            'tags',
            ['cluster', 'tags', key],
            `The tag "${key}" has a space, a comma or a colon in it; the appliance writes tags as key:value.`,
            'Write key and value without them.',
          ),
        ],
  )
}
